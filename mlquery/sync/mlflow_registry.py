"""Reads and writes registered models through MLflow's client, as `mlflow_source` and `mlflow_target` do with runs.

**Source** of names and arguments: `mlflow.MlflowClient` and its registry stores of MLflow 3.17.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from operator import attrgetter
from typing import Any, Final

import attrs

from mlquery.entities.registry import ModelVersion, RegisteredModel
from mlquery.errors import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, StoreError
from mlquery.query.page_tokens import all_pages
from mlquery.store.registered_models import Entry
from mlquery.sync.single_requests import sending_once

INCOMPLETE_TAG: Final = "mlquery.pushing"
"""The tag of what is incomplete on the target; its value says which store creates it, and of what."""
_INCOMPLETE: Final = f"tags.`{INCOMPLETE_TAG}` != ''"
_PAGE: Final = 100

Call = Callable[..., Any]
Create = Callable[[Callable[[], str], Callable[[], str | None]], str]


@attrs.frozen
class Origin:
    """What a version is made of: where its files are, the run, and the logged model with the location of its files."""

    source: str
    run_id: str | None = None
    model_id: str | None = None
    location: str | None = None


class MlflowRegistry:
    """The model registry of a server.

    Args:
        client: MLflow's client.
        call: Makes a call and raises its errors as `StoreError`.
    """

    def __init__(self, client: Any, call: Call) -> None:
        self._client, self._call = client, call

    @property
    def _store(self) -> Any:
        return self._client._get_registry_client().store

    def entries(self) -> Iterator[Entry]:
        """Yield all registered models with their versions, prompts included."""
        # Not through the client: it asks for models that are no prompts by their tags, which Azure does not search by.
        for found in self._pages(self._store.search_registered_models):
            model = _model_of(self._call(self._client.get_registered_model, found.name))  # a search omits aliases
            versions = sorted(map(_version_of, self._versions(_named(model.name))), key=attrgetter("version"))
            yield Entry(model, {version.version: version for version in versions})

    def find(self, name: str) -> RegisteredModel | None:
        """Return a registered model, None if there is none."""
        found = self._found(self._client.get_registered_model, name)
        return None if found is None else _model_of(found)

    def find_version(self, name: str, version: int) -> ModelVersion | None:
        """Return a version, None if there is none."""
        found = self._found(self._client.get_model_version, name, str(version))
        return None if found is None else _version_of(found)

    def incomplete_versions(self, names: list[str]) -> list[ModelVersion]:
        """Return the versions that are incomplete; `names` are those of their models, where tags are not searched."""
        try:
            found = list(self._versions(_INCOMPLETE))
        except StoreError as error:
            if error.error_code != INVALID_PARAMETER_VALUE:
                raise
            found = [one for name in names for one in self._versions(_named(name))]
        return [one for one in map(_version_of, found) if INCOMPLETE_TAG in one.tags]

    def create_model(self, create: Create, model: RegisteredModel) -> None:
        """Create a registered model, unless there is one of its name."""
        from mlflow.entities.model_registry import RegisteredModelTag

        tags = [RegisteredModelTag(key, value) for key, value in model.tags.items()]
        once = sending_once(self._store)

        def find() -> str | None:
            return None if self.find(model.name) is None else model.name

        create(lambda: str(once.create_registered_model(model.name, tags, model.description).name), find)

    def create_version(self, create: Create, version: ModelVersion, origin: Origin, tags: Mapping[str, str]) -> int:
        """Create a version once and return its number."""
        from mlflow.entities.model_registry import ModelVersionTag

        given = [ModelVersionTag(key, value) for key, value in tags.items()]
        once, name, mark = sending_once(self._store), version.name, tags[INCOMPLETE_TAG]

        def find() -> str | None:
            found = (one for one in self.incomplete_versions([name]) if one.tags[INCOMPLETE_TAG] == mark)
            return next((str(one.version) for one in found), None)

        def send() -> str:
            source, model = origin.source, {"model_id": origin.model_id} if origin.model_id else {}
            if origin.location is not None and self._is_database:  # it looks for logged models in another one
                source, model = origin.location, {}
            about = (name, source, origin.run_id, given, version.run_link, version.description)
            return str(once.create_model_version(*about, **model).version)

        return int(create(send, find))

    def update_model(self, name: str, description: str | None, tags: Mapping[str, str]) -> None:
        """Set the description of a registered model, unless it is None, and tags."""
        if description is not None:
            self._call(self._client.update_registered_model, name, description)
        for key, value in tags.items():
            self._call(self._client.set_registered_model_tag, name, key, value)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Let an alias mean a version."""
        self._call(self._client.set_registered_model_alias, name, alias, str(version))

    def update_version(self, old: ModelVersion, description: str | None, stage: str, tags: Mapping[str, str]) -> None:
        """Set what differs of the description, the stage and the tags of a version; delete `INCOMPLETE_TAG`."""
        about = (old.name, str(old.version))
        if description is not None and description != (old.description or ""):
            self._call(self._client.update_model_version, *about, description)
        for key, value in tags.items():
            if old.tags.get(key) != value:
                self._call(self._client.set_model_version_tag, *about, key, value)
        if stage != old.current_stage:
            self._call(self._store.transition_model_version_stage, *about, stage, False)  # the client's warns of stages
        if INCOMPLETE_TAG in old.tags:
            self._call(self._client.delete_model_version_tag, *about, INCOMPLETE_TAG)

    def delete_version(self, name: str, version: int) -> None:
        """Delete a version, if it is there."""
        self._found(self._client.delete_model_version, name, str(version))

    def _found(self, call: Call, *about: str) -> Any:
        """Return what a call returns, None if what it is about is not there."""
        try:
            return self._call(call, *about)
        except StoreError as error:
            if error.error_code != RESOURCE_DOES_NOT_EXIST:
                raise
            return None

    @property
    def _is_database(self) -> bool:
        """Whether MLflow's own store writes to a database here: the URI in effect says where it finds logged models."""
        return type(self._store).__name__ == "SqlAlchemyStore"

    def _versions(self, filter_string: str) -> Iterator[Any]:
        return self._pages(partial(self._client.search_model_versions, filter_string))

    def _pages(self, search: Call) -> Iterator[Any]:
        return all_pages(partial(self._call, search), _PAGE)


def _named(name: str) -> str:
    quote = '"' if "'" in name else "'"
    return f"name = {quote}{name}{quote}"


def _model_of(found: Any) -> RegisteredModel:
    times = (int(found.creation_timestamp or 0), int(found.last_updated_timestamp or found.creation_timestamp or 0))
    aliases = {alias: int(number) for alias, number in (getattr(found, "aliases", None) or {}).items()}
    return RegisteredModel(found.name, *times, found.description or None, tags=dict(found.tags or {}), aliases=aliases)


def _version_of(found: Any) -> ModelVersion:
    times = (int(found.creation_timestamp or 0), int(found.last_updated_timestamp or found.creation_timestamp or 0))
    return ModelVersion(
        found.name,
        int(found.version),
        *times,
        found.description or None,
        user_id=found.user_id or None,
        current_stage=found.current_stage or "None",
        source=found.source,
        run_id=found.run_id or None,
        tags=dict(found.tags or {}),
        run_link=found.run_link or None,
    )
