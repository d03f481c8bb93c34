"""Read the fields of found runs as arrays, out of the tables of a store or out of rows that a database returned.

What a frame or an aggregate makes of the arrays is the same for both and is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlquery.engine.histories import IntegerColumn, history_column
from mlquery.engine.masks import durations
from mlquery.language.plan import FieldRef, Kind
from mlquery.store import Store
from mlquery.store.columns import ABSENT, MetricColumn

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
TIMES = ("start_time", "end_time")
"""The attributes of runs that are times."""
_FEW_ROWS = 500
_NO_TIME = np.iinfo(np.int64).min  # also NumPy's NaT


def is_time(field: FieldRef) -> bool:
    """Tell whether the values of a field of runs are times."""
    return field.kind is Kind.ATTRIBUTE and field.key in TIMES


def is_integer(field: FieldRef) -> bool:
    """Tell whether the values of a field of runs are integers that are no times."""
    if field.kind is Kind.HISTORY:
        return field.function is not None and field.function.is_integer
    return field == FieldRef(Kind.ATTRIBUTE, "duration")


def is_string(field: FieldRef) -> bool:
    """Tell whether the values of a field of runs are strings."""
    return not (field.kind in (Kind.METRIC, Kind.HISTORY) or is_integer(field) or is_time(field))


class RunColumns(Protocol):
    """The fields of n runs in an order, each as arrays (n,)."""

    def __len__(self) -> int:
        """Return the number of runs."""
        ...

    def floats(self, field: FieldRef) -> tuple[Floats, Mask]:
        """Return a metric or a function of its history, NaN where it is missing, and which runs have one."""
        ...

    def integers(self, field: FieldRef) -> tuple[Ints, Mask]:
        """Return a step, a number of points or a duration, 0 where it is missing, and which runs have one."""
        ...

    def times(self, key: str) -> Ints:
        """Return times in ms UTC; where one is missing, the smallest integer, which is NumPy's NaT."""
        ...

    def strings(self, field: FieldRef, dtype: Any) -> Any:
        """Return strings as an array of a dtype of pandas; a list of None if all are missing."""
        ...


class StoreColumns:
    """The fields of the runs at `rows` (n,) of a store, while nobody writes into it."""

    def __init__(self, store: Store, rows: Any) -> None:
        self._runs = store.runs
        self._rows = rows
        self._runs.derived.renew(store.version)

    def __len__(self) -> int:
        return len(self._rows)

    def floats(self, field: FieldRef) -> tuple[Floats, Mask]:
        """Return a metric or a function of its history; see `RunColumns`."""
        runs, rows = self._runs, self._rows
        if field.kind is Kind.METRIC and field.key not in runs.metrics:
            return np.full(len(rows), np.nan), np.zeros(len(rows), np.bool_)
        column = runs.metrics[field.key] if field.kind is Kind.METRIC else history_column(runs, field)
        assert isinstance(column, MetricColumn)
        return column.values[rows], column.states[rows] != ABSENT

    def integers(self, field: FieldRef) -> tuple[Ints, Mask]:
        """Return a function of a history or a duration; see `RunColumns`."""
        if field.kind is Kind.HISTORY:
            column = history_column(self._runs, field)
            assert isinstance(column, IntegerColumn)
            values, known = column.values, column.known
        else:
            values, known = durations(self._runs)
        return np.where(known, values, 0)[self._rows], known[self._rows]

    def times(self, key: str) -> Ints:
        """Return times in ms UTC; see `RunColumns`."""
        found: Ints = self._runs.times[key].values[self._rows]
        return found

    def strings(self, field: FieldRef, dtype: Any) -> Any:
        """Return strings; see `RunColumns`."""
        runs, rows = self._runs, self._rows
        if field == FieldRef(Kind.ATTRIBUTE, "artifact_uri"):  # made for these rows, not for all
            return listed_strings(runs.artifact_uris(rows), dtype)
        columns = {Kind.PARAM: runs.params, Kind.TAG: runs.tags}.get(field.kind, runs.strings)
        found = columns.get(field.key)
        return [None] * len(rows) if found is None else _coded_strings(found.table, found.codes[rows], dtype)


class ValueColumns:
    """The fields of runs whose values a database returned.

    Args:
        fields: What was asked for, m fields.
        rows: n tuples, each of the id of a run and m values; what is missing is None.
    """

    def __init__(self, fields: Sequence[FieldRef], rows: Sequence[tuple[Any, ...]]) -> None:
        self._size = len(rows)
        columns = list(zip(*rows, strict=True))[1:] if rows else [()] * len(fields)
        self._values = dict(zip(fields, columns, strict=True))

    def __len__(self) -> int:
        return self._size

    def floats(self, field: FieldRef) -> tuple[Floats, Mask]:
        """Return a metric or a function of its history; see `RunColumns`."""
        values, known = self._values[field], self._known(field)
        return np.array([np.nan if value is None else value for value in values], np.float64), known

    def integers(self, field: FieldRef) -> tuple[Ints, Mask]:
        """Return a function of a history or a duration; see `RunColumns`."""
        values, known = self._values[field], self._known(field)
        return np.array([0 if value is None else value for value in values], np.int64), known

    def times(self, key: str) -> Ints:
        """Return times in ms UTC; see `RunColumns`."""
        values = self._values[FieldRef(Kind.ATTRIBUTE, key)]
        return np.array([_NO_TIME if value is None else value for value in values], np.int64)

    def strings(self, field: FieldRef, dtype: Any) -> Any:
        """Return strings; see `RunColumns`."""
        return listed_strings(self._values[field], dtype)

    def _known(self, field: FieldRef) -> Mask:
        return np.array([value is not None for value in self._values[field]], np.bool_)


def listed_strings(strings: Sequence[str | None], dtype: Any) -> Any:
    """Return strings as an array of a dtype of pandas; a list of None if all are missing."""
    if all(string is None for string in strings):
        return [None] * len(strings)
    array = np.empty(len(strings), dtype=object)
    array[:] = strings
    return pd.array(array, dtype=dtype)


def _coded_strings(table: Sequence[str], codes: Any, dtype: Any) -> Any:
    """Return the strings of `codes`; code -1 becomes the missing value of the dtype."""
    if (codes < 0).all():
        return [None] * len(codes)
    if len(table) > 8 * len(codes):  # few rows of many
        return pd.array([table[code] if code >= 0 else None for code in codes.tolist()], dtype=dtype)
    strings = np.array([*table, None], dtype=object)  # code -1 is the last item
    if max(4 * len(table), _FEW_ROWS) < len(codes):
        return pd.array(strings, dtype=dtype).take(codes)
    return pd.array(strings[codes], dtype=dtype)
