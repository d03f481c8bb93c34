"""The journal: numbered entries in an SQLite file in write-ahead mode, for several processes, one transaction a call.

What entries mean is not known here. Every error leaves here as a `JournalError`.

**Source**: https://sqlite.org/wal.html (who may read and write when, what is durable when).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import attrs

from mlquery.durable.entries import FORMAT_VERSION, STORE, Entry, Identity, checksum, identity_of
from mlquery.durable.errors import JournalError, damaged, newer, of_sqlite
from mlquery.durable.files import sync_file
from mlquery.durable.high_water_mark import HighWaterMark
from mlquery.readers.readonly import connected, connected_to_read

NAME: Final = "journal.db"
Durability = Literal["commit", "fast"]
R = TypeVar("R")
Row = tuple[int, str, str]
"""Number, call and body of an entry."""

PAGE_SIZE: Final = 4096
_APPLICATION: Final = 0x6D6C7131  # "mlq1", where `file` looks for the kind of an SQLite database
_LAST_FORMAT: Final = 1000  # what is above is no format of a newer version, but damage
_BUSY_SECONDS: Final = 60.0
# What SQLite makes sure of in write-ahead mode: FULL syncs at each commit, NORMAL before the log is moved to the file.
_SYNCHRONOUS: Final = {"commit": "FULL", "fast": "NORMAL"}
_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError, sqlite3.Warning, OverflowError)
_SELECT: Final = "SELECT seq, call, body, crc FROM entries WHERE seq > ? ORDER BY seq"
_SELECT_SOME: Final = f"{_SELECT} LIMIT ?"
_AT_ONCE: Final = 2_000
_INSERT: Final = "INSERT INTO entries (seq, call, body, crc) VALUES (?, ?, ?, ?)"
_TABLE: Final = (
    "CREATE TABLE entries (seq INTEGER PRIMARY KEY, call TEXT NOT NULL, body TEXT NOT NULL, crc INTEGER NOT NULL)"
)


def write_ahead(connection: sqlite3.Connection, busy_seconds: float) -> str:
    """Keep a write-ahead log for a database if that can be, and return which log is kept.

    Where another process does the same at that moment, SQLite is busy at once: it does not wait by itself.
    """
    end = time.monotonic() + busy_seconds
    while True:
        try:
            mode: str = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            return mode
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(0.005)


class Journal:
    """An open journal. Not for several threads at once; the store's lock sees to that.

    Args:
        folder: The folder of the store.
        durability: When entries are synced: "commit" or "fast".
        read_only: Whether nothing may be written, not even beside the file.

    Attributes:
        seq: The number of the last entry that was read or written here; -1 for none.
    """

    def __init__(self, folder: Path, durability: Durability, read_only: bool) -> None:
        self.durability, self.read_only = durability, read_only
        self.path = folder / NAME
        self.shown = os.fspath(folder)
        self.seq = -1
        self.identity: Identity | None = None
        self._new = 0
        with ExitStack() as opened:  # closes everything if something cannot be opened
            self.mark = HighWaterMark(folder, read_only)
            opened.callback(self.mark.close)
            self._connection = self._guarded(lambda: self._connected(opened))
            self._close = opened.pop_all().close

    # Reading

    def require_identity(self) -> Identity | None:
        """Return what entry 0 says the store is, None if there is no entry; raise if it is not for this version."""
        with self._at_one_moment():  # else another process may make the store, or one of a later format, in between
            ((version,),) = self._rows("PRAGMA user_version")
            if FORMAT_VERSION < version <= _LAST_FORMAT:
                raise newer(self.shown, version)
            if not self._rows("SELECT name FROM sqlite_master WHERE name = 'entries'"):
                return None
            first = self._rows(f"{_SELECT} LIMIT 1", -1)
        if not first or first[0][:2] != (0, STORE):
            raise damaged(self.shown, "the first entry of its journal is missing")
        try:
            identity = identity_of(Entry(*self._checked(*first[0])).content())
        except (ValueError, TypeError, AttributeError):
            raise damaged(self.shown, "the first entry of its journal does not say what the store is") from None
        if identity.format_version != version:
            raise damaged(self.shown, "its journal contradicts itself about its format")
        self.seq, self.identity = 0, identity
        return self.identity

    def entries(self) -> Iterator[Entry]:
        """Yield the entries that follow on `seq`, which moves on with them.

        Raises:
            JournalError: one of them is damaged or missing.
        """
        for batch in self.batches():
            for row in batch:
                yield Entry(*row)

    def batches(self, until: int | None = None) -> Iterator[list[Row]]:
        """Yield the entries that follow on `seq`, up to one of them or all, many at a time; `seq` moves on with them.

        Raises:
            JournalError: one of them is damaged or missing.
        """
        is_last = False
        while not is_last:
            most = _AT_ONCE if until is None else min(_AT_ONCE, until - self.seq)
            batch = [self._checked(*row) for row in self._rows(_SELECT_SOME, self.seq, most)]
            for seq, row in enumerate(batch, self.seq + 1):
                if row[0] != seq:
                    raise damaged(self.shown, f"entry {seq} of its journal is missing")
            if batch:
                self.seq = batch[-1][0]
                yield batch
            is_last = len(batch) < _AT_ONCE

    def require_end(self, seq: int) -> None:
        """Raise if the journal ends before an entry, or before those that are known to have been in it."""
        ((last,),) = self._rows("SELECT max(seq) FROM entries")
        for least in (seq, self.mark.least()):
            if last < least:
                raise damaged(self.shown, f"the last {least - last} entries of its journal are missing")

    def require_sound(self) -> None:
        """Raise if SQLite finds anything wrong with the file; takes as long as reading it."""
        ((found,),) = self._rows("PRAGMA integrity_check(1)")
        if found != "ok":
            raise damaged(self.shown, "its journal is not a sound SQLite database")

    # Writing

    def begin(self) -> None:
        """Start a transaction; other processes wait until it ends."""
        if self.read_only:
            raise JournalError(self.shown, "is open for reading only")
        self._new = 0
        self._rows("BEGIN IMMEDIATE")

    def create(self, identity: Identity) -> None:
        """Make the table and entry 0, inside a transaction."""
        self._rows(_TABLE)
        self._rows(f"PRAGMA user_version = {identity.format_version}")
        self._rows(f"PRAGMA application_id = {_APPLICATION}")
        self.append(STORE, identity.body())
        self.identity = identity

    def require_format(self, version: int) -> None:
        """Make the journal one of a format, unless its format is a later one, inside a transaction."""
        ((present,),) = self._rows("PRAGMA user_version")
        if present < version:
            assert self.identity is not None
            body = attrs.evolve(self.identity, format_version=version).body()
            self._rows("UPDATE entries SET body = ?, crc = ? WHERE seq = 0", body, checksum(0, STORE, body))
            self._rows(f"PRAGMA user_version = {version}")

    def append(self, call: str, body: str) -> None:
        """Add an entry, inside a transaction."""
        seq = self.seq + 1 + self._new
        self._rows(_INSERT, seq, call, body, checksum(seq, call, body))
        self._new += 1

    def commit(self) -> None:
        """End the transaction; what was added is in the journal, and synced if the durability says so."""
        self._rows("COMMIT")
        self.seq += self._new
        if self._new:
            self.mark.acknowledge(self.seq, self.durability == "commit")
            self._new = 0

    def rollback(self) -> None:
        """End the transaction as if it had not been."""
        self._new = 0
        if self._connection.in_transaction:
            self._rows("ROLLBACK")

    def sync(self, seq: int) -> None:
        """Make sure that the entries up to a number are on the disk, whatever happens to the machine.

        It is enough to sync the log: SQLite itself syncs what it moves from there to the file. May be called beside
        other calls.
        """
        with suppress(FileNotFoundError):
            sync_file(Path(f"{self.path}-wal"))
        self.mark.sync(seq)

    def close(self) -> None:
        """Close the files; the last process to do so moves the log into the file."""
        self._guarded(self._close)

    # How

    @contextmanager
    def _at_one_moment(self) -> Iterator[None]:
        """Let all that is read in the block be of one moment, as in a transaction."""
        if self._connection.in_transaction:
            yield
            return
        self._rows("BEGIN")
        try:
            yield
        finally:
            self.rollback()

    def _rows(self, statement: str, *values: object) -> list[Any]:
        """Execute a statement and return the rows it gives."""
        try:
            return self._connection.execute(statement, values).fetchall()
        except _ERRORS as error:
            raise of_sqlite(self.shown, error) from None

    def _guarded(self, call: Callable[[], R]) -> R:
        try:
            return call()
        except _ERRORS as error:
            raise of_sqlite(self.shown, error) from None

    def _checked(self, seq: Any, call: Any, body: Any, crc: Any) -> Row:
        is_right = isinstance(seq, int) and isinstance(call, str) and isinstance(body, str)
        if not is_right or checksum(seq, call, body) != crc:
            raise damaged(self.shown, f"entry {seq} of its journal is not what was written")
        return seq, call, body

    def _connected(self, opened: ExitStack) -> sqlite3.Connection:
        size = _size(self.path)
        if size < PAGE_SIZE and _size(Path(f"{self.path}-wal")) > 0:
            # SQLite would delete the log, also when it only reads: it takes it for that of another database.
            raise damaged(self.shown, f"its {NAME} is {'cut short' if size else 'empty'}, but the log beside it is not")
        if self.read_only:
            return connected_to_read(self.path, opened, _BUSY_SECONDS, checks_cells=True)
        connection = connected(self.path, "mode=rwc", opened, _BUSY_SECONDS, checks_cells=True)
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        if write_ahead(connection, _BUSY_SECONDS) != "wal":
            raise JournalError(self.shown, "cannot be kept on this file system: it lacks what SQLite's log needs")
        connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[self.durability]}")
        return connection


def _size(path: Path) -> int:
    """Return the size of a file in bytes, 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
