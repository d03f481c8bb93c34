"""The table of registered models, each with all its versions, and its mutations as values like those of `changes`.

Values are frozen and replaced as a whole, so returned values never change. What calls do is not known here; see
`mlquery.registry`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import attrs

from mlquery.entities.registry import ModelVersion, RegisteredModel


@attrs.define
class Entry:
    """A registered model and all its versions by number, deleted ones included; numbers are never reused."""

    model: RegisteredModel
    versions: dict[int, ModelVersion] = attrs.field(factory=dict)

    @property
    def active(self) -> Iterator[ModelVersion]:
        """Yield the versions that are not deleted, the oldest first."""
        return (version for version in self.versions.values() if not version.is_deleted)

    def copy(self) -> Entry:
        """Return an independent copy."""
        return Entry(self.model, self.versions.copy())

    def with_aliases(self, version: ModelVersion) -> ModelVersion:
        """Return a version with its aliases, sorted."""
        aliases = sorted(alias for alias, number in self.model.aliases.items() if number == version.version)
        return attrs.evolve(version, aliases=tuple(aliases))

    def latest(self) -> tuple[ModelVersion, ...]:
        """Return the newest version of each stage, starting with the stage of the oldest version."""
        return tuple({version.current_stage: version for version in self.active}.values())


class HoldsRegisteredModels(Protocol):
    """What has the table: a store, or a registry in memory."""

    registered_models: dict[str, Entry]


def registered_model_fields(model: RegisteredModel) -> dict[str, Any]:
    """Return a registered model as JSON can hold it, without its versions."""
    return {
        **{name: getattr(model, name) for name in ("name", "creation_timestamp", "last_updated_timestamp")},
        **{"description": model.description, "tags": dict(model.tags), "aliases": dict(model.aliases)},
    }


def model_version_fields(version: ModelVersion) -> dict[str, Any]:
    """Return a version of a registered model as JSON can hold it; its aliases are those of the model."""
    fields = attrs.asdict(version, recurse=False) | {"tags": dict(version.tags)}
    return {name: value for name, value in fields.items() if name not in ("aliases", "lifecycle_stage")}


# Changes


class RegistryChange(Protocol):
    """A change of what is registered, in a store or in a registry in memory."""

    def apply(self, store: HoldsRegisteredModels) -> None:
        """Make the change."""


class PutRegisteredModel(NamedTuple):
    """A new registered model, or all of what a known one is now; see `registered_model_fields`."""

    fields: Mapping[str, Any]

    def apply(self, store: HoldsRegisteredModels) -> None:
        """Make the change."""
        model = RegisteredModel(**self.fields)
        entry = store.registered_models.setdefault(model.name, Entry(model))
        entry.model = model


class PutModelVersion(NamedTuple):
    """A new version of a registered model, or all of what a known one is now; see `model_version_fields`."""

    fields: Mapping[str, Any]

    def apply(self, store: HoldsRegisteredModels) -> None:
        """Make the change."""
        version = ModelVersion(**self.fields)
        store.registered_models[version.name].versions[version.version] = version


def registry_changes(entries: Iterable[Entry]) -> Iterator[PutRegisteredModel | PutModelVersion]:
    """Yield the changes that add registered models with their versions."""
    for entry in entries:
        yield PutRegisteredModel(registered_model_fields(entry.model))
        yield from (PutModelVersion(model_version_fields(version)) for version in entry.versions.values())


class RenameRegisteredModel(NamedTuple):
    """Another name of a registered model and all its versions, and when it was given, in ms UTC."""

    name: str
    new_name: str
    time: int

    def apply(self, store: HoldsRegisteredModels) -> None:
        """Make the change."""
        entry = store.registered_models.pop(self.name)
        changes: dict[str, Any] = {"name": self.new_name, "last_updated_timestamp": self.time}
        entry.model = attrs.evolve(entry.model, **changes)
        for number, version in entry.versions.items():
            entry.versions[number] = attrs.evolve(version, **changes)
        store.registered_models[self.new_name] = entry


class DeleteRegisteredModel(NamedTuple):
    """The name of a registered model that is deleted with all its versions."""

    name: str

    def apply(self, store: HoldsRegisteredModels) -> None:
        """Make the change."""
        del store.registered_models[self.name]
