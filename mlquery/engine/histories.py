"""Turn a function of the points of a metric into a column of all runs, in NumPy.

The points of many runs are put one after another and reduced run by run. What the functions mean is specified in
`history_values`; a run with a single point has no history of its own and is read from the latest points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.language.plan import FieldRef, Function
from mlquery.language.semantics import mean
from mlquery.store.columns import ABSENT, NAN, NUMBER, MetricColumn
from mlquery.store.history import History

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_POINTS_AT_A_TIME: Final = 1 << 22


@attrs.frozen(eq=False)
class IntegerColumn:
    """Numbers of points or steps: `values` (n,) int64, and `known` (n,), which rows have one."""

    values: Ints
    known: Mask


HistoryColumn = MetricColumn | IntegerColumn


def history_column(table: Any, field: FieldRef) -> HistoryColumn:
    """Return the column of a field of the kind HISTORY, which is kept until the next change of the store."""
    column: HistoryColumn = table.derived.get(field, table.size, lambda: _computed(table, field))
    return column


@attrs.frozen(eq=False, slots=False)
class _Points:
    """All points of some runs: `starts` (m,) and `counts` (m,) say which of them are whose."""

    histories: Sequence[History]

    @cached_property
    def counts(self) -> Ints:
        return np.fromiter((len(history.values) for history in self.histories), np.int64, len(self.histories))

    @cached_property
    def starts(self) -> Ints:
        starts: Ints = self.counts.cumsum() - self.counts
        return starts

    @cached_property
    def values(self) -> Floats:
        return np.frombuffer(b"".join([history.values for history in self.histories]))

    @cached_property
    def timestamps(self) -> Ints:
        return np.frombuffer(b"".join([history.timestamps for history in self.histories]), np.int64)

    @cached_property
    def steps(self) -> Ints:
        return np.frombuffer(b"".join([history.steps for history in self.histories]), np.int64)

    def spread(self, of_runs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return what holds of runs (m,) for each of their points (points,)."""
        return np.repeat(of_runs, self.counts)

    def found(self, chosen: Mask) -> tuple[Ints, Ints]:
        """Return the runs (k,) and the places (k,) of chosen points, by run."""
        places = chosen.nonzero()[0]
        return np.searchsorted(self.starts, places, "right") - 1, places

    def in_order(self, chosen: Mask) -> tuple[Ints, Ints]:
        """Return the runs (k,) and the places (k,) of chosen points, by run and then from the first to the latest."""
        runs, places = self.found(chosen)
        if (runs[1:] != runs[:-1]).all():  # one point of each run, as is usual
            return runs, places
        values, steps, timestamps = self.values[places], self.steps[places], self.timestamps[places]
        is_nan = np.isnan(values)
        order = np.lexsort((~is_nan, np.where(is_nan, 0.0, values), timestamps, steps, runs))
        return runs[order], places[order]


def _computed(table: Any, field: FieldRef) -> HistoryColumn:
    function, size = field.function, table.size
    assert function is not None
    column = table.metrics.get(field.key)  # covers all rows from here on
    if column is None:
        return _absent(function, size)
    cells = table.metrics.cells[field.key]
    steps = cells.dense(size, 4)[-1]
    if function.is_integer:
        return _integers(function, column, steps, cells.histories)
    return _floats(field, column, steps, cells.histories)


def _absent(function: Function, size: int) -> HistoryColumn:
    if function.is_integer:
        return IntegerColumn(np.zeros(size, np.int64), np.zeros(size, np.bool_))
    return MetricColumn(np.full(size, np.nan), np.full(size, ABSENT, np.uint8))


def _in_parts(histories: dict[int, History]) -> Iterator[tuple[Ints, _Points]]:
    """Yield the histories of a metric in parts of some million points, with the rows (m,) that they are of."""
    rows: list[int] = []
    size = 0
    for row, history in histories.items():
        rows.append(row)
        size += len(history.values)
        if size >= _POINTS_AT_A_TIME:
            yield np.array(rows), _Points([histories[row] for row in rows])
            rows, size = [], 0
    if rows:
        yield np.array(rows), _Points([histories[row] for row in rows])


