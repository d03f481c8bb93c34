"""The service's calls about artifacts, by the run or logged model that owns them; "" owns what belongs to the store.

**Source** of names: `mlflow.store.artifact.artifact_repo.ArtifactRepository` of MLflow 3.17.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import BinaryIO

from mlquery.backend.error_bodies import ARTIFACT_IS_THERE
from mlquery.backend.service import Service, call
from mlquery.entities import FileInfo
from mlquery.errors import RESOURCE_CONFLICT, RESOURCE_DOES_NOT_EXIST, StoreError


def not_downloaded(path: str) -> StoreError:
    """Return the error about artifacts that could not be downloaded."""
    name = posixpath.basename(path)
    message = f"Failed to download artifacts from path '{name}', please ensure that the path is correct."
    return StoreError(message, RESOURCE_DOES_NOT_EXIST)


class Artifacts(Service):
    """Calls about artifacts. Paths are relative to the owner's artifacts, with forward slashes."""

    @call
    def log_artifact(self, owner_id: str, path: str, content: bytes) -> None:
        """Store a file, replacing an older one where the dialect does."""
        self._put(owner_id, [(path, content)])

    @call
    def log_artifacts(self, owner_id: str, files: Iterable[tuple[str, bytes]]) -> None:
        """Store files, given as paths and contents."""
        self._put(owner_id, files)

    @call
    def log_artifact_from_stream(self, owner_id: str, path: str, stream: BinaryIO) -> None:
        """Store what a binary stream holds."""
        self._put(owner_id, [(path, stream.read())])

    @call
    def list_artifacts(self, owner_id: str, path: str | None = None) -> list[FileInfo]:
        """Return what lies directly in a folder, sorted by path; nothing for a file or a missing folder."""
        return self.store.artifacts.list(owner_id, path)

    @call
    def download_artifacts(self, owner_id: str, path: str | None = None) -> dict[str, bytes]:
        """Return the contents of a file, or of all files below a folder, by path.

        Raises:
            StoreError: RESOURCE_DOES_NOT_EXIST, there is no such file or folder.
        """
        with self.store.lock:
            if path:
                with suppress(StoreError):  # it is a folder, or missing
                    return {path: self.store.artifacts.read(owner_id, path)}
            found = {file: self.store.artifacts.read(owner_id, file) for file in self._files_below(owner_id, path)}
        if not found and path:
            raise not_downloaded(path)
        return found

    @call
    def delete_artifacts(self, owner_id: str, path: str | None = None) -> None:
        """Delete a file or a folder, everything without a path; missing ones do not matter."""
        self.store.artifacts.delete(owner_id, path)

    def require_new_artifact(self, owner_id: str, path: str) -> None:
        """Refuse a file that is there already where the dialect replaces none; this is no call.

        Raises:
            StoreError: RESOURCE_CONFLICT.

        **Source** of the wording: issue 1865 of ultralytics/ultralytics, issue 256 of lightly-ai/lightly-train.
        """
        if self._overwrites or not self.store.artifacts.has(owner_id, path):
            return
        artifact_id = posixpath.join(f"ExperimentRun/dcid.{owner_id}" if owner_id else "", posixpath.normpath(path))
        raise StoreError(f"{ARTIFACT_IS_THERE} {artifact_id} already exists.", RESOURCE_CONFLICT)

    @property
    def _overwrites(self) -> bool:
        return self.dialect.behaves("artifact.overwritten")

    def _put(self, owner_id: str, files: Iterable[tuple[str, bytes]]) -> None:
        """Store files; none of them if one is there already and may not be replaced."""
        put = self.store.artifacts.put
        if self._overwrites:
            for path, content in files:
                put(owner_id, path, content)
            return
        given = list(files)
        with self.store.lock:
            for path, _ in given:
                self.require_new_artifact(owner_id, path)
            for path, content in given:
                put(owner_id, path, content)

    def _files_below(self, owner_id: str, folder: str | None) -> Iterator[str]:
        """Yield the paths of all files in a folder, however deep they are."""
        waiting = [folder]
        while waiting:
            found = self.store.artifacts.list(owner_id, waiting.pop())
            yield from (info.path for info in found if not info.is_dir)
            waiting += [info.path for info in reversed(found) if info.is_dir]
