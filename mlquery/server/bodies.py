"""Turns what a store holds into the JSON values of answers, in the shape and with the omissions of MLflow's server.

Runs, of which there may be thousands in an answer, are in `run_json`. Nothing is decided here.

**Source**: the `to_proto` methods of MLflow 3.17's entities, read through protobuf's JSON.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from mlquery.entities import Experiment, FileInfo, Metric
from mlquery.server.service import Service
from mlquery.store.model_table import StoredModel

Body = dict[str, Any]
Whole = Callable[[int], int | str]
_MODEL_STATUSES = (
    "LOGGED_MODEL_STATUS_UNSPECIFIED",
    "LOGGED_MODEL_PENDING",
    "LOGGED_MODEL_READY",
    "LOGGED_MODEL_UPLOAD_FAILED",
)


def number(value: float) -> float | str:
    """Return a number for JSON, which has no NaN and no infinity."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def pairs(strings: Mapping[str, str]) -> list[Body]:
    """Return tags or params."""
    return [{"key": key, "value": value} for key, value in strings.items()]


def experiment_body(service: Service, found: Experiment) -> Body:
    """Return an experiment."""
    body: Body = {
        "experiment_id": found.experiment_id,
        "name": found.name,
        "artifact_location": found.artifact_location,
        "lifecycle_stage": found.lifecycle_stage,
        "workspace": found.workspace,
    }
    if found.last_update_time:
        body["last_update_time"] = service.integer(found.last_update_time)
    if found.creation_time:
        body["creation_time"] = service.integer(found.creation_time)
    if found.tags:
        body["tags"] = pairs(found.tags)
    for name in service.answers.get("experiment_without", ()):
        body.pop(name, None)
    return body


def metric_body(whole: Whole, point: Metric) -> Body:
    """Return a logged point."""
    body: Body = {
        "key": point.key,
        "value": number(point.value),
        "timestamp": whole(point.timestamp),
        "step": whole(point.step),
    }
    for name in ("model_id", "dataset_name", "dataset_digest", "run_id"):
        if getattr(point, name):
            body[name] = getattr(point, name)
    return body


def file_body(whole: Whole, found: FileInfo) -> Body:
    """Return an artifact."""
    body: Body = {"path": found.path, "is_dir": found.is_dir}
    if found.file_size:
        body["file_size"] = whole(found.file_size)
    return body


def model_body(service: Service, model: StoredModel) -> Body:
    """Return a logged model with the points that were logged for it."""
    whole = service.integer
    info: Body = {
        "model_id": model.model_id,
        "experiment_id": model.experiment_id,
        "name": model.name,
        "creation_timestamp_ms": whole(model.creation_timestamp),
        "last_updated_timestamp_ms": whole(model.last_updated_timestamp),
        "artifact_uri": model.artifact_location,
        "status": _MODEL_STATUSES[model.status],
    }
    for name in ("model_type", "source_run_id"):
        if getattr(model, name) is not None:
            info[name] = getattr(model, name)
    if model.tags:
        info["tags"] = pairs(model.tags)
    data: Body = {"params": pairs(model.params)} if model.params else {}
    points = service.store.models.metrics(model.model_id)
    if points:
        data["metrics"] = [metric_body(whole, point) for point in points]
    return {"info": info, "data": data}
