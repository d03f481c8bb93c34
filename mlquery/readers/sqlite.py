"""Turns the tables of an MLflow SQLite database, of any schema from MLflow 1 to 3, into experiments, runs and points.

Only the standard library's sqlite3 is used and only `SELECT` is run. Columns and tables that a schema version does not
have yet count as empty. Rows are read as what SQLite says they are, which a damaged file may get wrong: every cell's
type is checked before it is used. Stores are not known here.

**Source**: the tables of `mlflow.store.tracking.dbmodels.models` and their migrations, MLflow 3.17.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from mlquery.entities import Dataset, DatasetInput, Experiment, InputTag, RunInfo
from mlquery.readers.contents import Array, Contents, Latest, LoadedRun, Points
from mlquery.readers.errors import SourceError
from mlquery.readers.readonly import READ_ERRORS, explained, opened

_CHUNK: Final = 2_000
_INTEGER: Final = frozenset({int})
_NUMBER: Final = frozenset({float})
_TEXT: Final = frozenset({str})
_EMPTY: Final = frozenset({type(None)})
_REQUIRED: Final = ("experiments", "runs", "metrics", "params", "tags")

_NAN: Final = float("nan")
_POINT_KINDS: Final = (np.int32, np.int32, np.float64, np.int64, np.int64)

Column = tuple[str, frozenset[type], str | None]
"""Name, accepted types and the SQL text that stands in where a schema lacks the column (None: it never does)."""

_EXPERIMENTS: Final[list[Column]] = [
    ("experiment_id", _INTEGER, None),
    ("name", _TEXT, None),
    ("artifact_location", _TEXT | _EMPTY, "NULL"),
    ("lifecycle_stage", _TEXT | _EMPTY, "NULL"),
    ("creation_time", _INTEGER | _EMPTY, "NULL"),
    ("last_update_time", _INTEGER | _EMPTY, "NULL"),
]
_RUNS: Final[list[Column]] = [
    ("run_uuid", _TEXT, None),
    ("experiment_id", _INTEGER, None),
    ("user_id", _TEXT | _EMPTY, "NULL"),
    ("status", _TEXT, None),
    ("start_time", _INTEGER | _EMPTY, None),
    ("end_time", _INTEGER | _EMPTY, None),
    ("lifecycle_stage", _TEXT | _EMPTY, "NULL"),
    ("artifact_uri", _TEXT | _EMPTY, "NULL"),
    ("name", _TEXT | _EMPTY, "NULL"),
]
_PARAMS: Final[list[Column]] = [("run_uuid", _TEXT, None), ("key", _TEXT, None), ("value", _TEXT, None)]
_TAGS: Final[list[Column]] = [("run_uuid", _TEXT, None), ("key", _TEXT, None), ("value", _TEXT | _EMPTY, None)]
_EXPERIMENT_TAGS: Final[list[Column]] = [("experiment_id", _INTEGER, None), *_TAGS[1:]]
_METRICS: Final[list[Column]] = [
    ("run_uuid", _TEXT, None),
    ("key", _TEXT, None),
    ("value", _NUMBER | _EMPTY, None),
    ("timestamp", _INTEGER, None),
    ("step", _INTEGER, "0"),
]
_DATASETS: Final[list[Column]] = [
    ("dataset_uuid", _TEXT, None),
    ("name", _TEXT, None),
    ("digest", _TEXT, None),
    ("dataset_source_type", _TEXT, None),
    ("dataset_source", _TEXT, None),
    ("dataset_schema", _TEXT | _EMPTY, "NULL"),
    ("dataset_profile", _TEXT | _EMPTY, "NULL"),
]
_INPUTS: Final[list[Column]] = [
    ("input_uuid", _TEXT, None),
    ("source_id", _TEXT, None),
    ("destination_type", _TEXT, None),
    ("destination_id", _TEXT, None),
]
_INPUT_TAGS: Final[list[Column]] = [("input_uuid", _TEXT, None), ("name", _TEXT, None), ("value", _TEXT, None)]


def read_database(path: Path, name: str) -> Contents:
    """Read the tracking data of a database; `name` is what the caller called it.

    Raises:
        SourceError: the file is no SQLite database, is damaged, locked, or has not MLflow's tables.
    """
    try:
        with opened(path, name) as connection:
            return _Tables(connection, name).contents()
    except READ_ERRORS as error:
        raise SourceError(name, explained(error)) from None


class _Tables:
    """The tables of one database, read one after the other."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self.connection = connection
        self.name = name
        self.tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        missing = [table for table in _REQUIRED if table not in self.tables]
        if missing:
            listed = ", ".join(missing)
            raise SourceError(name, f"is not an MLflow tracking database: it has no table {listed}")

    def contents(self) -> Contents:
        runs = self.runs()
        row_of = {run.info.run_id: row for row, run in enumerate(runs)}
        return Contents(self.name, self.experiments(), runs, self.points(row_of))

    def chunks(self, table: str, columns: list[Column]) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows of a table, in the order in which they were written, some at a time; none if it is missing."""
        if table not in self.tables:
            return
        present = {row[1] for row in self.connection.execute(f"PRAGMA table_info({table})")}
        lacking = [name for name, _, default in columns if default is None and name not in present]
        if lacking:
            problem = f"is not an MLflow tracking database: table {table} has no column {', '.join(lacking)}"
            raise SourceError(self.name, problem)
        selected = ", ".join(f'"{name}"' if name in present else str(default) for name, _, default in columns)
        if "is_nan" in present:  # MLflow stores NaN as a 0 with this mark, because to SQLite NaN is NULL
            selected = selected.replace('"value"', "CASE WHEN is_nan THEN NULL ELSE value END")
        cursor = self.connection.execute(f"SELECT {selected} FROM {table} ORDER BY rowid")
        while rows := cursor.fetchmany(_CHUNK):
            for (name, types, _), cells in zip(columns, zip(*rows, strict=True), strict=True):
                if not types.issuperset(map(type, cells)):
                    raise SourceError(self.name, f"is damaged: column {name} of table {table} holds a wrong value")
            yield rows

    def rows(self, table: str, columns: list[Column]) -> Iterator[tuple[Any, ...]]:
        for chunk in self.chunks(table, columns):
            yield from chunk

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
        params, tags = self.texts("params", _PARAMS), self.texts("tags", _TAGS)
        metrics, inputs = self.latest(), self.inputs()
        runs = []
        for run_id, number, user, status, start, end, stage, uri, name in self.rows("runs", _RUNS):
            info = RunInfo(run_id, str(number), user, status, start, end, stage or "active", uri, name)
            datasets = tuple(inputs[run_id].values())
            runs.append(LoadedRun(info, params[run_id], tags[run_id], metrics[run_id], datasets))
        return runs

    def texts(self, table: str, columns: list[Column]) -> defaultdict[str, dict[str, str]]:
        """Return keys and values of params or tags by run; keys are shared, as runs have the same ones.

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
        """Return the latest points by run and key as MLflow keeps them; MLflow 1.0 did not yet."""
        found: defaultdict[str, dict[str, Latest]] = defaultdict(dict)
        keys: dict[str, str] = {}
        for run_id, key, value, timestamp, step in self.rows("latest_metrics", _METRICS):
            found[run_id][keys.setdefault(key, key)] = (_NAN if value is None else value, timestamp, step)
        return found

    def points(self, row_of: dict[str, int]) -> Points:
        """Return all points of the runs in `row_of`."""
        codes: dict[str, int] = {}
        pieces: list[list[Array]] = [[np.empty(0, kind)] for kind in _POINT_KINDS]
        for chunk in self.chunks("metrics", _METRICS):
            run_ids, keys, *numbers = zip(*chunk, strict=True)
            for key in set(keys):
                codes.setdefault(key, len(codes))
            columns = ([row_of.get(run_id, -1) for run_id in run_ids], list(map(codes.__getitem__, keys)), *numbers)
            arrays = [np.array(column, kind) for column, kind in zip(columns, _POINT_KINDS, strict=True)]
            known = arrays[0] >= 0  # points of runs that are gone stay in the table at times
            for piece, array in zip(pieces, arrays, strict=True):
                piece.append(array[known])
        return Points(list(codes), *map(np.concatenate, pieces))
