"""SQLite: strings are compared by bytes of UTF-8, LIKE is what MLflow means once it is told to mind the case."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs

from mlquery.sql.dialects.protocol import SqlDialect
from mlquery.sql.expressions import ValueKind


@attrs.frozen
class _Sqlite(SqlDialect):
    """SQLite 3.38 or newer, on a connection with `PRAGMA case_sensitive_like = ON`."""

    name: str = "SQLite"
    joins_as_written: bool = True

    def without_index(self, column: str) -> str:
        return f"+{column}"

    def folded(self, string: str) -> str:
        return f"lower({string})"  # of ASCII letters alone

    def in_array(self, value: str, parameter: str, kind: ValueKind) -> str:
        return f"{value} IN (SELECT value FROM json_each({parameter}))"

    def array(self, values: Sequence[Any], kind: ValueKind) -> Any:
        return json.dumps(list(values), ensure_ascii=False)

    def as_string(self, value: str) -> str:
        return f"CAST({value} AS TEXT)"

    def is_digits(self, string: str) -> str:
        return f"({string} <> '' AND {string} NOT GLOB '*[^0-9]*')"

    def as_written(self, table: str) -> str:
        return f"{table}.rowid"  # the indexes of MLflow's tables are in this order among rows of one run


SQLITE = _Sqlite()
