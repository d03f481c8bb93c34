"""Pushes what is new or changed in a store on disk to an MLflow server: decides what is sent, and in which order.

Parents come before their children, and all runs and models are created before data is sent. Limit violations are
reported before anything is sent. `sending` transfers each run so that it can be interrupted and repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import attrs

from mlquery.durable.locks import FolderLock
from mlquery.durable.store import DurableStore
from mlquery.entities import Experiment, LifecycleStage
from mlquery.errors import INVALID_PARAMETER_VALUE, StoreError
from mlquery.remote.names import target_name
from mlquery.sync.content import summary_of
from mlquery.sync.limit_violations import (
    LimitViolation,
    TargetLimits,
    target_limits,
    violations_of_experiment,
    violations_of_run,
)
from mlquery.sync.mlflow_target import MlflowTarget
from mlquery.sync.pushed import settle
from mlquery.sync.references import PARENT
from mlquery.sync.sending import PushResult, Sender
from mlquery.sync.sending_registry import RegistryPart, parts_to_send, send_part, settle_versions, violations_of_part
from mlquery.sync.source import Progress
from mlquery.sync.sources import chosen_experiments, experiments_of, require_on_disk, run_ids_of


class LimitViolationError(StoreError):
    """A push that exceeds limits of the target; nothing was sent. `violations` lists all of them."""

    def __init__(self, target: str, violations: tuple[LimitViolation, ...]) -> None:
        counted = "1 part exceeds a limit" if len(violations) == 1 else f"{len(violations)} parts exceed limits"
        super().__init__(f"{counted} of {target}; nothing was sent", INVALID_PARAMETER_VALUE)
        self.args = (target, violations)
        self.violations = violations


@attrs.frozen
class PushPlan:
    """What a push would send, found without any request to the target.

    Attributes:
        experiments: The experiments that are new or changed, and those of the runs to send.
        runs: The runs that are new or changed, parents before their children.
        new_runs: How many of these the target does not have.
        same_runs: How many other runs are up to date on the target.
        points: How many points the new ones have.
        models: The logged models that are new or changed.
        files: How many artifacts the new runs and logged models have.
        violations: The parts that exceed limits of the target.
        registered: The registered models that are new or changed, with the versions that are.
    """

    experiments: tuple[Experiment, ...]
    runs: tuple[str, ...]
    new_runs: int
    same_runs: int
    points: int
    models: tuple[str, ...]
    files: int
    violations: tuple[LimitViolation, ...]
    registered: tuple[RegistryPart, ...] = ()


def push(
    store: DurableStore,
    target: str,
    *,
    experiments: Sequence[str] = (),
    filter_string: str = "",
    artifacts: bool = True,
    leave_out: bool = False,
    dialect: str | None = None,
    progress: Progress = lambda *_: None,
) -> PushResult:
    """Send what is new or changed in a store on disk to an MLflow server, with its times, steps and parent runs.

    The store records what the server has, so that a push can be repeated, also after an interruption: nothing is sent
    twice. One that is open for reading only cannot keep that record: pushed again, it is sent again.

    Args:
        store: The store to send, as `mlquery.open` returns it.
        target: The tracking URI of the server.
        experiments: The names of the experiments to send; all if empty.
        filter_string: The filter that selects runs, whose parents are sent too; all if empty.
        artifacts: Whether to upload artifacts.
        leave_out: Whether to leave out what exceeds limits of the target and send the rest.
        dialect: The dialect whose limits apply; by default that of the kind of URI.
        progress: Called with a step, how many of its items are done, and how many there are.

    Returns:
        How much was sent.

    Raises:
        LimitViolationError: something exceeds a limit of the target, and `leave_out` is false.
        StoreError: the store is not on disk, the target cannot be reached, or it refuses a request.
        QueryError: the filter is not valid.
        ValueError: the dialect is unknown.

    **Source** of the requests: `mlflow.MlflowClient` of MLflow 3.17.
    """
    require_on_disk(store)
    allowed = target_limits(target, dialect)
    lock = None
    if not store.read_only:
        lock = FolderLock(store.path, alone=True, name="push.lock", problem="is being pushed by another process")
    try:
        sender = Sender(store, MlflowTarget(target), allowed, artifacts)
        plan = plan_push(
            store, target, experiments=experiments, filter_string=filter_string, artifacts=artifacts, dialect=dialect
        )
        if plan.violations and not leave_out:
            raise LimitViolationError(sender.target.name, plan.violations)
        _send(sender, plan, progress)
        return sender.done
    finally:
        if lock is not None:
            lock.release()


def plan_push(
    store: DurableStore,
    target: str,
    *,
    experiments: Sequence[str] = (),
    filter_string: str = "",
    artifacts: bool = True,
    dialect: str | None = None,
) -> PushPlan:
    """Return what a push would send, without any request to the target; the arguments are those of `push`."""
    require_on_disk(store)
    allowed = target_limits(target, dialect)
    unreached: Any = SimpleNamespace(name=target_name(target))
    sender = Sender(store, unreached, allowed, artifacts)
    with store.lock:
        found = experiments_of(store)
        chosen = chosen_experiments(found, experiments, str(store.path))
        found_runs = run_ids_of(store, [experiment.experiment_id for experiment in chosen], filter_string)
        all_runs = list(_parents_first(store, found_runs))
    runs = [run_id for run_id in all_runs if not sender.is_sent(run_id)]
    models = [
        model_id for model_id in _models(store, chosen, all_runs, filter_string) if not sender.is_model_sent(model_id)
    ]
    with store.lock:
        owners = {store.runs.string("experiment_id", store.runs.row_of[run_id]) for run_id in runs}
        owners |= {store.models.by_id[model_id].experiment_id for model_id in models}
    others = [] if filter_string else [one for one in chosen if one.name != Experiment.DEFAULT_EXPERIMENT_NAME]
    to_send = [
        experiment
        for experiment in found
        if experiment.experiment_id in owners or (experiment in others and not sender.is_experiment_sent(experiment))
    ]
    new_runs = [run_id for run_id in runs if sender.known("run", run_id) is None]
    violations = [*_violations(store, to_send, runs, models, allowed)]
    models = models if allowed.supports_logged_models else []
    new_models = [model_id for model_id in models if sender.known("model", model_id) is None]
    contents = [sender.content(run_id) for run_id in new_runs]
    registered = tuple(parts_to_send(sender, all_runs if experiments or filter_string else None))
    violations += [found for part in registered for found in violations_of_part(part, allowed)]
    return PushPlan(
        tuple(to_send),
        tuple(runs),
        len(new_runs),
        len(all_runs) - len(runs),
        sum(len(points[0]) for _, histories, _ in contents for points in histories.values()),
        tuple(models),
        sum(len(files) for *_, files in contents) + sum(len(sender.files_of(model_id)) for model_id in new_models),
        tuple(violations),
        registered,
    )


def _violations(
    store: DurableStore,
    experiments: Sequence[Experiment],
    runs: Sequence[str],
    models: Sequence[str],
    allowed: TargetLimits,
) -> Iterator[LimitViolation]:
    for experiment in experiments:
        yield from violations_of_experiment(experiment, allowed)
    for run_id in runs:
        with store.lock:
            summary = summary_of(store, run_id)
        yield from violations_of_run(summary, allowed)
    if not allowed.supports_logged_models:
        for model_id in models:
            yield LimitViolation(f"model {model_id}", "logged models, which this target does not support", 1, 0)


def _parents_first(store: DurableStore, run_ids: Sequence[str]) -> Iterator[str]:
    """Yield runs, each after its parents."""
    seen: set[str] = set()
    for run_id in run_ids:
        line = [run_id]
        while (parent := _parent(store, line[-1])) is not None and parent not in seen and parent not in line:
            line.append(parent)
        for found in reversed(line):
            if found not in seen:
                seen.add(found)
                yield found


def _parent(store: DurableStore, run_id: str) -> str | None:
    cells = store.runs.tags.cells.get(PARENT)
    parent = None if cells is None else cells.string(store.runs.row_of[run_id])
    return parent if parent in store.runs.row_of else None


def _models(
    store: DurableStore, experiments: Sequence[Experiment], run_ids: Sequence[str], filter_string: str
) -> Iterator[str]:
    """Yield the logged models of experiments; with a filter, those that the chosen runs created, wrote or read."""
    chosen, runs, models = {experiment.experiment_id for experiment in experiments}, set(run_ids), store.models
    used = {
        model_id for run_id in runs for model_id in (*models.outputs.get(run_id, ()), *models.inputs.get(run_id, ()))
    }
    for model_id, model in list(models.by_id.items()):
        if model.experiment_id in chosen and (not filter_string or model_id in used or model.source_run_id in runs):
            yield model_id


def _send(sender: Sender, plan: PushPlan, progress: Progress) -> None:
    sender.done.same_runs = plan.same_runs
    _require_active(sender, plan.experiments)
    _settle(sender)
    for experiment in plan.experiments:
        sender.create_experiment(experiment)
    for number, run_id in enumerate(plan.runs):
        progress("creating runs", number, len(plan.runs))
        sender.create_run(run_id)
    for model_id in plan.models:
        sender.create_model(model_id)
    for number, run_id in enumerate(plan.runs):
        progress("sending runs", number, len(plan.runs))
        sender.send_run(run_id)
    progress("sending runs", len(plan.runs), len(plan.runs))
    for number, model_id in enumerate(plan.models):
        progress("sending models", number, len(plan.models))
        sender.send_model(model_id)
    for part in plan.registered:
        send_part(sender, part)
    for experiment in plan.experiments:
        sender.finish_experiment(experiment)
    if plan.runs or plan.models or plan.registered:
        _settle(sender)


def _settle(sender: Sender) -> None:
    settle(sender, sender.target, sender.allowed.supports_logged_models)
    settle_versions(sender)


def _require_active(sender: Sender, experiments: Sequence[Experiment]) -> None:
    """Raise if an experiment was deleted on the target, which then accepts no runs."""
    for experiment in experiments:
        remote = sender.target.experiment_named(experiment.name)
        if remote is not None and remote.lifecycle_stage == LifecycleStage.DELETED:
            raise StoreError(
                f"the experiment {experiment.name!r} is deleted on {sender.target.name}; nothing was sent. "
                "instead: restore it there, or push other experiments",
                "INVALID_STATE",
            )
