"""Finds the endpoint that a path and a method name: in one step where the path is fixed, as nearly all are."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from mlquery.server import (
    artifacts,
    experiments,
    logged_models,
    metrics_params_tags,
    model_versions,
    registered_models,
    runs,
    webhooks,
)
from mlquery.server.endpoints import Endpoint
from mlquery.server.service import Service

Table = dict[str, dict[str, Endpoint]]
"""Endpoints by path and method."""

Answer = Callable[[Endpoint, dict[str, str], Scope, Receive], Awaitable[Response]]

ENDPOINTS: Final = (
    *experiments.ENDPOINTS,
    *runs.ENDPOINTS,
    *metrics_params_tags.ENDPOINTS,
    *artifacts.ENDPOINTS,
    *logged_models.ENDPOINTS,
    *registered_models.ENDPOINTS,
    *model_versions.ENDPOINTS,
    *webhooks.ENDPOINTS,
)
"""All endpoints below `/mlflow`."""


def endpoint_table(prefixes: Iterable[str], service: Service) -> Table:
    """Return all endpoints of a service by their full paths and methods."""
    table: Table = {}
    for prefix in prefixes:
        _add(table, f"{prefix}/mlflow", ENDPOINTS)
        _add(table, f"{prefix}/mlflow-artifacts", artifacts.PROXY_ENDPOINTS)
        if service.answers.get("asynchronous"):
            _add(table, f"{prefix}/preview/mlflow", metrics_params_tags.ASYNC_ENDPOINTS)
    return table


def _add(table: Table, top: str, endpoints: Iterable[Endpoint]) -> None:
    for endpoint in endpoints:
        table.setdefault(f"{top}/{endpoint.path}", {})[endpoint.method] = endpoint


class EndpointRoutes(BaseRoute):
    """The routes of all endpoints. A name in braces in a path stands for any string without a slash."""

    def __init__(self, table: Table, answer: Answer) -> None:
        self._fixed = {path: methods for path, methods in table.items() if "{" not in path}
        self._patterns = [(_pattern(path), methods) for path, methods in table.items() if "{" in path]
        self._answer = answer

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether a path is that of an endpoint."""
        if scope["type"] != "http":
            return Match.NONE, {}
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        methods = self._fixed.get(path)
        if methods is not None:
            return Match.FULL, {"mlquery.methods": methods, "path_params": {}}
        for pattern, some in self._patterns:
            found = pattern.fullmatch(path)
            if found:
                return Match.FULL, {"mlquery.methods": some, "path_params": found.groupdict()}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request whose path matched."""
        methods: dict[str, Endpoint] = scope["mlquery.methods"]
        endpoint = methods.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if endpoint is None:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(methods))})
        response = await self._answer(endpoint, scope["path_params"], scope, receive)
        await response(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> Any:
        """Refuse to make URLs: endpoints have no names."""
        raise NoMatchFound(name, path_params)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))
