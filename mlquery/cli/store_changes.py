"""The commands that change a store on disk: each takes the parsed arguments, says what it did, and returns a code.

What a command names is found before anything is changed, and all that it changes is one transaction.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

from mlquery.backend import Backend
from mlquery.cli.outcomes import ACCEPTED, UsageError
from mlquery.cli.store_views import run_named
from mlquery.durable.compacting import compact
from mlquery.durable.errors import missing
from mlquery.durable.opening import open as open_store
from mlquery.durable.store import DurableStore
from mlquery.entities import ExperimentTag, LifecycleStage, RunTag
from mlquery.sync.sources import experiments_of, store_folder
from mlquery.tables.lines import one_line

_LONGEST: Final = 200  # characters of a line about a tag


def delete_command(options: argparse.Namespace) -> int:
    """Mark runs and experiments as deleted."""
    with _changing(options) as (store, backend):
        experiments, runs = _named(store, options, LifecycleStage.ACTIVE)
        for experiment_id in experiments:
            backend.delete_experiment(experiment_id)
        for run_id in runs:
            backend.delete_run(run_id)
        undo = [*(f"--experiment {experiment_id}" for experiment_id in experiments), *runs]
        shown = _shown(store, experiments, runs)
    lines = [
        f"deleted {one}; 'mlquery restore {arguments}' undoes it" for one, arguments in zip(shown, undo, strict=True)
    ]
    print(*lines, sep="\n")
    return ACCEPTED


def restore_command(options: argparse.Namespace) -> int:
    """Bring deleted runs and experiments back."""
    with _changing(options) as (store, backend):
        experiments, runs = _named(store, options, LifecycleStage.DELETED)
        for experiment_id in experiments:
            backend.restore_experiment(experiment_id)
        for run_id in runs:
            backend.restore_run(run_id)
        shown = _shown(store, experiments, runs)
    print(*(f"restored {one}" for one in shown), sep="\n")
    return ACCEPTED


def rename_command(options: argparse.Namespace) -> int:
    """Rename a run or an experiment."""
    with _changing(options) as (store, backend):
        experiment_id, run_id = _one_named(store, options)
        if run_id is not None:
            what, before = f"run {run_id}", store.get_run(run_id).info.run_name or ""
            backend.update_run_info(run_id, None, None, options.new_name)
        else:
            what, before = f"experiment {experiment_id}", store.get_experiment(experiment_id).name
            backend.rename_experiment(experiment_id, options.new_name)
    print(f"{what} is now {options.new_name!r}; it was {before!r}")
    return ACCEPTED


def tag_command(options: argparse.Namespace) -> int:
    """Set and remove tags of a run or an experiment, and print what they were."""
    if not options.experiment and options.tags:
        options.run, *options.tags = options.tags
    tags = dict(map(_pair, options.tags))
    if not tags and not options.remove:
        raise UsageError("no tag is given; instead: KEY=VALUE, or --remove KEY")
    with _changing(options) as (store, backend):
        experiment_id, run_id = _one_named(store, options)
        if run_id is not None:
            before = store.get_run(run_id).data.tags
            backend.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
            for key in options.remove:
                backend.delete_tag(run_id, key)
        else:
            before = store.get_experiment(experiment_id).tags
            for key, value in tags.items():
                backend.set_experiment_tag(experiment_id, ExperimentTag(key, value))
            for key in options.remove:
                backend.delete_experiment_tag(experiment_id, key)
    lines = [f"{key} is now {value!r}{_was(before.get(key))}" for key, value in tags.items()]
    lines += [f"{key} is removed{_was(before.get(key))}" for key in options.remove]
    print(*map(partial(one_line, longest=_LONGEST), lines), sep="\n")
    return ACCEPTED


def compact_command(options: argparse.Namespace) -> int:
    """Make the journal of a store say only what the store is now, and print the sizes."""
    done = compact(_existing(options, options.path or options.store))
    print(f"{done.entries_before:,} entries, {done.bytes_before:,} bytes before")
    print(f"{done.entries:,} entries, {done.bytes:,} bytes now; the journal no longer has what was overwritten")
    return ACCEPTED


@contextmanager
def _changing(options: argparse.Namespace) -> Iterator[tuple[DurableStore, Backend]]:
    """Open an existing store and keep the changes of the block together."""
    with open_store(_existing(options, options.store)) as store, store.transaction():
        yield store, Backend(store, None, store.dialect)


def _existing(options: argparse.Namespace, path: str) -> str:
    if store_folder(path) is None:
        raise missing(os.path.abspath(path))
    return path


def _named(store: DurableStore, options: argparse.Namespace, stage: str) -> tuple[list[str], list[str]]:
    """Return the ids of the experiments and of the runs that a command names."""
    if not options.experiment and not options.runs:
        raise UsageError("nothing is named; instead: ids or names of runs, or --experiment NAME")
    experiments = [_experiment_named(store, name, stage) for name in options.experiment]
    return experiments, [run_named(store, name, stage) for name in options.runs]


def _one_named(store: DurableStore, options: argparse.Namespace) -> tuple[str, str | None]:
    """Return the id of the experiment that a command names, or the id of the run."""
    if bool(options.run) == bool(options.experiment):
        raise UsageError("a run or an experiment must be named; instead: one RUN, or --experiment NAME")
    if options.experiment:
        return _experiment_named(store, options.experiment, LifecycleStage.ACTIVE), None
    return "", run_named(store, options.run, LifecycleStage.ACTIVE)


def _experiment_named(store: DurableStore, string: str, stage: str) -> str:
    """Return the id of the experiment of a name or an id."""
    experiments = experiments_of(store)
    for field in ("name", "experiment_id"):
        for one in experiments:
            if getattr(one, field) == string:
                return one.experiment_id
    names = ", ".join(repr(one.name) for one in experiments if one.lifecycle_stage == stage)
    raise UsageError(f"{store.path} has no experiment {string!r}; the {stage} ones are: {names or 'none'}")


def _pair(string: str) -> tuple[str, str]:
    key, equals, value = string.partition("=")
    if not equals or not key:
        raise UsageError(f"{string!r} is not KEY=VALUE")
    return key, value


def _shown(store: DurableStore, experiments: Sequence[str], runs: Sequence[str]) -> list[str]:
    """Return what a person calls experiments and runs."""
    shown = [f"experiment {store.get_experiment(one).name!r} with its runs" for one in experiments]
    names = [(run_id, store.get_run(run_id).info.run_name) for run_id in runs]
    return shown + [f"run {name!r} ({run_id})" if name else f"run {run_id}" for run_id, name in names]


def _was(value: str | None) -> str:
    return "" if value is None else f"; it was {value!r}"
