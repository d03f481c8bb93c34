"""Runs as a script sees them: started, nested, resumed, ended, and the one that is active now."""

from __future__ import annotations

import getpass
import json
import os
import sys
import warnings
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from mlquery.backend.exits import call_before_stores_close, status_at_exit
from mlquery.backend.runs import PARENT
from mlquery.entities import LifecycleStage, Run, RunStatus, RunTag
from mlquery.errors import StoreError, invalid_parameter
from mlquery.fluent.session import client, session
from mlquery.fluent.session import experiment_id as current_experiment_id

_NOTE, _RUN_NAME = "mlflow.note.content", "mlflow.runName"
_RUN_ID, _CONTEXT = "MLFLOW_RUN_ID", "MLFLOW_RUN_CONTEXT"


class ActiveRun(Run):
    """A run that a `with` block ends: as FINISHED, or as FAILED if an exception leaves the block."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if any(run.info.run_id == self.info.run_id for run in session().thread.active_runs):
            end_run("FINISHED" if exc_type is None else "FAILED")
        return exc_type is None


def start_run(
    run_id: str | None = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,
    parent_run_id: str | None = None,
    tags: dict[str, Any] | None = None,
    description: str | None = None,
    log_system_metrics: bool | None = None,
) -> ActiveRun:
    """Start a run, or resume the run `run_id`, and make it the active one of this thread.

    What is still active when the process ends is ended as in MLflow; see `mlquery.backend.exits`.

    Args:
        run_id: The run to resume; MLFLOW_RUN_ID in the environment does the same, once.
        experiment_id: Where to create the run; by default in the active experiment.
        run_name: The name of the run, a random one by default.
        nested: Whether a run may be started while another one is active.
        parent_run_id: The run to nest a new run in; by default the active one.
        tags: Tags to set.
        description: The value of the tag `mlflow.note.content`.
        log_system_metrics: Has no effect but a warning; nothing measures the machine here.

    Raises:
        RuntimeError: A run is active and `nested` is not set.
        StoreError: The run, its parent or its experiment is missing, deleted or another one than the active one.

    **Source**: `mlflow.start_run` of MLflow 3.17. Git and notebook tags are not written.
    """
    active_runs = session().thread.active_runs
    if experiment_id is not None and not isinstance(experiment_id, str | int):
        raise invalid_parameter(
            f"Invalid experiment id: {experiment_id} of type {type(experiment_id)}. Must be one of str, int, or None."
        )
    if active_runs and not nested:
        raise RuntimeError(
            f"Run with UUID {active_runs[0].info.run_id} is already active. To start a new run, first end the current "
            "run with mlflow.end_run(). To start a nested run, call start_run with nested=True"
        )
    if log_system_metrics:
        warnings.warn("mlquery records no system metrics: log_system_metrics=True has no effect", stacklevel=2)
    resumed_id = run_id or os.environ.pop(_RUN_ID, None)
    if resumed_id:
        run = _resume(resumed_id, run_name, _with_description(tags, description))
    else:
        parent_id = _parent_id(parent_run_id)
        where = current_experiment_id() if experiment_id is None else str(experiment_id)
        run = _create(where, run_name, parent_id, _with_description(tags, description))
    active = ActiveRun(run.info, run.data, run.inputs, run.outputs)
    active_runs.append(active)
    call_before_stores_close(_end_active_run)
    return active


def _end_active_run() -> None:
    """End the active run of the main thread when the process ends; an error at the end is none."""
    with suppress(Exception):
        end_run(status_at_exit(client().backend))


def _with_description(tags: dict[str, Any] | None, description: str | None) -> dict[str, Any]:
    tags = dict(tags or {})
    if description:
        if _NOTE in tags:
            raise invalid_parameter(
                f"Description is already set via the tag {_NOTE} in tags."
                f"Remove the key {_NOTE} from the tags or omit the description."
            )
        tags[_NOTE] = description
    return tags


def _resume(run_id: str, run_name: str | None, tags: dict[str, Any]) -> Run:
    info = client().get_run(run_id).info
    if session().experiment_id not in (None, info.experiment_id):
        raise StoreError(
            f"Cannot start run with ID {run_id} because active experiment ID does not match environment run ID. "
            "Make sure --experiment-name or --experiment-id matches experiment set with set_experiment(), or just "
            "use command-line arguments"
        )
    if info.lifecycle_stage == LifecycleStage.DELETED:
        raise StoreError(f"Cannot start run with ID {run_id} because it is in the deleted state.")
    client().backend.update_run_info(run_id, RunStatus.RUNNING, info.end_time, run_name)
    client().log_batch(run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()], synchronous=True)
    return client().get_run(run_id)


def _parent_id(wanted: str | None) -> str | None:
    """Return the run that a new run is nested in: the active one, or `wanted` if that is the same or none is active."""
    active = active_run()
    active_id = active.info.run_id if active else None
    if not wanted:
        return active_id
    if active_id not in (None, wanted):
        raise StoreError(
            f"Current run with UUID {active_id} does not match the specified parent_run_id {wanted}. To start a new "
            f"nested run under the parent run with UUID {active_id}, first end the current run with mlflow.end_run()."
        )
    if client().get_run(wanted).info.lifecycle_stage == LifecycleStage.DELETED:
        raise StoreError(f"Cannot start run under parent run with ID {wanted} because it is in the deleted state.")
    return wanted


def _create(where: str, run_name: str | None, parent_id: str | None, tags: dict[str, Any]) -> Run:
    if parent_id is not None:
        tags[PARENT] = parent_id
    if run_name:
        tags[_RUN_NAME] = run_name
    return client().create_run(where, tags={**context_tags(), **tags}, run_name=run_name)


def context_tags() -> dict[str, Any]:
    """Return who and what starts a run, as MLflow's default context does, and the tags of MLFLOW_RUN_CONTEXT."""
    return {
        "mlflow.user": os.environ.get("MLFLOW_TRACKING_USERNAME") or getpass.getuser(),
        "mlflow.source.name": sys.argv[0] if sys.argv and sys.argv[0] else "<console>",
        "mlflow.source.type": "LOCAL",
        **json.loads(os.environ.get(_CONTEXT) or "{}"),
    }


