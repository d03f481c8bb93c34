"""Turns the columns of a store into those of the page: numbers, strings with codes, and times of some rows.

Which rows and which columns are wanted is decided elsewhere.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mlquery.store import Store
from mlquery.store.columns import ABSENT, MISSING, MetricColumn
from mlquery.store.columns import StringColumn as StoredStrings
from mlquery.view.columns import Column, NumberColumn, StringColumn, TimeColumn, numbers, strings

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
        times = runs.times[name].values[rows]
        return TimeColumn(times, times != MISSING)
    if name == DURATION:
        start, end = (runs.times[each].values[rows] for each in TIMES)
        known = (start != MISSING) & (end != MISSING)
        return NumberColumn(np.where(known, end - start, 0).astype(np.float64), known)
    if name in STRINGS:
        return _string_column(runs.strings[name], rows)
    if prefix == "metrics":
        return _number_column(runs.metrics.get(key), rows)
    if prefix not in ("params", "tags"):
        raise ValueError(
            f"unknown column {name!r}; columns are {', '.join(ATTRIBUTES)}, metrics.*, params.* and tags.*"
        )
    found = (runs.params if prefix == "params" else runs.tags).get(key)
    return strings([None] * len(rows)) if found is None else _string_column(found, rows)


def names_present(store: Store, rows: Any) -> list[tuple[str, int]]:
    """Return the names of the metrics, params and tags that some of the runs have, each with how many have it."""
    runs = store.runs
    counted = [(f"metrics.{key}", (runs.metrics[key].states[rows] != ABSENT).sum()) for key in runs.metrics]
    for prefix, columns in (("params", runs.params), ("tags", runs.tags)):
        counted += [(f"{prefix}.{key}", (columns[key].codes[rows] >= 0).sum()) for key in columns]
    return [(name, int(count)) for name, count in counted if count]


def _number_column(column: MetricColumn | None, rows: Any) -> NumberColumn:
    if column is None:
        return numbers([None] * len(rows))
    return NumberColumn(column.values[rows], column.states[rows] != ABSENT)


def _string_column(column: StoredStrings, rows: Any) -> StringColumn:
    """Return a column with those strings only that some of the rows have, in the order of the rows."""
    codes, new = column.codes[rows].tolist(), {-1: -1}
    table: list[str] = []
    for code in codes:
        if code not in new:
            new[code] = len(table)
            table.append(column.table[code])
    return StringColumn(table, np.array([new[code] for code in codes], np.int32))
