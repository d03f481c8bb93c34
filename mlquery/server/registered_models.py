"""The endpoints about registered models: create, read, search, update, rename, delete, tags, aliases.

**Source** of fields, rules and answers: the handlers of `mlflow server` 3.17 and its `model_registry.proto`.
"""

from __future__ import annotations

from typing import Any, Final

from mlquery.entities.registry import RegisteredModel
from mlquery.query.registry import MOST_MODELS
from mlquery.server import proto_json as proto
from mlquery.server.bodies import model_version_body, registered_model_body
from mlquery.server.endpoints import Endpoint, Rule, a_list, a_string, an_integer, between, required, strings
from mlquery.server.experiments import TAGS
from mlquery.server.proto_json import Fields, Message
from mlquery.server.service import Service

INT64: Final = 1 << 63
STRING: Final[tuple[Rule, ...]] = (a_string,)
REQUIRED_STRING: Final[tuple[Rule, ...]] = (a_string, required)


def tags_of(fields: Fields) -> dict[str, str]:
    """Return the tags that a request brings."""
    return {tag["key"]: tag["value"] for tag in fields["tags"]}


def _create(service: Service, fields: Fields) -> Any:
    description = fields.get("description")
    return _body(service, service.backend.create_registered_model(fields["name"], tags_of(fields), description))


def _body(service: Service, model: RegisteredModel) -> Any:
    return {"registered_model": registered_model_body(service.integer, model)}


def _get(service: Service, fields: Fields) -> Any:
    return _body(service, service.backend.get_registered_model(fields["name"]))


def _update(service: Service, fields: Fields) -> Any:
    return _body(service, service.backend.update_registered_model(fields["name"], fields.get("description")))


def _rename(service: Service, fields: Fields) -> Any:
    return _body(service, service.backend.rename_registered_model(fields["name"], fields["new_name"]))


def _delete(service: Service, fields: Fields) -> Any:
    service.backend.delete_registered_model(fields["name"])
    return {}


def _search(service: Service, fields: Fields) -> Any:
    found = service.backend.search_registered_models(
        fields["filter"], fields["max_results"], fields["order_by"], fields["page_token"] or None
    )
    bodies = [registered_model_body(service.integer, model) for model in found]
    body: dict[str, Any] = {"registered_models": bodies} if bodies else {}
    return body | {"next_page_token": found.token} if found.token else body


def _get_latest_versions(service: Service, fields: Fields) -> Any:
    found = service.backend.get_latest_versions(fields["name"], fields["stages"])
    bodies = [model_version_body(service.integer, version) for version in found]
    return {"model_versions": bodies} if bodies else {}


def _set_tag(service: Service, fields: Fields) -> Any:
    service.backend.set_registered_model_tag(fields["name"], fields["key"], fields["value"])
    return {}


def _delete_tag(service: Service, fields: Fields) -> Any:
    service.backend.delete_registered_model_tag(fields["name"], fields["key"])
    return {}


def _set_alias(service: Service, fields: Fields) -> Any:
    service.backend.set_registered_model_alias(fields["name"], fields["alias"], fields["version"])
    return {}


def _delete_alias(service: Service, fields: Fields) -> Any:
    service.backend.delete_registered_model_alias(fields["name"], fields["alias"])
    return {}


def _get_version_by_alias(service: Service, fields: Fields) -> Any:
    version = service.backend.get_model_version_by_alias(fields["name"], fields["alias"])
    return {"model_version": model_version_body(service.integer, version)}


def search_message(most: int) -> Message:
    """Return the fields of a search; `most` results are returned where the request does not say how many."""
    return Message(
        proto.string("filter"),
        proto.int64("max_results", most),
        proto.string("order_by", repeated=True),
        proto.string("page_token"),
    )


def search_rules(most: int) -> dict[str, tuple[Rule, ...]]:
    """Return the rules of a search that returns at most so many results at once."""
    return {
        "filter": STRING,
        "max_results": (an_integer, between(-INT64, most)),
        "order_by": (a_list, strings),
        "page_token": STRING,
    }


_NAME: Final = proto.string("name")
_DESCRIPTION: Final = (proto.string("description"), proto.string("deployment_job_id"))
_NAME_RULE: Final = {"name": REQUIRED_STRING}
_DEFAULT_RESULTS: Final = 100
_LATEST: Final = Message(_NAME, proto.string("stages", repeated=True))
_LATEST_RULES: Final = {**_NAME_RULE, "stages": (a_list, strings)}
_ALIAS: Final = Message(_NAME, proto.string("alias"))
_ALIAS_RULES: Final = {**_NAME_RULE, "alias": REQUIRED_STRING}

ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "registered-models/create",
        Message(_NAME, TAGS, *_DESCRIPTION),
        _create,
        {**_NAME_RULE, "tags": (a_list,), "description": STRING},
    ),
    Endpoint(
        "POST",
        "registered-models/rename",
        Message(_NAME, proto.string("new_name")),
        _rename,
        {**_NAME_RULE, "new_name": REQUIRED_STRING},
    ),
    Endpoint(
        "PATCH",
        "registered-models/update",
        Message(_NAME, *_DESCRIPTION),
        _update,
        {**_NAME_RULE, "description": STRING},
    ),
    Endpoint("DELETE", "registered-models/delete", Message(_NAME), _delete, _NAME_RULE),
    Endpoint("GET", "registered-models/get", Message(_NAME), _get, _NAME_RULE),
    Endpoint("GET", "registered-models/search", search_message(_DEFAULT_RESULTS), _search, search_rules(MOST_MODELS)),
    Endpoint("GET", "registered-models/get-latest-versions", _LATEST, _get_latest_versions, _LATEST_RULES),
    Endpoint("POST", "registered-models/get-latest-versions", _LATEST, _get_latest_versions, _LATEST_RULES),
    Endpoint(
        "POST",
        "registered-models/set-tag",
        Message(_NAME, proto.string("key"), proto.string("value")),
        _set_tag,
        {**_NAME_RULE, "key": REQUIRED_STRING, "value": STRING},
    ),
    Endpoint(
        "DELETE",
        "registered-models/delete-tag",
        Message(_NAME, proto.string("key")),
        _delete_tag,
        {**_NAME_RULE, "key": REQUIRED_STRING},
    ),
    Endpoint(
        "POST",
        "registered-models/alias",
        Message(_NAME, proto.string("alias"), proto.string("version")),
        _set_alias,
        {**_ALIAS_RULES, "version": REQUIRED_STRING},
    ),
    Endpoint("DELETE", "registered-models/alias", _ALIAS, _delete_alias, _ALIAS_RULES),
    Endpoint("GET", "registered-models/alias", _ALIAS, _get_version_by_alias, _ALIAS_RULES),
)
