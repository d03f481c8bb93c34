"""Opens an SQLite file without changing it, and explains in one sentence why a file cannot be read.

SQLite's read-only mode is not enough: for a file in write-ahead mode it creates files beside it, or fails where it may
not. So such a file without pending writes is opened as immutable, and one that a crash or a copy left in the middle of
a write is read from a temporary copy, on which SQLite completes or undoes the write. Tables are not known here.

Nor is a database opened and closed as a file: closing it would take away the locks that SQLite holds on it elsewhere in
the process, those of MLflow among them.

**Source**: https://sqlite.org/wal.html (read-only databases), https://sqlite.org/uri.html (mode, immutable),
https://sqlite.org/howtocorrupt.html (section 2.2, locks that closing a file takes away).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Final
from urllib.parse import quote

import attrs

from mlquery.readers.errors import SourceError

READ_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
"""The errors of reading a damaged file; sqlite3 cannot always decode the message of its own error."""

_MAGIC: Final = b"SQLite format 3\0"
_HEADER_SIZE: Final = 100
_WRITE_AHEAD: Final = 2  # the file format version at offset 19 of a file in write-ahead mode
_COMPANIONS: Final = ("-wal", "-journal")
_BUSY_SECONDS: Final = 5.0

# By device and inode: the descriptors of the databases whose header was read, open for as long as these exist (see the
# top); the oldest goes where a process reads very many.
_descriptors: Final[dict[tuple[int, int], int]] = {}
_MOST_DESCRIPTORS: Final = 200
_descriptors_lock: Final = Lock()


@contextmanager
def opened(path: Path, name: str) -> Iterator[sqlite3.Connection]:
    """Yield a read-only connection with a consistent view of the database.

    Raises:
        SourceError: the file is empty, or not an SQLite database.
        OSError, READ_ERRORS: it cannot be read.
    """
    with ExitStack() as cleanup:
        connection = connected_as_it_is(path, name, cleanup, _BUSY_SECONDS).connection
        connection.execute("BEGIN")
        yield connection


@attrs.frozen(eq=False)
class Opened:
    """A read-only connection; one that is not `is_live` shows the file as it was, and nothing holds writers back."""

    connection: sqlite3.Connection
    is_live: bool


def connected_as_it_is(path: Path, name: str, cleanup: ExitStack, busy_seconds: float) -> Opened:
    """Open a database in the way that its state asks for; for the arguments see `connected`.

    Raises:
        SourceError: the file is empty, or not an SQLite database.
        OSError, READ_ERRORS: it cannot be read.
    """
    is_write_ahead = header_of(path, name)[19] == _WRITE_AHEAD
    if is_write_ahead and _size(path, "-wal") == 0 and not os.path.exists(f"{path}-shm"):
        return Opened(connected(path, "mode=ro&immutable=1", cleanup, busy_seconds), False)
    if is_write_ahead and not os.path.exists(f"{path}-shm"):
        return Opened(connected(_copied(path, cleanup), "mode=rw", cleanup, busy_seconds), False)
    return _opened_to_read(path, cleanup, busy_seconds, False)


@attrs.frozen
class FileState:
    """What a database file is, and what changes when it is written to.

    Attributes:
        file: The file itself, until another one takes its place, and whether it is in write-ahead mode.
        contents: Sizes and times of it and of those beside it, and its header.
    """

    file: tuple[int, int, bool]
    contents: tuple[bytes | int, ...]


def state_of(path: Path, name: str) -> FileState:
    """Return what a database is now.

    Raises:
        SourceError: the file is empty, or not an SQLite database.
        OSError: it cannot be read.
    """
    header, found = header_of(path, name), os.stat(path)
    beside = (_size(path, ending) for ending in _COMPANIONS)
    file = found.st_dev, found.st_ino, header[19] == _WRITE_AHEAD
    return FileState(file, (header, found.st_size, found.st_mtime_ns, found.st_ctime_ns, *beside))


def explained(error: Exception) -> str:
    """Return what is wrong with a source, as the end of a sentence about it."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return "is not an SQLite database"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "is being written to by another program; try again later"
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR):
        return "cannot be opened for reading"
    return "is a damaged SQLite database"


def header_of(path: Path, name: str) -> bytes:
    """Return the first bytes of a database.

    Raises:
        SourceError: the file is empty, or not an SQLite database.
        OSError: it cannot be read.
    """
    header = _first_bytes(path)
    if not header:
        raise SourceError(name, "is empty")
    if len(header) < _HEADER_SIZE or not header.startswith(_MAGIC):
        raise SourceError(name, "is not an SQLite database")
    return header


def _first_bytes(path: Path) -> bytes:
    if os.name == "nt":  # where closing a file leaves the locks of others alone, and an open one cannot be deleted
        with path.open("rb") as file:
            return file.read(_HEADER_SIZE)
    found = os.stat(path)
    with _descriptors_lock:
        descriptor = _descriptors.get((found.st_dev, found.st_ino))
        if descriptor is None:
            _close_descriptors()
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            found = os.fstat(descriptor)
            _descriptors[found.st_dev, found.st_ino] = descriptor
        return os.pread(descriptor, _HEADER_SIZE, 0)


def _close_descriptors() -> None:
    """Close those of files that were deleted, and the oldest of too many."""
    useless = [key for key, descriptor in _descriptors.items() if os.fstat(descriptor).st_nlink == 0]
    for key in useless or list(_descriptors)[: max(0, len(_descriptors) + 1 - _MOST_DESCRIPTORS)]:
        os.close(_descriptors.pop(key))


def _size(path: Path, ending: str) -> int:
    try:
        return os.path.getsize(f"{path}{ending}")
    except FileNotFoundError:
        return 0


def connected_to_read(
    path: Path, cleanup: ExitStack, busy_seconds: float, checks_cells: bool = False
) -> sqlite3.Connection:
    """Open a database that others may write to, or one where nothing can be written; for the arguments see `connected`.

    Where SQLite cannot complete or undo an interrupted write, it does so on a copy.
    """
    return _opened_to_read(path, cleanup, busy_seconds, checks_cells).connection


def _opened_to_read(path: Path, cleanup: ExitStack, busy_seconds: float, checks_cells: bool) -> Opened:
    connection = connected(path, "mode=ro", cleanup, busy_seconds, checks_cells)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return Opened(connection, True)
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
    if any(_size(path, ending) for ending in _COMPANIONS):
        return Opened(connected(_copied(path, cleanup), "mode=rw", cleanup, busy_seconds, checks_cells), False)
    return Opened(connected(path, "mode=ro&immutable=1", cleanup, busy_seconds, checks_cells), False)


def connected(
    path: Path, options: str, cleanup: ExitStack, busy_seconds: float, checks_cells: bool = False
) -> sqlite3.Connection:
    """Open a database, as the options of its URI say; `cleanup` closes it.

    It waits `busy_seconds` for other processes; `checks_cells` has SQLite look more closely for damage.
    """
    uri = f"file:{quote(str(path.absolute()))}?{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    cleanup.callback(connection.close)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute(f"PRAGMA cell_size_check = {checks_cells:d}")
    return connection


def _copied(path: Path, cleanup: ExitStack) -> Path:
    """Return a copy of the file and of the files that an interrupted write left beside it."""
    copy = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="mlquery-"))) / "copy.db"
    shutil.copyfile(path, copy)
    for ending in _COMPANIONS:
        if _size(path, ending):
            shutil.copyfile(f"{path}{ending}", f"{copy}{ending}")
    return copy
