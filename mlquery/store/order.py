"""The default order of rows, newest first, maintained while rows are added so that a search never has to sort for it.

Rows and their (time, id) pairs are all that is known here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


class NewestFirst:
    """Rows sorted by time descending, then id ascending.

    They are kept the other way round, so that a newer row is appended. An array that was handed out never changes:
    appending writes behind its end, and anything else works on a copy.
    """

    __slots__ = ("_handed_out", "_newest", "_oldest_first", "_size")

    def __init__(self) -> None:
        self._oldest_first: Rows = np.empty(8, np.int64)
        self._size = 0
        self._newest = -1
        self._handed_out = False

    def copy(self) -> NewestFirst:
        """Return the same order, to be continued on its own."""
        new = NewestFirst()
        new._oldest_first, new._size = self._oldest_first.copy(), self._size
        new._newest = self._newest
        return new

    def rows(self) -> Rows:
        """Return the rows, newest first, as a read-only array (n,)."""
        self._handed_out = True
        rows = self._oldest_first[: self._size][::-1]
        rows.flags.writeable = False
        return rows

    def add(self, row: int, is_older: Callable[[int, int], bool]) -> None:
        """Put a row in its place; `is_older(a, b)` says whether row `a` belongs behind row `b`."""
        size, rows = self._size, self._oldest_first
        if size == len(rows):
            rows = np.concatenate([rows, np.empty_like(rows)])
            self._handed_out = False
        if self._newest < 0 or not is_older(row, self._newest):
            rows[size] = self._newest = row
        else:
            place = bisect_left(range(size - 1), True, key=lambda place: is_older(row, int(rows[place])))
            if self._handed_out:
                rows = rows.copy()
                self._handed_out = False
            rows[place + 1 : size + 1] = rows[place:size]
            rows[place] = row
        self._oldest_first, self._size = rows, size + 1

    def replace(self, oldest_first: Rows) -> None:
        """Take over a complete order."""
        self._size = len(oldest_first)
        self._oldest_first = oldest_first if len(oldest_first) else np.empty(8, np.int64)
        self._newest = int(oldest_first[-1]) if len(oldest_first) else -1
        self._handed_out = False
