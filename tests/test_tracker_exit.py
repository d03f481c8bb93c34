"""Runs that are active when a script ends: on disk they end as on MLflow's SQLite store; after an exception, as FAILED.

Only the innermost run of the main thread ends, there and here; what SQLite has is measured in the same test. By default
SQLite is measured for two ways to end; `MLQUERY_EXITS=all` does it for all of them, and tries each store with each way.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

import mlquery

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks")]

TOP = Path(__file__).resolve().parents[1]
DRIVER = TOP / "tests" / "support" / "exit_driver.py"

Statuses = dict[str | None, str]
ENDED: Statuses = {"outer": "RUNNING", "inner": "FINISHED"}
FAILED: Statuses = {"outer": "RUNNING", "inner": "FAILED"}
ON_SQLITE = {
    "end": ENDED,
    "exception": ENDED,
    "interrupt": ENDED,
    "exit 0": ENDED,
    "exit 1": ENDED,
    "block": ENDED | {"block": "FAILED"},
    "thread": ENDED | {"thread": "RUNNING"},
}
HERE = ON_SQLITE | {"exception": FAILED, "interrupt": FAILED, "block": FAILED | {"block": "FAILED"}}

DOORS = ("plugin", "fluent", "plugin, two stores", "fluent, two stores")
PAIRS = [(store, way) for store in ("sqlite", *DOORS) for way in HERE]
if os.environ.get("MLQUERY_EXITS") != "all":
    PAIRS = [("sqlite", "end"), ("sqlite", "exception"), ("plugin", "end"), ("plugin, two stores", "exception")]
    PAIRS += [("fluent", "end"), ("fluent, two stores", "exception"), ("fluent", "thread")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the stores after all scripts have ended."""
    folder = tmp_path_factory.mktemp("exits")
    command = [sys.executable, str(DRIVER), str(folder), *map(":".join, PAIRS)]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(TOP)}, check=True, timeout=600)
    return folder


@pytest.mark.parametrize(("store", "way"), PAIRS)
def test_a_run_that_is_active_when_a_script_ends_is_ended(store: str, way: str, folder: Path) -> None:
    path = folder / f"{store}, {way}"
    if store == "sqlite":
        assert ON_SQLITE[way] == statuses(MlflowClient(f"sqlite:///{path}"))
        return
    if store.endswith("two stores"):
        assert {"first store": "FINISHED"} == statuses_on_disk(path)
        path = path.with_name(f"{path.name}, second")
    assert HERE[way] == statuses_on_disk(path)


def statuses_on_disk(path: Path) -> Statuses:
    with mlquery.open(path, read_only=True) as store:
        return statuses(mlquery.Client(store))


def statuses(client: MlflowClient | mlquery.Client) -> Statuses:
    """Return the statuses of the runs by name; those that have ended have an end time."""
    runs = [run.info for run in client.search_runs(["0"])]
    assert all((run.end_time is None) == (run.status == "RUNNING") for run in runs)
    return {run.run_name: run.status for run in runs}
