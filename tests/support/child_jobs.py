"""What the child processes of `test_mock_children` do: functions that any kind of process can import."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection
from typing import Any


def train(name: str) -> str:
    """Log a run with a file and return its id."""
    import mlflow

    with mlflow.start_run(run_name=name) as run:
        mlflow.log_param("pid", os.getpid())
        mlflow.log_metric("loss", 0.5)
        mlflow.log_text(f"weights of {name}", "weights.txt")
    return str(run.info.run_id)


def train_elsewhere(name: str) -> str:
    """Do the same after the tracking URI was set to a database."""
    import mlflow

    mlflow.set_tracking_uri("sqlite:///production.db")
    return train(name)


def train_nested(parent_run_id: str) -> str:
    """Log a run below another one, as code that searches for good parameters does."""
    import mlflow

    with mlflow.start_run(run_name="trial", nested=True, parent_run_id=parent_run_id) as run:
        mlflow.log_metric("loss", 0.25)
    return str(run.info.run_id)


def work(orders: Connection) -> None:
    """Call what comes through a pipe and send back what it returns or raises, as the workers of a pool do."""
    while True:
        call, *arguments = orders.recv()
        if call is None:
            return
        try:
            found: Any = call(*arguments)
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        orders.send(found)
