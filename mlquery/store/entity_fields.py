"""Turns entities into fields that JSON can hold, as changes and snapshots keep them, and dataset inputs back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import attrs

from mlquery.entities import Dataset, DatasetInput, Experiment, InputTag, Metric, RunInfo
from mlquery.store.model_table import StoredModel

_DATASET: Final = ("name", "digest", "source_type", "source", "schema", "profile")
_EXPERIMENT: Final = (
    *("experiment_id", "name", "artifact_location", "lifecycle_stage", "tags", "creation_time", "last_update_time"),
)

_RUN: Final = tuple(field.name for field in attrs.fields(RunInfo))


def without_nan(value: Any) -> Any:
    """Return a value for JSON, which has no NaN and no infinity: they become strings, as in MLflow's REST responses."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def experiment_fields(found: Experiment) -> dict[str, Any]:
    """Return an experiment as JSON can hold it."""
    return {name: getattr(found, name) for name in _EXPERIMENT}


def run_fields(found: RunInfo) -> dict[str, Any]:
    """Return what is known of a run as JSON can hold it."""
    return {name: getattr(found, name) for name in _RUN}


def dataset_input_fields(found: DatasetInput) -> dict[str, Any]:
    """Return a dataset input as JSON can hold it."""
    dataset = [getattr(found.dataset, name) for name in _DATASET]
    return {"dataset": dataset, "tags": [[tag.key, tag.value] for tag in found.tags]}


def dataset_input_of(fields: Mapping[str, Any]) -> DatasetInput:
    """Return a dataset input from the fields that `dataset_input_fields` gives."""
    return DatasetInput(Dataset(*fields["dataset"]), [InputTag(key, value) for key, value in fields["tags"]])


def model_fields(found: StoredModel) -> dict[str, Any]:
    """Return a logged model as JSON can hold it."""
    return attrs.asdict(found, recurse=False) | {"tags": dict(found.tags), "params": dict(found.params)}


def model_point_fields(point: Metric) -> list[Any]:
    """Return a point of a logged model as JSON can hold it, without the id of the model."""
    about = [point.dataset_name, point.dataset_digest, point.run_id]
    return [point.key, point.value, point.timestamp, point.step, *about]
