"""The calls that log data of a run: metrics, params, tags, batches of them, and reading a metric's history.

**Source** of order, error codes and wording: `SqlAlchemyStore` of MLflow 3.17 on SQLite. Unlike there, a batch that
fails leaves nothing behind, whatever it fails on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

from mlquery.entities import Metric, PagedList, Param, RunTag
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.store.fast_entities import make_point
from mlquery.store.history import Arrays
from mlquery.store.history_pages import next_token, offset_of
from mlquery.store.limits import MLFLOW_LIMITS, Limits
from mlquery.store.run_table import RUN_NAME
from mlquery.store.runs import RunCalls
from mlquery.store.validation import check_batch, check_metric, check_param, check_run_id, check_tag, over_service_limit


class LogCalls(RunCalls):
    """Calls that log data of an active run. Those on a deleted or missing run are refused."""

    def log_metric(self, run_id: str, metric: Metric, *, limits: Limits = MLFLOW_LIMITS) -> None:
        """Log one point of a metric; its timestamp is in ms UTC. A point that is there already is dropped."""
        point = check_metric(metric, limits)
        with self.lock:
            self.runs.add_points(self._active_run_row(run_id), [point])
            self.version += 1

    def log_param(self, run_id: str, param: Param, *, limits: Limits = MLFLOW_LIMITS) -> None:
        """Log a param; raise INVALID_PARAMETER_VALUE if it has another value already."""
        key, value = check_param(param, limits)
        with self.lock:
            row = self._active_run_row(run_id)
            old = self.runs.param(row, key)
            if old == value:
                return
            if old is not None:
                raise invalid_parameter(
                    f"Changing param values is not allowed. Param with key='{key}' was already logged with "
                    f"value='{old}' for run ID='{run_id}'. Attempted logging new value '{value}'."
                )
            self._check_param_count(row, 1, limits)
            self.runs.put_params(row, [(key, value)])
            self.version += 1

    def set_tag(self, run_id: str, tag: RunTag, *, limits: Limits = MLFLOW_LIMITS) -> None:
        """Set a tag; `mlflow.runName` renames the run, unless it is empty."""
        checked = check_tag(tag, limits)
        with self.lock:
            row = self._active_run_row(run_id)
            self._check_tag_count(row, [checked], limits)
            self._put_tags(row, [checked])
            self.version += 1

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag, the name tag too (the run keeps its name); raise RESOURCE_DOES_NOT_EXIST if there is none."""
        with self.lock:
            if not self.runs.drop_tag(self._active_run_row(run_id), key):
                raise StoreError(f"No tag with name: {key} in run with id {run_id}", RESOURCE_DOES_NOT_EXIST)
            self.version += 1

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric],
        params: Sequence[Param],
        tags: Sequence[RunTag],
        *,
        limits: Limits = MLFLOW_LIMITS,
    ) -> None:
        """Log metrics, params and tags together, or nothing if any of them is refused."""
        check_run_id(run_id)
        points, new_params, new_tags = check_batch(metrics, params, tags, limits)
        with self.lock:
            row = self._active_run_row(run_id)
            new_params = self._check_params(row, run_id, new_params, limits)
            self._check_tag_count(row, new_tags, limits)
            self.runs.put_params(row, new_params)
            self.runs.add_points(row, points)
            self._put_tags(row, new_tags)
            self.version += 1

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

    def _put_tags(self, row: int, tags: Sequence[tuple[str, str]]) -> None:
        self.runs.put_tags(row, [(key, value) for key, value in tags if key != RUN_NAME])
        for key, value in tags:
            if key == RUN_NAME and value:
                self._rename(row, value)

    def _check_params(
        self, row: int, run_id: str, params: list[tuple[str, str]], limits: Limits
    ) -> list[tuple[str, str]]:
        """Return the params that the run does not have; raise if it has one with another value."""
        new, changed = [], []
        for key, value in params:
            old = self.runs.param(row, key)
            if old is None:
                new.append((key, value))
            elif old != value:
                changed.append({"key": key, "old_value": old, "new_value": value})
        if changed:
            raise invalid_parameter(
                f"Changing param values is not allowed. Params were already logged='{changed}' for run ID='{run_id}'."
            )
        self._check_param_count(row, len(new), limits)
        return new

    def _check_tag_count(self, row: int, tags: Sequence[tuple[str, str]], limits: Limits) -> None:
        if limits.tags_per_run is not None:
            size = len({*self.runs.tag_keys[row], *(key for key, _ in tags)})
            if size > limits.tags_per_run:
                raise over_service_limit("Tags", limits.tags_per_run, size)

    def _check_param_count(self, row: int, added: int, limits: Limits) -> None:
        if limits.params_per_run is not None and added:
            size = len(self.runs.param_keys[row]) + added
            if size > limits.params_per_run:
                raise over_service_limit("Parameters", limits.params_per_run, size)
