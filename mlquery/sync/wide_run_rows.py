"""Turns the columns of runs into rows, each with all values of one run: what pages of searches read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mlquery.sql.layouts.manifest import ATTRIBUTES, Column
from mlquery.sql.layouts.run_rows import METRICS, STRINGS, schema
from mlquery.sync.wide_rows import Ints, Latest, Values

Cells = tuple[Ints, list[Any]]
"""The rows that have a value in a column, (k,), and the parts of their values, Arrow arrays (k,)."""


def row_table(values: Values, latest: Mapping[str, Latest], column: Callable[[str, str], Column]) -> Any:
    """Return the table of `run_rows.schema` with the values of columns (n,), keys in the order given.

    Args:
        values: The columns.
        latest: The latest points of each metric.
        column: Returns the column of a kind and a key.
    """
    import pyarrow as arrow

    wanted = schema()
    size = len(values["attribute", "run_id"])
    arrays = {name: _plain(values["attribute", name]) for name in ATTRIBUTES}
    cells: dict[str, list[Cells]] = {METRICS: [], STRINGS: []}
    for (kind, key), array in values.items():
        if kind == "metric":
            cells[METRICS].append(_metric(array, latest[key], column(kind, key)))
        elif kind != "attribute":
            cells[STRINGS].append(_cells(array, column(kind, key)))
    arrays |= {name: _lists(found, size, wanted.field(name).type) for name, found in cells.items()}
    return arrow.table(arrays, schema=wanted)


def _metric(array: Any, latest: Latest, column: Column) -> Cells:
    import pyarrow as arrow

    rows, parts = _cells(array, column)
    return rows, [*parts, *(arrow.array(numbers[rows]) for numbers in latest)]


def _cells(array: Any, column: Column) -> Cells:
    import pyarrow as arrow

    rows = np.flatnonzero(np.asarray(array.is_valid()))
    return rows, [arrow.array(np.full(len(rows), column.number, np.int32)), _plain(array.drop_null())]


def _plain(array: Any) -> Any:
    import pyarrow as arrow

    return array.dictionary_decode() if arrow.types.is_dictionary(array.type) else array


def _lists(cells: Sequence[Cells], size: int, kind: Any) -> Any:
    """Return for each of `size` rows the list of its values."""
    import pyarrow as arrow

    if not cells:
        return arrow.array([[]] * size, kind)
    rows = np.concatenate([of for of, _ in cells])
    order = arrow.array(np.argsort(rows, kind="stable"))
    parts = [arrow.concat_arrays(part).take(order) for part in zip(*(parts for _, parts in cells), strict=True)]
    ends = np.append(0, np.cumsum(np.bincount(rows, minlength=size))).astype(np.int32)
    structs = arrow.StructArray.from_arrays(parts, fields=list(kind.value_type))
    return arrow.ListArray.from_arrays(arrow.array(ends), structs, type=kind)
