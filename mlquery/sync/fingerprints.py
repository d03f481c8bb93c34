"""Fingerprints of runs: one number for everything of a run that an export holds, computed column by column.

A fingerprint is the sum of hashes: of each attribute, metric, param and tag, and of each point, dataset and model. Each
hash knows what it is of, so that the same number elsewhere has another one; what a run does not have adds nothing.
Strings of columns with very many of them are not hashed one by one: as long as their table begins with the strings that
it began with, their codes stand for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from operator import attrgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlquery.entities import DatasetInput
from mlquery.store.cells import Cells
from mlquery.store.columns import ABSENT, MISSING, MetricCells, StringCells
from mlquery.store.growing import Hashes
from mlquery.store.model_table import ModelTable
from mlquery.store.run_table import RunTable
from mlquery.sync.mixing import hashes_of, mixed, mixed_blocks

MANY: Final = 1 << 14
_STRINGS: Final = ("experiment_id", "run_name", "status", "user_id", "lifecycle_stage")
_TIMES: Final = ("start_time", "end_time")
_AT_ONCE: Final = 1 << 15
_POINTS_AT_ONCE: Final = 1 << 20
_VALUES: Final = attrgetter("values")
_POINT: Final = ((_VALUES, np.float64), (attrgetter("timestamps"), np.int64), (attrgetter("steps"), np.int64))
_DATASET, _TAGS, _KEY, _VALUE = map(attrgetter, ("dataset", "tags", "key", "value"))
_DATASET_FIELDS: Final = attrgetter("name", "digest", "source_type", "source", "schema", "profile")


def long_columns(table: RunTable) -> dict[str, StringCells]:
    """Return the columns that have very many strings, by name."""
    return {name: cells for name, cells in _string_columns(table) if len(cells.table) > MANY}


def _string_columns(table: RunTable) -> Iterator[tuple[str, StringCells]]:
    for name in _STRINGS:
        yield f"attribute {name}", table.strings.cells[name]
    for kind, columns in (("param", table.params), ("tag", table.tags)):
        for key, cells in columns.cells.items():
            yield f"{kind} {key}", cells


def fingerprints(table: RunTable, models: ModelTable, coded: Iterable[str]) -> Hashes:
    """Return a fingerprint of each run, (n,).

    Args:
        table: The runs.
        models: What they wrote and read.
        coded: The names of columns whose codes stand for their strings.
    """
    found, by_code = np.zeros(table.size, np.uint64), frozenset(coded)
    for name, cells in _string_columns(table):
        rows, codes = _present(cells, table.size)
        if name in by_code:
            _add(found, rows, codes >= 0, name, codes.astype(np.int64))
        else:
            _add_codes(found, rows, codes, _of_codes(name, cells.table))
    for name in _TIMES:
        rows, times = _present(table.times.cells[name], table.size)
        _add(found, rows, times != MISSING, f"attribute {name}", times)
    for key, metric in table.metrics.cells.items():
        rows, states = _present(metric, table.size)
        columns = [metric.view(number)[: len(states)] for number in (1, 2, 3)]
        _add(found, rows, states != ABSENT, f"metric {key}", *columns)
        _add_points(found, metric, f"points of metric {key}")
    _add_locations(found, table)
    found[_ints(table.inputs)] += table.hashed["datasets"].of(list(table.inputs.values()), _of_datasets)
    _add_models(found, table, "models written", models.outputs)
    _add_models(found, table, "models read", models.inputs)
    return found


def _add(found: Hashes, rows: Any, is_there: Any, name: str, *columns: npt.NDArray[Any]) -> None:
    """Add hashes of numbers, each column (k,), to fingerprints of rows (k,) or of a slice, where there are numbers."""
    for part, hashes in mixed_blocks(name, *columns):
        if not is_there[part].all():
            np.multiply(hashes, is_there[part], out=hashes)
        found[part if isinstance(rows, slice) else rows[part]] += hashes


def _add_codes(found: Hashes, rows: Any, codes: npt.NDArray[np.int32], hashes: Hashes) -> None:
    for start in range(0, len(codes), _AT_ONCE):
        part = slice(start, min(start + _AT_ONCE, len(codes)))
        found[part if isinstance(rows, slice) else rows[part]] += hashes[codes[part].astype(np.intp)]


def _add_points(found: Hashes, cells: MetricCells, name: str) -> None:
    """Add each point of the rows with more than one; those of histories that have not grown are hashed once."""
    histories = list(cells.histories.values())
    sizes, hashes = _ints(map(len, map(_VALUES, histories))), np.zeros(len(histories), np.uint64)
    is_known = np.zeros(len(histories), np.bool_)
    if cells.hashed is not None:
        known = len(cells.hashed[0])
        is_known[:known] = sizes[:known] == cells.hashed[0]
        hashes[:known] = cells.hashed[1]
    new = np.flatnonzero(~is_known)
    for part in _pieces(sizes[new]):
        some = [histories[place] for place in new[part].tolist()]
        columns = [np.frombuffer(b"".join(map(of, some)), kind) for of, kind in _POINT]
        hashes[new[part]] = _sums(mixed(name, *columns), sizes[new[part]])
    cells.hashed = sizes, hashes
    found[_ints(cells.histories)] += hashes


def _pieces(sizes: npt.NDArray[np.int64]) -> Iterator[slice]:
    """Yield histories of these sizes in pieces that have not too many points."""
    ends, start = np.cumsum(sizes), 0
    while start < len(ends):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _POINTS_AT_ONCE, "right")))
        yield slice(start, stop)
        start = stop


def _add_locations(found: Hashes, table: RunTable) -> None:
    """Add where artifacts are: below a root of the experiment, or at a place of the run's own."""
    cells = table.strings.cells["experiment_id"]
    rows, codes = _present(cells, table.size)
    roots = [repr(table.roots.get(one)) for one in cells.table]
    _add_codes(found, rows, codes, _of_codes("root of artifacts", roots))
    own = table.own_artifact_uris
    hashes = table.hashed["artifacts"].of(list(own.values()), lambda uris: hashes_of(map(repr, uris)))
    found[_ints(own)] += mixed("own artifacts", hashes)


