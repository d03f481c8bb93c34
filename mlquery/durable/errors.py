"""The one error of a store on disk: one sentence that names the store, says what is wrong and what to do about it.

Callers see this error and no other: not those of the operating system, of sqlite3 or of a decoder.
"""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

from mlquery.durable.entries import FORMAT_VERSION
from mlquery.errors import INTERNAL_ERROR, RESOURCE_DOES_NOT_EXIST, StoreError


class JournalError(StoreError):
    """A store on disk that cannot be read or written; `path` is its folder."""

    def __init__(self, path: str, problem: str, error_code: str = INTERNAL_ERROR) -> None:
        super().__init__(f"the store {path!r} {problem}", error_code)
        self.args = (path, problem, error_code)  # what pickle and copy call the constructor with
        self.path = path
        self.problem = problem


class DamagedJournalError(JournalError):
    """A store whose files do not hold what was written to them."""


class UnwritableJournalError(JournalError):
    """A store in which nothing can be written, though it may be readable."""


def damaged(path: str, what: str) -> DamagedJournalError:
    """Return the error about files that do not hold what was written to them."""
    return DamagedJournalError(
        path, f"is damaged: {what}; nothing was changed; 'mlquery repair' saves what can be saved"
    )


def newer(path: str, version: object) -> JournalError:
    """Return the error about a store of a later format."""
    return JournalError(
        path,
        f"was made by a newer version of mlquery (format {version}; this one reads formats up to {FORMAT_VERSION}): "
        "upgrade mlquery to open it",
    )


def missing(path: str) -> JournalError:
    """Return the error about a store that is not there."""
    return JournalError(path, "does not exist", RESOURCE_DOES_NOT_EXIST)


_NO_ROOM: Final = (
    "has no room to grow (the disk is full, or a limit on file sizes is reached): the last call was not kept, "
    "everything before it was"
)
_NOT_WRITABLE: Final = (
    "cannot be written to (a read-only folder or disk, or missing rights); read_only=True opens it for reading"
)
_BUSY: Final = "is being written to by another process and did not become free in time; try again"
_PROBLEMS: Final = {
    sqlite3.SQLITE_FULL: _NO_ROOM,
    sqlite3.SQLITE_READONLY: _NOT_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: _NOT_WRITABLE,
    sqlite3.SQLITE_PERM: _NOT_WRITABLE,
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_IOERR: "cannot be read or written (an error of the operating system): the last call was not kept",
    sqlite3.SQLITE_NOMEM: "cannot be read or written: out of memory",
}
_WRITES: Final = frozenset(
    getattr(sqlite3, f"SQLITE_IOERR_{name}") for name in ("WRITE", "FSYNC", "DIR_FSYNC", "TRUNCATE", "SHMSIZE")
)


def of_sqlite(path: str, error: Exception) -> JournalError:
    """Return the error about a failed call of SQLite."""
    extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    if extended in _WRITES:
        return JournalError(path, _NO_ROOM)
    problem = _PROBLEMS.get(extended & 0xFF)
    if problem is None:
        return damaged(path, "its journal is no longer an SQLite database that can be read")
    if problem == _NOT_WRITABLE:
        return UnwritableJournalError(path, problem)
    return JournalError(path, problem)


def of_write(path: str, error: OSError) -> JournalError:
    """Return the error about a file of the store that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return JournalError(path, _NO_ROOM)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UnwritableJournalError(path, _NOT_WRITABLE)
    reason = error.strerror or str(error)
    return JournalError(path, f"cannot be used: {reason[:1].lower()}{reason[1:]}")
