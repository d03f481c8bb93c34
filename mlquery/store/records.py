"""Read the data of many rows as dictionaries, column by column: far fewer steps than row by row. Knows no entities."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from mlquery.store.columns import MISSING, IntColumn, MetricCells, MetricColumn, TextCells, TextColumn
from mlquery.store.order import Rows
from mlquery.store.table import Columns

_FEW_KEYS: Final = 64

Record = dict[str, Any]


def texts_of(column: TextColumn, rows: Rows) -> list[str | None]:
    """Return the texts of rows, None for those that have none."""
    table = column.table
    return [table[code] if code >= 0 else None for code in column.codes[rows].tolist()]


def times_of(column: IntColumn, rows: Rows) -> list[int | None]:
    """Return the times of rows in ms UTC, None for those that are not known."""
    return [None if time == MISSING else time for time in column.values[rows].tolist()]


def text_records(columns: Columns[Any, TextColumn], keys_of: Sequence[tuple[str, ...]], rows: Rows) -> list[Record]:
    """Return the params or tags of rows, a dictionary each."""
    return _records(columns, keys_of, rows, _any_texts)


def metric_records(columns: Columns[Any, MetricColumn], keys_of: Sequence[tuple[str, ...]], rows: Rows) -> list[Record]:
    """Return the latest metrics of rows, a dictionary each."""
    return _records(columns, keys_of, rows, lambda column, some: column.values[some].tolist())


def _any_texts(column: TextColumn, rows: Rows) -> Iterable[str]:
    """Return the texts of rows; where there is none, any other, which nobody reads."""
    return map(column.table.__getitem__, column.codes[rows].tolist())


def _records(
    columns: Columns[Any, Any],
    keys_of: Sequence[tuple[str, ...]],
    rows: Rows,
    read: Callable[[Any, Rows], Iterable[Any]],
) -> list[Record]:
    shapes = [keys_of[row] for row in rows.tolist()]
    kinds = {id(shape): shape for shape in shapes}
    keys = list(dict.fromkeys(key for shape in kinds.values() for key in shape))
    if not keys:
        return [{} for _ in shapes]
    if len(keys) > _FEW_KEYS:
        return _by_shape(columns.cells, shapes, rows)
    table = zip(*[read(columns[key], rows) for key in keys])  # noqa: B905  # a check of every row would cost a tenth
    if len(kinds) == 1:
        return [dict(zip(keys, values)) for values in table]  # noqa: B905
    pick = {name: _picker(shape, keys) for name, shape in kinds.items()}
    return [dict(zip(shape, pick[id(shape)](values))) for shape, values in zip(shapes, table)]  # noqa: B905


def _picker(shape: tuple[str, ...], keys: list[str]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Return the function that takes the values of some keys out of those of all."""
    places = [keys.index(key) for key in shape]
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple(values[place] for place in places)


def _by_shape(cells: Mapping[str, TextCells | MetricCells], shapes: list[tuple[str, ...]], rows: Rows) -> list[Record]:
    """Read only the cells that are there: the way for rows that have few of very many keys."""
    alike: dict[int, list[int]] = defaultdict(list)
    for place, shape in enumerate(shapes):
        alike[id(shape)].append(place)
    found: list[Record] = [{}] * len(shapes)
    for places in alike.values():
        keys, some = shapes[places[0]], [int(rows[place]) for place in places]
        data = zip(*[cells[key].at_present(some) for key in keys], strict=True) if keys else ((),) * len(some)
        for place, values in zip(places, data, strict=True):
            found[place] = dict(zip(keys, values, strict=True))
    return found
