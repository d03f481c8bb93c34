"""Takes runs out of a store's columns, as Arrow arrays of some rows at a time; no run becomes an object.

What the arrays are written to is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.errors import StoreError, invalid_parameter
from mlquery.sql.layouts.manifest import ATTRIBUTES, INTEGER
from mlquery.store.cells import Cells
from mlquery.store.columns import MISSING, MetricCells, StringCells
from mlquery.store.run_table import RunTable
from mlquery.store.validation import LARGEST_FLOAT

Ints = npt.NDArray[np.int64]
Values = dict[tuple[str, str], Any]
"""Arrow arrays (n,) by the kind and the key of their column."""
Latest = tuple[Ints, Ints]
"""Times (n,) in ms UTC and steps (n,) of the latest points of a metric; what runs without it have does not matter."""

_POINTS_AT_ONCE: Final = 1 << 20


@attrs.frozen(eq=False)
class Points:
    """Points of metrics: run and key of each as places in `run_ids` and `keys`, by key, run and then time.

    Each array is (points,); infinities are what they were when they were logged.
    """

    runs: npt.NDArray[np.int32]
    keys: npt.NDArray[np.int32]
    values: npt.NDArray[np.float64]
    timestamps: Ints
    steps: Ints


class Rows:
    """Some rows of a table of runs.

    Args:
        table: The runs; nobody writes to it meanwhile.
        rows: The rows, (n,), in rising order.
    """

    def __init__(self, table: RunTable, rows: Ints) -> None:
        self.table = table
        self.rows = rows

    @cached_property
    def run_ids(self) -> list[str]:
        """Return the ids of the runs."""
        return list(map(self.table.ids.__getitem__, self.rows.tolist()))

    def values(self) -> Values:
        """Return the values of all columns that any of the rows has, and of all attributes."""
        found: Values = {}
        for name, kind in ATTRIBUTES.items():
            found["attribute", name] = self._times(name) if kind == INTEGER else self._attribute(name)
        for key, metric in self.table.metrics.cells.items():
            self._add(found, "metric", key, self._numbers(metric))
        for key, param in self.table.params.cells.items():
            self._add(found, "param", key, self._strings(param, f"params.{key}"))
        for key, tag in self.table.tags.cells.items():
            self._add(found, "tag", key, self._strings(tag, f"tags.{key}"))
        return found

    def latest(self) -> dict[str, Latest]:
        """Return the latest points of all metrics that any of the rows has."""
        return {key: self._latest(self.table.metrics.cells[key]) for key in self.keys}

    def _latest(self, cells: MetricCells) -> Latest:
        places, which = self._found(cells)
        found = np.zeros((2, len(self.rows)), np.int64)
        found[0, places], found[1, places] = cells.view(2)[which], cells.view(3)[which]
        return found[0], found[1]

    @staticmethod
    def _add(found: Values, kind: str, key: str, array: Any) -> None:
        if array is not None:
            found[kind, key] = array

    def _attribute(self, name: str) -> Any:
        import pyarrow as arrow

        if name == "run_id":
            return _arrow(self.run_ids, name)
        if name == "artifact_uri":
            return _arrow(self.table.artifact_uris(self.rows), name)
        found = self._strings(self.table.strings.cells[name], name)
        return arrow.nulls(len(self.rows), arrow.string()) if found is None else found

    def _times(self, name: str) -> Any:
        import pyarrow as arrow

        times = np.full(len(self.rows), MISSING, np.int64)
        places, which = self._found(self.table.times.cells[name])
        times[places] = self.table.times.cells[name].view(0)[which]
        return arrow.array(times, mask=times == MISSING)

    def _numbers(self, cells: MetricCells) -> Any:
        import pyarrow as arrow

        places, which = self._found(cells)
        if not len(places):
            return None
        values, is_missing = np.zeros(len(self.rows)), np.ones(len(self.rows), np.bool_)
        values[places] = unclamped(cells.view(1)[which])
        is_missing[places] = False
        return arrow.array(values, mask=is_missing)

    def _strings(self, cells: StringCells, name: str) -> Any:
        places, which = self._found(cells)
        if not len(places):
            return None
        codes = np.full(len(self.rows), -1, np.int32)
        codes[places] = cells.view(0)[which]
        return _of_codes(codes, cells.table, name)

    def _found(self, cells: Cells) -> tuple[Ints, Ints]:
        """Return the places of rows that have a cell, and where in the arrays of the cells it is."""
        if cells.rows is not None:
            return _common(self.rows, np.array(cells.rows, np.int64))
        marks = cells.view(0)
        rows = self.rows[: np.searchsorted(self.rows, len(marks))]
        places = np.flatnonzero(marks[rows] != cells.fills[0])
        return places, rows[places]

    def numbers_of_points(self) -> Ints:
        """Return how many points each row has, (n,)."""
        numbers = np.zeros(len(self.rows), np.int64)
        for cells in self.table.metrics.cells.values():
            places, _ = self._found(cells)
            numbers[places] += sizes_of(cells, self.rows[places])
        return numbers

    def points(self) -> Iterator[Points]:
        """Yield the points of all metrics, by key, run id and time, many at a time."""
        ids = self.run_ids
        rank = np.empty(len(ids), np.int64)
        rank[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids))
        waiting: list[Points] = []
        size = 0
        for number, key in enumerate(self.keys):
            places, which = self._found(self.table.metrics.cells[key])
            order = np.argsort(rank[places])
            for piece in self._pieces(self.table.metrics.cells[key], places[order], which[order], number):
                waiting.append(piece)
                size += len(piece.values)
                if size >= _POINTS_AT_ONCE:
                    yield _joined(waiting)
                    waiting, size = [], 0
        if waiting:
            yield _joined(waiting)

    @cached_property
    def keys(self) -> list[str]:
        """Return the keys of the metrics that any of the rows has."""
        metrics = self.table.metrics.cells
        return sorted(key for key, cells in metrics.items() if len(self._found(cells)[0]))

    def _pieces(self, cells: MetricCells, places: Ints, which: Ints, key: int) -> Iterator[Points]:
        """Yield the points of one metric."""
        arrays = tuple(cells.view(number) for number in (1, 2, 3))
        rows = self.rows[places]
        sizes = sizes_of(cells, rows)
        ends = np.cumsum(sizes)
        start = 0
        while start < len(rows):
            before = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + _POINTS_AT_ONCE, "right")))
            part = slice(start, stop)
            columns = _points_of(cells, arrays, rows[part], which[part], sizes[part])
            runs = np.repeat(places[part].astype(np.int32), sizes[part])
            yield Points(runs, np.full(len(runs), key, np.int32), unclamped(columns[0]), columns[1], columns[2])
            start = stop


_NONE: Final = np.empty(0, np.int64)


def keys_of(table: RunTable, is_wanted: npt.NDArray[np.bool_]) -> set[tuple[str, str]]:
    """Return kind and key of the metrics, params and tags that any of some runs has."""
    are_all = bool(is_wanted.all())
    return {
        (kind, key)
        for kind, columns in (("metric", table.metrics), ("param", table.params), ("tag", table.tags))
        for key, cells in columns.cells.items()
        if (cells.count > 0 if are_all else _any_has(cells, is_wanted))
    }


def _any_has(cells: Cells, is_wanted: npt.NDArray[np.bool_]) -> bool:
    if cells.rows is not None:
        return bool(is_wanted[np.array(cells.rows, np.int64)].any())
    marks = cells.view(0)[: len(is_wanted)]
    return bool((is_wanted[: len(marks)] & (marks != cells.fills[0])).any())


def _common(some: Ints, others: Ints) -> tuple[Ints, Ints]:
    """Return where the numbers that two arrays have in common are in each, both in rising order."""
    if len(others) < len(some):
        there, here = _common(others, some)
        return here, there
    places = np.searchsorted(others, some)
    places[places == len(others)] = 0
    found = np.flatnonzero(others[places] == some) if len(others) else _NONE
    return found, places[found]


def unclamped(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return values as they were logged: the largest floats stand for infinities."""
    return np.where(np.abs(values) == LARGEST_FLOAT, np.copysign(np.inf, values), values)


