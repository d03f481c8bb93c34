"""The routes of files over HTTP: those of runs, logged models and versions, and the proxy in front of all.

What is done with a file is in `artifacts`; here are methods, paths and queries.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlquery.errors import NOT_IMPLEMENTED
from mlquery.server import artifacts
from mlquery.server.errors import RequestError
from mlquery.server.security import Security
from mlquery.server.service import Service

Handler = Callable[[Request], Awaitable[Response]]
Call = Callable[..., Awaitable[Any]]

_NO_MULTIPART: Final = "Multipart upload is not supported for the current artifact repository"
_FILES_OF_MODEL: Final = "/mlflow/logged-models/{model_id}/artifacts/files"
_UPLOAD_LIMIT: Final = 10 * 2**20  # of `upload-artifact`, in bytes


class FileRoutes:
    """The files of one server.

    Args:
        service: What is served.
        security: How large and slow bodies may be.
        call: Makes a call of the service.
    """

    def __init__(self, service: Service, security: Security, call: Call) -> None:
        self._service, self._security, self._call = service, security, call

    def routes(self, prefixes: Iterable[str], answering: Callable[[Handler], Handler]) -> list[Route]:
        """Return all routes; `answering` makes a handler also answer where another one raises."""
        found = [
            Route("/get-artifact", answering(self._artifact_of_run)),
            Route("/model-versions/get-artifact", answering(self._artifact_of_version)),
            Route("/ajax-api/2.0/mlflow/upload-artifact", answering(self._upload_to_run), methods=["POST"]),
        ]
        for prefix in prefixes:
            found.append(Route(f"{prefix}{_FILES_OF_MODEL}", answering(self._artifact_of_model)))
            for kind, handler, methods in (
                ("artifacts", self._artifact, ["GET", "PUT", "DELETE"]),
                ("mpu", self._no_multipart, ["POST"]),
                ("presigned", self._no_multipart, ["GET"]),
            ):
                path = f"{prefix}/mlflow-artifacts/{kind}/{{path:path}}"
                found.append(Route(path, answering(handler), methods=methods))
        return found

    async def _artifact(self, request: Request) -> Response:
        """Store, send or delete a file."""
        path = request.path_params["path"]
        if request.method == "PUT":
            await self._call(artifacts.upload, self._service, path, await self._file(request))
            return Response()
        if request.method == "DELETE":
            await self._call(artifacts.delete, self._service, path)
            return Response(b"{}\n", media_type="application/json")
        return _file_response(*await self._call(artifacts.download, self._service, path))

    async def _artifact_of_run(self, request: Request) -> Response:
        """Send a file of a run."""
        query = request.query_params
        run_id, path = query.get("run_id") or query.get("run_uuid") or "", _required(query, "path")
        return _file_response(*await self._call(artifacts.download_of_run, self._service, run_id, path))

    async def _artifact_of_version(self, request: Request) -> Response:
        """Send a file of a version of a registered model."""
        query = request.query_params
        name, version, path = query.get("name"), query.get("version"), _required(query, "path")
        return _file_response(*await self._call(artifacts.download_of_version, self._service, name, version, path))

    async def _artifact_of_model(self, request: Request) -> Response:
        """Send a file of a logged model."""
        self._service.backend.require_endpoint("logged_models", request.scope["path"])
        path = request.query_params.get("artifact_file_path")
        if not path:
            raise RequestError('Request must include the "artifact_file_path" query parameter.', "BAD_REQUEST")
        model_id = request.path_params["model_id"]
        return _file_response(*await self._call(artifacts.download_of_model, self._service, model_id, path))

    async def _upload_to_run(self, request: Request) -> Response:
        """Store a file of a run."""
        query = request.query_params
        run_id = query.get("run_id") or query.get("run_uuid")
        if not run_id:
            raise RequestError("Request must specify run_uuid.")
        if not query.get("path"):
            raise RequestError("Request must specify path.")
        path = artifacts.safe_path(query["path"])
        content = await self._file(request)
        if not content:
            raise RequestError("Request must specify data.")
        if len(content) > _UPLOAD_LIMIT:
            raise RequestError("Artifact size is too large. Max size is 10MB.")
        await self._call(artifacts.upload_to_run, self._service, run_id, path, content)
        return Response(media_type="application/json")

    async def _file(self, request: Request) -> bytes:
        return await self._security.body(request.receive, dict(request.scope["headers"]), self._security.artifact_limit)

    async def _no_multipart(self, request: Request) -> Response:
        """Say that files are sent and stored in one piece, as MLflow's server does for a local folder."""
        what = _NO_MULTIPART if request.method == "POST" else _NO_MULTIPART.replace("upload", "download")
        raise RequestError(what, NOT_IMPLEMENTED)


def _required(query: Mapping[str, str], name: str) -> str:
    value = query.get(name)
    if value is None:
        raise RequestError(f"Request must specify {name}.")
    return value


def _file_response(content: bytes, headers: dict[str, str]) -> Response:
    return Response(content, headers=headers)
