"""The calls that log data of a run: metrics, params, tags, batches of them, and reading a metric's history.

**Source** of order, error codes and wording: `SqlAlchemyStore` of MLflow 3.17 on SQLite. Unlike there, a batch that
fails leaves nothing behind, whatever it fails on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Final

from mlquery.entities import Metric, PagedList, Param, RunTag
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.store.changes import DeleteTag, LogBatch, LogMetric, LogParam, SetTag
from mlquery.store.fast_entities import make_point
from mlquery.store.history import Arrays
from mlquery.store.history_pages import next_token, offset_of
from mlquery.store.limits import MLFLOW_LIMITS, Limits
from mlquery.store.logged_models import LoggedModels
from mlquery.store.run_table import RUN_NAME
from mlquery.store.runs import Runs
from mlquery.store.times import is_given
from mlquery.store.validation import (
    Point,
    check_batch,
    check_metric,
    check_param,
    check_param_count,
    check_run_id,
    check_tag,
    check_tag_count,
)

_new: Final = tuple.__new__  # makes a `NamedTuple` without the call of a Python function


class Logging(Runs, LoggedModels):
    """Calls that log data of an active run, metrics also for the models they name.

    Those on a deleted or missing run are refused. A model that does not exist, or that has another value for the same
    metric, timestamp, step and run, is refused with BAD_REQUEST.
    """

    def log_metric(
        self, run_id: str, metric: Metric, *, limits: Limits = MLFLOW_LIMITS, now: int | None = None
    ) -> None:
        """Log one point of a metric; its timestamp is in ms UTC. A point that is there already is dropped.

        A timestamp that is `now`, what the clock said to the caller, was given by nobody: the point is a new one, and
        follows those before.
        """
        key, value, timestamp, step = check_metric(metric, limits)
        with self.writing:
            row = self._active_run_row(run_id)
            if timestamp == now and not is_given(self.clock):
                timestamp = self.runs.next_time(row, key, timestamp, step)
            point = _new(LogMetric, (run_id, key, value, timestamp, step))
            if metric.model_id is None:
                self._write(point)
                return
            about_models = self._new_model_points(run_id, [metric], [point[1:]])
            self._write(point)
            self._log_model_points(about_models)

    def log_param(self, run_id: str, param: Param, *, limits: Limits = MLFLOW_LIMITS) -> None:
        """Log a param; raise INVALID_PARAMETER_VALUE if it has another value already."""
        key, value = check_param(param, limits)
        with self.writing:
            row = self._active_run_row(run_id)
            old = self.runs.param(row, key)
            if old == value:
                return
            if old is not None:
                raise invalid_parameter(
                    f"Changing param values is not allowed. Param with key='{key}' was already logged with "
                    f"value='{old}' for run ID='{run_id}'. Attempted logging new value '{value}'."
                )
            check_param_count(len(self.runs.param_keys[row]) + 1, limits)
            self._write(_new(LogParam, (run_id, key, value)))

    def set_tag(self, run_id: str, tag: RunTag, *, limits: Limits = MLFLOW_LIMITS) -> None:
        """Set a tag; `mlflow.runName` renames the run, unless it is empty."""
        key, value = check_tag(tag, limits)
        with self.writing:
            row = self._active_run_row(run_id)
            check_tag_count((key,), self.runs.tag_keys[row], limits)
            if value or key != RUN_NAME:
                self._write(_new(SetTag, (run_id, key, value)))

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag, the name tag too (the run keeps its name); raise RESOURCE_DOES_NOT_EXIST if there is none."""
        with self.writing:
            if key not in self.runs.tag_keys[self._active_run_row(run_id)]:
                raise StoreError(f"No tag with name: {key} in run with id {run_id}", RESOURCE_DOES_NOT_EXIST)
            self._write(DeleteTag(run_id, key))

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric],
        params: Sequence[Param],
        tags: Sequence[RunTag],
        *,
        limits: Limits = MLFLOW_LIMITS,
        now: int | None = None,
    ) -> None:
        """Log metrics, params and tags together, or nothing if any of them is refused.

        Timestamps that are `now`, what the clock said to the caller, were given by nobody: the points of a metric move
        together, to the first time at which they follow those before.
        """
        check_run_id(run_id, limits)
        points, checked_params, checked_tags = check_batch(metrics, params, tags, limits)
        with self.writing:
            row = self._active_run_row(run_id)
            new_params = self._new_params(row, run_id, checked_params, limits)
            if now is not None and not is_given(self.clock):
                points = self._timed(row, points, now)
            about_models = self._new_model_points(run_id, metrics, points)
            check_tag_count([key for key, _ in checked_tags], self.runs.tag_keys[row], limits)
            new_tags = {key: value for key, value in checked_tags if value or key != RUN_NAME}
            self._write(LogBatch(run_id, points, new_params, new_tags))
            self._log_model_points(about_models)

    def get_metric_history(
        self, run_id: str, metric_key: str, max_results: int | None = None, page_token: str | None = None
    ) -> PagedList[Metric]:
        """Return the logged points of a metric by timestamp, step and value; none for an unknown run or key."""
        offset = offset_of(page_token)
        with self.lock:
            values, timestamps, steps = self.runs.points(run_id, metric_key)
            stop = len(values) if max_results is None else min(len(values), offset + max(0, max_results))
            part = slice(offset, stop)
            columns = values[part].tolist(), timestamps[part].tolist(), steps[part].tolist()
        points = map(make_point, repeat(metric_key), *columns)
        return PagedList(points, next_token(stop) if stop < len(values) else None)

    def history(self, run_id: str, key: str) -> Arrays:
        """Return values, timestamps (ms UTC) and steps of a metric, each (points,), as snapshots that do not change.

        The order is that of `get_metric_history`; the arrays are empty for an unknown run or key.
        """
        with self.lock:
            values, timestamps, steps = self.runs.history(run_id, key)
        return values.view(), timestamps.view(), steps.view()

    def _timed(self, row: int, points: list[Point], now: int) -> list[Point]:
        """Return the points of a batch with the times that those get which nobody timed."""
        first_step: dict[str, int] = {}
        for key, _, timestamp, step in points:
            if timestamp == now and step <= first_step.get(key, step):
                first_step[key] = step
        times = {key: self.runs.next_time(row, key, now, step) for key, step in first_step.items()}
        if all(time == now for time in times.values()):
            return points
        return [
            (key, value, times[key] if timestamp == now else timestamp, step) for key, value, timestamp, step in points
        ]

    def _new_params(self, row: int, run_id: str, params: Sequence[tuple[str, str]], limits: Limits) -> dict[str, str]:
        """Return the params that the run does not have; raise if it has one with another value."""
        new, changed = {}, []
        for key, value in params:
            old = self.runs.param(row, key)
            if old is None:
                new[key] = value
            elif old != value:
                changed.append({"key": key, "old_value": old, "new_value": value})
        if changed:
            raise invalid_parameter(
                f"Changing param values is not allowed. Params were already logged='{changed}' for run ID='{run_id}'."
            )
        if new:
            check_param_count(len(self.runs.param_keys[row]) + len(new), limits)
        return new
