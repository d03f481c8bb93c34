"""The calls about experiments: create, read, rename, delete (archive), restore, tag.

**Source** of order, error codes and wording: `SqlAlchemyStore` of MLflow 3.17 on SQLite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlquery.entities import Experiment, ExperimentTag, LifecycleStage
from mlquery.errors import (
    BAD_REQUEST,
    INVALID_STATE,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
    StoreError,
)
from mlquery.store.changes import PutExperiment, SetExperimentStage
from mlquery.store.entity_fields import experiment_fields
from mlquery.store.limits import MLFLOW_LIMITS, Limits
from mlquery.store.locations import resolved
from mlquery.store.state import StoreState
from mlquery.store.validation import check_artifact_location, check_experiment_name, check_experiment_tag


class Experiments(StoreState):
    """Calls about experiments. An id may be given as string or number; None and "" mean the default experiment."""

    def create_experiment(
        self,
        name: str,
        artifact_location: str | None = None,
        tags: Sequence[ExperimentTag] | None = None,
        *,
        limits: Limits = MLFLOW_LIMITS,
        resolves_location: bool = True,
    ) -> str:
        """Create an experiment and return its id.

        A relative location is resolved against the working directory, unless the store stands for a service elsewhere.

        Raises: INVALID_PARAMETER_VALUE for a bad name, location or tag, RESOURCE_ALREADY_EXISTS for a name that any
            experiment has, a deleted one too.
        """
        check_experiment_name(name, limits)
        if artifact_location:
            artifact_location = resolved(artifact_location) if resolves_location else artifact_location
            check_artifact_location(artifact_location, limits)
        checked = [check_experiment_tag(tag, limits) for tag in tags or ()]
        with self.writing:
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
        with self.writing:
            row = self._experiment_row(experiment_id)
            if not self.experiments.is_active(row):
                raise StoreError("Cannot rename a non-active experiment.", INVALID_STATE)
            if self.experiments.row_of_name.get(new_name, row) != row:
                raise StoreError(f"Experiment(name={new_name}) already exists.", BAD_REQUEST)
            self._change_experiment(row, name=new_name, last_update_time=self._experiment_time())

    def delete_experiment(self, experiment_id: str) -> None:
        """Delete (archive) an active experiment and all its runs."""
        with self.writing:
            self._move(self._experiment_row(experiment_id, is_active=True), LifecycleStage.DELETED)

    def restore_experiment(self, experiment_id: str) -> None:
        """Restore a deleted experiment and all its runs, those too that were deleted on their own."""
        with self.writing:
            self._move(self._experiment_row(experiment_id, is_active=False), LifecycleStage.ACTIVE)

    def set_experiment_tag(self, experiment_id: str, tag: ExperimentTag, *, limits: Limits = MLFLOW_LIMITS) -> None:
        """Set a tag of an active experiment; `last_update_time` stays."""
        key, value = check_experiment_tag(tag, limits)
        with self.writing:
            row = self._active_experiment_row(experiment_id)
            self._change_experiment(row, tags=self.experiments.tags_at(row) | {key: value})

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Delete a tag of an active experiment; raise RESOURCE_DOES_NOT_EXIST if it has none of that key."""
        with self.writing:
            row = self._active_experiment_row(experiment_id)
            tags = self.experiments.tags_at(row)
            if key not in tags:
                message = f"No tag with name: {key} in experiment with id {experiment_id}"
                raise StoreError(message, RESOURCE_DOES_NOT_EXIST)
            del tags[key]
            self._change_experiment(row, tags=tags)

    def _add_experiment(self, name: str, artifact_location: str | None, tags: dict[str, str]) -> str:
        experiment_id, time = self.next_experiment_id(), self._experiment_time()
        location = artifact_location or self.default_location(experiment_id)
        experiment = Experiment(experiment_id, name, location, LifecycleStage.ACTIVE, tags, time, time)
        self._write(PutExperiment(experiment_fields(experiment)))
        return experiment_id

    def _change_experiment(self, row: int, **new: Any) -> None:
        self._write(PutExperiment(experiment_fields(self.experiments.experiment_at(row)) | new))

    def _move(self, row: int, stage: str) -> None:
        self._write(SetExperimentStage(self.experiments.ids[row], stage, self._experiment_time()))

    def _experiment_time(self) -> int:
        return self.experiment_times.next(self.clock)
