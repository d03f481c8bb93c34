"""Runs of a store as columns of the page: attributes, latest metrics, params and tags by name, read from its arrays.

No comparison and no query is known here; rows and names are given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlquery.store import Store
from mlquery.store.columns import ABSENT, MISSING
from mlquery.store.columns import StringColumn as StoredStrings
from mlquery.store.run_table import RunTable
from mlquery.view.columns import Column, NumberColumn, StringColumn, TimeColumn

Rows = npt.NDArray[np.int64]

STRINGS: Final = ("run_name", "experiment_id", "status", "user_id")
TIMES: Final = ("start_time", "end_time")
ATTRIBUTES: Final = ("run_id", *STRINGS, *TIMES, "duration")


def rows_of(store: Store, run_ids: Sequence[str]) -> Rows:
    """Return the rows of runs, in the order of their ids.

    Raises:
        KeyError: The store has no run of an id.
    """
    return np.array([store.runs.row_of[run_id] for run_id in run_ids], np.int64)


def column_names(store: Store, rows: Rows) -> list[str]:
    """Return the names of all columns that any of the rows has a value in: attributes, metrics, params, tags."""
    return [*ATTRIBUTES, *(name for name, _, _ in _keyed(store.runs, rows))]


def fields(store: Store, rows: Rows) -> list[dict[str, Any]]:
    """Return what there is to filter by: names of fields, their kind, and how many of the rows have a value."""
    attributes = [{"name": name, "kind": _kind(name), "count": len(rows)} for name in ATTRIBUTES]
    return attributes + [{"name": name, "kind": kind, "count": count} for name, kind, count in _keyed(store.runs, rows)]


def run_columns(
    store: Store, rows: Rows, names: Sequence[str] | None = None, metrics: Mapping[str, NumberColumn] | None = None
) -> dict[str, Column]:
    """Return columns of the runs at `rows`, an integer array (n,), by name.

    Args:
        store: Where to read.
        rows: The runs, in the order of the page.
        names: The columns; by default all that any of the runs has a value in.
        metrics: What stands for the latest values of metrics, by key.

    Raises:
        ValueError: A name is neither an attribute nor `metrics.`, `params.` or `tags.` and a key.
    """
    with store.lock:
        wanted = column_names(store, rows) if names is None else names
        replaced = {f"metrics.{key}": column for key, column in (metrics or {}).items()}
        return {name: replaced.get(name) or _column(store.runs, name, rows) for name in wanted}


def _kind(name: str) -> str:
    return "time" if name in TIMES else "number" if name == "duration" else "string"


def _keyed(runs: RunTable, rows: Rows) -> Iterator[tuple[str, str, int]]:
    """Yield the name, the kind and the number of values of every metric, param and tag that some row has."""
    for key, metric in runs.metrics.items():
        if count := int(np.count_nonzero(metric.states[rows] != ABSENT)):
            yield f"metrics.{key}", "number", count
    for prefix, strings in (("params", runs.params), ("tags", runs.tags)):
        for key, found in strings.items():
            if count := int(np.count_nonzero(found.codes[rows] >= 0)):
                yield f"{prefix}.{key}", "string", count


def _column(runs: RunTable, name: str, rows: Rows) -> Column:
    if name in TIMES:
        return _times(runs, name, rows)
    if name == "duration":
        start, end = (_times(runs, each, rows) for each in TIMES)
        present = start.present & end.present
        return NumberColumn(np.where(present, end.values - start.values, np.nan), present)
    if name == "run_id":
        return StringColumn([runs.ids[row] for row in rows.tolist()], np.arange(len(rows), dtype=np.int32))
    if name in STRINGS:
        return _strings(runs.strings[name], rows)
    prefix, _, key = name.partition(".")
    if not key or prefix not in ("metrics", "params", "tags"):
        known = ", ".join((*ATTRIBUTES, "metrics.*", "params.*", "tags.*"))
        raise ValueError(f"unknown column {name!r}; columns are {known}")
    if prefix == "metrics":
        return _metric(runs, key, rows)
    found = (runs.params if prefix == "params" else runs.tags).get(key)
    return StringColumn([], np.full(len(rows), -1, np.int32)) if found is None else _strings(found, rows)


def _times(runs: RunTable, name: str, rows: Rows) -> TimeColumn:
    values = runs.times[name].values[rows]
    present = values != MISSING
    return TimeColumn(np.where(present, values, 0), present)


def _metric(runs: RunTable, key: str, rows: Rows) -> NumberColumn:
    found = runs.metrics.get(key)
    if found is None:
        return NumberColumn(np.full(len(rows), np.nan), np.zeros(len(rows), np.bool_))
    return NumberColumn(found.values[rows], found.states[rows] != ABSENT)


def _strings(column: StoredStrings, rows: Rows) -> StringColumn:
    """Return the strings of rows with a table of those that they have, in the order of their first appearance."""
    codes = column.codes[rows]
    used, first, new = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(np.where(used < 0, len(codes), first))  # the missing ones last
    rank = np.empty(len(used), np.int32)
    rank[order] = np.arange(len(used), dtype=np.int32)
    if len(used) and used[0] < 0:
        rank[0] = -1
    table = [column.table[code] for code in used[order].tolist() if code >= 0]
    return StringColumn(table, rank[new])
