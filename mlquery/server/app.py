"""The HTTP application: finds the endpoint of a request, answers it, and turns errors into JSON bodies.

What endpoints do is not known here, nor where they do it; see `scheduling`.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar
from urllib.parse import parse_qs, quote

import attrs
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mlquery.errors import NOT_IMPLEMENTED
from mlquery.remote.dialects import HEADER as DIALECT_HEADER
from mlquery.server import page as page_parts
from mlquery.server.connections import ClosingResponse
from mlquery.server.endpoints import Endpoint, fields_in_body, fields_in_query
from mlquery.server.errors import FAILURES, Failure, RequestError, answer_to
from mlquery.server.file_routes import FileRoutes, Handler
from mlquery.server.proto_json import Fields
from mlquery.server.routes import EndpointRoutes, endpoint_table
from mlquery.server.run_json import Json
from mlquery.server.scheduling import Scheduler
from mlquery.server.security import IDENTITY, Security
from mlquery.server.service import Service, collect_warnings
from mlquery.server.workspace import Workspace

MLFLOW_VERSION: Final = "3.18.0"
"""The release of MLflow that the dialect `oss` follows."""

P = ParamSpec("P")
R = TypeVar("R")

_PREFIXES: Final = ("/api/2.0", "/ajax-api/2.0")
_LACKING: Final = (
    *("workspaces_enabled", "trace_archival_enabled", "multipart_uploads_enabled", "multipart_downloads_enabled"),
    *("presigned_upload_run_id_supported", "presigned_upload_model_id_supported"),
)
_TOKEN_LIFETIME: Final = 86_400  # in seconds
_CLOSING: Final = (401, 403, 413)
_logger: Final = logging.getLogger("mlquery.server")


def create_app(service: Service, security: Security | None = None) -> Starlette:
    """Return the ASGI application that serves a store.

    Args:
        service: The store and its dialect.
        security: Which requests are admitted; by default any from this machine, without a token.
    """
    server = Server(service, Security() if security is None else security)
    routes = server.routes()
    scope = service.answers.get("scope", "")
    routes += [Mount(f"{mount}{scope}", routes=server.routes()) for mount in service.answers.get("mounts", ())]
    if server.workspace is not None:
        routes += [*server.workspace.routes(), Route(IDENTITY, _identity)]
    routes += server.page_routes()  # at the root only, wherever a service has its endpoint
    if server.security.is_loopback:
        routes.append(Route("/mlquery/reset", server.answering(server.reset), methods=["POST"]))
    return Starlette(
        routes=routes,
        middleware=[*_sharing(server.security), Middleware(_Admission, server=server)],
        exception_handlers={HTTPException: server.no_such_route},
    )


def _sharing(security: Security) -> list[Middleware]:
    """Return what lets browsers show answers to pages of the other origins that are allowed."""
    if not security.origins:
        return []
    return [Middleware(CORSMiddleware, allow_origins=sorted(security.origins), allow_methods="*", allow_headers="*")]


@attrs.frozen(eq=False)
class Server:
    """Answers requests about one service."""

    service: Service
    security: Security
    workspace: Workspace | None = attrs.field(init=False)

    @workspace.default
    def _workspace(self) -> Workspace | None:
        has_run_history = "run_history" in self.service.answers
        return Workspace(self.service, self.security, self._call, self.failed) if has_run_history else None

    _scheduler: Scheduler = attrs.field(init=False)

    @_scheduler.default
    def _new_scheduler(self) -> Scheduler:
        return Scheduler(self.service)

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the whole API."""
        return [
            EndpointRoutes(endpoint_table(_PREFIXES, self.service), self.answer_request),
            Route("/health", _health),
            Route("/version", self.version),
            *FileRoutes(self.service, self.security, self._call).routes(_PREFIXES, self.answering),
            *(Route(f"{prefix}/mlflow/server-info", _server_info) for prefix in ("/api/3.0", "/ajax-api/3.0")),
        ]

    async def version(self, _: Request) -> Response:
        """Tell the version of MLflow and, to clients that ask which filters they may send, the dialect."""
        return PlainTextResponse(MLFLOW_VERSION, headers={DIALECT_HEADER: self.service.backend.dialect.name})

    async def answer_request(
        self, endpoint: Endpoint, path: dict[str, str], scope: Scope, receive: Receive
    ) -> Response:
        """Answer a request to an endpoint; `path` holds the fields that stand in the path of the URL."""
        warnings = collect_warnings()
        try:
            body = await self._body(endpoint, scope, receive)
            size = len(scope["query_string"] if body is None else body)
            answer = partial(self._answer, endpoint, path, scope, body, warnings)
            return await self._scheduler.run(answer, size, is_search=endpoint.is_search)
        except BaseException as error:
            return self.failed(error, warnings)
        finally:
            for warning in warnings:
                _logger.warning("%s %s: %s", endpoint.method, endpoint.path, warning)

    def _seen_from(self, scope: Scope) -> Service:
        """Return the service as the client sees it.

        Microsoft's client asks for artifacts by https alone. Over plain http, locations stay MLflow's own, so that
        its own client, without Microsoft's, reaches artifacts through the proxy.
        """
        root, host = scope.get("root_path", ""), dict(scope["headers"]).get(b"host", b"")
        if self.workspace is None or not root or scope["scheme"] != "https":
            return self.service
        return self.service.of_workspace(host.decode("latin-1"), root)

    async def _body(self, endpoint: Endpoint, scope: Scope, receive: Receive) -> bytes | None:
        """Return the body of a request, None if its arguments are in the URL."""
        if endpoint.method == "GET" and scope["query_string"]:  # without, MLflow reads the body of a GET, too
            return None
        try:
            return await self.security.body(receive, dict(scope["headers"]), self.security.body_limit)
        except FAILURES:
            self._require(endpoint)
            raise

    def _answer(
        self, endpoint: Endpoint, path: dict[str, str], scope: Scope, body: bytes | None, warnings: Iterable[str]
    ) -> Response:
        """Answer a request that has arrived."""
        fields = self._fields(endpoint, path, scope, body)
        return _json(200, endpoint.answer(self._seen_from(scope), fields), warnings)

    def _fields(self, endpoint: Endpoint, path: dict[str, str], scope: Scope, body: bytes | None) -> Fields:
        """Return the fields of a request; an endpoint that the dialect lacks does not look at what is sent to it."""
        try:
            if body is None:
                query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
                return fields_in_query(endpoint, query, self.service, path)
            kind = dict(scope["headers"]).get(b"content-type")
            return fields_in_body(endpoint, None if kind is None else kind.decode("latin-1"), body, self.service, path)
        except FAILURES:
            self._require(endpoint)
            raise

    def _require(self, endpoint: Endpoint) -> None:
        if endpoint.family is not None:
            self.service.backend.require_endpoint(endpoint.family, endpoint.path)

    async def _call(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Make a call where it keeps nobody waiting."""
        size = sum(len(arg) for arg in args if isinstance(arg, bytes))
        return await self._scheduler.run(partial(call, *args, **kwargs), size)

    def failed(self, error: BaseException, warnings: Iterable[str] = ()) -> Response:
        """Return the answer to a request that failed; an unexpected error is logged in full and not sent."""
        if isinstance(error, FAILURES):
            return self.refused(error, warnings)
        if self.service.backend.faults.raised(error):
            return self.refused(RequestError(f"{type(error).__name__}: {error}", "INTERNAL_ERROR"))
        if not isinstance(error, Exception):
            raise error
        _logger.error("An unexpected error occurred while answering a request", exc_info=error)
        message = "An unexpected error occurred in mlquery; see the log of the server"
        return self.refused(RequestError(message, "INTERNAL_ERROR", 500))

    def refused(self, error: Failure, warnings: Iterable[str] = ()) -> Response:
        """Return the answer to a request that is refused."""
        status, body = answer_to(error, self.service.answers, self.service.backend.clock())
        response = PlainTextResponse(body, status) if isinstance(body, str) else _json(status, body, warnings)
        if status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        # The body that the client may still send is not read.
        return ClosingResponse(response, self.security.timeout) if status in _CLOSING else response

    async def no_such_route(self, request: Request, error: Exception) -> Response:
        """Answer a request for which there is no route."""
        assert isinstance(error, HTTPException)
        path = request.scope["path"]
        if "/traces" in path and "traces" in self.service.backend.missing:
            return Response(status_code=self.service.backend.missing["traces"])
        if error.status_code == 404 and "//" in path:
            query = request.scope["query_string"].decode("latin-1")
            return RedirectResponse(f"{quote(re.sub('/+', '/', path))}?{query}", 308)  # as MLflow's server does
        if error.status_code == 405:
            response = self.refused(
                RequestError(f"The method {request.method} is not allowed here", "BAD_REQUEST", 405)
            )
            response.headers["Allow"] = (error.headers or {}).get("Allow", "")
            return response
        code = "ENDPOINT_NOT_FOUND" if error.status_code == 404 else "BAD_REQUEST"
        return self.refused(RequestError(f"There is no endpoint {path}", code, error.status_code))

    async def reset(self, request: Request) -> Response:
        """Go back to the contents that the server was started with."""
        self.service.reset()
        return _json(200, {})

    # The page

    def page_routes(self) -> list[BaseRoute]:
        """Return the routes of the page."""
        return [
            Route("/", self.answering(self.page)),
            Route(f"{page_parts.ASSETS_PATH}{{name}}", _asset),
            Route(f"{page_parts.QUESTIONS_PATH}{{name}}", self.answering(self.answer_page), methods=["GET", "POST"]),
        ]

    async def page(self, _: Request) -> Response:
        """Send the page, or say that it needs what is not in memory."""
        if self.service.is_in_place:
            raise RequestError(page_parts.NOT_IN_PLACE, NOT_IMPLEMENTED)
        return page_parts.document()

    async def answer_page(self, request: Request) -> Response:
        """Answer a question of the page."""
        body = await self.security.body(request.receive, dict(request.scope["headers"]), self.security.body_limit)
        name = request.path_params["name"]
        # In a thread: a comparison may take long, and other clients are served meanwhile.
        answer = await run_in_threadpool(page_parts.answer, self.service, name, body)
        return _json(200, answer)

    def answering(self, handler: Handler) -> Handler:
        """Return a handler that also answers where another one raises."""

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except BaseException as error:
                return self.failed(error)

        return answer


class _Admission:
    """Lets the requests pass that are admitted."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self.app = app
        self.server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] == "http":
            if scope["path"].startswith("//"):  # slashes after the host that MLflow's server drops
                scope = {**scope, "path": f"/{scope['path'].lstrip('/')}"}
            try:
                workspace = self.server.workspace
                is_signed = workspace is not None and workspace.admits(scope)
                self.server.security.admit(scope["method"], scope["path"], dict(scope["headers"]), is_signed)
            except RequestError as refusal:
                answer = ClosingResponse(self.server.refused(refusal), self.server.security.timeout)
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _json(status: int, body: Any, warnings: Iterable[str] = ()) -> Response:
    written = body if isinstance(body, Json) else json.dumps(body, separators=(",", ":"), allow_nan=False)
    response = Response(f"{written}\n".encode(), status, media_type="application/json")
    for warning in warnings:
        quoted = warning.encode("ascii", "backslashreplace").decode().replace("\\", "\\\\").replace('"', '\\"')
        response.headers.append("Warning", f'299 mlquery "{" ".join(quoted.split())}"')
    return response


async def _asset(request: Request) -> Response:
    return page_parts.asset(request.path_params["name"], request.headers.get("if-none-match"))


async def _identity(request: Request) -> Response:
    """Give a client of Azure, which asks the platform for its token, the token that it names.

    **Source**: `ManagedIdentityCredential` of azure-identity 1.25 on App Service.
    """
    token = request.headers.get("x-identity-header", "")
    expiry = str(int(time.time()) + _TOKEN_LIFETIME)
    return _json(200, {"access_token": token, "expires_on": expiry, "token_type": "Bearer", "resource": ""})


async def _health(_: Request) -> Response:
    return PlainTextResponse("OK")


async def _server_info(_: Request) -> Response:
    """Tell MLflow's client what it may try: nothing beyond experiments, runs, models and artifacts."""
    return _json(200, {"store_type": None, **dict.fromkeys(_LACKING, False), "features_enabled": {"gateway": False}})
