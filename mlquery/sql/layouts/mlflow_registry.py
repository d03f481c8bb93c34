"""Reads the model registry out of MLflow's own tables; registries are small, so all of it is read at once.

**Source**: the tables of `mlflow.store.model_registry.dbmodels.models`, MLflow 2.9 to 3.17.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from mlquery.entities.registry import ModelVersion, RegisteredModel
from mlquery.registry import Registry
from mlquery.sql.session import Session
from mlquery.sql.statement import Statement
from mlquery.store.registered_models import Entry

_MODELS: Final = "SELECT name, creation_time, last_updated_time, description FROM registered_models ORDER BY name"
_VERSIONS: Final = (
    "SELECT name, version, creation_time, last_updated_time, description, user_id, current_stage, source, run_id, "
    "status, status_message, run_link, storage_location FROM model_versions ORDER BY name, version"
)
_MODEL_TAGS: Final = "SELECT t.name, t.key, t.value FROM registered_model_tags t"
_VERSION_TAGS: Final = "SELECT t.name, t.version, t.key, t.value FROM model_version_tags t"
_ALIASES: Final = "SELECT name, alias, version FROM registered_model_aliases"


def read_registry(session: Session) -> Registry:
    """Return all registered models with their versions, deleted versions included."""
    tags: defaultdict[Any, dict[str, str]] = defaultdict(dict)
    aliases: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for name, key, value in _rows(session, _MODEL_TAGS):
        tags[name][key] = value or ""
    for name, number, key, value in _rows(session, _VERSION_TAGS):
        tags[name, int(number)][key] = value or ""
    for name, alias, number in _rows(session, _ALIASES):
        aliases[name][alias] = int(number)
    entries = {
        name: Entry(RegisteredModel(name, created, _known(updated, created), text, (), tags[name], aliases[name]))
        for name, created, updated, text in _rows(session, _MODELS)
    }
    for row in _rows(session, _VERSIONS):
        version = _version(row, tags[row[0], int(row[1])])
        entries[version.name].versions[version.version] = version
    registry = Registry()
    registry.put_entries(entries)
    return registry


def _version(row: tuple[Any, ...], tags: dict[str, str]) -> ModelVersion:
    name, number, created, updated, text, user, stage, source, run_id, status, message, link, location = row
    return ModelVersion(
        name,
        int(number),
        created,
        _known(updated, created),
        text,
        user,
        stage,
        source,
        run_id,
        status,
        message,
        tags,
        link,
        storage_location=location,
    )


def _known(updated: int | None, created: int) -> int:
    return created if updated is None else updated


def _rows(session: Session, text: str) -> list[tuple[Any, ...]]:
    return session.rows(Statement(text))
