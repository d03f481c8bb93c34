"""What runs statements: engines, and sessions that see one state of what is searched and cannot change it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Protocol, TypeVar

import attrs

from mlquery.sql.dialects import SqlDialect
from mlquery.sql.errors import ChangedError, SourceUnavailableError
from mlquery.sql.statement import Statement

_ATTEMPTS: Final = 3

T = TypeVar("T")


@attrs.frozen(eq=False)
class Session:
    """A read-only transaction, or what a system has in its place.

    Attributes:
        dialect: How the system says things.
        connection: What the system takes statements through.

    Args:
        run: Runs a statement on the connection and returns its rows.
        one_sentence: Lets what the system says of a failure be a `SourceUnavailableError`.
    """

    dialect: SqlDialect
    connection: Any
    _run: Callable[[Any, Statement], Iterable[Iterable[Any]]]
    _one_sentence: Callable[[], AbstractContextManager[None]]

    def rows(self, statement: Statement) -> list[tuple[Any, ...]]:
        """Return the rows of a statement.

        Raises:
            SourceUnavailableError: the system does not answer, or refuses the statement.
        """
        with self._one_sentence():
            return [tuple(row) for row in self._run(self.connection, statement)]


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


def plan_rows(engine: Engine, explain: str, statement: Statement) -> list[tuple[Any, ...]]:
    """Return the rows that say how a system would run a statement; `explain` is what asks for them."""
    asked = Statement(f"{explain} {statement.text}", statement.parameters)
    return read(engine, lambda session: session.rows(asked))


def plan_lines(engine: Engine, explain: str, statement: Statement) -> list[str]:
    """Return how a system would run a statement, line by line, where each row ends with some lines of it."""
    rows = plan_rows(engine, explain, statement)
    return [line.rstrip() for row in rows for line in str(row[-1]).splitlines()]


@contextmanager
def one_sentence(name: str, failures: type[Exception], secret: str | None = None) -> Iterator[None]:
    """Let what a system says of a failure be a sentence about what is read, without a secret.

    Raises:
        SourceUnavailableError: one of the failures.
    """
    try:
        yield
    except failures as error:
        said = first_line(error)
        problem = said.replace(secret, "…") if secret else said
        raise SourceUnavailableError(name, f"cannot be read: {problem}") from None


def first_line(error: Exception) -> str:
    """Return the first line of what an error says."""
    return str(error).strip().partition("\n")[0]
