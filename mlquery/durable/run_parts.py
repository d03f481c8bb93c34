"""The runs of a snapshot as parts: the cells of each key, its strings, groups of histories, each read when asked for.

The same runs give the same parts, whether they were logged or read from a journal or a snapshot: strings are numbered
in the order of the rows, histories are sorted by row, and NaN has one form. Files are not known here.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlquery.durable.entries import encode
from mlquery.durable.parts import Add, Part, Parts
from mlquery.entities import Dataset, DatasetInput, InputTag
from mlquery.store.cells import Cells, room_for
from mlquery.store.columns import MetricCells, StringCells
from mlquery.store.entity_fields import dataset_input_fields
from mlquery.store.history import History
from mlquery.store.run_table import RunTable
from mlquery.store.stored import StoredHistories, StoredStrings, encoded
from mlquery.store.table import Columns
from mlquery.store.unread import unread_metrics, unread_strings, unread_times

_POINTS_AT_ONCE: Final = 1 << 16
_ALIGNMENT: Final = 8

Array = npt.NDArray[Any]


# Writing


def runs_dumped(runs: RunTable, add: Add) -> dict[str, Any]:
    """Add parts with all of the runs, and return what says which is which, for JSON."""
    found: dict[str, Any] = {
        "size": runs.size,
        "ids": add(_packed_strings(runs.ids)),
        "inputs": _inputs_dumped(runs, add),
        "artifact_uris": _uris_dumped(runs.own_artifact_uris, add),
    }
    for kind, columns in _columns_of(runs).items():
        left_out = ("run_id", "artifact_uri") if kind == "texts" else ()
        found[kind] = [
            [key, *_cells_dumped(cells, runs.size, key == "lifecycle_stage" and kind == "texts", add)]
            for key, cells in columns.cells.items()
            if key not in left_out
        ]
    for kind, keys in _keys_of(runs).items():
        codes: dict[tuple[str, ...], int] = {}
        column = array("i", [codes.setdefault(one, len(codes)) for one in keys])
        found[f"{kind}.keys"] = [list(codes), add(column)]
    return found


def _uris_dumped(uris: Mapping[int, str | None], add: Add) -> list[Any]:
    """Return the rows without a place for artifacts, how many have one of their own, and the parts of rows and URIs."""
    own = {row: uri for row, uri in uris.items() if uri is not None}
    part = add(_packed([array("i", own)])), add(_packed_strings(list(own.values())))
    return [[row for row, uri in uris.items() if uri is None], len(own), *part]


def _columns_of(runs: RunTable) -> dict[str, Columns[Any, Any]]:
    """Return all columns by the names that their kinds have in a snapshot."""
    return {
        "texts": runs.strings,
        "times": runs.times,
        "params": runs.params,
        "tags": runs.tags,
        "metrics": runs.metrics,
    }


def _keys_of(runs: RunTable) -> dict[str, list[tuple[str, ...]]]:
    """Return which keys each row has, by kind."""
    return {"params": runs.param_keys, "tags": runs.tag_keys, "metrics": runs.metric_keys}


def _cells_dumped(cells: Cells, size: int, has_fixed_codes: bool, add: Add) -> list[Any]:
    """Return how many cells there are, their part, and what else belongs to the key: strings or histories."""
    rows = _rows(cells, size)
    places = rows if cells.rows is None else slice(None)
    columns = [cells.view(number)[places] for number in range(len(cells.typecodes) if len(rows) else 0)]
    more: list[Any] = []
    if isinstance(cells, StringCells):
        table: Sequence[str] = cells.table
        if not has_fixed_codes:
            columns[:1], table = _renumbered(columns[:1], table)
        more = [len(table), add(_packed_strings(table))]
    if isinstance(cells, MetricCells):
        columns[1:2] = map(_with_one_nan, columns[1:2])
        more = _histories_dumped(cells, add)
    if not len(rows):
        return [0, None, *more]
    if _is_dense(len(rows), size):
        columns = [
            _spread(rows, column, fill, code, size)
            for column, fill, code in zip(columns, cells.fills, cells.typecodes, strict=True)
        ]
    else:
        columns = [rows, *columns]
    return [len(rows), add(_packed(columns)), *more]


def _is_dense(count: int, size: int) -> bool:
    return count * 8 >= size


def _rows(cells: Cells, size: int) -> npt.NDArray[np.int32]:
    if cells.rows is not None:
        return np.array(cells.rows, np.int32)
    return np.flatnonzero(cells.view(0)[:size] != cells.fills[0]).astype(np.int32)


def _spread(rows: Array, column: Array, fill: float, code: str, size: int) -> Array:
    whole = np.full(size, fill, code)
    whole[rows] = column
    return whole


def _renumbered(codes: list[Array], table: Sequence[str]) -> tuple[list[Array], Sequence[str]]:
    """Return codes (none or one column) and strings: those that some row has, in the order in which rows have them."""
    if not codes:
        return codes, []
    (column,) = codes
    highest = np.maximum.accumulate(column)
    if column[0] == 0 and (np.diff(highest) <= 1).all() and highest[-1] == len(table) - 1:
        return codes, table
    used, first = np.unique(column, return_index=True)
    used = used[np.argsort(first)]
    new = np.zeros(len(table), np.int32)
    new[used] = np.arange(len(used))
    return [new[column]], [table[code] for code in used.tolist()]


def _with_one_nan(values: Array) -> Array:
    """Return values in which NaN has always the same bits, as in those that a journal gives."""
    is_nan = np.isnan(values)
    return np.where(is_nan, np.nan, values) if is_nan.any() else values


def _packed(columns: Sequence[Any]) -> bytes:
    """Return arrays as one part; each starts at a multiple of 8."""
    pieces = []
    for column in columns:
        content = column.tobytes()
        pieces += [content, bytes(-len(content) % _ALIGNMENT)]
    return b"".join(pieces)


def _packed_strings(strings: Sequence[str]) -> bytes:
    text, sizes = encoded(strings, 0, len(strings))
    return b"".join([_packed([np.cumsum(sizes)]), text])


def _inputs_dumped(runs: RunTable, add: Add) -> list[Any]:
    """Return what runs read, each once for an experiment, and the part that says which rows read which."""
    codes: dict[str, int] = {}
    rows, column = array("i"), array("i")
    for row, found in runs.inputs.items():
        uses = [runs.string("experiment_id", row) or "", list(map(dataset_input_fields, found))]
        rows.append(row)
        column.append(codes.setdefault(encode(uses), len(codes)))
    return [list(codes), len(rows), add(_packed([rows, column]))]


def _histories_dumped(cells: MetricCells, add: Add) -> list[Any]:
    """Return how many histories there are, the part with their rows and ends, and the groups: ends and parts."""
    histories = sorted(cells.histories.items(), key=lambda item: item[0])
    ends = list(accumulate(len(history) for _, history in histories))
    groups = []
    for start, stop in _groups(ends):
        groups.append([stop, add(_packed_points([history for _, history in histories[start:stop]]))])
    if not histories:
        return [0, None, groups]
    return [len(histories), add(_packed([array("i", [row for row, _ in histories]), array("q", ends)])), groups]


def _groups(ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield slices of histories, none of which has many more points than are read at once."""
    start, before = 0, 0
    for place, end in enumerate(ends):
        if end - before >= _POINTS_AT_ONCE or place == len(ends) - 1:
            yield start, place + 1
            start, before = place + 1, end


