"""The calls that log data of runs and read it back: metrics, params, tags, batches, metric histories.

**Source** of fields, rules and answers: the handlers of `mlflow server` 3.17; of the asynchronous batches the client
`azureml-mlflow` 1.60.
"""

from __future__ import annotations

import json
from typing import Any, Final

import attrs

from mlquery.entities import Metric, Param, RunTag
from mlquery.errors import invalid_parameter
from mlquery.query.histories import sampled
from mlquery.server import proto_json as proto
from mlquery.server.bodies import metric_body, number
from mlquery.server.endpoints import Call, a_list, a_number, a_text, a_whole, between, each_with, needed, texts
from mlquery.server.experiments import TAGS
from mlquery.server.proto_json import Given, Message
from mlquery.server.runs import RUN_ID, RUN_RULE, RUN_UUID, run_id_of
from mlquery.server.service import Service
from mlquery.store import Store
from mlquery.store.validation import check_tag

_MOST_POINTS: Final = 25_000
_MOST_RUNS: Final = 100
_MOST_PER_RUN: Final = 2_500
_HISTORY: Final = "mlflow.log-model.history"
_MODEL_FIELDS: Final = {"artifact_path", "flavors", "utc_time_created", "run_id"}


def _log_metric(service: Service, given: Given) -> Any:
    service.store.log_metric(run_id_of(given), _metric(given, given["run_id"]), limits=service.limits)
    return {}


def _metric(given: Given, run_id: str | None = None) -> Metric:
    return Metric(
        given["key"],
        given["value"],
        given["timestamp"],
        given["step"],
        given["model_id"] or None,
        given["dataset_name"] or None,
        given["dataset_digest"] or None,
        run_id or None,
    )


def _log_param(service: Service, given: Given) -> Any:
    service.store.log_param(run_id_of(given), Param(given["key"], given["value"]), limits=service.limits)
    return {}


def _set_tag(service: Service, given: Given) -> Any:
    service.store.set_tag(run_id_of(given), RunTag(given["key"], given["value"]), limits=service.limits)
    return {}


def _delete_tag(service: Service, given: Given) -> Any:
    service.store.delete_tag(given["run_id"], given["key"])
    return {}


def _log_batch(service: Service, given: Given) -> Any:
    service.store.log_batch(
        given["run_id"],
        [_metric(metric, metric["run_id"]) for metric in given["metrics"]],
        [Param(param["key"], param["value"]) for param in given["params"]],
        [RunTag(tag["key"], tag["value"]) for tag in given["tags"]],
        limits=service.limits,
    )
    return {}


def _log_batch_async(service: Service, given: Given) -> Any:
    """Log at once; without metrics there is nothing that a client would have to wait for."""
    _log_batch(service, given)
    return {"batch_tracking_id": f"{given['run_id']}-{service.store.version}"} if given["metrics"] else {}


def _run_data_status(service: Service, given: Given) -> Any:
    service.store.get_run(given["run_id"])
    return {"is_complete": True}


def _log_model(service: Service, given: Given) -> Any:
    """Add a model of MLflow 2 to the tag that lists the models of a run; the list is kept whole, however long it is."""
    model = _model_of(given["model_json"])
    store, run_id = service.store, given["run_id"]
    with store.lock:
        listed = json.loads(store.get_run(run_id).data.tags.get(_HISTORY, "[]"))
        tag = RunTag(_HISTORY, json.dumps([*listed, model]))
        check_tag(tag, service.limits)
        store.set_tag(run_id, tag, limits=attrs.evolve(service.limits, tag_value=len(tag.value)))
    return {}


