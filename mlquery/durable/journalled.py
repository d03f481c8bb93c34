"""The store's calls with a line in the journal for each: what changed, after it changed in memory.

Each call runs inside `self.call`, one transaction, in which the store is first brought up to date with what others
wrote. How and where lines are kept is not known here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlquery.durable.replay import Replayed, dataset_input_fields, experiment_fields, model_fields
from mlquery.entities import DatasetInput, ExperimentTag, LifecycleStage, Metric, Param, Run, RunInfo, RunTag
from mlquery.entities.logged_models import LoggedModel
from mlquery.store.limits import MLFLOW_LIMITS, Limits
from mlquery.store.logged_models import KeyValue

_POINTS: Final = 50_000  # of one entry


class Journalled(Replayed):
    """A store that writes down what its calls change. Arguments, answers and errors are those of `Store`."""

    call: AbstractContextManager[None]

    @abstractmethod
    def note(self, change: str, *content: Any) -> None:
        """Add a line to the journal; it is kept together with the other lines of the call."""

    # Experiments

    def create_experiment(
        self,
        name: str,
        artifact_location: str | None = None,
        tags: Sequence[ExperimentTag] | None = None,
        *,
        limits: Limits = MLFLOW_LIMITS,
    ) -> str:
        """Create an experiment and return its id."""
        with self.call:
            experiment_id = super().create_experiment(name, artifact_location, tags, limits=limits)
            self._note_experiment(experiment_id)
            return experiment_id

    def rename_experiment(self, experiment_id: str, new_name: str, *, limits: Limits = MLFLOW_LIMITS) -> None:
        """Rename an active experiment."""
        with self.call:
            super().rename_experiment(experiment_id, new_name, limits=limits)
            self._note_experiment(experiment_id)

    def delete_experiment(self, experiment_id: str) -> None:
        """Delete (archive) an active experiment and all its runs."""
        with self.call:
            super().delete_experiment(experiment_id)
            self._note_experiment_stage(experiment_id)

    def restore_experiment(self, experiment_id: str) -> None:
        """Restore a deleted experiment and all its runs."""
        with self.call:
            super().restore_experiment(experiment_id)
            self._note_experiment_stage(experiment_id)

    def set_experiment_tag(self, experiment_id: str, tag: ExperimentTag, *, limits: Limits = MLFLOW_LIMITS) -> None:
        """Set a tag of an active experiment."""
        with self.call:
            super().set_experiment_tag(experiment_id, tag, limits=limits)
            self._note_experiment(experiment_id)

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Delete a tag of an active experiment."""
        with self.call:
            super().delete_experiment_tag(experiment_id, key)
            self._note_experiment(experiment_id)

    def load_experiment(self, experiment_id: str, name: str, **fields: Any) -> None:
        """Add an experiment as it was."""
        with self.call:
            super().load_experiment(experiment_id, name, **fields)
            self._note_experiment(experiment_id)

    # Runs

    def create_run(
        self,
        experiment_id: str,
        user_id: str,
        start_time: int,
        tags: Sequence[RunTag] | None,
        run_name: str | None,
        *,
        limits: Limits = MLFLOW_LIMITS,
    ) -> Run:
        """Create a running run and return it."""
        with self.call:
            run = super().create_run(experiment_id, user_id, start_time, tags, run_name, limits=limits)
            self.note("run", self._run_fields(run.info) | {"tags": run.data.tags})
            return run

    def update_run_info(
        self,
        run_id: str,
        run_status: int | None,
        end_time: int | None,
        run_name: str | None,
        *,
        limits: Limits = MLFLOW_LIMITS,
    ) -> RunInfo:
        """Set status, end time (ms UTC) and name of an active run, each if given; return what is known of it now."""
        with self.call:
            info = super().update_run_info(run_id, run_status, end_time, run_name, limits=limits)
            status = None if run_status is None else info.status
            self.note("info", run_id, status, None if end_time is None else info.end_time, run_name or None)
            return info

    def delete_run(self, run_id: str) -> None:
        """Mark a run as deleted."""
        with self.call:
            super().delete_run(run_id)
            self.note("stage", run_id, LifecycleStage.DELETED)

    def restore_run(self, run_id: str) -> None:
        """Make a run active again."""
        with self.call:
            super().restore_run(run_id)
            self.note("stage", run_id, LifecycleStage.ACTIVE)

    def log_inputs(
        self, run_id: str, datasets: list[DatasetInput] | None = None, *, limits: Limits = MLFLOW_LIMITS
    ) -> None:
        """Record the datasets that an active run reads."""
        with self.call:
            super().log_inputs(run_id, datasets, limits=limits)
            self._note_inputs(run_id, datasets or ())

    def load_run(self, run_id: str, experiment_id: str, **fields: Any) -> None:
        """Add a run as it was."""
        with self.call:
            super().load_run(run_id, experiment_id, **fields)
            noted = self._run_fields(self.runs.info_at(self._row(run_id)))
            noted |= {name: dict(fields[name]) for name in ("params", "tags") if fields.get(name)}
            noted["metrics"] = [[key, *latest] for key, latest in (fields.get("metrics") or {}).items()]
            noted["inputs"] = [dataset_input_fields(found) for found in fields.get("inputs", ())]
            self.note("run", noted)

    def load_history(
        self, run_id: str, key: str, values: npt.ArrayLike, timestamps: npt.ArrayLike, steps: npt.ArrayLike
    ) -> None:
        """Add the points of a metric, arrays of shape (points,) in any order, to what is there."""
        with self.call:
            super().load_history(run_id, key, values, timestamps, steps)
            columns = (np.asarray(values, np.float64), np.asarray(timestamps, np.int64), np.asarray(steps, np.int64))
            for start in range(0, len(columns[0]), _POINTS):
                self.note("points", run_id, key, *(column[start : start + _POINTS].tolist() for column in columns))

    def load_inputs(self, run_id: str, inputs: Sequence[DatasetInput]) -> None:
        """Add dataset inputs to a run."""
        with self.call:
            super().load_inputs(run_id, inputs)
            self._note_inputs(run_id, inputs)

    # Data of runs

    def log_metric(self, run_id: str, metric: Metric, *, limits: Limits = MLFLOW_LIMITS) -> None:
        """Log one point of a metric, also for the model it names."""
        with self.call:
            super().log_metric(run_id, metric, limits=limits)
            self.note("metric", run_id, *_point(metric))
            if metric.model_id is not None:
                self._note_model_points(run_id, [metric])

    def log_param(self, run_id: str, param: Param, *, limits: Limits = MLFLOW_LIMITS) -> None:
        """Log a param."""
        with self.call:
            version = self.version
            super().log_param(run_id, param, limits=limits)
            if self.version != version:
                self.note("param", run_id, param.key, self.runs.param(self._row(run_id), param.key))

    def set_tag(self, run_id: str, tag: RunTag, *, limits: Limits = MLFLOW_LIMITS) -> None:
        """Set a tag; `mlflow.runName` renames the run, unless it is empty."""
        with self.call:
            super().set_tag(run_id, tag, limits=limits)
            for key, value in self._tags(run_id, [tag]).items():
                self.note("tag", run_id, key, value)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag."""
        with self.call:
            super().delete_tag(run_id, key)
            self.note("untag", run_id, key)

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric],
        params: Sequence[Param],
        tags: Sequence[RunTag],
        *,
        limits: Limits = MLFLOW_LIMITS,
    ) -> None:
        """Log metrics, params and tags together, or nothing if one is refused."""
        with self.call:
            super().log_batch(run_id, metrics, params, tags, limits=limits)
            row = self._row(run_id)
            kept = {param.key: self.runs.param(row, param.key) for param in params}
            self.note("batch", run_id, list(map(_point, metrics)), kept, self._tags(run_id, tags))
            about_models = [metric for metric in metrics if metric.model_id is not None]
            if about_models:
                self._note_model_points(run_id, about_models)

    # Logged models

    def create_logged_model(
        self,
        experiment_id: str,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: Sequence[KeyValue] | None = None,
        params: Sequence[KeyValue] | None = None,
        model_type: str | None = None,
    ) -> LoggedModel:
        """Create a pending model and return it."""
        with self.call:
            model = super().create_logged_model(experiment_id, name, source_run_id, tags, params, model_type)
            self.note("model", model_fields(model))
            return model

    def finalize_logged_model(self, model_id: str, status: int) -> LoggedModel:
        """Set the status of a model and return the model."""
        with self.call:
            model = super().finalize_logged_model(model_id, status)
            self.note("model", model_fields(model))
            return model

    def delete_logged_model(self, model_id: str) -> None:
        """Mark a model as deleted."""
        with self.call:
            super().delete_logged_model(model_id)
            self._note_model(model_id)

    def log_logged_model_params(self, model_id: str, params: Sequence[KeyValue]) -> None:
        """Add params to a model."""
        with self.call:
            super().log_logged_model_params(model_id, params)
            self._note_model(model_id)

    def set_logged_model_tags(self, model_id: str, tags: Sequence[KeyValue]) -> None:
        """Set tags of a model."""
        with self.call:
            super().set_logged_model_tags(model_id, tags)
            self._note_model(model_id)

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """Delete a tag of a model."""
        with self.call:
            super().delete_logged_model_tag(model_id, key)
            self._note_model(model_id)

    def log_outputs(self, run_id: str, steps: Sequence[tuple[str, int]]) -> None:
        """Record that a run wrote models, given as ids and steps."""
        with self.call:
            super().log_outputs(run_id, steps)
            self.note("outputs", run_id, dict(steps))

    def log_model_inputs(self, run_id: str, model_ids: Iterable[str]) -> None:
        """Record that a run read models."""
        with self.call:
            read = list(model_ids)
            super().log_model_inputs(run_id, read)
            self.note("model_inputs", run_id, read)

    # Lines

    def _note_experiment(self, experiment_id: str) -> None:
        row = self._experiment_row(experiment_id)
        self.note("experiment", experiment_fields(self.experiments.experiment_at(row)))

    def _note_experiment_stage(self, experiment_id: str) -> None:
        found = self.experiments.experiment_at(self._experiment_row(experiment_id))
        self.note("experiment_stage", found.experiment_id, found.lifecycle_stage, found.last_update_time)

    def _note_inputs(self, run_id: str, inputs: Iterable[DatasetInput]) -> None:
        noted = [dataset_input_fields(found) for found in inputs]
        if noted:
            self.note("inputs", run_id, noted)

    def _note_model(self, model_id: str) -> None:
        self.note("model", model_fields(self.models.by_id[model_id]))

    def _note_model_points(self, run_id: str, metrics: Sequence[Metric]) -> None:
        for metric in metrics:
            key = (metric.key, int(metric.timestamp), int(metric.step), run_id)
            point = self.models.points[str(metric.model_id)][key]
            about = [point.dataset_name, point.dataset_digest, run_id]
            self.note("model_points", metric.model_id, [[point.key, point.value, point.timestamp, point.step, *about]])

    def _run_fields(self, info: RunInfo) -> dict[str, Any]:
        fields = {name: value for name, value in info if value is not None or name in _NEEDED}
        if info.artifact_uri == self.default_artifact_uri(info.experiment_id, info.run_id):
            fields.pop("artifact_uri", None)
        else:
            fields["artifact_uri"] = info.artifact_uri
        return fields

    def _tags(self, run_id: str, tags: Iterable[RunTag]) -> Mapping[str, str]:
        """Return the tags of these keys as they are kept: cut, and without a name tag that was not heeded."""
        row, cells = self._row(run_id), self.runs.tags.cells
        found = {tag.key: cells[tag.key].text(row) for tag in tags if tag.key in cells}
        return {key: value for key, value in found.items() if value is not None}


_NEEDED: Final = frozenset(("run_id", "experiment_id", "user_id", "status", "start_time", "run_name"))


def _point(metric: Metric) -> list[Any]:
    return [metric.key, float(metric.value), int(metric.timestamp), int(metric.step)]
