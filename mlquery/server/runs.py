"""The endpoints about runs as such: create, read, search, update, delete, restore, what they read and wrote.

**Source** of fields, rules and answers: the handlers of `mlflow server` 3.17.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final

from mlquery.backend import Backend
from mlquery.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    RunTag,
    ViewType,
)
from mlquery.server import proto_json as proto
from mlquery.server.endpoints import Endpoint, Rule, a_list, a_string, an_integer, between, forwarded, required, strings
from mlquery.server.experiments import TAGS, VIEWS
from mlquery.server.proto_json import Fields, Message
from mlquery.server.run_json import Json, full_runs_of_rows, info_of_id, new_run, runs_of_rows
from mlquery.server.service import Service

STATUSES: Final = {"RUNNING": 1, "SCHEDULED": 2, "FINISHED": 3, "FAILED": 4, "KILLED": 5}
RUN_ID: Final = proto.string("run_id")
RUN_UUID: Final = proto.string("run_uuid")
RUN_RULE: Final[dict[str, tuple[Rule, ...]]] = {"run_id": (required, a_string)}


def run_id_of(fields: Fields) -> str:
    """Return the run that a request is about; the older name of the field will do."""
    run_id: str = fields["run_id"] or fields["run_uuid"]
    return run_id


def _writers(service: Service) -> dict[str, Any]:
    return {"integer": service.integer, "location": service.locations.written}


def _create(service: Service, fields: Fields) -> Any:
    tags = [RunTag(tag["key"], tag["value"]) for tag in fields["tags"]]
    backend = service.backend
    run = backend.create_run(fields["experiment_id"], fields["user_id"], fields["start_time"], tags, fields["run_name"])
    with backend.store.lock:
        return Json(f'{{"run":{new_run(backend.store, run.info.run_id, **_writers(service))}}}')


def _get(service: Service, fields: Fields) -> Any:
    run = service.backend.get_run(run_id_of(fields), read=partial(full_runs_of_rows, **_writers(service)))
    return Json(f'{{"run":{run}}}')


def _search(service: Service, fields: Fields) -> Any:
    found = service.backend.search_runs(
        fields["experiment_ids"],
        fields["filter"],
        fields["run_view_type"],
        fields["max_results"],
        fields["order_by"],
        fields["page_token"] or None,
        read=partial(runs_of_rows, **_writers(service)),
    )
    body = f'"runs":[{",".join(found)}]' if found else ""
    return Json(f'{{{body},"next_page_token":{json.dumps(found.token)}}}' if found.token else f"{{{body}}}")


def _update(service: Service, fields: Fields) -> Any:
    backend, run_id = service.backend, run_id_of(fields)
    backend.update_run_info(run_id, fields.get("status"), fields.get("end_time"), fields.get("run_name"))
    with backend.store.lock:
        return Json(f'{{"run_info":{info_of_id(backend.store, run_id, **_writers(service))}}}')


def _log_inputs(service: Service, fields: Fields) -> Any:
    inputs = [_dataset_input(one) for one in fields["datasets"]]
    models = [LoggedModelInput(model["model_id"]) for model in fields["models"]]
    service.backend.log_inputs(fields["run_id"], inputs, models)
    return {}


def _dataset_input(fields: Fields) -> DatasetInput:
    found = fields["dataset"]
    dataset = Dataset(
        found["name"],
        found["digest"],
        found["source_type"],
        found["source"],
        found.get("schema"),
        found.get("profile"),
    )
    return DatasetInput(dataset, [InputTag(tag["key"], tag["value"]) for tag in fields["tags"]])


def _outputs(service: Service, fields: Fields) -> Any:
    models = [LoggedModelOutput(model["model_id"], model["step"]) for model in fields["models"]]
    service.backend.log_outputs(fields["run_id"], models)
    return {}


_delete = forwarded(Backend.delete_run, "run_id")
_restore = forwarded(Backend.restore_run, "run_id")

_DATASETS: Final = proto.parts(
    "datasets",
    TAGS,
    proto.part("dataset", *map(proto.string, ("name", "digest", "source_type", "source", "schema", "profile"))),
)

ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "runs/create",
        Message(
            proto.string("experiment_id"),
            proto.string("user_id"),
            proto.string("run_name"),
            proto.int64("start_time"),
            TAGS,
        ),
        _create,
        {"experiment_id": (a_string,), "start_time": (an_integer,), "run_name": (a_string,)},
    ),
    Endpoint("GET", "runs/get", Message(RUN_ID, RUN_UUID), _get, RUN_RULE),
    Endpoint(
        "POST",
        "runs/search",
        Message(
            proto.string("experiment_ids", repeated=True),
            proto.string("filter"),
            proto.enum("run_view_type", VIEWS, ViewType.ACTIVE_ONLY),
            proto.int32("max_results", 1000),
            proto.string("order_by", repeated=True),
            proto.string("page_token"),
        ),
        _search,
        {
            "experiment_ids": (a_list,),
            "filter": (a_string,),
            "max_results": (an_integer, between(-(2**31), 50_000)),
            "order_by": (a_list, strings),
        },
    ),
    Endpoint(
        "POST",
        "runs/update",
        Message(RUN_ID, RUN_UUID, proto.enum("status", STATUSES, 1), proto.int64("end_time"), proto.string("run_name")),
        _update,
        {**RUN_RULE, "end_time": (an_integer,), "status": (a_string,), "run_name": (a_string,)},
    ),
    Endpoint("POST", "runs/delete", Message(RUN_ID), _delete, RUN_RULE),
    Endpoint("POST", "runs/restore", Message(RUN_ID), _restore, RUN_RULE),
    Endpoint(
        "POST",
        "runs/log-inputs",
        Message(RUN_ID, _DATASETS, proto.parts("models", proto.string("model_id"))),
        _log_inputs,
        {**RUN_RULE, "datasets": (a_list,), "models": (a_list,)},
    ),
    Endpoint(
        "POST",
        "runs/outputs",
        Message(RUN_ID, proto.parts("models", proto.string("model_id"), proto.int64("step"))),
        _outputs,
        {**RUN_RULE, "models": (required, a_list)},
        "logged_models",
    ),
)
