"""Artifacts in memory: files of a run or of a logged model by path. No disk is touched.

Paths are relative, with forward slashes.

**Source**: `mlflow.store.artifact.local_artifact_repo` of MLflow 3.17 for what a listing shows.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from contextlib import AbstractContextManager

from mlquery.entities import FileInfo
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter


class Artifacts:
    """The artifacts of all runs and logged models of one store; what is said of runs here goes for both.

    Args:
        lock: The store's lock.
        require_run: Raises if a run does not exist.
    """

    def __init__(self, lock: AbstractContextManager[object], require_run: Callable[[str], object]) -> None:
        self._lock = lock
        self._require_run = require_run
        self._files: dict[str, dict[str, bytes]] = {}

    def copy_from(self, other: Artifacts) -> None:
        """Take over all files of another store; their contents are shared, being immutable."""
        self._files = {run_id: files.copy() for run_id, files in other._files.items()}

    def contents(self) -> dict[tuple[str, str], bytes]:
        """Return the contents of all files, by owner and path."""
        with self._lock:
            return {(owner, path): content for owner, files in self._files.items() for path, content in files.items()}

    def put(self, run_id: str, path: str, content: bytes) -> None:
        """Store a file of a run, replacing an older one.

        Raises: RESOURCE_DOES_NOT_EXIST for an unknown run, INVALID_PARAMETER_VALUE for a path that is absolute, leads
            out of the run, or goes through a file.
        """
        plain = _plain(path)
        if plain in ("", "."):
            raise invalid_parameter(f"Invalid artifact path: '{path}'")
        with self._lock:
            self._require_run(run_id)
            files = self._files.setdefault(run_id, {})
            parents = plain.split("/")[:-1]
            above = ("/".join(parents[: i + 1]) for i in range(len(parents)))
            if any(folder in files for folder in above) or any(file.startswith(plain + "/") for file in files):
                raise invalid_parameter(f"Invalid artifact path: '{path}' is both a file and a directory")
            files[plain] = bytes(content)

    def list(self, run_id: str, path: str | None = None) -> list[FileInfo]:
        """Return what lies directly in a directory, sorted by path; nothing for a file or a missing directory."""
        top = _plain(path or "")
        prefix = f"{top}/" if top not in ("", ".") else ""
        with self._lock:
            self._require_run(run_id)
            files = self._files.get(run_id, {})
            found: dict[str, FileInfo] = {}
            for file, content in files.items():
                if file.startswith(prefix):
                    child, _, below = file[len(prefix) :].partition("/")
                    here = prefix + child
                    found[here] = FileInfo(here, bool(below), None if below else len(content))
        return [found[here] for here in sorted(found)]

    def has(self, run_id: str, path: str) -> bool:
        """Tell whether there is a file."""
        with self._lock:
            self._require_run(run_id)
            return _plain(path) in self._files.get(run_id, {})

    def read(self, run_id: str, path: str) -> bytes:
        """Return the content of a file; raise RESOURCE_DOES_NOT_EXIST if there is none."""
        with self._lock:
            self._require_run(run_id)
            content = self._files.get(run_id, {}).get(_plain(path))
        if content is None:
            raise StoreError(f"No such artifact: '{path}'", RESOURCE_DOES_NOT_EXIST)
        return content

    def delete(self, run_id: str, path: str | None = None) -> None:
        """Delete a file or all that is below a folder, everything without a path; missing ones do not matter."""
        top = _plain(path or "")
        with self._lock:
            self._require_run(run_id)
            files = self._files.get(run_id, {})
            for file in list(files):
                if top in ("", ".", file) or file.startswith(f"{top}/"):
                    del files[file]


def _plain(path: str) -> str:
    plain = posixpath.normpath(path) if path else ""
    if plain.startswith(("/", "..")):
        raise invalid_parameter(f"Invalid artifact path: '{path}'")
    return plain
