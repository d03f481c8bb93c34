"""The endpoints that log data of runs and read it back: metrics, params, tags, batches, metric histories.

**Source** of fields, rules and answers: the handlers of `mlflow server` 3.17; of the asynchronous batches the client
`azureml-mlflow` 1.60.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from mlquery.backend import Backend
from mlquery.entities import Metric, Param, RunTag
from mlquery.errors import invalid_parameter
from mlquery.server import proto_json as proto
from mlquery.server.bodies import list_body, metric_body
from mlquery.server.endpoints import (
    Endpoint,
    a_list,
    a_number,
    a_string,
    an_integer,
    between,
    each_with,
    forwarded,
    required,
    strings,
)
from mlquery.server.experiments import KEY, KEY_AND_VALUE_RULES, KEY_RULE, TAGS, VALUE
from mlquery.server.proto_json import Fields, Message
from mlquery.server.runs import RUN_ID, RUN_RULE, RUN_UUID, run_id_of
from mlquery.server.service import Service

_MOST_POINTS: Final = 25_000
_MOST_RUNS: Final = 100
_MOST_PER_RUN: Final = 2_500
_MODEL_FIELDS: Final = {"artifact_path", "flavors", "utc_time_created", "run_id"}


def _log_metric(service: Service, fields: Fields) -> Any:
    service.backend.log_metric(run_id_of(fields), _metric(fields, fields["run_id"]))
    return {}


def _metric(fields: Fields, run_id: str | None = None) -> Metric:
    return Metric(
        fields["key"],
        fields["value"],
        fields["timestamp"],
        fields["step"],
        fields["model_id"] or None,
        fields["dataset_name"] or None,
        fields["dataset_digest"] or None,
        run_id or None,
    )


def _log_param(service: Service, fields: Fields) -> Any:
    service.backend.log_param(run_id_of(fields), Param(fields["key"], fields["value"]))
    return {}


def _set_tag(service: Service, fields: Fields) -> Any:
    service.backend.set_tag(run_id_of(fields), RunTag(fields["key"], fields["value"]))
    return {}


def _log_batch(service: Service, fields: Fields) -> Any:
    service.backend.log_batch(
        fields["run_id"],
        [_metric(metric, metric["run_id"]) for metric in fields["metrics"]],
        [Param(param["key"], param["value"]) for param in fields["params"]],
        [RunTag(tag["key"], tag["value"]) for tag in fields["tags"]],
    )
    return {}


def _log_batch_async(service: Service, fields: Fields) -> Any:
    """Log at once; without metrics there is nothing that a client would have to wait for."""
    _log_batch(service, fields)
    return {"batch_tracking_id": f"{fields['run_id']}-{service.store.version}"} if fields["metrics"] else {}


def _log_model(service: Service, fields: Fields) -> Any:
    service.backend.record_logged_model(fields["run_id"], _model_of(fields["model_json"]))
    return {}


def _model_of(string: str) -> dict[str, Any]:
    try:
        model = json.loads(string)
    except (ValueError, RecursionError):
        raise invalid_parameter(f"Malformed model info. \n {string} \n is not a valid JSON.") from None
    missing = sorted(_MODEL_FIELDS - set(model)) if isinstance(model, dict) else sorted(_MODEL_FIELDS)
    if missing:
        raise invalid_parameter(f"Model json is missing mandatory fields: {missing}")
    flavors = model["flavors"] if isinstance(model["flavors"], dict) else {}
    listed = {name: model.get(name) for name in ("run_id", "artifact_path", "utc_time_created", "model_uuid")}
    return listed | {"flavors": {name: _without_config(flavor) for name, flavor in flavors.items()}}


def _without_config(flavor: Any) -> Any:
    return {name: value for name, value in flavor.items() if name != "config"} if isinstance(flavor, dict) else flavor


def _history(service: Service, fields: Fields) -> Any:
    most = fields.get("max_results")
    if most is not None and most <= 0:
        message = f"Invalid value {most} for parameter 'max_results' supplied. It must be a positive integer."
        raise invalid_parameter(message)
    page_token = fields["page_token"] or None
    found = service.backend.get_metric_history(run_id_of(fields), fields["metric_key"], most, page_token)
    return list_body("metrics", (metric_body(service.integer, point) for point in found), found.token)


def _history_bulk(service: Service, fields: Fields) -> Any:
    run_ids = fields["run_id"]
    if not run_ids:
        raise invalid_parameter("GetMetricHistoryBulk request must specify at least one run_id.")
    if len(run_ids) > _MOST_RUNS:
        raise invalid_parameter(
            f"GetMetricHistoryBulk request cannot specify more than {_MOST_RUNS} run_ids. "
            f"Received {len(run_ids)} run_ids."
        )
    if fields.get("metric_key") is None:
        raise invalid_parameter("GetMetricHistoryBulk request must specify a metric_key.")
    most = min(fields["max_results"], _MOST_POINTS)
    return {"metrics": _points(service, service.backend.get_metric_history_bulk(run_ids, fields["metric_key"], most))}


def _history_interval(service: Service, fields: Fields) -> Any:
    first, last = fields.get("start_step"), fields.get("end_step")
    if (first is None) != (last is None):
        raise invalid_parameter("If either start step or end step are specified, both must be specified.")
    if first is not None and first > last:
        raise invalid_parameter(
            f"end_step must be greater than start_step. Found start_step={first} and end_step={last}."
        )
    most = fields.get("max_results") or _MOST_PER_RUN
    found = service.backend.get_metric_history_bulk_interval(fields["run_ids"], fields["metric_key"], most, first, last)
    return list_body("metrics", _points(service, found))


def _points(service: Service, found: Iterable[tuple[str, Metric]]) -> list[Any]:
    """Return points with the runs that they are of."""
    return [metric_body(service.integer, point) | {"run_id": run_id} for run_id, point in found]


def _few_runs(_: str, value: Any) -> str | None:
    """Demand no more runs than one request may name."""
    asked = f"GetMetricHistoryBulkInterval request must specify at most {_MOST_RUNS} run_ids."
    return f"{asked} Received {len(value)} run_ids." if len(value) > _MOST_RUNS else None


_delete_tag = forwarded(Backend.delete_tag, "run_id", "key")
_run_data_status = forwarded(Backend.get_run, "run_id", body=lambda service, run: {"is_complete": True})

_POINT: Final = (KEY, proto.double("value"), proto.int64("timestamp"), proto.int64("step"))
_ABOUT: Final = (proto.string("model_id"), proto.string("dataset_name"), proto.string("dataset_digest"))
_BATCH: Final = Message(
    RUN_ID, proto.parts("metrics", *_POINT, *_ABOUT, RUN_ID), proto.parts("params", KEY, VALUE), TAGS
)
_BATCH_RULES: Final = {
    "run_id": (a_string, required),
    "metrics": (a_list, each_with("key", "value", "timestamp")),
    "params": (a_list, each_with("key")),
    "tags": (a_list, each_with("key")),
}
_KEY_AND_VALUE: Final = Message(RUN_ID, RUN_UUID, KEY, VALUE)
_KEY_AND_VALUE_RULES: Final = RUN_RULE | KEY_AND_VALUE_RULES

ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "runs/log-metric",
        Message(RUN_ID, RUN_UUID, *_POINT, *_ABOUT),
        _log_metric,
        {
            **RUN_RULE,
            **KEY_RULE,
            "value": (required, a_number),
            "timestamp": (an_integer, required),
            "step": (an_integer,),
            "model_id": (a_string,),
            "dataset_name": (a_string,),
            "dataset_digest": (a_string,),
        },
    ),
    Endpoint("POST", "runs/log-parameter", _KEY_AND_VALUE, _log_param, _KEY_AND_VALUE_RULES),
    Endpoint("POST", "runs/set-tag", _KEY_AND_VALUE, _set_tag, _KEY_AND_VALUE_RULES),
    Endpoint("POST", "runs/delete-tag", Message(RUN_ID, KEY), _delete_tag, RUN_RULE | KEY_RULE),
    Endpoint("POST", "runs/log-batch", _BATCH, _log_batch, _BATCH_RULES),
    Endpoint(
        "POST",
        "runs/log-model",
        Message(RUN_ID, proto.string("model_json")),
        _log_model,
        {"run_id": (a_string, required), "model_json": (a_string, required)},
    ),
    Endpoint(
        "GET",
        "metrics/get-history",
        Message(RUN_ID, RUN_UUID, proto.string("metric_key"), proto.string("page_token"), proto.int32("max_results")),
        _history,
        {"run_id": (a_string, required), "metric_key": (a_string, required), "page_token": (a_string,)},
    ),
    Endpoint(
        "GET",
        "metrics/get-history-bulk",
        Message(
            proto.string("run_id", repeated=True), proto.string("metric_key"), proto.int32("max_results", _MOST_POINTS)
        ),
        _history_bulk,
        {"max_results": (an_integer,)},
    ),
    Endpoint(
        "GET",
        "metrics/get-history-bulk-interval",
        Message(
            proto.string("run_ids", repeated=True),
            proto.string("metric_key"),
            proto.int32("start_step"),
            proto.int32("end_step"),
            proto.int32("max_results"),
        ),
        _history_interval,
        {
            "run_ids": (required, a_list, strings, _few_runs),
            "metric_key": (required, a_string),
            "start_step": (an_integer,),
            "end_step": (an_integer,),
            "max_results": (
                an_integer,
                between(1, _MOST_PER_RUN, f"max_results must be between 1 and {_MOST_PER_RUN}."),
            ),
        },
    ),
)

# Below the prefix of previews, where a dialect's endpoint has them.
ASYNC_ENDPOINTS: Final = (
    Endpoint("POST", "runs/log-batch-async", _BATCH, _log_batch_async, _BATCH_RULES),
    Endpoint(
        "GET",
        "runs/get-run-data-status",
        Message(RUN_ID, proto.string("batch_tracking_id")),
        _run_data_status,
        RUN_RULE,
    ),
)
