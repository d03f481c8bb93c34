"""The calls about experiments.

**Source** of fields, rules and answers: the handlers of `mlflow server` 3.17; `experiments/list` is MLflow 1's.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote, urlsplit

from mlquery.entities import ExperimentTag, ViewType
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.query.search import search_experiments
from mlquery.server import proto_json as proto
from mlquery.server.bodies import experiment_body
from mlquery.server.endpoints import Call, a_list, a_text, a_whole, needed
from mlquery.server.proto_json import Given, Message
from mlquery.server.service import Service

VIEWS: Final = {"ACTIVE_ONLY": 1, "DELETED_ONLY": 2, "ALL": 3}
TAGS: Final = proto.parts("tags", proto.text("key"), proto.text("value"))
_EXPERIMENT_ID: Final = {"experiment_id": (needed, a_text)}


def _create(service: Service, given: Given) -> Any:
    tags = [ExperimentTag(tag["key"], tag["value"]) for tag in given["tags"]]
    location = given["artifact_location"]
    if location:
        _check_location(location)
    return {"experiment_id": service.store.create_experiment(given["name"], location, tags, limits=service.limits)}


def _check_location(location: str) -> None:
    parsed = urlsplit(location)
    if parsed.fragment or ";" in parsed.path.rpartition("/")[2]:
        raise invalid_parameter("'artifact_location' URL can't include fragments or params.")
    if ".." in unquote(parsed.query):
        raise invalid_parameter("Invalid query string")
    if location.startswith("runs:"):
        raise invalid_parameter(f"Artifact location cannot be a runs:/ URI. Given: '{location}'")


def _get(service: Service, given: Given) -> Any:
    return {"experiment": experiment_body(service, service.store.get_experiment(given["experiment_id"]))}


def _get_by_name(service: Service, given: Given) -> Any:
    found = service.store.get_experiment_by_name(given["experiment_name"])
    if found is None:
        message = f"Could not find experiment with name '{given['experiment_name']}'"
        raise StoreError(message, RESOURCE_DOES_NOT_EXIST)
    return {"experiment": experiment_body(service, found)}


def _search(service: Service, given: Given) -> Any:
    found = search_experiments(
        service.store,
        given["view_type"],
        given["max_results"],
        given["filter"],
        given["order_by"],
        given["page_token"] or None,
        dialect=service.dialect,
        on_warning=service.on_warning,
    )
    body: dict[str, Any] = {"experiments": [experiment_body(service, one) for one in found]} if found else {}
    return body | {"next_page_token": found.token} if found.token else body


def _list(service: Service, given: Given) -> Any:
    view = given["view_type"]
    body: list[Any] = []
    token: str | None = None
    while token is not None or not body:
        found = search_experiments(
            service.store, view, 1000, page_token=token, dialect=service.dialect, on_warning=_no_one
        )
        body += [experiment_body(service, one) for one in found]
        token = found.token
        if token is None:
            break
    return {"experiments": body} if body else {}


def _no_one(_: object) -> None:
    """Drop warnings: a client that lists experiments said nothing that could be warned of."""


def _delete(service: Service, given: Given) -> Any:
    service.require_call("delete_experiment", "experiment")
    service.store.delete_experiment(given["experiment_id"])
    return {}


def _restore(service: Service, given: Given) -> Any:
    service.require_call("restore_experiment", "experiment")
    service.store.restore_experiment(given["experiment_id"])
    return {}


def _update(service: Service, given: Given) -> Any:
    if given["new_name"]:
        service.require_call("rename_experiment", "experiment")
        service.store.rename_experiment(given["experiment_id"], given["new_name"], limits=service.limits)
    return {}


def _set_tag(service: Service, given: Given) -> Any:
    tag = ExperimentTag(given["key"], given["value"])
    service.store.set_experiment_tag(given["experiment_id"], tag, limits=service.limits)
    return {}


def _delete_tag(service: Service, given: Given) -> Any:
    service.store.delete_experiment_tag(given["experiment_id"], given["key"])
    return {}


_ID: Final = proto.text("experiment_id")
_SEARCH: Final = Message(
    (
        proto.int64("max_results"),
        proto.text("page_token"),
        proto.text("filter"),
        proto.text("order_by", many=True),
        proto.choice("view_type", VIEWS, ViewType.ACTIVE_ONLY),
    )
)
_SEARCH_RULES: Final = {
    "view_type": (a_whole,),
    "max_results": (a_whole,),
    "order_by": (a_list,),
    "filter": (a_text,),
    "page_token": (a_text,),
}

CALLS: Final = (
    Call(
        "POST",
        "experiments/create",
        Message((proto.text("name"), proto.text("artifact_location"), TAGS)),
        _create,
        {"name": (needed, a_text), "artifact_location": (a_text,), "tags": (a_list,)},
    ),
    Call("GET", "experiments/get", Message((_ID,)), _get, _EXPERIMENT_ID),
    Call(
        "GET",
        "experiments/get-by-name",
        Message((proto.text("experiment_name"),)),
        _get_by_name,
        {"experiment_name": (needed, a_text)},
    ),
    Call("GET", "experiments/search", _SEARCH, _search, _SEARCH_RULES),
    Call("POST", "experiments/search", _SEARCH, _search, _SEARCH_RULES),
    Call("GET", "experiments/list", Message((proto.choice("view_type", VIEWS, ViewType.ACTIVE_ONLY),)), _list),
    Call("POST", "experiments/delete", Message((_ID,)), _delete, _EXPERIMENT_ID),
    Call("POST", "experiments/restore", Message((_ID,)), _restore, _EXPERIMENT_ID),
    Call(
        "POST",
        "experiments/update",
        Message((_ID, proto.text("new_name"))),
        _update,
        {**_EXPERIMENT_ID, "new_name": (a_text, needed)},
    ),
    Call(
        "POST",
        "experiments/set-experiment-tag",
        Message((_ID, proto.text("key"), proto.text("value"))),
        _set_tag,
        {**_EXPERIMENT_ID, "key": (needed, a_text), "value": (a_text,)},
    ),
    Call(
        "POST",
        "experiments/delete-experiment-tag",
        Message((_ID, proto.text("key"))),
        _delete_tag,
        {**_EXPERIMENT_ID, "key": (needed, a_text)},
    ),
)
