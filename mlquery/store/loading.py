"""The bulk path for loaders: whole experiments, runs and histories, trusted as they come from another store.

Values are neither checked nor cut here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from mlquery.entities import DatasetInput, Experiment, LifecycleStage, RunInfo
from mlquery.errors import RESOURCE_ALREADY_EXISTS, StoreError
from mlquery.store.changes import AddRun, LogPoints, PutExperiment
from mlquery.store.entity_fields import dataset_input_fields, experiment_fields
from mlquery.store.experiment_table import ExperimentTable
from mlquery.store.experiments import Experiments
from mlquery.store.runs import Runs
from mlquery.store.validation import check_input_tags


class Loading(Experiments, Runs):
    """Calls of loaders. All times are ms UTC."""

    def load_experiment(
        self,
        experiment_id: str,
        name: str,
        *,
        artifact_location: str = "",
        lifecycle_stage: str = LifecycleStage.ACTIVE,
        tags: Mapping[str, str] | None = None,
        creation_time: int | None = None,
        last_update_time: int | None = None,
    ) -> None:
        """Add an experiment as it was. The first one loaded into a new store takes the place of its default experiment.

        Raises: RESOURCE_ALREADY_EXISTS for an id or a name that another experiment has.
        """
        with self.writing:
            self._make_way(experiment_id, name)
            times = creation_time, last_update_time
            new = Experiment(experiment_id, name, artifact_location, lifecycle_stage, dict(tags or {}), *times)
            self._write(PutExperiment(experiment_fields(new)))

    def load_run(
        self,
        run_id: str,
        experiment_id: str,
        *,
        user_id: str | None = "",
        status: str = "RUNNING",
        start_time: int | None = None,
        end_time: int | None = None,
        lifecycle_stage: str = LifecycleStage.ACTIVE,
        artifact_uri: str | None = None,
        run_name: str | None = None,
        metrics: Mapping[str, tuple[float, int, int]] | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        inputs: Sequence[DatasetInput] = (),
    ) -> None:
        """Add a run as it was; `metrics` holds the latest (value, timestamp, step) of each key.

        Raises: RESOURCE_ALREADY_EXISTS for an id that another run has.
        """
        with self.writing:
            if run_id in self.runs.row_of:
                raise StoreError(f"Run with id={run_id} already exists", RESOURCE_ALREADY_EXISTS)
            check_input_tags(inputs, ())
            fields: dict[str, Any] = {
                "run_id": run_id,
                "experiment_id": experiment_id,
                "user_id": user_id,  # None in some databases
                "status": status,
                "start_time": start_time,
                "end_time": end_time,
                "lifecycle_stage": lifecycle_stage,
                "run_name": run_name,
                "metrics": [(key, *latest) for key, latest in (metrics or {}).items()],
                "params": dict(params or {}),
                "tags": dict(tags or {}),
            }
            if inputs:
                fields["inputs"] = list(map(dataset_input_fields, inputs))
            if artifact_uri != self.runs.default_artifact_uri(experiment_id, run_id):
                fields["artifact_uri"] = artifact_uri
            self.runs.forget_order()  # many runs follow
            self._write(AddRun(fields))

    def load_runs(
        self,
        infos: Sequence[RunInfo],
        params: Sequence[Mapping[str, str]],
        tags: Sequence[Mapping[str, str]],
        metrics: Sequence[Mapping[str, tuple[float, int, int]]],
        inputs: Sequence[Sequence[DatasetInput]],
    ) -> None:
        """Add runs as they were to a store in memory that has none, in a fifth of the time of as many `load_run`.

        The sequences have an item for each run; `metrics` holds the latest (value, timestamp, step) of each key.

        Raises: RESOURCE_ALREADY_EXISTS for an id that two runs have.
        """
        with self.writing:
            assert self.on_change is None  # nobody is told of these runs
            if len({info.run_id for info in infos}) < len(infos) or self.runs.size:
                raise StoreError("Runs with these ids already exist", RESOURCE_ALREADY_EXISTS)
            self.runs.load(infos, params, tags, metrics, inputs)
            self.version += 1

    def load_history(
        self,
        run_id: str,
        key: str,
        values: npt.ArrayLike,
        timestamps: npt.ArrayLike,
        steps: npt.ArrayLike,
    ) -> None:
        """Add the points of a metric, arrays of shape (points,) in any order, to what is there.

        If the run has the metric already (from `load_run`), its latest point stays the latest.
        """
        with self.writing:
            self._run_row(run_id)
            self._write(LogPoints(run_id, key, values, timestamps, steps))

    def order_metrics(self, run_id: str, keys: Sequence[str]) -> None:
        """Put metrics of a run in the order of `keys`, which it has all, and others after them; values stay."""
        with self.writing:
            row = self._run_row(run_id)
            others = (key for key in self.runs.metric_keys[row] if key not in keys)
            self.runs.metric_keys[row] = self.runs.shape((*keys, *others))

    def load_inputs(self, run_id: str, inputs: Sequence[DatasetInput]) -> None:
        """Add dataset inputs to a run."""
        with self.writing:
            self._log_inputs(run_id, self._run_row(run_id), inputs)

    def _make_way(self, experiment_id: str, name: str) -> None:
        """Take out the default experiment that a new store comes with: a loaded store has its own or has none."""
        if self._is_untouched:
            self.experiments, self.runs.roots, self.default_experiment_id = ExperimentTable(), {}, "0"
            self._next_experiment_number, self._is_untouched = 0, False
        if experiment_id in self.experiments.row_of or name in self.experiments.row_of_name:
            raise StoreError(f"Experiment(name={name}) already exists.", RESOURCE_ALREADY_EXISTS)