def _model_of(text: str) -> dict[str, Any]:
    try:
        model = json.loads(text)
    except (ValueError, RecursionError):
        raise invalid_parameter(f"Malformed model info. \n {text} \n is not a valid JSON.") from None
    missing = sorted(_MODEL_FIELDS - set(model)) if isinstance(model, dict) else sorted(_MODEL_FIELDS)
    if missing:
        raise invalid_parameter(f"Model json is missing mandatory fields: {missing}")
    flavors = model["flavors"] if isinstance(model["flavors"], dict) else {}
    listed = {name: model.get(name) for name in ("run_id", "artifact_path", "utc_time_created", "model_uuid")}
    return listed | {"flavors": {name: _without_config(flavor) for name, flavor in flavors.items()}}


def _without_config(flavor: Any) -> Any:
    return {name: value for name, value in flavor.items() if name != "config"} if isinstance(flavor, dict) else flavor


def _history(service: Service, given: Given) -> Any:
    most = given.get("max_results")
    if most is not None and most <= 0:
        message = f"Invalid value {most} for parameter 'max_results' supplied. It must be a positive integer."
        raise invalid_parameter(message)
    found = service.store.get_metric_history(run_id_of(given), given["metric_key"], most, given["page_token"] or None)
    body: dict[str, Any] = {"metrics": [metric_body(service.whole, point) for point in found]} if found else {}
    return body | {"next_page_token": found.token} if found.token else body


def _history_bulk(service: Service, given: Given) -> Any:
    run_ids = given["run_id"]
    if not run_ids:
        raise invalid_parameter("GetMetricHistoryBulk request must specify at least one run_id.")
    if len(run_ids) > _MOST_RUNS:
        raise invalid_parameter(
            f"GetMetricHistoryBulk request cannot specify more than {_MOST_RUNS} run_ids. "
            f"Received {len(run_ids)} run_ids."
        )
    if given.get("metric_key") is None:
        raise invalid_parameter("GetMetricHistoryBulk request must specify a metric_key.")
    room = min(given["max_results"], _MOST_POINTS)
    found: list[dict[str, Any]] = []
    for run_id in sorted(set(run_ids)):
        points = service.store.get_metric_history(run_id, given["metric_key"], max(0, room - len(found)))
        found += [metric_body(service.whole, point) | {"run_id": run_id} for point in points]
    return {"metrics": found}


def _history_interval(service: Service, given: Given) -> Any:
    first, last = given.get("start_step"), given.get("end_step")
    if (first is None) != (last is None):
        raise invalid_parameter("If either start step or end step are specified, both must be specified.")
    if first is not None and first > last:
        raise invalid_parameter(
            f"end_step must be greater than start_step. Found start_step={first} and end_step={last}."
        )
    store, found = service.store, []
    with store.lock:
        for run_id in given["run_ids"]:
            points = _points_by_step(store, run_id, given["metric_key"], first, last)
            found += [
                _point_body(service, given["metric_key"], run_id, points[i])
                for i in sampled(len(points), given.get("max_results") or _MOST_PER_RUN)
            ]
    return {"metrics": found} if found else {}


def _few_runs(_: str, value: Any) -> str | None:
    """Demand no more runs than one request may ask for."""
    asked = f"GetMetricHistoryBulkInterval request must specify at most {_MOST_RUNS} run_ids."
    return f"{asked} Received {len(value)} run_ids." if len(value) > _MOST_RUNS else None


_Point = tuple[int, int, float, bool]
"""Step, timestamp, value with 0 for NaN, whether it is NaN."""


def _points_by_step(store: Store, run_id: str, key: str, first: int | None, last: int | None) -> list[_Point]:
    values, timestamps, steps = store.history(run_id, key)
    rows = zip(values.tolist(), timestamps.tolist(), steps.tolist(), strict=True)
    points = sorted((step, time, value if value == value else 0.0, value != value) for value, time, step in rows)
    if first is None or last is None:
        return points
    return [point for point in points if first <= point[0] <= last]


def _point_body(service: Service, key: str, run_id: str, point: _Point) -> dict[str, Any]:
    step, time, value, is_nan = point
    shown = "NaN" if is_nan else number(value)
    return {
        "key": key,
        "value": shown,
        "timestamp": service.whole(time),
        "step": service.whole(step),
        "run_id": run_id,
    }


