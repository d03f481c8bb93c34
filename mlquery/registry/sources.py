"""Find the files of a new model version: its source may be another version or a logged model (`models:/…`).

**Source**: `SqlAlchemyStore.create_model_version` of MLflow 3.17 and `mlflow/store/artifact/utils/models.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

import attrs

from mlquery.errors import StoreError


class LoggedModel(Protocol):
    """The attributes read from a logged model, mlquery's or MLflow's."""

    @property
    def artifact_location(self) -> str:
        """Return the location of its files."""

    @property
    def source_run_id(self) -> str | None:
        """Return the run that logged it."""


FindModel = Callable[[str], LoggedModel]
"""Finds a logged model by its id, or raises an error."""
FindLocation = Callable[[str, str | None], str | None]
"""Finds the location of a version's files by name and number, or raises an error."""


def origin_of(
    source: str | None, run_id: str | None, model_id: str | None, find_model: FindModel, find_location: FindLocation
) -> tuple[str | None, str | None]:
    """Return the location of the files of a source and the run that they come from.

    Anything but `models:/…` is a location itself.

    Raises:
        StoreError: INTERNAL_ERROR for a source below `models:` that does not exist.
    """
    location = source
    if source and urlsplit(source).scheme == "models":
        uri = parse_model_uri(source)
        try:
            if uri.model_id is None:
                is_version = uri.suffix is not None and uri.suffix.isdigit()  # stages and aliases are not sources
                location = find_location(uri.name, uri.suffix if is_version else None)
            else:
                model = find_model(uri.model_id)
                location, run_id = model.artifact_location, run_id or model.source_run_id
        except Exception as error:
            message = f"Unable to fetch model from model URI source artifact location '{source}'.Error: {error}"
            raise StoreError(message) from error
    if not run_id and model_id:
        run_id = find_model(model_id).source_run_id
    return location, run_id


@attrs.frozen
class ModelUri:
    """What a `models:/…` URI refers to: a version by suffix or alias, or a logged model by its id."""

    name: str
    suffix: str | None = None
    alias: str | None = None
    model_id: str | None = None


def parse_model_uri(uri: str) -> ModelUri:
    """Return what a `models:/…` URI refers to; raise StoreError if the URI is not valid."""
    path = urlsplit(uri, allow_fragments=False).path
    name, *rest = path.lstrip("/").split("/")
    if not path.startswith("/") or not name.strip() or len(rest) > 1 or (rest and not rest[0].strip()):
        raise _improper(uri)
    if rest:
        return ModelUri(name, suffix=rest[0])
    if "@" not in name:
        return ModelUri("", model_id=name)
    before, _, alias = name.rpartition("@")
    if not alias.strip():
        raise _improper(uri)
    return ModelUri(before, alias=alias)


def _improper(source: str) -> StoreError:
    return StoreError(
        f"Not a proper models:/ URI: {source}. Models URIs must be of the form 'models:/name/suffix' "
        "or 'models:/name@alias', the suffix being a version, a stage or the string 'latest'."
    )
