"""The service's calls that log what runs do and read it back: metrics, params, tags, inputs, outputs, histories.

**Source** of names and arguments: `mlflow.store.tracking.abstract_store.AbstractStore` of MLflow 3.17.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from mlquery.backend.coercion import own_dataset_input
from mlquery.backend.registered_models import ON_SQLITE
from mlquery.backend.service import Service, call
from mlquery.entities import Metric, PagedList, Param, RunTag
from mlquery.errors import invalid_parameter
from mlquery.query.histories import sampled
from mlquery.store.run_table import RUN_NAME
from mlquery.store.validation import check_dataset_inputs, check_run_id, check_tag

_HISTORY: Final = "mlflow.log-model.history"
_CONTEXT: Final = "mlflow.data.context"
TRACES_ARE_NOT_KEPT: Final = (
    f"traces are not kept: the code under test runs, and its traces are lost. {ON_SQLITE}; "
    "mlflow.tracing.disable() makes none"
)
_MOST_DATASETS: Final = 1000  # as in MLflow
DatasetSummary = tuple[str, str, str, str | None]
"""Experiment id, name, digest and context of a dataset."""


class Logging(Service):
    """Calls that log what runs do and read it back."""

    @call
    def log_metric(self, run_id: str, metric: Metric, now: int | None = None) -> None:
        """Log one point of a metric; if its time is `now`, what the clock said, nobody gave it, see the store."""
        self.store.log_metric(run_id, metric, limits=self.limits, now=now)

    @call
    def log_param(self, run_id: str, param: Param) -> None:
        """Log a param."""
        self.store.log_param(run_id, param, limits=self.limits)

    @call
    def set_tag(self, run_id: str, tag: RunTag) -> None:
        """Set a tag of a run; one that is None is taken away."""
        value: Any = tag.value  # MLflow's own entities may hold None
        if value is None:
            self._log(run_id, (), (), (tag,))
        else:
            self.store.set_tag(run_id, tag, limits=self.limits)

    @call
    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag of a run."""
        self.store.delete_tag(run_id, key)

    @call
    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        *,
        now: int | None = None,
    ) -> None:
        """Log metrics, params and tags together, or nothing if any of them is refused; a tag that is None goes away.

        `now` as in `log_metric`.
        """
        if any(tag.value is None for tag in tags or ()):
            self._log(run_id, metrics, params, tags, now)
        else:
            self.store.log_batch(run_id, metrics, params, tags, limits=self.limits, now=now)

    @call
    def log_inputs(self, run_id: str, datasets: Any = None, models: Iterable[Any] | None = None) -> None:
        """Record what a run reads: datasets and logged models (objects with a `model_id`)."""
        check_run_id(run_id, self.limits)
        if datasets is not None:
            check_dataset_inputs(datasets, self.limits)
        inputs = [own_dataset_input(dataset_input) for dataset_input in datasets or ()]
        model_ids = [model.model_id for model in models or ()]
        if model_ids:
            self.require_endpoint("logged_models", "/api/2.0/mlflow/runs/log-inputs")
        with self.store.lock:
            self.store.log_inputs(run_id, inputs, limits=self.limits)
            self.store.log_model_inputs(run_id, model_ids, limits=self.limits)

    @call
    def log_outputs(self, run_id: str, models: Iterable[Any]) -> None:
        """Record the logged models (objects with `model_id` and `step`) that a run writes."""
        self.require_endpoint("logged_models", "/api/2.0/mlflow/runs/outputs")
        self.store.log_outputs(run_id, [(model.model_id, model.step) for model in models])

    @call
    def record_logged_model(self, run_id: str, model: Mapping[str, Any]) -> None:
        """Add a model of MLflow 2 to the tag that lists the models of a run; the list is kept whole, however long."""
        with self.store.lock:
            listed = json.loads(self.store.get_run(run_id).data.tags.get(_HISTORY, "[]"))
            tag = RunTag(_HISTORY, json.dumps([*listed, model]))
            check_tag(tag, self.limits)
            self.store.set_tag(run_id, tag, limits=attrs.evolve(self.limits, tag_value=len(tag.value)))

    @call
    def search_datasets(self, experiment_ids: Iterable[str]) -> list[DatasetSummary]:
        """Return the datasets of experiments, each once for every context; MLflow's UI asks for them."""
        wanted, found = set(experiment_ids), dict[DatasetSummary, None]()
        with self.store.lock:
            for row, inputs in sorted(self.store.runs.inputs.items()):
                experiment_id = self.store.runs.string("experiment_id", row) or ""
                for one in inputs if experiment_id in wanted else ():
                    context = next((tag.value for tag in one.tags if tag.key == _CONTEXT), None)
                    found[experiment_id, one.dataset.name, one.dataset.digest, context] = None
        return list(found)[:_MOST_DATASETS]

    def _log(
        self,
        run_id: str,
        metrics: Sequence[Metric],
        params: Sequence[Param],
        tags: Sequence[RunTag],
        now: int | None = None,
    ) -> None:
        """Log a batch in which tags are None, which MLflow keeps where no filter finds them; they are not kept here."""
        final = {tag.key: tag for tag in tags}
        missing = [key for key, tag in final.items() if tag.value is None]
        for tag in tags:
            check_tag(RunTag(tag.key, "") if tag.value is None else tag, self.limits)
        kept = [tag for tag in tags if final[tag.key].value is not None and tag.value is not None]
        with self.store.lock:
            self.store.log_batch(run_id, metrics, params, kept, limits=self.limits, now=now)
            known = self.store.get_run(run_id).data.tags
            for key in missing:
                if key in known and key != RUN_NAME:  # a name is never taken away
                    self.store.delete_tag(run_id, key)

    def drop_trace(self) -> None:
        """Count a trace, which is not kept: code that traces runs all the same. It is no call: nothing comes of it."""
        self.require_endpoint("traces", "/api/3.0/mlflow/traces")
        self.dropped_traces += 1

    # Metric histories

    @call
    def get_metric_history(
        self, run_id: str, metric_key: str, max_results: int | None = None, page_token: str | None = None
    ) -> PagedList[Metric]:
        """Return the points of a metric by timestamp, step and value, a page of them or all."""
        return self.store.get_metric_history(run_id, metric_key, max_results, page_token)

    @call
    def get_metric_history_bulk(
        self, run_ids: Iterable[str], metric_key: str, max_results: int | None
    ) -> list[tuple[str, Metric]]:
        """Return the points of a metric of many runs with their runs, by run id, timestamp, step and value."""
        found: list[tuple[str, Metric]] = []
        for run_id in sorted(set(run_ids)):
            room = None if max_results is None else max(0, max_results - len(found))
            found += [(run_id, point) for point in self.store.get_metric_history(run_id, metric_key, room)]
        return found

    @call
    def get_max_step_for_metric(self, run_id: str, metric_key: str) -> int:
        """Return the largest step of a metric, 0 if it has no points."""
        _, _, steps = self.store.history(run_id, metric_key)
        return max(steps.tolist(), default=0)

    @call
    def get_metric_history_bulk_interval_from_steps(
        self, run_id: str, metric_key: str, steps: Iterable[int], max_results: int
    ) -> list[Metric]:
        """Return the points at some steps of a metric, by step, timestamp and value."""
        wanted = set(steps)
        return [point for point in self._points_by_step(run_id, metric_key) if point.step in wanted][:max_results]

    @call
    def get_metric_history_bulk_interval(
        self, run_ids: Iterable[str], metric_key: str, max_results: int, start_step: int | None, end_step: int | None
    ) -> list[tuple[str, Metric]]:
        """Return at most `max_results` points of each run, spread evenly by step, the first and the last among them.

        Raises:
            StoreError: only one end of the range of steps is given.
        """
        if (start_step is None) != (end_step is None):
            raise invalid_parameter(
                "Both start_step and end_step must be specified together, or neither may be specified."
            )
        found: list[tuple[str, Metric]] = []
        for run_id in run_ids:
            points = self._points_by_step(run_id, metric_key)
            if start_step is not None and end_step is not None:
                points = [point for point in points if start_step <= point.step <= end_step]
            found += [(run_id, points[place]) for place in sampled(len(points), max(1, max_results))]
        return found

    def _points_by_step(self, run_id: str, key: str) -> list[Metric]:
        """Return the points of a metric by step, timestamp and value, NaN counting as 0 and following it.

        **Source**: `SqlAlchemyStore.get_metric_history_bulk_interval_from_steps` of MLflow 3.17 on SQLite.
        """
        columns = (column.tolist() for column in self.store.history(run_id, key))
        points = [Metric(key, value, timestamp, step) for value, timestamp, step in zip(*columns, strict=True)]
        return sorted(points, key=_rank)


def _rank(point: Metric) -> tuple[int, int, float, bool]:
    is_nan = point.value != point.value
    return point.step, point.timestamp, 0.0 if is_nan else point.value, is_nan
