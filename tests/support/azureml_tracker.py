"""Pushes a store on disk through the real `azureml-mlflow` client, pulls it into another, and prints what came of it.

Usage: python azureml_tracker.py FOLDER, with a Python that has azureml-mlflow and what mlquery needs, and an
environment that leads to the server.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mlquery.durable.opening import open as open_store
from mlquery.durable.store import DurableStore
from mlquery.entities import Metric, Param, RunTag
from mlquery.sync.pulling import pull
from mlquery.sync.pushing import LimitViolationError, push


def fill(store: DurableStore) -> None:
    experiment_id = store.create_experiment("ward 7")
    parent = store.create_run(experiment_id, "ada", 1_000, [], "parent").info.run_id
    child = store.create_run(experiment_id, "ada", 2_000, [RunTag("mlflow.parentRunId", parent)], "child").info.run_id
    values = [*(step / 7 for step in range(600)), float("inf")]
    store.log_batch(child, [Metric("loss", value, 3_000 + i, i) for i, value in enumerate(values)], [], [])
    for start in range(0, 210, 70):
        store.log_batch(parent, [], [Param(f"p{i}", "v") for i in range(start, start + 70)], [])
    store.update_run_info(child, 3, 9_000, None)
    store.artifacts.put(child, "model/MLmodel", b"flavors: {}")


def runs_of(store: DurableStore) -> dict[str, Any]:
    """Return what is in a store by the names of the runs."""
    runs = {run_id: store.get_run(run_id) for run_id in store.runs.ids}
    names = {run_id: run.info.run_name for run_id, run in runs.items()}
    return {
        str(run.info.run_name): [
            *(run.info.status, run.info.start_time, run.info.end_time, len(run.data.params)),
            names.get(run.data.tags.get("mlflow.parentRunId", "")),
            [str(column.tolist()) for column in store.history(run_id, "loss")],
            {
                info.path: store.artifacts.read(run_id, info.path).decode()
                for info in store.artifacts.list(run_id, "model")
            },
        ]
        for run_id, run in runs.items()
    }


def main(folder: str) -> None:
    uri, seen = os.environ["MLFLOW_TRACKING_URI"], dict[str, Any]()
    with open_store(f"{folder}/here", "fast") as store, open_store(f"{folder}/back", "fast") as back:
        fill(store)
        try:
            push(store, uri)
        except LimitViolationError as error:
            seen["unfit"] = [str(part).partition(": ")[2] for part in error.violations]
        pulled = pull(back, uri)
        seen["before"] = pulled.new_runs
        seen["pushed"] = [push(store, uri, leave_out=True).new_runs for _ in range(2)]
        seen["pulled"] = [pull(back, uri, artifacts=True).new_runs for _ in range(2)]
        seen["here"], seen["back"] = runs_of(store), runs_of(back)
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
