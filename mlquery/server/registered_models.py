"""The endpoints about registered models: create, read, search, update, rename, delete, tags, aliases.

**Source** of fields, rules and answers: the handlers of `mlflow server` 3.17 and its `model_registry.proto`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from mlquery.backend import Backend
from mlquery.entities import PagedList
from mlquery.entities.registry import ModelVersion, RegisteredModel
from mlquery.query.registry import MOST_MODELS
from mlquery.server import proto_json as proto
from mlquery.server.bodies import list_body, model_version_body, registered_model_body
from mlquery.server.endpoints import Endpoint, Rule, a_list, a_string, an_integer, between, forwarded, required, strings
from mlquery.server.experiments import KEY, TAGS, VALUE
from mlquery.server.proto_json import Fields, Message
from mlquery.server.service import Service

INT64: Final = 1 << 63
STRING: Final[tuple[Rule, ...]] = (a_string,)
REQUIRED_STRING: Final[tuple[Rule, ...]] = (a_string, required)
TAG_KEY_RULE: Final = {"key": REQUIRED_STRING}
TAG_RULES: Final = {**TAG_KEY_RULE, "value": STRING}
SEARCH_FIELDS: Final = ("filter", "max_results", "order_by", "page_token")


def tags_of(fields: Fields) -> dict[str, str]:
    """Return the tags that a request brings."""
    return {tag["key"]: tag["value"] for tag in fields["tags"]}


def _create(service: Service, fields: Fields) -> Any:
    description = fields.get("description")
    return _body(service, service.backend.create_registered_model(fields["name"], tags_of(fields), description))


def _body(service: Service, model: RegisteredModel) -> Any:
    return {"registered_model": registered_model_body(service.integer, model, service.locations.written)}


def _update(service: Service, fields: Fields) -> Any:
    return _body(service, service.backend.update_registered_model(fields["name"], fields.get("description")))


def _page(service: Service, found: PagedList[RegisteredModel]) -> Any:
    bodies = (registered_model_body(service.integer, model, service.locations.written) for model in found)
    return list_body("registered_models", bodies, found.token)


def version_answer(service: Service, version: ModelVersion) -> Any:
    """Return the answer that holds a version of a model."""
    return {"model_version": model_version_body(service.integer, version, service.locations.written)}


def versions_answer(service: Service, found: Iterable[ModelVersion], token: str | None = None) -> Any:
    """Return the answer that holds versions of models, and the token of the next page of them."""
    bodies = (model_version_body(service.integer, version, service.locations.written) for version in found)
    return list_body("model_versions", bodies, token)


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


_get = forwarded(Backend.get_registered_model, "name", body=_body)
_search = forwarded(Backend.search_registered_models, *SEARCH_FIELDS, body=_page)
_rename = forwarded(Backend.rename_registered_model, "name", "new_name", body=_body)
_delete = forwarded(Backend.delete_registered_model, "name")
_set_tag = forwarded(Backend.set_registered_model_tag, "name", "key", "value")
_delete_tag = forwarded(Backend.delete_registered_model_tag, "name", "key")
_set_alias = forwarded(Backend.set_registered_model_alias, "name", "alias", "version")
_delete_alias = forwarded(Backend.delete_registered_model_alias, "name", "alias")
_get_latest_versions = forwarded(Backend.get_latest_versions, "name", "stages", body=versions_answer)
_get_version_by_alias = forwarded(Backend.get_model_version_by_alias, "name", "alias", body=version_answer)

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
    Endpoint("POST", "registered-models/set-tag", Message(_NAME, KEY, VALUE), _set_tag, _NAME_RULE | TAG_RULES),
    Endpoint("DELETE", "registered-models/delete-tag", Message(_NAME, KEY), _delete_tag, _NAME_RULE | TAG_KEY_RULE),
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
