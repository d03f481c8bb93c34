"""Turns the columns of a store into what the page reads: numbers, strings with codes, and times, as JSON has them.

A number that JSON lacks is the string "NaN", "Infinity" or "-Infinity", and what is missing is null. Which rows and
which columns are wanted is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite, isnan
from typing import Any, Final

from mlquery.store import Store
from mlquery.store.columns import ABSENT, MISSING, MetricColumn, StringColumn

Column = dict[str, Any]
"""`{"kind": "number" | "time", "values"}`, or `{"kind": "string", "table", "codes"}` with -1 for what is missing."""

STRINGS: Final = ("run_id", "run_name", "experiment_id", "status", "lifecycle_stage", "user_id")
TIMES: Final = ("start_time", "end_time")
DURATION: Final = "duration"
ATTRIBUTES: Final = (*STRINGS, *TIMES, DURATION)
"""The attributes of a run that are columns; `duration` is in ms."""


def column_of(store: Store, name: str, rows: Any) -> Column:
    """Return a column of some runs.

    Args:
        store: Where the runs are.
        name: One of ATTRIBUTES, or `metrics.`, `params.` or `tags.` and a key; one that no run has is all missing.
        rows: The row numbers of the runs, an integer array (n,).

    Raises:
        ValueError: there is no such attribute.
    """
    runs, (prefix, _, key) = store.runs, name.partition(".")
    if name in TIMES:
        return {"kind": "time", "values": _times(store, name, rows)}
    if name == DURATION:
        started, ended = (_times(store, each, rows) for each in TIMES)
        return {"kind": "number", "values": list(map(_difference, ended, started))}
    if name in STRINGS:
        return _string_column(runs.strings[name], rows)
    if prefix == "metrics":
        return {"kind": "number", "values": _numbers(runs.metrics.get(key), rows)}
    if prefix not in ("params", "tags"):
        raise ValueError(
            f"unknown column {name!r}; columns are {', '.join(ATTRIBUTES)}, metrics.*, params.* and tags.*"
        )
    found = (runs.params if prefix == "params" else runs.tags).get(key)
    return {"kind": "string", "table": [], "codes": [-1] * len(rows)} if found is None else _string_column(found, rows)


def names_present(store: Store, rows: Any) -> list[tuple[str, int]]:
    """Return the names of the metrics, params and tags that some of the runs have, each with how many have it."""
    runs = store.runs
    counted = [(f"metrics.{key}", (runs.metrics[key].states[rows] != ABSENT).sum()) for key in runs.metrics]
    for prefix, columns in (("params", runs.params), ("tags", runs.tags)):
        counted += [(f"{prefix}.{key}", (columns[key].codes[rows] >= 0).sum()) for key in columns]
    return [(name, int(count)) for name, count in counted if count]


def number(value: float | None) -> float | str | None:
    """Return a number as JSON has it."""
    if value is None or isfinite(value):
        return value
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _numbers(column: MetricColumn | None, rows: Any) -> Sequence[float | str | None]:
    if column is None:
        return [None] * len(rows)
    values, states = column.values[rows], column.states[rows]
    return [number(v) if state != ABSENT else None for v, state in zip(values.tolist(), states.tolist(), strict=True)]


def _times(store: Store, name: str, rows: Any) -> list[int | None]:
    values: Iterable[int] = store.runs.times[name].values[rows].tolist()
    return [None if value == MISSING else value for value in values]


def _difference(end: int | None, start: int | None) -> int | None:
    return None if end is None or start is None else end - start


def _string_column(column: StringColumn, rows: Any) -> Column:
    """Return a column with those strings only that some of the rows have."""
    codes, new = column.codes[rows].tolist(), {-1: -1}
    table: list[str] = []
    for code in codes:
        if code not in new:
            new[code] = len(table)
            table.append(column.table[code])
    return {"kind": "string", "table": table, "codes": [new[code] for code in codes]}
