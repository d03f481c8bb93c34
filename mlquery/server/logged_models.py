"""The endpoints about logged models.

**Source** of fields, rules and answers: the handlers of `mlflow server` 3.17.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import attrs

from mlquery.backend import Backend
from mlquery.backend.logged_models import ReadModel
from mlquery.entities import Param, RunTag
from mlquery.server import proto_json as proto
from mlquery.server.artifacts import files_below, safe_path
from mlquery.server.bodies import MODEL_STATUSES, files_body, list_body, logged_model_body
from mlquery.server.endpoints import Endpoint, a_list, a_string, an_integer, forwarded, required, strings
from mlquery.server.experiments import KEY, TAGS, VALUE
from mlquery.server.proto_json import Fields, Message
from mlquery.server.service import Service

_STATUSES: Final = {name: number for number, name in enumerate(MODEL_STATUSES)}


def _create(service: Service, fields: Fields) -> Any:
    model = service.backend.create_logged_model(
        fields["experiment_id"],
        fields["name"] or None,
        fields["source_run_id"],
        [RunTag(tag["key"], tag["value"]) for tag in fields["tags"]],
        [Param(param["key"], param["value"]) for param in fields["params"]],
        fields["model_type"],
        read=_read(service),
    )
    return {"model": model}


def _read(service: Service) -> ReadModel:
    return partial(logged_model_body, service.integer)


def _get(service: Service, fields: Fields) -> Any:
    model = service.backend.get_logged_model(fields["model_id"], fields["allow_deleted"], read=_read(service))
    return {"model": model}


def _finalize(service: Service, fields: Fields) -> Any:
    model = service.backend.finalize_logged_model(fields["model_id"], fields["status"], read=_read(service))
    return {"model": model}


def _set_tags(service: Service, fields: Fields) -> Any:
    tags = [RunTag(tag["key"], tag["value"]) for tag in fields["tags"]]
    service.backend.set_logged_model_tags(fields["model_id"], tags)
    return {}


def _log_params(service: Service, fields: Fields) -> Any:
    params = [Param(param["key"], param["value"]) for param in fields["params"]]
    service.backend.log_logged_model_params(fields["model_id"], params)
    return {}


def _search(service: Service, fields: Fields) -> Any:
    datasets = [
        {"dataset_name": one["dataset_name"], "dataset_digest": one["dataset_digest"] or None}
        for one in fields["datasets"]
    ]
    order = [
        {
            "field_name": one["field_name"],
            "ascending": one["ascending"],
            "dataset_name": one["dataset_name"] or None,
            "dataset_digest": one["dataset_digest"] or None,
        }
        for one in fields["order_by"]
    ]
    found = service.backend.search_logged_models(
        fields["experiment_ids"],
        fields["filter"] or None,
        datasets or None,
        fields["max_results"] or None,
        order or None,
        fields["page_token"] or None,
        read=_read(service),
    )
    return list_body("models", found, found.token)


def _artifacts(service: Service, fields: Fields) -> Any:
    backend, model_id = service.backend, fields["model_id"]
    backend.require_endpoint("logged_models", f"/api/2.0/mlflow/logged-models/{model_id}/artifacts/directories")
    model = backend.store.models.by_id.get(model_id)
    location = "" if model is None else model.artifact_location
    files = files_below(backend, model_id, location, safe_path(fields["artifact_directory_path"]))
    return files_body(service.integer, files) | {"root_uri": backend.store.get_logged_model(model_id).artifact_location}


_delete = forwarded(Backend.delete_logged_model, "model_id")
_delete_tag = forwarded(Backend.delete_logged_model_tag, "model_id", "tag_key")

_ID: Final = proto.string("model_id")
_DATASET: Final = (proto.string("dataset_name"), proto.string("dataset_digest"))
_PARAMS: Final = proto.parts("params", KEY, VALUE)

_ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "logged-models",
        Message(*map(proto.string, ("experiment_id", "name", "model_type", "source_run_id")), _PARAMS, TAGS),
        _create,
        {
            "experiment_id": (a_string, required),
            "name": (a_string,),
            "model_type": (a_string,),
            "source_run_id": (a_string,),
            "params": (a_list,),
            "tags": (a_list,),
        },
    ),
    Endpoint("GET", "logged-models/{model_id}", Message(_ID, proto.boolean("allow_deleted")), _get),
    Endpoint(
        "PATCH",
        "logged-models/{model_id}",
        Message(_ID, proto.enum("status", _STATUSES, 0)),
        _finalize,
        {"model_id": (a_string, required), "status": (an_integer, required)},
    ),
    Endpoint("DELETE", "logged-models/{model_id}", Message(_ID), _delete),
    Endpoint(
        "POST",
        "logged-models/search",
        Message(
            proto.string("experiment_ids", repeated=True),
            proto.string("filter"),
            proto.parts("datasets", *_DATASET),
            proto.int32("max_results", 50),
            proto.parts("order_by", proto.string("field_name"), proto.boolean("ascending", True), *_DATASET),
            proto.string("page_token"),
        ),
        _search,
        {
            "experiment_ids": (a_list, strings, required),
            "filter": (a_string,),
            "datasets": (a_list,),
            "max_results": (an_integer,),
            "order_by": (a_list,),
            "page_token": (a_string,),
        },
    ),
    Endpoint("PATCH", "logged-models/{model_id}/tags", Message(_ID, TAGS), _set_tags, {"tags": (a_list,)}),
    Endpoint("DELETE", "logged-models/{model_id}/tags/{tag_key}", Message(_ID, proto.string("tag_key")), _delete_tag),
    Endpoint(
        "POST",
        "logged-models/{model_id}/params",
        Message(_ID, _PARAMS),
        _log_params,
        {"model_id": (a_string, required), "params": (a_list,)},
    ),
    Endpoint(
        "GET",
        "logged-models/{model_id}/artifacts/directories",
        Message(_ID, proto.string("artifact_directory_path"), proto.string("page_token")),
        _artifacts,
        {"artifact_directory_path": (a_string,)},
    ),
)

ENDPOINTS: Final = tuple(attrs.evolve(endpoint, family="logged_models") for endpoint in _ENDPOINTS)