_KEY, _VALUE = proto.text("key"), proto.text("value")
_POINT: Final = (_KEY, proto.double("value"), proto.int64("timestamp"), proto.int64("step"))
_ABOUT: Final = (proto.text("model_id"), proto.text("dataset_name"), proto.text("dataset_digest"))
_BATCH: Final = Message(
    (
        RUN_ID,
        proto.parts("metrics", *_POINT, *_ABOUT, RUN_ID),
        proto.parts("params", _KEY, _VALUE),
        TAGS,
    )
)
_BATCH_RULES: Final = {
    "run_id": (a_text, needed),
    "metrics": (a_list, each_with("key", "value", "timestamp")),
    "params": (a_list, each_with("key")),
    "tags": (a_list, each_with("key")),
}
_KEY_RULES: Final = {**RUN_RULE, "key": (needed, a_text)}

CALLS: Final = (
    Call(
        "POST",
        "runs/log-metric",
        Message((RUN_ID, RUN_UUID, *_POINT, *_ABOUT)),
        _log_metric,
        {
            **_KEY_RULES,
            "value": (needed, a_number),
            "timestamp": (a_whole, needed),
            "step": (a_whole,),
            "model_id": (a_text,),
            "dataset_name": (a_text,),
            "dataset_digest": (a_text,),
        },
    ),
    Call(
        "POST",
        "runs/log-parameter",
        Message((RUN_ID, RUN_UUID, _KEY, _VALUE)),
        _log_param,
        {**_KEY_RULES, "value": (a_text,)},
    ),
    Call(
        "POST",
        "runs/set-tag",
        Message((RUN_ID, RUN_UUID, _KEY, _VALUE)),
        _set_tag,
        {**_KEY_RULES, "value": (a_text,)},
    ),
    Call("POST", "runs/delete-tag", Message((RUN_ID, _KEY)), _delete_tag, _KEY_RULES),
    Call("POST", "runs/log-batch", _BATCH, _log_batch, _BATCH_RULES),
    Call(
        "POST",
        "runs/log-model",
        Message((RUN_ID, proto.text("model_json"))),
        _log_model,
        {"run_id": (a_text, needed), "model_json": (a_text, needed)},
    ),
    Call(
        "GET",
        "metrics/get-history",
        Message(
            (
                RUN_ID,
                RUN_UUID,
                proto.text("metric_key"),
                proto.text("page_token"),
                proto.int32("max_results"),
            )
        ),
        _history,
        {"run_id": (a_text, needed), "metric_key": (a_text, needed), "page_token": (a_text,)},
    ),
    Call(
        "GET",
        "metrics/get-history-bulk",
        Message(
            (
                proto.text("run_id", many=True),
                proto.text("metric_key"),
                proto.int32("max_results", _MOST_POINTS),
            )
        ),
        _history_bulk,
        {"max_results": (a_whole,)},
    ),
    Call(
        "GET",
        "metrics/get-history-bulk-interval",
        Message(
            (
                proto.text("run_ids", many=True),
                proto.text("metric_key"),
                proto.int32("start_step"),
                proto.int32("end_step"),
                proto.int32("max_results"),
            )
        ),
        _history_interval,
        {
            "run_ids": (needed, a_list, texts, _few_runs),
            "metric_key": (needed, a_text),
            "start_step": (a_whole,),
            "end_step": (a_whole,),
            "max_results": (
                a_whole,
                between(1, _MOST_PER_RUN, f"max_results must be between 1 and {_MOST_PER_RUN}."),
            ),
        },
    ),
)

# Below the prefix of previews, where a dialect's endpoint has them.
ASYNC_CALLS: Final = (
    Call("POST", "runs/log-batch-async", _BATCH, _log_batch_async, _BATCH_RULES),
    Call(
        "GET",
        "runs/get-run-data-status",
        Message((RUN_ID, proto.text("batch_tracking_id"))),
        _run_data_status,
        RUN_RULE,
    ),
)
