"""Turns what a store holds into the JSON values of answers, in the shape and with the omissions of MLflow's server.

Nothing is decided here.

**Source**: the `to_proto` methods of MLflow 3.17's entities, read through protobuf's JSON.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mlquery.entities import Experiment, FileInfo, Metric, Run, RunData, RunInfo, RunInputs
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError
from mlquery.server.service import Service
from mlquery.store.models import LoggedModel
from mlquery.store.run_table import RunTable

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


def pairs(texts: Mapping[str, str]) -> list[Body]:
    """Return tags or params."""
    return [{"key": key, "value": value} for key, value in texts.items()]


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
        body["last_update_time"] = service.whole(found.last_update_time)
    if found.creation_time:
        body["creation_time"] = service.whole(found.creation_time)
    if found.tags:
        body["tags"] = pairs(found.tags)
    for name in service.answers.get("experiment_without", ()):
        body.pop(name, None)
    return body


def new_run_body(service: Service, run: Run) -> Body:
    """Return a run that was just created: it has tags, no outputs, and nothing else."""
    return {
        "info": info_body(service.whole, run.info),
        "data": {"tags": pairs(run.data.tags)} if run.data.tags else {},
        "inputs": {},
    }


def run_body(service: Service, run_id: str) -> Body:
    """Return a run with everything that is known of it; raise RESOURCE_DOES_NOT_EXIST if there is none."""
    row = service.store.runs.row_of.get(run_id)
    if row is None:
        raise StoreError(f"Run with id={run_id} not found", RESOURCE_DOES_NOT_EXIST)
    (body,) = run_bodies(service, [row])
    read = service.store.models.inputs.get(run_id)
    if read:
        body["inputs"]["model_inputs"] = [{"model_id": model_id} for model_id in read]
    return body


def run_bodies(service: Service, rows: Iterable[int]) -> list[Body]:
    """Return the runs of rows of the store, as a search does: without the models that they read."""
    wanted = [int(row) for row in rows]
    runs, written = service.store.runs, service.store.models.outputs
    points = _latest_points(runs, wanted, service.whole)
    return [
        {
            "info": info_body(service.whole, run.info),
            "data": _data_body(run.data, *points[i]),
            "inputs": _inputs_body(run.inputs),
            "outputs": _outputs_body(service.whole, written.get(run.info.run_id)),
        }
        for i, run in enumerate(runs.runs_at(wanted))
    ]


def info_body(whole: Whole, info: RunInfo) -> Body:
    """Return what is known of every run. A database may hold no user and no start."""
    body: Body = {
        "run_id": info.run_id,
        "run_uuid": info.run_id,
        "experiment_id": info.experiment_id,
        "user_id": info.user_id or "",
        "status": info.status,
        "start_time": whole(info.start_time or 0),
        "lifecycle_stage": info.lifecycle_stage,
    }
    if info.run_name is not None:
        body["run_name"] = info.run_name
    if info.end_time:
        body["end_time"] = whole(info.end_time)
    if info.artifact_uri:
        body["artifact_uri"] = info.artifact_uri
    return body


def _data_body(data: RunData, timestamps: Sequence[int | str], steps: Sequence[int | str]) -> Body:
    body: Body = {}
    if data.metrics:
        points = zip(data.metrics.items(), timestamps, steps, strict=True)
        body["metrics"] = [
            {"key": key, "value": value if math.isfinite(value) else number(value), "timestamp": time, "step": step}
            for (key, value), time, step in points
        ]
    if data.params:
        body["params"] = pairs(data.params)
    if data.tags:
        body["tags"] = pairs(data.tags)
    return body


def _inputs_body(inputs: RunInputs | None) -> Body:
    if inputs is None or not inputs.dataset_inputs:
        return {}
    found: list[Body] = []
    for one in inputs.dataset_inputs:
        dataset = {name: value for name, value in one.dataset.to_dictionary().items() if value is not None}
        for name in ("schema", "profile"):
            if not dataset.get(name):
                dataset.pop(name, None)
        tags = [{"key": tag.key, "value": tag.value} for tag in one.tags]
        found.append({"tags": tags, "dataset": dataset} if tags else {"dataset": dataset})
    return {"dataset_inputs": found}


def _outputs_body(whole: Whole, steps: Mapping[str, int] | None) -> Body:
    if not steps:
        return {}
    return {"model_outputs": [{"model_id": model_id, "step": whole(step)} for model_id, step in steps.items()]}


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


def model_body(service: Service, model: LoggedModel) -> Body:
    """Return a logged model with the points that were logged for it."""
    whole = service.whole
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


def _latest_points(
    runs: RunTable, rows: Sequence[int], whole: Whole
) -> list[tuple[Sequence[int | str], Sequence[int | str]]]:
    """Return timestamps and steps of the latest metrics of rows; rows with the same keys are read at once."""
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        alike[runs.metric_keys[row]].append(place)
    found: list[tuple[Sequence[int | str], Sequence[int | str]]] = [((), ())] * len(rows)
    for keys, places in alike.items():
        if not keys:
            continue
        times, steps = [], []
        for key in keys:
            cells = runs.metrics.cells[key]
            slots = [rows[place] if cells.rows is None else cells.slot(rows[place]) for place in places]
            times.append([whole(cells.arrays[2][slot]) for slot in slots])
            steps.append([whole(cells.arrays[3][slot]) for slot in slots])
        for i, place in enumerate(places):
            found[place] = [column[i] for column in times], [column[i] for column in steps]
    return found
