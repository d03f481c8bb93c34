"""SQLite files, through Python's own module: read beside a running server, without a lock that outlives a snapshot.

A file that other programs have open is read under SQLite's own locks. One in write-ahead mode that no program has open
is read as immutable, and one that a crash left in the middle of a write from a copy: SQLite would create files beside
it, or change it. What was read so is worth nothing if the file changed meanwhile; it is looked at again at the end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Final

import attrs

from mlquery.readers.errors import SourceError
from mlquery.readers.readonly import READ_ERRORS, FileState, Opened, connected_as_it_is, explained, state_of
from mlquery.sql.dialects import SQLITE, SqlDialect
from mlquery.sql.errors import ChangedError, SourceUnavailableError
from mlquery.sql.session import Session, plan_rows
from mlquery.sql.statement import Statement

_BUSY_SECONDS: Final = 30.0
_MOST_IDLE: Final = 8
_CACHE_KIB: Final = 65_536
_LACKS: Final = ("no such table", "no such column")


@attrs.frozen(eq=False)
class _Connection:
    """An open connection, what the file was when it was opened, and how it is closed."""

    opened: Opened
    state: FileState
    cleanup: ExitStack


class SqliteFile:
    """A database file.

    Args:
        path: The file.
        name: The source in messages.
    """

    dialect: SqlDialect = SQLITE

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self._idle: list[_Connection] = []
        self._lock = Lock()

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """Give a session that sees one state of the file: a short one, because writers may have to wait for its end.

        Raises:
            ChangedError: the file was written to by a program that could not know of the session.
            SourceUnavailableError: there is no such file, it is locked, or no SQLite database.
        """
        connection = self._taken()
        try:
            with _one_sentence(self.name):
                connection.opened.connection.execute("BEGIN")
            yield Session(self.dialect, connection.opened.connection, _run, partial(_one_sentence, self.name))
        finally:
            self._give_back(connection)

    def explain(self, statement: Statement) -> list[str]:
        """Return SQLite's plan for a statement, line by line, indented where a step is part of another."""
        found = plan_rows(self, "EXPLAIN QUERY PLAN", statement)
        depth = {0: -1}
        for step, parent, *_ in found:
            depth[step] = depth.get(parent, -1) + 1
        return ["  " * depth[step] + detail for step, *_, detail in found]

    def close(self) -> None:
        """Close all connections that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.cleanup.close()

    def _taken(self) -> _Connection:
        with _one_sentence(self.name):
            state = state_of(self.path, self.name)
            with self._lock:
                idle = self._idle.pop() if self._idle else None
            if idle is not None:
                if _is_current(idle, state):
                    return idle
                self.close()
                idle.cleanup.close()
            with ExitStack() as cleanup:
                opened = connected_as_it_is(self.path, self.name, cleanup, _BUSY_SECONDS)
                for setting in ("query_only = ON", "case_sensitive_like = ON", f"cache_size = -{_CACHE_KIB}"):
                    opened.connection.execute(f"PRAGMA {setting}")
                return _Connection(opened, state, cleanup.pop_all())

    def _give_back(self, connection: _Connection) -> None:
        if connection.opened.connection.in_transaction:
            connection.opened.connection.execute("ROLLBACK")
        with _one_sentence(self.name):
            is_current = _is_current(connection, state_of(self.path, self.name))
        with self._lock:
            is_kept = is_current and len(self._idle) < _MOST_IDLE
            if is_kept:
                self._idle.append(connection)
        if not is_kept:
            connection.cleanup.close()
        if not is_current and not connection.opened.is_live:
            raise ChangedError(self.name, "is being written to by another program; try again later")


def _run(connection: sqlite3.Connection, statement: Statement) -> list[tuple[Any, ...]]:
    return connection.execute(statement.text, statement.parameters).fetchall()


def _is_current(connection: _Connection, state: FileState) -> bool:
    """Tell whether a connection shows what the file is now; of a live one SQLite sees to it."""
    return connection.state.file == state.file if connection.opened.is_live else connection.state == state


@contextmanager
def _one_sentence(name: str) -> Iterator[None]:
    """Say in one sentence what is wrong with a file."""
    try:
        yield
    except SourceError as error:
        raise SourceUnavailableError(name, error.problem) from None
    except READ_ERRORS as error:
        raise SourceUnavailableError(name, _problem(error)) from None
    except FileNotFoundError:
        raise SourceUnavailableError(name, "does not exist") from None
    except OSError as error:
        raise SourceUnavailableError(name, f"cannot be read: {error.strerror}") from None


def _problem(error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code == sqlite3.SQLITE_INTERRUPT:
        return "did not finish: the query was cancelled"
    if str(error).startswith(_LACKS):
        return f"lacks what MLflow's tables have: {error}; instead: run `mlflow db upgrade`, or restore a backup"
    if code == sqlite3.SQLITE_READONLY:
        return "cannot be opened for writing, and is not meant to be"
    if code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG):
        return f"refuses the query: {error}"
    return explained(error)
