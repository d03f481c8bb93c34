"""Reads a logged model of MLflow's client as a store keeps it: the model and its points. MLflow is not imported."""

from __future__ import annotations

from typing import Any

from mlquery.entities import Metric
from mlquery.store.model_table import StoredModel
from mlquery.store.validation import clean_value


def stored_model(found: Any) -> StoredModel:
    """Return a logged model of MLflow's without its points."""
    return StoredModel(
        found.model_id,
        found.experiment_id,
        found.name,
        found.artifact_location,
        found.creation_timestamp,
        found.last_updated_timestamp,
        found.status.to_int(),
        model_type=found.model_type or None,
        source_run_id=found.source_run_id or None,
        tags=dict(found.tags or {}),
        params=dict(found.params or {}),
    )


def model_points(found: Any) -> tuple[Metric, ...]:
    """Return the points of the metrics of a logged model of MLflow's."""
    return tuple(_point(found.model_id, point) for point in found.metrics or ())


def _point(model_id: str, point: Any) -> Metric:
    about = (model_id, point.dataset_name or None, point.dataset_digest or None, point.run_id)
    return Metric(point.key, clean_value(float(point.value)), point.timestamp, point.step or 0, *about)
