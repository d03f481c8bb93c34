"""The state behind the registry's calls: models and their versions by name, and how calls look them up.

Values are frozen and replaced as a whole, so returned values never change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from operator import attrgetter
from threading import RLock
from typing import Any

import attrs

from mlquery.entities.registry import ModelVersion, RegisteredModel
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError
from mlquery.language.prompts import PROMPT_TAG
from mlquery.registry.validation import check_name, check_storable, check_version
from mlquery.store.registered_models import (
    Entry,
    PutModelVersion,
    PutRegisteredModel,
    RegistryChange,
    model_version_fields,
    registered_model_fields,
)
from mlquery.store.state import StoreState
from mlquery.store.times import RisingTimes, now


@attrs.define
class _InMemory:
    """The table of a registry that no store keeps."""

    registered_models: dict[str, Entry] = attrs.field(factory=dict)
    registered_model_times: RisingTimes = attrs.field(factory=RisingTimes)

    def write(self, change: RegistryChange) -> None:
        """Make a change."""
        change.apply(self)


def is_prompt(entry: Entry) -> bool:
    """Tell whether an entry is a prompt, which MLflow keeps among the registered models."""
    return entry.model.tags.get(PROMPT_TAG) == "true"


def snapshot(entry: Entry) -> RegisteredModel:
    """Return a model as it is now."""
    stage = "prompt" if is_prompt(entry) else "active"
    return attrs.evolve(entry.model, latest_versions=entry.latest(), lifecycle_stage=stage)


def _found(entry: Entry) -> RegisteredModel:
    """Return a model as a search finds it: its latest versions sorted by stage."""
    model = snapshot(entry)
    return attrs.evolve(model, latest_versions=tuple(sorted(model.latest_versions, key=attrgetter("current_stage"))))


def _found_versions(entry: Entry) -> Iterator[ModelVersion]:
    """Yield the versions as a search finds them: without aliases, all marked as prompts if one is tagged so."""
    has_prompts = any(version.tags.get(PROMPT_TAG) == "true" for version in entry.versions.values())
    for version in entry.active:
        yield attrs.evolve(version, lifecycle_stage="prompt") if has_prompts else version


class RegistryState:
    """The lock, the clock, and the models by name.

    Attributes:
        lock: Held by everyone who reads.
        writing: The block in which a call validates and writes: the lock itself, or a transaction.
    """

    def __init__(self, clock: Callable[[], int] | None = None, kept_in: StoreState | None = None) -> None:
        self._kept_in: _InMemory | StoreState = _InMemory() if kept_in is None else kept_in
        self.lock: AbstractContextManager[Any] = RLock() if kept_in is None else kept_in.lock
        self.writing: AbstractContextManager[Any] = self.lock if kept_in is None else kept_in.writing
        self.clock: Callable[[], int] = now if clock is None else clock

    @property
    def _entries(self) -> dict[str, Entry]:
        return self._kept_in.registered_models

    def _write(self, change: RegistryChange) -> None:
        """Make a change, inside `writing`; it was validated before."""
        self._kept_in.write(change)

    def _put_model(self, model: RegisteredModel, **changes: Any) -> None:
        """Add a model, or let one of its name be this."""
        self._write(PutRegisteredModel(registered_model_fields(attrs.evolve(model, **changes))))

    def _put_version(self, version: ModelVersion, **changes: Any) -> None:
        """Add a version of a model, or let one of its number be this."""
        self._write(PutModelVersion(model_version_fields(attrs.evolve(version, **changes))))

    def models(self) -> list[RegisteredModel]:
        """Return all models as searches find them, prompts included."""
        with self.lock:
            return [_found(entry) for entry in self._entries.values()]

    def versions(self) -> list[ModelVersion]:
        """Return all versions that are not deleted as searches find them: without aliases, prompts included."""
        with self.lock:
            return [version for entry in self._entries.values() for version in _found_versions(entry)]

    def _time(self) -> int:
        """Return the time of a change: later than those before, so that searches find the last one first."""
        return self._kept_in.registered_model_times.next(self.clock)

    def _entry(self, name: str) -> Entry:
        entry = self._entries.get(check_name(name))
        if entry is None:
            raise StoreError(f"Registered Model with name={name} not found", RESOURCE_DOES_NOT_EXIST)
        return entry

    def _version(self, name: str, version: str | int) -> tuple[Entry, ModelVersion]:
        """Return the entry of a model and a version of it that is not deleted."""
        check_name(name)
        number = check_version(version)
        check_storable(number)
        entry = self._entries.get(name)
        found = entry and entry.versions.get(number)
        if entry is None or not found or found.is_deleted:
            raise StoreError(f"Model Version (name={name}, version={number}) not found", RESOURCE_DOES_NOT_EXIST)
        return entry, found
