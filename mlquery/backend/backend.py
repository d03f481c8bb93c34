"""The emulated service: one implementation of every call that MLflow's clients make, for all doors."""

from __future__ import annotations

from mlquery.backend.artifacts import Artifacts
from mlquery.backend.experiments import Experiments
from mlquery.backend.logged_models import LoggedModels
from mlquery.backend.logging import Logging
from mlquery.backend.registered_models import RegisteredModels
from mlquery.backend.runs import Runs
from mlquery.store.locations import moved_location


class Backend(Experiments, Runs, Logging, LoggedModels, Artifacts, RegisteredModels):
    """A store and a registry that answer every call in one dialect; see `Service` for its arguments.

    Calls have the names of MLflow's tracking store, model registry and artifact repository. They raise `StoreError`
    about data and `QueryError` about queries; doors turn these into what their callers expect.
    """

    def __repr__(self) -> str:
        return f"<Backend: dialect={self.dialect.name!r}, store={self.store!r}>"

    def clone(self) -> Backend:
        """Return a backend of independent copies of store and registry, the one in the other, without faults."""
        with self.store.lock:
            store = self.store.clone()
            new = Backend(store, None, self.dialect, self.on_warning)
            self.registry.copy_into(new.registry)
            if self.store.memory_root is not None:
                new.move_versions(self.store.artifact_root)
            return new

    def move_artifact_root(self, root: str) -> str:
        """Let all locations of the store and its registered models start at another root, and return the old one."""
        old = self.store.move_artifact_root(root)
        self.move_versions(old)
        return old

    def move_versions(self, old_root: str) -> None:
        """Let the registered versions follow the artifacts of the store, which were below another root."""
        new_root = self.store.artifact_root
        self.registry.move_sources(lambda location: moved_location(location, old_root, new_root))
