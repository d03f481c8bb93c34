"""Times a store on disk: one `log_metric`, the opening of a large store, commands on it, the reading of a database.

    python benchmarks/tracker.py

The stores are in the folder of the temporary files, which should be on a real disk: a sync costs nothing in memory.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from caching import cache_folder
from harness import Report, record, shown
from processes import run_command, run_python
from systems import mlflow_sql, mlquery_store
from workbench import Workbench, command
from workload import workload
from writes import Calls

from mlquery import Store
from mlquery.durable import snapshot
from mlquery.durable import store as durable
from mlquery.durable.journal import Journal
from mlquery.durable.replay import replay

_RUNS, _POINTS = 200_000, 5_000_000
_READ = 2_000
_TOGETHER, _ROUNDS = 20, 30
_OPEN = """
import sys, time
import mlquery
start = time.perf_counter()
store = mlquery.open(sys.argv[1], read_only=True)
seconds = time.perf_counter() - start
assert store.runs.size == int(sys.argv[2]), store.runs.size
print(seconds)
"""
_ANY_RUN = """
import sys
import mlquery
print(mlquery.open(sys.argv[1], read_only=True).runs.ids[7])
"""


def tracker(bench: Workbench, report: Report) -> None:
    """Measure all of them; the number of runs of the workbench does not matter."""
    with tempfile.TemporaryDirectory() as folder:
        _log_metric(report, Path(folder))
        _opening(report, Path(folder))
    _reading(report)


def _log_metric(report: Report, folder: Path) -> None:
    """Time single points, through the same calls of the three stores, in turns."""
    from mlflow import entities as mlflow_entities

    from mlquery import entities
    from mlquery.durable.opening import open as open_store

    mlflow_store = mlflow_sql.empty_store(folder / "mlflow.db")
    stores = {name: open_store(folder / name, name) for name in ("fast", "commit")}
    calls = {"MLflow": Calls(mlflow_store, mlflow_entities)}
    calls |= {f"mlquery, {name}": Calls(store, entities) for name, store in stores.items()}
    for name, taken in _in_turns({name: call.log_metric for name, call in calls.items()}).items():
        record(report, "log_metric", 0, name, taken)
    for name, least in (("fast", 20), ("commit", 5)):
        mine, other = (report.median("log_metric", 0, system) for system in (f"mlquery, {name}", "MLflow"))
        assert mine is not None
        assert other is not None
        words, ratio = f">= {least}x MLflow", other / mine
        report.judge(f"log_metric on disk, {name}", words, "log_metric", 0, f"{shown(ratio)}x", words, ratio / least)
    for store in stores.values():
        store.close()
    mlflow_store.engine.dispose()


def _in_turns(calls: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Return seconds per call, of bundles of calls that take turns; the first bundle warms up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(_ROUNDS + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(_TOGETHER):
                call()
            if number:
                times[name].append((time.perf_counter() - start) / _TOGETHER)
    return times


def _opening(report: Report, folder: Path) -> None:
    """Time the opening of a store with many runs, in new processes, with its snapshot, an old one and none."""
    path = folder / "large.mlq"
    print(f"  made {_RUNS:,} runs and {_made(path):,} points on disk", flush=True)
    _time_opening(report, path, "open", 1_000)
    _commands(report, path)
    _put_oldest_snapshot(path)
    _time_opening(report, path, "open after a kill", 3_000)
    (path / snapshot.NAME).unlink()
    _time_opening(report, path, "open without snapshot", 3_000)


def _time_opening(report: Report, path: Path, case: str, most: float) -> None:
    seconds = [float(run_python(_OPEN, str(path), str(_RUNS))) for _ in range(4)][1:]
    record(report, case, _RUNS, "mlquery", seconds)
    report.within("a store on disk opens", case, _RUNS, most)


def _put_oldest_snapshot(path: Path) -> None:
    """Give a store the oldest snapshot that a process can leave that is killed: one more entry would make a new one."""
    store = Store()
    store.clear()
    with closing(Journal(path, "commit", read_only=True)) as journal:
        identity = journal.require_identity()
        assert identity is not None
        ((last,),) = journal._rows("SELECT max(seq) FROM entries")
        replay(journal, store, last - durable._WHILE_OPEN + 1)
        snapshot.write(store, path, identity.store_id, journal.seq)


def _commands(report: Report, path: Path) -> None:
    """Time commands from the start of a process to its end, and take the most memory that they need."""
    run_id = run_python(_ANY_RUN, str(path)).strip()
    commands = {
        "runs": ["runs", "--max-results", "2"],
        "show": ["show", run_id],
        "history": ["history", run_id, "history"],
    }
    for name, arguments in commands.items():
        command = [sys.executable, "-m", "mlquery", *arguments, "--store", str(path)]
        measured = [run_command(command) for _ in range(6)][1:]
        record(report, f"mlquery {name}", _RUNS, "mlquery", [seconds for seconds, _ in measured])
        report.within("a command on a store on disk", f"mlquery {name}", _RUNS, 1_000)
        if name == "runs":
            most = max(mebibytes for _, mebibytes in measured)
            words = "<= 300 MiB"
            report.judge("memory of a command", words, f"mlquery {name}", _RUNS, f"{most:.0f} MiB", words, 300 / most)


def _made(path: Path) -> int:
    """Create a store on disk and return its number of points."""
    from mlquery.durable.opening import open as open_store

    runs = workload(_RUNS)
    with open_store(path, "fast") as store:
        with store.transaction():
            for number in mlquery_store.ALL:
                store.load_experiment(number, f"experiment {number}")
            mlquery_store.load_into(store, runs)
        points = sum(cells.count for cells in store.runs.metrics.cells.values())
        steps = np.arange(100, dtype=np.int64)
        with store.transaction():
            for run_id in store.runs.ids[: (_POINTS - points) // len(steps) + 1]:
                store.load_history(run_id, "history", steps / 7, steps, steps)
                points += len(steps)
    return points


def _reading(report: Report) -> None:
    """Time the reading of all runs and points of a database, directly and through MLflow's client."""
    import mlquery

    path = mlflow_sql.load(workload(_READ), cache_folder())
    answers: dict[str, Any] = {}

    def timed(name: str, read: Callable[[Path], Any], rounds: int) -> None:
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            answers[name] = read(path)
            seconds.append(time.perf_counter() - start)
        record(report, "read a database", _READ, name, seconds)

    timed("mlquery", lambda path: _counted(mlquery.load(str(path))), 5)
    timed("MLflow", _read_by_client, 1)
    assert answers["mlquery"] == answers["MLflow"], answers
    report.at_least("an MLflow database is read", "read a database", _READ, "MLflow", 20)


def _counted(store: Any) -> tuple[int, int]:
    """Return the number of runs and of points."""
    runs = store.runs
    return runs.size, sum(
        len(store.history(run_id, key)[0]) for row, run_id in enumerate(runs.ids) for key in runs.metric_keys[row]
    )


def _read_by_client(path: Path) -> tuple[int, int]:
    from mlflow import MlflowClient

    client, points = MlflowClient(f"sqlite:///{path}"), 0
    runs: list[Any] = []
    for experiment in client.search_experiments():
        token = None
        while True:
            page = client.search_runs([experiment.experiment_id], max_results=1000, page_token=token)
            runs += page
            token = page.token
            if not token:
                break
    for run in runs:
        points += sum(len(client.get_metric_history(run.info.run_id, key)) for key in run.data.metrics)
    return len(runs), points


if __name__ == "__main__":
    command("tracker", tracker, sizes=(0,))
