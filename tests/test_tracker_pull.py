"""Pulls into a store on disk: from MLflow's databases and folders, from servers, from other stores on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

import mlquery
from mlquery import mlflow_plugin
from mlquery.durable.opening import open as open_store
from mlquery.durable.store import DurableStore
from mlquery.errors import QueryError, StoreError
from mlquery.mlflow_plugin import uris
from mlquery.sync.mlflow_source import MlflowSource
from mlquery.sync.pulling import _Pull, pull
from tests.support.tracker_calls import everything
from tests.support.tracker_mlflow import contents, fill, new_database

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tracker_mlflow")]
mlflow_plugin.register()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = new_database(tmp_path_factory.mktemp("source"))
    fill(uri)
    return uri


@pytest.fixture(scope="module")
def in_the_database(database: str) -> dict[str, Any]:
    return contents(database)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DurableStore]:
    with open_store(tmp_path / "runs.mlq", "fast") as opened:
        yield opened
    uris.reset()


def seen_by_mlflow(store: DurableStore, artifacts: bool = True) -> dict[str, Any]:
    """Return what MLflow's client finds in a store on disk."""
    return contents(f"mlquery:///{store.path}", artifacts)


def test_a_database_is_pulled_with_everything_in_it(
    database: str, in_the_database: dict[str, Any], store: DurableStore
) -> None:
    done = pull(store, database, artifacts=True)

    assert in_the_database == seen_by_mlflow(store)
    assert (3, 6, 0, 0, 1, 6) == (
        *(done.experiments, done.new_runs, done.changed_runs, done.same_runs, done.models, done.files),
    )


def test_ids_stay_and_a_second_pull_changes_nothing(database: str, store: DurableStore) -> None:
    pull(store, database)
    ids = {run.info.run_id for run in mlflow.MlflowClient(database).search_runs(["1", "2"], run_view_type=3)}
    before, seq = everything(store), store.seq

    done = pull(store, database)

    assert ids == set(store.runs.ids)
    assert (before, seq) == (everything(store), store.seq)
    assert (0, 0, 6) == (done.new_runs, done.changed_runs, done.same_runs)


def test_the_client_and_the_database_itself_give_the_same(database: str, store: DurableStore, tmp_path: Path) -> None:
    pull(store, database, artifacts=True)
    with open_store(tmp_path / "other", "fast") as other:
        source = MlflowSource(database)
        _Pull(other, source, artifacts=True, progress=lambda *_: None).all((), "")

        assert seen_by_mlflow(store) == seen_by_mlflow(other)


def test_a_folder_of_runs_is_pulled(store: DurableStore, tmp_path: Path) -> None:
    made = tmp_path / "made"
    make_folder_store(made)

    done = pull(store, str(made), artifacts=True)

    (run_id,) = store.runs.ids
    assert [0.5, 0.25] == store.history(run_id, "loss")[0].tolist()
    assert b"hello" == store.artifacts.read(run_id, "a.txt")
    assert (1, 2, 1) == (done.new_runs, done.points, done.files)


def make_folder_store(folder: Path) -> None:
    """Write an `mlruns` folder as MLflow's folder store does."""
    run_id = "0123456789abcdef0123456789abcdef"
    run = folder / "1" / run_id
    for part in ("metrics", "params", "tags", "artifacts"):
        (run / part).mkdir(parents=True)
    (folder / "1" / "meta.yaml").write_text(
        f"artifact_location: {(folder / '1').as_uri()}\nexperiment_id: '1'\nlifecycle_stage: active\nname: sweep\n"
    )
    (run / "meta.yaml").write_text(
        f"artifact_uri: {(run / 'artifacts').as_uri()}\nend_time: 20\nexperiment_id: '1'\nlifecycle_stage: active\n"
        f"run_id: {run_id}\nrun_name: one\nstart_time: 10\nstatus: 3\nuser_id: ada\n"
    )
    (run / "metrics" / "loss").write_text("11 0.5 0\n12 0.25 1\n")
    (run / "artifacts" / "a.txt").write_text("hello")


def test_another_store_on_disk_is_pulled(database: str, store: DurableStore, tmp_path: Path) -> None:
    pull(store, database, artifacts=True)
    with open_store(tmp_path / "other", "fast") as other:
        done = pull(other, str(store.path), artifacts=True)

        assert seen_by_mlflow(store) == seen_by_mlflow(other)
        assert 6 == done.new_runs


