"""Turns an MLflow SQLite database, of any schema from MLflow 1 to 3, into experiments, runs, points and logged models.

Stores are not known here.

**Source**: the tables of `mlflow.store.tracking.dbmodels.models`, MLflow 3.17.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

import numpy as np

from mlquery.entities import Dataset, DatasetInput, Experiment, InputTag, RunInfo
from mlquery.readers.contents import Array, Contents, Latest, LoadedRun, Points
from mlquery.readers.errors import SourceError
from mlquery.readers.readonly import READ_ERRORS, explained, opened
from mlquery.readers.sqlite_models import read_models
from mlquery.readers.sqlite_tables import INTEGER, NULL, NUMBER, STRING, Column, Tables

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
        points, models = self.points(row_of), read_models(self.tables)
        return Contents(self.tables.name, self.experiments(), runs, points, models)

    def experiments(self) -> list[Experiment]:
        tags: defaultdict[int, dict[str, str]] = defaultdict(dict)
        for number, key, value in self.rows("experiment_tags", _EXPERIMENT_TAGS):
            if value is not None:
                tags[number][key] = value
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

    def strings(self, table: str, columns: list[Column]) -> defaultdict[str, dict[str, str]]:
        """Return params or tags by run; equal keys are shared.

        A tag without a value is left out: no filter of MLflow finds it.
        """
        found: defaultdict[str, dict[str, str]] = defaultdict(dict)
        keys: dict[str, str] = {}
        for run_id, key, value in self.rows(table, columns):
            if value is not None:
                found[run_id][keys.setdefault(key, key)] = value
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
