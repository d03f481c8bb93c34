"""The emulated service: one implementation of every call that MLflow's clients make, for all doors."""

from __future__ import annotations

from mlquery.backend.artifacts import Artifacts
from mlquery.backend.experiments import Experiments
from mlquery.backend.logged_models import LoggedModels
from mlquery.backend.logging import Logging
from mlquery.backend.registered_models import RegisteredModels
from mlquery.backend.runs import Runs
from mlquery.backend.service import put_beside


class Backend(Experiments, Runs, Logging, LoggedModels, Artifacts, RegisteredModels):
    """A store and a registry that answer every call in one dialect; see `Service` for its arguments.

    Calls have the names of MLflow's tracking store, model registry and artifact repository. They raise `StoreError`
    about data and `QueryError` about queries; doors turn these into what their callers expect.
    """

    def __repr__(self) -> str:
        return f"<Backend: dialect={self.dialect.name!r}, store={self.store!r}>"

    def clone(self) -> Backend:
        """Return a backend of independent copies of store and registry, the one beside the other, without faults."""
        with self.store.lock:
            store = self.store.clone()
            put_beside(store, self.registry.clone())
            return Backend(store, None, self.dialect, self.on_warning)
