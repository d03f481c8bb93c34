"""A script that forks children, each of which leaves runs active in a store and ends in one way; see test_tracker_exit.

    python exit_driver.py FOLDER STORE:WAY …

MLflow is imported once, before the forks.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow

import mlquery
from mlquery import fluent, mlflow_plugin

mlflow_plugin.register()
TOP = Path(sys.argv[1])


def nothing() -> None:
    """End as scripts do."""


def an_exception() -> None:
    raise ValueError("the script is wrong")


def interrupted() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)


def in_a_block(module: Any) -> None:
    with module.start_run(run_name="block", nested=True):
        raise ValueError("the block is wrong")


def in_a_thread(module: Any) -> None:
    thread = threading.Thread(target=lambda: module.start_run(run_name="thread"))
    thread.start()
    thread.join()


WAYS: dict[str, Callable[[Any], object]] = {
    "end": lambda _: nothing(),
    "exception": lambda _: an_exception(),
    "interrupt": lambda _: interrupted(),
    "exit 0": lambda _: sys.exit(0),
    "exit 1": lambda _: sys.exit(1),
    "block": in_a_block,
    "thread": in_a_thread,
}


def module_on(store: str, folder: Path) -> Any:
    """Return the module whose functions work on a store in a folder."""
    if store.startswith("fluent"):
        fluent.use(mlquery.open(folder))
        return fluent
    if store == "sqlite":
        shutil.copy(TOP / "empty.db", folder)
    mlflow.set_tracking_uri(f"sqlite:///{folder}" if store == "sqlite" else f"mlquery:///{folder}")
    return mlflow


def leave_runs_active(store: str, folder: Path) -> Any:
    """Start a run and one in it, in the last of the stores, and return the module that did it."""
    module = module_on(store, folder)
    if store.endswith("two stores"):
        module.start_run(run_name="first store")
        module.end_run()
        module = module_on(store, folder.with_name(f"{folder.name}, second"))
    module.start_run(run_name="outer")
    module.start_run(run_name="inner", nested=True)
    module.log_metric("loss", 0.5)
    return module


def main() -> None:
    """Fork the children one after the other; each comes out of here as if it were the whole script."""
    chosen = [tuple(pair.split(":")) for pair in sys.argv[2:]]
    mlflow.MlflowClient(f"sqlite:///{TOP}/empty.db").search_experiments()
    for store, way in chosen:
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            folder = TOP / f"{store}, {way}"
            WAYS[way](leave_runs_active(store, folder))
            return
        os.waitpid(child, 0)


main()
