"""Reads the rows of a table that have some values, in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mlquery.sql.expressions import ValueKind
from mlquery.sql.session import Session
from mlquery.sql.statement import Parameters, Statement

_NOTHING: Final[Mapping[str, Sequence[str]]] = {}


def rows_with(
    session: Session,
    columns: Sequence[str],
    table: str,
    wanted: Mapping[str, Sequence[str]],
    partitions: Mapping[str, Sequence[str]] = _NOTHING,
) -> list[tuple[Any, ...]]:
    """Return the rows of a table of which each of some columns has one of some strings.

    Args:
        session: What is asked.
        columns: What is selected.
        table: What follows `FROM`.
        wanted: The strings by column; where a column may have none, no statement is run.
        partitions: More of these, of columns that are partitions: engines choose partitions by constants.
    """
    if not all((*wanted.values(), *partitions.values())):
        return []
    parameters = Parameters(session.dialect.bind)
    conditions = [is_listed(column, values, session, parameters) for column, values in wanted.items()]
    for column, values in partitions.items():
        conditions.append(f"{column} IN ({', '.join(map(parameters.add, values))})")
    text = f"SELECT {', '.join(columns)}\nFROM {table}\nWHERE {' AND '.join(conditions)}"
    return session.rows(Statement(text, parameters.values))


def is_listed(expression: str, strings: Sequence[str], session: Session, parameters: Parameters) -> str:
    """Return the condition that an expression is one of some strings, which are bound as one array."""
    dialect = session.dialect
    bound = parameters.add(dialect.array(strings, ValueKind.STRING))
    return dialect.in_array(expression, bound, ValueKind.STRING)
