"""Fingerprints of runs: one number for everything of a run that an export holds, computed column by column.

Points are only ever added, and so are datasets: their number stands for them. Strings of columns with very many of them
are not hashed one by one: as long as their table begins with the strings that it began with, their codes stand for
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b, sha256
from operator import attrgetter
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.store.cells import Cells
from mlquery.store.columns import ABSENT, MISSING, MetricCells, StringCells
from mlquery.store.model_table import ModelTable
from mlquery.store.run_table import RunTable

Hashes = npt.NDArray[np.uint64]

MANY: Final = 1 << 14
_STRINGS: Final = ("experiment_id", "run_name", "status", "user_id", "lifecycle_stage")
_TIMES: Final = ("start_time", "end_time")
_AT_ONCE: Final = 1 << 16
_SEPARATOR: Final = "\0\x1f\0"
_VALUES: Final = attrgetter("values")


@attrs.frozen
class Beginning:
    """How a list of strings begins: how many there were, and their digest."""

    size: int
    digest: str


def beginnings(strings: Sequence[str], size: int) -> tuple[Beginning, Beginning]:
    """Return how a list begins, its first `size` strings and all that it has now, in one pass."""
    size = min(size, len(strings))
    digest = sha256(_joined(strings[:size]))
    before = Beginning(size, digest.hexdigest())
    digest.update(_joined(strings[size:]))
    return before, Beginning(len(strings), digest.hexdigest())


def _joined(strings: Sequence[str]) -> bytes:
    return "".join([_SEPARATOR.join(strings), _SEPARATOR]).encode(errors="surrogatepass") if strings else b""


def long_tables(table: RunTable) -> dict[str, Sequence[str]]:
    """Return the strings of the columns that have very many, by name."""
    return {name: cells.table for name, cells in _string_columns(table) if len(cells.table) > MANY}


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
        numbers = codes.astype(np.uint64) if name in by_code else _of_codes(cells.table)[codes]
        _add(found, rows, numbers, name, codes < 0)
    for name in _TIMES:
        rows, times = _present(table.times.cells[name], table.size)
        _add(found, rows, times, f"attribute {name}", times == MISSING)
    for key, metric in table.metrics.cells.items():
        _add_metric(found, metric, f"metric {key}")
    _add_locations(found, table)
    _add_models(found, table, models)
    inputs = np.fromiter(map(len, table.inputs.values()), np.int64, len(table.inputs))
    _add(found, np.fromiter(table.inputs, np.int64, len(table.inputs)), inputs, "datasets")
    return found


def _add(found: Hashes, rows: Any, numbers: npt.NDArray[Any], name: str, is_missing: Any = None) -> None:
    """Add numbers (k,) of rows (k,) or of a slice of rows to their fingerprints, nothing where they are missing."""
    seed = np.uint64(int.from_bytes(blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest(), "little"))
    bits = numbers.view(np.uint64)
    for start in range(0, len(bits), _AT_ONCE):
        part = slice(start, min(start + _AT_ONCE, len(bits)))
        mixed = _mixed(bits[part] + seed)
        if is_missing is not None:
            mixed[is_missing[part]] = 0
        found[part if isinstance(rows, slice) else rows[part]] += mixed


def _mixed(numbers: Hashes) -> Hashes:
    """Return numbers of which each bit depends on all bits of those given (splitmix64); those given are lost."""
    numbers ^= numbers >> np.uint64(30)
    numbers *= np.uint64(0xBF58476D1CE4E5B9)
    numbers ^= numbers >> np.uint64(27)
    numbers *= np.uint64(0x94D049BB133111EB)
    numbers ^= numbers >> np.uint64(31)
    return numbers


def _add_metric(found: Hashes, cells: MetricCells, name: str) -> None:
    rows, states = _present(cells, len(found))
    values, timestamps, steps = (_bits(cells, number)[: len(states)] for number in (1, 2, 3))
    numbers = values.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    numbers += timestamps.view(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    numbers += steps.view(np.uint64) * np.uint64(0x165667B19E3779F9)
    _add(found, rows, numbers, name, states == ABSENT)
    if cells.histories:
        longer = np.fromiter(cells.histories, np.int64, len(cells.histories))
        sizes = np.fromiter(map(len, map(_VALUES, cells.histories.values())), np.int64, len(longer))
        _add(found, longer, sizes, f"points of {name}")


def _add_locations(found: Hashes, table: RunTable) -> None:
    """Add where artifacts are: below a root of the experiment, or at a place of the run's own."""
    cells = table.strings.cells["experiment_id"]
    rows, codes = _present(cells, table.size)
    roots = _of_codes([table.roots.get(one) or "" for one in cells.table])
    _add(found, rows, roots[codes], "root of artifacts", codes < 0)
    own = table.own_artifact_uris
    uris = _hashes(uri or "" for uri in own.values())
    _add(found, np.fromiter(own, np.int64, len(own)), uris, "own artifacts")


def _add_models(found: Hashes, table: RunTable, models: ModelTable) -> None:
    related: tuple[tuple[str, Mapping[str, Mapping[str, Any]]], ...]
    related = (("outputs", models.outputs), ("inputs", models.inputs))
    for name, of_runs in related:
        known = [(table.row_of[run_id], repr(sorted(of.items()))) for run_id, of in of_runs.items() if of]
        rows = np.fromiter((row for row, _ in known), np.int64, len(known))
        _add(found, rows, _hashes(content for _, content in known), f"models {name}")


def _of_codes(strings: Sequence[str]) -> Hashes:
    """Return the hashes of strings by code; the last one is for the code -1."""
    return np.append(_hashes(strings), np.uint64(0))


def _hashes(strings: Iterable[str]) -> Hashes:
    """Return a hash of each string that is the same in every process, (n,)."""
    digests = (blake2b(string.encode(errors="surrogatepass"), digest_size=8).digest() for string in strings)
    return np.frombuffer(b"".join(digests), np.uint64)


def _present(cells: Cells, size: int) -> tuple[Any, Any]:
    """Return rows with all that have a cell, and the marks of their cells, one of which stands for none."""
    marks = _bits(cells, 0)
    if cells.rows is None:
        return slice(0, min(size, len(marks))), marks[:size]
    return np.array(cells.rows, np.int64), marks


def _bits(cells: Cells, number: int) -> Any:
    array = cells.arrays[number]
    return np.frombuffer(array, array.typecode) if array else np.empty(0, array.typecode)
