"""Turns the experiments, runs, points, logged and registered models of a source into the contents of a store.

Checks what any format may have wrong and a store relies on: ids and names are unique, stages and statuses exist, and so
do the experiments of runs and models. Files and tables are not known here.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.entities import DatasetInput, Experiment, LifecycleStage, RunInfo, RunStatus
from mlquery.readers.errors import SourceError
from mlquery.store import Store
from mlquery.store.changes import LogModelInputs, LogModelPoints, LogOutputs, PutModel
from mlquery.store.entity_fields import experiment_fields, model_fields, model_point_fields, run_fields
from mlquery.store.model_table import STATUSES, ModelTable
from mlquery.store.registered_models import Entry, registry_changes

Array = npt.NDArray[Any]
Latest = tuple[float, int, int]
"""Value, timestamp in ms UTC, step."""


@attrs.frozen(eq=False)
class LoadedRun:
    """A run; `metrics` has the latest points that the source marks as such."""

    info: RunInfo
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, Latest]
    inputs: tuple[DatasetInput, ...] = ()


@attrs.frozen(eq=False)
class Points:
    """All logged points as columns (points,), in the order of logging.

    `runs` has positions in the runs of the source and `keys` positions in `key_names`. `values` is float64, NaN
    included; `timestamps` and `steps` are int64.
    """

    key_names: list[str]
    runs: Array
    keys: Array
    values: Array
    timestamps: Array
    steps: Array

    def groups(self) -> Iterator[tuple[int, str, Array, Latest]]:
        """Yield run, key, the positions of its points (n,), and the point that was logged last."""
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
    """Everything that was read from the source `name`."""

    name: str
    experiments: list[Experiment]
    runs: list[LoadedRun]
    points: Points
    models: ModelTable
    registered: Sequence[Entry] = ()

    def into_store(self, store: Store) -> Store:
        """Put the contents into a new store, and return it.

        Raises:
            SourceError: they are inconsistent.
        """
        self._check()
        orders = [tuple(run.metrics) for run in self.runs]
        histories = list(self._histories())
        for experiment in self.experiments:
            store.load_experiment(**experiment_fields(experiment))
        for run in self.runs:
            fields = run_fields(_info(run))
            store.load_run(**fields, metrics=run.metrics, params=run.params, tags=run.tags, inputs=run.inputs)
        points = self.points
        for run_id, key, at in histories:
            store.load_history(run_id, key, points.values[at], points.timestamps[at], points.steps[at])
        for run, keys in zip(self.runs, orders, strict=True):
            store.order_metrics(run.info.run_id, keys)
        put_models(store, self.models)
        for change in registry_changes(self.registered):
            store.write(change)
        return store

    def into_new_store(self) -> Store:
        """Return a store in memory with the contents, without points other than the latest, and nothing else.

        Raises:
            SourceError: they are inconsistent.
        """
        self._check()
        store = Store()
        store.clear()
        for experiment in self.experiments:
            store.load_experiment(**experiment_fields(experiment))
        data = ([getattr(run, part) for run in self.runs] for part in ("params", "tags", "metrics", "inputs"))
        store.load_runs(list(map(_info, self.runs)), *data)
        put_models(store, self.models)
        return store

    def _histories(self) -> Iterator[tuple[str, str, Array]]:
        """Yield run id, key and positions of the histories to load; the only point of a metric goes to its run instead.

        The latest point of a history is left out of `metrics` if the store determines the same one: merging a point
        into a history takes longer than loading the history alone.
        """
        for number, key, at, last in self.points.groups():
            run = self.runs[number]
            if len(at) == 1 and run.metrics.setdefault(key, last) == last:
                continue
            if run.metrics.get(key) == last:
                del run.metrics[key]
            yield run.info.run_id, key, at

    def _check(self) -> None:
        for what, field in (("id", "experiment_id"), ("name", "name")):
            if len({getattr(experiment, field) for experiment in self.experiments}) < len(self.experiments):
                raise SourceError(self.name, f"is damaged: two experiments have the same {what}")
        for experiment in self.experiments:
            if not LifecycleStage.is_valid(stage := experiment.lifecycle_stage):
                raise self._dangling("experiment", experiment.experiment_id, "lifecycle stage", stage)
        infos = (run.info for run in self.runs)
        runs = ((info.run_id, info.experiment_id, info.status, info.lifecycle_stage) for info in infos)
        self._check_owned("run", runs, set(map(RunStatus.to_string, RunStatus.all_status())))
        found = self.models.by_id.values()
        models = ((model.model_id, model.experiment_id, str(model.status), model.lifecycle_stage) for model in found)
        self._check_owned("logged model", models, set(map(str, STATUSES)))

    def _check_owned(self, kind: str, entities: Iterable[tuple[str, str, str, str]], statuses: Container[str]) -> None:
        """Check the runs or models of experiments, each given as id, experiment, status and lifecycle stage."""
        experiments = {experiment.experiment_id for experiment in self.experiments}
        seen: set[str] = set()
        for entity_id, experiment_id, status, stage in entities:
            if entity_id in seen:
                raise SourceError(self.name, f"is damaged: two {kind}s have the id {entity_id!r}")
            if experiment_id not in experiments:
                raise self._dangling(kind, entity_id, "experiment", experiment_id)
            if status not in statuses:
                raise self._dangling(kind, entity_id, "status", status)
            if not LifecycleStage.is_valid(stage):
                raise self._dangling(kind, entity_id, "lifecycle stage", stage)
            seen.add(entity_id)

    def _dangling(self, kind: str, entity_id: str, field: str, value: str) -> SourceError:
        return SourceError(
            self.name, f"is damaged: {kind} {entity_id!r} has the {field} {value!r}, which does not exist"
        )


def _info(run: LoadedRun) -> RunInfo:
    """Return what is known of a run; runs of MLflow 1 have their name only in a tag."""
    name = run.info.run_name or run.tags.get("mlflow.runName")
    return attrs.evolve(run.info, run_name=name) if name and not run.info.run_name else run.info


def put_models(store: Store, models: ModelTable) -> None:
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
