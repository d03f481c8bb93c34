"""What the rows of the tables of MLflow's model registry mean: turns them into registered models with their versions.

Where the rows come from is not known here: from a file that is loaded, or from a server.
Rows have the columns that are named here, and no others.

**Source**: the tables of `mlflow.store.model_registry.dbmodels.models`, MLflow 2.9 to 3.17.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from mlquery.entities.registry import STAGES, ModelVersion, RegisteredModel
from mlquery.errors import invalid_parameter
from mlquery.readers.mlflow_rows import INTEGER, NULL, STRING, Column, Row
from mlquery.store.registered_models import Entry

_MODEL_TAGS: Final[list[Column]] = [("name", STRING, None), ("key", STRING, None), ("value", STRING | NULL, None)]

REGISTRY_TABLES: Final[list[tuple[str, list[Column]]]] = [
    (
        "registered_models",
        [
            ("name", STRING, None),
            ("creation_time", INTEGER | NULL, None),
            ("last_updated_time", INTEGER | NULL, None),
            ("description", STRING | NULL, "NULL"),
        ],
    ),
    (
        "model_versions",
        [
            ("name", STRING, None),
            ("version", INTEGER, None),
            ("creation_time", INTEGER | NULL, None),
            ("last_updated_time", INTEGER | NULL, None),
            ("description", STRING | NULL, "NULL"),
            ("user_id", STRING | NULL, "NULL"),
            ("current_stage", STRING | NULL, "NULL"),
            ("source", STRING | NULL, "NULL"),
            ("run_id", STRING | NULL, "NULL"),
            ("status", STRING | NULL, "NULL"),
            ("status_message", STRING | NULL, "NULL"),
            ("run_link", STRING | NULL, "NULL"),
            ("storage_location", STRING | NULL, "NULL"),
        ],
    ),
    ("registered_model_tags", _MODEL_TAGS),
    ("model_version_tags", [_MODEL_TAGS[0], ("version", INTEGER, None), *_MODEL_TAGS[1:]]),
    ("registered_model_aliases", [("name", STRING, None), ("alias", STRING, None), ("version", INTEGER, None)]),
]
"""The tables and their columns, in the order of the arguments of `registered_models_of`."""


def registered_models_of(
    models: Iterable[Row],
    versions: Iterable[Row],
    model_tags: Iterable[Row],
    version_tags: Iterable[Row],
    aliases: Iterable[Row],
) -> list[Entry]:
    """Return the registered models by name, each with its versions, deleted ones too, in the order of their numbers.

    Raises:
        StoreError: two workspaces have models of one name.
    """
    tags: defaultdict[Any, dict[str, str]] = defaultdict(dict)
    numbers: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for name, key, value in model_tags:
        tags[name][key] = value or ""
    for name, number, key, value in version_tags:
        tags[name, int(number)][key] = value or ""
    for name, alias, number in aliases:
        numbers[name][alias] = int(number)
    found: dict[str, Entry] = {}
    for name, created, updated, text in sorted(models, key=lambda row: row[0]):
        if name in found:
            problem = "are in two workspaces of the database; instead: pull those of one workspace from its server"
            raise invalid_parameter(f"registered models of the name {name!r} {problem}")
        found[name] = Entry(RegisteredModel(name, *times_known(created, updated), text, (), tags[name], numbers[name]))
    for row in sorted(versions, key=lambda row: int(row[1])):
        version = _version(row, tags[row[0], int(row[1])])
        if version.name in found:
            found[version.name].versions[version.version] = version
    return list(found.values())


def _version(row: Row, tags: Mapping[str, str]) -> ModelVersion:
    name, number, created, updated, text, user, stage, source, run_id, status, message, link, location = row
    return ModelVersion(
        name,
        int(number),
        *times_known(created, updated),
        text,
        user,
        stage or STAGES[0],
        source,
        run_id,
        status or "READY",
        message,
        tags,
        link,
        storage_location=location,
    )


def times_known(created: int | None, updated: int | None) -> tuple[int, int]:
    """Return when something was made and last changed, in ms UTC, as MLflow's client shows it."""
    return created or 0, (created or 0) if updated is None else updated
