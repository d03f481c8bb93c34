"""Turns an MLflow SQLite database, of any schema from MLflow 1 to 3, into experiments, runs, points and logged models.

Stores are not known here.

**Source**: the tables of `mlflow.store.tracking.dbmodels.models`, MLflow 3.17.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

import attrs
import numpy as np

from mlquery.entities import Dataset, DatasetInput, Experiment, InputTag, LifecycleStage, Metric, RunInfo
from mlquery.readers.contents import Array, Contents, Latest, LoadedRun, Points
from mlquery.readers.errors import SourceError
from mlquery.readers.readonly import READ_ERRORS, explained, opened
from mlquery.readers.sqlite_tables import INTEGER, NULL, NUMBER, STRING, Column, Tables
from mlquery.store.model_table import ModelTable, StoredModel

_REQUIRED: Final = ("experiments", "runs", "metrics", "params", "tags")

_NAN: Final = float("nan")
_POINT_KINDS: Final = (np.int32, np.int32, np.float64, np.int64, np.int64)

_EXPERIMENTS: Final[list[Column]] = [
    ("experiment_id", INTEGER, None),
    ("name", STRING, None),
    ("artifact_location", STRING | NULL, "NULL"),
    ("lifecycle_stage", STRING | NULL, "NULL"),
    ("creation_time", INTEGER | NULL, "NULL"),
    ("last_update_time", INTEGER | NULL, "NULL"),
]
_RUNS: Final[list[Column]] = [
    ("run_uuid", STRING, None),
    ("experiment_id", INTEGER, None),
    ("user_id", STRING | NULL, "NULL"),
    ("status", STRING, None),
    ("start_time", INTEGER | NULL, None),
    ("end_time", INTEGER | NULL, None),
    ("lifecycle_stage", STRING | NULL, "NULL"),
    ("artifact_uri", STRING | NULL, "NULL"),
    ("name", STRING | NULL, "NULL"),
]
_PARAMS: Final[list[Column]] = [("run_uuid", STRING, None), ("key", STRING, None), ("value", STRING, None)]
_TAGS: Final[list[Column]] = [("run_uuid", STRING, None), ("key", STRING, None), ("value", STRING | NULL, None)]
_EXPERIMENT_TAGS: Final[list[Column]] = [("experiment_id", INTEGER, None), *_TAGS[1:]]
_METRICS: Final[list[Column]] = [
    ("run_uuid", STRING, None),
    ("key", STRING, None),
    ("value", NUMBER | NULL, None),
    ("timestamp", INTEGER, None),
    ("step", INTEGER, "0"),
]
_DATASETS: Final[list[Column]] = [
    ("dataset_uuid", STRING, None),
    ("name", STRING, None),
    ("digest", STRING, None),
    ("dataset_source_type", STRING, None),
    ("dataset_source", STRING, None),
    ("dataset_schema", STRING | NULL, "NULL"),
    ("dataset_profile", STRING | NULL, "NULL"),
]
_INPUTS: Final[list[Column]] = [
    ("input_uuid", STRING, None),
    ("source_id", STRING, None),
    ("destination_type", STRING, None),
    ("destination_id", STRING, None),
]
_INPUT_TAGS: Final[list[Column]] = [("input_uuid", STRING, None), ("name", STRING, None), ("value", STRING, None)]
_MODELS: Final[list[Column]] = [
    ("model_id", STRING, None),
    ("experiment_id", INTEGER, None),
    ("name", STRING, None),
    ("artifact_location", STRING, None),
    ("creation_timestamp_ms", INTEGER, None),
    ("last_updated_timestamp_ms", INTEGER, None),
    ("status", INTEGER, None),
    ("lifecycle_stage", STRING | NULL, None),
    ("model_type", STRING | NULL, None),
    ("source_run_id", STRING | NULL, None),
]
_MODEL_METRICS: Final[list[Column]] = [
    ("metric_name", STRING, None),
    ("metric_value", NUMBER | NULL, None),
    ("metric_timestamp_ms", INTEGER, None),
    ("metric_step", INTEGER, None),
    ("model_id", STRING, None),
    ("dataset_name", STRING | NULL, None),
    ("dataset_digest", STRING | NULL, None),
    ("run_id", STRING, None),
]
_USES: Final[list[Column]] = [("source_id", STRING, None), ("destination_id", STRING, None), ("step", INTEGER, "0")]
_WRITTEN: Final = "source_type = 'RUN_OUTPUT' AND destination_type = 'MODEL_OUTPUT'"
_READ: Final = "source_type = 'RUN_INPUT' AND destination_type = 'MODEL_INPUT'"


def read_database(path: Path, name: str) -> Contents:
    """Read the tracking data of a database; `name` is the source in messages.

    Raises:
        SourceError: the file is not an SQLite database, is damaged or locked, or lacks MLflow's tables.
    """
    try:
        with opened(path, name) as connection:
            return _Database(Tables(connection, name, _REQUIRED)).contents()
    except READ_ERRORS as error:
        raise SourceError(name, explained(error)) from None


class _Database:
    """A database whose tables are read one after the other."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.rows = tables.rows

    def contents(self) -> Contents:
        runs = self.runs()
        row_of = {run.info.run_id: row for row, run in enumerate(runs)}
        points, models = self.points(row_of), self.models()
        return Contents(self.tables.name, self.experiments(), runs, points, models)

    def experiments(self) -> list[Experiment]:
        tags = self.strings("experiment_tags", _EXPERIMENT_TAGS)
        return [
            Experiment(str(number), name, location or "", stage or "active", tags[number], created, updated)
            for number, name, location, stage, created, updated in self.rows("experiments", _EXPERIMENTS)
        ]

    def runs(self) -> list[LoadedRun]:
        params, tags = self.strings("params", _PARAMS), self.strings("tags", _TAGS)
        metrics, inputs = self.latest(), self.inputs()
        runs = []
        for run_id, number, user, status, start, end, stage, uri, name in self.rows("runs", _RUNS):
            info = RunInfo(run_id, str(number), user, status, start, end, stage or "active", uri, name)
            datasets = tuple(inputs[run_id].values())
            runs.append(LoadedRun(info, params[run_id], tags[run_id], metrics[run_id], datasets))
        return runs

    def strings(self, table: str, columns: list[Column]) -> defaultdict[str | int, dict[str, str]]:
        """Return params or tags by the id of what has them; equal keys are shared.

        A tag without a value is left out: no filter of MLflow finds it.
        """
        found: defaultdict[str | int, dict[str, str]] = defaultdict(dict)
        keys: dict[str, str] = {}
        for owner_id, key, value in self.rows(table, columns):
            if value is not None:
                found[owner_id][keys.setdefault(key, key)] = value
        return found

    def inputs(self) -> defaultdict[str, dict[str, DatasetInput]]:
        """Return the dataset inputs by run and dataset."""
        datasets = {uuid: Dataset(*fields) for uuid, *fields in self.rows("datasets", _DATASETS)}
        tags: defaultdict[str, list[InputTag]] = defaultdict(list)
        for input_uuid, key, value in self.rows("input_tags", _INPUT_TAGS):
            tags[input_uuid].append(InputTag(key, value))
        found: defaultdict[str, dict[str, DatasetInput]] = defaultdict(dict)
        for input_uuid, dataset_uuid, target, run_id in self.rows("inputs", _INPUTS):
            if target == "RUN" and dataset_uuid in datasets:
                found[run_id][dataset_uuid] = DatasetInput(datasets[dataset_uuid], tags[input_uuid])
        return found

    def latest(self) -> defaultdict[str, dict[str, Latest]]:
        """Return the latest points by run and key; MLflow 1.0 did not store them."""
        found: defaultdict[str, dict[str, Latest]] = defaultdict(dict)
        keys: dict[str, str] = {}
        for run_id, key, value, timestamp, step in self.rows("latest_metrics", _METRICS):
            found[run_id][keys.setdefault(key, key)] = (_NAN if value is None else value, timestamp, step)
        return found

    def points(self, row_of: dict[str, int]) -> Points:
        """Return all points of the runs in `row_of`."""
        codes: dict[str, int] = {}
        pieces: list[list[Array]] = [[np.empty(0, kind)] for kind in _POINT_KINDS]
        for chunk in self.tables.chunks("metrics", _METRICS):
            run_ids, keys, *numbers = zip(*chunk, strict=True)
            for key in set(keys):
                codes.setdefault(key, len(codes))
            columns = ([row_of.get(run_id, -1) for run_id in run_ids], list(map(codes.__getitem__, keys)), *numbers)
            arrays = [np.array(column, kind) for column, kind in zip(columns, _POINT_KINDS, strict=True)]
            known = arrays[0] >= 0  # points of runs that are gone stay in the table at times
            for piece, array in zip(pieces, arrays, strict=True):
                piece.append(array[known])
        return Points(list(codes), *map(np.concatenate, pieces))

    def models(self) -> ModelTable:
        """Return the logged models, their points, and which runs wrote and read them; MLflow 2 has none."""
        models = ModelTable()
        if "logged_models" not in self.tables.names:
            return models
        params, tags = self.strings_of_models("param"), self.strings_of_models("tag")
        for model_id, number, *fields in self.rows("logged_models", _MODELS):
            model = StoredModel(model_id, str(number), *fields)
            stage = model.lifecycle_stage or LifecycleStage.ACTIVE
            models.by_id[model_id] = attrs.evolve(
                model, lifecycle_stage=stage, tags=tags[model_id], params=params[model_id]
            )
        for key, value, timestamp, step, model_id, *about in self.rows("logged_model_metrics", _MODEL_METRICS):
            point = Metric(key, _NAN if value is None else value, timestamp, step, model_id, *about)
            models.points.setdefault(model_id, {})[key, timestamp, step, str(point.run_id)] = point
        for run_id, model_id, step in self.rows("inputs", _USES, _WRITTEN):
            models.outputs.setdefault(run_id, {})[model_id] = step
        for run_id, model_id, _ in self.rows("inputs", _USES, _READ):
            models.inputs.setdefault(run_id, {})[model_id] = None
        return models

    def strings_of_models(self, kind: str) -> defaultdict[str | int, dict[str, str]]:
        names = ("model_id", f"{kind}_key", f"{kind}_value")
        return self.strings(f"logged_model_{kind}s", [(name, STRING, None) for name in names])
