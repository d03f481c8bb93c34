"""Pushes what is new or changed in a store on disk to an MLflow server: what goes there, and in which order.

Parents go before their children, all runs and models are placed before the first is filled. What does not fit is listed
before anything is sent. How things are sent, and what happens after a cut, is the affair of `sending`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs

from mlquery.durable.locks import FolderLock
from mlquery.durable.store import DurableStore
from mlquery.entities import Experiment, LifecycleStage, ViewType
from mlquery.errors import StoreError
from mlquery.language.matrix import MATRIX
from mlquery.query.search import search_rows
from mlquery.sync.content import summary_of
from mlquery.sync.limit_violations import TargetLimits, Unfit, limits_of, unfit_of_experiment, unfit_of_run
from mlquery.sync.references import PARENT
from mlquery.sync.sending import Pushed, Sending
from mlquery.sync.source import target_name
from mlquery.sync.sources import chosen_experiments
from mlquery.sync.target import Target

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done and how much there is."""


class LimitViolationError(StoreError):
    """A push of which parts do not fit; nothing was sent. `parts` are all of them."""

    def __init__(self, target: str, parts: tuple[Unfit, ...]) -> None:
        super().__init__(f"{len(parts)} parts do not fit into {target}; nothing was sent", "INVALID_PARAMETER_VALUE")
        self.args = (target, parts)
        self.parts = parts


@attrs.frozen
class Plan:
    """What a push would send, found without asking the target.

    Attributes:
        experiments: The experiments that are new or changed, and those whose runs go.
        runs: The runs that are new or changed, parents before their children.
        new_runs: How many of them the target does not have.
        same_runs: How many others it has as they are.
        points: How many points the new ones have.
        models: The logged models that are new or changed.
        files: How many artifacts the new ones have.
        unfit: What does not fit.
    """

    experiments: tuple[Experiment, ...]
    runs: tuple[str, ...]
    new_runs: int
    same_runs: int
    points: int
    models: tuple[str, ...]
    files: int
    unfit: tuple[Unfit, ...]


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
) -> Pushed:
    """Send what is not on an MLflow server yet, with its times, steps and structure; twice is as good as once.

    Args:
        store: What to send; it remembers what is where.
        target: The tracking URI of the server.
        experiments: The names of the experiments to send; all if empty.
        filter_string: Which runs; their parents go with them.
        artifacts: Whether to send artifacts and models' files too.
        leave_out: Whether to send the rest where parts do not fit.
        dialect: The column of the support matrix whose limits hold; by default by the kind of URI.
        progress: Told how far it is.

    Raises:
        LimitViolationError: something does not fit and shall not be left out.
        StoreError: the target cannot be reached or refuses something; a second push goes on from there.
        QueryError: the filter is none.
    """
    at_most = limits_of(MATRIX.dialect(dialect) if dialect else MATRIX.dialect_of_uri(target))
    lock = FolderLock(store.path, alone=True, name="push.lock", problem="is being pushed by another process")
    try:
        sending = Sending(store, Target(target), at_most, artifacts)
        plan = plan_of(store, target, experiments, filter_string, artifacts, at_most)
        if plan.unfit and not leave_out:
            raise LimitViolationError(sending.target.name, plan.unfit)
        _send(sending, plan, progress)
        return sending.done
    finally:
        lock.release()


def plan_push(
    store: DurableStore,
    target: str,
    *,
    experiments: Sequence[str] = (),
    filter_string: str = "",
    artifacts: bool = True,
    dialect: str | None = None,
) -> Plan:
    """Return what a push would send, without asking the target; arguments as those of `push`."""
    at_most = limits_of(MATRIX.dialect(dialect) if dialect else MATRIX.dialect_of_uri(target))
    return plan_of(store, target, experiments, filter_string, artifacts, at_most)


class _Memory:
    """Stands in for a target that is not to be asked."""

    def __init__(self, name: str) -> None:
        self.name = name