def test_only_the_chosen_experiments_and_runs_are_pulled(database: str, store: DurableStore) -> None:
    pull(store, database, experiments=["first"], filter_string="attributes.run_name = 'run 2'")

    assert ["run 2"] == [store.get_run(run_id).info.run_name for run_id in store.runs.ids]
    assert {} == store.models.by_id
    with pytest.raises(Exception, match="has no experiment named 'third'"):
        pull(store, database, experiments=["third"])


def test_runs_that_went_on_since_the_last_pull_are_brought_up_to_date(store: DurableStore, tmp_path: Path) -> None:
    uri = new_database(tmp_path / "source")
    client = mlflow.MlflowClient(uri)
    runs = [client.create_run("1", run_name=name).info.run_id for name in ("goes on", "stays")]
    client.log_metric(runs[0], "loss", 1.0, 5, 1)
    client.set_tag(runs[0], "old", "x")
    pull(store, uri)
    client.log_metric(runs[0], "loss", 2.0, 6, 2)
    client.log_param(runs[0], "p", "v")
    client.delete_tag(runs[0], "old")
    client.set_tag(runs[0], "mlflow.runName", "renamed")
    client.set_terminated(runs[0], "FAILED", 99)
    client.log_text(runs[1], "late", "late.txt")
    client.delete_run(runs[1])

    done = pull(store, uri, artifacts=True)

    assert contents(uri) == seen_by_mlflow(store)
    assert (0, 2, 1) == (done.new_runs, done.changed_runs, done.points)


def test_a_pull_that_was_cut_short_goes_on(
    database: str, in_the_database: dict[str, Any], store: DurableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlquery.sync.pulling._RUNS_OF_A_TRANSACTION", 2)
    for allowed in (3, 1, 2):
        with monkeypatch.context() as patched:
            fail_after(patched, allowed)
            with pytest.raises(ConnectionResetError):
                pull(store, database, artifacts=True)

    done = pull(store, database, artifacts=True)

    assert in_the_database == seen_by_mlflow(store)
    assert done.same_runs > 0


def fail_after(patched: pytest.MonkeyPatch, allowed: int) -> None:
    """Let the source break off after it has given the details of so many runs."""
    from mlquery.sync.sources import StoreSource

    calls, real = [0], StoreSource.details

    def details(self: StoreSource, run: Any) -> Any:
        calls[0] += 1
        if calls[0] > allowed:
            raise ConnectionResetError
        return real(self, run)

    patched.setattr(StoreSource, "details", details)


def test_an_experiment_whose_id_is_taken_gets_another(store: DurableStore, tmp_path: Path) -> None:
    store.create_experiment("mine")
    uri = new_database(tmp_path / "source")
    run_id = mlflow.MlflowClient(uri).create_run("1").info.run_id

    pull(store, uri)

    found = store.get_experiment(store.get_run(run_id).info.experiment_id)
    assert ("first", False) == (found.name, found.experiment_id == "1")


def test_a_filter_that_is_none_leaves_no_trace(database: str, store: DurableStore) -> None:
    seq = store.seq

    with pytest.raises(QueryError, match="the comparison has no value"):
        pull(store, database, filter_string="metrics.loss >")

    assert seq == store.seq


def test_what_cannot_be_pulled_is_said_in_one_sentence(store: DurableStore, tmp_path: Path) -> None:
    for source, problem in [
        (str(tmp_path / "none"), "does not exist"),
        ("azureml://eastus.api.azureml.ms/x", "pip install azureml-mlflow"),
        ("gopher://host", "MLflow has no tracking store for gopher://host"),
        (f"mlquery:///{tmp_path}/none", "does not exist"),
    ]:
        with pytest.raises(Exception, match=problem) as refused:
            pull(store, source)
        assert "\n" not in str(refused.value)


def test_a_store_in_memory_neither_pulls_nor_pushes(tmp_path: Path) -> None:
    for call in (mlquery.pull, mlquery.push):
        with pytest.raises(StoreError, match=r"need a store on disk; instead: mlquery\.open"):
            call(mlquery.Store(), str(tmp_path))  # type: ignore[arg-type]
