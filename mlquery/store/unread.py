"""Cells whose arrays are read when they are first looked at; from then on they are cells as any others.

They belong to no table, so that a write works on a copy. What reads them is handed in; files are not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, cast

from mlquery.store.cells import Cells
from mlquery.store.columns import MetricCells, StringCells, TimeCells
from mlquery.store.growing import OF_NONE
from mlquery.store.stored import StoredHistories, StoredIndex, StoredStrings

C = TypeVar("C", bound=Cells)
Read = Callable[[], tuple[Any, tuple[Any, ...]]]
"""Returns rows, None for dense cells, and arrays."""


class _Unread:
    """Reads `rows` and `arrays` at the first look at one of them: until then the slots are empty."""

    __slots__ = ()

    read_class: ClassVar[type[Cells]]

    def __getattr__(self: Any, name: str) -> Any:
        if name not in ("rows", "arrays"):
            raise AttributeError(name)
        read = self.unread
        if read is not None:  # else another thread was quicker, through a table that shares the cells
            self.rows, self.arrays = read()
            self.__class__ = self.read_class
            self.unread = None
        return getattr(self, name)


class _UnreadStrings(_Unread, StringCells):
    __slots__ = ()
    read_class = StringCells


class _UnreadMetrics(_Unread, MetricCells):
    __slots__ = ()
    read_class = MetricCells


class _UnreadTimes(_Unread, TimeCells):
    __slots__ = ()
    read_class = TimeCells


def unread_strings(count: int, read: Read, table: StoredStrings) -> StringCells:
    """Return the cells of a param, a tag or an attribute that so many rows have."""
    cells = _made(_UnreadStrings, count, read)
    cells.digest = OF_NONE
    cells.table, cells.index = cast("list[str]", table), cast("dict[str, int]", StoredIndex(table))
    return cells


def unread_metrics(count: int, read: Read, histories: StoredHistories) -> MetricCells:
    """Return the cells of a metric that so many rows have."""
    cells = _made(_UnreadMetrics, count, read)
    cells.histories, cells.hashed, cells.moved = histories, None, {}
    return cells


def unread_times(count: int, read: Read) -> TimeCells:
    """Return the cells of a time that so many rows have."""
    return _made(_UnreadTimes, count, read)


def _made(kind: type[C], count: int, read: Read) -> C:
    cells = object.__new__(kind)
    cells.owner, cells.count, cells.unread = None, count, read
    cells.views = cells.shown = None
    return cells
