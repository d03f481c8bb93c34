"""Spark and Databricks SQL: NaN is greater than all numbers, look-ups that find nothing raise if they may."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import attrs

from mlquery.sql.dialects.protocol import SqlDialect
from mlquery.sql.expressions import ValueKind

# LIKE always has an escape character, a backslash if none is named.
_ESCAPE: Final = "|"
_TYPES: Final = {ValueKind.STRING: "string", ValueKind.INTEGER: "bigint", ValueKind.DOUBLE: "double"}


@attrs.frozen
class _Spark(SqlDialect):
    """Spark 3.4 or newer and Databricks SQL, with sessions in UTC."""

    name: str = "Spark"

    def quoted(self, name: str) -> str:
        doubled = name.replace("`", "``")
        return f"`{doubled}`"

    def like(self, string: str, pattern: str) -> str:
        return f"split_part({string}, char(0), 1) LIKE {pattern} ESCAPE '{_ESCAPE}'"

    def pattern(self, pattern: str) -> str:
        return pattern.replace(_ESCAPE, 2 * _ESCAPE)

    def is_nan(self, number: str) -> str:
        return f"isnan({number})"

    def in_array(self, value: str, parameter: str, kind: ValueKind) -> str:
        return f"array_contains(from_json({parameter}, 'array<{_TYPES[kind]}>'), {value})"

    def array(self, values: Sequence[Any], kind: ValueKind) -> Any:
        return json.dumps(list(values))  # lists are no arguments of all ways to connect

    def milliseconds(self, timestamp: str) -> str:
        return f"unix_millis({timestamp})"

    def map_value(self, column: str, key: str) -> str:
        return f"try_element_at({column}, {key})"

    def as_string(self, value: str) -> str:
        return f"CAST({value} AS STRING)"

    def is_digits(self, string: str) -> str:
        return f"({string} <> '' AND NOT {string} RLIKE '[^0-9]')"

    def list_value(self, column: str, name: str, key: str, field: str) -> str:
        return f"get(filter({column}, one -> one.{name} = {key}), 0).{field}"


SPARK = _Spark()