def _packed_points(histories: Sequence[History]) -> bytes:
    columns = ([getattr(one, name) for one in histories] for name in ("values", "timestamps", "steps"))
    values, timestamps, steps = map(b"".join, columns)
    return b"".join([_with_one_nan(np.frombuffer(values)).tobytes(), timestamps, steps])


# Reading


def restore_runs(runs: RunTable, header: Mapping[str, Any], parts: Parts) -> None:
    """Fill a table without rows from what `runs_dumped` gave."""
    size = header["size"]
    if not size:
        return
    runs.ids.extend(_strings(parts, header["ids"], size).all())
    runs.row_of.update(zip(runs.ids, range(size), strict=True))
    _fill_ids(runs, size)
    for kind, columns in _columns_of(runs).items():
        for key, count, part, *more in header[kind]:
            if count:
                columns.cells[key] = _unread(kind, parts, size, count, part, more)
            else:
                columns.to_write(key)
    for kind, keys in _keys_of(runs).items():
        shapes, part = header[f"{kind}.keys"]
        shapes = [runs.shape(tuple(shape)) for shape in shapes]
        keys[:] = map(shapes.__getitem__, memoryview(parts.part(part)).cast("i"))
    _restore_uris(runs, parts, *header["artifact_uris"])
    _restore_inputs(runs, parts, *header["inputs"])
    runs.forget_order()


