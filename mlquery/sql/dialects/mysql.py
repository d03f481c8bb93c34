"""MySQL and MariaDB: collations ignore case, accents and spaces at the end; strings are compared as bytes of UTF-8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from mlquery.sql.dialects.protocol import LOWER, UPPER, is_encodable
from mlquery.sql.expressions import ValueKind

# LIKE always has an escape character, a backslash if none or an empty one is named.
_ESCAPE: Final = "|"


@attrs.frozen
class _Mysql:
    """MySQL 8 or MariaDB 10.6, on a connection with the character set utf8mb4."""

    name: str = "MySQL"
    before_look_ups: str = ""

    def bind(self, name: str) -> str:
        return f":{name}"

    def quoted(self, name: str) -> str:
        doubled = name.replace("`", "``")
        return f"`{doubled}`"

    def compared(self, string: str) -> str:
        return _as_bytes(string)

    def ordered(self, string: str) -> str:
        return _as_bytes(string)

    def has_key(self, column: str, key: str) -> str:
        return f"({column} = {key} AND {_as_bytes(column)} = {_as_bytes(key)})"

    def like(self, string: str, pattern: str) -> str:
        # Of bytes, `_` would match one byte and not one character.
        until_nul = f"SUBSTRING_INDEX(CONVERT({string} USING utf8mb4), CHAR(0 USING utf8mb4), 1)"
        return f"{until_nul} COLLATE utf8mb4_bin LIKE {pattern} ESCAPE '{_ESCAPE}'"

    def pattern(self, pattern: str) -> str:
        return pattern.replace(_ESCAPE, 2 * _ESCAPE)

    def folded(self, string: str) -> str:
        folded = f"CONVERT({string} USING utf8mb4)"  # REPLACE minds the case whatever the collation
        for upper, lower in zip(UPPER, LOWER, strict=True):
            folded = f"REPLACE({folded}, '{upper}', '{lower}')"
        return folded

    def is_nan(self, number: str) -> str:
        raise AssertionError("MySQL has no NaN")

    def in_array(self, value: str, parameter: str, kind: ValueKind) -> str:
        return f"{value} IN {parameter}"

    def array(self, values: Sequence[Any], kind: ValueKind) -> Any:
        return tuple(values)

    def milliseconds(self, timestamp: str) -> str:
        return timestamp

    def map_value(self, column: str, key: str) -> str:
        raise AssertionError("no layout has maps in MySQL")

    def as_string(self, value: str) -> str:
        return f"CAST({value} AS CHAR(64))"

    def is_digits(self, string: str) -> str:
        return f"({string} <> '' AND {string} NOT REGEXP '[^0-9]')"

    def list_value(self, column: str, name: str, key: str, field: str) -> str:
        raise AssertionError("no layout has lists in MySQL")

    def limited(self, count: str) -> str:
        return f"LIMIT {count}"

    def as_written(self, table: str) -> str:
        return ""

    def can_hold(self, string: str) -> bool:
        return is_encodable(string)


def _as_bytes(string: str) -> str:
    return f"CAST(CONVERT({string} USING utf8mb4) AS BINARY)"


MYSQL = _Mysql()
