"""Columns of the page: numbers, strings and times of many rows as arrays, and the JSON that stands for them.

A row may have no value, which is something else than NaN. No store, run or query is known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt


@attrs.frozen(eq=False)
class NumberColumn:
    """Numbers: `values` (n,) float64, and `present` (n,) bool, False where a row has none."""

    values: npt.NDArray[np.float64]
    present: npt.NDArray[np.bool_]


@attrs.frozen(eq=False)
class StringColumn:
    """Strings: `codes` (n,) integers into `table`, -1 where a row has none."""

    table: Sequence[str]
    codes: npt.NDArray[np.integer[Any]]


@attrs.frozen(eq=False)
class TimeColumn:
    """Times: `values` (n,) int64 in ms UTC, and `present` (n,) bool, False where a row has none."""

    values: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]


Column = NumberColumn | StringColumn | TimeColumn


def strings(values: Sequence[str | None]) -> StringColumn:
    """Return the column of strings; None where a row has none."""
    places: dict[str, int] = {}
    codes = [-1 if value is None else places.setdefault(value, len(places)) for value in values]
    return StringColumn(list(places), np.array(codes, np.int32))


def numbers(values: Sequence[float | None]) -> NumberColumn:
    """Return the column of numbers; None where a row has none."""
    present = np.array([value is not None for value in values], np.bool_)
    return NumberColumn(np.array([np.nan if value is None else value for value in values], np.float64), present)


def times(values: Sequence[int | None]) -> TimeColumn:
    """Return the column of times in ms UTC; None where a row has none."""
    present = np.array([value is not None for value in values], np.bool_)
    return TimeColumn(np.array([value or 0 for value in values], np.int64), present)


def column_json(column: Column) -> dict[str, Any]:
    """Return the JSON of a column: its kind, and its values or codes with their table."""
    if isinstance(column, StringColumn):
        return {"kind": "string", "table": list(column.table), "codes": column.codes.tolist()}
    found: list[Any]
    if isinstance(column, TimeColumn):
        kind, found = "time", column.values.tolist()
    else:
        kind, found = "number", numbers_json(column.values)
    if not column.present.all():
        for place in np.flatnonzero(~column.present).tolist():
            found[place] = None
    return {"kind": kind, "values": found}


def numbers_json(values: npt.NDArray[np.float64]) -> list[Any]:
    """Return numbers as JSON has them: those that are not finite are "NaN", "Infinity" and "-Infinity"."""
    found: list[Any] = values.tolist()
    for place in np.flatnonzero(~np.isfinite(values)).tolist():
        found[place] = number_json(found[place])
    return found


def number_json(value: float) -> float | str:
    """Return a number as JSON has it: one that is not finite is "NaN", "Infinity" or "-Infinity"."""
    if np.isfinite(value):
        return float(value)
    return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
