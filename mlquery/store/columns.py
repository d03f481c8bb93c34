"""Columns: strings, metrics and times of all rows, as the calls write them (`…Cells`) and as an engine sees them.

What an engine sees are views of NumPy arrays with one value per row. Runs, names of keys and rules about them are not
known here, save for one: which point of a metric is the latest.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final, Self

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.store.cells import Array, Cells
from mlquery.store.growing import OF_NONE, Digest
from mlquery.store.history import History, history_of, latest_of
from mlquery.store.stored import StoredHistories

MISSING: Final = -(2**63)
"""A time that is not known; NumPy reads it as NaT."""

ABSENT: Final = 0
NUMBER: Final = 1
NAN: Final = 2


@attrs.frozen(eq=False)
class StringColumn:
    """A param, tag or string attribute: `codes` (n,) int32 into `table`, -1 where it is missing."""

    codes: npt.NDArray[np.int32]
    table: list[str]
    index: Mapping[str, int]

    def code(self, string: str) -> int:
        """Return the code of a string, -1 if no row has it."""
        return self.index.get(string, -1)


@attrs.frozen(eq=False)
class MetricColumn:
    """A metric: its latest `values` (n,) float64 and `states` (n,) uint8: 0 absent, 1 number, 2 NaN.

    Where the state is not 1 the value is NaN.
    """

    values: npt.NDArray[np.float64]
    states: npt.NDArray[np.uint8]


@attrs.frozen(eq=False)
class IntColumn:
    """A time: `values` (n,) int64 in ms UTC, MISSING (NumPy's NaT) where it is not known."""

    values: npt.NDArray[np.int64]


class StringCells(Cells):
    """Strings as codes into a dictionary of the distinct ones.

    The table of the distinct ones only grows, until those that no row has are forgotten; `digest` knows its beginning.
    """

    __slots__ = ("digest", "index", "table")

    typecodes = "i"
    fills = (-1,)

    def __init__(self, owner: object, strings: tuple[str, ...] = ()) -> None:
        super().__init__(owner)
        self.table = list(strings)
        self.index = {string: code for code, string in enumerate(strings)}
        self.digest = OF_NONE

    def copy(self, owner: object) -> Self:
        """Return cells of the same contents that another owner may write to."""
        new = super().copy(owner)
        new.digest = self.digest  # first: the table is at least as long
        new.table, new.index = self.table[:], self.index.copy()
        return new

    def digest_of(self, size: int) -> Digest:
        """Return the digest of the first `size` strings of the table; it is remembered for a longer one."""
        found = (self.digest if self.digest.size <= size else OF_NONE).reaching(self.table, size)
        self.digest = found
        return found

    def string(self, row: int) -> str | None:
        """Return the string of a row, None if it has none."""
        if self.rows is None:
            codes = self.arrays[0]
            code = codes[row] if row < len(codes) else -1
            return self.table[code] if code >= 0 else None
        place = self.slot(row)
        return self.table[self.arrays[0][place]] if place >= 0 else None

    def at(self, rows: Sequence[int]) -> list[str | None]:
        """Return the strings of rows, None for those that have none."""
        if self.rows is not None:
            return [self.string(row) for row in rows]
        codes, table = self.arrays[0], self.table
        known = len(codes)
        return [table[codes[row]] if row < known and codes[row] >= 0 else None for row in rows]

    def at_present(self, rows: Sequence[int]) -> list[str | None]:
        """Return the strings of rows that have one."""
        if self.rows is not None:
            return [self.string(row) for row in rows]
        return list(map(self.table.__getitem__, map(self.arrays[0].__getitem__, rows)))

    def put(self, row: int, string: str, size: int) -> bool:
        """Set the string of a row and return whether the row had none before."""
        place = self.slot(row)
        if place < 0:
            self.add(row, string, size)
            return True
        code = self.index.get(string)
        if code is None:
            code = self._learn(string)
        if self.rows is not None:
            self.views = None
        self.arrays[0][place] = code
        return False

    def add(self, row: int, string: str, size: int) -> None:
        """Set the string of a row that has none."""
        code = self.index.get(string)
        if code is None:
            code = self._learn(string)
        codes = self.arrays[0]
        if self.rows is None and row < len(codes):
            self.count += 1
            codes[row] = code
            return
        place = self.claim(row, size)
        self.arrays[0][place] = code

    def load(self, rows: Sequence[int], strings: Sequence[str], size: int) -> None:
        """Set the strings of rows that have none, given in any order."""
        new = [string for string in dict.fromkeys(strings) if string not in self.index]
        self.index.update(zip(new, range(len(self.table), len(self.table) + len(new)), strict=True))
        self.table += new
        self.fill(rows, [array("i", map(self.index.__getitem__, strings))], size)

    def column(self, size: int) -> StringColumn:
        """Return the column of the first `size` rows."""
        (codes,) = self.dense(size, 1)
        return StringColumn(codes, self.table, self.index)

    def _learn(self, string: str) -> int:
        if len(self.table) > 4 * self.count + 64:
            self._forget_unused()
        code = self.index[string] = len(self.table)
        self.table.append(string)
        return code

    def _forget_unused(self) -> None:
        """Renumber the strings that are still in use: a tag that is set over and over must not grow for ever."""
        old_table, codes = self.table, self.arrays[0]
        used = sorted(set(codes) - {-1})
        new_code = {old: new for new, old in enumerate(used)} | {-1: -1}
        self.table = [old_table[code] for code in used]
        self.index = {string: code for code, string in enumerate(self.table)}
        self.digest = OF_NONE
        self.arrays = (array("i", [new_code[code] for code in codes]),)
        self.views = self.shown = None


class MetricCells(Cells):
    """The latest point of each row, and the histories of the rows that have more than one point.

    **Source** of what is the latest and what is dropped: `SqlAlchemyStore._log_metrics` of MLflow 3.17. The latest is
    the largest (step, timestamp, value), NaN counting as 0, and the older one of equals; a point logged twice is kept
    once.

    `hashed` is for those who compare histories: how many points each had, in the order of `histories`, and a number for
    those points. Points are never taken away, so it holds for histories that have as many, of a copy too.
    """

    __slots__ = ("hashed", "histories", "moved")

    typecodes = "Bdqq"
    fills = (ABSENT, float("nan"), 0, 0)

    def __init__(self, owner: object) -> None:
        super().__init__(owner)
        self.histories: dict[int, History] | StoredHistories = {}
        self.hashed: tuple[Array, Array] | None = None
        self.moved: dict[int, tuple[int, int]] = {}  # what the clock said at the first of moved points, their last time

    def copy(self, owner: object) -> Self:
        """Return cells of the same contents that another owner may write to."""
        new = super().copy(owner)
        new.hashed, new.histories, new.moved = self.hashed, self.histories.copy(), self.moved.copy()
        return new

    def value(self, row: int) -> float:
        """Return the latest value of a row that has the metric."""
        value: float = self.arrays[1][row if self.rows is None else self.slot(row)]
        return value

    def at_present(self, rows: Sequence[int]) -> list[float]:
        """Return the latest values of rows that have the metric."""
        if self.rows is not None:
            return [self.value(row) for row in rows]
        return list(map(self.arrays[1].__getitem__, rows))

    def add(self, row: int, value: float, timestamp: int, step: int, size: int) -> bool:
        """Log a point and return whether the row had none before."""
        states, values, timestamps, steps = self.arrays
        # Each call that logs comes by here, so what most points need is done in place of calls of `slot`, `add`, `put`.
        is_dense = self.rows is None
        place = row if is_dense and row < len(states) and states[row] else self.slot(row)
        if place < 0:
            self.put(self.claim(row, size), value, timestamp, step)
            return True
        old_timestamp, old_step = timestamps[place], steps[place]
        history = self.histories.get(row)
        if history is None:
            old_value = values[place]
            if (timestamp, step) == (old_timestamp, old_step) and (value == old_value or _both_nan(value, old_value)):
                return False
            history = self.histories[row] = History(self.owner)
            history.add(old_value, old_timestamp, old_step)
        elif history.owner is not self.owner:
            history = self.histories[row] = history.copy(self.owner)
        last = history.timestamps[-1]
        if timestamp > last or (timestamp == last and step > history.steps[-1]):
            history.values.append(value)
            history.timestamps.append(timestamp)
            history.steps.append(step)
        else:
            history.add(value, timestamp, step)
        if is_dense and value == value and (step, timestamp) > (old_step, old_timestamp):
            states[place], values[place], timestamps[place], steps[place] = NUMBER, value, timestamp, step
        elif step >= old_step and self._is_later(value, timestamp, step, place):
            self.put(place, value, timestamp, step)
        return False

    def is_last(self, row: int, time: int, step: int) -> bool:
        """Return whether a point would follow all points of a row in the order of its history."""
        history = self.histories.get(row)
        if history is not None:
            last, last_step = history.timestamps[-1], history.steps[-1]
        else:
            place = row if self.rows is None and row < len(self.arrays[0]) and self.arrays[0][row] else self.slot(row)
            if place < 0:
                return True
            _, _, timestamps, steps = self.arrays
            last, last_step = timestamps[place], steps[place]
        return time > last or (time == last and step > last_step)

    def next_time(self, row: int, time: int, step: int) -> int:
        """Return the first time, not before what the clock says, at which a point follows those that nobody timed.

        It is remembered, so that not all of many points in one millisecond are passed each time.
        """
        start, moved = self.moved.get(row, (time, time))
        if not start <= time <= moved:  # the clock has gone on, or back
            start = moved = time
        _, timestamps, steps = self.points(row)
        after = bisect_right(timestamps, moved)
        while after and timestamps[after - 1] == moved and steps[after - 1] >= step:
            moved += 1
            after = bisect_right(timestamps, moved, after)
        self.moved[row] = start, moved
        return moved

    def put(self, place: int, value: float, timestamp: int, step: int) -> None:
        """Make a point the latest."""
        states, values, timestamps, steps = self.arrays
        states[place] = NUMBER if value == value else NAN
        values[place], timestamps[place], steps[place] = value, timestamp, step
        if self.rows is not None:
            self.views = None

    def load_latest(self, rows: Sequence[int], points: Sequence[tuple[float, int, int]], size: int) -> None:
        """Set the points of rows that have none, given in any order, each a value, timestamp and step."""
        values, timestamps, steps = map(array, "dqq", zip(*points, strict=True))
        states = array("B", [NUMBER if value == value else NAN for value in values])
        self.fill(rows, [states, values, timestamps, steps], size)

    def load(self, row: int, values: Array, timestamps: Array, steps: Array, size: int) -> bool:
        """Log points given as arrays (points,), at least one, and return whether the row had none before."""
        old = self.points(row)
        given: tuple[Array, ...] = (values, timestamps, steps)
        if len(old[0]):
            given = tuple(np.concatenate([np.array(before), new]) for before, new in zip(old, given, strict=True))
        history = history_of(self.owner, *given)
        if len(history) > 1:
            self.histories[row] = history
        latest = latest_of(history)
        value, timestamp, step = history.values[latest], history.timestamps[latest], history.steps[latest]
        place = self.slot(row)
        is_new = place < 0
        if is_new:
            place = self.claim(row, size)
        elif not self._is_later(value, timestamp, step, place):
            return False
        self.put(place, value, timestamp, step)
        return is_new

    def _is_later(self, value: float, timestamp: int, step: int, place: int) -> bool:
        _, values, timestamps, steps = self.arrays
        old = values[place]
        rank, old_rank = value if value == value else 0.0, old if old == old else 0.0
        return (step, timestamp, rank) > (steps[place], timestamps[place], old_rank)

    def points(self, row: int) -> tuple[array[float], array[int], array[int]]:
        """Return values, timestamps and steps of a row, sorted by (timestamp, step, value)."""
        history = self.histories.get(row)
        if history is not None:
            return history.values, history.timestamps, history.steps
        place = self.slot(row)
        stop = place + 1 if place >= 0 else place
        _, values, timestamps, steps = self.arrays
        return values[place:stop], timestamps[place:stop], steps[place:stop]

    def column(self, size: int) -> MetricColumn:
        """Return the column of the first `size` rows."""
        states, values = self.dense(size, 2)
        return MetricColumn(values, states)


def _both_nan(a: float, b: float) -> bool:
    return a != a and b != b


class TimeCells(Cells):
    """Times in ms UTC."""

    __slots__ = ()

    typecodes = "q"
    fills = (MISSING,)

    def time(self, row: int) -> int | None:
        """Return the time of a row, None if it is not known."""
        place = self.slot(row)
        return self.arrays[0][place] if place >= 0 else None

    def at(self, rows: Sequence[int]) -> list[int | None]:
        """Return the times of rows, None for those that have none."""
        if self.rows is not None:
            return [self.time(row) for row in rows]
        times = self.arrays[0]
        known = len(times)
        return [times[row] if row < known and times[row] != MISSING else None for row in rows]

    def add(self, row: int, time: int, size: int) -> None:
        """Set the time of a row that has none."""
        place = self.claim(row, size)
        self.arrays[0][place] = time

    def put(self, row: int, time: int, size: int) -> None:
        """Set the time of a row."""
        place = self.slot(row)
        if place < 0:
            place = self.claim(row, size)
        self.arrays[0][place] = time
        if self.rows is not None:
            self.views = None

    def load(self, rows: Sequence[int], times: Sequence[int], size: int) -> None:
        """Set the times of rows that have none, given in any order."""
        self.fill(rows, [array("q", times)], size)

    def column(self, size: int) -> IntColumn:
        """Return the column of the first `size` rows."""
        return IntColumn(*self.dense(size, 1))
