"""The tracking store's calls that read metric histories: in pages, of many runs at once, by step, and sampled.

**Source** of orders and samples: `SqlAlchemyStore` of MLflow 3.17 on SQLite.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import mlflow.entities as theirs
from mlflow.entities.metric import MetricWithRunId
from mlflow.store.entities.paged_list import PagedList

from mlquery.errors import invalid_parameter
from mlquery.mlflow_plugin import convert
from mlquery.mlflow_plugin.tracking_calls import Calls, served
from mlquery.mlflow_plugin.uris import State
from mlquery.query.histories import sampled

Point: TypeAlias = tuple[int, int, float, bool, float]
"""Step, timestamp, value with 0 for NaN, whether it is NaN, value: sorts as the samples are taken."""


class HistoryCalls(Calls):
    """Calls that read metric histories."""

    @served
    def get_metric_history(
        self,
        state: State,
        run_id: str,
        metric_key: str,
        max_results: int | None = None,
        page_token: str | None = None,
    ) -> PagedList[theirs.Metric]:
        """Return the points of a metric by timestamp, step and value, a page of them or all."""
        found = state.store.get_metric_history(run_id, metric_key, max_results, page_token)
        return PagedList(list(map(convert.metric, found)), found.token)

    @served
    def get_metric_history_bulk(
        self, state: State, run_ids: Iterable[str], metric_key: str, max_results: int | None
    ) -> list[MetricWithRunId]:
        """Return the points of a metric of many runs, by run id, timestamp, step and value."""
        found: list[MetricWithRunId] = []
        for run_id in sorted(set(run_ids)):
            room = None if max_results is None else max_results - len(found)
            points = state.store.get_metric_history(run_id, metric_key, room)
            found += [MetricWithRunId(convert.metric(point), run_id) for point in points]
        return found

    @served
    def get_max_step_for_metric(self, state: State, run_id: str, metric_key: str) -> int:
        """Return the largest step of a metric, 0 if there is none."""
        return max((point[0] for point in _points(state, run_id, metric_key)), default=0)

    @served
    def get_metric_history_bulk_interval_from_steps(
        self, state: State, run_id: str, metric_key: str, steps: Sequence[int], max_results: int
    ) -> list[MetricWithRunId]:
        """Return the points at some steps of a metric, by step, timestamp and value."""
        wanted = set(steps)
        points = [point for point in _points(state, run_id, metric_key) if point[0] in wanted]
        return _metrics(run_id, metric_key, points[:max_results])

    @served
    def get_metric_history_bulk_interval(
        self,
        state: State,
        run_ids: list[str],
        metric_key: str,
        max_results: int,
        start_step: int | None,
        end_step: int | None,
    ) -> list[MetricWithRunId]:
        """Return at most `max_results` points of each run, spread evenly, the first and the last among them.

        Raises:
            MlflowException: only one end of the range of steps is given.
        """
        if (start_step is None) != (end_step is None):
            raise invalid_parameter(
                "Both start_step and end_step must be specified together, or neither may be specified."
            )
        found: list[MetricWithRunId] = []
        for run_id in run_ids:
            points = _points(state, run_id, metric_key)
            if start_step is not None and end_step is not None:
                points = [point for point in points if start_step <= point[0] <= end_step]
            found += _metrics(run_id, metric_key, [points[i] for i in sampled(len(points), max(1, max_results))])
        return found


def _points(state: State, run_id: str, metric_key: str) -> list[Point]:
    with state.store.lock:
        values, timestamps, steps = state.store.history(run_id, metric_key)
    rows = zip(values.tolist(), timestamps.tolist(), steps.tolist(), strict=True)
    return sorted((step, time, value if value == value else 0.0, value != value, value) for value, time, step in rows)


def _metrics(run_id: str, key: str, points: list[Point]) -> list[MetricWithRunId]:
    return [
        MetricWithRunId(theirs.Metric(key, value, timestamp, step), run_id) for step, timestamp, _, _, value in points
    ]
