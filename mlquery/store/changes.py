"""The mutations of a store as values: each says what changes, was validated before, and is applied as it is.

The fields of a change are what the journal of a store on disk keeps of it, as JSON: `docs/format.md` describes them.
Changes of old journals were validated under the limits of their time; that others hold by now does not matter. Files
are not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from mlquery.entities import Experiment, LifecycleStage, Metric
from mlquery.store.entity_fields import dataset_input_of
from mlquery.store.model_table import StoredModel
from mlquery.store.registered_models import (
    DeleteRegisteredModel,
    PutModelVersion,
    PutRegisteredModel,
    RenameRegisteredModel,
)
from mlquery.store.run_table import RUN_NAME
from mlquery.store.state import Change, StoreState
from mlquery.store.validation import clean_value

# Experiments


class PutExperiment(NamedTuple):
    """A new experiment, or all of what a known one is now; see `experiment_fields`."""

    fields: Mapping[str, Any]

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        new, table = Experiment(**self.fields), store.experiments
        row = table.row_of.get(new.experiment_id)
        if row is None:
            _add_experiment(store, new)
            return
        table.rename(row, new.name)
        table.put_string("lifecycle_stage", row, new.lifecycle_stage)
        for key in table.tags_at(row).keys() - new.tags.keys():
            table.drop_tag(row, key)
        table.put_tags(row, new.tags.items())
        if new.last_update_time is not None:
            table.put_time("last_update_time", row, new.last_update_time)


def _add_experiment(store: StoreState, new: Experiment) -> None:
    experiment_id, table = new.experiment_id, store.experiments
    is_default = new.name == Experiment.DEFAULT_EXPERIMENT_NAME and store.default_experiment_id not in table.row_of
    table.add(new)
    store.runs.roots[experiment_id] = new.artifact_location
    if is_default or experiment_id == "0":
        store.default_experiment_id = experiment_id
    store.count_experiment(experiment_id)


class SetExperimentStage(NamedTuple):
    """The lifecycle stage of an experiment and of its runs."""

    experiment_id: str
    stage: str
    time: int

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        row = store.experiments.row_of[self.experiment_id]
        store.experiments.put_string("lifecycle_stage", row, self.stage)
        store.experiments.put_time("last_update_time", row, self.time)
        for run_row in store.runs.rows_of(self.experiment_id):
            store.runs.put_string("lifecycle_stage", run_row, self.stage)


# Runs


class AddRun(NamedTuple):
    """A new run with its params, tags, inputs and latest points; what is as in any new run may be left out."""

    fields: Mapping[str, Any]

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        fields, runs = self.fields, store.runs
        run_id, experiment_id = fields["run_id"], fields["experiment_id"]
        if run_id in runs.row_of:
            raise ValueError(run_id)
        row = runs.add(
            run_id,
            {
                "experiment_id": experiment_id,
                "status": fields["status"],
                "lifecycle_stage": fields.get("lifecycle_stage", LifecycleStage.ACTIVE),
                "user_id": fields["user_id"],
                "run_name": fields["run_name"],
            },
            {"start_time": fields["start_time"], "end_time": fields.get("end_time")},
        )
        if "artifact_uri" in fields:
            runs.own_artifact_uris[row] = fields["artifact_uri"]
        if "metrics" in fields:
            runs.add_points(row, fields["metrics"])
        if "params" in fields:
            runs.put_params(row, fields["params"].items())
        if "tags" in fields:
            runs.put_tags(row, fields["tags"].items())
        if "inputs" in fields:
            runs.add_inputs(row, map(dataset_input_of, fields["inputs"]))


class SetRunInfo(NamedTuple):
    """Status, end time and name of a run, each None if it stays."""

    run_id: str
    status: str | None
    end_time: int | None
    run_name: str | None

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        runs = store.runs
        row = runs.row_of[self.run_id]
        if self.status is not None:
            runs.put_string("status", row, self.status)
        if self.end_time is not None:
            runs.put_time("end_time", row, self.end_time)
        if self.run_name is not None:
            runs.rename(row, self.run_name)


class SetRunStage(NamedTuple):
    """The lifecycle stage of a run."""

    run_id: str
    stage: str

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        store.runs.put_string("lifecycle_stage", store.runs.row_of[self.run_id], self.stage)


class SetArtifactUri(NamedTuple):
    """Where the artifacts of a run are."""

    run_id: str
    uri: str | None

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        store.runs.move_artifacts(store.runs.row_of[self.run_id], self.uri)


class LogInputs(NamedTuple):
    """Datasets that a run reads, each as `dataset_input_fields` gives it."""

    run_id: str
    inputs: Sequence[Mapping[str, Any]]

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        store.runs.add_inputs(store.runs.row_of[self.run_id], map(dataset_input_of, self.inputs))


# Data of runs


class LogMetric(NamedTuple):
    """One point of a metric."""

    run_id: str
    key: str
    value: float
    timestamp: int
    step: int

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        run_id, key, value, timestamp, step = self
        value = value + 0.0 if -inf < value < inf else clean_value(value)
        store.runs.add_point(store.runs.row_of[run_id], key, value, timestamp, step)


class LogParam(NamedTuple):
    """A param of a run."""

    run_id: str
    key: str
    value: str

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        run_id, key, value = self
        store.runs.put_param(store.runs.row_of[run_id], key, value)


class SetTag(NamedTuple):
    """A tag of a run; `mlflow.runName` renames it, unless it is empty."""

    run_id: str
    key: str
    value: str

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        run_id, key, value = self
        runs = store.runs
        row = runs.row_of[run_id]
        if key != RUN_NAME:
            runs.put_tag(row, key, value)
        elif value:
            runs.rename(row, value)


class DeleteTag(NamedTuple):
    """The key of a tag that a run loses."""

    run_id: str
    key: str

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        store.runs.drop_tag(store.runs.row_of[self.run_id], self.key)


class LogBatch(NamedTuple):
    """Points (key, value, timestamp, step) of any metrics, params and tags of a run."""

    run_id: str
    points: Sequence[Sequence[Any]]
    params: Mapping[str, str]
    tags: Mapping[str, str]

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        runs = store.runs
        row = runs.row_of[self.run_id]
        runs.add_points(row, [(key, clean_value(value), *when) for key, value, *when in self.points])
        runs.put_params(row, self.params.items())
        runs.put_tags(row, [(key, value) for key, value in self.tags.items() if key != RUN_NAME])
        if self.tags.get(RUN_NAME):
            runs.rename(row, self.tags[RUN_NAME])


class LogPoints(NamedTuple):
    """Many points of one metric: values, timestamps and steps, each (points,), as arrays or lists."""

    run_id: str
    key: str
    values: npt.ArrayLike
    timestamps: npt.ArrayLike
    steps: npt.ArrayLike

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        store.runs.load_points(store.runs.row_of[self.run_id], self.key, *self._arrays())

    def slices(self, size: int = 50_000) -> Iterator[LogPoints]:
        """Yield changes of at most so many points each that come to the same, with lists, as an entry keeps them."""
        columns = self._arrays()
        for start in range(0, len(columns[0]), size):
            yield LogPoints(self.run_id, self.key, *(column[start : start + size].tolist() for column in columns))

    def _arrays(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        values, timestamps, steps = self.values, self.timestamps, self.steps
        return np.asarray(values, np.float64), np.asarray(timestamps, np.int64), np.asarray(steps, np.int64)


# Logged models


class PutModel(NamedTuple):
    """A logged model as it is now; see `model_fields`."""

    fields: Mapping[str, Any]

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        model = StoredModel(**self.fields)
        store.models.by_id[model.model_id] = model


class LogModelPoints(NamedTuple):
    """Points of a logged model, each as `model_point_fields` gives it."""

    model_id: str
    points: Sequence[Sequence[Any]]

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        model_id, points = self.model_id, store.models.points.setdefault(self.model_id, {})
        for key, value, timestamp, step, dataset_name, dataset_digest, run_id in self.points:
            about = (model_id, dataset_name, dataset_digest, run_id)
            points[key, timestamp, step, run_id] = Metric(key, clean_value(value), timestamp, step, *about)


class LogOutputs(NamedTuple):
    """The models that a run wrote, with the step of each."""

    run_id: str
    steps: Mapping[str, int]

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        outputs = store.models.outputs
        outputs[self.run_id] = {**outputs.get(self.run_id, {}), **self.steps}


class LogModelInputs(NamedTuple):
    """The models that a run read."""

    run_id: str
    model_ids: Sequence[str]

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        inputs = store.models.inputs
        inputs[self.run_id] = {**inputs.get(self.run_id, {}), **dict.fromkeys(self.model_ids)}


# Other servers


class SetPushed(NamedTuple):
    """What a target has of something here: under which id, and a digest of it, empty if not all of it is there."""

    target: str
    kind: str
    own_id: str
    id_there: str
    digest: str

    def apply(self, store: StoreState) -> None:
        """Make the change."""
        target, kind, own_id, *there = self
        store.pushed.setdefault(target, {}).setdefault(kind, {})[own_id] = (there[0], there[1])


CHANGES: Final[dict[str, type[Change]]] = {
    "experiment": PutExperiment,
    "experiment_stage": SetExperimentStage,
    "run": AddRun,
    "info": SetRunInfo,
    "stage": SetRunStage,
    "metric": LogMetric,
    "param": LogParam,
    "tag": SetTag,
    "untag": DeleteTag,
    "batch": LogBatch,
    "points": LogPoints,
    "inputs": LogInputs,
    "model": PutModel,
    "model_points": LogModelPoints,
    "outputs": LogOutputs,
    "model_inputs": LogModelInputs,
    "artifact_uri": SetArtifactUri,
    "pushed": SetPushed,
    "registered_model": PutRegisteredModel,
    "model_version": PutModelVersion,
    "rename_registered_model": RenameRegisteredModel,
    "delete_registered_model": DeleteRegisteredModel,
}
"""The changes by the names they have in a journal: `CHANGES[name](*content).apply(store)` raises KeyError, TypeError or
ValueError for content that has another form or is about something that is not there."""

NAMES: Final = {change: name for name, change in CHANGES.items()}

SINCE_FORMAT: Final[Mapping[type[Change], int]] = dict.fromkeys(
    (PutRegisteredModel, PutModelVersion, RenameRegisteredModel, DeleteRegisteredModel), 2
)
"""The formats of journals since which they have some of the changes; the others have been in all."""
