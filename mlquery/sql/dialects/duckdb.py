"""DuckDB: NaN is greater than all numbers and equal to itself, strings end at a NUL for LIKE in MLflow and not here."""

from __future__ import annotations

import attrs

from mlquery.sql.dialects.protocol import SqlDialect
from mlquery.sql.expressions import ValueKind

_TYPES = {ValueKind.STRING: "VARCHAR", ValueKind.INTEGER: "BIGINT", ValueKind.DOUBLE: "DOUBLE"}


@attrs.frozen
class _DuckDb(SqlDialect):
    """DuckDB 1.1 or newer."""

    name: str = "DuckDB"

    def bind(self, name: str) -> str:
        return f"${name}"

    def like(self, string: str, pattern: str) -> str:
        return f"split_part({string}, chr(0), 1) LIKE {pattern}"

    def is_nan(self, number: str) -> str:
        # As a bare filter DuckDB 2.0 answers it from the bounds of a file, which leave NaN out.
        return f"COALESCE(isnan({number}), FALSE)"

    def in_array(self, value: str, parameter: str, kind: ValueKind) -> str:
        return f"{value} IN (SELECT unnest(CAST({parameter} AS {_TYPES[kind]}[])))"

    def milliseconds(self, timestamp: str) -> str:
        return f"epoch_ms({timestamp})"

    def map_value(self, column: str, key: str) -> str:
        return f"{column}[{key}]"

    def as_string(self, value: str) -> str:
        return f"CAST({value} AS VARCHAR)"

    def is_digits(self, string: str) -> str:
        return f"regexp_full_match({string}, '[0-9]+')"

    def list_value(self, column: str, name: str, key: str, field: str) -> str:
        return f"list_filter({column}, lambda one: one.{name} = {key})[1].{field}"


DUCKDB = _DuckDb()
