"""The HTTP application: finds the call of a request, answers it, and turns whatever goes wrong into a JSON body.

Calls are answered in the event loop, one after the other: each takes less time than handing it to a thread. What calls
do is not known here.
"""

from __future__ import annotations

import json
import logging
from typing import Any, Final
from urllib.parse import parse_qs

import attrs
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mlquery.server import artifacts
from mlquery.server.endpoints import Call, given_in_body, given_in_query
from mlquery.server.errors import FAILURES, Failure, RequestError, answer_to
from mlquery.server.routes import CallRoutes, call_table
from mlquery.server.run_json import Json
from mlquery.server.security import Guard
from mlquery.server.service import Service

MLFLOW_VERSION: Final = "3.17.2"
"""The release of MLflow whose server this one follows."""

_PREFIXES: Final = ("/api/2.0", "/ajax-api/2.0")
_NO_MULTIPART: Final = "Multipart upload is not supported for the current artifact repository"
_LACKING: Final = (
    *("workspaces_enabled", "trace_archival_enabled", "multipart_uploads_enabled", "multipart_downloads_enabled"),
    *("presigned_upload_run_id_supported", "presigned_upload_model_id_supported"),
)
_logger: Final = logging.getLogger("mlquery.server")


def create_app(service: Service, guard: Guard | None = None) -> Starlette:
    """Return the ASGI application that serves a store.

    Args:
        service: The store and its dialect.
        guard: Who may ask, and how much; by default anyone on the loopback, without a token.
    """
    server = Server(service, Guard() if guard is None else guard)
    routes = server.routes()
    mount = service.answers.get("mount")
    if mount:
        routes.append(Mount(mount, routes=server.routes()))
    if server.guard.is_loopback:
        routes.append(Route("/mlquery/reset", server.reset, methods=["POST"]))
    return Starlette(
        routes=routes,
        middleware=[Middleware(_Admission, server=server)],
        exception_handlers={HTTPException: server.no_such_route},
    )


