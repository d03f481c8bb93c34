"""Turns an MLflow SQLite database, of any schema from MLflow 1 to 3, into experiments, runs, points and models.

Stores are not known here.

**Source**: the tables of `mlflow.store.tracking.dbmodels.models`, MLflow 3.17.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from mlquery.readers import mlflow_rows as columns
from mlquery.readers.contents import Array, Contents, Points
from mlquery.readers.errors import SourceError
from mlquery.readers.mlflow_rows import (
    add_models,
    add_uses,
    experiments_of,
    inputs_of,
    latest_of,
    runs_of,
    strings_of,
)
from mlquery.readers.readonly import READ_ERRORS, explained, opened
from mlquery.readers.registry_rows import REGISTRY_TABLES, registered_models_of
from mlquery.readers.sqlite_tables import Tables
from mlquery.store.model_table import ModelTable
from mlquery.store.registered_models import Entry

_REQUIRED: Final = ("experiments", "runs", "metrics", "params", "tags")
_POINT_KINDS: Final = (np.int32, np.int32, np.float64, np.int64, np.int64)


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
        rows = self.rows
        experiment_tags = strings_of(rows("experiment_tags", columns.EXPERIMENT_TAGS))
        experiments = experiments_of(rows("experiments", columns.EXPERIMENTS), experiment_tags)
        params, tags = strings_of(rows("params", columns.PARAMS)), strings_of(rows("tags", columns.TAGS))
        latest = latest_of(rows("latest_metrics", columns.METRICS))  # MLflow 1.0 did not store them
        datasets, input_tags = rows("datasets", columns.DATASETS), rows("input_tags", columns.INPUT_TAGS)
        inputs = inputs_of(datasets, input_tags, rows("inputs", columns.INPUTS))
        runs = runs_of(rows("runs", columns.RUNS), params, tags, latest, inputs)
        row_of = {run.info.run_id: row for row, run in enumerate(runs)}
        points, models, registered = self.points(row_of), self.models(), self.registered_models()
        return Contents(self.tables.name, experiments, runs, points, models, registered)

    def points(self, row_of: dict[str, int]) -> Points:
        """Return all points of the runs in `row_of`."""
        codes: dict[str, int] = {}
        pieces: list[list[Array]] = [[np.empty(0, kind)] for kind in _POINT_KINDS]
        for chunk in self.tables.chunks("metrics", columns.METRICS):
            run_ids, keys, *numbers = zip(*chunk, strict=True)
            for key in set(keys):
                codes.setdefault(key, len(codes))
            cells = ([row_of.get(run_id, -1) for run_id in run_ids], list(map(codes.__getitem__, keys)), *numbers)
            arrays = [np.array(column, kind) for column, kind in zip(cells, _POINT_KINDS, strict=True)]
            known = arrays[0] >= 0  # points of runs that are gone stay in the table at times
            for piece, array in zip(pieces, arrays, strict=True):
                piece.append(array[known])
        return Points(list(codes), *map(np.concatenate, pieces))

    def registered_models(self) -> list[Entry]:
        """Return the registered models with their versions; MLflow 1.0 has none."""
        return registered_models_of(*(self.rows(*table) for table in REGISTRY_TABLES))

    def models(self) -> ModelTable:
        """Return the logged models, their points, and which runs wrote and read them; MLflow 2 has none."""
        models, rows = ModelTable(), self.rows
        if "logged_models" in self.tables.names:
            params = rows("logged_model_params", columns.MODEL_PARAMS)
            tags = rows("logged_model_tags", columns.MODEL_TAGS)
            points = rows("logged_model_metrics", columns.MODEL_METRICS)
            add_models(models, rows("logged_models", columns.MODELS), params, tags, points)
            written = rows("inputs", columns.USES, columns.WRITTEN)
            add_uses(models, written, rows("inputs", columns.USES, columns.READ))
        return models
