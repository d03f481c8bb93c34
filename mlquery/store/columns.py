"""Columns: one value per row and key, in typed arrays that are written in place and read as NumPy views without a copy.

A key that most rows have is dense, indexed by row and grown by doubling. A key that few rows have is sparse: sorted
row numbers with the cells beside them; it is spread out when it is read, and the reader decides how many of those to
keep. This module knows nothing of runs, names or rules. Two tables may share cells (a clone): `owner` says whose they
are, and only the owner writes to them or moves them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.store.history import History

MISSING: Final = -(2**63)
"""A time that is not known; NumPy reads it as NaT."""

ABSENT: Final = 0
NUMBER: Final = 1
NAN: Final = 2

_DENSE_FROM: Final = 8  # dense once at least 1/8 of the rows have the key,
_SPARSE_BELOW: Final = 16  # sparse again when a dense column would have to grow to more than 16 times its cells

Array = npt.NDArray[Any]


@attrs.frozen(eq=False)
class TextColumn:
    """A param, tag or text attribute: `codes` (n,) int32 into `table`, -1 where it is missing."""

    codes: npt.NDArray[np.int32]
    table: list[str]
    index: Mapping[str, int]

    def code(self, text: str) -> int:
        """Return the code of a text, -1 if no row has it."""
        return self.index.get(text, -1)


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


class Cells:
    """The cells of one key. The first of `arrays` marks presence: a row without the key holds its fill there."""

    __slots__ = ("arrays", "count", "owner", "rows", "views")

    typecodes: ClassVar[str]
    fills: ClassVar[tuple[float, ...]]

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.rows: array[int] | None = array("i")
        self.arrays: tuple[array[Any], ...] = tuple(array(code) for code in self.typecodes)
        self.count = 0
        self.views: tuple[Array, ...] | None = None

    def copy(self, owner: object) -> Self:
        """Return cells of the same contents that another owner may write to."""
        new = object.__new__(type(self))
        new.owner = owner
        new.rows = None if self.rows is None else self.rows[:]
        new.arrays = tuple(cells[:] for cells in self.arrays)
        new.count = self.count
        new.views = None
        return new

    def slot(self, row: int) -> int:
        """Return the place of a row's cell in the arrays, -1 if the row has none."""
        rows, marks = self.rows, self.arrays[0]
        if rows is None:
            return row if row < len(marks) and marks[row] != self.fills[0] else -1
        place = bisect_left(rows, row)
        return place if place < len(rows) and rows[place] == row else -1

    def claim(self, row: int, size: int) -> int:
        """Return the place for a new cell of a row that has none; `size` is the number of rows of the table."""
        self.count += 1
        if self.rows is None and row >= len(self.arrays[0]):
            self.reach(row + 1)
        if self.rows is not None and self.count * _DENSE_FROM >= size:
            self._spread(max(row + 1, size))
        if self.rows is None:
            return row
        self.views = None
        place = bisect_left(self.rows, row)
        self.rows.insert(place, row)
        for cells, fill in zip(self.arrays, self.fills, strict=True):
            cells.insert(place, fill)
        return place

    def discard(self, place: int) -> None:
        """Take away the cell at a place."""
        self.count -= 1
        if self.rows is not None:
            self.views = None
            del self.rows[place]
            for cells in self.arrays:
                del cells[place]
            return
        for cells, fill in zip(self.arrays, self.fills, strict=True):
            cells[place] = fill

    def is_short_of(self, size: int) -> bool:
        """Return whether a reader of `size` rows needs `reach` first."""
        return self.rows is None and len(self.arrays[0]) < size

    def reach(self, size: int) -> None:
        """Make dense arrays cover `size` rows, or make the cells sparse if they are few."""
        self.views = None
        if self.count * _SPARSE_BELOW < size:
            self._gather()
            return
        extra = _room(size) - len(self.arrays[0])
        pairs = zip(self.typecodes, self.fills, self.arrays, strict=True)
        # New arrays, because those that a view looks at cannot be resized.
        self.arrays = tuple(cells + array(code, [fill]) * extra for code, fill, cells in pairs)

    def dense(self, size: int, arrays: int) -> tuple[Array, ...]:
        """Return the first `arrays` arrays as NumPy arrays, each (size,); dense ones are views of the cells."""
        views = self.views
        if views is None or len(views) < arrays or len(views[0]) < size:
            views = self.views = self._viewed() if self.rows is None else self._densified(size, arrays)
        return tuple(view[:size] for view in views[:arrays])

    def _viewed(self) -> tuple[Array, ...]:
        return tuple(np.frombuffer(cells, cells.typecode) for cells in self.arrays)

    def _densified(self, size: int, arrays: int) -> tuple[Array, ...]:
        rows = np.frombuffer(self.rows, "i") if self.rows else np.empty(0, "i")
        spread = []
        for cells, fill in zip(self.arrays[:arrays], self.fills, strict=False):
            column = np.full(size, fill, cells.typecode)
            column[rows] = np.frombuffer(cells, cells.typecode) if cells else ()
            spread.append(column)
        return tuple(spread)

    def _spread(self, size: int) -> None:
        assert self.rows is not None
        room = _room(size)
        spread = tuple(array(code, [fill]) * room for code, fill in zip(self.typecodes, self.fills, strict=True))
        for place, row in enumerate(self.rows):
            for new, old in zip(spread, self.arrays, strict=True):
                new[row] = old[place]
        self.rows, self.arrays, self.views = None, spread, None

    def _gather(self) -> None:
        marks, fill = self.arrays[0], self.fills[0]
        rows = [row for row in range(len(marks)) if marks[row] != fill]
        self.arrays = tuple(array(cells.typecode, [cells[row] for row in rows]) for cells in self.arrays)
        self.rows = array("i", rows)