def end_run(status: str = "FINISHED") -> None:
    """End the active run of this thread, if there is one."""
    thread = session().thread
    if thread.active_runs:
        os.environ.pop(_RUN_ID, None)
        thread.last_run_id = thread.active_runs.pop().info.run_id
        client().set_terminated(thread.last_run_id, status)


def active_run() -> ActiveRun | None:
    """Return the active run of this thread, as it was when it was started, or None."""
    active_runs = session().thread.active_runs
    return active_runs[-1] if active_runs else None


def last_active_run() -> Run | None:
    """Return the active run of this thread, or else the run that this thread ended last, or None."""
    last_run_id = session().thread.last_run_id
    return active_run() or (get_run(last_run_id) if last_run_id else None)


def active_or_new_run() -> ActiveRun:
    """Return the active run of this thread; start one if there is none."""
    return active_run() or start_run()


def run_to_log_to(run_id: str | None = None) -> str:
    """Return the id of the run that a call logs to: the one it names, or else the active or a new one."""
    return run_id or active_or_new_run().info.run_id


def get_run(run_id: str) -> Run:
    """Return a run."""
    return client().get_run(run_id)


def get_parent_run(run_id: str) -> Run | None:
    """Return the run that a run is nested in, or None for a run that is not nested."""
    return client().get_parent_run(run_id)


def delete_run(run_id: str) -> None:
    """Delete a run; it can be restored."""
    client().delete_run(run_id)


def restore_run(run_id: str) -> None:
    """Bring a deleted run back."""
    client().restore_run(run_id)
