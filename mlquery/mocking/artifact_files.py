"""Artifacts as real files, for code that opens `run.info.artifact_uri` as a path.

It turns a backend whose artifacts are in memory into one whose artifacts are in a temporary folder, and back. Locations
are absolute paths, as those of MLflow on SQLite, so MLflow's own repository for local files reads and writes there. A
copy of such a store has its artifacts in memory again; it never shares files with the original.

**Source** of the layout: `SqlAlchemyStore` of MLflow 3.17 with its default folder of artifacts.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import unquote, urlsplit

from mlquery.backend import Backend
from mlquery.durable.files import FileArtifacts
from mlquery.entities import FileInfo
from mlquery.errors import invalid_parameter
from mlquery.store import Store
from mlquery.store.artifacts import Artifacts


class LocatedArtifacts(FileArtifacts):
    """The artifacts of a store at the locations of their owners; in memory where a location is no local path.

    Args:
        store: The store of the owners.
        root: The folder below which the locations of the store are by default.
    """

    def __init__(self, store: Store, root: Path) -> None:
        super().__init__(root, store.require_owner, is_synced=False)
        self._top = root
        self._store, self._lock = store, store.lock
        self._elsewhere = Artifacts(store.lock, store.require_owner)

    @property
    def _files(self) -> dict[str, dict[str, bytes]]:  # type: ignore[override]  # what a copy in memory takes over
        found = {owner: files.copy() for owner, files in self._elsewhere._files.items()}
        for file in self._top.rglob("*"):
            if file.is_file():
                with suppress(FileNotFoundError):  # deleted meanwhile by a thread
                    owner, path = self._store.owner_of_artifact(file.relative_to(self._top).as_posix())
                    found.setdefault(owner, {})[path] = file.read_bytes()
        return found

    def folder_of(self, run_id: str) -> Path:
        """Return the folder of a run's artifacts; it need not be there."""
        folder = self._local_folder(run_id)
        assert folder is not None
        return folder

    def replace_by(self, wanted: dict[tuple[str, str], bytes]) -> None:
        """Have these artifacts, by owner and path, and no others in the folder."""
        places = {self._place(*key) for key in wanted if self._is_local(key[0])}
        for file in self._top.rglob("*"):
            if file.is_file() and file not in places:
                file.unlink(missing_ok=True)
        present = self.contents()
        for (owner, path), content in wanted.items():
            if present.get((owner, path)) != content:
                self.put(owner, path, content)

    def put(self, run_id: str, path: str, content: bytes) -> None:
        """Store a file of a run, replacing an older one; errors as those of `Artifacts`."""
        if not self._is_local(run_id):
            self._elsewhere.put(run_id, path, content)
            return
        place = self._place(run_id, path)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        except (NotADirectoryError, FileExistsError, IsADirectoryError):
            raise invalid_parameter(f"Invalid artifact path: '{path}' is both a file and a directory") from None

    def list(self, run_id: str, path: str | None = None) -> list[FileInfo]:
        """Return what lies directly in a folder, sorted by path; nothing for a file or a missing folder."""
        return super().list(run_id, path) if self._is_local(run_id) else self._elsewhere.list(run_id, path)

    def has(self, run_id: str, path: str) -> bool:
        """Tell whether there is a file."""
        return super().has(run_id, path) if self._is_local(run_id) else self._elsewhere.has(run_id, path)

    def read(self, run_id: str, path: str) -> bytes:
        """Return the content of a file; raise RESOURCE_DOES_NOT_EXIST if there is none."""
        return super().read(run_id, path) if self._is_local(run_id) else self._elsewhere.read(run_id, path)

    def delete(self, run_id: str, path: str | None = None) -> None:
        """Delete a file, what is below a folder, or all without a path; nothing happens if there is none."""
        if self._is_local(run_id):
            super().delete(run_id, path)
        else:
            self._elsewhere.delete(run_id, path)

    def _is_local(self, run_id: str) -> bool:
        self._require_run(run_id)
        return self._local_folder(run_id) is not None

    def _local_folder(self, run_id: str) -> Path | None:
        if not run_id:
            return self._top
        runs, model = self._store.runs, self._store.models.by_id.get(run_id)
        location = model.artifact_location if model else runs.artifact_uri(runs.row_of[run_id])
        parts = urlsplit(location or "")
        if parts.scheme not in ("", "file") or not parts.path.startswith("/"):
            return None
        return Path(unquote(parts.path) if parts.scheme else location or "")


def put_on_disk(backend: Backend) -> Path:
    """Let the artifacts of a backend be files in a new temporary folder, and return the folder.

    Raises:
        ValueError: The store is on disk and keeps its files there.
    """
    store = backend.store
    if store.is_on_disk:
        raise ValueError("a store on disk keeps its artifacts there: work on a copy, or leave artifacts='tmp' out")
    root = Path(mkdtemp(prefix="mlquery-"))
    with store.lock:
        store.memory_root = backend.move_artifact_root(str(root))
        _put_in_folder(store, root)
    return root


def put_in_folder_of(old: Backend, new: Backend) -> None:
    """Let the artifacts of a backend, whose locations are there, take the place of those of another one."""
    new.store.memory_root = old.store.memory_root
    _put_in_folder(new.store, Path(old.store.artifact_root))


def take_from_disk(backend: Backend, root: Path) -> None:
    """Let the artifacts of a backend be in memory again, and remove the folder in which they were."""
    store = backend.store
    with store.lock:
        assert store.memory_root is not None
        new = Artifacts(store.lock, store.require_owner)
        new.copy_from(store.artifacts)
        store.artifacts = new
        backend.move_artifact_root(store.memory_root)
        store.memory_root = None
    shutil.rmtree(root, ignore_errors=True)


def _put_in_folder(store: Store, root: Path) -> None:
    found = store.artifacts.contents()
    store.artifacts = LocatedArtifacts(store, root)
    store.artifacts.replace_by(found)