def _integers(function: Function, column: MetricColumn, steps: Ints, histories: dict[int, History]) -> IntegerColumn:
    if function is Function.COUNT:
        counts = np.ones(len(steps), np.int64)
        for rows, points in _in_parts(histories):
            counts[rows] = points.counts
        return IntegerColumn(counts, column.states != ABSENT)
    found, known = steps.copy(), column.states == NUMBER
    for rows, points in _in_parts(histories):
        best = _BEST[function](points)
        runs, places = points.found(points.values == points.spread(best))
        with_best, starts = np.unique(runs, return_index=True)
        known[rows] = ~np.isnan(best)
        if len(places):
            found[rows[with_best]] = np.minimum.reduceat(points.steps[places], starts)
    return IntegerColumn(found, known)


def _floats(field: FieldRef, column: MetricColumn, steps: Ints, histories: dict[int, History]) -> MetricColumn:
    if field.function is Function.AT:
        return _at(field.step, column, steps, histories)
    reduce = _REDUCTIONS[field.function]  # type: ignore[index]
    values = column.values.copy() if field.function is Function.FIRST else column.values + 0.0
    for rows, points in _in_parts(histories):
        values[rows] = reduce(points)
    return _metric_column(values, column.states != ABSENT)


def _metric_column(values: Floats, known: Mask) -> MetricColumn:
    return MetricColumn(values, np.where(known, np.where(np.isnan(values), NAN, NUMBER), ABSENT).astype(np.uint8))


def _greatest(points: _Points) -> Floats:
    """Return the maxima (m,) without NaN, or NaN where there is nothing else; a zero has no sign."""
    found: Floats = np.fmax.reduceat(points.values, points.starts) + 0.0
    return found


def _least(points: _Points) -> Floats:
    found: Floats = np.fmin.reduceat(points.values, points.starts) + 0.0
    return found


def _means(points: _Points) -> Floats:
    has_nan = np.logical_or.reduceat(np.isnan(points.values), points.starts).tolist()
    pairs = zip(points.histories, has_nan, strict=True)
    return np.array([_mean_of_numbers(history.values) if nan else mean(history.values) for history, nan in pairs])


def _mean_of_numbers(values: Sequence[float]) -> float:
    numbers = [value for value in values if value == value]
    return mean(numbers) if numbers else np.nan


def _first(points: _Points) -> Floats:
    is_candidate = points.steps == points.spread(np.minimum.reduceat(points.steps, points.starts))
    runs, places = points.in_order(is_candidate)
    _, firsts = np.unique(runs, return_index=True)
    return points.values[places[firsts]]


_BEST: Final[dict[Function, Callable[[_Points], Floats]]] = {Function.ARGMAX: _greatest, Function.ARGMIN: _least}
_REDUCTIONS: Final[dict[Function, Callable[[_Points], Floats]]] = {
    Function.MAX: _greatest,
    Function.MIN: _least,
    Function.MEAN: _means,
    Function.FIRST: _first,
}


def _at(step: int | None, column: MetricColumn, steps: Ints, histories: dict[int, History]) -> MetricColumn:
    """Return the latest values at a step; at the last step of a run that is the latest value of all."""
    is_last = (steps == step) & (column.states != ABSENT)
    values, known = np.where(is_last, column.values, np.nan), is_last.copy()
    for rows, points in _in_parts(histories):
        runs, places = points.in_order(points.steps == step)
        is_latest = np.append(runs[1:] != runs[:-1], len(runs) > 0)[: len(runs)]
        of_rows, found = rows[runs[is_latest]], points.values[places[is_latest]]
        values[of_rows] = np.where(is_last[of_rows], values[of_rows], found)
        known[of_rows] = True
    return _metric_column(values, known)
