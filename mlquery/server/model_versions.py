"""The endpoints about versions of registered models: create, read, search, update, stages, delete, tags.

**Source** of fields, rules and answers: the handlers of `mlflow server` 3.17 and its `model_registry.proto`.
"""

from __future__ import annotations

import json
from typing import Any, Final

from mlquery.backend import Backend
from mlquery.entities import RunTag
from mlquery.entities.registry import ModelVersion
from mlquery.language.prompts import PROMPT_TAG
from mlquery.query.registry import MOST_VERSIONS
from mlquery.server import proto_json as proto
from mlquery.server.endpoints import Endpoint, a_boolean, a_list, forwarded
from mlquery.server.experiments import KEY, TAGS, VALUE
from mlquery.server.proto_json import Fields, Message
from mlquery.server.registered_models import (
    REQUIRED_STRING,
    SEARCH_FIELDS,
    STRING,
    TAG_KEY_RULE,
    TAG_RULES,
    search_message,
    search_rules,
    tags_of,
    version_answer,
    versions_answer,
)
from mlquery.server.service import Service
from mlquery.server.version_sources import Source, checked_source

_VERSIONS_TAG: Final = "mlflow.modelVersions"


def _create(service: Service, fields: Fields) -> Any:
    backend, tags = service.backend, tags_of(fields)
    own = service.locations.read(fields["source"])
    source = Source(own or fields["source"], fields.get("run_id"), fields.get("model_id"))
    if PROMPT_TAG not in tags and own is None:  # a name that the workspace gives says whose files they are
        source = checked_source(backend, source)
    version = backend.create_model_version(
        fields["name"],
        source.uri,
        source.run_id or "",
        tags,
        fields["run_link"],
        fields["description"],
        source.model_id or None,
        reads_disk=False,
    )
    if source.model_id and "logged_models" not in backend.missing:
        _tell_model(backend, source.model_id, version)
    return version_answer(service, version)


def _tell_model(backend: Backend, model_id: str, version: ModelVersion) -> None:
    """Add a version to the tag that lists the versions which were made of a logged model."""
    store, new = backend.store, {"name": version.name, "version": version.version}
    with store.lock:
        listed = json.loads(store.get_logged_model(model_id).tags.get(_VERSIONS_TAG, "[]"))
        versions = [*listed, new] if new not in listed else [new]
        store.set_logged_model_tags(model_id, [RunTag(_VERSIONS_TAG, json.dumps(versions))])


def _update(service: Service, fields: Fields) -> Any:
    description = fields.get("description")
    return version_answer(service, service.backend.update_model_version(fields["name"], fields["version"], description))


def _get_download_uri(service: Service, fields: Fields) -> Any:
    uri = service.backend.get_model_version_download_uri(fields["name"], fields["version"])
    return {} if uri is None else {"artifact_uri": service.locations.written(uri)}


_get = forwarded(Backend.get_model_version, "name", "version", body=version_answer)
_search = forwarded(
    Backend.search_model_versions,
    *SEARCH_FIELDS,
    body=lambda service, found: versions_answer(service, found, found.token),
)
_transition_stage = forwarded(
    Backend.transition_model_version_stage, "name", "version", "stage", "archive_existing_versions", body=version_answer
)
_delete = forwarded(Backend.delete_model_version, "name", "version")
_set_tag = forwarded(Backend.set_model_version_tag, "name", "version", "key", "value")
_delete_tag = forwarded(Backend.delete_model_version_tag, "name", "version", "key")

_VERSION: Final = (proto.string("name"), proto.string("version"))
_VERSION_RULES: Final = {"name": REQUIRED_STRING, "version": REQUIRED_STRING}

ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "model-versions/create",
        Message(*map(proto.string, ("name", "source", "run_id", "run_link", "description", "model_id")), TAGS),
        _create,
        {
            "name": REQUIRED_STRING,
            "source": REQUIRED_STRING,
            "run_id": STRING,
            "tags": (a_list,),
            "run_link": STRING,
            "description": STRING,
            "model_id": STRING,
        },
    ),
    Endpoint("GET", "model-versions/get", Message(*_VERSION), _get, _VERSION_RULES),
    Endpoint(
        "PATCH",
        "model-versions/update",
        Message(*_VERSION, proto.string("description")),
        _update,
        {**_VERSION_RULES, "description": STRING},
    ),
    Endpoint(
        "POST",
        "model-versions/transition-stage",
        Message(*_VERSION, proto.string("stage"), proto.boolean("archive_existing_versions")),
        _transition_stage,
        {**_VERSION_RULES, "stage": REQUIRED_STRING, "archive_existing_versions": (a_boolean,)},
    ),
    Endpoint("DELETE", "model-versions/delete", Message(*_VERSION), _delete, _VERSION_RULES),
    Endpoint("GET", "model-versions/get-download-uri", Message(*_VERSION), _get_download_uri),
    Endpoint("GET", "model-versions/search", search_message(MOST_VERSIONS), _search, search_rules(MOST_VERSIONS)),
    Endpoint("POST", "model-versions/set-tag", Message(*_VERSION, KEY, VALUE), _set_tag, _VERSION_RULES | TAG_RULES),
    Endpoint(
        "DELETE", "model-versions/delete-tag", Message(*_VERSION, KEY), _delete_tag, _VERSION_RULES | TAG_KEY_RULE
    ),
)
