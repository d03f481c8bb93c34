"""Cells: the values of one key in typed arrays, one per row that has the key, dense or sparse.

Dense arrays are indexed by row, grow by doubling, are written in place and read as NumPy views without a copy. Sparse
ones hold only the rows that have the key, sorted, and are spread out when they are read. Which of the two it is depends
on how many rows have the key. What the values mean is not known here. Two tables may share cells (a clone): `owner`
says whose they are, and only the owner writes to them or moves them. Cells of a store that was opened are of nobody;
see `unread`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt

_DENSE_FROM: Final = 8  # dense once at least 1/8 of the rows have the key,
_SPARSE_BELOW: Final = 16  # sparse again when a dense column would have to grow to more than 16 times its cells
_ALWAYS_DOUBLE: Final = 1 << 16

Array = npt.NDArray[Any]


class Cells:
    """The cells of one key. The first of `arrays` marks presence: a row without the key holds its fill there."""

    __slots__ = ("arrays", "count", "owner", "rows", "shown", "unread", "views")

    typecodes: ClassVar[str]
    fills: ClassVar[tuple[float, ...]]

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.rows: array[int] | None = array("i")
        self.arrays: tuple[array[Any], ...] = tuple(array(code) for code in self.typecodes)
        self.count = 0
        self.unread: Any = None
        self.views: tuple[Array, ...] | None = None
        self.shown: tuple[int, Any] | None = None  # the column of so many rows that dense cells were last read as

    def copy(self, owner: object) -> Self:
        """Return cells of the same contents that another owner may write to."""
        rows, arrays = self.rows, self.arrays  # before the class is asked for: cells that are read get another one
        new = object.__new__(type(self))
        new.owner = owner
        new.rows = None if rows is None else copied("i", rows)
        new.arrays = tuple(map(copied, self.typecodes, arrays))
        new.count = self.count
        new.unread = new.views = new.shown = None
        return new

    def view(self, number: int) -> Array:
        """Return one of the arrays as a NumPy array, without a copy."""
        cells, code = self.arrays[number], self.typecodes[number]
        return np.frombuffer(cells, code) if len(cells) else np.empty(0, code)

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
        if self.rows is None:
            if row < len(self.arrays[0]):
                return row
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

    def fill(self, rows: Sequence[int], columns: Sequence[array[Any]], size: int) -> None:
        """Set the cells of rows that have none, given in any order.

        Args:
            rows: The rows that get the key.
            columns: What each of the arrays has for them.
            size: The number of rows of the table.
        """
        if not self.count:
            self.rows, self.arrays = array("i"), tuple(map(array, self.typecodes))
        self.count, self.views, self.shown = self.count + len(rows), None, None
        if self.rows is None and self.is_short_of(size):
            self.reach(size)
        elif self.rows is not None and self.count * _DENSE_FROM >= size:
            self._spread(size)
        if self.rows is None:
            places = np.asarray(rows, np.intp)
            for number, column in enumerate(columns):
                self.view(number)[places] = column
            return
        order = np.argsort(np.concatenate([np.array(self.rows, np.intp), np.asarray(rows, np.intp)]))
        self.rows.extend(rows)
        whole = zip(self.typecodes, self.arrays, columns, strict=True)
        self.rows = _sorted(self.rows, order)
        self.arrays = tuple(_sorted(cells + array(code, column), order) for code, cells, column in whole)

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
        self.views = self.shown = None
        if self.count * _SPARSE_BELOW < size:
            self._gather()
            return
        extra = room_for(size) - len(self.arrays[0])
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
        return tuple(map(self.view, range(len(self.arrays))))

    def _densified(self, size: int, arrays: int) -> tuple[Array, ...]:
        rows = np.frombuffer(self.rows, "i") if self.rows else np.empty(0, "i")
        spread = []
        for number in range(arrays):
            column = np.full(size, self.fills[number], self.typecodes[number])
            column[rows] = self.view(number)
            spread.append(column)
        return tuple(spread)

    def _spread(self, size: int) -> None:
        assert self.rows is not None
        room = room_for(size)
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


def _sorted(cells: array[Any], order: npt.NDArray[np.intp]) -> array[Any]:
    return array(cells.typecode, np.frombuffer(cells, cells.typecode)[order].tobytes())


def copied(code: str, cells: Any) -> array[Any]:
    """Return a copy of an array, or of a memoryview that stands in for one."""
    return cells[:] if isinstance(cells, array) else array(code, cells.tobytes())


def room_for(size: int) -> int:
    """Return the capacity for `size` cells: a power of two, or an eighth of one more where so much would lie idle."""
    double = max(8, 1 << (size - 1).bit_length())
    if double <= _ALWAYS_DOUBLE:
        return double
    step = double // 16
    return -(-size // step) * step