@attrs.frozen(eq=False)
class Server:
    """Answers requests about one service."""

    service: Service
    guard: Guard

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the whole API."""
        files = [
            Route(f"{prefix}/mlflow-artifacts/{kind}/{{path:path}}", endpoint, methods=methods)
            for prefix in _PREFIXES
            for kind, endpoint, methods in (
                ("artifacts", self.artifact, ["GET", "PUT", "DELETE"]),
                ("mpu", self.no_multipart, ["POST"]),
                ("presigned", self.no_multipart, ["GET"]),
            )
        ]
        return [
            CallRoutes(call_table(_PREFIXES, self.service), self.answer_call),
            Route("/health", _health),
            Route("/version", _version),
            Route("/get-artifact", self.artifact_of_run),
            Route("/ajax-api/2.0/mlflow/upload-artifact", self.upload_to_run, methods=["POST"]),
            *files,
            *(Route(f"{prefix}/mlflow/server-info", _server_info) for prefix in ("/api/3.0", "/ajax-api/3.0")),
        ]

    async def answer_call(self, call: Call, path: dict[str, str], scope: Scope, receive: Receive) -> Response:
        """Answer a call; `path` holds the fields that stand in the path of the URL."""
        service = self.service
        headers: dict[bytes, bytes] = dict(scope["headers"])
        service.heeded.clear()
        try:
            service.require_endpoint(call.family)
            if call.method in ("GET", "DELETE"):
                given = given_in_query(call, _query(scope), service, path)
            else:
                body = await self.guard.body(receive, headers, self.guard.body_limit)
                service.heeded.clear()  # another request may have been answered while this one arrived
                kind = headers.get(b"content-type")
                given = given_in_body(call, None if kind is None else kind.decode("latin-1"), body, service, path)
            return _json(200, call.answer(service, given), service.heeded)
        except Exception as error:
            return self.failed(error)

    def failed(self, error: Exception) -> Response:
        """Return the answer to a request that failed; what is no failure of the request is only logged in full."""
        if not isinstance(error, FAILURES):
            _logger.error("A request failed because of a mistake in mlquery", exc_info=error)
            error = RequestError("mlquery made a mistake; the log of the server says more", "INTERNAL_ERROR", 500)
        return self.refused(error)

    def refused(self, error: Failure) -> Response:
        """Return the answer to a request that is refused."""
        status, body = answer_to(error, self.service.answers, self.service.store.clock())
        response = Response(status_code=status) if body is None else _json(status, body, ())
        if status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        if status in (401, 403, 408, 413):
            response.headers["Connection"] = "close"  # the body that the client may still send is not waited for
        return response

    async def no_such_route(self, request: Request, error: Exception) -> Response:
        """Answer a request for which there is no route."""
        assert isinstance(error, HTTPException)
        if "/traces" in request.scope["path"] and self.service.answers.get("missing", {}).get("traces"):
            return Response(status_code=self.service.answers["missing"]["traces"])
        if error.status_code == 405:
            return self._not_allowed(request.method, (error.headers or {}).get("Allow", ""))
        code = "ENDPOINT_NOT_FOUND" if error.status_code == 404 else "BAD_REQUEST"
        return self.refused(RequestError(f"There is no endpoint {request.scope['path']}", code, error.status_code))

    def _not_allowed(self, method: str, allowed: str) -> Response:
        response = self.refused(RequestError(f"The method {method} is not allowed here", "BAD_REQUEST", 405))
        response.headers["Allow"] = allowed
        return response

    async def reset(self, request: Request) -> Response:
        """Go back to the contents that the server was started with."""
        self.service.reset()
        return _json(200, {}, ())

    # Files

    async def artifact(self, request: Request) -> Response:
        """Bring, fetch or delete a file."""
        path = request.path_params["path"]
        try:
            if request.method == "PUT":
                artifacts.upload(self.service, path, await self._file(request))
                return Response()
            if request.method == "DELETE":
                artifacts.delete(self.service, path)
                return _json(200, {}, ())
            return Response(*_sent(artifacts.download(self.service, path)))
        except Exception as error:
            return self.failed(error)

    async def artifact_of_run(self, request: Request) -> Response:
        """Fetch a file of a run."""
        query = request.query_params
        try:
            run_id, path = query.get("run_id") or query.get("run_uuid") or "", query.get("path")
            if path is None:
                raise RequestError("Request must specify path.")
            return Response(*_sent(artifacts.download_of_run(self.service, run_id, path)))
        except Exception as error:
            return self.failed(error)

    async def upload_to_run(self, request: Request) -> Response:
        """Bring a file of a run."""
        query = request.query_params
        try:
            if not query.get("run_uuid"):
                raise RequestError("Request must specify run_uuid.")
            if not query.get("path"):
                raise RequestError("Request must specify path.")
            content = await self._file(request)
            if not content:
                raise RequestError("Request must specify data.")
            artifacts.upload_to_run(self.service, query["run_uuid"], query["path"], content)
            return Response(media_type="application/json")
        except Exception as error:
            return self.failed(error)

    async def _file(self, request: Request) -> bytes:
        return await self.guard.body(request.receive, dict(request.scope["headers"]), self.guard.artifact_limit)

    async def no_multipart(self, request: Request) -> Response:
        """Say that files come and go in one piece, as MLflow's server does for a local folder."""
        what = _NO_MULTIPART if request.method == "POST" else _NO_MULTIPART.replace("upload", "download")
        return self.refused(RequestError(what, "NOT_IMPLEMENTED"))


class _Admission:
    """Lets in the requests that the guard admits."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self.app = app
        self.server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] == "http":
            try:
                self.server.guard.admit(scope["method"], scope["path"], dict(scope["headers"]))
            except RequestError as refusal:
                await self.server.refused(refusal)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def _json(status: int, body: Any, warnings: Any) -> Response:
    text = body if isinstance(body, Json) else json.dumps(body, separators=(",", ":"), allow_nan=False)
    content = f"{text}\n".encode()
    response = Response(content, status, media_type="application/json")
    for warning in warnings:
        text = warning.encode("ascii", "backslashreplace").decode().replace("\\", "\\\\").replace('"', '\\"')
        response.headers.append("Warning", f'299 mlquery "{" ".join(text.split())}"')
    return response


def _sent(found: tuple[bytes, dict[str, str]]) -> tuple[bytes, int, dict[str, str]]:
    content, headers = found
    return content, 200, headers


async def _health(_: Request) -> Response:
    return PlainTextResponse("OK")


async def _version(_: Request) -> Response:
    return PlainTextResponse(MLFLOW_VERSION)


async def _server_info(_: Request) -> Response:
    """Tell MLflow's client what it may try: nothing beyond experiments, runs, logged models and artifacts."""
    return _json(
        200, {"store_type": None, **dict.fromkeys(_LACKING, False), "features_enabled": {"gateway": False}}, ()
    )
