"""Artifacts as files: what the store keeps of runs and logged models, one folder each, beside the journal.

A file is there as a whole or not at all. What is an owner is not known here.

**Source**: `mlquery.store.artifacts` for names, arguments and errors.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from mlquery.durable.errors import JournalError, of_write
from mlquery.entities import FileInfo
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.store.artifacts import Artifacts, _plain

NAME: Final = "artifacts"
_STORE: Final = "_store"  # whose artifacts belong to no run; ids start with a letter or digit


class FileArtifacts(Artifacts):
    """The artifacts of all runs and logged models of one store, in a folder.

    Args:
        folder: The folder of the store.
        require_run: Raises if no run and no model has an id.
        is_synced: Whether a file is on the disk, whatever happens to the machine, when `put` returns.
        read_only: Whether nothing may be written.
    """

    def __init__(
        self, folder: Path, require_run: Callable[[str], object], is_synced: bool, read_only: bool = False
    ) -> None:
        self._folder = folder
        self._top = folder / NAME
        self._require_run = require_run
        self._is_synced = is_synced
        self._read_only = read_only

    @property
    def _files(self) -> dict[str, dict[str, bytes]]:  # type: ignore[override]  # what a copy in memory takes over
        owners = sorted(self._top.iterdir()) if self._top.is_dir() else []
        return {
            "" if owner.name == _STORE else owner.name: {
                file.relative_to(owner).as_posix(): file.read_bytes() for file in _below(owner)
            }
            for owner in owners
            if not owner.name.startswith(".")
        }

    def folder_of(self, run_id: str) -> Path:
        """Return the folder of a run's artifacts; it need not be there."""
        return self._top / (run_id or _STORE)

    def sizes(self, run_id: str) -> list[tuple[str, int]]:
        """Return path and size of all files of a run."""
        folder = self.folder_of(run_id)
        return [(file.relative_to(folder).as_posix(), file.stat().st_size) for file in _below(folder)]

    def adopt(self, run_id: str, path: str, fetch: Callable[[Path], object]) -> None:
        """Store a file that `fetch` writes to the place it is given, without holding it in memory."""
        self._require_writable(run_id)
        place, temporary = self._place(run_id, path), self._top / f".{uuid.uuid4().hex}"
        try:
            self._make_folder(place.parent)
            fetch(temporary)
            if self._is_synced:
                sync_file(temporary)
            temporary.replace(place)
            if self._is_synced:
                sync_folder(place.parent)
        except (NotADirectoryError, FileExistsError, IsADirectoryError):
            raise invalid_parameter(f"Invalid artifact path: '{path}' is both a file and a directory") from None
        except OSError as error:
            raise of_write(str(self._folder), error) from None
        finally:
            temporary.unlink(missing_ok=True)

    def put(self, run_id: str, path: str, content: bytes) -> None:
        """Store a file of a run, replacing an older one; errors as those of `Artifacts`."""
        self.adopt(run_id, path, lambda temporary: temporary.write_bytes(content))

    def list(self, run_id: str, path: str | None = None) -> list[FileInfo]:
        """Return what lies directly in a folder, sorted by path; nothing for a file or a missing folder."""
        top = _plain(path or "")
        prefix = f"{top}/" if top not in ("", ".") else ""
        self._require_run(run_id)
        folder = self.folder_of(run_id) / prefix
        try:
            with os.scandir(folder) as entries:
                found = [
                    FileInfo(prefix + entry.name, entry.is_dir(), None if entry.is_dir() else entry.stat().st_size)
                    for entry in entries
                ]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(found, key=lambda info: info.path)

    def has(self, run_id: str, path: str) -> bool:
        """Tell whether there is a file."""
        self._require_run(run_id)
        return self._place(run_id, path).is_file()

    def read(self, run_id: str, path: str) -> bytes:
        """Return the content of a file; raise RESOURCE_DOES_NOT_EXIST if there is none."""
        self._require_run(run_id)
        try:
            return self._place(run_id, path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise StoreError(f"No such artifact: '{path}'", RESOURCE_DOES_NOT_EXIST) from None

    def delete(self, run_id: str, path: str | None = None) -> None:
        """Delete a file, what is below a folder, or all without a path; nothing happens if there is none."""
        self._require_writable(run_id)
        top = _plain(path or "")
        place = self.folder_of(run_id) if top in ("", ".") else self._place(run_id, top)
        try:
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise of_write(str(self._folder), error) from None

    def _require_writable(self, run_id: str) -> None:
        if self._read_only:
            raise JournalError(str(self._folder), "is open for reading only")
        self._require_run(run_id)

    def _place(self, run_id: str, path: str) -> Path:
        plain = _plain(path)
        if plain in ("", ".") or "\0" in plain:
            raise invalid_parameter(f"Invalid artifact path: '{path}'")
        return self.folder_of(run_id) / plain

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, each on the disk before the next."""
        if folder.is_dir():
            return
        if folder != self._folder:
            self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        if self._is_synced:
            sync_folder(folder.parent)


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


def sync_file(path: Path) -> None:
    """Make sure that the content of a file is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make sure that the names in a folder are on the disk; where folders cannot be opened there is nothing to do."""
    with suppress(PermissionError, IsADirectoryError):
        sync_file(folder)
