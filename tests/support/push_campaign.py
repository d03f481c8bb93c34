"""Parts of a campaign of pushes: stores to push, pushes in processes that can be killed, a server that can be, checks.

`python -m tests.support.push_campaign FOLDER PORT` serves the store in a folder.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from mlquery.durable.opening import open as open_store
from mlquery.durable.store import DurableStore
from mlquery.entities import Metric, Param, RunTag
from mlquery.errors import StoreError
from mlquery.registry import Registry
from tests.support.fault_proxy import FAULTS

SHARED = "shared"
"""The name of the registered model that all stores have versions of."""


def push_store(path: str, target: str) -> None:
    """Push a store and leave with 0 if that succeeded, 1 if a request failed, 2 if another process pushes it."""
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "3"
    os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"] = "0"
    os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_JITTER"] = "0"
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "10"
    from mlquery.sync.pushing import push

    try:
        with open_store(path, "fast") as store:
            push(store, target)
    except StoreError as error:
        text = str(error)
        if not ("failed" in text or "cannot be reached" in text or "being pushed" in text):
            print(text, file=sys.stderr)
            os._exit(3)
        os._exit(2 if "being pushed" in text else 1)
    os._exit(0)


@attrs.define
class Faults:
    """Chooses what happens to each request; `share` of them meet a fault, and at one of them a pusher may be killed."""

    chance: random.Random
    share: float
    met: Counter[str] = attrs.field(factory=Counter)
    has_killed: threading.Event = attrs.field(factory=threading.Event, init=False)
    _lock: Any = attrs.field(factory=threading.Lock, init=False, repr=False)
    _victim: Any = attrs.field(default=None, init=False)
    _requests_left: int = attrs.field(default=0, init=False)

    def __call__(self, method: str, path: str) -> str:
        """Return what happens to a request."""
        with self._lock:
            fault = self.chance.choice(FAULTS) if self.chance.random() < self.share else "pass"
            self.met[fault] += 1
            self._requests_left -= 1
            if self._victim is not None and self._requests_left <= 0:
                self._victim.kill()  # its state is not asked for: only the thread that waits for it may do that
                self._victim = None
                self.has_killed.set()
            return fault

    def kill_after(self, requests: int, process: Any) -> None:
        """Kill a process when so many more requests have come, the last of which is not answered before."""
        with self._lock:
            self._victim, self._requests_left = process, requests

    def spare(self) -> None:
        """Kill nobody any more."""
        with self._lock:
            self._victim = None


def fill(store: DurableStore, name: str) -> None:
    """Log two nested runs with data, a logged model and versions of two registered models."""
    experiment = store.get_experiment_by_name("campaign")
    experiment_id = store.create_experiment("campaign") if experiment is None else experiment.experiment_id
    parent = store.create_run(experiment_id, "me", 1, [RunTag("id", f"{name} parent")], f"{name} parent").info.run_id
    tags = [RunTag("id", f"{name} child"), RunTag("mlflow.parentRunId", parent)]
    child = store.create_run(experiment_id, "me", 2, tags, f"{name} child").info.run_id
    model = store.create_logged_model(experiment_id, f"{name}-net", child, [], [Param("depth", "3")])
    points = [Metric("loss", 1 / (step + 1), step, step) for step in range(20)]
    store.log_batch(child, points, [Param("lr", "0.1")], [])
    store.log_metric(child, Metric("auc", 0.5, 3, 1, model.model_id))
    store.log_outputs(child, [(model.model_id, 1)])
    store.finalize_logged_model(model.model_id, 2)
    store.artifacts.put(child, "a/b.txt", name.encode())
    for run_id in (parent, child):
        store.update_run_info(run_id, 3, 99, None)
    registry = Registry(store.clock, store)
    for registered in (SHARED, name.partition(" ")[0]):
        with suppress(StoreError):
            registry.create_registered_model(registered, {"team": "core"})
        about: dict[str, Any] = {"tags": {"id": f"{name} {registered}"}, "find_model": store.get_logged_model}
        registry.create_model_version(registered, f"models:/{model.model_id}", child, **about)


def everything(search: Any, **query: Any) -> list[Any]:
    """Return what a search finds on all of its pages."""
    found: list[Any] = []
    page = search(**query)
    while True:
        found += page
        if not page.token:
            return found
        page = search(**query, page_token=page.token)


def differences(client: Any, names: list[str]) -> list[str]:
    """Return what a target lacks, or has more than once, of stores that were filled under these names."""
    experiment = client.get_experiment_by_name("campaign")
    ids = [experiment.experiment_id]
    runs = everything(client.search_runs, experiment_ids=ids, run_view_type=1, max_results=1000)
    models = everything(client.search_logged_models, experiment_ids=ids, max_results=100)
    versions = everything(client.search_model_versions, max_results=1000)
    found = []
    by_id = {run.data.tags.get("id"): run for run in runs}
    expected_runs = Counter(f"{name} {kind}" for name in names for kind in ("parent", "child"))
    expected_versions = Counter(f"{name} {kind}" for name in names for kind in (SHARED, name.partition(" ")[0]))
    for what, expected, there in (
        ("run", expected_runs, Counter(run.data.tags.get("id", "no id") for run in runs)),
        ("model", Counter(f"{name}-net" for name in names), Counter(model.name for model in models)),
        ("version", expected_versions, Counter(one.tags.get("id", "no id") for one in versions)),
    ):
        found += [
            f"{what} {one} is there {there[one]} times" for one in expected | there if there[one] != expected[one]
        ]
    owners = {model.model_id: model.source_run_id for model in models}
    for name in names:
        parent, child = by_id.get(f"{name} parent"), by_id.get(f"{name} child")
        if parent is None or child is None:
            continue
        tags = {"id": f"{name} child", "mlflow.runName": f"{name} child", "mlflow.parentRunId": parent.info.run_id}
        seen = [
            *(child.info.status, child.info.end_time, child.data.params, child.data.tags),
            [point.step for point in client.get_metric_history(child.info.run_id, "loss")],
            [owners.get(one.model_id) for one in client.get_run(child.info.run_id).outputs.model_outputs],
            [file.path for file in client.list_artifacts(child.info.run_id, "a")],
        ]
        wanted = ["FINISHED", 99, {"lr": "0.1"}, tags, list(range(20)), [child.info.run_id], ["a/b.txt"]]
        if seen != wanted:
            found.append(f"{name}: {seen} and not {wanted}")
    return found


def start(context: Any, path: Path, target: str) -> Any:
    """Start a process that pushes a store."""
    process = context.Process(target=push_store, args=(str(path), target))
    process.start()
    return process


def quick_context() -> Any:
    """Return a context whose processes start at once, because one that has imported MLflow is forked."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlflow", "mlquery.sync.pushing", "tests.support.push_campaign"])
    return context


def serve(path: str, port: int) -> None:
    """Serve a store on disk, whose artifacts go through the server."""
    from mlquery.server.locations import ARTIFACT_ROOT
    from mlquery.server.process import bound_socket
    from mlquery.server.process import serve as serve_socket
    from mlquery.server.security import Security
    from mlquery.server.service import new_service

    with open_store(path, "fast") as store:
        store.move_artifact_root(ARTIFACT_ROOT)
        serve_socket(new_service(store), Security(), bound_socket("127.0.0.1", port), lambda: None)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
