"""Snapshots: the state of a store after an entry of its journal, so that opening need not replay what came before.

A snapshot is a NumPy archive (`.npz`, a zip file with a checksum for each member) of the store's columns and one member
of JSON. The journal holds everything that a snapshot holds: one that is missing, damaged or of another store is passed
over. Entries are not known here.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.durable.entries import encode
from mlquery.entities import Dataset, DatasetInput, InputTag, Metric
from mlquery.store import Store
from mlquery.store.cells import Cells, room_for
from mlquery.store.changes import PutExperiment
from mlquery.store.columns import MetricCells, StringCells
from mlquery.store.entity_fields import dataset_input_fields, experiment_fields, model_fields
from mlquery.store.history import History
from mlquery.store.model_table import StoredModel
from mlquery.store.run_table import RunTable
from mlquery.store.table import Columns

NAME: Final = "snapshot.npz"
VERSION: Final = 1
Arrays = dict[str, npt.NDArray[Any]]


def write(store: Store, folder: Path, store_id: str, seq: int) -> None:
    """Write the state of a store after entry `seq`, in the place of an older snapshot.

    Raises:
        OSError: it cannot be written; the older one is still there.
    """
    new = folder / f"{NAME}.{os.getpid()}.tmp"
    arrays, header = _dumped(store)
    header |= {"version": VERSION, "store_id": store_id, "seq": seq}
    try:
        with new.open("wb") as file:
            np.savez(file, header=np.frombuffer(encode(header).encode(), np.uint8), **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        new.replace(folder / NAME)
    finally:
        new.unlink(missing_ok=True)


def read(store: Store, folder: Path, store_id: str | None) -> int:
    """Fill an empty store from its snapshot and return the number of the last entry in it, -1 if there is none.

    One of another store does not count, unless `store_id` is None. What one that cannot be read left in the store is
    taken away again.
    """
    try:
        with (folder / NAME).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes())
            if header["version"] != VERSION or store_id not in (None, header["store_id"]):
                return -1
            _restore(store, header, {name: file[name] for name in file.files if name != "header"})
            return int(header["seq"])
    except FileNotFoundError:
        return -1
    except Exception:  # of any kind: the journal has it all
        store.clear()
        return -1


def _dumped(store: Store) -> tuple[Arrays, dict[str, Any]]:
    runs, models = store.runs, store.models
    arrays: Arrays = {}
    header: dict[str, Any] = {
        "default_experiment_id": store.default_experiment_id,
        "experiments": [
            experiment_fields(store.experiments.experiment_at(row)) for row in range(store.experiments.size)
        ],
        "run_ids": runs.ids,
        "artifact_uris": list(runs.own_artifact_uris.items()),
        "pushed": store.pushed,
        "models": [model_fields(model) for model in models.by_id.values()],
        "model_points": [
            attrs.astuple(point, recurse=False) for points in models.points.values() for point in points.values()
        ],
        "outputs": models.outputs,
        "model_inputs": {run_id: list(found) for run_id, found in models.inputs.items()},
    }
    header["datasets"], header["inputs"] = _inputs_dumped(runs.inputs)
    for kind, columns in _columns_of(runs).items():
        left_out = ("run_id", "artifact_uri") if kind == "texts" else ()
        cells = {key: found for key, found in columns.cells.items() if key not in left_out}
        header[kind] = _columns_dumped(kind, cells, runs.size, arrays)
    for kind, keys in _keys_of(runs).items():
        header[f"{kind}.shapes"], arrays[f"{kind}.shape"] = _shapes_dumped(keys)
    _histories_dumped(runs.metrics.cells, arrays)
    return arrays, header


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


def _columns_dumped(kind: str, columns: Mapping[str, Cells], size: int, arrays: Arrays) -> list[Any]:
    """Put the cells of all keys of a kind into arrays, one key after the other; return keys, counts and strings."""
    index, pieces, counts = [], [], []
    for key, cells in columns.items():
        rows = _rows(cells, size)
        places = rows if cells.rows is None else slice(None)
        pieces.append((rows, *(np.frombuffer(cell, cell.typecode)[places] for cell in cells.arrays if len(cell))))
        counts.append(len(rows))
        index.append([key, len(rows), cells.table if isinstance(cells, StringCells) else None])
    kept = [piece for piece, count in zip(pieces, counts, strict=True) if count]
    for number, parts in enumerate(zip(*kept, strict=True) if kept else ()):
        arrays[f"{kind}.{number}"] = np.concatenate(parts)
    return index


def _rows(cells: Cells, size: int) -> npt.NDArray[np.int32]:
    if cells.rows is not None:
        return np.array(cells.rows, np.int32)
    marks = np.frombuffer(cells.arrays[0], cells.typecodes[0])[:size]
    return np.flatnonzero(marks != cells.fills[0]).astype(np.int32)


def _shapes_dumped(keys: Sequence[tuple[str, ...]]) -> tuple[list[tuple[str, ...]], npt.NDArray[np.int32]]:
    """Return the different tuples of keys, and which of them each row has (n,)."""
    codes: dict[tuple[str, ...], int] = {}
    column = np.array([codes.setdefault(one, len(codes)) for one in keys], np.int32)
    return list(codes), column


def _inputs_dumped(inputs: Mapping[int, Sequence[DatasetInput]]) -> tuple[list[Any], list[Any]]:
    """Return the different datasets, and for each row which it read, with the tags of that use."""
    codes: dict[tuple[str | None, ...], int] = {}
    rows = []
    for row, found in inputs.items():
        uses = map(dataset_input_fields, found)
        rows.append([row, [(codes.setdefault(tuple(use["dataset"]), len(codes)), use["tags"]) for use in uses]])
    return list(codes), rows


def _histories_dumped(columns: Mapping[str, MetricCells], arrays: Arrays) -> None:
    owners, points = [], []
    for number, cells in enumerate(columns.values()):
        for row, history in cells.histories.items():
            owners.append((number, row, len(history)))
            points.append(history)
    arrays["histories"] = np.array(owners, np.int64).reshape(-1, 3)
    for name in ("values", "timestamps", "steps"):
        parts = [getattr(history, name) for history in points]
        arrays[f"histories.{name}"] = np.frombuffer(b"".join(parts), "d" if name == "values" else "q")


def _restore(store: Store, header: dict[str, Any], arrays: Arrays) -> None:
    runs, models = store.runs, store.models
    for fields in header["experiments"]:
        PutExperiment(fields).apply(store)
    store.default_experiment_id = header["default_experiment_id"]
    store.pushed = {
        target: {kind: {own: (there, sent) for own, (there, sent) in ids.items()} for kind, ids in kinds.items()}
        for target, kinds in header["pushed"].items()
    }
    for fields in header["models"]:
        models.by_id[fields["model_id"]] = StoredModel(**fields)
    for point in (Metric(*fields) for fields in header["model_points"]):
        key = (point.key, point.timestamp, point.step, str(point.run_id))
        models.points.setdefault(str(point.model_id), {})[key] = point
    models.outputs.update(header["outputs"])
    models.inputs.update({run_id: dict.fromkeys(found) for run_id, found in header["model_inputs"].items()})
    _restore_runs(runs, header, arrays)
    _restore_inputs(store, header["datasets"], header["inputs"])


def _restore_runs(runs: RunTable, header: dict[str, Any], arrays: Arrays) -> None:
    size = len(header["run_ids"])
    if not size:
        return
    runs.ids.extend(header["run_ids"])
    runs.row_of.update({run_id: row for row, run_id in enumerate(runs.ids)})
    _fill(runs.strings.to_write("run_id"), np.arange(size), [np.arange(size)], size)
    for kind, columns in _columns_of(runs).items():
        start, parts = 0, [arrays[f"{kind}.{number}"] for number in range(8) if f"{kind}.{number}" in arrays]
        for key, count, strings in header[kind]:
            cells = columns.to_write(key)
            if isinstance(cells, StringCells):
                cells.table, cells.index = strings, {string: code for code, string in enumerate(strings)}
            rows, *columns_of_key = [part[start : start + count] for part in parts]
            _fill(cells, rows, columns_of_key, size)
            start += count
    for kind, keys in _keys_of(runs).items():
        shapes = [runs.shape(tuple(shape)) for shape in header[f"{kind}.shapes"]]
        keys[:] = [shapes[code] for code in arrays[f"{kind}.shape"].tolist()]
    runs.own_artifact_uris.update(dict(header["artifact_uris"]))
    _restore_histories(runs, [key for key, _, _ in header["metrics"]], arrays)
    runs.forget_order()


def _fill(cells: Cells, rows: npt.NDArray[Any], columns: Sequence[npt.NDArray[Any]], size: int) -> None:
    """Give a key that has no cells yet the cells of some rows, dense or sparse as `Cells` itself would have them."""
    if not len(rows):
        return
    filled = []
    is_dense = len(rows) * 8 >= size
    for code, fill, column in zip(cells.typecodes, cells.fills, columns, strict=True):
        whole = column.astype(code)
        if is_dense:
            whole = np.full(room_for(size), fill, code)
            whole[rows] = column
        cell = array(code)
        cell.frombytes(whole.tobytes())
        filled.append(cell)
    cells.rows = None if is_dense else array("i", rows.astype("i").tobytes())
    cells.arrays, cells.count = tuple(filled), len(rows)
    cells.views = cells.shown = None


def _restore_histories(runs: RunTable, keys: Sequence[str], arrays: Arrays) -> None:
    columns = [runs.metrics.cells[key] for key in keys]
    parts = [arrays[f"histories.{name}"].tobytes() for name in ("values", "timestamps", "steps")]
    start = 0
    for number, row, size in arrays["histories"].tolist():
        history = History(runs.owner)
        stop = start + 8 * size
        for cell, part in zip((history.values, history.timestamps, history.steps), parts, strict=True):
            cell.frombytes(part[start:stop])  # type: ignore[attr-defined]
        columns[number].histories[row] = history
        start = stop


def _restore_inputs(store: Store, datasets: Sequence[Sequence[Any]], inputs: Sequence[Any]) -> None:
    known = [Dataset(*fields) for fields in datasets]
    for row, uses in inputs:
        found = [DatasetInput(known[code], [InputTag(key, value) for key, value in tags]) for code, tags in uses]
        store.runs.add_inputs(row, found)
