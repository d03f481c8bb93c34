"""Turns what a store holds into the JSON values of answers, in the shape and with the omissions of MLflow's server.

Runs, of which there may be thousands in an answer, are in `run_json`. Nothing is decided here.

**Source**: the `to_proto` methods of MLflow 3.17's entities, read through protobuf's JSON.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mlquery.entities import Experiment, FileInfo, Metric
from mlquery.entities.registry import ModelVersion, RegisteredModel
from mlquery.server.service import Service
from mlquery.store.model_table import StoredModel

Body = dict[str, Any]
Integer = Callable[[int], int | str]
"""Makes of an integer of 64 bits what JSON shows."""
Location = Callable[[str], str]
"""Makes of the location of artifacts what JSON shows."""
MODEL_STATUSES = (
    "LOGGED_MODEL_STATUS_UNSPECIFIED",
    "LOGGED_MODEL_PENDING",
    "LOGGED_MODEL_READY",
    "LOGGED_MODEL_UPLOAD_FAILED",
)
"""What JSON calls the statuses of logged models, by number."""


def number(value: float) -> float | str:
    """Return a number for JSON, which has no NaN and no infinity."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def pairs(values: Mapping[str, str]) -> list[Body]:
    """Return tags or params."""
    return [{"key": key, "value": value} for key, value in values.items()]


def list_body(name: str, items: Iterable[Any], token: str | None = None) -> Body:
    """Return a list under its name and the token of the next page, each only if it is not empty."""
    listed = list(items)
    body: Body = {name: listed} if listed else {}
    return body | {"next_page_token": token} if token else body


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
    body |= list_body("tags", pairs(found.tags))
    for name in service.answers.get("experiment_without", ()):
        body.pop(name, None)
    return body


def metric_body(integer: Integer, point: Metric) -> Body:
    """Return a logged point."""
    body: Body = {
        "key": point.key,
        "value": number(point.value),
        "timestamp": integer(point.timestamp),
        "step": integer(point.step),
    }
    for name in ("model_id", "dataset_name", "dataset_digest", "run_id"):
        if getattr(point, name):
            body[name] = getattr(point, name)
    return body


def files_body(integer: Integer, files: Iterable[FileInfo]) -> Body:
    """Return a listing of artifacts."""
    return list_body("files", (_file_body(integer, found) for found in files))


def _file_body(integer: Integer, found: FileInfo) -> Body:
    body: Body = {"path": found.path, "is_dir": found.is_dir}
    if found.file_size:
        body["file_size"] = integer(found.file_size)
    return body


def logged_model_body(integer: Integer, model: StoredModel, points: Iterable[Metric]) -> Body:
    """Return a logged model with the points that were logged for it."""
    info: Body = {
        "model_id": model.model_id,
        "experiment_id": model.experiment_id,
        "name": model.name,
        "creation_timestamp_ms": integer(model.creation_timestamp),
        "last_updated_timestamp_ms": integer(model.last_updated_timestamp),
        "artifact_uri": model.artifact_location,
        "status": MODEL_STATUSES[model.status],
    }
    for name in ("model_type", "source_run_id"):
        if getattr(model, name) is not None:
            info[name] = getattr(model, name)
    metrics = (metric_body(integer, point) for point in points)
    return {
        "info": info | list_body("tags", pairs(model.tags)),
        "data": list_body("params", pairs(model.params)) | list_body("metrics", metrics),
    }


def registered_model_body(integer: Integer, model: RegisteredModel, location: Location = str) -> Body:
    """Return a registered model; `location` writes where the files of its versions are."""
    body: Body = {
        "name": model.name,
        "creation_timestamp": integer(model.creation_timestamp),
        "last_updated_timestamp": integer(model.last_updated_timestamp),
    }
    if model.description:
        body["description"] = model.description
    latest = [model_version_body(integer, version, location) for version in model.latest_versions]
    aliases = [{"alias": alias, "version": str(version)} for alias, version in sorted(model.aliases.items())]
    body |= list_body("latest_versions", latest) | list_body("aliases", aliases)
    return body | list_body("tags", pairs(model.tags))


def model_version_body(integer: Integer, version: ModelVersion, location: Location = str) -> Body:
    """Return a version of a registered model; `location` writes where its files are."""
    body: Body = {
        "name": version.name,
        "version": str(version.version),
        "creation_timestamp": integer(version.creation_timestamp),
        "last_updated_timestamp": integer(version.last_updated_timestamp),
        "current_stage": version.current_stage,
        "status": version.status,
    }
    for name in ("description", "user_id", "source", "run_id", "run_link"):
        if getattr(version, name) is not None:
            body[name] = getattr(version, name)
    if version.source is not None:
        body["source"] = location(version.source)
    if version.status_message:
        body["status_message"] = version.status_message
    return body | list_body("tags", pairs(version.tags)) | list_body("aliases", version.aliases)
