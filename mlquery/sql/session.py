"""What runs statements: engines, and sessions that see one state of what is searched and cannot change it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from mlquery.sql.dialects import SqlDialect
from mlquery.sql.statement import Statement


class Session(Protocol):
    """A read-only transaction, or what a system has in its place."""

    @property
    def dialect(self) -> SqlDialect:
        """How the system says things."""

    def rows(self, statement: Statement) -> list[tuple[Any, ...]]:
        """Return the rows of a statement.

        Raises:
            SourceUnavailableError: the system does not answer, or refuses the statement.
        """


class Engine(Protocol):
    """A system that answers SQL. Any number of threads may use it."""

    @property
    def name(self) -> str:
        """What it is connected to, without a password."""

    @property
    def dialect(self) -> SqlDialect:
        """How the system says things."""

    def snapshot(self) -> AbstractContextManager[Session]:
        """Give a session.

        Raises:
            SourceUnavailableError: the system does not answer.
        """

    def explain(self, statement: Statement) -> list[str]:
        """Return how the system would run a statement, in its own words, line by line."""

    def close(self) -> None:
        """Close all connections."""
