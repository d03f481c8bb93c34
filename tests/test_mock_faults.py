"""Faults on demand: a store that fails, is slow or is away, as MLflow's clients and mlquery's own meet it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException

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


CALLS: dict[str, Callable[[Any], object]] = {
    "create_run": lambda client: client.create_run("0"),
    "search_runs": lambda client: client.search_runs(["0"]),
    "search_experiments": lambda client: client.search_experiments(),
    "get_experiment_by_name": lambda client: client.get_experiment_by_name("Default"),
    "create_experiment": lambda client: client.create_experiment("new"),
}


@pytest.mark.parametrize("call", CALLS)
def test_nothing_is_served_while_the_store_is_offline(call: str, mock: Mock) -> None:
    for client in both(mock):
        mock.store.offline = True
        with pytest.raises((MlflowException, StoreError), match=f"{call} failed.*offline"):
            CALLS[call](client)

        mock.store.offline = False
        assert 1 == len(client.search_experiments())


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


def test_a_fault_that_never_came_is_reported() -> None:
    with pytest.warns(MockWarning, match="2 more calls of 'log_bach' were to fail"), mlquery.mock() as mock:
        mock.store.fail_next("log_bach", OSError, times=2)


def test_a_copy_of_a_store_has_none_of_its_faults(mock: Mock) -> None:
    mock.store.fail_next("search_experiments", OSError)
    mock.store.offline = True

    with mlquery.mock(store=mock):
        assert 1 == len(mlflow.search_experiments())

    mock.store.faults.clear()
