"""The calls about runs as such: create, read, update, delete, restore, and the datasets they read.

**Source** of order, error codes and wording: `SqlAlchemyStore` of MLflow 3.17 on SQLite.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlquery.entities import EMPTY, DatasetInput, LifecycleStage, Run, RunInfo, RunStatus, RunTag
from mlquery.errors import BAD_REQUEST, INTERNAL_ERROR, StoreError, invalid_parameter
from mlquery.store.changes import AddRun, LogInputs, SetRunInfo, SetRunStage
from mlquery.store.entity_fields import dataset_input_fields
from mlquery.store.fast_entities import make_data, make_info, make_run
from mlquery.store.limits import MLFLOW_LIMITS, Limits
from mlquery.store.locations import run_location
from mlquery.store.run_table import RUN_NAME
from mlquery.store.state import StoreState
from mlquery.store.times import is_given
from mlquery.store.validation import (
    check_dataset_inputs,
    check_input_tags,
    check_run_id,
    check_service_tags,
    check_string,
)


class Runs(StoreState):
    """Calls about runs as such."""

    def create_run(
        self,
        experiment_id: str,
        user_id: str,
        start_time: int,
        tags: Sequence[RunTag] | None,
        run_name: str | None,
        *,
        limits: Limits = MLFLOW_LIMITS,
        now: int | None = None,
    ) -> Run:
        """Create a running run and return it, without outputs as MLflow does.

        `start_time` is in ms UTC; if it is `now`, what the clock said to the caller, nobody gave it, and a run that was
        created later starts later. The name is by default that of the tag `mlflow.runName`, or else made up. Tags are
        neither checked nor cut, as in MLflow; only the limits of a service on them hold.

        Raises: INVALID_PARAMETER_VALUE if the experiment is deleted or name and tag differ, BAD_REQUEST for a tag
            that is given twice (an empty name tag counts), INTERNAL_ERROR without user or time,
            INVALID_PARAMETER_VALUE for tags beyond the limits of a service.
        """
        with self.writing:
            experiment_row = self._active_experiment_row(experiment_id)
            name, named_tags = self._named(tags or (), run_name)
            if user_id is None:
                raise StoreError("user_id cannot be None", INTERNAL_ERROR)
            if start_time is None:
                raise StoreError("start_time cannot be None", INTERNAL_ERROR)
            check_service_tags(named_tags, (), limits)
            if start_time == now:
                start_time = self.run_times.next(self.clock, now)
            run_id, experiment_id = self._names.new_id(self._guid_ids), self.experiments.ids[experiment_row]
            fields = {
                "run_id": run_id,
                "experiment_id": experiment_id,
                "user_id": user_id,
                "status": "RUNNING",
                "start_time": int(start_time),
                "run_name": name,
                "tags": named_tags,
            }
            self._write(AddRun(fields))
            uri, active = run_location(self.runs.roots[experiment_id], run_id), LifecycleStage.ACTIVE
            info = make_info(run_id, experiment_id, user_id, "RUNNING", int(start_time), None, active, uri, name)
            return make_run(info, make_data({}, {}, named_tags.copy()), EMPTY, None)

    def get_run(self, run_id: str) -> Run:
        """Return a run, a deleted one too; raise RESOURCE_DOES_NOT_EXIST if there is none."""
        with self.lock:
            return self.runs.run_at(self._run_row(run_id))

    def update_run_info(
        self,
        run_id: str,
        run_status: int | None,
        end_time: int | None,
        run_name: str | None,
        *,
        limits: Limits = MLFLOW_LIMITS,
        now: int | None = None,
    ) -> RunInfo:
        """Set status, end time (ms UTC) and name of an active run, each if given, and return what is known of it now.

        An end time that is `now`, what the clock said to the caller, was given by nobody: the run ends after its start.
        The name is the tag `mlflow.runName` too, and falls under the limits of a service on tags.

        Raises: INTERNAL_ERROR for a status that is no number of `RunStatus`.
        """
        with self.writing:
            row = self._active_run_row(run_id)
            status = None if run_status is None else _status_name(run_status)
            if run_name:
                check_string(run_name, "run_name")
                check_service_tags({RUN_NAME: run_name}, self.runs.tag_keys[row], limits)
            if end_time is not None and end_time == now and not is_given(self.clock):
                start = self.runs.times.cells["start_time"].time(row)
                end_time = now if start is None else self.run_times.after(start, now)
            self._write(SetRunInfo(run_id, status, None if end_time is None else int(end_time), run_name or None))
            return self.runs.info_at(row)

    def delete_run(self, run_id: str) -> None:
        """Mark a run as deleted; nothing happens to one that is."""
        self._mark(run_id, LifecycleStage.DELETED)

    def restore_run(self, run_id: str) -> None:
        """Make a run active again, even in a deleted experiment."""
        self._mark(run_id, LifecycleStage.ACTIVE)

    def log_inputs(
        self, run_id: str, datasets: list[DatasetInput] | None = None, *, limits: Limits = MLFLOW_LIMITS
    ) -> None:
        """Record the datasets that an active run reads.

        A dataset is known by name and digest: within an experiment the first description of it stays, within a run the
        tags of its first use.
        """
        check_run_id(run_id, limits)
        if datasets is not None:
            check_dataset_inputs(datasets, limits)
        with self.writing:
            self._log_inputs(run_id, self._active_run_row(run_id), datasets or ())

    def _log_inputs(self, run_id: str, row: int, inputs: Sequence[DatasetInput]) -> None:
        check_input_tags(inputs, self.runs.used_inputs(row))
        if inputs:
            self._write(LogInputs(run_id, list(map(dataset_input_fields, inputs))))
        else:
            self.version += 1  # as with every call that writes, though there is nothing to tell

    def _named(self, tags: Sequence[RunTag], run_name: str | None) -> tuple[str, dict[str, str]]:
        """Return the name of a new run and its tags, the name tag among them."""
        given = [(tag.key, check_string(tag.value, "value")) for tag in tags]
        unique = dict(given)
        tag_name = unique.get(RUN_NAME)
        if run_name and tag_name and run_name != tag_name:
            raise invalid_parameter(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with "
                f"different values (run_name='{run_name}', mlflow.runName='{tag_name}')."
            )
        name = run_name or tag_name or self._names.new_run_name()
        if not tag_name:
            given.append((RUN_NAME, name))
            unique[RUN_NAME] = check_string(name, "run_name")
        if len(unique) < len(given):
            raise StoreError("A tag of the run is given twice.", BAD_REQUEST)
        return name, unique

    def _mark(self, run_id: str, stage: str) -> None:
        with self.writing:
            self._run_row(run_id)
            self._write(SetRunStage(run_id, stage))


def _status_name(status: int) -> str:
    try:
        return RunStatus.to_string(status)
    except ValueError as error:
        raise StoreError(str(error), INTERNAL_ERROR) from None