def _of_datasets(inputs: Sequence[Sequence[DatasetInput]]) -> Hashes:
    """Return a hash of the datasets that each of some runs reads, each with its place, and with its tags in order."""
    uses = list(chain.from_iterable(inputs))
    datasets, tags = list(map(_DATASET, uses)), list(map(_TAGS, uses))
    known = {id(one): one for one in datasets}
    known = dict(zip(known, hashes_of(map(repr, map(_DATASET_FIELDS, known.values()))).tolist(), strict=True))
    contents = np.fromiter(map(known.__getitem__, map(id, datasets)), np.uint64, len(datasets))
    numbers, all_tags = _ints(map(len, tags)), list(chain.from_iterable(tags))
    keys, values = (_of_each(map(of, all_tags)) for of in (_KEY, _VALUE))
    of_tags = _sums(mixed("tag of a dataset", keys, values, _places(numbers)), numbers)
    numbers = _ints(map(len, inputs))
    return _sums(mixed("dataset", contents, of_tags, _places(numbers)), numbers)


def _add_models(
    found: Hashes, table: RunTable, name: str, of_runs: Mapping[str, Mapping[str, int] | Mapping[str, None]]
) -> None:
    """Add the models that runs wrote or read, in order, by run id."""
    hashes = table.hashed[name].of(list(of_runs.values()), _of_models)
    rows = _ints(map(table.row_of.get, of_runs, repeat(-1)))
    is_there = rows >= 0  # databases remember runs that were removed
    found[rows[is_there]] += mixed(name, hashes[is_there])


def _of_models(related: Sequence[Mapping[str, int] | Mapping[str, None]]) -> Hashes:
    return hashes_of(repr(list(of.items())) for of in related)


def _of_codes(name: str, strings: Sequence[str]) -> Hashes:
    """Return the hashes of strings by code; the last one is for the code -1."""
    return np.append(mixed(name, hashes_of(strings)), np.uint64(0))


def _of_each(strings: Iterable[str]) -> Hashes:
    """Return the hash of each string; many are the same."""
    strings = list(strings)
    known = list(dict.fromkeys(strings))
    hash_of = dict(zip(known, hashes_of(known).tolist(), strict=True))
    return np.fromiter(map(hash_of.__getitem__, strings), np.uint64, len(strings))


def _sums(hashes: Hashes, sizes: npt.NDArray[np.int64]) -> Hashes:
    """Return the sums of hashes (m,) in groups that follow one another, (n,); `sizes` are how many each group has."""
    ends = np.cumsum(sizes)
    before = np.append(np.uint64(0), np.cumsum(hashes))
    sums: Hashes = before[ends] - before[ends - sizes]
    return sums


def _places(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the place of each member in its group, (m,), for groups of these sizes (n,)."""
    starts = np.cumsum(sizes) - sizes
    return np.arange(int(sizes.sum())) - np.repeat(starts, sizes)


def _ints(numbers: Iterable[int]) -> npt.NDArray[np.int64]:
    return np.fromiter(numbers, np.int64)


def _present(cells: Cells, size: int) -> tuple[Any, Any]:
    """Return rows with all that have a cell, and the marks of their cells, one of which stands for none."""
    marks = cells.view(0)
    if cells.rows is None:
        return slice(0, min(size, len(marks))), marks[:size]
    return np.array(cells.rows, np.int64), marks
