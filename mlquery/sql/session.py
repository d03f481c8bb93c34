"""What runs statements: engines, and sessions that see one state of what is searched and cannot change it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, TypeVar

from mlquery.sql.dialects import SqlDialect
from mlquery.sql.errors import ChangedError
from mlquery.sql.statement import Statement

_ATTEMPTS: Final = 3

T = TypeVar("T")


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
            ChangedError: at its end, if what it showed was no one state; `read` does the work again.
            SourceUnavailableError: the system does not answer.
        """

    def explain(self, statement: Statement) -> list[str]:
        """Return how the system would run a statement, in its own words, line by line."""

    def close(self) -> None:
        """Close all connections."""


def read(engine: Engine, work: Callable[[Session], T]) -> T:
    """Return what some work with a session returns, done again where what it read changed meanwhile.

    Raises:
        SourceUnavailableError: the system does not answer, or what it reads never holds still.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            with engine.snapshot() as session:
                return work(session)
        except ChangedError:
            continue
    with engine.snapshot() as session:
        return work(session)
