"""Pushes to MLflow: everything arrives once, whatever is cut in between, and what exceeds limits is reported before."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import mlflow
import pytest

from mlquery import entities, mlflow_plugin
from mlquery.durable.opening import open as open_store
from mlquery.durable.store import DurableStore
from mlquery.errors import QueryWarning, StoreError
from mlquery.mlflow_plugin import uris
from mlquery.server.testing import running_server
from mlquery.sync.mlflow_registry import INCOMPLETE_TAG
from mlquery.sync.mlflow_target import MlflowTarget
from mlquery.sync.pulling import pull
from mlquery.sync.pushing import LimitViolationError, plan_push, push
from tests.support.mlflow_server import wait_until_healthy
from tests.support.tracker_mlflow import contents, fill, new_database

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tracker_mlflow")]
mlflow_plugin.register()

# The calls of a target that change something on it.
KILLS = int(os.environ.get("MLQUERY_KILLS", "1"))
WRITES = [
    name
    for name in vars(MlflowTarget)
    if name.startswith(("create_", "set_", "log", "end_", "delete_", "upload_")) and not name.startswith("_")
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = new_database(tmp_path_factory.mktemp("source"))
    fill(uri)
    return uri


@pytest.fixture(scope="module")
def in_the_database(database: str) -> dict[str, Any]:
    return contents(database)


@pytest.fixture(scope="module")
def pulled(database: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with open_store(tmp_path_factory.mktemp("pulled") / "runs.mlq", "fast") as store:
        pull(store, database, artifacts=True)
        return store.path


@pytest.fixture
def store(pulled: Path, tmp_path: Path) -> Iterator[DurableStore]:
    shutil.copytree(pulled, tmp_path / "runs.mlq")
    with open_store(tmp_path / "runs.mlq", "fast") as opened:
        yield opened
    uris.reset()


def test_what_was_pulled_from_a_database_is_the_same_after_it_was_pushed_to_another(
    in_the_database: dict[str, Any], store: DurableStore, tmp_path: Path
) -> None:
    target = new_database(tmp_path / "target")

    done = push(store, target)

    assert in_the_database == contents(target)
    assert (6, 0, 0, 1, 6) == (done.new_runs, done.changed_runs, done.same_runs, done.models, done.files)


def test_a_second_push_sends_nothing(store: DurableStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = new_database(tmp_path / "target")
    push(store, target)
    before, seq = contents(target), store.seq
    for name in WRITES:
        monkeypatch.delattr(MlflowTarget, name)

    done = push(store, target)

    assert (0, 0, 6, 0) == (done.new_runs, done.changed_runs, done.same_runs, done.points)
    assert (before, seq) == (contents(target), store.seq)


def test_runs_that_were_pulled_are_not_pushed_back_but_what_is_new_about_them(
    store: DurableStore, database: str, tmp_path: Path
) -> None:
    source = new_database(tmp_path / "source")
    client = mlflow.MlflowClient(source)
    run_id = client.create_run("1", run_name="theirs").info.run_id
    client.log_metric(run_id, "loss", 1.0, 5, 1)
    pull(store, source)
    mine = store.create_run(store.get_run(run_id).info.experiment_id, "me", 7, [], "mine").info.run_id
    store.log_metric(run_id, entities.Metric("loss", 0.5, 6, 2))

    done = push(store, source, experiments=["first"], filter_string=f"run_id IN ('{run_id}', '{mine}')")

    assert (1, 1, 1) == (done.new_runs, done.changed_runs, done.points)
    assert [1.0, 0.5] == [point.value for point in client.get_metric_history(run_id, "loss")]
    assert {"theirs", "mine"} == {run.info.run_name for run in client.search_runs(["1"])}
    pull(store, source)  # and what was pushed is not pulled back under another id
    assert 1 == [store.get_run(found).info.run_name for found in store.runs.ids].count("mine")
    assert mine in store.runs.row_of


def test_what_changed_since_the_last_push_is_sent(store: DurableStore, tmp_path: Path) -> None:
    target = new_database(tmp_path / "target")
    push(store, target)
    run_id = next(found for found in store.runs.ids if store.get_run(found).info.run_name == "run 0")
    store.log_batch(run_id, [entities.Metric("loss", 9.0, 5, 999)], [entities.Param("new", "1")], [])
    store.set_tag(run_id, entities.RunTag("mlflow.runName", "renamed"))
    store.update_run_info(run_id, 4, 123, None)
    store.artifacts.put(run_id, "late.txt", b"late")
    deleted = next(found for found in store.runs.ids if store.get_run(found).info.run_name == "run 4")
    store.restore_run(deleted)
    store.log_metric(deleted, entities.Metric("back", 1.0, 1, 1))
    store.set_experiment_tag("1", entities.ExperimentTag("mlflow.note.content", "another text"))

    done = push(store, target)

    assert contents(f"mlquery:///{store.path}") == contents(target)
    assert (0, 2, 4, 2, 1) == (done.new_runs, done.changed_runs, done.same_runs, done.points, done.files)


class Cut(Exception):
    """The connection is gone."""


def cut_at(monkeypatch: pytest.MonkeyPatch, number: int, is_done: bool) -> None:
    """Let the connection break at the n-th request that changes something, before or after the target has done it."""
    calls = [0]

    def cutting(real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            calls[0] += 1
            if calls[0] == number and not is_done:
                raise Cut
            answer = real(*arguments, **options)
            if calls[0] == number:
                raise Cut
            return answer

        return call

    for name in WRITES:
        monkeypatch.setattr(MlflowTarget, name, cutting(getattr(MlflowTarget, name)))


def test_a_push_that_is_cut_at_any_point_goes_on_without_loss_or_duplicate(
    in_the_database: dict[str, Any], store: DurableStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, chance, cuts = new_database(tmp_path / "target"), random.Random(3), 0
    monkeypatch.setattr("mlquery.store.limits.Limits.__init__", small_batches())
    while True:
        with monkeypatch.context() as patched:
            cut_at(patched, chance.randrange(1, 8), chance.random() < 0.6)
            try:
                push(store, target)
                break
            except Cut:
                cuts += 1

    assert in_the_database == contents(target)
    assert cuts > 10
    assert [] == mlflow.MlflowClient(target).search_runs(["1", "2"], f"tags.`{INCOMPLETE_TAG}` != ''", run_view_type=3)


def small_batches() -> Any:
    from mlquery.store.limits import Limits

    real = Limits.__init__

    def init(self: Limits, *arguments: Any, **options: Any) -> None:
        real(self, *arguments, **{"metrics_per_batch": 150, "params_per_batch": 40} | options)

    return init


def test_every_single_request_of_a_small_push_may_be_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(tmp_path / "a", "fast") as store:
        small_store(store)
        for number in range(1, 30):
            for is_done in (False, True):
                target = f"mlquery://target{number}{is_done}"
                with monkeypatch.context() as patched:
                    cut_at(patched, number, is_done)
                    try:
                        push(store, target)
                    except Cut:
                        pass
                    else:
                        assert number > 12
                        return
                push(store, target)
                assert_arrived(target)


def small_store(store: DurableStore) -> None:
    parent = store.create_run("0", "me", 1, [], "parent").info.run_id
    child = store.create_run("0", "me", 2, [entities.RunTag("mlflow.parentRunId", parent)], "child").info.run_id
    model = store.create_logged_model("0", "net", child)
    store.log_metric(child, entities.Metric("auc", 0.5, 3, 1, model.model_id))
    store.log_batch(child, [entities.Metric("loss", float(i), i, i) for i in range(9)], [entities.Param("p", "v")], [])
    store.log_outputs(child, [(model.model_id, 1)])
    store.finalize_logged_model(model.model_id, 2)
    store.artifacts.put(child, "a/b.txt", b"text")
    store.artifacts.put(model.model_id, "MLmodel", b"{}")
    store.update_run_info(child, 3, 99, None)
    store.delete_run(parent)


def assert_arrived(target: str) -> None:
    client = mlflow.MlflowClient(target)
    runs = {run.info.run_name: run for run in client.search_runs(["0"], run_view_type=3)}
    (model,) = client.search_logged_models(["0"])
    parent, child = runs["parent"], client.get_run(runs["child"].info.run_id)
    assert {"parent", "child"} == set(runs)
    assert 2 == len(client.search_runs(["0"], run_view_type=3))
    assert "deleted" == parent.info.lifecycle_stage
    assert ("FINISHED", 99) == (child.info.status, child.info.end_time)
    expected = {"mlflow.parentRunId": parent.info.run_id, "mlflow.runName": "child"}
    assert expected == child.data.tags
    assert [float(i) for i in range(9)] == [p.value for p in client.get_metric_history(child.info.run_id, "loss")]
    assert [("auc", 0.5, child.info.run_id)] == [(p.key, p.value, p.run_id) for p in model.metrics or ()]
    assert (child.info.run_id, {}, "READY") == (model.source_run_id, model.tags, str(model.status).rpartition(".")[2])
    assert child.outputs is not None
    assert [model.model_id] == [output.model_id for output in child.outputs.model_outputs]
    assert ["a/b.txt"] == [info.path for info in client.list_artifacts(child.info.run_id, "a")]
    assert ["MLmodel"] == [info.path for info in client.list_logged_model_artifacts(model.model_id)]


SERVER = """
import logging, os, sys
os.environ["_MLFLOW_SERVER_FILE_STORE"], port, folder = sys.argv[1:]
os.environ |= {"_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/", "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true"}
os.environ["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] = folder
logging.disable(logging.CRITICAL)
from mlflow.server import app
app.run(port=int(port), threaded=True)
"""


class Server:
    """MLflow's server in a process of its own."""

    def __init__(self, database: str, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.uri, self.database, self.folder = f"http://127.0.0.1:{port}", database, folder
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-c", SERVER, self.database, self.uri.rpartition(":")[2], str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until_healthy(self.uri, self.process)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_push_to_a_server_that_is_killed_at_any_moment_goes_on_when_it_is_back(
    seed: int, in_the_database: dict[str, Any], store: DurableStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("mlquery.store.limits.Limits.__init__", small_batches())
    server, chance = Server(new_database(tmp_path / "target"), tmp_path / "files"), random.Random(seed)
    with pytest.raises(StoreError, match=r"cannot be reached|request to .* failed"):
        push_until_killed(store, server, chance.randrange(1, 12), chance.random() * 0.03)
    with suppress(StoreError):  # the second may come too late
        push_until_killed(store, server, chance.randrange(1, 25), chance.random() * 0.03)

    push(store, server.uri)

    assert in_the_database == contents(server.uri)
    seq, again = store.seq, push(store, server.uri)
    assert (0, 0, seq) == (again.new_runs, again.changed_runs, store.seq)
    server.kill()


def push_until_killed(store: DurableStore, server: Server, number: int, seconds: float) -> None:
    """Push to a server that is killed a little after the n-th request that changes something; it is back in the end."""
    calls, killer = count(1), threading.Timer(seconds, server.kill)

    def killing(real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if next(calls) == number:
                killer.start()
            return real(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patched:
        for name in WRITES:
            patched.setattr(MlflowTarget, name, killing(getattr(MlflowTarget, name)))
        try:
            push(store, server.uri)
        finally:
            if killer.ident is not None:
                killer.join()
                server.start()


# Limit violations


@pytest.fixture
def wide(tmp_path: Path) -> Iterator[DurableStore]:
    """Return a store with a run that Azure does not take and one that it takes."""
    with open_store(tmp_path / "wide", "fast") as store:
        fits = store.create_run("0", "me", 1, [], "fits").info.run_id
        store.log_batch(fits, [entities.Metric("m", float(i), i, i) for i in range(1000)], [], [])
        wide = store.create_run("0", "me", 2, [entities.RunTag("long", "x" * 1001)], "wide").info.run_id
        for start in (0, 100, 200):
            store.log_batch(wide, [], [entities.Param(f"p{i}", "v") for i in range(start, start + 70)], [])
        yield store
    uris.reset()


def test_what_does_not_fit_is_listed_before_anything_is_sent(wide: DurableStore) -> None:
    target = "mlquery://narrow?dialect=azure"
    mlflow.MlflowClient(target).search_experiments()

    with pytest.raises(LimitViolationError) as refused:
        push(wide, target, dialect="azure")

    wide_id = wide.runs.ids[1]
    expected = [
        f"run {wide_id}: params: 210, at most 200",
        f"run {wide_id}: characters in tag 'long': 1001, at most 1000",
    ]
    assert expected == list(map(str, refused.value.violations))
    assert expected == list(map(str, plan_push(wide, target, dialect="azure").violations))
    assert [] == mlflow.MlflowClient(target).search_runs([default_id(target)])


def default_id(target: str) -> str:
    found = mlflow.MlflowClient(target).get_experiment_by_name("Default")
    assert found is not None
    return str(found.experiment_id)


def test_the_rest_is_sent_in_batches_that_the_target_takes(wide: DurableStore) -> None:
    target = "mlquery://narrow?dialect=azure"

    done = push(wide, target, dialect="azure", leave_out=True)

    runs = mlflow.MlflowClient(target).search_runs([default_id(target)])
    assert {"fits": 0, "wide": 200} == {run.info.run_name: len(run.data.params) for run in runs}
    assert (2, 1000) == (done.new_runs, done.points)
    assert 0 == push(wide, target, dialect="azure", leave_out=True).changed_runs


def test_a_plan_says_what_would_be_sent_and_asks_nobody(store: DurableStore) -> None:
    plan = plan_push(store, "http://nobody.invalid:1")

    assert (2, 6, 6, 0, 1, 6, ()) == (
        *(len(plan.experiments), len(plan.runs), plan.new_runs, plan.same_runs),
        *(len(plan.models), plan.files, plan.violations),
    )
    assert 6 * 308 + 4 == plan.points


def test_a_target_that_cannot_be_reached_is_one_sentence_at_once(store: DurableStore) -> None:
    start = time.monotonic()

    for url, reason in [("http://127.0.0.1:9", "connection refused"), ("http://nowhere.invalid", ".*[nN]ame")]:
        with pytest.raises(StoreError, match=f"{url} cannot be reached: {reason}") as refused:
            push(store, url)
        assert "\n" not in str(refused.value)

    assert time.monotonic() - start < 30


def test_a_deleted_experiment_of_the_target_is_said_before_anything_is_sent(
    store: DurableStore, tmp_path: Path
) -> None:
    target = new_database(tmp_path / "target")
    mlflow.MlflowClient(target).delete_experiment("2")

    with pytest.raises(StoreError, match=r"'second' is deleted on .*; nothing was sent"):
        push(store, target)

    assert [] == mlflow.MlflowClient(target).search_runs(["1", "2"], run_view_type=3)


def test_only_one_push_runs_at_a_time(store: DurableStore) -> None:
    from mlquery.durable.locks import FolderLock

    lock = FolderLock(store.path, alone=True, name="push.lock")
    with pytest.raises(StoreError, match="is being pushed by another process"):
        push(store, "mlquery://x")
    lock.release()


def test_tags_that_name_runs_name_them_as_the_target_does(tmp_path: Path) -> None:
    with open_store(tmp_path / "a", "fast") as store:
        run_id = store.create_run("0", "me", 1, [], "one").info.run_id
        history = [{"run_id": run_id, "artifact_path": "model", "flavors": {}}, {"artifact_path": "x"}]
        store.set_tag(run_id, entities.RunTag("mlflow.log-model.history", json.dumps(history)))
        push(store, "mlquery://named")

    (run,) = mlflow.MlflowClient("mlquery://named").search_runs(["0"])
    uris.reset()
    models = json.loads(run.data.tags["mlflow.log-model.history"])
    assert run_id != run.info.run_id
    assert [run.info.run_id, None] == [model.get("run_id") for model in models]


@pytest.mark.parametrize("has_sizes", [True, False])
def test_a_file_that_the_target_has_otherwise_and_does_not_replace_is_listed(
    has_sizes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = MlflowTarget.files
    if not has_sizes:  # as Microsoft's client lists them
        unsized = lambda *about: (attrs.evolve(file, size=-1) for file in files(*about))  # noqa: E731
        monkeypatch.setattr(MlflowTarget, "files", unsized)
    with open_store(tmp_path / "store") as store, running_server(dialect="azure") as server:
        run_id = store.create_run("0", "me", 1, [], "one").info.run_id
        store.artifacts.put(run_id, "a/b.txt", b"first")
        assert 1 == push(store, server.url, dialect="azure").files
        store.artifacts.put(run_id, "a/b.txt", b"another")
        store.artifacts.put(run_id, "c.txt", b"new")

        done = push(store, server.url, dialect="azure")

        assert (1, [f"{run_id}: a/b.txt"] if has_sizes else []) == (done.files, done.kept_files)
        assert (0, 1) == (push(store, server.url, dialect="azure").files, done.changed_runs)
        with open_store(tmp_path / "copy") as copy:
            with pytest.warns(QueryWarning, match="ViewType.ALL"):
                pull(copy, server.url, artifacts=True)
            assert b"first" == copy.artifacts.read(copy.runs.ids[0], "a/b.txt")
