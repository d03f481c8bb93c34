"""The commands about stores on disk: each takes the parsed arguments, prints its result and returns an exit code.

What only some of them need is imported when they run: half of the time of a short command is its imports.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from mlquery.cli.outcomes import ACCEPTED, REFUSED, UsageError
from mlquery.cli.store_views import history_csv, history_json, history_plot, run_named, shown_run, tailed
from mlquery.durable.errors import missing
from mlquery.durable.locations import uri_of
from mlquery.durable.opening import open as open_store
from mlquery.durable.opening import open_as_possible
from mlquery.durable.store import DurableStore
from mlquery.errors import StoreError

if TYPE_CHECKING:
    from mlquery.sync.limit_violations import LimitViolation
    from mlquery.sync.pulling import PullResult
    from mlquery.sync.pushing import LimitViolationError
    from mlquery.sync.sending import PushResult

HISTORIES: Final = {"plot": history_plot, "csv": history_csv, "json": history_json}


def open_command(options: argparse.Namespace) -> int:
    """Open or create a store, and print a summary."""
    path = options.path or options.store
    with open_as_possible(path, read_only=options.read_only) as store:
        experiments, runs = store.experiments.size, store.runs.size
        print(f"{store.path}: {_counted(experiments, 'experiment')}, {_counted(runs, 'run')}, {store.dialect}")
        print(f"in Python: mlquery.open({str(path)!r}{', read_only=True' * store.read_only})")
        if store.read_only and not options.read_only:
            print("nothing can be written there: it is open for reading only")
        print(f"for MLflow: MLFLOW_TRACKING_URI={shlex.quote(uri_of(store.path))}")
    return ACCEPTED


def runs_command(options: argparse.Namespace) -> int:
    """Print the runs of a store."""
    from mlquery.backend import Backend
    from mlquery.cli.commands import FORMATS, VIEWS, print_table
    from mlquery.query.search import count_runs
    from mlquery.sync.sources import chosen_experiments, experiments_of

    with _to_read(options) as store:
        chosen = chosen_experiments(experiments_of(store), options.experiment, options.store)
        asked = ([experiment.experiment_id for experiment in chosen], options.filter, VIEWS[options.view])
        backend = Backend(store, None, store.dialect)
        query = (*asked, options.order_by)
        if options.format == "table":
            names = {experiment.experiment_id: experiment.name for experiment in chosen}
            print_table(backend, query, options.max_results, names)
        else:
            FORMATS[options.format](backend, query, options.max_results)
        found_runs = count_runs(store, *asked, dialect=store.dialect)
    if found_runs > options.max_results and options.format == "table":
        print(f"(the first {options.max_results:,} of {found_runs:,}; --max-results N shows more)")
    return ACCEPTED


def show_command(options: argparse.Namespace) -> int:
    """Print all details of a run."""
    with _to_read(options) as store:
        print(*shown_run(store, run_named(store, options.run)), sep="\n")
    return ACCEPTED


def history_command(options: argparse.Namespace) -> int:
    """Plot a metric of a run, or print its points."""
    with _to_read(options) as store:
        run_id = run_named(store, options.run)
        values, timestamps, steps = store.history(run_id, options.metric)
        if not len(values):
            keys = ", ".join(sorted(store.get_run(run_id).data.metrics)) or "none"
            raise UsageError(f"the run has no metric {options.metric!r}; it has: {keys}")
        print(*HISTORIES[options.format](options, values, timestamps, steps), sep="\n")
    return ACCEPTED


def tail_command(options: argparse.Namespace) -> int:
    """Print what is logged to a run, as it is logged."""
    with _to_read(options) as store:
        run_id = run_named(store, options.run)
        for line in tailed(store, run_id, options.lines, options.interval):
            print(line, flush=True)
    return ACCEPTED


def pull_command(options: argparse.Namespace) -> int:
    """Pull runs from another store."""
    from mlquery.cli.progress import progress
    from mlquery.sync.pulling import pull

    with open_store(options.store, "fast") as store, progress() as show:
        done = pull(
            store,
            options.source,
            experiments=options.experiment,
            filter_string=options.filter,
            artifacts=options.artifacts,
            progress=show,
        )
    print(_summary(done))
    if done.unreachable:
        unreachable = _counted(done.unreachable, "run or model", "runs or models")
        print(f"warning: the artifacts of {unreachable} cannot be reached", file=sys.stderr)
    for line in done.bad_files:
        print(f"not copied: {line}", file=sys.stderr)
    if done.unlisted:
        print(f"warning: the source does not list its registered models: {done.unlisted}", file=sys.stderr)
    return ACCEPTED


def push_command(options: argparse.Namespace) -> int:
    """Push what is new or changed to a server, or print what would be sent."""
    from mlquery.cli.progress import progress
    from mlquery.sync.pushing import LimitViolationError, push

    chosen: dict[str, Any] = {
        "experiments": options.experiment,
        "filter_string": options.filter,
        "artifacts": not options.no_artifacts,
        "dialect": options.dialect,
    }
    if options.dry_run:
        with _to_read(options) as store:
            return _planned(store, options, chosen)
    with _to_read(options) if options.read_only else _to_write_if_possible(options) as store:
        if store.read_only:
            print("warning: the store cannot record this push: pushed again, it is sent again", file=sys.stderr)
        sending = partial(push, store, options.target, leave_out=options.leave_out, **chosen)
        if options.watch:
            return _watched(store, sending, options.interval)
        try:
            with progress() as show:
                _print_pushed(sending(progress=show))
        except LimitViolationError as error:
            _print_refused(error)
            return REFUSED
    return ACCEPTED


def _watched(store: DurableStore, push_once: Callable[[], PushResult], interval: float) -> int:
    """Push as the store changes, until Ctrl-C."""
    from mlquery.sync.pushing import LimitViolationError
    from mlquery.sync.watching import pushes

    with suppress(KeyboardInterrupt):
        for done in pushes(store, push_once, partial(time.sleep, max(interval, 0.5))):
            if isinstance(done, LimitViolationError):
                _print_refused(done)
            elif isinstance(done, StoreError):
                print(f"not pushed: {done}; trying again", file=sys.stderr, flush=True)
            else:
                _print_pushed(done)
    return ACCEPTED


def _print_refused(error: LimitViolationError) -> None:
    _list_violations(error.violations)
    print(f"{error}; instead: --leave-out sends the rest", file=sys.stderr, flush=True)


def _print_pushed(done: PushResult) -> None:
    print(_summary(done), flush=True)
    for kept in done.kept_files:
        print(f"not replaced on the target: {kept}", file=sys.stderr)
    for gone, what in ((done.gone_runs, "runs"), (done.gone_models, "models")):
        if gone:
            print(f"warning: {gone} of the {what} were removed from the target", file=sys.stderr)


def _summary(done: PullResult | PushResult) -> str:
    return (
        f"{_counted(done.new_runs, 'new run')}, {done.changed_runs:,} changed, {done.same_runs:,} up to date; "
        f"{_counted(done.points, 'point')}, {_counted(done.models, 'model')}, {_counted(done.files, 'file')}"
        f"{_registered(done.registered_models, done.versions)}"
    )


def _registered(models: int, versions: int) -> str:
    """Return the end of a summary about registered models; nothing if there are none."""
    if not models and not versions:
        return ""
    return f"; {_counted(models, 'registered model')}, {_counted(versions, 'version')}"


def _planned(store: DurableStore, options: argparse.Namespace, chosen: dict[str, Any]) -> int:
    from mlquery.sync.pushing import plan_push

    plan = plan_push(store, options.target, **chosen)
    _list_violations(plan.violations)
    changed = len(plan.runs) - plan.new_runs
    print(
        f"to send: {_counted(plan.new_runs, 'new run')} with {_counted(plan.points, 'point')} and "
        f"{_counted(plan.files, 'file')}, {changed:,} changed, {_counted(len(plan.models), 'model')}; "
        f"{plan.same_runs:,} up to date"
        f"{_registered(len(plan.registered), sum(len(part.versions) for part in plan.registered))}"
    )
    return REFUSED if plan.violations and not options.leave_out else ACCEPTED


def _list_violations(violations: Iterable[LimitViolation]) -> None:
    for violation in violations:
        print(f"exceeds a limit: {violation}", file=sys.stderr)


def export_command(options: argparse.Namespace) -> int:
    """Export a store as tables."""
    from mlquery.sync.exporting import export

    with _to_read(options) as store:
        done = export(
            store,
            options.out,
            format=options.format,
            layout=options.layout,
            experiments=options.experiment,
            filter_string=options.filter,
        )
    for path, rows in done.items():
        print(f"{path}: {_counted(rows, 'row')}")
    return ACCEPTED


def repair_command(options: argparse.Namespace) -> int:
    """Repair a store, and print what was found."""
    from mlquery.durable.repairing import repair

    found = repair(options.path or options.store, dry_run=options.dry_run)
    if not found.problem:
        print("the store is intact; nothing to repair")
        return ACCEPTED
    print(f"the store {found.problem.partition(';')[0]}")
    print(f"intact: {_counted(found.entries, 'entry', 'entries')}; lost: {found.lost}; of no use: {found.unusable}")
    for name in found.placeholders:
        print(f"placeholder for lost data: {name}")
    if found.aside is not None:
        print(f"repaired; the old files are in {found.aside}")
    return ACCEPTED


def ui_command(options: argparse.Namespace) -> int:
    """Replace this process by MLflow's UI on a store."""
    from mlquery.mlflow_plugin.schemes import UI_VARIABLE

    if find_spec("mlflow") is None:
        raise UsageError("the UI is MLflow's own: pip install 'mlquery[mlflow]'")
    uri, shown, address = _shown_in_ui(options)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    command += ["--host", options.host, "--port", options.port, "--workers", "1"]
    # The server takes the URI of the store that has the artifacts from these variables.
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | os.environ
    environment |= {"MLFLOW_TRACKING_URI": uri, "MLFLOW_REGISTRY_URI": uri, UI_VARIABLE: "1"} | address
    print(f"MLflow's UI on {shown}: http://{options.host}:{options.port}", flush=True)
    os.execve(sys.executable, command, environment)


def _shown_in_ui(options: argparse.Namespace) -> tuple[str, str, dict[str, str]]:
    """Return the URI for MLflow, how it is called in messages, and the variables that it needs.

    The address of a database may hold a password: it goes into a variable, not into the list of processes.
    """
    if options.source is None:
        with _to_read(options) as store:
            uri = uri_of(store.path) + "?read_only=true" * options.read_only
        return uri, uri, {}
    from mlquery.mlflow_plugin.schemes import IN_PLACE, IN_PLACE_VARIABLE
    from mlquery.remote.opening import open_anywhere

    source = open_anywhere(options.source)
    try:
        return IN_PLACE, f"{source.name}, read-only", {IN_PLACE_VARIABLE: options.source}
    finally:
        source.close()


def _to_read(options: argparse.Namespace) -> DurableStore:
    return open_store(options.store, read_only=True)


def _to_write_if_possible(options: argparse.Namespace) -> DurableStore:
    """Return an existing store, for reading where nothing can be written; a wrong path must not create a new one."""
    from mlquery.sync.sources import store_folder

    if store_folder(options.store) is None:
        raise missing(os.path.abspath(options.store))
    return open_as_possible(options.store)


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
