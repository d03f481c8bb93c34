"""Compares runs by the keys of an order: values first, then NaN, then what is missing, in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlquery.engine.reference import values_of
from mlquery.language.plan import SortKey
from mlquery.sql.ordering import Position
from mlquery.store import Store

VALUE, NAN, MISSING = 0, 1, 2
SortValues = tuple[tuple[int, Any], ...]
"""A class and, of values, the value, for each key of an order or for its first keys."""


def sort_values(store: Store, row: int, keys: Sequence[SortKey]) -> SortValues:
    """Return what a run of a store is ordered by."""
    run = store.runs.run_at(row)
    return tuple(_classed(values_of(run, key.field, store)) for key in keys)


def compared(left: SortValues, right: SortValues, keys: Sequence[SortKey]) -> int:
    """Return a negative number if the left one comes first, a positive one if the right one does, else 0.

    Keys that one of them has no values of are not compared.
    """
    for (left_class, left_value), (right_class, right_value), key in zip(left, right, keys, strict=False):
        if left_class != right_class:
            return left_class - right_class
        if left_class == VALUE and left_value != right_value:
            return 1 if (left_value < right_value) is key.descending else -1
    return 0


def position_of(values: SortValues) -> Position:
    """Return where a page ends, as it is kept in a page token."""
    return Position(tuple(part for pair in values for part in pair))


def values_at(position: Position) -> SortValues:
    """Return what the last run of a page was ordered by."""
    parts = position.values
    return tuple((int(parts[place] or 0), parts[place + 1]) for place in range(0, len(parts), 2))


def _classed(values: list[Any]) -> tuple[int, Any]:
    if not values:
        return MISSING, None
    return (VALUE, values[0]) if values[0] == values[0] else (NAN, None)
