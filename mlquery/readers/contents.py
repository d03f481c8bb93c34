"""What a source holds, whatever its format: experiments, runs, points and logged models; and their way into a store.

Here is checked what both formats can get wrong and a store would not survive: an id or a name that occurs twice, a
stage or status that does not exist, a run or a model of an experiment that is not there. Files and tables are not
known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.entities import DatasetInput, Experiment, LifecycleStage, RunInfo, RunStatus
from mlquery.entities.logged_models import STATUSES, Models
from mlquery.readers.errors import SourceError
from mlquery.store import Store
from mlquery.store.changes import LogModelInputs, LogModelPoints, LogOutputs, PutModel
from mlquery.store.entity_fields import model_fields, model_point_fields

Array = npt.NDArray[Any]
Latest = tuple[float, int, int]
"""Value, timestamp in ms UTC, step."""


@attrs.frozen(eq=False)
class LoadedRun:
    """A run; `metrics` holds the latest points as far as the source says which those are."""

    info: RunInfo
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, Latest]
    inputs: tuple[DatasetInput, ...] = ()


@attrs.frozen(eq=False)
class Points:
    """All logged points, by column in the order of logging: `runs` and `keys` (points,) say whose they are.

    `runs` counts into the runs of the source and `keys` into `key_names`; `values` (points,) float64, NaN included;
    `timestamps` and `steps` (points,) int64.
    """

    key_names: list[str]
    runs: Array
    keys: Array
    values: Array
    timestamps: Array
    steps: Array

    def groups(self) -> Iterator[tuple[int, str, Array, Latest]]:
        """Yield run, key, the places of its points (points of it,) and the point that was logged last."""
        group = self.runs.astype(np.int64) * max(1, len(self.key_names)) + self.keys
        order = np.argsort(group, kind="stable")
        bounds = np.flatnonzero(np.diff(group[order], prepend=-1, append=-1))
        starts, stops = bounds[:-1], bounds[1:]
        lasts = order[stops - 1]
        columns = (self.runs, self.keys, self.values, self.timestamps, self.steps)
        cells = zip(*(column[lasts].tolist() for column in columns), strict=True)
        for start, stop, (run, key, *last) in zip(starts.tolist(), stops.tolist(), cells, strict=True):
            yield run, self.key_names[key], order[start:stop], (last[0], last[1], last[2])


@attrs.frozen(eq=False)
class Contents:
    """Everything that was read from the source called `name`."""

    name: str
    experiments: list[Experiment]
    runs: list[LoadedRun]
    points: Points
    models: Models

    def into_store(self, store: Store) -> Store:
        """Put the contents into a new store, and return it.

        Raises:
            SourceError: they contradict themselves.
        """
        self._check_experiments()
        self._check_runs()
        self._check_models()
        curves = list(self._curves())
        for experiment in self.experiments:
            fields = attrs.asdict(experiment, recurse=False, filter=attrs.filters.include(*_EXPERIMENT_FIELDS))
            store.load_experiment(**fields)
        for run in self.runs:
            _put_run(store, run)
        points = self.points
        for run_id, key, at in curves:
            store.load_history(run_id, key, points.values[at], points.timestamps[at], points.steps[at])
        _put_models(store, self.models)
        return store

    def _curves(self) -> Iterator[tuple[str, str, Array]]:
        """Yield what has more than one point; a metric's only point goes to its run instead.

        A run's latest point is left out of `metrics` if the store will find it to be the latest among all: it takes
        longer to put points together than to take them over.
        """
        for number, key, at, last in self.points.groups():
            run = self.runs[number]
            if len(at) == 1 and run.metrics.setdefault(key, last) == last:
                continue
            if run.metrics.get(key) == last:
                del run.metrics[key]
            yield run.info.run_id, key, at

    def _check_experiments(self) -> None:
        ids = [experiment.experiment_id for experiment in self.experiments]
        for what, values in (("id", ids), ("name", [experiment.name for experiment in self.experiments])):
            if len(set(values)) < len(values):
                raise SourceError(self.name, f"is damaged: two experiments have the same {what}")
        for experiment in self.experiments:
            if not LifecycleStage.is_valid(experiment.lifecycle_stage):
                raise self._wrong("experiment", experiment.experiment_id, "lifecycle stage", experiment.lifecycle_stage)

    def _check_runs(self) -> None:
        experiments = {experiment.experiment_id for experiment in self.experiments}
        statuses = set(map(RunStatus.to_string, RunStatus.all_status()))
        seen: set[str] = set()
        for run in self.runs:
            info = run.info
            if info.run_id in seen:
                raise SourceError(self.name, f"is damaged: two runs have the id {info.run_id!r}")
            if info.experiment_id not in experiments:
                raise self._wrong("run", info.run_id, "experiment", info.experiment_id)
            if info.status not in statuses:
                raise self._wrong("run", info.run_id, "status", info.status)
            if not LifecycleStage.is_valid(info.lifecycle_stage):
                raise self._wrong("run", info.run_id, "lifecycle stage", info.lifecycle_stage)
            seen.add(info.run_id)

    def _check_models(self) -> None:
        experiments = {experiment.experiment_id for experiment in self.experiments}
        for model in self.models.by_id.values():
            if model.experiment_id not in experiments:
                raise self._wrong("logged model", model.model_id, "experiment", model.experiment_id)
            if model.status not in STATUSES:
                raise self._wrong("logged model", model.model_id, "status", str(model.status))
            if not LifecycleStage.is_valid(model.lifecycle_stage):
                raise self._wrong("logged model", model.model_id, "lifecycle stage", model.lifecycle_stage)

    def _wrong(self, kind: str, entity_id: str, field: str, value: str) -> SourceError:
        return SourceError(
            self.name, f"is damaged: {kind} {entity_id!r} has the {field} {value!r}, which does not exist"
        )


_EXPERIMENT_FIELDS = (
    "experiment_id",
    "name",
    "artifact_location",
    "lifecycle_stage",
    "tags",
    "creation_time",
    "last_update_time",
)


def _put_run(store: Store, run: LoadedRun) -> None:
    info = run.info
    store.load_run(
        info.run_id,
        info.experiment_id,
        user_id=info.user_id,
        status=info.status,
        start_time=info.start_time,
        end_time=info.end_time,
        lifecycle_stage=info.lifecycle_stage,
        artifact_uri=info.artifact_uri,
        # Runs of MLflow 1 have their name in a tag only.
        run_name=info.run_name or run.tags.get("mlflow.runName") or info.run_name,
        metrics=run.metrics,
        params=run.params,
        tags=run.tags,
        inputs=run.inputs,
    )


def _put_models(store: Store, models: Models) -> None:
    """Add logged models and their points, and which runs of the store wrote and read which models."""
    for model in models.by_id.values():
        store.write(PutModel(model_fields(model)))
    for model_id, points in models.points.items():
        if model_id in models.by_id:
            store.write(LogModelPoints(model_id, list(map(model_point_fields, points.values()))))
    for run_id, steps in models.outputs.items():
        if run_id in store.runs.row_of:
            store.write(LogOutputs(run_id, steps))
    for run_id, model_ids in models.inputs.items():
        if run_id in store.runs.row_of:
            store.write(LogModelInputs(run_id, list(model_ids)))
