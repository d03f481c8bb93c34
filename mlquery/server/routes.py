"""Finds the call that a path and a method name: in one step where the path is fixed, as nearly all are."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from mlquery.server import artifacts, experiments, metrics_params_tags, models, runs
from mlquery.server.endpoints import Call
from mlquery.server.service import Service

Table = dict[str, dict[str, Call]]
"""Calls by path and method."""

Answer = Callable[[Call, dict[str, str], Scope, Receive], Awaitable[Response]]

_TRACKING: Final = (*experiments.CALLS, *runs.CALLS, *metrics_params_tags.CALLS, *artifacts.CALLS, *models.CALLS)


def call_table(prefixes: Iterable[str], service: Service) -> Table:
    """Return all calls of a service by their whole paths and methods."""
    table: Table = {}
    for prefix in prefixes:
        _add(table, f"{prefix}/mlflow", _TRACKING)
        _add(table, f"{prefix}/mlflow-artifacts", artifacts.PROXY_CALLS)
        if service.answers.get("asynchronous"):
            _add(table, f"{prefix}/preview/mlflow", metrics_params_tags.ASYNC_CALLS)
    return table


def _add(table: Table, top: str, calls: Iterable[Call]) -> None:
    for call in calls:
        table.setdefault(f"{top}/{call.path}", {})[call.method] = call


class CallRoutes(BaseRoute):
    """The routes of all calls. A path with a name in braces stands for any text without a slash there."""

    def __init__(self, table: Table, answer: Answer) -> None:
        self._fixed = {path: calls for path, calls in table.items() if "{" not in path}
        self._patterns = [(_pattern(path), calls) for path, calls in table.items() if "{" in path]
        self._answer = answer

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether a path is that of a call."""
        if scope["type"] != "http":
            return Match.NONE, {}
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        calls = self._fixed.get(path)
        if calls is not None:
            return Match.FULL, {"mlquery.calls": calls, "path_params": {}}
        for pattern, some in self._patterns:
            found = pattern.fullmatch(path)
            if found:
                return Match.FULL, {"mlquery.calls": some, "path_params": found.groupdict()}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request whose path matched."""
        calls: dict[str, Call] = scope["mlquery.calls"]
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        call = calls.get(method)
        if call is None:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(calls))})
        response = await self._answer(call, scope["path_params"], scope, receive)
        await response(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> Any:
        """Refuse to make URLs: calls have no names."""
        raise NoMatchFound(name, path_params)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))
