"""Pulls registered models into a store on disk.

A version keeps its number if that is free here, and has the next free one otherwise; the store remembers which version
of the source it is. What was pushed to the source is the same version there, not another one.
"""

from __future__ import annotations

import attrs

from mlquery.durable.store import DurableStore
from mlquery.entities.registry import ModelVersion, RegisteredModel
from mlquery.store.registered_models import (
    Entry,
    PutModelVersion,
    PutRegisteredModel,
    model_version_fields,
    registered_model_fields,
)
from mlquery.sync.mlflow_registry import INCOMPLETE_TAG
from mlquery.sync.pushed import Pushed
from mlquery.sync.sending_registry import MODEL, VERSION, digest_of_model, digest_of_version, part_of, version_id


class RegistryPull:
    """Pulls the registered models of one source, one at a time.

    Attributes:
        models: How many were added or changed.
        versions: How many versions were.
    """

    def __init__(self, store: DurableStore, source: str) -> None:
        self.store, self.models, self.versions = store, 0, 0
        self._pushed = Pushed(store, source)
        self._own_runs = {there: own for own, there in self._pushed.ids("run").items()}

    def add(self, entry: Entry, runs: frozenset[str] | None) -> None:
        """Pull what is new or changed of a registered model: all versions, or those of some runs of the source."""
        part = part_of(entry, runs)
        if runs is not None and not part.versions:
            return
        with self.store.transaction():
            name = part.model.name
            local = self.store.registered_models.get(name)
            if local is None:
                self._put_model(attrs.evolve(part.model, aliases={}, latest_versions=()))
            own_ids = {there: own for own, there in self._pushed.ids(VERSION).items()}
            for version in part.versions:
                if INCOMPLETE_TAG not in version.tags:
                    self._add_version(version, own_ids)
            numbers = {number: own_ids.get(f"{name}/{number}") for number in part.model.aliases.values()}
            aliases = {
                alias: int(own.rpartition("/")[2])
                for alias, number in part.model.aliases.items()
                if (own := numbers[number]) is not None
            }
            self._merge_model(attrs.evolve(part.model, aliases=aliases), is_new=local is None)

    def _add_version(self, version: ModelVersion, own_ids: dict[str, str]) -> None:
        versions, there = self.store.registered_models[version.name].versions, version_id(version)
        digest, own_id = digest_of_version(version), own_ids.get(version_id(version))
        if own_id is None:
            number = version.version if version.version not in versions else max(versions) + 1
            run_id = self._own_runs.get(version.run_id or "", version.run_id)
            new = attrs.evolve(version, version=number, run_id=run_id, aliases=())
            own_id = own_ids[there] = version_id(new)
        else:
            known = self._pushed.known(VERSION, own_id)
            if known is not None and known[1] == digest:
                return
            changed = {name: getattr(version, name) for name in ("description", "current_stage", "tags")}
            new = attrs.evolve(versions[int(own_id.rpartition("/")[2])], **changed)
        if versions.get(new.version) != new:
            self.store.write(PutModelVersion(model_version_fields(new)))
            self.versions += 1
        self._pushed.remember(VERSION, own_id, there, digest)

    def _merge_model(self, there: RegisteredModel, is_new: bool) -> None:
        known, digest = self._pushed.known(MODEL, there.name), digest_of_model(there)
        if known is not None and known[1] == digest:
            return
        own = self.store.registered_models[there.name].model
        merged = attrs.evolve(
            own,
            description=there.description or own.description,
            tags={**own.tags, **there.tags},
            aliases={**own.aliases, **there.aliases},
        )
        if merged != own:
            self._put_model(merged)
        self.models += is_new or merged != own
        self._pushed.remember(MODEL, there.name, there.name, digest)

    def _put_model(self, model: RegisteredModel) -> None:
        self.store.write(PutRegisteredModel(registered_model_fields(model)))
