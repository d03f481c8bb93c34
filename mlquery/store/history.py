"""The history of one metric of one run: three typed arrays, 24 bytes a point, always in the order they are read in.

That order is (timestamp, step, value, is NaN), NaN having the value 0. Points mostly arrive in it and are appended; the
others are inserted. An exact duplicate is dropped. Runs, keys and pages are not known here.

**Source** of order and duplicates: `SqlAlchemyStore.get_metric_history` and the primary key of MLflow's metrics table.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from mlquery.store.cells import copied

Points = tuple[Sequence[float], Sequence[int], Sequence[int]]
"""Values, timestamps and steps, each (points,)."""
Arrays = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def read_only(*points: array[Any]) -> Arrays:
    """Return arrays that show values, timestamps and steps without a copy."""
    pairs = zip(points, (np.float64, np.int64, np.int64), strict=True)
    views = tuple(np.frombuffer(column, kind) if column else np.empty(0, kind) for column, kind in pairs)
    for view in views:
        view.flags.writeable = False
    return cast(Arrays, views)


class History:
    """Points of one metric of one run; `owner` says which table may write to them."""

    __slots__ = ("owner", "shown", "steps", "timestamps", "values")

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.values: array[float] = array("d")
        self.timestamps: array[int] = array("q")
        self.steps: array[int] = array("q")
        self.shown: Arrays | None = None

    def __len__(self) -> int:
        return len(self.values)

    def copy(self, owner: object) -> History:
        """Return a history of the same points that another owner may write to."""
        new = object.__new__(History)
        new.owner, new.shown = owner, None
        columns = self.values, self.timestamps, self.steps
        new.values, new.timestamps, new.steps = map(copied, "dqq", columns)
        return new

    def add(self, value: float, timestamp: int, step: int) -> None:
        """Keep a point unless the history has it."""
        values, timestamps, steps = self.values, self.timestamps, self.steps
        place = bisect_left(timestamps, timestamp)
        stop = bisect_right(timestamps, timestamp, place)
        place = bisect_left(steps, step, place, stop)
        stop = bisect_right(steps, step, place, stop)
        if place < stop:  # points of the same time and step are told apart by their values
            place = bisect_left(values, _rank(value), place, stop, key=_rank)
            if place < stop and _rank(values[place]) == _rank(value):
                return
        values.insert(place, value)
        timestamps.insert(place, timestamp)
        steps.insert(place, step)

    def arrays(self) -> Arrays:
        """Return values, timestamps and steps as read-only arrays (points,); from now on writes work on a copy."""
        self.owner = None
        if self.shown is None:
            self.shown = read_only(self.values, self.timestamps, self.steps)
        return self.shown


def _rank(value: float) -> tuple[float, bool]:
    return (value, False) if value == value else (0.0, True)


def history_of(
    owner: object, values: npt.NDArray[Any], timestamps: npt.NDArray[Any], steps: npt.NDArray[Any]
) -> History:
    """Return the history of points given as arrays (points,), sorted and without duplicates."""
    if not _is_in_order(timestamps, steps):
        order = _order_without_duplicates(values, timestamps, steps)
        values, timestamps, steps = values[order], timestamps[order], steps[order]
    history = History(owner)
    history.values.frombytes(values.astype(np.float64, copy=False).tobytes())
    history.timestamps.frombytes(timestamps.astype(np.int64, copy=False).tobytes())
    history.steps.frombytes(steps.astype(np.int64, copy=False).tobytes())
    return history


def history_with(owner: object, values: Any, timestamps: Any, steps: Any) -> History:
    """Return a history that has these arrays, or what stands in for arrays, for its own."""
    history = object.__new__(History)
    history.owner, history.shown = owner, None
    history.values, history.timestamps, history.steps = values, timestamps, steps
    return history


def histories_of(owner: object, points: Sequence[Points]) -> Iterator[History | None]:
    """Yield histories of points that rise in time and do not fall in step, of which the last is the latest.

    There is None for points that do not.
    """
    sizes = np.array([len(values) for values, _, _ in points])
    kinds = np.float64, np.int64, np.int64
    values, timestamps, steps = (
        np.array(list(chain.from_iterable(column)), kind)
        for column, kind in zip(zip(*points, strict=True), kinds, strict=True)
    )
    ends = np.cumsum(sizes)
    is_out_of_order = np.zeros(len(values) + 1, np.bool_)
    is_out_of_order[1:-1] = (timestamps[1:] <= timestamps[:-1]) | (steps[1:] < steps[:-1])
    is_out_of_order[ends] = False  # where the next one starts
    numbers = np.searchsorted(ends, is_out_of_order.nonzero()[0], "right")
    is_plain = sizes > 0
    is_plain[numbers] = False
    columns = tuple(column.tobytes() for column in (values, timestamps, steps))
    start = 0
    for stop, plain in zip((8 * ends).tolist(), is_plain.tolist(), strict=True):
        if plain:
            yield history_with(
                owner, *(array(code, column[start:stop]) for code, column in zip("dqq", columns, strict=True))
            )
        else:
            yield None
        start = stop


def _is_in_order(timestamps: npt.NDArray[Any], steps: npt.NDArray[Any]) -> bool:
    """Return whether points rise by (timestamp, step) as most do, so that no two have to be told apart by value."""
    is_later = timestamps[1:] > timestamps[:-1]
    return bool(is_later.all()) or bool(
        (is_later | ((timestamps[1:] == timestamps[:-1]) & (steps[1:] > steps[:-1]))).all()
    )


def _order_without_duplicates(
    values: npt.NDArray[Any], timestamps: npt.NDArray[Any], steps: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    is_nan = np.isnan(values)
    ranked = np.where(is_nan, 0.0, values)
    order = np.lexsort((is_nan, ranked, steps, timestamps))
    keys = (is_nan[order], ranked[order], steps[order], timestamps[order])
    is_new = np.ones(len(order), bool)
    is_new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return order[is_new]


def latest_of(history: History) -> int:
    """Return the place of the latest point: the largest (step, timestamp, value), NaN counting as 0.

    Of a 0 and a NaN at the same step and time the number is taken; which of them was logged first is not recorded.
    """
    last = len(history) - 1
    newest = history.timestamps[last], history.steps[last]
    is_alone = not last or newest != (history.timestamps[last - 1], history.steps[last - 1])
    if is_alone and newest[1] == max(history.steps):  # no other point is as late in both step and time
        return last
    values = np.frombuffer(history.values)
    is_nan = np.isnan(values)
    ranked = np.where(is_nan, 0.0, values)
    steps, timestamps = np.frombuffer(history.steps, np.int64), np.frombuffer(history.timestamps, np.int64)
    return int(np.lexsort((~is_nan, ranked, timestamps, steps))[-1])
