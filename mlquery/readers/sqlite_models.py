"""Turns the tables of logged models in an MLflow SQLite database into `Models`.

Databases from before MLflow 3 have no such tables.

**Source**: the tables `logged_models…` and `inputs` of `mlflow.store.tracking.dbmodels.models`, MLflow 3.17.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Final

import attrs

from mlquery.entities import LifecycleStage, Metric
from mlquery.readers.sqlite_tables import INTEGER, NULL, NUMBER, STRING, Column, Tables
from mlquery.store.model_table import ModelTable, StoredModel

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
_METRICS: Final[list[Column]] = [
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


def read_models(tables: Tables) -> ModelTable:
    """Return the logged models of a database, their points, and which runs wrote and read them.

    Raises:
        SourceError: a table is damaged.
    """
    models = ModelTable()
    if "logged_models" not in tables.names:
        return models
    params, tags = _strings(tables, "param"), _strings(tables, "tag")
    for model_id, experiment_id, *fields in tables.rows("logged_models", _MODELS):
        model = StoredModel(model_id, str(experiment_id), *fields)
        stage = model.lifecycle_stage or LifecycleStage.ACTIVE
        models.by_id[model_id] = attrs.evolve(
            model, lifecycle_stage=stage, tags=tags[model_id], params=params[model_id]
        )
    for key, value, timestamp, step, model_id, name, digest, run_id in tables.rows("logged_model_metrics", _METRICS):
        number = math.nan if value is None else value
        point = Metric(key, number, timestamp, step, model_id, name, digest, run_id)
        models.points.setdefault(model_id, {})[key, timestamp, step, run_id] = point
    for run_id, model_id, step in tables.rows("inputs", _USES, _WRITTEN):
        models.outputs.setdefault(run_id, {})[model_id] = step
    for run_id, model_id, _ in tables.rows("inputs", _USES, _READ):
        models.inputs.setdefault(run_id, {})[model_id] = None
    return models


def _strings(tables: Tables, kind: str) -> defaultdict[str, dict[str, str]]:
    """Return the params or tags by model."""
    columns: list[Column] = [
        ("model_id", STRING, None),
        (f"{kind}_key", STRING, None),
        (f"{kind}_value", STRING, None),
    ]
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for model_id, key, value in tables.rows(f"logged_model_{kind}s", columns):
        found[model_id][key] = value
    return found