def _fill_ids(runs: RunTable, size: int) -> None:
    """Give the column of run ids its cells; its strings are those of the table."""
    cells, codes = runs.strings.to_write("run_id"), array("i", range(size))
    codes.extend([-1] * (room_for(size) - size))
    cells.rows, cells.arrays, cells.count = None, (codes,), size


def _unread(kind: str, parts: Parts, size: int, count: int, part: int, more: Sequence[Any]) -> Cells:
    codes = {"metrics": MetricCells.typecodes, "times": "q"}.get(kind, "i")
    is_dense = _is_dense(count, size)

    def read_cells() -> tuple[Any, tuple[Any, ...]]:
        if is_dense:
            return None, _unpacked(parts.part(part), codes, size)
        rows, *columns = _unpacked(parts.part(part), "i" + codes, count)
        return rows, tuple(columns)

    if kind == "times":
        return unread_times(count, read_cells)
    if kind == "metrics":
        return unread_metrics(count, read_cells, _histories(parts, *more))
    number, strings = more
    return unread_strings(count, read_cells, _strings(parts, strings, number))


def _unpacked(content: Part, codes: str, size: int) -> tuple[memoryview, ...]:
    """Return the arrays of so many items each that `_packed` put into a part."""
    start, whole = 0, memoryview(content).cast("B")
    found: list[Any] = []
    for code in codes:
        stop = start + size * array(code).itemsize
        found.append(whole[start:stop].cast(code))  # type: ignore[call-overload]
        start = stop + -stop % _ALIGNMENT
    return tuple(found)


def _strings(parts: Parts, part: int, size: int) -> StoredStrings:
    def read_strings() -> tuple[memoryview, memoryview]:
        content = memoryview(parts.part(part))
        return content[: 8 * size].cast("q"), content[8 * size :]

    return StoredStrings(size, read_strings)


def _histories(parts: Parts, size: int, part: int | None, groups: Sequence[tuple[int, int]]) -> StoredHistories:
    def read_places() -> tuple[memoryview, memoryview]:
        if part is None:
            return memoryview(array("i")), memoryview(array("q"))
        content = memoryview(parts.part(part))
        rows_end = 4 * size + -4 * size % _ALIGNMENT
        return content[: 4 * size].cast("i"), content[rows_end:].cast("q")

    def read_group(number: int) -> tuple[Any, Any, Any]:
        content = memoryview(parts.part(groups[number][1]))
        third = len(content) // 3
        return content[:third].cast("d"), content[third : 2 * third].cast("q"), content[2 * third :].cast("q")

    return StoredHistories(size, read_places, [stop for stop, _ in groups], read_group)


def _restore_uris(runs: RunTable, parts: Parts, without: Sequence[int], size: int, rows: int, uris: int) -> None:
    runs.own_artifact_uris.update(dict.fromkeys(without))
    (found,) = _unpacked(parts.part(rows), "i", size)
    runs.own_artifact_uris.update(zip(found, _strings(parts, uris, size).all(), strict=True))


def _restore_inputs(runs: RunTable, parts: Parts, uses: Sequence[str], size: int, part: int) -> None:
    found: list[tuple[DatasetInput, ...]] = []
    for experiment_id, datasets in map(json.loads, uses):
        found.append(tuple(_input_of(runs, experiment_id, *use["dataset"], tags=use["tags"]) for use in datasets))
    rows, codes = _unpacked(parts.part(part), "ii", size)
    runs.inputs.update(zip(rows, map(found.__getitem__, codes), strict=True))


def _input_of(runs: RunTable, experiment_id: str, *dataset: Any, tags: Sequence[Any]) -> DatasetInput:
    given = Dataset(*dataset)
    one = runs.datasets.setdefault((experiment_id, given.name, given.digest), given)
    return DatasetInput(one, [InputTag(key, value) for key, value in tags])