def _room(size: int) -> int:
    """Return the capacity for `size` cells: a power of two, so that growing is rare."""
    return max(8, 1 << (size - 1).bit_length())


class TextCells(Cells):
    """Texts as codes into a dictionary of the distinct ones."""

    __slots__ = ("index", "table")

    typecodes = "i"
    fills = (-1,)

    def __init__(self, owner: object, texts: tuple[str, ...] = ()) -> None:
        super().__init__(owner)
        self.table = list(texts)
        self.index = {text: code for code, text in enumerate(texts)}

    def copy(self, owner: object) -> Self:
        """Return cells of the same contents that another owner may write to."""
        new = super().copy(owner)
        new.table, new.index = self.table[:], self.index.copy()
        return new

    def text(self, row: int) -> str | None:
        """Return the text of a row, None if it has none."""
        if self.rows is None:
            codes = self.arrays[0]
            code = codes[row] if row < len(codes) else -1
            return self.table[code] if code >= 0 else None
        place = self.slot(row)
        return self.table[self.arrays[0][place]] if place >= 0 else None

    def put(self, row: int, text: str, size: int) -> bool:
        """Set the text of a row and return whether the row had none before."""
        code = self.index.get(text)
        if code is None:
            code = self._learn(text)
        place = self.slot(row)
        is_new = place < 0
        if is_new:
            place = self.claim(row, size)
        elif self.rows is not None:
            self.views = None
        self.arrays[0][place] = code
        return is_new

    def column(self, size: int) -> TextColumn:
        """Return the column of the first `size` rows."""
        (codes,) = self.dense(size, 1)
        return TextColumn(codes, self.table, self.index)

    def _learn(self, text: str) -> int:
        if len(self.table) > 4 * self.count + 64:
            self._forget_unused()
        code = self.index[text] = len(self.table)
        self.table.append(text)
        return code

    def _forget_unused(self) -> None:
        """Renumber the texts that are still in use: a tag that is set over and over must not grow for ever."""
        old_table, codes = self.table, self.arrays[0]
        used = sorted(set(codes) - {-1})
        new_code = {old: new for new, old in enumerate(used)} | {-1: -1}
        self.table = [old_table[code] for code in used]
        self.index = {text: code for code, text in enumerate(self.table)}
        self.arrays, self.views = (array("i", [new_code[code] for code in codes]),), None


class MetricCells(Cells):
    """The latest point of each row, and the histories of the rows that have more than one point.

    **Source** of what is the latest and what is dropped: `SqlAlchemyStore._log_metrics` of MLflow 3.17. The latest is
    the largest (step, timestamp, value), NaN counting as 0, and the older one of equals; a point logged twice is kept
    once.
    """

    __slots__ = ("histories",)

    typecodes = "Bdqq"
    fills = (ABSENT, float("nan"), 0, 0)

    def __init__(self, owner: object) -> None:
        super().__init__(owner)
        self.histories: dict[int, History] = {}

    def copy(self, owner: object) -> Self:
        """Return cells of the same contents that another owner may write to."""
        new = super().copy(owner)
        new.histories = self.histories.copy()
        return new

    def value(self, row: int) -> float:
        """Return the latest value of a row that has the metric."""
        value: float = self.arrays[1][row if self.rows is None else self.slot(row)]
        return value

    def add(self, row: int, value: float, timestamp: int, step: int, size: int) -> bool:
        """Log a point and return whether the row had none before."""
        place = self.slot(row)
        if place < 0:
            self.put(self.claim(row, size), value, timestamp, step)
            return True
        _, values, timestamps, steps = self.arrays
        old_value, old_timestamp, old_step = values[place], timestamps[place], steps[place]
        history = self.histories.get(row)
        if history is None:
            if (timestamp, step) == (old_timestamp, old_step) and (value == old_value or _both_nan(value, old_value)):
                return False
            history = self.histories[row] = History(self.owner)
            history.add(old_value, old_timestamp, old_step)
        elif history.owner is not self.owner:
            history = self.histories[row] = history.copy(self.owner)
        history.add(value, timestamp, step)
        if (step, timestamp, _ranked(value)) > (old_step, old_timestamp, _ranked(old_value)):
            self.put(place, value, timestamp, step)
        return False

    def put(self, place: int, value: float, timestamp: int, step: int) -> None:
        """Make a point the latest."""
        states, values, timestamps, steps = self.arrays
        states[place] = NUMBER if value == value else NAN
        values[place], timestamps[place], steps[place] = value, timestamp, step
        if self.rows is not None:
            self.views = None

    def points(self, row: int) -> tuple[array[float], array[int], array[int]]:
        """Return values, timestamps and steps of a row, sorted by (timestamp, step, value), each (points,)."""
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


def _ranked(value: float) -> float:
    return value if value == value else 0.0


class Times:
    """One time per row, for times that every row has a place for."""

    __slots__ = ("values",)

    def __init__(self, values: array[int] | None = None) -> None:
        self.values: array[int] = array("q") if values is None else values

    def column(self, size: int) -> IntColumn:
        """Return the column of the first `size` rows."""
        return IntColumn(np.frombuffer(self.values, np.int64)[:size])
