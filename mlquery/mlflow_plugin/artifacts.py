"""MLflow's artifact repository over the artifacts of a backend: files come from the disk and go there.

A location is `mlquery-artifacts:<experiment>/<run>/artifacts`, or the same after `mlquery-artifacts://NAME/` for the
store of that name; without a name the store is that of the tracking URI. What lies below the `artifacts` of a run or of
a logged model belongs to it, everything else to the store.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable
from functools import wraps
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote, unquote, urlsplit

import mlflow
from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository, verify_artifact_path

from mlquery.backend import Backend
from mlquery.errors import StoreError, invalid_parameter
from mlquery.mlflow_plugin.exceptions import as_mlflow
from mlquery.mlflow_plugin.schemes import SCHEME
from mlquery.mlflow_plugin.uris import replacement, store_for

P = ParamSpec("P")
R = TypeVar("R")


def _served(
    method: Callable[Concatenate[StoreArtifactRepository, Backend, P], R],
) -> Callable[Concatenate[StoreArtifactRepository, P], R]:
    """Make a call of the repository out of a method that takes the backend; errors are those of local files."""

    @wraps(method)
    def call(self: StoreArtifactRepository, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, self.find_backend(), *args, **kwargs)
        except StoreError as error:
            raise as_mlflow(error) from error

    return call


class StoreArtifactRepository(ArtifactRepository):
    """The artifacts below one location. Paths are relative to it, with forward slashes."""

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        super().__init__(artifact_uri)
        self.tracking_uri, self.registry_uri = tracking_uri, registry_uri  # which MLflow 2 does not keep
        parts = urlsplit(artifact_uri)
        self._name = unquote(parts.netloc)
        self._root = unquote(parts.path).strip("/")

    def find_backend(self) -> Backend:
        """Return the backend of the store whose artifacts these are, looked up at each call.

        Raises:
            StoreError: no URI says which store that is.
        """
        if self._name:
            return store_for(f"{SCHEME}://{quote(self._name)}")
        for uri in (self.tracking_uri, mlflow.get_tracking_uri()):
            if uri and uri.startswith(f"{SCHEME}:"):
                return store_for(uri)
        backend = replacement()
        if backend is not None:
            return backend
        raise invalid_parameter(
            f"The artifacts {self.artifact_uri} are in the memory of a store: set the tracking URI to that store"
        )

    @_served
    def log_artifact(self, backend: Backend, local_file: str, artifact_path: str | None = None) -> None:
        """Store a local file, below the folder `artifact_path`."""
        verify_artifact_path(artifact_path)
        place = self._place(backend, artifact_path, os.path.basename(local_file))
        backend.log_artifact(*place, Path(local_file).read_bytes())

    @_served
    def log_artifacts(self, backend: Backend, local_dir: str, artifact_path: str | None = None) -> None:
        """Store the files of a local folder, below the folder `artifact_path`; empty folders leave no trace."""
        verify_artifact_path(artifact_path)
        top = Path(local_dir)
        files = sorted(path for path in top.rglob("*") if path.is_file())
        placed = ((self._place(backend, artifact_path, file.relative_to(top).as_posix()), file) for file in files)
        for owner, found in groupby(placed, key=lambda each: each[0][0]):
            backend.log_artifacts(owner, ((path, file.read_bytes()) for (_, path), file in found))

    @_served
    def log_artifact_from_stream(
        self, backend: Backend, stream: BinaryIO, artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        """Store what a binary stream holds, below the folder `artifact_path`."""
        verify_artifact_path(artifact_path)
        place = self._place(backend, artifact_path, os.path.basename(artifact_file_name))
        backend.log_artifact_from_stream(*place, stream)

    @_served
    def list_artifacts(self, backend: Backend, path: str | None = None) -> list[FileInfo]:
        """Return what lies directly in a folder, sorted by path; nothing for a file or a missing folder."""
        folder = posixpath.normpath(path) if path else ""
        found = backend.list_artifacts(*self._place(backend, path))
        names = [posixpath.join(folder, posixpath.basename(info.path)) for info in found]
        return [
            FileInfo(posixpath.normpath(name), info.is_dir, info.file_size)
            for name, info in zip(names, found, strict=True)
        ]

    @_served
    def delete_artifacts(self, backend: Backend, artifact_path: str | None = None) -> None:
        """Delete a file or a folder, everything without a path; missing ones do not matter."""
        backend.delete_artifacts(*self._place(backend, artifact_path))

    @_served
    def _download_file(self, backend: Backend, remote_file_path: str, local_path: str) -> None:
        (content,) = backend.download_artifacts(*self._place(backend, remote_file_path)).values()
        Path(local_path).write_bytes(content)

    def _place(self, backend: Backend, path: str | None, name: str = "") -> tuple[str, str]:
        """Return the owner of an artifact of this repository, and its path there.

        Raises:
            StoreError: the path is absolute or leads upwards.
        """
        inside = posixpath.join(path or "", name)
        if inside.startswith("/") or ".." in inside.split("/"):
            raise invalid_parameter("Invalid path: resolved path is outside the artifact directory")
        return backend.store.owner_of_artifact(f"{self._root}/{inside}")
