"""Pushes through a network that loses requests and answers: the target holds everything exactly once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest

from mlquery.durable.opening import open as open_store
from mlquery.durable.store import DurableStore
from mlquery.errors import StoreError
from mlquery.server.testing import running_server
from mlquery.sync.mlflow_registry import INCOMPLETE_TAG
from mlquery.sync.pushing import push
from tests.support.fault_proxy import fault_proxy
from tests.support.mlflow_server import wait_until_healthy
from tests.support.tracker_mlflow import new_database
from tests.test_tracker_push import Server, assert_arrived, small_store

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tracker_faults")]


@pytest.fixture(autouse=True)
def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MLflow's client repeat requests at once, and write the files of a default experiment elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DurableStore]:
    with open_store(tmp_path / "runs.mlq", "fast") as opened:
        small_store(opened)
        yield opened


FULL = int(os.environ.get("MLQUERY_PUSHES", "0")) > 0
BOTH = [
    (fault, server)
    for server in ("mlquery", "mlflow")
    for fault in ("503 after", "reset after", "503 before", "late", "cut")
]
IN_SHORT = [*((fault, server) for fault, server in BOTH if server == "mlquery"), ("503 after", "mlflow")]


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "mlquery":
        with running_server() as running:
            yield running.url
        return
    started = Server(new_database(tmp_path / "target"), tmp_path / "files")
    wait_until_healthy(started.uri, started.process)
    yield started.uri
    started.kill()


def at_first(fault: str) -> Callable[[str, str], str]:
    """Return what lets each request that writes meet a fault at first, and pass when it is repeated."""
    seen: set[tuple[str, str]] = set()

    def choose(method: str, path: str) -> str:
        about = method, path
        if method == "GET" or "search" in path:
            return "pass"
        if about in seen:
            seen.remove(about)
            return "pass"
        seen.add(about)
        return fault

    return choose


def incomplete(url: str) -> list[str]:
    """Return the ids of the runs, deleted ones too, and models with the tag of what is being pushed."""
    client = mlflow.MlflowClient(url)
    ids = [found.experiment_id for found in client.search_experiments(view_type=3)]
    runs = client.search_runs(ids, run_view_type=3)
    models = client.search_logged_models(ids)
    return [run.info.run_id for run in runs if INCOMPLETE_TAG in run.data.tags] + [
        model.model_id for model in models if INCOMPLETE_TAG in model.tags
    ]


def push_until_done(store: DurableStore, target: str, most: int) -> None:
    """Push again until it succeeds: MLflow's client does not repeat a request whose answer is cut."""
    for number in range(most):
        try:
            push(store, target)
            return
        except StoreError:
            if number == most - 1:
                raise


@pytest.mark.parametrize(("fault", "server"), BOTH if FULL else IN_SHORT, indirect=["server"])
def test_a_push_whose_every_request_must_be_repeated_creates_nothing_twice(
    fault: str, store: DurableStore, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "late":  # time enough for a request to arrive before it is looked for
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    deleted = store.create_experiment("deleted")
    store.delete_experiment(deleted)
    store.create_experiment("other")
    choose = [at_first(fault)]
    with fault_proxy(server, lambda *about: choose[0](*about), stall=0.02) as proxied:
        push_until_done(store, proxied, most=40 if fault == "cut" else 1)
        choose[0] = lambda *_: "pass"
        push(store, proxied)  # finds what came late

    assert_arrived(server)
    assert [] == incomplete(server)
    experiments = {found.name: found.lifecycle_stage for found in mlflow.MlflowClient(server).search_experiments(3)}
    assert ("deleted", "active") == (experiments["deleted"], experiments["other"])


def test_what_a_server_creates_long_after_it_was_asked_is_deleted_by_the_next_push(store: DurableStore) -> None:
    """A gateway may hold back a request to create something until the client has asked again, and longer."""
    asked: set[str] = set()

    def late(method: str, path: str) -> str:
        is_first = method == "POST" and path.endswith(("runs/create", "/logged-models")) and path not in asked
        asked.add(path if is_first else "")
        return "late" if is_first else "pass"

    with running_server() as server, fault_proxy(server.url, late, stall=3.0) as proxied:
        push(store, proxied)
        client = mlflow.MlflowClient(server.url)
        while len(client.search_runs(["0"], run_view_type=3)) < 3 or len(client.search_logged_models(["0"])) < 2:
            time.sleep(0.1)
        push(store, proxied)

        (kept,) = client.search_runs(["0"])
        (model,) = client.search_logged_models(["0"])
        assert ("child", "FINISHED") == (kept.info.run_name, kept.info.status)
        assert model.source_run_id == kept.info.run_id
        assert {"child", "parent"} == {run.info.run_name for run in client.search_runs(["0"], run_view_type=3)}


def test_what_others_are_pushing_is_no_duplicate(store: DurableStore, tmp_path: Path) -> None:
    with running_server() as server:
        client = mlflow.MlflowClient(server.url)
        push(store, server.url)
        others = client.create_run("0", tags={INCOMPLETE_TAG: f"another-store/{store.runs.ids[0]}"})
        older = client.create_run("0", tags={INCOMPLETE_TAG: store.runs.ids[0]})
        own = client.create_run("0", tags={INCOMPLETE_TAG: f"{store.store_id}/{store.runs.ids[0]}"})
        used = client.create_run("0", tags={INCOMPLETE_TAG: f"{store.store_id}/{store.runs.ids[0]}"})
        client.log_param(used.info.run_id, "not", "empty")

        push(store, server.url)

        stages = [client.get_run(run.info.run_id).info.lifecycle_stage for run in (others, older, own, used)]
        assert ["active", "active", "deleted", "active"] == stages


def test_a_push_that_was_killed_before_it_deleted_a_model_goes_on(store: DurableStore) -> None:
    (model_id,) = store.models.by_id
    with running_server() as server:
        push(store, server.url)
        store.delete_logged_model(model_id)
        mlflow.MlflowClient(server.url).delete_logged_model(store.pushed[server.url]["model"][model_id][0])

        assert (0, 0) == (push(store, server.url).gone_models, push(store, server.url).models)
