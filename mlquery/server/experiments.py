"""The endpoints about experiments.

**Source** of fields, rules and answers: the handlers of `mlflow server` 3.17; `experiments/list` is MLflow 1's.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from mlquery.backend import Backend
from mlquery.entities import Experiment, ExperimentTag, PagedList, ViewType
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.query.page_tokens import all_pages
from mlquery.query.search import DEFAULT_MAX_RESULTS
from mlquery.server import proto_json as proto
from mlquery.server.bodies import experiment_body, list_body
from mlquery.server.endpoints import Endpoint, Rule, a_list, a_string, an_integer, forwarded, required
from mlquery.server.proto_json import Fields, Message
from mlquery.server.service import Service
from mlquery.server.storage_hosts import require_no_host

VIEWS: Final = {"ACTIVE_ONLY": 1, "DELETED_ONLY": 2, "ALL": 3}
KEY: Final = proto.string("key")
VALUE: Final = proto.string("value")
TAGS: Final = proto.parts("tags", KEY, VALUE)
KEY_RULE: Final[dict[str, tuple[Rule, ...]]] = {"key": (required, a_string)}
KEY_AND_VALUE_RULES: Final[dict[str, tuple[Rule, ...]]] = {**KEY_RULE, "value": (a_string,)}
_MOST_EXPERIMENTS: Final = 20
_EXPERIMENT_ID: Final = {"experiment_id": (required, a_string)}


def _create(service: Service, fields: Fields) -> Any:
    tags = [ExperimentTag(tag["key"], tag["value"]) for tag in fields["tags"]]
    location = fields["artifact_location"]
    if location:
        _check_location(location)
    return {"experiment_id": service.backend.create_experiment(fields["name"], location, tags)}


def _check_location(location: str) -> None:
    parsed = urlsplit(location)
    if parsed.fragment or ";" in parsed.path.rpartition("/")[2]:
        raise invalid_parameter("'artifact_location' URL can't include fragments or params.")
    if ".." in unquote(parsed.query):
        raise invalid_parameter("Invalid query string")
    require_no_host(location, "artifact_location")
    if location.startswith("runs:"):
        raise invalid_parameter(f"Artifact location cannot be a runs:/ URI. Given: '{location}'")


def _body(service: Service, found: Experiment) -> Any:
    return {"experiment": experiment_body(service, found)}


def _get_by_name(service: Service, fields: Fields) -> Any:
    found = service.backend.get_experiment_by_name(fields["experiment_name"])
    if found is None:
        message = f"Could not find experiment with name '{fields['experiment_name']}'"
        raise StoreError(message, RESOURCE_DOES_NOT_EXIST)
    return _body(service, found)


def _page(service: Service, found: PagedList[Experiment]) -> Any:
    return list_body("experiments", (experiment_body(service, one) for one in found), found.token)


def _list(service: Service, fields: Fields) -> Any:
    search = partial(service.backend.search_experiments, fields["view_type"])
    return list_body("experiments", (experiment_body(service, one) for one in all_pages(search, DEFAULT_MAX_RESULTS)))


def _update(service: Service, fields: Fields) -> Any:
    if fields["new_name"]:
        service.backend.rename_experiment(fields["experiment_id"], fields["new_name"])
    return {}


def _set_tag(service: Service, fields: Fields) -> Any:
    service.backend.set_experiment_tag(fields["experiment_id"], ExperimentTag(fields["key"], fields["value"]))
    return {}


def _search_datasets(service: Service, fields: Fields) -> Any:
    experiment_ids = fields["experiment_ids"]
    if not experiment_ids:
        raise invalid_parameter("SearchDatasets request must specify at least one experiment_id.")
    if len(experiment_ids) > _MOST_EXPERIMENTS:
        raise invalid_parameter(
            f"SearchDatasets request cannot specify more than {_MOST_EXPERIMENTS} experiment_ids. "
            f"Received {len(experiment_ids)} experiment_ids."
        )
    found = [
        {"experiment_id": experiment_id, "name": name, "digest": digest}
        | ({} if context is None else {"context": context})
        for experiment_id, name, digest, context in service.backend.search_datasets(experiment_ids)
    ]
    return list_body("dataset_summaries", found)


_get = forwarded(Backend.get_experiment, "experiment_id", body=_body)
_search = forwarded(
    Backend.search_experiments, "view_type", "max_results", "filter", "order_by", "page_token", body=_page
)
_delete = forwarded(Backend.delete_experiment, "experiment_id")
_restore = forwarded(Backend.restore_experiment, "experiment_id")
_delete_tag = forwarded(Backend.delete_experiment_tag, "experiment_id", "key")

_ID: Final = proto.string("experiment_id")
_SEARCH: Final = Message(
    proto.int64("max_results"),
    proto.string("page_token"),
    proto.string("filter"),
    proto.string("order_by", repeated=True),
    proto.enum("view_type", VIEWS, ViewType.ACTIVE_ONLY),
)
_SEARCH_RULES: Final = {
    "view_type": (an_integer,),
    "max_results": (an_integer,),
    "order_by": (a_list,),
    "filter": (a_string,),
    "page_token": (a_string,),
}

ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "experiments/create",
        Message(proto.string("name"), proto.string("artifact_location"), TAGS),
        _create,
        {"name": (required, a_string), "artifact_location": (a_string,), "tags": (a_list,)},
    ),
    Endpoint("GET", "experiments/get", Message(_ID), _get, _EXPERIMENT_ID),
    Endpoint(
        "GET",
        "experiments/get-by-name",
        Message(proto.string("experiment_name")),
        _get_by_name,
        {"experiment_name": (required, a_string)},
    ),
    Endpoint("GET", "experiments/search", _SEARCH, _search, _SEARCH_RULES),
    Endpoint("POST", "experiments/search", _SEARCH, _search, _SEARCH_RULES),
    Endpoint("GET", "experiments/list", Message(proto.enum("view_type", VIEWS, ViewType.ACTIVE_ONLY)), _list),
    Endpoint(
        "POST",
        "experiments/search-datasets",
        Message(proto.string("experiment_ids", repeated=True)),
        _search_datasets,
    ),
    Endpoint("POST", "experiments/delete", Message(_ID), _delete, _EXPERIMENT_ID),
    Endpoint("POST", "experiments/restore", Message(_ID), _restore, _EXPERIMENT_ID),
    Endpoint(
        "POST",
        "experiments/update",
        Message(_ID, proto.string("new_name")),
        _update,
        {**_EXPERIMENT_ID, "new_name": (a_string, required)},
    ),
    Endpoint(
        "POST",
        "experiments/set-experiment-tag",
        Message(_ID, KEY, VALUE),
        _set_tag,
        _EXPERIMENT_ID | KEY_AND_VALUE_RULES,
    ),
    Endpoint(
        "POST",
        "experiments/delete-experiment-tag",
        Message(_ID, KEY),
        _delete_tag,
        _EXPERIMENT_ID | KEY_RULE,
    ),
)
