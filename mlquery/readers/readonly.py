"""Opens an SQLite file without changing it, and explains in one sentence why a file cannot be read.

SQLite's read-only mode is not enough: for a file in write-ahead mode it creates files beside it, or fails where it may
not. So such a file without pending writes is opened as immutable, and one that a crash or a copy left in the middle of
a write is read from a temporary copy, on which SQLite completes or undoes the write. Tables are not known here.

**Source**: https://sqlite.org/wal.html (read-only databases), https://sqlite.org/uri.html (mode, immutable).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from mlquery.readers.errors import SourceError

READ_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
"""The errors of reading a damaged file; sqlite3 cannot always decode the message of its own error."""

_MAGIC: Final = b"SQLite format 3\0"
_HEADER_SIZE: Final = 100
_WRITE_AHEAD: Final = 2  # the file format version at offset 19 of a file in write-ahead mode
_COMPANIONS: Final = ("-wal", "-journal")
_BUSY_SECONDS: Final = 5.0


@contextmanager
def opened(path: Path, name: str) -> Iterator[sqlite3.Connection]:
    """Yield a read-only connection with a consistent view of the database.

    Raises:
        SourceError: the file is empty, or not an SQLite database.
        OSError, READ_ERRORS: it cannot be read.
    """
    header = _header(path, name)
    with ExitStack() as cleanup:
        connection = _connection(path, header[19] == _WRITE_AHEAD, cleanup)
        connection.execute("BEGIN")
        yield connection


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


def _header(path: Path, name: str) -> bytes:
    with path.open("rb") as file:
        header = file.read(_HEADER_SIZE)
    if not header:
        raise SourceError(name, "is empty")
    if len(header) < _HEADER_SIZE or not header.startswith(_MAGIC):
        raise SourceError(name, "is not an SQLite database")
    return header


def _size(path: Path, ending: str) -> int:
    try:
        return os.path.getsize(f"{path}{ending}")
    except FileNotFoundError:
        return 0


def _connection(path: Path, is_write_ahead: bool, cleanup: ExitStack) -> sqlite3.Connection:
    if is_write_ahead and _size(path, "-wal") == 0:
        return connected(path, "mode=ro&immutable=1", cleanup, _BUSY_SECONDS)
    if is_write_ahead and not os.path.exists(f"{path}-shm"):
        return connected(_copied(path, cleanup), "mode=rw", cleanup, _BUSY_SECONDS)
    return connected_to_read(path, cleanup, _BUSY_SECONDS)


def connected_to_read(
    path: Path, cleanup: ExitStack, busy_seconds: float, checks_cells: bool = False
) -> sqlite3.Connection:
    """Open a database that others may write to, or one where nothing can be written; for the arguments see `connected`.

    Where SQLite cannot complete or undo an interrupted write, it does so on a copy.
    """
    connection = connected(path, "mode=ro", cleanup, busy_seconds, checks_cells)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return connection
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
    if any(_size(path, ending) for ending in _COMPANIONS):
        return connected(_copied(path, cleanup), "mode=rw", cleanup, busy_seconds, checks_cells)
    return connected(path, "mode=ro&immutable=1", cleanup, busy_seconds, checks_cells)


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
