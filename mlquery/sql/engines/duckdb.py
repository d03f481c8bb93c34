"""DuckDB in this process, over Parquet files: each table is a view of its files.

Nothing is written to the folder. Where files are replaced while a session reads, what it has read is no one state, and
is read again.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs

from mlquery.sql.dialects import DUCKDB, SqlDialect
from mlquery.sql.engines.files import DOUBLE, INTEGER, METRICS, STRING, STRINGS, TIME, FileTable, Folder
from mlquery.sql.errors import ChangedError, SourceUnavailableError
from mlquery.sql.statement import Statement

_PARAMETER: Final = re.compile(r"\$(p\d+)")
_TYPES: Final = {
    STRING: "VARCHAR",
    DOUBLE: "DOUBLE",
    INTEGER: "BIGINT",
    TIME: "TIMESTAMPTZ",
    STRINGS: "MAP(VARCHAR, VARCHAR)",
    METRICS: "STRUCT(metric_name VARCHAR, latest_value DOUBLE, min_value DOUBLE, max_value DOUBLE)[]",
}


class DuckDb:
    """The engine of a folder. Any number of threads may use it.

    Args:
        folder: What it reads.

    Raises:
        SourceUnavailableError: duckdb is not installed.
    """

    dialect: SqlDialect = DUCKDB

    def __init__(self, folder: Folder) -> None:
        self.name = folder.name
        try:
            import duckdb
        except ImportError:
            raise SourceUnavailableError(self.name, "needs DuckDB: pip install 'mlquery[duckdb]'") from None
        self._folder = folder
        self._failure: type[Exception] = duckdb.Error
        self._database = duckdb.connect(config={"threads": _threads()})
        self._database.execute("SET TimeZone = 'UTC'")
        # Writers leave NaN out of the bounds in their files, from which DuckDB 2.0 concludes that there is none.
        self._database.execute("SET disabled_optimizers = 'statistics_propagation'")
        self._lock = threading.Lock()
        self._state: Hashable = None

    @contextmanager
    def snapshot(self) -> Iterator[_Session]:
        """Give a session.

        Raises:
            ChangedError: the files were replaced meanwhile.
            SourceUnavailableError: the files cannot be read.
        """
        state = self._renewed()
        connection = self._database.cursor()
        try:
            yield _Session(connection, self)
        except SourceUnavailableError as error:
            if self._folder.state() != state:
                raise ChangedError(self.name, "is being replaced by another export; try again") from error
            raise
        finally:
            connection.close()
        if self._folder.state() != state:
            raise ChangedError(self.name, "is being replaced by another export; try again")

    def explain(self, statement: Statement) -> list[str]:
        """Return DuckDB's plan of a statement, line by line."""
        with self.snapshot() as session:
            rows = session.rows(Statement(f"EXPLAIN {statement.text}", statement.parameters))
        return [line.rstrip() for row in rows for line in str(row[-1]).splitlines()]

    def close(self) -> None:
        """Close the database in memory."""
        self._database.close()

    def arrow(self, statement: Statement) -> Any:
        """Return the rows of a statement as an Arrow table."""
        with self.snapshot() as session:
            return session.arrow(statement)

    def _renewed(self) -> Hashable:
        """Let the views be of the files that there are now, and return their state."""
        state = self._folder.state()
        with self._lock:
            if state != self._state:
                for name, table in self._folder.tables().items():
                    with self.one_sentence():
                        self._database.execute(f"CREATE OR REPLACE VIEW {DUCKDB.quoted(name)} AS {_relation(table)}")
                self._state = state
        return state

    @contextmanager
    def one_sentence(self) -> Iterator[None]:
        """Let what DuckDB says be one sentence about the folder."""
        try:
            yield
        except self._failure as error:
            first = str(error).strip().partition("\n")[0]
            raise SourceUnavailableError(self.name, f"cannot be read: {first}") from None


@attrs.frozen(eq=False)
class _Session:
    connection: Any
    engine: DuckDb

    @property
    def dialect(self) -> SqlDialect:
        """Return how DuckDB says things."""
        return self.engine.dialect

    def rows(self, statement: Statement) -> list[tuple[Any, ...]]:
        """Return the rows of a statement.

        Raises:
            SourceUnavailableError: the files cannot be read.
        """
        with self.engine.one_sentence():
            found: list[tuple[Any, ...]] = self._run(statement).fetchall()
            return found

    def arrow(self, statement: Statement) -> Any:
        """Return the rows of a statement as an Arrow table; raises as `rows`."""
        with self.engine.one_sentence():
            return self._run(statement).to_arrow_table()

    def _run(self, statement: Statement) -> Any:
        named = set(_PARAMETER.findall(statement.text))  # DuckDB refuses values that the text does not name
        return self.connection.execute(
            statement.text, {name: value for name, value in statement.parameters.items() if name in named}
        )


def _relation(table: FileTable) -> str:
    if not table.paths:
        columns = ", ".join(
            f"CAST(NULL AS {_TYPES[kind]}) AS {DUCKDB.quoted(name)}" for name, kind in table.columns.items()
        )
        return f"SELECT {columns}, '' AS filename, CAST(0 AS BIGINT) AS file_row_number WHERE FALSE"
    paths = ", ".join(map(_literal, table.paths))
    options = {"filename": "true", "file_row_number": "true", "hive_partitioning": "false"}
    if table.partition is not None:
        options |= {"hive_partitioning": "true", "hive_types": f"{{{_literal(table.partition)}: VARCHAR}}"}
    if table.numbers:
        # By field ids no file need be opened to know its columns, and a column of no file is one of missing values.
        options["schema"] = f"MAP {{{', '.join(_fields(table))}}}"
    else:
        options["union_by_name"] = "true"
    return f"SELECT * FROM read_parquet([{paths}], {', '.join(f'{name} = {value}' for name, value in options.items())})"


def _fields(table: FileTable) -> Iterator[str]:
    for name, number in table.numbers.items():
        kind = _TYPES[table.columns[name]]
        yield f"{number}: {{name: {_literal(name)}, type: {_literal(kind)}, default_value: NULL}}"


def _literal(string: str) -> str:
    doubled = string.replace("'", "''")
    return f"'{doubled}'"


def _threads() -> int:
    from os import cpu_count

    return max(1, min(8, cpu_count() or 1))
