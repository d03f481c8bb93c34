"""Mirrors a store in databases of MLflow's schema, so that a plan can be run where MLflow keeps its runs.

The tables are made from MLflow's own definitions. Where the ids of experiments are no numbers, which MLflow's schema
has no room for, their columns are strings instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from mlquery.conformance.mlflow_tables import EMPTY_TABLES, TABLES, Row, rows_of_store
from mlquery.sql.errors import NotAskableError
from mlquery.sql.opening import open_in_place
from mlquery.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Column, Engine, MetaData, Table

    from mlquery.sql.source import Source

Held = tuple[Store, int]
"""A store and its version."""
_ID_LENGTH: Final = 64
_RUN_IDS: Final = ("run_uuid", "source_id", "destination_id")


class SchemaMirror:
    """Databases that hold what a store holds: one for stores that number their experiments, one for all others.

    Args:
        new_database: Makes an empty database and returns its SQLAlchemy URL.
    """

    def __init__(self, new_database: Callable[[], str]) -> None:
        self._new_database = new_database
        self._databases: dict[bool, _Database] = {}

    def source(self, store: Store) -> Source:
        """Return a source that holds what the store holds now; it is good until the next call.

        Raises:
            NotAskableError: the database cannot hold something that is in the store.
        """
        has_numbers = all(experiment_id.isdecimal() for experiment_id in store.experiments.ids)
        if has_numbers not in self._databases:
            url = self._new_database()
            engine = _engine(url)
            tables = create_tables(engine, has_numbers)
            self._databases[has_numbers] = _Database(engine, tables, open_in_place(url))
        return self._databases[has_numbers].following(store)

    def close(self) -> None:
        """Close the databases."""
        for database in self._databases.values():
            database.source.close()
            database.engine.dispose()
        self._databases.clear()


class _Database:
    """One database, with what it holds, or why it cannot hold that."""

    def __init__(self, engine: Engine, tables: MetaData, source: Source) -> None:
        self.engine = engine
        self.tables = tables
        self.source = source
        self._held: Held | None = None
        self._reason = ""

    def following(self, store: Store) -> Source:
        if self._held != (store, store.version):
            self._held, rows = None, rows_of_store(store)
            self._reason = fill(self.engine, self.tables, rows)
            self._held = store, store.version
        if self._reason:
            raise NotAskableError("this store", self._reason)
        return self.source


def fill(engine: Engine, tables: MetaData, rows: Mapping[str, list[Row]]) -> str:
    """Replace the rows of a database; return why it cannot hold them, and leave it empty then."""
    from sqlalchemy.exc import DBAPIError, StatementError

    with engine.begin() as connection:
        for name in reversed(TABLES):
            connection.execute(tables.tables[name].delete())
    try:
        with engine.begin() as connection:
            for name, new in rows.items():
                if new:
                    connection.execute(tables.tables[name].insert(), new)
    except DBAPIError as error:
        return f"the database refuses it ({str(error.orig).strip().partition(chr(10))[0]})"
    except (StatementError, ValueError, OverflowError) as error:  # NUL, a lone surrogate: refused before they are sent
        return f"the database cannot hold it ({str(error).strip().partition(chr(10))[0]})"
    return ""


_SETTINGS: Final = {
    "mysql": ("SET SESSION sql_mode = 'TRADITIONAL'",),  # refuse what does not fit instead of cutting it
    "sqlite": ("PRAGMA synchronous = OFF", "PRAGMA journal_mode = MEMORY"),  # nothing is worth waiting for a disk
}


def _engine(url: str) -> Engine:
    from sqlalchemy import create_engine, event

    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        for statement in _SETTINGS.get(engine.dialect.name, ()):
            cursor.execute(statement)
        cursor.close()

    return engine


def create_tables(engine: Engine, has_numbers: bool) -> MetaData:
    """Create MLflow's tables of runs and experiments in an empty database, with the revision of their schema."""
    from mlflow.store.db.utils import _get_latest_schema_revision
    from mlflow.store.tracking.dbmodels import models
    from sqlalchemy import Column, MetaData, String, Table

    tables = MetaData()
    for name in (*TABLES, *EMPTY_TABLES):
        _copy(models.SqlRun.metadata.tables[name], tables, has_numbers)
    version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
    tables.create_all(engine)
    version.create(engine)
    with engine.begin() as connection:
        connection.execute(version.insert(), {"version_num": _get_latest_schema_revision()})
    return tables


def _copy(table: Table, tables: MetaData, has_numbers: bool) -> Table:
    """Copy a table with its keys and indexes, but without references to others, which would only slow down filling."""
    from sqlalchemy import Index
    from sqlalchemy import Table as NewTable

    new = NewTable(table.name, tables, *(_column(column, has_numbers) for column in table.columns))
    for index in table.indexes:
        Index(index.name, *(new.c[column.name] for column in index.columns))
    return new


def _column(column: Column[Any], has_numbers: bool) -> Column[Any]:
    from sqlalchemy import Column as NewColumn
    from sqlalchemy import String

    is_id = column.name in (*_RUN_IDS, "experiment_id") and not has_numbers
    kind: Any = String(_ID_LENGTH) if is_id else column.type
    default: Any = column.default and getattr(column.default, "arg", None)
    server_default: Any = column.server_default and getattr(column.server_default, "arg", None)
    options: dict[str, Any] = {"primary_key": column.primary_key, "nullable": column.nullable, "autoincrement": False}
    return NewColumn(column.name, kind, default=default, server_default=server_default, **options)
