"""DuckDB in this process, over Parquet files: each table is a view of its files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, Final

from mlquery.sql.dialects import DUCKDB, SqlDialect
from mlquery.sql.engines.files import DOUBLE, INTEGER, METRICS, STRING, STRINGS, TIME, FileTable, Folder, Views
from mlquery.sql.errors import SourceUnavailableError
from mlquery.sql.session import Session, one_sentence, plan_lines
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
        self._failure: type[Exception] = duckdb.Error
        self._database = duckdb.connect(config={"threads": _threads()})
        self._database.execute("SET TimeZone = 'UTC'")
        # Writers leave NaN out of the bounds in their files, from which DuckDB 2.0 concludes that there is none.
        self._database.execute("SET disabled_optimizers = 'statistics_propagation'")
        self._views = Views(folder, self._make_view)

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """Give a session.

        Raises:
            ChangedError: the files were replaced meanwhile.
            SourceUnavailableError: the files cannot be read.
        """
        with self._views.following(), closing(self._database.cursor()) as connection:
            yield Session(self.dialect, connection, _run, self._one_sentence)

    def explain(self, statement: Statement) -> list[str]:
        """Return DuckDB's plan of a statement, line by line."""
        return plan_lines(self, "EXPLAIN", statement)

    def close(self) -> None:
        """Close the database in memory."""
        self._database.close()

    def _make_view(self, name: str, table: FileTable) -> None:
        with self._one_sentence():
            self._database.execute(f"CREATE OR REPLACE VIEW {DUCKDB.quoted(name)} AS {_relation(table)}")

    def _one_sentence(self) -> AbstractContextManager[None]:
        return one_sentence(self.name, self._failure)


def _run(connection: Any, statement: Statement) -> list[tuple[Any, ...]]:
    named = set(_PARAMETER.findall(statement.text))  # DuckDB refuses values that the text does not name
    values = {name: value for name, value in statement.parameters.items() if name in named}
    rows: list[tuple[Any, ...]] = connection.execute(statement.text, values).fetchall()
    return rows


def _relation(table: FileTable) -> str:
    if not table.paths:
        columns = ", ".join(
            f"CAST(NULL AS {_TYPES[kind]}) AS {DUCKDB.quoted(name)}" for name, kind in table.columns.items()
        )
        place = ", '' AS filename, CAST(0 AS BIGINT) AS file_row_number" if table.is_located else ""
        return f"SELECT {columns}{place} WHERE FALSE"
    paths = ", ".join(map(_literal, table.paths))
    options = {"hive_partitioning": "false"}
    if table.is_located:
        options |= {"filename": "true", "file_row_number": "true"}
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
