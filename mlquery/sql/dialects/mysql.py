"""MySQL and MariaDB: collations ignore case, accents and spaces at the end; strings are compared as bytes of UTF-8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from mlquery.sql.dialects.protocol import LOWER, UPPER, SqlDialect
from mlquery.sql.expressions import ValueKind

# LIKE always has an escape character, a backslash if none or an empty one is named.
_ESCAPE: Final = "|"


@attrs.frozen
class _Mysql(SqlDialect):
    """MySQL 8 or MariaDB 10.6, on a connection with the character set utf8mb4."""

    name: str = "MySQL"

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

    def in_array(self, value: str, parameter: str, kind: ValueKind) -> str:
        return f"{value} IN {parameter}"

    def array(self, values: Sequence[Any], kind: ValueKind) -> Any:
        return tuple(values)

    def as_string(self, value: str) -> str:
        return f"CAST({value} AS CHAR(64))"

    def is_digits(self, string: str) -> str:
        return f"({string} <> '' AND {string} NOT REGEXP '[^0-9]')"


def _as_bytes(string: str) -> str:
    return f"CAST(CONVERT({string} USING utf8mb4) AS BINARY)"


MYSQL = _Mysql()
