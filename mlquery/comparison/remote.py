"""Reads runs through a client with MLflow's calls (`mlflow.MlflowClient`) into a store; points when they are needed.

Only calls of the client are known here; MLflow is not imported.

**Source** of names and arguments: `mlflow.MlflowClient` of MLflow 3.17.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat
from typing import Any, Final

import attrs
import numpy as np

from mlquery.comparison.loading import has_points, put_experiment, put_logged_model, put_run
from mlquery.entities import ViewType
from mlquery.entities.registry import ModelVersion
from mlquery.query.page_tokens import all_pages
from mlquery.sql.errors import NotAskableError
from mlquery.store import Store
from mlquery.store.validation import clean_value

_PAGE: Final = 500
_WORKERS: Final = 8
_IDS: Final = 50  # run ids in one filter


def is_remote(source: Any) -> bool:
    """Tell whether a source is a client that has no store here."""
    if getattr(getattr(source, "backend", None), "is_in_place", False):
        return True
    calls = ("search_runs", "get_run", "get_metric_history")
    return not isinstance(getattr(source, "store", None), Store) and all(hasattr(source, call) for call in calls)


@attrs.define(eq=False)
class RemoteRuns:
    """Runs of a client, in a store; `read` has the metrics whose points are there already."""

    client: Any
    store: Store
    read: set[str] = attrs.field(factory=set)

    @classmethod
    def of_ids(cls, client: Any, run_ids: Sequence[str]) -> RemoteRuns:
        """Return runs by their ids."""
        found = cls(client, Store())
        with ThreadPoolExecutor(_WORKERS) as pool:
            found.put(list(pool.map(client.get_run, dict.fromkeys(run_ids))))
        return found

    @classmethod
    def found(
        cls,
        client: Any,
        filter_string: str,
        experiment_ids: Sequence[str] | None,
        order_by: Sequence[str] | None,
        most: int | None,
    ) -> RemoteRuns:
        """Return the runs that the service finds, in its dialect; one more than `most` shows that there are more."""
        if experiment_ids is None:
            search = partial(client.search_experiments, view_type=ViewType.ACTIVE_ONLY)
            experiment_ids = [experiment.experiment_id for experiment in all_pages(search, _PAGE)]
        found = cls(client, Store())
        search = partial(client.search_runs, list(experiment_ids), filter_string, order_by=list(order_by or ()))
        found.put(list(all_pages(search, _PAGE, None if most is None else most + 1)))
        return found

    @property
    def run_ids(self) -> tuple[str, ...]:
        """Return the ids of the runs, in the order of the service."""
        return tuple(self.store.runs.ids)

    def put(self, runs: Sequence[Any]) -> None:
        """Add runs, and their experiments."""
        for experiment_id in dict.fromkeys(run.info.experiment_id for run in runs):
            put_experiment(self.store, self.client.get_experiment(experiment_id))
        for run in runs:
            put_run(self.store, run, with_metrics=has_points(run))
            for key in () if has_points(run) else run.data.metrics:
                self.store.load_history(run.info.run_id, key, *self._points(run.info.run_id, key))

    def load_points(self, key: str) -> None:
        """Make all points of a metric be in the store."""
        if key in self.read:
            return
        runs = self.store.runs
        having = [run_id for row, run_id in enumerate(runs.ids) if key in runs.metric_keys[row]]
        for run_id, points in self._points_of(having, key):
            self.store.load_history(run_id, key, *points)
        self.read.add(key)

    def _points_of(self, run_ids: Sequence[str], key: str) -> Iterator[tuple[str, tuple[Any, Any, Any]]]:
        """Yield the points of runs: all at once where the client has a source that reads histories."""
        read = getattr(getattr(self.client, "source", None), "histories", None)
        if read is not None:
            yield from ((run_id, points) for (run_id, _), points in read(run_ids, [key]).items())
            return
        with ThreadPoolExecutor(_WORKERS) as pool:
            yield from zip(run_ids, pool.map(self._points, run_ids, repeat(key)), strict=True)

    def _points(self, run_id: str, key: str) -> tuple[Any, Any, Any]:
        points = self.client.get_metric_history(run_id, key)
        values = np.array([clean_value(point.value) for point in points], np.float64)
        timestamps = np.array([point.timestamp for point in points], np.int64)
        return values, timestamps, np.array([point.step or 0 for point in points], np.int64)

    def versions(self) -> list[ModelVersion]:
        """Return the registered versions of the runs, after reading logged models; none where a service has none."""
        if not self.store.models.by_id:
            for model in self._logged_models():
                put_logged_model(self.store, model)
        return [_version(found) for found in self._versions()]

    def _logged_models(self) -> Iterator[Any]:
        if hasattr(self.client, "search_logged_models"):
            for experiment_id in self.store.experiments.ids:
                yield from _none_without_endpoint(partial(self.client.search_logged_models, [experiment_id]))

    def _versions(self) -> Iterator[Any]:
        for start in range(0, len(self.run_ids), _IDS):
            ids = ", ".join(f"'{run_id}'" for run_id in self.run_ids[start : start + _IDS])
            yield from _none_without_endpoint(partial(self.client.search_model_versions, f"run_id IN ({ids})"))


def _none_without_endpoint(search: Any) -> list[Any]:
    """Return all pages of a search, nothing if the service has no such endpoint (Azure, MLflow 2)."""
    try:
        return list(all_pages(search, _PAGE))
    except Exception as error:
        is_missing = getattr(error, "error_code", "") in ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "NOT_FOUND")
        if is_missing or isinstance(error, NotAskableError):
            return []
        raise


def _version(found: Any) -> ModelVersion:
    names = [field.name for field in attrs.fields(ModelVersion)]
    given = {name: getattr(found, name) for name in names if hasattr(found, name)}
    about = {"version": int(found.version), "tags": dict(found.tags or {}), "aliases": tuple(found.aliases or ())}
    return ModelVersion(**given | about)