def plan_of(
    store: DurableStore,
    target: str,
    names: Sequence[str],
    filter_string: str,
    artifacts: bool,
    at_most: TargetLimits,
) -> Plan:
    """Return what a push would send."""
    memory: Target = _Memory(target_name(target))  # type: ignore[assignment]
    here = Sending(store, memory, at_most, artifacts)
    with store.lock:
        table = store.experiments
        found = [table.experiment_at(row) for row in range(table.size)]
        chosen = chosen_experiments(found, names, str(store.path))
        all_runs = list(_parents_first(store, _chosen_runs(store, chosen, filter_string)))
    runs = [run_id for run_id in all_runs if not here.is_sent(run_id)]
    models = [
        model_id for model_id in _models(store, chosen, all_runs, filter_string) if not here.is_model_sent(model_id)
    ]
    with store.lock:
        owners = {store.runs.string("experiment_id", store.runs.row_of[run_id]) for run_id in runs}
        owners |= {store.models.by_id[model_id].experiment_id for model_id in models}
    others = [] if filter_string else [one for one in chosen if one.name != Experiment.DEFAULT_EXPERIMENT_NAME]
    to_send = [
        experiment
        for experiment in found
        if experiment.experiment_id in owners or (experiment in others and not here.is_experiment_sent(experiment))
    ]
    new_runs = [run_id for run_id in runs if here.known("run", run_id) is None]
    contents = [here.content(run_id) for run_id in new_runs]
    return Plan(
        tuple(to_send),
        tuple(runs),
        len(new_runs),
        len(all_runs) - len(runs),
        sum(len(points[0]) for _, histories, _ in contents for points in histories.values()),
        tuple(models if at_most.keeps_models else ()),
        sum(len(files) for *_, files in contents),
        tuple(_unfit(store, to_send, runs, models, at_most)),
    )


def _unfit(
    store: DurableStore,
    experiments: Sequence[Experiment],
    runs: Sequence[str],
    models: Sequence[str],
    at_most: TargetLimits,
) -> Iterator[Unfit]:
    for experiment in experiments:
        yield from unfit_of_experiment(experiment, at_most)
    for run_id in runs:
        with store.lock:
            summary = summary_of(store, store.runs.row_of[run_id])
        yield from unfit_of_run(summary, at_most)
    if not at_most.keeps_models:
        for model_id in models:
            yield Unfit(f"model {model_id}", "logged models, which this target does not keep", 1, 0)


def _chosen_runs(store: DurableStore, experiments: Sequence[Experiment], filter_string: str) -> list[str]:
    """Return the ids of the runs that a filter finds, the oldest first."""
    ids = [experiment.experiment_id for experiment in experiments]
    rows, _ = search_rows(store, ids, filter_string, ViewType.ALL, None, ["start_time ASC"])
    return [store.runs.ids[row] for row in rows]


def _parents_first(store: DurableStore, run_ids: Sequence[str]) -> Iterator[str]:
    """Yield runs and, before them, the runs they are children of."""
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
    """Yield the logged models of experiments; with a filter, those that the chosen runs made, wrote or read."""
    chosen, runs, models = {experiment.experiment_id for experiment in experiments}, set(run_ids), store.models
    used = {
        model_id for run_id in runs for model_id in (*models.outputs.get(run_id, ()), *models.inputs.get(run_id, ()))
    }
    for model_id, model in list(models.by_id.items()):
        if model.experiment_id in chosen and (not filter_string or model_id in used or model.source_run_id in runs):
            yield model_id


def _send(sending: Sending, plan: Plan, progress: Progress) -> None:
    sending.done.same_runs = plan.same_runs
    _require_active(sending, plan.experiments)
    for experiment in plan.experiments:
        sending.place_experiment(experiment)
    for number, run_id in enumerate(plan.runs):
        progress("creating runs", number, len(plan.runs))
        sending.place_run(run_id)
    for model_id in plan.models:
        sending.place_model(model_id)
    for number, run_id in enumerate(plan.runs):
        progress("sending runs", number, len(plan.runs))
        sending.fill_run(run_id)
    progress("sending runs", len(plan.runs), len(plan.runs))
    for number, model_id in enumerate(plan.models):
        progress("sending models", number, len(plan.models))
        sending.finish_model(model_id)
    for experiment in plan.experiments:
        sending.finish_experiment(experiment)


def _require_active(sending: Sending, experiments: Sequence[Experiment]) -> None:
    """Raise if an experiment was deleted on the target: it takes no runs."""
    for experiment in experiments:
        there = sending.target.experiment_named(experiment.name)
        if there is not None and there.lifecycle_stage == LifecycleStage.DELETED:
            raise StoreError(
                f"the experiment {experiment.name!r} is deleted on {sending.target.name}: restore it there, or push "
                "others; nothing was sent",
                "INVALID_STATE",
            )
