"""Turns the tables of an MLflow SQLite database, of any schema version, into rows whose cells have the expected types.

Only the standard library's sqlite3 is used and only `SELECT` is run. Columns and tables that a schema version does not
have yet count as empty. Rows are read as what SQLite says they are, which a damaged file may get wrong: every cell's
type is checked before it is used. What a table means is not known here.

**Source**: the migrations of `mlflow.store.db_migrations`, MLflow 3.17.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from mlquery.readers.errors import SourceError
from mlquery.readers.mlflow_rows import Column, wrong_column

_CHUNK: Final = 2_000


class Tables:
    """The tables of one database.

    Args:
        connection: The open database.
        name: The source in messages.
        required: The tables without which it is not an MLflow tracking database.

    Raises:
        SourceError: one of these is missing.
    """

    def __init__(self, connection: sqlite3.Connection, name: str, required: tuple[str, ...]) -> None:
        self.connection = connection
        self.name = name
        self.names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        missing = [table for table in required if table not in self.names]
        if missing:
            raise SourceError(name, f"is not an MLflow tracking database: it has no table {', '.join(missing)}")

    def chunks(self, table: str, columns: list[Column], where: str = "true") -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows of a table in the order in which they were written, in chunks; none if it is missing.

        `where` is the SQL condition that they meet.

        Raises:
            SourceError: a column is missing that no schema lacks, or a cell has a type that its column never has.
        """
        if table not in self.names:
            return
        present = {row[1] for row in self.connection.execute(f"PRAGMA table_info({table})")}
        missing = [name for name, _, default in columns if default is None and name not in present]
        if missing:
            problem = f"is not an MLflow tracking database: table {table} has no column {', '.join(missing)}"
            raise SourceError(self.name, problem)
        selected = ", ".join(f'"{name}"' if name in present else str(default) for name, _, default in columns)
        if "is_nan" in present:  # MLflow stores NaN as a 0 with this mark, because to SQLite NaN is NULL
            selected = selected.replace('"value"', "CASE WHEN is_nan THEN NULL ELSE value END")
        cursor = self.connection.execute(f"SELECT {selected} FROM {table} WHERE {where} ORDER BY rowid")
        while rows := cursor.fetchmany(_CHUNK):
            wrong = wrong_column(rows, columns)
            if wrong is not None:
                raise SourceError(self.name, f"is damaged: column {wrong} of table {table} holds a wrong value")
            yield rows

    def rows(self, table: str, columns: list[Column], where: str = "true") -> Iterator[tuple[Any, ...]]:
        """Yield the rows of `chunks` one by one."""
        for chunk in self.chunks(table, columns, where):
            yield from chunk
