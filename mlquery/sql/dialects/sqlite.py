"""SQLite: strings are compared by bytes of UTF-8, LIKE is what MLflow means once it is told to mind the case."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs

from mlquery.sql.dialects.protocol import is_encodable
from mlquery.sql.expressions import ValueKind


@attrs.frozen
class _Sqlite:
    """SQLite 3.38 or newer, on a connection with `PRAGMA case_sensitive_like = ON`."""

    name: str = "SQLite"
    before_look_ups: str = ""

    def bind(self, name: str) -> str:
        return f":{name}"

    def quoted(self, name: str) -> str:
        doubled = name.replace('"', '""')
        return f'"{doubled}"'

    def compared(self, string: str) -> str:
        return string

    def ordered(self, string: str) -> str:
        return string

    def has_key(self, column: str, key: str) -> str:
        return f"{column} = {key}"

    def like(self, string: str, pattern: str) -> str:
        return f"{string} LIKE {pattern}"

    def pattern(self, pattern: str) -> str:
        return pattern

    def folded(self, string: str) -> str:
        return f"lower({string})"  # of ASCII letters alone

    def is_nan(self, number: str) -> str:
        raise AssertionError("SQLite has no NaN")

    def in_array(self, value: str, parameter: str, kind: ValueKind) -> str:
        return f"{value} IN (SELECT value FROM json_each({parameter}))"

    def array(self, values: Sequence[Any], kind: ValueKind) -> Any:
        return json.dumps(list(values), ensure_ascii=False)

    def milliseconds(self, timestamp: str) -> str:
        return timestamp

    def map_value(self, column: str, key: str) -> str:
        raise AssertionError("SQLite has no maps")

    def as_string(self, value: str) -> str:
        return f"CAST({value} AS TEXT)"

    def is_digits(self, string: str) -> str:
        return f"({string} <> '' AND {string} NOT GLOB '*[^0-9]*')"

    def list_value(self, column: str, name: str, key: str, field: str) -> str:
        raise AssertionError("SQLite has no lists")

    def limited(self, count: str) -> str:
        return f"LIMIT {count}"

    def as_written(self, table: str) -> str:
        return f"{table}.rowid"  # the indexes of MLflow's tables are in this order among rows of one run

    def can_hold(self, string: str) -> bool:
        return is_encodable(string)


SQLITE = _Sqlite()
