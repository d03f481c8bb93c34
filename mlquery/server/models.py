"""The calls about logged models.

**Source** of fields, rules and answers: the handlers of `mlflow server` 3.17.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from mlquery.entities import Param, RunTag
from mlquery.query.logged_models import search_logged_models
from mlquery.server import proto_json as proto
from mlquery.server.artifacts import listed_below, safe_path
from mlquery.server.bodies import file_body, model_body
from mlquery.server.endpoints import Call, a_list, a_text, a_whole, needed, texts
from mlquery.server.experiments import TAGS
from mlquery.server.proto_json import Given, Message
from mlquery.server.service import Service

STATUSES: Final = {
    "LOGGED_MODEL_STATUS_UNSPECIFIED": 0,
    "LOGGED_MODEL_PENDING": 1,
    "LOGGED_MODEL_READY": 2,
    "LOGGED_MODEL_UPLOAD_FAILED": 3,
}


def _create(service: Service, given: Given) -> Any:
    model = service.store.create_logged_model(
        given["experiment_id"],
        given["name"] or None,
        given["source_run_id"],
        [RunTag(tag["key"], tag["value"]) for tag in given["tags"]],
        [Param(param["key"], param["value"]) for param in given["params"]],
        given["model_type"],
    )
    return {"model": model_body(service, model)}


def _get(service: Service, given: Given) -> Any:
    model = service.store.get_logged_model(given["model_id"], given["allow_deleted"])
    return {"model": model_body(service, model)}


def _finalize(service: Service, given: Given) -> Any:
    return {"model": model_body(service, service.store.finalize_logged_model(given["model_id"], given["status"]))}


def _delete(service: Service, given: Given) -> Any:
    service.store.delete_logged_model(given["model_id"])
    return {}


def _set_tags(service: Service, given: Given) -> Any:
    tags = [RunTag(tag["key"], tag["value"]) for tag in given["tags"]]
    service.store.set_logged_model_tags(given["model_id"], tags)
    return {}


def _delete_tag(service: Service, given: Given) -> Any:
    service.store.delete_logged_model_tag(given["model_id"], given["tag_key"])
    return {}


def _log_params(service: Service, given: Given) -> Any:
    params = [Param(param["key"], param["value"]) for param in given["params"]]
    service.store.log_logged_model_params(given["model_id"], params)
    return {}


def _search(service: Service, given: Given) -> Any:
    datasets = [
        {"dataset_name": one["dataset_name"], "dataset_digest": one["dataset_digest"] or None}
        for one in given["datasets"]
    ]
    order = [
        {
            "field_name": one["field_name"],
            "ascending": one["ascending"],
            "dataset_name": one["dataset_name"] or None,
            "dataset_digest": one["dataset_digest"] or None,
        }
        for one in given["order_by"]
    ]
    store = service.store
    with store.lock:
        found, token = search_logged_models(
            store.models,
            given["experiment_ids"],
            given["filter"] or None,
            datasets or None,
            given["max_results"] or None,
            order or None,
            given["page_token"] or None,
        )
        body: dict[str, Any] = {"models": [model_body(service, model) for model in found]} if found else {}
    return body | {"next_page_token": token} if token else body


def _artifacts(service: Service, given: Given) -> Any:
    path = given.get("artifact_directory_path")
    path = None if path is None else safe_path(path)
    location = service.store.get_logged_model(given["model_id"]).artifact_location
    files = [file_body(service.whole, found) for found in listed_below(service.store, location, path)]
    return ({"files": files} if files else {}) | {"root_uri": location}


_ID: Final = proto.text("model_id")
_DATASET: Final = (proto.text("dataset_name"), proto.text("dataset_digest"))
_PARAMS: Final = proto.parts("params", proto.text("key"), proto.text("value"))

_CALLS: Final = (
    Call(
        "POST",
        "logged-models",
        Message(
            (*map(proto.text, ("experiment_id", "name", "model_type", "source_run_id")), _PARAMS, TAGS),
        ),
        _create,
        {
            "experiment_id": (a_text, needed),
            "name": (a_text,),
            "model_type": (a_text,),
            "source_run_id": (a_text,),
            "params": (a_list,),
            "tags": (a_list,),
        },
    ),
    Call("GET", "logged-models/{model_id}", Message((_ID, proto.flag("allow_deleted"))), _get),
    Call(
        "PATCH",
        "logged-models/{model_id}",
        Message((_ID, proto.choice("status", STATUSES, 0))),
        _finalize,
        {"model_id": (a_text, needed), "status": (a_whole, needed)},
    ),
    Call("DELETE", "logged-models/{model_id}", Message((_ID,)), _delete),
    Call(
        "POST",
        "logged-models/search",
        Message(
            (
                proto.text("experiment_ids", many=True),
                proto.text("filter"),
                proto.parts("datasets", *_DATASET),
                proto.int32("max_results", 50),
                proto.parts("order_by", proto.text("field_name"), proto.flag("ascending", True), *_DATASET),
                proto.text("page_token"),
            )
        ),
        _search,
        {
            "experiment_ids": (a_list, texts, needed),
            "filter": (a_text,),
            "datasets": (a_list,),
            "max_results": (a_whole,),
            "order_by": (a_list,),
            "page_token": (a_text,),
        },
    ),
    Call("PATCH", "logged-models/{model_id}/tags", Message((_ID, TAGS)), _set_tags, {"tags": (a_list,)}),
    Call("DELETE", "logged-models/{model_id}/tags/{tag_key}", Message((_ID, proto.text("tag_key"))), _delete_tag),
    Call(
        "POST",
        "logged-models/{model_id}/params",
        Message((_ID, _PARAMS)),
        _log_params,
        {"model_id": (a_text, needed), "params": (a_list,)},
    ),
    Call(
        "GET",
        "logged-models/{model_id}/artifacts/directories",
        Message((_ID, proto.text("artifact_directory_path"), proto.text("page_token"))),
        _artifacts,
        {"artifact_directory_path": (a_text,)},
    ),
)

CALLS: Final = tuple(attrs.evolve(call, family="logged_models") for call in _CALLS)
