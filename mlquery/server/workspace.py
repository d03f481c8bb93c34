"""The routes of a workspace's artifacts over HTTP: run history for listings, and signed URLs for contents.

Where they are is data of the dialect. What is done is in `run_history` and `blobs`; here are methods, queries, headers
and the two shapes in which errors are sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from mlquery.backend.error_bodies import history_error_body, http_status, wording
from mlquery.errors import MissingEndpointError
from mlquery.server import run_history
from mlquery.server.blobs import READ, WRITE, BlobError, Blocks, SignedUrls, part
from mlquery.server.endpoints import loaded_json
from mlquery.server.errors import FAILURES, Failure
from mlquery.server.file_routes import Call, Handler
from mlquery.server.run_history import Container
from mlquery.server.security import Security
from mlquery.server.service import Service

_SAFE: Final = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"}


class Workspace:
    """The artifacts of one server whose dialect has run history.

    Args:
        service: What is served.
        security: How large and slow bodies may be.
        call: Makes a call of the service.
        failed: Answers a request that failed for another reason than one to tell the client.
    """

    def __init__(
        self, service: Service, security: Security, call: Call, failed: Callable[[BaseException], Response]
    ) -> None:
        self._service, self._security, self._call, self._failed = service, security, call, failed
        self._answers = service.answers
        self._urls, self._blocks = SignedUrls(), Blocks(security.artifact_limit)

    def routes(self) -> list[Route]:
        """Return all routes."""
        scope = self._answers["scope"]
        of_run = f"{self._answers['run_history']}{scope}/experiments/{{experiment}}/runs/{{run}}/artifacts"
        others = f"{self._answers['artifact_store']}{scope}/artifacts/{{origin}}/{{container}}"
        blobs = f"{self._answers['blobs']}/{{name:path}}"
        found = [Route(blobs, self._answering(self._blob, _blob_error), methods=["GET", "PUT"])]
        for path in (of_run, others):
            for end, handler, method in (
                ("/batch/metadata", self._reserve, "POST"),
                ("/contentinfo", self._locate, "GET"),
                ("", self._list, "GET"),
            ):
                found.append(Route(path + end, self._answering(handler, self._history_error), methods=[method]))
        return found

    def admits(self, scope: Scope) -> bool:
        """Tell whether a request is one for a signed URL, which needs no token."""
        top = f"{self._answers['blobs']}/"
        if not scope["path"].startswith(top):
            return False
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        return self._urls.admits(scope["path"].removeprefix(top), _needs(scope["method"]), query)

    def _answering(self, handler: Handler, refused: Callable[[Failure], Response]) -> Handler:
        """Return a handler that also answers where another one raises."""

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except FAILURES as error:
                return refused(error)
            except BaseException as error:
                return self._failed(error)

        return answer

    # Run history

    async def _list(self, request: Request) -> Response:
        return JSONResponse(await self._call(run_history.listing, self._service.backend, _container(request)))

    async def _locate(self, request: Request) -> Response:
        container, path = _container(request), request.query_params.get("path", "")
        await self._call(run_history.content_of, self._service.backend, container, path)
        uri = self._uri(request, container, path, READ)
        return JSONResponse(run_history.content_information(container, path, uri))

    async def _reserve(self, request: Request) -> Response:
        container = _container(request)
        body = await self._security.body(request.receive, dict(request.scope["headers"]), self._security.body_limit)
        paths = run_history.paths_in(loaded_json(body), self._answers["artifacts_per_batch"])
        return JSONResponse(
            await self._call(
                run_history.reservation,
                self._service.backend,
                container,
                paths,
                lambda path: self._uri(request, container, path, WRITE),
            )
        )

    def _uri(self, request: Request, container: Container, path: str, allows: str) -> str:
        top = f"{request.url.scheme}://{request.url.netloc}{self._answers['blobs']}"
        return self._urls.signed(top, container.blob(path), allows)

    def _history_error(self, error: Failure) -> Response:
        message, _ = wording(error)
        status = getattr(error, "status", None) or http_status(error.error_code)
        if isinstance(error, MissingEndpointError):
            return Response(status_code=status)
        return JSONResponse(history_error_body(message, self._service.backend.clock()), status)

    # Contents

    async def _blob(self, request: Request) -> Response:
        name = request.path_params["name"]
        if not self.admits(request.scope):
            raise BlobError(403, "AuthenticationFailed", "The signature of the URL is missing, wrong or too old.")
        if request.method == "PUT":
            return await self._put(request, name)
        content = await self._content(name)
        wanted = request.headers.get("x-ms-range") or request.headers.get("range")
        status, sent, headers = part(content, wanted)
        return Response(sent, status, {"ETag": _tag(content)} | headers | _SAFE)

    async def _put(self, request: Request, name: str) -> Response:
        content = await self._security.body(
            request.receive, dict(request.scope["headers"]), self._security.artifact_limit
        )
        kind = request.query_params.get("comp")
        if kind == "block":
            self._blocks.put(name, request.query_params.get("blockid", ""), content)
            return Response(status_code=201)
        if kind == "blocklist":
            content = self._blocks.joined(name, content)
        container, path = run_history.split_blob(name)
        await self._call(self._service.backend.log_artifact, container.owner, container.folder + path, content)
        return Response(status_code=201, headers={"ETag": _tag(content)})

    async def _content(self, name: str) -> bytes:
        container, path = run_history.split_blob(name)
        content: bytes = await self._call(run_history.content_of, self._service.backend, container, path)
        return content


def _blob_error(error: Failure) -> Response:
    status = getattr(error, "status", None) or http_status(error.error_code)
    code = {404: "BlobNotFound", 409: "BlobAlreadyExists"}.get(status, "InvalidInput")
    name = error.code if isinstance(error, BlobError) else code
    return Response(error.message, status, {"x-ms-error-code": name} | _SAFE, "text/plain")


def _container(request: Request) -> Container:
    path = request.path_params
    return Container.of_run(path["run"]) if "run" in path else Container(path["origin"], path["container"])


def _needs(method: str) -> str:
    return WRITE if method == "PUT" else READ


def _tag(content: bytes) -> str:
    """Return the version of a content, by its length alone: files are never overwritten."""
    return f'"0x{len(content):X}"'
