"""Turns an `mlruns` folder, as MLflow's folder store keeps it, into experiments, runs, points and models.

A folder is an experiment, a run or a logged model if its `meta.yaml` gives the id that the folder is named by; all
others are passed over, as MLflow does. Numbers mean what they mean once MLflow has moved the folder into a database:
an infinite metric is the largest float, and the step counts on every line. Stores are not known here.

**Source**: `mlflow.store.tracking.file_store` for the layout, `mlflow.store.fs2db` (`mlflow migrate-filestore`) for
the meaning of metric lines, MLflow 3.17.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from mlquery.entities import Dataset, DatasetInput, Experiment, Metric, RunInfo, RunStatus
from mlquery.readers.contents import Contents, LoadedRun, Points
from mlquery.readers.errors import SourceError
from mlquery.readers.mlruns_files import Files
from mlquery.readers.mlruns_registry import registered_models
from mlquery.store.model_table import PENDING, ModelTable, PointKey, StoredModel

_TRASH: Final = ".trash"
_MODELS: Final = "models"  # at the top registered models, in an experiment logged ones
_NOT_RUNS: Final = ("tags", "datasets", "traces", _MODELS)
_LARGEST: Final = float(np.finfo(np.float64).max)
_MOST_BYTES_OF_POINTS: Final = 2**30


def read_folder(path: Path, name: str) -> Contents:
    """Read the tracking data of a folder; `name` is the source in messages.

    Raises:
        SourceError: the folder has no experiment, or a file in it is damaged.
        OSError: a file cannot be read.
    """
    reader = _Reader(str(path), name)
    experiments = [found for folder in reader.experiment_folders() if (found := reader.experiment(folder)) is not None]
    if not experiments:
        raise SourceError(name, f"holds no MLflow experiments{_hint(path)}")
    registered = list(registered_models(reader, str(path / _MODELS)))
    return Contents(name, experiments, reader.runs, reader.points.as_points(), reader.models, registered)


def _hint(path: Path) -> str:
    for inner in ("mlruns", "mlflow.db"):
        if (path / inner).exists():
            return f"; did you mean {str(path / inner)!r}?"
    if (path / "journal.db").exists():
        return ": it is a store on disk, which 'mlquery runs --store' and mlquery.open read"
    return ""


class _PointColumns:
    """The points of all metrics of runs, as columns."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.columns: tuple[array[Any], ...] = tuple(array(code) for code in "iidqq")

    def add(self, run: int, key: str, lines: list[str]) -> None:
        """Add the points of a metric; raise ValueError or OverflowError for a line that is not a point."""
        code = self.codes.setdefault(key, len(self.codes))
        for line in lines:
            timestamp, value, *rest = line.strip().split(" ")
            if len(rest) not in (0, 1, 3):  # nothing; step; step, dataset name and digest
                raise ValueError(line)
            point = (run, code, float(value), int(timestamp), int(rest[0]) if rest else 0)
            for column, cell in zip(self.columns, point, strict=True):
                column.append(cell)

    def as_points(self) -> Points:
        runs, keys, values, timestamps, steps = (np.array(column, column.typecode) for column in self.columns)
        values = np.clip(values, -_LARGEST, _LARGEST) + 0.0  # SQLite has no -0.0
        return Points(list(self.codes), runs, keys, values, timestamps, steps)


