"""The registry's calls about registered models: create, read, change, rename, delete, tag, and their aliases.

**Source** of order, error codes and wording: `SqlAlchemyStore` of MLflow 3.17's model registry, on SQLite.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlquery.entities.registry import ModelVersion, RegisteredModel
from mlquery.errors import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.language.prompts import PROMPT_TAG
from mlquery.registry.state import RegistryState, snapshot
from mlquery.registry.validation import (
    LATEST,
    check_alias,
    check_key,
    check_name,
    check_new_alias,
    check_tag,
    check_tags,
)
from mlquery.store.registered_models import DeleteRegisteredModel, RenameRegisteredModel


class RegisteredModels(RegistryState):
    """Calls about registered models. All raise RESOURCE_DOES_NOT_EXIST for a model that does not exist."""

    def create_registered_model(
        self, name: str, tags: Mapping[str, Any] | None = None, description: str | None = None
    ) -> RegisteredModel:
        """Create a model without versions and return it.

        Raises: INVALID_PARAMETER_VALUE for a bad name or tag, RESOURCE_ALREADY_EXISTS for a name that is taken.
        """
        check_name(name)
        checked = check_tags(tags)
        with self.writing:
            if name in self._entries:
                raise _taken(name, PROMPT_TAG in self._entries[name].model.tags, PROMPT_TAG in checked)
            time = self._time()
            self._put_model(RegisteredModel(name, time, time, description, tags=checked))
            return snapshot(self._entries[name])

    def get_registered_model(self, name: str) -> RegisteredModel:
        """Return a model."""
        with self.lock:
            return snapshot(self._entry(name))

    def update_registered_model(self, name: str, description: str | None) -> RegisteredModel:
        """Set the description of a model, or remove it with None, and return the model."""
        with self.writing:
            entry = self._entry(name)
            self._put_model(entry.model, description=description, last_updated_timestamp=self._time())
            return snapshot(entry)

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Give a model and all its versions another name and return the model.

        Raises: INVALID_PARAMETER_VALUE for a bad name, RESOURCE_ALREADY_EXISTS for one that another model has.
        """
        check_name(new_name, "new_name")
        with self.writing:
            entry = self._entry(name)
            if self._entries.get(new_name, entry) is not entry:
                raise StoreError(f"Registered Model (name={new_name}) already exists.", RESOURCE_ALREADY_EXISTS)
            self._write(RenameRegisteredModel(name, new_name, self._time()))
            return snapshot(entry)

    def delete_registered_model(self, name: str) -> None:
        """Delete a model and all its versions permanently."""
        with self.writing:
            self._entry(name)
            self._write(DeleteRegisteredModel(name))

    def set_registered_model_tag(self, name: str, key: str, value: Any) -> None:
        """Set a tag of a model."""
        check_name(name)
        checked = check_tag(key, value)
        with self.writing:
            entry = self._entry(name)
            self._put_model(entry.model, tags={**entry.model.tags, **dict([checked])})

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a tag of a model, if it exists."""
        check_name(name)
        check_key(key)
        with self.writing:
            entry = self._entry(name)
            self._put_model(entry.model, tags=_without(entry.model.tags, key))

    def set_registered_model_alias(self, name: str, alias: str, version: str | int) -> None:
        """Point an alias at a version, replacing the version it pointed to.

        Raises: INVALID_PARAMETER_VALUE for a bad or reserved alias, RESOURCE_DOES_NOT_EXIST for a missing version.
        """
        check_name(name)
        check_new_alias(alias)
        with self.writing:
            entry, found = self._version(name, version)
            self._put_model(entry.model, aliases={**entry.model.aliases, alias: found.version})

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Delete an alias, if it exists."""
        check_name(name)
        check_alias(alias)
        with self.writing:
            entry = self._entry(name)
            self._put_model(entry.model, aliases=_without(entry.model.aliases, alias))

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias points to; "latest", in any case, is the newest one.

        Raises: INVALID_PARAMETER_VALUE for an alias that does not exist.
        """
        check_name(name)
        check_alias(alias)
        with self.lock:
            entry = self._entry(name)
            number = max((v.version for v in entry.active), default=None)
            if alias.lower() != LATEST:
                number = entry.model.aliases.get(alias)
                if number is None:
                    raise invalid_parameter(f"Registered model alias {alias} not found.")
            elif number is None:
                raise StoreError(f"Latest version not found for model {name}.", RESOURCE_DOES_NOT_EXIST)
            return entry.with_aliases(entry.versions[number])


def _without(items: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in items.items() if name != key}


def _taken(name: str, is_prompt: bool, wants_prompt: bool) -> StoreError:
    """Return MLflow's error about a name that a model or a prompt already has."""
    old, new = ("Prompt" if is_it else "Registered Model" for is_it in (is_prompt, wants_prompt))
    if old == new:
        return StoreError(f"{new} (name={name}) already exists.", RESOURCE_ALREADY_EXISTS)
    return StoreError(
        f"Tried to create a {new.lower()} with name {name!r}, but the name is already taken by a {old.lower()}. "
        "MLflow does not allow creating a model and a prompt with the same name.",
        RESOURCE_ALREADY_EXISTS,
    )
