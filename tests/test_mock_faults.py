"""Faults on demand: a store that fails, is slow or is away, as MLflow's clients and mlquery's own meet it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

import mlquery
from mlquery import Client, MockWarning, Store, StoreError
from mlquery.mocking import Mock


@pytest.fixture
def mock() -> Iterator[Mock]:
    with mlquery.mock() as mock:
        yield mock


def both(mock: Mock) -> list[Any]:
    """Return a client of MLflow and one of mlquery on the store of the mock."""
    return [mlflow.MlflowClient(), mock.client]


def test_the_next_call_fails_and_the_one_after_it_does_not(mock: Mock) -> None:
    for client in both(mock):
        run_id = client.create_run("0").info.run_id
        mock.store.fail_next("log_batch", ConnectionError("reset by peer"))

        with pytest.raises(ConnectionError, match="reset by peer"):
            client.log_batch(run_id, params=[mlquery.Param("p", "1")])
        client.log_batch(run_id, params=[mlquery.Param("p", "2")])

        assert {"p": "2"} == client.get_run(run_id).data.params


def test_calls_fail_as_often_as_was_asked_for(mock: Mock) -> None:
    for client in both(mock):
        mock.store.fail_next("search_experiments", TimeoutError, times=2)

        for _ in range(2):
            with pytest.raises(TimeoutError):
                client.search_experiments()
        assert ["Default"] == [experiment.name for experiment in client.search_experiments()]


def test_faults_come_in_the_order_in_which_they_were_asked_for(mock: Mock) -> None:
    mock.store.fail_next("get_experiment", KeyError)
    mock.store.fail_next("get_experiment", IndexError)

    for error in (KeyError, IndexError):
        with pytest.raises(error):
            mlflow.get_experiment("0")


def test_the_fluent_functions_fail_where_they_call_the_store(mock: Mock) -> None:
    mock.store.fail_next("log_metric", OSError)

    with pytest.raises(OSError), mlflow.start_run() as run:  # noqa: PT011 it is this very error
        mlflow.log_metric("m", 1.0)

    assert "FAILED" == mock.store.get_run(run.info.run_id).info.status


def test_an_error_of_the_store_arrives_as_mlflows_exception(mock: Mock) -> None:
    mock.store.fail_next("create_run", StoreError("too many requests", "REQUEST_LIMIT_EXCEEDED"))

    with pytest.raises(MlflowException, match="too many requests") as failed:
        mlflow.start_run()

    assert "REQUEST_LIMIT_EXCEEDED" == failed.value.error_code


class Ids:
    """The ids of what a mock is filled with."""

    def __init__(self, mock: Mock) -> None:
        self.run = mock.client.create_run("0").info.run_id
        mock.client.log_text(self.run, "text", "folder/file.txt")
        mock.client.create_registered_model("wine")
        mock.client.create_model_version("wine", "s3://somewhere")


CALLS: dict[str, Callable[[Any, Ids], object]] = {
    "create_experiment": lambda client, ids: client.create_experiment("new"),
    "get_experiment": lambda client, ids: client.get_experiment("0"),
    "get_experiment_by_name": lambda client, ids: client.get_experiment_by_name("Default"),
    "search_experiments": lambda client, ids: client.search_experiments(),
    "rename_experiment": lambda client, ids: client.rename_experiment("0", "new"),
    "create_run": lambda client, ids: client.create_run("0"),
    "get_run": lambda client, ids: client.get_run(ids.run),
    "search_runs": lambda client, ids: client.search_runs(["0"]),
    "update_run_info": lambda client, ids: client.set_terminated(ids.run),
    "log_metric": lambda client, ids: client.log_metric(ids.run, "m", 1.0),
    "log_param": lambda client, ids: client.log_param(ids.run, "p", 1),
    "set_tag": lambda client, ids: client.set_tag(ids.run, "t", "x"),
    "log_batch": lambda client, ids: client.log_batch(ids.run, tags=[mlquery.RunTag("t", "x")]),
    "log_inputs": lambda client, ids: client.log_inputs(ids.run),
    "log_outputs": lambda client, ids: client.log_outputs(ids.run, []),
    "get_metric_history": lambda client, ids: client.get_metric_history(ids.run, "m"),
    "create_logged_model": lambda client, ids: client.create_logged_model("0"),
    "search_logged_models": lambda client, ids: client.search_logged_models(["0"]),
    "create_registered_model": lambda client, ids: client.create_registered_model("iris"),
    "get_registered_model": lambda client, ids: client.get_registered_model("wine"),
    "search_registered_models": lambda client, ids: client.search_registered_models(),
    "set_registered_model_tag": lambda client, ids: client.set_registered_model_tag("wine", "t", "x"),
    "create_model_version": lambda client, ids: client.create_model_version("wine", "s3://elsewhere"),
    "search_model_versions": lambda client, ids: client.search_model_versions("name = 'wine'"),
    "log_artifact": lambda client, ids: client.log_text(ids.run, "text", "other.txt"),
    "list_artifacts": lambda client, ids: client.list_artifacts(ids.run),
}


# What clients call before some of these.
FIRST = {"log_artifact": "get_run", "list_artifacts": "get_run", "set_registered_model_tag": "get_registered_model"}


@pytest.mark.parametrize("call", CALLS)
def test_nothing_is_served_while_the_store_is_offline(call: str, mock: Mock) -> None:
    ids = Ids(mock)
    for client in both(mock):
        mock.store.offline = True
        with pytest.raises((MlflowException, StoreError), match=f"{FIRST.get(call, call)} failed.*offline"):
            CALLS[call](client, ids)

        mock.store.offline = False
        assert 1 == len(client.search_experiments())


@pytest.mark.parametrize("call", CALLS)
def test_every_kind_of_call_can_fail(call: str, mock: Mock) -> None:
    ids = Ids(mock)
    for client in both(mock):
        mock.store.fail_next(call, ConnectionError("reset by peer"))

        with pytest.raises(ConnectionError, match="reset by peer"):
            CALLS[call](client, ids)

        assert [] == mock.store.faults.waiting()


def test_a_download_can_fail(mock: Mock) -> None:
    ids = Ids(mock)
    for client in both(mock):
        mock.store.fail_next("download_artifacts", ConnectionError("reset by peer"))

        with pytest.raises((MlflowException, StoreError), match="please ensure that the path is correct"):
            client.download_artifacts(ids.run, "folder/file.txt")

        assert [] == mock.store.faults.waiting()
        assert "text" == Path(client.download_artifacts(ids.run, "folder/file.txt")).read_text()


def test_deleting_artifacts_can_fail(mock: Mock) -> None:
    ids = Ids(mock)
    mock.store.fail_next("delete_artifacts", ConnectionError("reset by peer"))
    artifacts = get_artifact_repository(mlflow.get_run(ids.run).info.artifact_uri)

    with pytest.raises(ConnectionError, match="reset by peer"):
        artifacts.delete_artifacts()

    assert ["folder"] == [info.path for info in artifacts.list_artifacts()]


@pytest.mark.parametrize("call", ["set_registered_model_tag", "log_artifact", "search_logged_models"])
def test_every_kind_of_call_can_be_slow(call: str, mock: Mock) -> None:
    ids = Ids(mock)
    mock.store.latency = 0.02
    for client in both(mock):
        start = time.perf_counter()
        CALLS[call](client, ids)

        assert time.perf_counter() - start >= 0.02


def test_a_test_can_look_at_a_store_that_is_offline(mock: Mock) -> None:
    with mlflow.start_run() as run:
        ...
    mock.store.offline = True

    assert "FINISHED" == mock.store.get_run(run.info.run_id).info.status


def test_a_slow_store_takes_its_time(mock: Mock) -> None:
    for client in both(mock):
        mock.store.latency = 0.02
        start = time.perf_counter()
        client.search_experiments()

        assert time.perf_counter() - start >= 0.02
        mock.store.latency = 0


def test_artifacts_cannot_be_reached_while_the_store_is_offline(mock: Mock) -> None:
    run_id = mlflow.MlflowClient().create_run("0").info.run_id
    mlflow.log_text("text", "file.txt", run_id=run_id)
    mock.store.offline = True

    with pytest.raises(MlflowException, match="offline"):
        mlflow.artifacts.load_text(f"runs:/{run_id}/file.txt")


def test_mlquerys_client_meets_faults_without_a_mock() -> None:
    store = Store()
    store.fail_next("log_param", RuntimeError)
    client = Client(store)
    run_id = client.create_run("0").info.run_id

    with pytest.raises(RuntimeError):
        client.log_param(run_id, "p", 1)


def test_a_failure_that_is_asked_for_no_times_is_none() -> None:
    store = Store()

    store.fail_next("log_param", RuntimeError, times=0)

    assert not store.faults.is_set


def test_a_fault_that_never_came_is_reported() -> None:
    with pytest.warns(MockWarning, match="2 more calls of 'log_bach' were to fail"), mlquery.mock() as mock:
        mock.store.fail_next("log_bach", OSError, times=2)


def test_a_copy_of_a_store_has_none_of_its_faults(mock: Mock) -> None:
    mock.store.fail_next("search_experiments", OSError)
    mock.store.offline = True

    with mlquery.mock(store=mock):
        assert 1 == len(mlflow.search_experiments())

    mock.store.faults.clear()
