"""Reads the logged models of an MLflow database into a store that has its runs already.

Only the standard library's sqlite3 is used and only `SELECT` is run. Databases from before MLflow 3 have none.

**Source**: the tables `logged_models…` and `inputs` of MLflow 3.17.
"""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import attrs

from mlquery.entities import Metric
from mlquery.entities.logged_models import LoggedModel
from mlquery.readers.errors import SourceError
from mlquery.readers.readonly import READ_ERRORS, explained, opened
from mlquery.store import Store

_MODELS: Final = (
    "SELECT model_id, experiment_id, name, artifact_location, creation_timestamp_ms, last_updated_timestamp_ms, status,"
    " coalesce(lifecycle_stage, 'active'), model_type, source_run_id FROM logged_models ORDER BY rowid"
)
_METRICS: Final = (
    "SELECT model_id, metric_name, metric_value, metric_timestamp_ms, metric_step, dataset_name, dataset_digest, run_id"
    " FROM logged_model_metrics ORDER BY rowid"
)
_USES: Final = "SELECT source_id, destination_id, {step} FROM inputs WHERE source_type = ? AND destination_type = ?"


def read_models(path: Path, store: Store) -> None:
    """Fill `store.models` from a database.

    Raises:
        SourceError: the tables cannot be read.
    """
    try:
        with opened(path, str(path)) as connection:
            _read(connection, store)
    except (*READ_ERRORS, TypeError, ValueError) as error:
        raise SourceError(str(path), explained(error)) from None


def _read(connection: sqlite3.Connection, store: Store) -> None:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    tables, models = {name for (name,) in found}, store.models
    if "logged_models" not in tables:
        return
    params, tags = (_texts(connection, kind) for kind in ("param", "tag"))
    for model_id, experiment_id, *fields in connection.execute(_MODELS):
        model = LoggedModel(model_id, str(experiment_id), *fields)
        models.by_id[model_id] = attrs.evolve(model, tags=tags[model_id], params=params[model_id])
    for model_id, key, value, timestamp, step, *about in connection.execute(_METRICS):
        point = Metric(key, math.nan if value is None else float(value), timestamp, step, model_id, *about)
        models.points.setdefault(model_id, {})[key, timestamp, step, str(point.run_id)] = point
    columns = {row[1] for row in connection.execute("PRAGMA table_info(inputs)")}
    uses = _USES.format(step="step" if "step" in columns else "0")
    for run_id, model_id, step in connection.execute(uses, ("RUN_OUTPUT", "MODEL_OUTPUT")):
        models.outputs.setdefault(run_id, {})[model_id] = step
    for run_id, model_id, _ in connection.execute(uses, ("RUN_INPUT", "MODEL_INPUT")):
        models.inputs.setdefault(run_id, {})[model_id] = None


def _texts(connection: sqlite3.Connection, kind: str) -> defaultdict[str, dict[str, Any]]:
    found: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    rows = connection.execute(f"SELECT model_id, {kind}_key, {kind}_value FROM logged_model_{kind}s ORDER BY rowid")
    for model_id, key, value in rows:
        found[model_id][key] = value
    return found
