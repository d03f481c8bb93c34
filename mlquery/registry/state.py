"""The state behind the registry's calls: models and their versions by name, and how calls look them up.

Values are frozen and replaced as a whole, so returned values never change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter
from threading import RLock

import attrs

from mlquery.entities.registry import ModelVersion, RegisteredModel
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError
from mlquery.language.prompts import PROMPT_TAG
from mlquery.registry.validation import check_name, check_storable, check_version
from mlquery.store.times import RisingTimes, now


@attrs.define
class Entry:
    """A registered model and all its versions by number, deleted ones included; numbers are never reused."""

    model: RegisteredModel
    versions: dict[int, ModelVersion] = attrs.field(factory=dict)

    @property
    def active(self) -> Iterator[ModelVersion]:
        """Yield the versions that are not deleted, the oldest first."""
        return (version for version in self.versions.values() if not version.is_deleted)

    def with_aliases(self, version: ModelVersion) -> ModelVersion:
        """Return a version with its aliases, sorted."""
        aliases = sorted(alias for alias, number in self.model.aliases.items() if number == version.version)
        return attrs.evolve(version, aliases=tuple(aliases))

    def latest(self) -> tuple[ModelVersion, ...]:
        """Return the newest version of each stage, starting with the stage of the oldest version."""
        return tuple({version.current_stage: version for version in self.active}.values())

    def snapshot(self) -> RegisteredModel:
        """Return the model as it is now."""
        stage = "prompt" if self.model.tags.get(PROMPT_TAG) == "true" else "active"
        return attrs.evolve(self.model, latest_versions=self.latest(), lifecycle_stage=stage)

    def found(self) -> RegisteredModel:
        """Return the model as a search finds it: its latest versions sorted by stage."""
        model = self.snapshot()
        return attrs.evolve(
            model, latest_versions=tuple(sorted(model.latest_versions, key=attrgetter("current_stage")))
        )

    def found_versions(self) -> Iterator[ModelVersion]:
        """Yield the versions as a search finds them: without aliases, all marked as prompts if one is tagged so."""
        is_prompt = any(version.tags.get(PROMPT_TAG) == "true" for version in self.versions.values())
        for version in self.active:
            yield attrs.evolve(version, lifecycle_stage="prompt") if is_prompt else version


class RegistryState:
    """The lock, the clock, and the models by name."""

    def __init__(self, clock: Callable[[], int] | None = None) -> None:
        self.lock = RLock()
        self.clock: Callable[[], int] = now if clock is None else clock
        self._times = RisingTimes()
        self._entries: dict[str, Entry] = {}

    def models(self) -> list[RegisteredModel]:
        """Return all models as searches find them, prompts included."""
        with self.lock:
            return [entry.found() for entry in self._entries.values()]

    def versions(self) -> list[ModelVersion]:
        """Return all versions that are not deleted as searches find them: without aliases, prompts included."""
        with self.lock:
            return [version for entry in self._entries.values() for version in entry.found_versions()]

    def _time(self) -> int:
        """Return the time of a change: later than those before, so that searches find the last one first."""
        return self._times.next(self.clock)

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
