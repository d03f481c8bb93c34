"""Reads the registered models of an `mlruns` folder, as they are once MLflow has moved it into a database.

**Source**: `mlflow.store.model_registry.file_store` for the layout, `mlflow.store.fs2db` (`mlflow migrate-filestore`)
for what counts, MLflow 3.17.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from mlquery.entities.registry import STAGES, ModelVersion, RegisteredModel
from mlquery.readers.mlruns_files import Files, Meta
from mlquery.readers.registry_rows import times_known
from mlquery.store.registered_models import Entry

_VERSION: Final = "version-"


def registered_models(files: Files, top: str) -> Iterator[Entry]:
    """Yield the registered models below a folder, with their versions in the order of their numbers.

    Raises:
        SourceError: a file is damaged.
    """
    for inner, meta in files.metas(top):
        folder = os.path.join(top, inner)
        name = meta.optional_string("name") or inner
        aliases = {alias: _alias(files, path) for alias, path in files.files(os.path.join(folder, "aliases"))}
        tags = files.strings(os.path.join(folder, "tags"))
        model = RegisteredModel(name, *_times(meta), meta.optional_string("description"), (), tags, aliases)
        found = [
            _version(files, name, os.path.join(folder, version), about)
            for version, about in files.metas(folder)
            if version.startswith(_VERSION)
        ]
        yield Entry(model, {version.version: version for version in sorted(found, key=lambda one: one.version)})


def _version(files: Files, name: str, folder: str, meta: Meta) -> ModelVersion:
    number = meta.id("version") or ""
    if not number.isdecimal():
        raise meta.damaged("version")
    return ModelVersion(
        name,
        int(number),
        *_times(meta),
        meta.optional_string("description"),
        meta.optional_string("user_id"),
        meta.optional_string("current_stage") or STAGES[0],
        meta.optional_string("source"),
        meta.optional_string("run_id"),
        meta.optional_string("status") or "READY",
        meta.optional_string("status_message"),
        files.strings(os.path.join(folder, "tags")),
        meta.optional_string("run_link"),
        storage_location=meta.optional_string("storage_location"),
    )


def _alias(files: Files, path: str) -> int:
    number = files.string(path).strip()
    if not number.isdecimal():
        raise files.damaged(path, "is no number of a version")
    return int(number)


def _times(meta: Meta) -> tuple[int, int]:
    return times_known(meta.number("creation_timestamp"), meta.number("last_updated_timestamp"))