class _Reader(Files):
    """An `mlruns` folder that is being read; `runs`, `models` and `points` grow."""

    def __init__(self, root: str, name: str) -> None:
        super().__init__(root, name)
        self.runs: list[LoadedRun] = []
        self.models = ModelTable()
        self.points = _PointColumns()

    def experiment_folders(self) -> list[str]:
        """Return the folders of all experiments; an active one hides a deleted one of the same id."""
        trash = os.path.join(self.root, _TRASH)
        deleted = {inner: os.path.join(trash, inner) for inner in self.folders(trash)}
        active = {f: os.path.join(self.root, f) for f in self.folders(self.root) if f not in (_TRASH, _MODELS)}
        return list((deleted | active).values())

    def experiment(self, folder: str) -> Experiment | None:
        """Read an experiment and its runs, None if the folder is something else."""
        meta, experiment_id = self.meta(folder), os.path.basename(folder)
        if meta is None or meta.id("experiment_id") != experiment_id:
            return None
        datasets = self.datasets(os.path.join(folder, "datasets"))
        for inner in self.folders(folder):
            if inner not in _NOT_RUNS:
                self.run(os.path.join(folder, inner), experiment_id, datasets)
        models = os.path.join(folder, _MODELS)
        for inner in self.folders(models):
            self.model(os.path.join(models, inner), experiment_id)
        return Experiment(
            experiment_id,
            meta.string("name"),
            meta.string("artifact_location"),
            meta.optional_string("lifecycle_stage") or "active",
            self.strings(os.path.join(folder, "tags")),
            meta.number("creation_time"),
            meta.number("last_update_time"),
        )

    def run(self, folder: str, experiment_id: str, datasets: dict[str, Dataset]) -> None:
        """Read a run if the folder is one."""
        meta, run_id = self.meta(folder), os.path.basename(folder)
        if meta is None or meta.id("experiment_id") != experiment_id or meta.id("run_id", "run_uuid") != run_id:
            return
        status = meta.number("status")
        if status not in (None, *RunStatus.all_status()):
            raise meta.damaged("status")
        info = RunInfo(
            run_id,
            experiment_id,
            meta.optional_string("user_id"),  # type: ignore[arg-type]  # MLflow always writes it, and the start
            RunStatus.to_string(RunStatus.RUNNING if status is None else status),
            meta.number("start_time"),  # type: ignore[arg-type]
            meta.number("end_time"),
            meta.optional_string("lifecycle_stage") or "active",
            meta.optional_string("artifact_uri"),
            meta.optional_string("run_name"),
        )
        params, tags = (self.strings(os.path.join(folder, kind)) for kind in ("params", "tags"))
        inputs = tuple(self.inputs(run_id, os.path.join(folder, "inputs"), datasets))
        self.outputs(run_id, os.path.join(folder, "outputs"))
        self.metrics(folder, lambda key, lines: self.points.add(len(self.runs), key, lines))
        self.runs.append(LoadedRun(info, params, tags, {}, inputs))

    def model(self, folder: str, experiment_id: str) -> None:
        """Read a logged model and its points if the folder is one."""
        meta, model_id = self.meta(folder), os.path.basename(folder)
        if meta is None or meta.id("experiment_id") != experiment_id or meta.id("model_id") != model_id:
            return
        status = meta.number("status")
        params, tags = (self.strings(os.path.join(folder, kind)) for kind in ("params", "tags"))
        self.models.by_id[model_id] = StoredModel(
            model_id,
            experiment_id,
            meta.string("name"),
            meta.string("artifact_location"),
            meta.number("creation_timestamp") or 0,
            meta.number("last_updated_timestamp") or 0,
            PENDING if status is None else status,
            meta.optional_string("lifecycle_stage") or "active",
            meta.optional_string("model_type"),
            meta.optional_string("source_run_id"),
            tags,
            params,
        )
        points = self.models.points.setdefault(model_id, {})
        self.metrics(folder, lambda key, lines: points.update(_model_points(model_id, key, lines)))

    def metrics(self, folder: str, add: Callable[[str, list[str]], object]) -> None:
        """Call `add` with the key and the lines of each metric of a run or a model."""
        for key, path in self.files(os.path.join(folder, "metrics")):
            try:
                add(key, self.string(path, _MOST_BYTES_OF_POINTS).splitlines())
            except (ValueError, OverflowError):
                raise self.damaged(path, "has a line that is not a metric") from None

    def datasets(self, folder: str) -> dict[str, Dataset]:
        """Return the datasets of an experiment by the name of their folder."""
        return {
            inner: Dataset(
                *map(meta.string, ("name", "digest", "source_type", "source")),
                *map(meta.optional_string, ("schema", "profile")),
            )
            for inner, meta in self.metas(folder)
        }

    def inputs(self, run_id: str, folder: str, datasets: dict[str, Dataset]) -> Iterator[DatasetInput]:
        """Yield the datasets that a run read; add the models that it read to `models`."""
        for _, meta in self.metas(folder):
            source_type = meta.optional_string("source_type")
            if source_type == "MODEL":
                self.models.inputs.setdefault(run_id, {})[meta.string("source_id")] = None
            dataset = datasets.get(meta.string("source_id")) if source_type == "DATASET" else None
            if dataset is not None:
                yield DatasetInput(dataset, meta.tags())

    def outputs(self, run_id: str, folder: str) -> None:
        """Add the models that a run wrote to `models`."""
        for _, meta in self.metas(folder):
            if meta.optional_string("destination_type") == "MODEL_OUTPUT":
                self.models.outputs.setdefault(run_id, {})[meta.string("destination_id")] = meta.number("step") or 0


def _model_points(model_id: str, key: str, lines: list[str]) -> Iterator[tuple[PointKey, Metric]]:
    """Yield the points of a logged model by their keys; raise ValueError for a line that is not a point."""
    for line in lines:
        timestamp, value, step, run_id, *dataset = line.strip().split(" ")
        if len(dataset) not in (0, 2):  # nothing; dataset name and digest
            raise ValueError(line)
        name, digest = dataset or (None, None)
        time, number = array("q", (int(timestamp), int(step)))  # 64 bits, as in a database
        yield (key, time, number, run_id), Metric(key, float(value), time, number, model_id, name, digest, run_id)
