"""PostgreSQL: strings need COLLATE "C" to be ordered by code points, LIKE needs an empty escape character."""

from __future__ import annotations

import attrs

from mlquery.sql.dialects.protocol import SqlDialect, is_encodable
from mlquery.sql.expressions import ValueKind


@attrs.frozen
class _Postgres(SqlDialect):
    """PostgreSQL 12 or newer with a database in UTF-8."""

    name: str = "PostgreSQL"
    before_look_ups: str = "SELECT set_config('enable_seqscan', 'off', true)"

    def ordered(self, string: str) -> str:
        return f'{string} COLLATE "C"'

    def like(self, string: str, pattern: str) -> str:
        return f"{string} LIKE {pattern} ESCAPE ''"

    def is_nan(self, number: str) -> str:
        return f"{number} = 'NaN'"

    def in_array(self, value: str, parameter: str, kind: ValueKind) -> str:
        return f"{value} = ANY({parameter})"

    def as_string(self, value: str) -> str:
        return f"CAST({value} AS TEXT)"

    def is_digits(self, string: str) -> str:
        return f"{string} ~ '^[0-9]+$'"

    def can_hold(self, string: str) -> bool:
        return "\0" not in string and is_encodable(string)


POSTGRES = _Postgres()
