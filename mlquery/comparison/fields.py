"""Reads everything that chosen runs have, field by field, as arrays (n,): the snapshot that a comparison is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.comparison.values import Value, chosen_values, how_of, require_direction
from mlquery.store import Store
from mlquery.store.columns import MISSING

Array = npt.NDArray[Any]

ATTRIBUTE: Final = "attribute"
PARAM: Final = "param"
METRIC: Final = "metric"
TAG: Final = "tag"
TIMES: Final = ("start_time", "end_time", "creation_time")
_STRINGS: Final = ("run_name", "experiment_id", "status")


@attrs.frozen(eq=False)
class Field:
    """One field of all runs.

    Attributes:
        kind: "attribute", "param", "metric" or "tag".
        key: Its key; that of an attribute is its name.
        values: Strings (None where missing), numbers (NaN where missing or NaN), or ms as int64, each (n,).
        present: Which runs have it, (n,).
    """

    kind: str
    key: str
    values: Array
    present: npt.NDArray[np.bool_]

    @property
    def name(self) -> str:
        """Return the name of the column of a frame."""
        return self.key if self.kind == ATTRIBUTE else f"{self.kind}s.{self.key}"

    @property
    def differs(self) -> bool:
        """Tell whether not all runs have the same value; a missing one is a value of its own, and NaN equals NaN."""
        if not len(self.values):
            return False
        if self.present.min() != self.present.max():
            return True
        same = self.values == self.values[0]
        if self.values.dtype.kind == "f":
            same |= np.isnan(self.values) & np.isnan(self.values[0])
        return not same.all()


def read_fields(store: Store, run_ids: Sequence[str], value: Value, directions: Mapping[str, str]) -> tuple[Field, ...]:
    """Return the fields of runs: attributes, then params, metrics and tags, each by key.

    Raises:
        StoreError: a metric is compared by "best", and what is better of it is not known.
    """
    with store.lock:
        rows = [store.runs.row_of[run_id] for run_id in run_ids]
        return (
            *_attributes(store, rows),
            *_params(store, rows),
            *_metrics(store, rows, value, directions),
            *_tags(store, rows),
        )


def metric_keys(store: Store, run_ids: Sequence[str]) -> list[str]:
    """Return the metrics that runs have."""
    with store.lock:
        return _keys(store.runs.metric_keys, [store.runs.row_of[run_id] for run_id in run_ids])


def _attributes(store: Store, rows: list[int]) -> Iterator[Field]:
    strings, times = store.runs.strings.cells, store.runs.times.cells
    for name in _STRINGS:
        yield string_field(ATTRIBUTE, name, strings[name].at(rows))
    found = {}
    for name in ("start_time", "end_time"):
        found[name] = np.array([MISSING if time is None else time for time in times[name].at(rows)], np.int64)
        yield Field(ATTRIBUTE, name, found[name], found[name] != MISSING)
    start, end = found.values()
    ended = (start != MISSING) & (end != MISSING)
    yield Field(ATTRIBUTE, "duration", np.where(ended, end, 0) - np.where(ended, start, 0), ended)
    yield string_field(ATTRIBUTE, "user_id", strings["user_id"].at(rows))


def _params(store: Store, rows: list[int]) -> Iterator[Field]:
    for key in _keys(store.runs.param_keys, rows):
        yield string_field(PARAM, key, store.runs.params.cells[key].at(rows))


def _tags(store: Store, rows: list[int]) -> Iterator[Field]:
    for key in _keys(store.runs.tag_keys, rows):
        yield string_field(TAG, key, store.runs.tags.cells[key].at(rows))


def _metrics(store: Store, rows: list[int], value: Value, directions: Mapping[str, str]) -> Iterator[Field]:
    keys = _keys(store.runs.metric_keys, rows)
    best = require_direction([key for key in keys if how_of(value, key) == "best"], directions)
    for key in keys:
        values, states = chosen_values(store, rows, key, best.get(key) or how_of(value, key))
        yield Field(METRIC, key, values, states > 0)


def _keys(keys_of: Sequence[tuple[str, ...]], rows: list[int]) -> list[str]:
    return sorted(set().union(*{keys_of[row] for row in rows}))


def string_field(kind: str, key: str, strings: Sequence[str | None]) -> Field:
    """Return a field of strings, None where one is missing."""
    values = np.empty(len(strings), object)
    values[:] = strings
    return Field(kind, key, values, np.array([string is not None for string in strings], np.bool_))
