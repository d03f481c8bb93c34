"""Times a new store per test: created, written to and searched, in a warm and in a new process, and cloned."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Any

from harness import Plan, Report, measure
from processes import measure_processes
from systems import mlflow_sql
from workbench import Workbench, command

TARGET = "fresh store + one run + one search"
_TIME = 1_700_000_000_000
_FILTER = "params.lr = '0.1' AND metrics.auc > 0.5"
_USE = f"""
run = store.create_run("0", "someone", {_TIME}, [], "first")
store.log_param(run.info.run_id, Param("lr", "0.1"))
store.log_metric(run.info.run_id, Metric("auc", 0.9, {_TIME}, 1))
"""
_MLQUERY = f"""
from mlquery import Metric, Param, Store
from mlquery.query.search import search_runs
store = Store()
{_USE}
assert len(search_runs(store, ["0"], "{_FILTER}")) == 1
"""
_MLFLOW = f"""
import logging, tempfile
logging.disable(logging.CRITICAL)
from mlflow.entities import Metric, Param
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
folder = tempfile.TemporaryDirectory()
store = SqlAlchemyStore(f"sqlite:///{{folder.name}}/mlflow.db", folder.name)
{_USE}
assert len(store.search_runs(["0"], "{_FILTER}", 1)) == 1
"""


def fresh(bench: Workbench, report: Report) -> None:
    """Measure new stores and clones; the number of runs of the workbench does not matter."""
    with tempfile.TemporaryDirectory() as name:
        _warm(report, Path(name))
    codes = {"mlquery": _MLQUERY, "MLflow": _MLFLOW, "import numpy": "import numpy"}
    measure_processes(report, "new process", codes)
    report.at_least(TARGET, "new process", 0, "MLflow", 10)
    report.at_most(TARGET, "new process", 0, "import numpy", 1, 100)
    _clones(report, Workbench(10_000, bench.folder))


def _warm(report: Report, folder: Path) -> None:
    number = itertools.count()
    ready = folder / "ready.db"
    mlflow_sql.empty_store(ready).engine.dispose()

    def path() -> Path:
        return folder / f"{next(number)}.db"

    def copied() -> None:
        _use_mlflow(Path(shutil.copyfile(ready, path())))

    systems = {
        "mlquery": _use_own,
        "MLflow": lambda: _use_mlflow(path()),
        "MLflow, copy of a ready file": copied,
    }
    measure(report, "warm process", 0, systems, plan=Plan(rounds=9, budget=12))
    report.at_least(TARGET, "warm process", 0, "MLflow", 2000)
    report.within(TARGET, "warm process", 0, 0.3)


def _use_own() -> None:
    from mlquery.entities import Metric, Param
    from mlquery.query.search import search_runs
    from mlquery.store import Store

    store = Store()
    _write(store, Metric, Param)
    assert len(search_runs(store, ["0"], _FILTER)) == 1


def _use_mlflow(path: Path) -> None:
    from mlflow.entities import Metric, Param

    store = mlflow_sql.empty_store(path)
    _write(store, Metric, Param)
    assert len(store.search_runs(["0"], _FILTER, 1)) == 1
    store.engine.dispose()


def _write(store: Any, metric: Any, param: Any) -> None:
    run_id = store.create_run("0", "someone", _TIME, [], "first").info.run_id
    store.log_param(run_id, param("lr", "0.1"))
    store.log_metric(run_id, metric("auc", 0.9, _TIME, 1))


def _clones(report: Report, bench: Workbench) -> None:
    """Measure copies of a store of 10,000 runs, alone and with the calls of a test."""
    from mlquery.entities import Metric, Param
    from mlquery.query.search import search_runs

    store, path = bench.mlquery, bench.mlflow_path
    run_id = bench.runs.run_ids[0]

    def used() -> None:
        copy = store.clone()
        copy.log_metric(run_id, Metric("auc", 0.9, _TIME, 2))
        copy.log_param(run_id, Param("new", "1"))
        assert len(search_runs(copy, ["1"], "metrics.auc > 0.5", max_results=10)) == 10

    with tempfile.TemporaryDirectory() as name:
        target = Path(name) / "copy.db"
        systems = {
            "mlquery": store.clone,
            "mlquery, two writes and a search": used,
            "copy of MLflow's file": lambda: shutil.copyfile(path, target),
        }
        measure(report, "clone of 10,000 runs", 0, systems, plan=Plan(rounds=15))
    report.within("clone of a store of 10,000 runs", "clone of 10,000 runs", 0, 5)


if __name__ == "__main__":
    command("fresh", fresh, sizes=(0,))
