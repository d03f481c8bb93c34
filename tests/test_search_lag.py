"""A search lag: searches and lookups by name trail the writes, calls by id do not, through every door."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient

import mlquery
from mlquery import Client, Store, StoreError, fluent
from mlquery.server.testing import running_server


class Clock:
    """A clock that a test sets, in ms UTC."""

    time = 1_700_000_000_000

    def __call__(self) -> int:
        return self.time


def store_and_clock(seconds: float = 30) -> tuple[Store, Clock]:
    clock = Clock()
    store = Store(clock=clock)
    store.search_lag = seconds
    return store, clock


def found(client: Any, experiment_id: str, filter_string: str = "") -> list[str]:
    return [run.info.run_id for run in client.search_runs([experiment_id], filter_string)]


def test_searches_and_lookups_by_name_see_a_write_when_the_lag_is_over() -> None:
    store, clock = store_and_clock()
    client = Client(store)
    experiment = client.create_experiment("late")
    run_id = client.create_run(experiment).info.run_id

    assert client.get_experiment_by_name("late") is None
    assert ["Default"] == [each.name for each in client.search_experiments()]
    assert ([], "late") == (found(client, experiment), client.get_experiment(experiment).name)
    assert run_id == client.get_run(run_id).info.run_id

    clock.time += 29_999
    assert [] == found(client, experiment)

    clock.time += 1
    assert [run_id] == found(client, experiment)
    assert client.get_experiment_by_name("late") is not None


def test_a_metric_that_was_just_logged_is_in_the_run_and_not_in_the_search() -> None:
    store, clock = store_and_clock()
    client = Client(store)
    run_id = client.create_run("0").info.run_id
    clock.time += 60_000
    client.log_metric(run_id, "auc", 0.9)

    (searched,) = client.search_runs(["0"])
    assert ({}, {"auc": 0.9}) == (searched.data.metrics, client.get_run(run_id).data.metrics)
    assert [] == found(client, "0", "metrics.auc > 0.5")

    clock.time += 30_000
    assert [run_id] == found(client, "0", "metrics.auc > 0.5")


def test_without_the_lag_searches_see_everything_at_once() -> None:
    store, _ = store_and_clock()
    client = Client(store)
    run_id = client.create_run("0").info.run_id
    assert [] == found(client, "0")

    store.search_lag = 0

    assert [run_id] == found(client, "0")
    assert 0 == Store().search_lag == store.clone().search_lag


def test_a_logged_model_is_searched_late_and_read_at_once() -> None:
    store, clock = store_and_clock()
    client = Client(store)
    model = client.create_logged_model("0", "late")

    assert [] == list(client.search_logged_models(["0"]))
    assert "late" == client.get_logged_model(model.model_id).name

    clock.time += 30_000
    assert [model.model_id] == [each.model_id for each in client.search_logged_models(["0"])]


def test_registered_models_are_searched_late_and_read_at_once() -> None:
    store, clock = store_and_clock()
    client = Client(store)
    client.create_registered_model("wine")
    client.create_model_version("wine", "s3://bucket/1")

    assert ([], []) == (list(client.search_registered_models()), list(client.search_model_versions()))
    assert "1" == str(client.get_model_version("wine", "1").version)

    clock.time += 30_000
    client.delete_model_version("wine", "1")

    assert ["wine"] == [model.name for model in client.search_registered_models()]
    assert ["wine"] == [version.name for version in client.search_model_versions()]

    clock.time += 30_000
    assert [] == list(client.search_model_versions())


def test_pages_of_one_search_belong_together_under_a_lag() -> None:
    store, clock = store_and_clock()
    client = Client(store)
    first = [client.create_run("0").info.run_id for _ in range(4)]
    clock.time += 30_000
    page = client.search_runs(["0"], max_results=3)
    client.create_run("0")
    clock.time += 30_000

    rest = client.search_runs(["0"], max_results=3, page_token=page.token)

    assert set(first) == {run.info.run_id for run in [*page, *rest]}


def test_fluent_searches_trail_too() -> None:
    with mlquery.mock(clock=1_700_000_000_000) as mock:
        mock.store.search_lag = 10
        with fluent.start_run() as ours, mlflow.start_run(nested=True):
            fluent.log_param("a", 1)
        assert (0, 0) == (len(fluent.search_runs()), len(mlflow.search_runs()))
        assert ours.info.run_id == mlflow.get_run(ours.info.run_id).info.run_id

        mock.clock.tick(10_000)

        assert (2, 2) == (len(fluent.search_runs()), len(mlflow.search_runs()))


def test_a_server_trails_too() -> None:
    store, clock = store_and_clock()
    with running_server(store) as server:
        client = MlflowClient(server.url)
        experiment = client.create_experiment("late")
        run_id = client.create_run(experiment).info.run_id
        assert ([], None) == (found(client, experiment), client.get_experiment_by_name("late"))

        clock.time += 30_000

        assert [run_id] == found(client, experiment)


def test_a_lag_that_is_no_number_of_seconds_is_refused() -> None:
    for seconds in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="search_lag is a number of seconds from 0 on"):
            Store().search_lag = seconds


def test_a_store_on_disk_has_none(tmp_path: Any) -> None:
    with mlquery.open(tmp_path / "runs.mlq") as store, pytest.raises(ValueError, match=r"store\.clone\(\)"):
        store.search_lag = 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.integers(0, 2)),
        st.tuples(st.sampled_from(["metric", "param", "tag", "delete", "restore", "untag"]), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.integers(0, 4_000)),
    ),
    max_size=40,
)


@given(STEPS, st.integers(0, 3))
def test_what_is_searched_is_what_was_there_the_lag_before(steps: list[tuple[str, int]], lag: int) -> None:
    store, clock = store_and_clock(lag)
    client, runs = Client(store), list[str]()
    states = [(0, snapshot(store))]
    for kind, number in steps:
        if kind == "wait":
            clock.time += number
        elif kind == "run":
            runs.append(client.create_run("0", run_name=f"r{len(runs)}").info.run_id)
        elif runs:
            change(client, kind, runs[number % len(runs)], number)
        states.append((clock.time, snapshot(store)))
    due = [state for time, state in states if time <= clock.time - 1000 * lag]

    assert due[-1] == snapshot(store.searched)


def change(client: Client, kind: str, run_id: str, number: int) -> None:
    calls: dict[str, Any] = {
        "metric": lambda: client.log_metric(run_id, "m", number, timestamp=number, step=number),
        "param": lambda: client.log_param(run_id, f"p{number}", "x"),
        "tag": lambda: client.set_tag(run_id, "t", str(number)),
        "untag": lambda: client.delete_tag(run_id, "t"),
        "delete": lambda: client.delete_run(run_id),
        "restore": lambda: client.restore_run(run_id),
    }
    with suppress(StoreError):  # of a run that is deleted, or a tag that is not there
        calls[kind]()


def snapshot(store: Store) -> list[Any]:
    runs = store.runs.runs_at(range(store.runs.size))
    return [(run.info.run_id, run.info.lifecycle_stage, run.data.to_dictionary()) for run in runs]
