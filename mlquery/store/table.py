"""Tables: what rows of runs and of experiments have in common, as the engines read it and the calls write it.

A row is a number that stays for the life of the table. Nothing is checked here: arguments are clean and rows exist.
Columns that a table hands out are views, valid until the next write; entities are snapshots.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Generic, TypeVar

import numpy as np

from mlquery.store.cells import Cells
from mlquery.store.columns import MISSING, IntColumn, MetricCells, MetricColumn, StringCells, StringColumn, TimeCells
from mlquery.store.order import NewestFirst, Rows

C = TypeVar("C", bound=Cells)
V = TypeVar("V")

# What every column of lifecycle stages begins with; "deleted" comes with the first row that is, so that until then a
# search asks no row for its stage.
STAGES: Final = ("active",)
ACTIVE: Final = 0  # the code of "active"

_SPREAD_OUT_CELLS: Final = 1 << 23
_SHAPES: Final = 1 << 12
_SHAPE_KEYS: Final = 64


class Columns(Mapping[str, V], Generic[C, V]):
    """The columns of one kind by key. Reading one gives a view of all rows of the table.

    Sparse columns are spread out for the reader; the most recent ones are kept so, up to `_SPREAD_OUT_CELLS` cells.
    """

    def __init__(self, table: Table, new: Callable[[object], C], view: Callable[[C, int], V]) -> None:
        self.cells: dict[str, C] = {}
        self._table = table
        self._new = new
        self._view = view
        self._spread_out: OrderedDict[str, C] = OrderedDict()

    def __getitem__(self, key: str) -> V:
        cells, size = self.cells[key], self._table.size
        if cells.shown is not None and cells.shown[0] == size:
            column: V = cells.shown[1]
            return column
        if cells.is_short_of(size):
            cells = self.to_write(key)
            cells.reach(size)
        column = self._view(cells, size)
        if cells.rows is None:
            cells.shown = size, column
        else:
            self._remember(key, cells)
        return column

    def __iter__(self) -> Iterator[str]:
        return iter(self.cells)

    def __len__(self) -> int:
        return len(self.cells)

    def __contains__(self, key: object) -> bool:
        return key in self.cells

    def share(self, cells: Mapping[str, C]) -> None:
        """Take over the cells of another table; the first write to a key copies them."""
        self.cells = dict(cells)

    def to_write(self, key: str) -> C:
        """Return the cells of a key, made now if the key is new, copied now if another table shares them."""
        cells, owner = self.cells.get(key), self._table.owner
        if cells is None:
            cells = self.cells[key] = self._new(owner)
        elif cells.owner is not owner:
            cells = self.cells[key] = cells.copy(owner)
        return cells

    def discard(self, key: str) -> None:
        """Forget a key that no row has any more."""
        del self.cells[key]
        self._spread_out.pop(key, None)

    def _remember(self, key: str, cells: C) -> None:
        self._spread_out[key] = cells
        self._spread_out.move_to_end(key)
        while len(self._spread_out) > 1 and len(self._spread_out) * self._table.size > _SPREAD_OUT_CELLS:
            self._spread_out.popitem(last=False)[1].views = None


class Table:
    """Ids, string and time columns, tags and the default order (newest first) of runs or of experiments."""

    id_name: str
    order_name: str

    def __init__(self) -> None:
        self.owner = object()
        self.ids: list[str] = []
        self.row_of: dict[str, int] = {}
        self.strings: Columns[StringCells, StringColumn] = Columns(self, StringCells, StringCells.column)
        self.times: Columns[TimeCells, IntColumn] = Columns(self, TimeCells, TimeCells.column)
        self.params: Columns[StringCells, StringColumn] = Columns(self, StringCells, StringCells.column)
        self.metrics: Columns[MetricCells, MetricColumn] = Columns(self, MetricCells, MetricCells.column)
        self.tags: Columns[StringCells, StringColumn] = Columns(self, StringCells, StringCells.column)
        self.tag_keys: list[tuple[str, ...]] = []
        self._order = NewestFirst()
        self._order_is_known = True
        self._shapes: dict[tuple[str, ...], tuple[str, ...]] = {}

    @property
    def size(self) -> int:
        """Return the number of rows."""
        return len(self.ids)

    def share(self, other: Table) -> None:
        """Take over the rows of another table, at the cost of its keys and ids; cells are shared until a write."""
        self.share_cells(other)
        self.ids, self.row_of = other.ids[:], other.row_of.copy()
        self.tag_keys = other.tag_keys[:]
        self._order, self._order_is_known = other._order.copy(), other._order_is_known

    def share_cells(self, other: Table) -> None:
        """Take over the cells of another table; the first write to those of a key, by either, copies them."""
        other.owner = object()
        for name in ("strings", "times", "params", "metrics", "tags"):
            getattr(self, name).share(getattr(other, name).cells)

    def default_order(self) -> Rows:
        """Return all rows, newest first and then by ascending id, as a read-only array (n,)."""
        if not self._order_is_known:
            self._order.replace(self._sorted_rows())
            self._order_is_known = True
        return self._order.rows()

    def forget_order(self) -> None:
        """Find the default order when it is next asked for: quicker than a place for each of many new rows."""
        self._order_is_known = False

    def string(self, name: str, row: int) -> str | None:
        """Return a string attribute of a row, None if it has none."""
        return self.strings.cells[name].string(row)

    def put_string(self, name: str, row: int, string: str) -> None:
        """Set a string attribute of a row."""
        self.strings.to_write(name).put(row, string, len(self.ids))

    def put_time(self, name: str, row: int, time: int) -> None:
        """Set a time of a row, in ms UTC."""
        self.times.to_write(name).put(row, time, len(self.ids))

    def is_active(self, row: int) -> bool:
        """Return whether a row is in use, that is, not deleted."""
        is_active: bool = self.strings.cells["lifecycle_stage"].arrays[0][row] == ACTIVE
        return is_active

    def tags_at(self, row: int) -> dict[str, str]:
        """Return the tags of a row."""
        return strings_at(self.tags, self.tag_keys[row], row)

    def put_tags(self, row: int, tags: Iterable[tuple[str, str]]) -> None:
        """Set tags of a row."""
        size = len(self.ids)
        new = [key for key, value in tags if self.tags.to_write(key).put(row, value, size)]
        if new:
            self.tag_keys[row] = self.shape((*self.tag_keys[row], *new))

    def put_tag(self, row: int, key: str, value: str) -> None:
        """Set a tag of a row."""
        if self.tags.to_write(key).put(row, value, len(self.ids)):
            self.tag_keys[row] = self.shape((*self.tag_keys[row], key))

    def drop_tag(self, row: int, key: str) -> None:
        """Delete a tag of a row, if the row has it."""
        if key not in self.tag_keys[row]:
            return
        cells = self.tags.to_write(key)
        cells.discard(cells.slot(row))
        self.tag_keys[row] = self.shape(tuple(k for k in self.tag_keys[row] if k != key))
        if not cells.count:
            self.tags.discard(key)

    def shape(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        """Return the one tuple that rows with these keys share, as long as there are not too many kinds of rows."""
        if len(keys) > _SHAPE_KEYS:
            return keys  # hashing them all at each new key would take longer than the sharing is worth
        if len(self._shapes) >= _SHAPES:
            return self._shapes.get(keys, keys)
        return self._shapes.setdefault(keys, keys)

    def _add_row(self, new_id: str, strings: Mapping[str, str | None], times: Mapping[str, int | None]) -> int:
        """Add a row with its attributes; those that are None are left out."""
        row = len(self.ids)
        self.ids.append(new_id)
        self.row_of[new_id] = row
        self.tag_keys.append(())
        self.strings.to_write(self.id_name).add(row, new_id, row + 1)
        owner, columns = self.owner, self.strings.cells
        for name, string in strings.items():
            if string is not None:
                cells = columns[name]
                if cells.owner is not owner:
                    cells = self.strings.to_write(name)
                cells.add(row, string, row + 1)
        for name, time in times.items():
            if time is not None:
                self.times.to_write(name).add(row, time, row + 1)
        return row

    def _place(self, row: int) -> None:
        """Give a new row its place in the default order, unless the order is forgotten."""
        if self._order_is_known:
            self._order.add(row, self._is_older)

    def _is_older(self, row: int, other: int) -> bool:
        times = self.times.cells[self.order_name]
        time, other_time = times.time(row), times.time(other)
        if time == other_time:
            return self._id_rank(row) > self._id_rank(other)
        return (MISSING if time is None else time) < (MISSING if other_time is None else other_time)

    def _id_rank(self, row: int) -> tuple[int, str]:
        return 0, self.ids[row]

    def _sorted_rows(self) -> Rows:
        """Return all rows, the oldest first; ids are looked at only among rows of the same time."""
        times = self.times[self.order_name].values
        rows = np.argsort(times, kind="stable")
        times = times[rows]
        is_tied = np.zeros(len(rows) + 1, np.bool_)  # with the row before
        is_tied[1:-1] = times[1:] == times[:-1]
        starts = np.flatnonzero(~is_tied[:-1] & is_tied[1:]).tolist()
        stops = (np.flatnonzero(is_tied[:-1] & ~is_tied[1:]) + 1).tolist()
        for start, stop in zip(starts, stops, strict=True):
            rows[start:stop] = sorted(rows[start:stop].tolist(), key=self._id_rank, reverse=True)
        return rows


def strings_at(columns: Columns[StringCells, StringColumn], keys: tuple[str, ...], row: int) -> dict[str, str]:
    """Return the strings of a row that has these keys."""
    cells = columns.cells
    return {key: cells[key].string(row) for key in keys}  # type: ignore[misc]
