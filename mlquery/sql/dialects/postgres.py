"""PostgreSQL: strings need COLLATE "C" to be ordered by code points, LIKE needs an empty escape character."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from mlquery.sql.dialects.protocol import LOWER, UPPER, is_encodable
from mlquery.sql.expressions import ValueKind


@attrs.frozen
class _Postgres:
    """PostgreSQL 12 or newer with a database in UTF-8."""

    name: str = "PostgreSQL"
    before_look_ups: str = "SELECT set_config('enable_seqscan', 'off', true)"

    def bind(self, name: str) -> str:
        return f":{name}"

    def quoted(self, name: str) -> str:
        doubled = name.replace('"', '""')
        return f'"{doubled}"'

    def compared(self, string: str) -> str:
        return string  # whatever the collation, equal strings are equal bytes

    def ordered(self, string: str) -> str:
        return f'{string} COLLATE "C"'

    def has_key(self, column: str, key: str) -> str:
        return f"{column} = {key}"

    def like(self, string: str, pattern: str) -> str:
        return f"{string} LIKE {pattern} ESCAPE ''"

    def pattern(self, pattern: str) -> str:
        return pattern

    def folded(self, string: str) -> str:
        return f"translate({string}, '{UPPER}', '{LOWER}')"

    def is_nan(self, number: str) -> str:
        return f"{number} = 'NaN'"

    def in_array(self, value: str, parameter: str, kind: ValueKind) -> str:
        return f"{value} = ANY({parameter})"

    def array(self, values: Sequence[Any], kind: ValueKind) -> Any:
        return list(values)

    def milliseconds(self, timestamp: str) -> str:
        return timestamp

    def map_value(self, column: str, key: str) -> str:
        raise AssertionError("no layout has maps in PostgreSQL")

    def as_string(self, value: str) -> str:
        return f"CAST({value} AS TEXT)"

    def is_digits(self, string: str) -> str:
        return f"{string} ~ '^[0-9]+$'"

    def list_value(self, column: str, name: str, key: str, field: str) -> str:
        raise AssertionError("no layout has lists in PostgreSQL")

    def limited(self, count: str) -> str:
        return f"LIMIT {count}"

    def as_written(self, table: str) -> str:
        return ""

    def can_hold(self, string: str) -> bool:
        return "\0" not in string and is_encodable(string)


POSTGRES = _Postgres()