def sizes_of(cells: MetricCells, rows: Ints) -> Ints:
    """Return the number of points of rows that have a metric, (n,)."""
    if not cells.histories:
        return np.ones(len(rows), np.int64)
    histories = map(cells.histories.get, rows.tolist())
    return np.fromiter((1 if one is None else len(one.values) for one in histories), np.int64, len(rows))


def _points_of(cells: MetricCells, arrays: tuple[Any, ...], rows: Ints, which: Ints, sizes: Ints) -> list[Any]:
    if len(rows) == int(sizes.sum()):
        return [array[which] for array in arrays]
    starts = np.cumsum(sizes) - sizes
    found = [np.empty(int(sizes.sum()), array.dtype) for array in arrays]
    for new, array in zip(found, arrays, strict=True):
        new[starts[sizes == 1]] = array[which[sizes == 1]]
    for place in np.flatnonzero(sizes > 1).tolist():
        history = cells.histories[int(rows[place])]
        part = slice(int(starts[place]), int(starts[place] + sizes[place]))
        columns: tuple[Any, ...] = (history.values, history.timestamps, history.steps)
        for new, column in zip(found, columns, strict=True):
            new[part] = np.frombuffer(column, new.dtype)
    return found


def _joined(parts: list[Points]) -> Points:
    names = ("runs", "keys", "values", "timestamps", "steps")
    return Points(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _of_codes(codes: npt.NDArray[np.int32], table: list[str], name: str) -> Any:
    """Return the strings of codes, -1 for none; few distinct ones as an Arrow dictionary."""
    import pyarrow as arrow

    used, inverse = _used(codes, len(table))
    if 2 * len(used) > len(codes):
        return _arrow([table[code] if code >= 0 else None for code in codes.tolist()], name)
    strings = _arrow([table[code] for code in used.tolist()], name)
    return arrow.DictionaryArray.from_arrays(arrow.array(inverse, mask=codes < 0), strings)


def _used(codes: npt.NDArray[np.int32], size: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    """Return the codes that occur, and for each code its place among them."""
    if size > 4 * len(codes):
        used, inverse = np.unique(codes, return_inverse=True)
        first = int(len(used) > 0 and used[0] < 0)
        return used[first:], (inverse - first).astype(np.int32)
    is_used = np.zeros(size + 1, np.bool_)
    is_used[codes] = True  # -1 is the last one
    is_used[-1] = False
    places = np.cumsum(is_used, dtype=np.int32) - 1
    return np.flatnonzero(is_used), places[codes]


def _arrow(strings: list[Any], name: str) -> Any:
    import pyarrow as arrow

    try:
        return arrow.array(strings, arrow.string())
    except UnicodeEncodeError:
        raise not_text(name) from None


def not_text(name: str) -> StoreError:
    """Return the error about half of a surrogate pair, which is no text."""
    return invalid_parameter(f"{name} has a string with a lone surrogate, which Parquet cannot hold; change it first")
