"""MLflow's artifact repository over the artifacts of a store: files come from the disk into memory and back.

A location is `mlquery-artifacts:<experiment>/<run>/artifacts`, or the same after `mlquery-artifacts://NAME/` for the
store of that name; without a name the store is that of the tracking URI. What lies below the `artifacts` of a run or of
a logged model belongs to it, everything else to the store.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import BinaryIO, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote, unquote, urlsplit

import mlflow
from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository, verify_artifact_path

from mlquery.errors import StoreError, invalid_parameter
from mlquery.language.matrix import DEFAULT_DIALECT, MATRIX
from mlquery.mlflow_plugin.errors import as_mlflow
from mlquery.mlflow_plugin.schemes import SCHEME
from mlquery.mlflow_plugin.uris import State, replacement, store_for

P = ParamSpec("P")
R = TypeVar("R")


def _served(
    method: Callable[Concatenate[MemoryArtifacts, State, P], R],
) -> Callable[Concatenate[MemoryArtifacts, P], R]:
    """Make a call of the repository out of a method that takes the state; see `tracking_calls.served`."""

    @wraps(method)
    def call(self: MemoryArtifacts, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            state = self.find_state()
            state.faults.before(method.__name__)
            return method(self, state, *args, **kwargs)
        except StoreError as error:
            raise as_mlflow(error, MATRIX.dialect(DEFAULT_DIALECT), 0) from error

    return call


class MemoryArtifacts(ArtifactRepository):
    """The artifacts below one location. Paths are relative to it, with forward slashes."""

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        parts = urlsplit(artifact_uri)
        self._name = unquote(parts.netloc)
        self._root = unquote(parts.path).strip("/")

    def find_state(self) -> State:
        """Return the state whose artifacts these are, looked up at each call.

        Raises:
            StoreError: there is no telling whose artifacts these are.
        """
        if self._name:
            return store_for(f"{SCHEME}://{quote(self._name)}")
        for uri in (self.tracking_uri, mlflow.get_tracking_uri()):
            if uri and uri.startswith(f"{SCHEME}:"):
                return store_for(uri)
        state = replacement()
        if state is not None:
            return state
        raise invalid_parameter(
            f"The artifacts {self.artifact_uri} are in the memory of a store: set the tracking URI to that store"
        )

    @_served
    def log_artifact(self, state: State, local_file: str, artifact_path: str | None = None) -> None:
        """Store a local file, below the folder `artifact_path`."""
        verify_artifact_path(artifact_path)
        name = os.path.basename(local_file)
        self._put(state, posixpath.join(artifact_path or "", name), Path(local_file).read_bytes())

    @_served
    def log_artifacts(self, state: State, local_dir: str, artifact_path: str | None = None) -> None:
        """Store the files of a local folder, below the folder `artifact_path`; empty folders leave no trace."""
        verify_artifact_path(artifact_path)
        top = Path(local_dir)
        for file in sorted(path for path in top.rglob("*") if path.is_file()):
            where = posixpath.join(artifact_path or "", file.relative_to(top).as_posix())
            self._put(state, where, file.read_bytes())

    @_served
    def log_artifact_from_stream(
        self, state: State, stream: BinaryIO, artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        """Store what a binary stream holds, below the folder `artifact_path`."""
        verify_artifact_path(artifact_path)
        name = os.path.basename(artifact_file_name)
        self._put(state, posixpath.join(artifact_path or "", name), stream.read())

    @_served
    def list_artifacts(self, state: State, path: str | None = None) -> list[FileInfo]:
        """Return what lies directly in a folder, sorted by path; nothing for a file or a missing folder."""
        owner, inside = self._place(state, path)
        folder = posixpath.normpath(path) if path else ""
        found = state.store.artifacts.list(owner, inside)
        names = [posixpath.join(folder, posixpath.basename(info.path)) for info in found]
        return [
            FileInfo(posixpath.normpath(name), info.is_dir, info.file_size)
            for name, info in zip(names, found, strict=True)
        ]

    @_served
    def delete_artifacts(self, state: State, artifact_path: str | None = None) -> None:
        """Delete a file or a folder, everything without a path; missing ones do not matter."""
        state.store.artifacts.delete(*self._place(state, artifact_path))

    @_served
    def _download_file(self, state: State, remote_file_path: str, local_path: str) -> None:
        content = state.store.artifacts.read(*self._place(state, remote_file_path))
        Path(local_path).write_bytes(content)

    def _put(self, state: State, path: str, content: bytes) -> None:
        owner, inside = self._place(state, path)
        state.store.artifacts.put(owner, inside, content)

    def _place(self, state: State, path: str | None) -> tuple[str, str]:
        """Return whose artifact a path of this repository is, and its path there.

        Raises:
            StoreError: the path is absolute or leads upwards.
        """
        inside = path or ""
        if inside.startswith("/") or ".." in inside.split("/"):
            raise invalid_parameter(f"Invalid path: '{path}'")
        return state.store.owner_of_artifact(f"{self._root}/{inside}")
