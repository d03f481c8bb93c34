"""How experiment ids that are strings are ordered in SQL."""

from __future__ import annotations

from mlquery.sql.expressions import Value, ValueKind
from mlquery.sql.query import Query


def terms_of_string_ids(value: Value, query: Query) -> tuple[Value, ...]:
    """Return what experiment ids in a column of strings are ordered by: numbers by value, and then all others.

    No id has leading zeros.
    """
    is_number = query.dialect.is_digits(value.sql)
    kind = Value(f"CASE WHEN {is_number} THEN 0 ELSE 1 END", ValueKind.INTEGER)
    length = Value(f"CASE WHEN {is_number} THEN LENGTH({value.sql}) ELSE 0 END", ValueKind.INTEGER)
    return kind, length, value
