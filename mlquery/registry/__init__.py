"""The model registry in memory: registered models, their versions, aliases, tags and stages.

Its calls have the names, validation and errors of MLflow's registry store; arguments are those of MLflow's client. It
depends on no query and no dialect, and what differs between dialects is an argument: `mlquery.query.registry` searches
it, `mlquery.backend` serves it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from mlquery.registry.model_versions import ModelVersions
from mlquery.store.registered_models import Entry
from mlquery.store.state import StoreState


class Registry(ModelVersions):
    """A model registry, empty at first and safe to use from several threads.

    Args:
        clock: Returns the time in ms UTC; by default the system's.
        kept_in: The store that keeps the models; by default this registry alone has them.

    Errors are `StoreError` with MLflow's error codes and wording.

    **Source**: `mlflow.store.model_registry.sqlalchemy_store.SqlAlchemyStore` of MLflow 3.17 on SQLite.
    """

    def __repr__(self) -> str:
        return f"<Registry: {len(self._entries)} models>"

    def clone(self) -> Registry:
        """Return an independent copy."""
        new = Registry(self.clock)
        self.copy_into(new)
        return new

    def is_kept_in(self, store: StoreState) -> bool:
        """Return whether a store keeps the models."""
        return self._kept_in is store

    def copy_into(self, new: Registry) -> None:
        """Let another registry have what this one has, and nothing else."""
        with self.lock:
            new._kept_in.registered_model_times = self._kept_in.registered_model_times.copy()
            new._kept_in.registered_models = self.entries()

    def entries(self) -> dict[str, Entry]:
        """Return all that is registered by name; later calls do not change it."""
        with self.lock:
            return {name: entry.copy() for name, entry in self._entries.items()}

    def put_entries(self, entries: Mapping[str, Entry | None]) -> None:
        """Let what is registered under some names be this, None for nothing."""
        with self.lock:
            for name, entry in entries.items():
                if entry is None:
                    self._entries.pop(name, None)
                else:
                    self._entries[name] = entry.copy()

    def move_sources(self, move: Callable[[str], str]) -> None:
        """Let the files of all versions be where a function says, which is given where they are."""
        with self.lock:
            for entry in self._entries.values():
                for number, version in entry.versions.items():
                    source, location = (one and move(one) for one in (version.source, version.storage_location))
                    entry.versions[number] = attrs.evolve(version, source=source, storage_location=location)
