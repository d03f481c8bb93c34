"""Turns the order of a plan into ORDER BY, and the place where a page ends into the condition for what follows it.

Each key is a class (the number 0 for values, 1 for NaN, 2 for missing ones, -1 for missing ones that come first) and
then, among values, what the layout orders the field by. The place where a page ends is what the last row has there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs

from mlquery.language.plan import Entity, FieldRef, Kind, Plan, SortKey
from mlquery.sql.conditions import LARGEST, clamped
from mlquery.sql.expressions import FALSE, Value, ValueKind
from mlquery.sql.query import Query

_VALUE, _NAN, _MISSING, _MISSING_FIRST = 0, 1, 2, -1
_PLAIN: Final[dict[ValueKind, Any]] = {ValueKind.STRING: str, ValueKind.INTEGER: int, ValueKind.DOUBLE: float}
_IDS: Final = {Entity.RUN: "run_id", Entity.EXPERIMENT: "experiment_id"}


@attrs.frozen
class Position:
    """Where a page ends: what its last row is ordered by. It survives JSON."""

    values: tuple[str | int | float | None, ...]


@attrs.frozen
class Term:
    """One thing to order by.

    Attributes:
        value: What is selected, to be in a `Position`.
        is_descending: Whether the greatest comes first.
        of_class: The place among the terms of the class that rows must be values of; None for a class itself, and
            for what is never missing.
    """

    value: Value
    is_descending: bool = False
    of_class: int | None = None


def terms(plan: Plan, query: Query) -> tuple[Term, ...]:
    """Return everything that a plan orders by, up to the id of the rows.

    Raises:
        NotAskableError: the layout lacks a field.
    """
    found: list[Term] = []
    for key in keys_of(plan):
        found += _terms(key, len(found), query)
    return tuple(found)


def order_by(ordered: Sequence[Term], query: Query) -> str:
    """Return what follows ORDER BY."""
    return ", ".join(f"{_expression(term, query)}{' DESC' if term.is_descending else ''}" for term in ordered)


def follows(ordered: Sequence[Term], after: Position, query: Query) -> str:
    """Return the condition of the rows that come after a position."""
    condition = FALSE
    for place in reversed(range(len(ordered))):
        term, value = ordered[place], after.values[place]
        if term.of_class is not None and after.values[term.of_class] != _VALUE:
            continue  # of rows that have no value there, only the class is ordered by
        expression, bound = _expression(term, query), _bound(term, value, query)
        sign = "<" if term.is_descending else ">"
        condition = f"({expression} {sign} {bound} OR ({expression} = {bound} AND {condition}))"
    return condition


def position(row: Sequence[Any], ordered: Sequence[Term]) -> Position:
    """Return where a page ends whose last row, with the values of the terms at its end, is given."""
    selected = row[len(row) - len(ordered) :]
    values: list[Any] = []
    for term, value in zip(ordered, selected, strict=True):
        has_value = term.of_class is None or values[term.of_class] == _VALUE
        values.append(_plain(term.value, value) if has_value else None)
    return Position(tuple(values))


def _plain(selected: Value, value: Any) -> str | int | float:
    """Return a value of a row as it is ordered by: infinities as the largest numbers."""
    plain: str | int | float = _PLAIN[selected.kind](value)
    return max(-LARGEST, min(plain, LARGEST)) if isinstance(plain, float) else plain


def keys_of(plan: Plan) -> Iterator[SortKey]:
    """Yield the keys of a plan up to the id: rows that agree in that are the same row."""
    id_field = FieldRef(Kind.ATTRIBUTE, _IDS[plan.entity])
    for key in plan.order:
        yield key
        if key.field == id_field:
            return
    yield SortKey(id_field)


def _terms(key: SortKey, place: int, query: Query) -> list[Term]:
    value = query.field(key.field)
    parts = query.layout.order_terms(key.field, value, query)
    cases = []
    if not value.is_always_there and key.field not in query.required:
        missing = _MISSING_FIRST if key.missing_is_least and not key.descending else _MISSING
        cases.append(f"WHEN {value.sql} IS NULL THEN {missing}")
    if value.nan is not None:
        cases.append(f"WHEN {value.nan} THEN {_NAN}")
    if not cases:
        return [Term(part, key.descending) for part in parts]
    sorted_class = Value(f"CASE {' '.join(cases)} ELSE {_VALUE} END", ValueKind.INTEGER)
    return [Term(sorted_class), *(Term(part, key.descending, place) for part in parts)]


def _expression(term: Term, query: Query) -> str:
    value = term.value
    if value.kind is ValueKind.STRING:
        return query.dialect.ordered(value.sql)
    return clamped(value.sql) if value.has_infinities else value.sql


def _bound(term: Term, value: Any, query: Query) -> str:
    bound = query.bind(value)
    return query.dialect.ordered(bound) if term.value.kind is ValueKind.STRING else bound
