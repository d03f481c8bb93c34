"""The bulk path for loaders: whole experiments, runs and histories, trusted as they come from another store.

Values are neither checked nor cut here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mlquery.entities import DatasetInput, Experiment, LifecycleStage, RunInfo
from mlquery.errors import RESOURCE_ALREADY_EXISTS, StoreError
from mlquery.store.experiment_table import ExperimentTable
from mlquery.store.experiments import ExperimentCalls
from mlquery.store.runs import RunCalls


class LoadCalls(ExperimentCalls, RunCalls):
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
        with self.lock:
            self._make_way(experiment_id, name)
            self._put_experiment(
                Experiment(
                    experiment_id,
                    name,
                    artifact_location,
                    lifecycle_stage,
                    dict(tags or {}),
                    creation_time,
                    last_update_time,
                )
            )
            if experiment_id.isdecimal():
                self._next_experiment_number = max(self._next_experiment_number, int(experiment_id) + 1)

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
        with self.lock:
            runs = self.runs
            if run_id in runs.row_of:
                raise StoreError(f"Run with id={run_id} already exists", RESOURCE_ALREADY_EXISTS)
            info = RunInfo(
                run_id,
                experiment_id,
                user_id,  # type: ignore[arg-type]  # a database may hold none
                status,
                start_time,  # type: ignore[arg-type]
                end_time,
                lifecycle_stage,
                artifact_uri,
                run_name,
            )
            row = runs.add(info, at_once=False)
            runs.add_points(row, [(key, *latest) for key, latest in (metrics or {}).items()])
            runs.put_params(row, (params or {}).items())
            runs.put_tags(row, (tags or {}).items())
            self._add_inputs(row, inputs)
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
        with self.lock:
            points = (np.asarray(values, np.float64), np.asarray(timestamps, np.int64), np.asarray(steps, np.int64))
            self.runs.load_points(self._run_row(run_id), key, *points)
            self.version += 1

    def load_inputs(self, run_id: str, inputs: Sequence[DatasetInput]) -> None:
        """Add dataset inputs to a run."""
        with self.lock:
            self._add_inputs(self._run_row(run_id), inputs)
            self.version += 1

    def _make_way(self, experiment_id: str, name: str) -> None:
        """Take out the default experiment that a new store comes with: a loaded store has its own or has none."""
        if self._is_untouched:
            self.experiments, self.runs.roots = ExperimentTable(), {}
            self._next_experiment_number, self._is_untouched = 0, False
        if experiment_id in self.experiments.row_of or name in self.experiments.row_of_name:
            raise StoreError(f"Experiment(name={name}) already exists.", RESOURCE_ALREADY_EXISTS)
        if name == Experiment.DEFAULT_EXPERIMENT_NAME:
            self.default_experiment_id = experiment_id
