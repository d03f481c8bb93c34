"""The store: experiments, runs, metric histories and artifacts in memory, the only mutable state there is.

Its calls have the names, arguments, checks and errors of MLflow's tracking store; engines read its tables
(`experiments`, `runs`). It sees no filter string and no dialect: what a dialect changes arrives as an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import attrs

from mlquery.entities import Experiment
from mlquery.store.loading import Loading
from mlquery.store.locations import moved_location
from mlquery.store.logging import Logging
from mlquery.store.names import Names
from mlquery.store.search_index import SearchIndex


class Store(Logging, Loading):
    """An empty tracking store with the experiment "Default" in it. Any number of threads may use it.

    Args:
        clock: Returns the time in ms UTC; by default the system's.
        seed: Makes ids and run names repeat.
        artifact_root: Where artifact locations start; nothing is read or written there.
        guid_ids: Whether ids are dashed GUIDs, those of experiments too ("0" still means the default experiment).

    Errors are `StoreError` with MLflow's error codes and wording.

    **Source**: `mlflow.store.tracking.sqlalchemy_store.SqlAlchemyStore` of MLflow 3.17 on SQLite.
    """

    is_on_disk = False
    _search_lag: float = 0
    _index: SearchIndex[Store] | None = None

    def __init__(
        self,
        *,
        clock: Callable[[], int] | None = None,
        seed: int | None = None,
        artifact_root: str = "mlquery-artifacts:",
        guid_ids: bool = False,
    ) -> None:
        super().__init__(clock, Names(seed), artifact_root, guid_ids)
        self._add_experiment(Experiment.DEFAULT_EXPERIMENT_NAME, None, {})
        self._is_untouched = True

    def __repr__(self) -> str:
        return f"<Store: {self.experiments.size} experiments, {self.runs.size} runs>"

    def clone(self) -> Store:
        """Return an independent copy, without faults; the two share columns until one of them writes to a column."""
        with self.lock:
            new = self._copy_without_artifacts()
            new.artifacts.copy_from(self.artifacts)
            if self.memory_root is not None:  # the files of this store are no place to write to for a copy
                new.move_artifact_root(self.memory_root)
            return new

    @property
    def search_lag(self) -> float:
        """How far searches and lookups by name are behind the writes, in seconds of the store's clock."""
        return self._search_lag

    @search_lag.setter
    def search_lag(self, seconds: float) -> None:
        """Let the searches of clients trail the writes from now on, or see everything again with 0.

        Raises:
            ValueError: the number is negative, or the store is on disk.
        """
        if not 0 <= seconds < inf:
            raise ValueError(f"search_lag is a number of seconds from 0 on, not {seconds}")
        if seconds and self.is_on_disk:
            raise ValueError("a store on disk has no search lag: set it on a copy in memory, store.clone()")
        with self.lock:
            self._search_lag = seconds
            if not seconds:
                self._index = self.on_change_searched = None
            elif self._index is None:
                self._index = SearchIndex(self._copy_without_artifacts())
                self.on_change_searched = self._index.note

    @property
    def searched(self) -> Store:
        """Return what a client's searches see: this store, or what it was `search_lag` ago."""
        with self.lock:
            return self if self._index is None else self._index.before(self._search_lag)

    def _copy_without_artifacts(self) -> Store:
        """Return an independent copy of everything but artifacts and faults."""
        with self.lock:
            new = Store.__new__(Store)
            super(Store, new).__init__(self.clock, self._names.copy(), self._artifact_root, self._guid_ids)
            new.version, new.default_experiment_id = self.version, self.default_experiment_id
            new._next_experiment_number, new._is_untouched = self._next_experiment_number, self._is_untouched
            new.run_times, new.experiment_times = self.run_times.copy(), self.experiment_times.copy()
            new.model_times = self.model_times.copy()
            new.experiments, new.runs = self.experiments.copy(), self.runs.copy()
            new.models = self.models.copy()
            new.registered_model_times = self.registered_model_times.copy()
            new.registered_models = {name: entry.copy() for name, entry in self.registered_models.items()}
            return new

    def move_artifact_root(self, root: str) -> str:
        """Let locations that are below the root of all artifacts be below another one, and return the old root.

        Locations that somebody chose for an experiment stay. No artifact is moved here.
        """
        with self.lock:
            old, self._artifact_root = self._artifact_root, root
            experiments, runs, models = self.experiments, self.runs, self.models.by_id
            for row, experiment_id in enumerate(experiments.ids):
                location = experiments.string("artifact_location", row) or ""
                if location.startswith(old):
                    runs.roots[experiment_id] = moved_location(location, old, root)
                    experiments.put_string("artifact_location", row, runs.roots[experiment_id])
            for row, uri in list(runs.own_artifact_uris.items()):
                runs.own_artifact_uris[row] = uri and moved_location(uri, old, root)
            runs.forget_artifact_uris()
            for model_id, model in list(models.items()):
                location = moved_location(model.artifact_location, old, root)
                models[model_id] = attrs.evolve(model, artifact_location=location)
            return old
