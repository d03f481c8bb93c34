"""The calls about runs as such: create, read, search, update, delete, restore, what they read and wrote.

**Source** of fields, rules and answers: the handlers of `mlflow server` 3.17.
"""

from __future__ import annotations

import json
from typing import Any, Final

from mlquery.backend.nesting import ROOT, root_of
from mlquery.entities import Dataset, DatasetInput, InputTag, RunTag, ViewType
from mlquery.query.search import search_rows
from mlquery.server import proto_json as proto
from mlquery.server.endpoints import Call, Rule, a_list, a_text, a_whole, between, needed, texts
from mlquery.server.experiments import TAGS, VIEWS
from mlquery.server.proto_json import Given, Message
from mlquery.server.run_json import Json, info_of_id, new_run, run_of_id, runs_of_rows
from mlquery.server.service import Service

STATUSES: Final = {"RUNNING": 1, "SCHEDULED": 2, "FINISHED": 3, "FAILED": 4, "KILLED": 5}
RUN_ID: Final = proto.text("run_id")
RUN_UUID: Final = proto.text("run_uuid")
RUN_RULE: Final[dict[str, tuple[Rule, ...]]] = {"run_id": (needed, a_text)}
_USER: Final = "mlflow.user"


def run_id_of(given: Given) -> str:
    """Return the run that a request is about; the older name of the field will do."""
    run_id: str = given["run_id"] or given["run_uuid"]
    return run_id


def _create(service: Service, given: Given) -> Any:
    store, user = service.store, given["user_id"]
    tags = [RunTag(tag["key"], tag["value"]) for tag in given["tags"]]
    shown_user = service.answers.get("user")
    if shown_user is not None:
        user = shown_user
        tags = [RunTag(_USER, shown_user) if tag.key == _USER else tag for tag in tags]
    with store.lock:
        run = store.create_run(
            given["experiment_id"], user, given["start_time"], tags, given["run_name"], limits=service.limits
        )
        if service.dialect.behaves("tag.rootRunId"):
            root = root_of(store, run)
            store.set_tag(run.info.run_id, RunTag(ROOT, root))
        return Json(f'{{"run":{new_run(service, run.info.run_id)}}}')


def _get(service: Service, given: Given) -> Any:
    with service.store.lock:
        return Json(f'{{"run":{run_of_id(service, run_id_of(given))}}}')


def _search(service: Service, given: Given) -> Any:
    store = service.store
    with store.lock:
        rows, token = search_rows(
            store,
            given["experiment_ids"],
            given["filter"],
            given["run_view_type"],
            given["max_results"],
            given["order_by"],
            given["page_token"] or None,
            dialect=service.dialect,
            on_warning=service.on_warning,
        )
        found = f'"runs":[{",".join(runs_of_rows(service, rows))}]' if len(rows) else ""
    return Json(f'{{{found},"next_page_token":{json.dumps(token)}}}' if token else f"{{{found}}}")


def _update(service: Service, given: Given) -> Any:
    store, run_id = service.store, run_id_of(given)
    with store.lock:
        store.update_run_info(
            run_id, given.get("status"), given.get("end_time"), given.get("run_name"), limits=service.limits
        )
        return Json(f'{{"run_info":{info_of_id(service, run_id)}}}')


def _delete(service: Service, given: Given) -> Any:
    service.require_call("delete_run", "run")
    service.store.delete_run(given["run_id"])
    return {}


def _restore(service: Service, given: Given) -> Any:
    service.require_call("restore_run", "run")
    service.store.restore_run(given["run_id"])
    return {}


def _log_inputs(service: Service, given: Given) -> Any:
    if given["models"]:
        service.require_endpoint("logged_models")
    store, run_id = service.store, given["run_id"]
    inputs = [_dataset_input(one) for one in given["datasets"]]
    models = [model["model_id"] for model in given["models"]]
    with store.lock:
        store.log_inputs(run_id, inputs, limits=service.limits)
        store.log_model_inputs(run_id, models)
    return {}


def _dataset_input(given: Given) -> DatasetInput:
    found = given["dataset"]
    dataset = Dataset(
        found["name"],
        found["digest"],
        found["source_type"],
        found["source"],
        found.get("schema"),
        found.get("profile"),
    )
    return DatasetInput(dataset, [InputTag(tag["key"], tag["value"]) for tag in given["tags"]])


def _outputs(service: Service, given: Given) -> Any:
    service.store.log_outputs(given["run_id"], [(model["model_id"], model["step"]) for model in given["models"]])
    return {}


_DATASETS: Final = proto.parts(
    "datasets",
    TAGS,
    proto.part("dataset", *map(proto.text, ("name", "digest", "source_type", "source", "schema", "profile"))),
)

CALLS: Final = (
    Call(
        "POST",
        "runs/create",
        Message(
            (
                proto.text("experiment_id"),
                proto.text("user_id"),
                proto.text("run_name"),
                proto.int64("start_time"),
                TAGS,
            )
        ),
        _create,
        {"experiment_id": (a_text,), "start_time": (a_whole,), "run_name": (a_text,)},
    ),
    Call("GET", "runs/get", Message((RUN_ID, RUN_UUID)), _get, RUN_RULE),
    Call(
        "POST",
        "runs/search",
        Message(
            (
                proto.text("experiment_ids", many=True),
                proto.text("filter"),
                proto.choice("run_view_type", VIEWS, ViewType.ACTIVE_ONLY),
                proto.int32("max_results", 1000),
                proto.text("order_by", many=True),
                proto.text("page_token"),
            )
        ),
        _search,
        {
            "experiment_ids": (a_list,),
            "filter": (a_text,),
            "max_results": (a_whole, between(-(2**31), 50_000)),
            "order_by": (a_list, texts),
        },
    ),
    Call(
        "POST",
        "runs/update",
        Message(
            (
                RUN_ID,
                RUN_UUID,
                proto.choice("status", STATUSES, 1),
                proto.int64("end_time"),
                proto.text("run_name"),
            )
        ),
        _update,
        {**RUN_RULE, "end_time": (a_whole,), "status": (a_text,), "run_name": (a_text,)},
    ),
    Call("POST", "runs/delete", Message((RUN_ID,)), _delete, RUN_RULE),
    Call("POST", "runs/restore", Message((RUN_ID,)), _restore, RUN_RULE),
    Call(
        "POST",
        "runs/log-inputs",
        Message((RUN_ID, _DATASETS, proto.parts("models", proto.text("model_id")))),
        _log_inputs,
        {**RUN_RULE, "datasets": (a_list,), "models": (a_list,)},
    ),
    Call(
        "POST",
        "runs/outputs",
        Message((RUN_ID, proto.parts("models", proto.text("model_id"), proto.int64("step")))),
        _outputs,
        {**RUN_RULE, "models": (needed, a_list)},
        "logged_models",
    ),
)
