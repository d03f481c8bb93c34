"""Serves the tools over standard input and output, by the Model Context Protocol: the only module that imports `mcp`.

An error of a tool is a result that says so; warnings about a query come after the answer. Tools run one after another.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any, Final

from mcp.server import MCPServer
from mcp.types import CallToolResult, TextContent, ToolAnnotations

from mlquery import __version__
from mlquery.errors import QueryError, QueryWarning, StoreError
from mlquery.mcp_server.answers import Answer
from mlquery.mcp_server.sources import Sources
from mlquery.mcp_server.tools import Tools

_INSTRUCTIONS: Final = """\
Read-only access to MLflow runs: {sources}.
Call describe first for the experiments and keys. Filters are MLflow's language in the dialect {dialect}:
metrics.auc > 0.9 AND params.model = 'forest' AND tags.team = 'risk' AND status = 'FINISHED'.
Params and tags are strings; keys with spaces go in backticks: metrics.`val loss`. Times are ms UTC.
A metric in a filter is its last value.{extended}"""
_EXTENDED: Final = (
    " Functions take all points: max(metrics.loss), min, mean, first, count, argmax, argmin, at(metrics.loss, 100)."
    " OR, NOT, parentheses, IN, BETWEEN, RLIKE and IS NULL work on every field."
)


def serve(sources: Sources) -> None:
    """Answer calls from standard input until it ends."""
    new_server(sources).run("stdio")


def new_server(sources: Sources) -> MCPServer[Any]:
    """Return a server with the tools over some sources."""
    names = ", ".join(map(sources.shown, sources.allowed)) or "any source that a call names"
    extended = _EXTENDED if sources.dialect.is_local else ""
    instructions = _INSTRUCTIONS.format(sources=names, dialect=sources.dialect.name, extended=extended)
    server: MCPServer[Any] = MCPServer(
        "mlquery", instructions=instructions, version=__version__, log_level="WARNING", subscriptions=False
    )
    tools, lock = Tools(sources), Lock()
    reads = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
    for tool in (tools.describe, tools.check, tools.search, tools.compare, tools.histories, tools.aggregate):
        server.add_tool(_answering(tool, lock), annotations=reads, structured_output=False)
    return server


def _answering(tool: Callable[..., Answer], lock: Lock) -> Callable[..., Any]:
    """Return a tool whose errors are results, and whose answers end with the warnings."""

    @wraps(tool)
    def answer(**arguments: Any) -> Any:
        with lock, warnings.catch_warnings(record=True) as caught:  # which filters of warnings are is global
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", QueryWarning)
            try:
                found, is_error = tool(**arguments), False
            except (QueryError, StoreError, ValueError, OSError) as error:
                found, is_error = Answer(tuple(str(error).splitlines())), True
        text = str(found.with_warnings(str(warning.message) for warning in caught))
        return CallToolResult(content=[TextContent(type="text", text=text)], is_error=is_error)

    return answer
