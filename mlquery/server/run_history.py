"""The calls with which Microsoft's client lists, reserves and locates artifacts, apart from HTTP.

Files are in containers: each run has one, and so has each upload of a model that belongs to no run. A client moves
contents under the signed URLs that it gets here.

**Source**: `azureml.mlflow._restclient.run_artifact` and `artifact` of azureml-mlflow 1.60 and 1.62 for paths and
fields; the error in lightly-ai/lightly-train issue 256 for names of artifacts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from mlquery.backend import Backend
from mlquery.backend.error_bodies import history_error_body
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError
from mlquery.server.errors import MalformedRequestError, RequestError

_OF_RUNS: Final = "ExperimentRun"
_RUN: Final = "dcid."


@attrs.frozen
class Container:
    """Where the files of a run, or of an upload, are: by the part of the service that made it, and a name."""

    origin: str
    name: str

    @classmethod
    def of_run(cls, run_id: str) -> Container:
        """Return the container of a run."""
        return cls(_OF_RUNS, f"{_RUN}{run_id}")

    @property
    def owner(self) -> str:
        """Return the run that the files belong to, "" for those of the store."""
        is_of_run = self.origin == _OF_RUNS and self.name.startswith(_RUN)
        return self.name.removeprefix(_RUN) if is_of_run else ""

    @property
    def folder(self) -> str:
        """Return where the files are among those of their owner."""
        return "" if self.owner else f"{self.origin}/{self.name}/"

    def blob(self, path: str) -> str:
        """Return the name of a file among all of the service."""
        return f"{self.origin}/{self.name}/{path}"


def split_blob(name: str) -> tuple[Container, str]:
    """Return the container and the path of a file of which the name among all of the service is given."""
    origin, _, rest = name.partition("/")
    container, _, path = rest.partition("/")
    return Container(origin, container), path


def listing(backend: Backend, container: Container) -> Any:
    """Return the files of a container."""
    folder = container.folder
    paths = _files_below(backend, container.owner, folder.rstrip("/"))
    return {"value": [_artifact(container, path.removeprefix(folder)) for path in sorted(paths)]}


def content_of(backend: Backend, container: Container, path: str) -> bytes:
    """Return the content of a file.

    Raises:
        StoreError: RESOURCE_DOES_NOT_EXIST, there is none.
    """
    found = backend.download_artifacts(container.owner, container.folder + path).get(container.folder + path)
    if found is None:
        raise StoreError(f"Artifact {container.blob(path)} does not exist.", RESOURCE_DOES_NOT_EXIST)
    return found


def content_information(container: Container, path: str, uri: str) -> Any:
    """Return where the content of a file is read or written."""
    return {"contentUri": uri, "origin": container.origin, "container": container.name, "path": path, "tags": {}}


def reservation(backend: Backend, container: Container, paths: list[str], uri_of: Callable[[str], str]) -> Any:
    """Return where each of some new files is to be written, and why those that are there already cannot be."""
    files, information, errors = {}, {}, {}
    for path in paths:
        try:
            backend.require_new_artifact(container.owner, container.folder + path)
        except StoreError as error:
            errors[path] = history_error_body(error.message, backend.clock())
        else:
            files[path] = _artifact(container, path)
            information[path] = content_information(container, path, uri_of(path))
    return {"artifacts": files, "artifactContentInformation": information, "errors": errors}


def paths_in(body: Any, most: int) -> list[str]:
    """Return the paths that a reservation asks for.

    Raises:
        RequestError: they are not there, or too many.
    """
    try:
        paths = [one["path"] for one in body["paths"]]
    except (KeyError, TypeError):
        raise MalformedRequestError("The request is invalid.") from None
    if not all(isinstance(path, str) and path and _is_text(path) for path in paths):
        raise MalformedRequestError("The request is invalid.")
    if len(paths) > most:
        raise RequestError(f"Artifact batch size exceeded the limit of {most}")
    return paths


def _is_text(string: str) -> bool:
    """Tell whether a string has no half of a character, which no URL can hold."""
    return string == string.encode(errors="replace").decode()


def _artifact(container: Container, path: str) -> Any:
    identity = {"artifactId": container.blob(path), "origin": container.origin, "container": container.name}
    return identity | {"path": path, "tags": {}}


def _files_below(backend: Backend, owner: str, folder: str) -> Iterator[str]:
    waiting = [folder]
    while waiting:
        for info in backend.list_artifacts(owner, waiting.pop()):
            if info.is_dir:
                waiting.append(info.path)
            else:
                yield info.path
