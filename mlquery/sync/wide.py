"""Exports a store as wide tables: a column for each metric, param and tag, and the experiments as partitions.

A second export into the same folder writes only the parts whose runs are new or have changed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.durable.locks import FolderLock
from mlquery.entities import Experiment
from mlquery.errors import invalid_parameter
from mlquery.sql.layouts import manifest
from mlquery.sql.layouts.manifest import DATASETS, EXPERIMENTS, MODELS, PARTITIONED, Manifest, read_manifest
from mlquery.store import Store
from mlquery.store.entity_fields import dataset_input_fields
from mlquery.store.model_table import ModelTable
from mlquery.store.run_table import RunTable
from mlquery.store.snapshot import RunSnapshot
from mlquery.sync.incremental import changes, pieces
from mlquery.sync.sources import chosen_experiments, experiments_of, run_ids_of
from mlquery.sync.wide_files import Writer
from mlquery.sync.wide_rows import Ints, Rows, keys_of
from mlquery.sync.wide_state import FOLDER as STATE_FOLDER
from mlquery.sync.wide_state import read_state

GENERATED_BY: Final = "mlquery export --layout wide"
_CONTEXT: Final = "mlflow.data.context"
_LOCK: Final = ".export-lock"


@attrs.frozen(eq=False)
class _Content:
    """What is exported, as it was at one moment."""

    experiments: list[Experiment]
    runs: RunTable
    models: ModelTable
    is_wanted: npt.NDArray[np.bool_]


def export_wide(
    store: Store, folder: Path, experiments: Sequence[str] = (), filter_string: str = ""
) -> dict[Path, int]:
    """Write what is new or has changed since the last export into a folder, and return the rows of each table.

    Raises:
        StoreError: an experiment does not exist, the folder has an export of other runs or is being written to, or
            pyarrow is not installed.
        QueryError: the filter is not valid.
        OSError: a file cannot be written.
    """
    content = _content(store, experiments, filter_string)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(folder, alone=True, name=_LOCK, problem="is being exported to by another process; try again")
    try:
        old = read_manifest(folder) if (folder / manifest.NAME).exists() else None
        selection = {"experiments": sorted(experiments), "filter": filter_string}
        _require_same_selection(folder, old, selection)
        new = _write(content, Writer(folder, old, GENERATED_BY), old, selection)
    finally:
        lock.release()
    rows: Counter[str] = Counter()
    for part in new.parts:
        rows.update(part.rows)
    tables = {EXPERIMENTS: len(content.experiments), **{table: rows[table] for table in PARTITIONED}}
    return {folder / table: number for table, number in tables.items()}


def _content(store: Store, names: Sequence[str], filter_string: str) -> _Content:
    with store.lock:
        chosen = chosen_experiments(experiments_of(store), names, "the store")
        is_wanted = np.ones(store.runs.size, np.bool_)
        if names or filter_string:
            ids = [experiment.experiment_id for experiment in chosen]
            rows = [store.runs.row_of[run_id] for run_id in run_ids_of(store, ids, filter_string)]
            is_wanted[:] = False
            is_wanted[rows] = True
        return _Content(chosen, RunSnapshot(store.runs), store.models.copy(), is_wanted)


def _require_same_selection(folder: Path, old: Manifest | None, selection: dict[str, Any]) -> None:
    if old is not None and dict(old.selection) != selection:
        was, now = (_shown(one) for one in (old.selection, selection))
        message = f"{str(folder)!r} has an export of {was}, not of {now}; instead: export to another folder"
        raise invalid_parameter(message)


def _shown(selection: Any) -> str:
    names, text = selection["experiments"], selection["filter"]
    where = f"the experiments {', '.join(map(repr, names))}" if names else "all experiments"
    return f"{where} with the filter {text!r}" if text else where


def _write(content: _Content, writer: Writer, old: Manifest | None, selection: dict[str, Any]) -> Manifest:
    runs = content.runs
    before, found, after = read_state(writer.folder, old).compared(runs, content.models)
    codes, table = runs.strings["experiment_id"].codes, runs.strings.cells["experiment_id"].table
    todo = changes(before.exported(), content.is_wanted, found, (codes, table))
    parts, places = list(todo.kept), todo.places
    rows = np.flatnonzero(todo.to_write)
    points = Rows(runs, rows).numbers_of_points()
    for code in np.unique(codes[rows]).tolist():
        of_experiment = codes[rows] == code
        for piece in pieces(rows[of_experiment], points[of_experiment]):
            places[piece] = len(parts)
            parts.append(_write_part(content, writer, table[code], piece))
    experiments = writer.write_table(EXPERIMENTS, _experiments(content.experiments))
    path = writer.write_file(STATE_FOLDER, "state", after.written(places))
    return writer.commit(parts, experiments, path, selection, keys_of(runs, content.is_wanted))


def _write_part(content: _Content, writer: Writer, experiment_id: str, rows: Ints) -> Any:
    some = Rows(content.runs, rows)
    extras = {DATASETS: _datasets(content.runs, rows), MODELS: _models(content.models, some.run_ids)}
    return writer.write_part(
        experiment_id, some.values(), some.latest(), (some.run_ids, some.keys, some.points()), extras
    )


# Tables beside the runs


def _experiments(found: Sequence[Experiment]) -> Any:
    import pyarrow as arrow

    names = ("experiment_id", "name", "artifact_location", "lifecycle_stage")
    times = ("creation_time", "last_update_time")
    columns = {name: arrow.array([getattr(one, name) for one in found], arrow.string()) for name in names}
    columns |= {name: arrow.array([getattr(one, name) for one in found], arrow.int64()) for name in times}
    tags = arrow.map_(arrow.string(), arrow.string())
    columns["tags"] = arrow.array([list(one.tags.items()) for one in found], tags)
    return _table(columns)


def _table(columns: dict[str, Any]) -> Any:
    import pyarrow as arrow

    try:
        return arrow.table(columns)
    except UnicodeEncodeError:
        raise invalid_parameter("a string has a lone surrogate, which Parquet cannot hold; change it first") from None


def _datasets(runs: RunTable, rows: Ints) -> Any:
    import pyarrow as arrow

    names = ("name", "digest", "source_type", "source", "schema", "profile")
    lines = []
    for row in rows.tolist() if runs.inputs else ():
        for place, found in enumerate(runs.inputs.get(row, ())):
            tags = dataset_input_fields(found)["tags"]
            context = next((value for key, value in tags if key == _CONTEXT), None)
            dataset = [getattr(found.dataset, name) for name in names]
            lines.append([runs.ids[row], place, *dataset, context, json.dumps(tags)])
    types = {"run_id": arrow.string(), "place": arrow.int64(), **dict.fromkeys(names, arrow.string())}
    types |= {"context": arrow.string(), "tags": arrow.string()}
    return _of_lines(types, lines)


def _models(models: ModelTable, run_ids: Sequence[str]) -> Any:
    import pyarrow as arrow

    lines: list[list[Any]] = []
    for run_id in run_ids if models.outputs or models.inputs else ():
        lines += [[run_id, "output", model_id, step] for model_id, step in models.outputs.get(run_id, {}).items()]
        lines += [[run_id, "input", model_id, None] for model_id in models.inputs.get(run_id, {})]
    string = arrow.string()
    return _of_lines({"run_id": string, "role": string, "model_id": string, "step": arrow.int64()}, lines)


def _of_lines(types: dict[str, Any], lines: Sequence[Sequence[Any]]) -> Any:
    import pyarrow as arrow

    columns = zip(*lines, strict=True) if lines else [()] * len(types)
    return _table(
        {name: arrow.array(column, kind) for (name, kind), column in zip(types.items(), columns, strict=True)}
    )
