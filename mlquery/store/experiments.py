"""The calls about experiments: create, read, rename, delete (archive), restore, tag.

**Source** of order, error codes and wording: `SqlAlchemyStore` of MLflow 3.17 on SQLite.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlquery.entities import Experiment, ExperimentTag, LifecycleStage
from mlquery.errors import (
    BAD_REQUEST,
    INVALID_STATE,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
    StoreError,
)
from mlquery.store.limits import MLFLOW_LIMITS, Limits
from mlquery.store.locations import experiment_location
from mlquery.store.state import State
from mlquery.store.validation import check_artifact_location, check_experiment_name, check_experiment_tag


class ExperimentCalls(State):
    """Calls about experiments. An id may be given as text or number; None and "" mean the default experiment."""

    def create_experiment(
        self,
        name: str,
        artifact_location: str | None = None,
        tags: Sequence[ExperimentTag] | None = None,
        *,
        limits: Limits = MLFLOW_LIMITS,
    ) -> str:
        """Create an experiment and return its id.

        Raises: INVALID_PARAMETER_VALUE for a bad name, location or tag, RESOURCE_ALREADY_EXISTS for a name that any
            experiment has, a deleted one too.
        """
        check_experiment_name(name, limits)
        if artifact_location:
            check_artifact_location(artifact_location, limits)
        checked = [check_experiment_tag(tag, limits) for tag in tags or ()]
        with self.lock:
            if name in self.experiments.row_of_name or len(dict(checked)) < len(checked):
                raise StoreError(f"Experiment(name={name}) already exists.", RESOURCE_ALREADY_EXISTS)
            return self._add_experiment(name, artifact_location, dict(checked))

    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment, a deleted one too; raise RESOURCE_DOES_NOT_EXIST if there is none."""
        with self.lock:
            return self.experiments.experiment_at(self._experiment_row(experiment_id))

    def get_experiment_by_name(self, experiment_name: str) -> Experiment | None:
        """Return the experiment of a name, a deleted one too, or None."""
        with self.lock:
            row = self.experiments.row_of_name.get(experiment_name)
            return None if row is None else self.experiments.experiment_at(row)

    def rename_experiment(self, experiment_id: str, new_name: str, *, limits: Limits = MLFLOW_LIMITS) -> None:
        """Rename an active experiment.

        Raises: INVALID_STATE if it is deleted, BAD_REQUEST if another experiment has the name.
        """
        check_experiment_name(new_name, limits)
        with self.lock:
            row = self._experiment_row(experiment_id)
            if not self.experiments.is_active(row):
                raise StoreError("Cannot rename a non-active experiment.", INVALID_STATE)
            if self.experiments.row_of_name.get(new_name, row) != row:
                raise StoreError(f"Experiment(name={new_name}) already exists.", BAD_REQUEST)
            self.experiments.rename(row, new_name)
            self._touch(row)

    def delete_experiment(self, experiment_id: str) -> None:
        """Delete (archive) an active experiment and all its runs."""
        with self.lock:
            self._move(self._experiment_row(experiment_id, is_active=True), LifecycleStage.DELETED)

    def restore_experiment(self, experiment_id: str) -> None:
        """Restore a deleted experiment and all its runs, those too that were deleted on their own."""
        with self.lock:
            self._move(self._experiment_row(experiment_id, is_active=False), LifecycleStage.ACTIVE)

    def set_experiment_tag(self, experiment_id: str, tag: ExperimentTag, *, limits: Limits = MLFLOW_LIMITS) -> None:
        """Set a tag of an active experiment; `last_update_time` stays."""
        key, value = check_experiment_tag(tag, limits)
        with self.lock:
            self.experiments.put_tags(self._active_experiment_row(experiment_id), [(key, value)])
            self.version += 1

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Delete a tag of an active experiment; raise RESOURCE_DOES_NOT_EXIST if it has none of that key."""
        with self.lock:
            row = self._active_experiment_row(experiment_id)
            if not self.experiments.drop_tag(row, key):
                message = f"No tag with name: {key} in experiment with id {experiment_id}"
                raise StoreError(message, RESOURCE_DOES_NOT_EXIST)
            self.version += 1

    def _add_experiment(self, name: str, artifact_location: str | None, tags: dict[str, str]) -> str:
        if self._guid_ids:
            experiment_id = self._names.new_id()
        else:
            experiment_id = str(self._next_experiment_number)
            self._next_experiment_number += 1
        location = artifact_location or experiment_location(self._artifact_root, experiment_id)
        time = self.clock()
        experiment = Experiment(experiment_id, name, location, LifecycleStage.ACTIVE, tags, time, time)
        self._put_experiment(experiment)
        return experiment_id

    def _put_experiment(self, experiment: Experiment) -> None:
        self.experiments.add(experiment)
        self._is_untouched = False
        self.runs.roots[experiment.experiment_id] = experiment.artifact_location
        self.version += 1

    def _move(self, row: int, stage: str) -> None:
        self.experiments.put_text("lifecycle_stage", row, stage)
        self._touch(row)
        for run_row in self._runs_of(self.experiments.ids[row]):
            self.runs.put_text("lifecycle_stage", run_row, stage)

    def _runs_of(self, experiment_id: str) -> list[int]:
        column = self.runs.texts["experiment_id"]
        rows: list[int] = (column.codes == column.code(experiment_id)).nonzero()[0].tolist()
        # No run has a code for an experiment without runs, and -1 would stand for runs without an experiment.
        return rows if column.code(experiment_id) >= 0 else []

    def _touch(self, row: int) -> None:
        self.experiments.put_time("last_update_time", row, self.clock())
        self.version += 1
