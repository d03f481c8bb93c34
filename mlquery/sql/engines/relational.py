"""Database servers through SQLAlchemy: PostgreSQL, MySQL and MariaDB, with whichever driver is installed.

A snapshot is one read-only transaction that sees one state of the database and holds no writer back. What statements
mean is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from mlquery.sql.dialects import SqlDialect
from mlquery.sql.engines.addresses import Address, address_of
from mlquery.sql.engines.failures import explained
from mlquery.sql.engines.sqlite import SqliteFile
from mlquery.sql.errors import ChangedError, SourceUnavailableError
from mlquery.sql.session import Engine, Session, plan_rows
from mlquery.sql.statement import Statement

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.elements import TextClause

_TEXTS: Final = 500


def open_relational(url_or_engine: Any) -> Engine:
    """Return the engine for a database: a file of SQLite, or a server.

    Args:
        url_or_engine: A URL as SQLAlchemy takes it, or an engine of SQLAlchemy.

    Raises:
        SourceUnavailableError: the URL is of no supported database, or a package is missing.
    """
    address = address_of(url_or_engine)
    return SqliteFile(address.path, address.name) if address.path is not None else Relational(address)


class Relational:
    """A database server.

    Args:
        address: Where it is; a URL as SQLAlchemy takes it, or an engine of SQLAlchemy, which stays open when this is
            closed.

    Raises:
        SourceUnavailableError: the URL is of no supported server, or a package is missing.
    """

    def __init__(self, address: Any) -> None:
        found = address if isinstance(address, Address) else address_of(address)
        if found.system is None:
            raise SourceUnavailableError(found.name, "is no database server; instead: use open_relational")
        self._address, self._system = found, found.system
        self.name = found.name
        self.dialect: SqlDialect = found.system.dialect
        # Transactions are begun here, with what each system can promise of them.
        self._engine = found.engine().execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """Give a session that sees one state of the database, and cannot change it.

        Raises:
            SourceUnavailableError: the server does not answer, or lets nobody in with this password.
        """
        with self._one_sentence():
            connection = self._engine.connect()
        try:
            with self._one_sentence():
                for statement in self._system.begin:
                    connection.exec_driver_sql(statement)
            yield Session(self.dialect, connection, _run, self._one_sentence)
        finally:
            self._end(connection)

    def explain(self, statement: Statement) -> list[str]:
        """Return the server's plan for a statement, as lines or as the rows of a table; nothing is run."""
        rows = plan_rows(self, "EXPLAIN", statement)
        return ["  ".join("-" if cell is None else str(cell) for cell in row) for row in rows]

    def close(self) -> None:
        """Close all connections that are not in use, unless the engine is the caller's."""
        if self._address.is_own:
            self._engine.dispose()

    @contextmanager
    def _one_sentence(self) -> Iterator[None]:
        """Say in one sentence what is wrong with a server."""
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        try:
            yield
        except DBAPIError as error:
            problem = explained(error.orig or error, self._address.secrets)
            kind = ChangedError if error.connection_invalidated else SourceUnavailableError
            raise kind(self.name, problem) from None
        except (SQLAlchemyError, UnicodeError) as error:
            raise SourceUnavailableError(self.name, explained(error, self._address.secrets)) from None

    def _end(self, connection: Connection) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            connection.exec_driver_sql("ROLLBACK")
        except SQLAlchemyError:
            connection.invalidate()
        finally:
            connection.close()


def _run(connection: Connection, statement: Statement) -> Sequence[tuple[Any, ...]]:
    values = statement.parameters
    lists = tuple(name for name, value in values.items() if isinstance(value, tuple))
    found = connection.execute(_text(statement.text, lists), values)
    # Straight from the driver: SQLAlchemy would make a row of its own of each, for half as long again.
    rows: Sequence[tuple[Any, ...]] = found.cursor.fetchall()
    found.close()
    return rows


@lru_cache(_TEXTS)
def _text(text: str, lists: tuple[str, ...]) -> TextClause:
    """Return a statement as SQLAlchemy takes it; parameters that are lists are written as so many single ones."""
    from sqlalchemy import bindparam
    from sqlalchemy import text as sql_text

    return sql_text(text).bindparams(*(bindparam(name, expanding=True) for name in lists))
