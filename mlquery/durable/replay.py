"""Makes the changes that a journal tells of: a store that takes over each entry as it is, without checking it again.

Every name of a change in the journal has a method here, and `docs/format.md` says what is in its entry. Entries were
checked when they were written, under the limits of their time; that others may hold by now does not matter. Files are
not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np

from mlquery.entities import Dataset, DatasetInput, Experiment, InputTag, LifecycleStage, Metric, RunInfo
from mlquery.entities.logged_models import LoggedModel, Models
from mlquery.store import Store
from mlquery.store.experiment_table import ExperimentTable
from mlquery.store.locations import experiment_location, run_location
from mlquery.store.run_table import RunTable
from mlquery.store.validation import clean_value

Points = Sequence[Sequence[Any]]
"""Points of any metrics: key, value, timestamp (ms UTC), step."""


class Replayed(Store):
    """A store that follows a journal.

    Attributes:
        pushed: What was sent to other servers: by target, by kind and by id, the id there and what was sent last.
    """

    pushed: dict[str, dict[str, dict[str, tuple[str, str]]]]
    is_many = False  # many changes follow: the order of runs is found after the last

    def forget_everything(self) -> None:
        """Become a store before its first entry."""
        self.experiments, self.runs, self.models = ExperimentTable(), RunTable(), Models()
        self.pushed = {}
        self._next_experiment_number, self._is_untouched = 0, False
        self.default_experiment_id = "0"
        self.version += 1

    def apply(self, call: str, content: Any) -> None:
        """Make one change.

        Raises:
            KeyError: there is no such change, or it is about something that is not there.
            TypeError, ValueError: the content has another form.
        """
        _CHANGES[call](self, *content)
        self.version += 1

    def _row(self, run_id: str) -> int:
        return self.runs.row_of[run_id]

    def _change_experiment(self, fields: dict[str, Any]) -> None:
        new = Experiment(**fields)
        row = self.experiments.row_of.get(new.experiment_id)
        if row is None:
            self._add_known_experiment(new)
            return
        table = self.experiments
        table.rename(row, new.name)
        table.put_text("lifecycle_stage", row, new.lifecycle_stage)
        for key in table.tags_at(row).keys() - new.tags.keys():
            table.drop_tag(row, key)
        table.put_tags(row, new.tags.items())
        if new.last_update_time is not None:
            table.put_time("last_update_time", row, new.last_update_time)

    def _add_known_experiment(self, new: Experiment) -> None:
        self._put_experiment(new)
        if new.name == Experiment.DEFAULT_EXPERIMENT_NAME:
            self.default_experiment_id = new.experiment_id
        if new.experiment_id.isdecimal():
            self._next_experiment_number = max(self._next_experiment_number, int(new.experiment_id) + 1)

    def _change_experiment_stage(self, experiment_id: str, stage: str, time: int) -> None:
        row = self.experiments.row_of[experiment_id]
        self.experiments.put_text("lifecycle_stage", row, stage)
        self.experiments.put_time("last_update_time", row, time)
        for run_row in self._runs_of(experiment_id):
            self.runs.put_text("lifecycle_stage", run_row, stage)

    def _change_run(self, fields: dict[str, Any]) -> None:
        run_id, experiment_id = fields["run_id"], fields["experiment_id"]
        if run_id in self.runs.row_of:
            raise ValueError(run_id)
        uri = fields.get("artifact_uri", ...)
        info = RunInfo(
            run_id,
            experiment_id,
            fields["user_id"],
            fields["status"],
            fields["start_time"],
            fields.get("end_time"),
            fields.get("lifecycle_stage", LifecycleStage.ACTIVE),
            self.default_artifact_uri(experiment_id, run_id) if uri is ... else uri,
            fields["run_name"],
        )
        row = self.runs.add(info, at_once=not self.is_many)
        self.runs.add_points(row, [(key, *latest) for key, *latest in fields.get("metrics", ())])
        self.runs.put_params(row, fields.get("params", {}).items())
        self.runs.put_tags(row, fields.get("tags", {}).items())
        self._add_inputs(row, [dataset_input_of(found) for found in fields.get("inputs", ())])

    def _change_info(self, run_id: str, status: str | None, end_time: int | None, run_name: str | None) -> None:
        row = self._row(run_id)
        if status is not None:
            self.runs.put_text("status", row, status)
        if end_time is not None:
            self.runs.put_time("end_time", row, end_time)
        if run_name is not None:
            self._rename(row, run_name)

    def _change_stage(self, run_id: str, stage: str) -> None:
        self.runs.put_text("lifecycle_stage", self._row(run_id), stage)

    def _change_metric(self, run_id: str, key: str, value: float, timestamp: int, step: int) -> None:
        self.runs.add_points(self._row(run_id), [(key, clean_value(value), timestamp, step)])

    def _change_param(self, run_id: str, key: str, value: str) -> None:
        self.runs.put_params(self._row(run_id), [(key, value)])

    def _change_tag(self, run_id: str, key: str, value: str) -> None:
        self._put_tags(self._row(run_id), [(key, value)])

    def _change_untag(self, run_id: str, key: str) -> None:
        self.runs.drop_tag(self._row(run_id), key)

    def _change_batch(self, run_id: str, points: Points, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        row = self._row(run_id)
        self.runs.add_points(row, [(key, clean_value(value), time, step) for key, value, time, step in points])
        self.runs.put_params(row, params.items())
        self._put_tags(row, list(tags.items()))

    def _change_points(
        self, run_id: str, key: str, values: list[float], timestamps: list[int], steps: list[int]
    ) -> None:
        columns = (np.array(values, np.float64), np.array(timestamps, np.int64), np.array(steps, np.int64))
        self.runs.load_points(self._row(run_id), key, *columns)

    def _change_inputs(self, run_id: str, inputs: list[dict[str, Any]]) -> None:
        self._add_inputs(self._row(run_id), [dataset_input_of(found) for found in inputs])

    def _change_model(self, fields: dict[str, Any]) -> None:
        self._put_model(LoggedModel(**fields))

    def _change_model_points(self, model_id: str, points: Sequence[Sequence[Any]]) -> None:
        kept = self.models.points.setdefault(model_id, {})
        for key, value, timestamp, step, dataset_name, dataset_digest, run_id in points:
            about = (model_id, dataset_name, dataset_digest, run_id)
            kept[key, timestamp, step, run_id] = Metric(key, clean_value(value), timestamp, step, *about)

    def _change_outputs(self, run_id: str, steps: dict[str, int]) -> None:
        self.models.outputs.setdefault(run_id, {}).update(steps)

    def _change_model_inputs(self, run_id: str, model_ids: list[str]) -> None:
        self.models.inputs.setdefault(run_id, {}).update(dict.fromkeys(model_ids))

    def _change_artifact_uri(self, run_id: str, uri: str | None) -> None:
        row = self._row(run_id)
        self.runs.own_artifact_uris[row] = uri
        self.runs._uris_made = 0  # the column of them is made anew

    def _change_pushed(self, target: str, kind: str, own_id: str, id_there: str, sent: str) -> None:
        self.pushed.setdefault(target, {}).setdefault(kind, {})[own_id] = (id_there, sent)

    def default_location(self, experiment_id: str) -> str:
        """Return where an experiment keeps its artifacts unless it says otherwise."""
        return experiment_location(self._artifact_root, experiment_id)

    def next_experiment_id(self) -> str:
        """Return an id that no experiment has."""
        return self._names.new_id() if self._guid_ids else str(self._next_experiment_number)

    def default_artifact_uri(self, experiment_id: str, run_id: str) -> str | None:
        """Return where a run keeps its artifacts unless it says otherwise."""
        root = self.runs.roots.get(experiment_id)
        return None if root is None else run_location(root, run_id)


_CHANGES: Final[dict[str, Callable[..., None]]] = {
    "experiment": Replayed._change_experiment,
    "experiment_stage": Replayed._change_experiment_stage,
    "run": Replayed._change_run,
    "info": Replayed._change_info,
    "stage": Replayed._change_stage,
    "metric": Replayed._change_metric,
    "param": Replayed._change_param,
    "tag": Replayed._change_tag,
    "untag": Replayed._change_untag,
    "batch": Replayed._change_batch,
    "points": Replayed._change_points,
    "inputs": Replayed._change_inputs,
    "model": Replayed._change_model,
    "model_points": Replayed._change_model_points,
    "outputs": Replayed._change_outputs,
    "model_inputs": Replayed._change_model_inputs,
    "artifact_uri": Replayed._change_artifact_uri,
    "pushed": Replayed._change_pushed,
}


def dataset_input_of(fields: Mapping[str, Any]) -> DatasetInput:
    """Return a dataset input from the fields that `dataset_input_fields` gives."""
    return DatasetInput(Dataset(*fields["dataset"]), [InputTag(key, value) for key, value in fields["tags"]])


def dataset_input_fields(found: DatasetInput) -> dict[str, Any]:
    """Return a dataset input as JSON can hold it."""
    dataset = found.dataset
    names = ("name", "digest", "source_type", "source", "schema", "profile")
    fields = [getattr(dataset, name) for name in names]
    return {"dataset": fields, "tags": [[tag.key, tag.value] for tag in found.tags]}


def experiment_fields(found: Experiment) -> dict[str, Any]:
    """Return an experiment as JSON can hold it."""
    names = ("experiment_id", "name", "artifact_location", "lifecycle_stage", "tags", "creation_time")
    return {name: getattr(found, name) for name in (*names, "last_update_time")}


def model_fields(found: LoggedModel) -> dict[str, Any]:
    """Return a logged model as JSON can hold it."""
    return attrs.asdict(found, recurse=False) | {"tags": dict(found.tags), "params": dict(found.params)}
