"""The DataFrame of a search beside that of `mlflow.search_runs`: columns, their order, dtypes and values."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.entities import Metric, Param, RunTag
from pandas.testing import assert_frame_equal

from mlquery import Store, fluent
from mlquery.query.dataframe import runs_frame, search_frame

# One worker runs them all: an MLflow database takes a second to make.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("frame beside mlflow")]

NAN = math.nan


def write_runs(client: mlflow.MlflowClient) -> dict[str, str]:
    """Write experiments of all shapes and return their ids by name."""
    ids = {name: client.create_experiment(name) for name in ("empty", "bare", "ended", "mixed", "nested", "wide")}
    client.create_run(ids["bare"], 1_700_000_000_000)
    for i in range(3):
        run = client.create_run(ids["ended"], 1_700_000_000_000 + i, run_name=f"r{i}").info.run_id
        client.log_metric(run, "m", float(i))
        client.set_terminated(run, end_time=1_700_000_100_000 + i)
    some: list[dict[str, Any]] = [
        {"metrics": {"loss": 0.5, "acc": NAN}, "params": {"lr": "0.1", "depth": ""}, "tags": {"a": "x"}},
        {"metrics": {}, "params": {"lr": "None"}, "tags": {}},
        {"metrics": {"acc": math.inf}, "params": {}, "tags": {"é ü": "ß\n", "a": "nan"}},
        {"metrics": {"loss": NAN, "val/loss": -0.0}, "params": {"model": "ünï", "depth": "3"}, "tags": {"b": "x"}},
        {"metrics": {}, "params": {}, "tags": {}},
    ]
    for i, parts in enumerate(some):
        log(client, client.create_run(ids["mixed"], 1_600_000_000_000 + i).info.run_id, **parts)
    parent = client.create_run(ids["nested"], 5).info.run_id
    for i in range(2):
        client.create_run(ids["nested"], 6 + i, {"mlflow.parentRunId": parent, "mlflow.user": "ann"})
    client.set_terminated(parent, "FAILED", 9)
    client.delete_run(client.create_run(ids["mixed"], 7).info.run_id)
    for i in range(12):
        keys = [f"key {(i * 5 + j * 7) % 24}" for j in range(1 + i % 6)]
        run = client.create_run(ids["wide"], 1_500_000_000_000 + i % 4).info.run_id
        log(
            client, run, {k: NAN if i % 5 == 0 else float(i) for k in keys}, dict.fromkeys(keys, "v"), {keys[0]: str(i)}
        )
    return ids


def log(
    client: mlflow.MlflowClient, run: str, metrics: dict[str, float], params: dict[str, str], tags: dict[str, str]
) -> None:
    client.log_batch(
        run,
        [Metric(key, value, 1, 0) for key, value in metrics.items()],
        [Param(*item) for item in params.items()],
        [RunTag(*item) for item in tags.items()],
    )


def copy_of(client: mlflow.MlflowClient) -> Store:
    """Return a store with everything an MLflow store holds, under the same ids."""
    store = Store()
    for experiment in client.search_experiments(view_type=3, order_by=["experiment_id"]):
        store.load_experiment(experiment.experiment_id, experiment.name, creation_time=experiment.creation_time)
        for run in client.search_runs([experiment.experiment_id], run_view_type=3):
            info = {name: value for name, value in dict(run.info).items() if name != "run_uuid"}
            metrics = {key: (value, 1, 0) for key, value in run.data.metrics.items()}
            store.load_run(**info, metrics=metrics, params=run.data.params, tags=run.data.tags)
    return store


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], Store]]:
    """MLflow in the state that its fluent functions search, and a copy of it that ours search."""
    kept = dict(os.environ)
    logging.disable(logging.CRITICAL)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    ids = write_runs(client)
    store = copy_of(client)
    yield ids, store
    logging.disable(logging.NOTSET)
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type] # None forgets the URI
    os.environ.clear()
    os.environ.update(kept)


SEARCHES: dict[str, dict[str, Any]] = {
    "no runs": {"names": ["empty"]},
    "a run with nothing": {"names": ["bare"]},
    "no run has ended": {"names": ["bare", "wide"]},
    "every run has ended": {"names": ["ended"]},
    "values of all kinds": {"names": ["mixed"]},
    "deleted runs": {"names": ["mixed"], "run_view_type": 3},
    "only deleted runs": {"names": ["mixed"], "run_view_type": 2},
    "some runs have ended": {"names": ["nested"]},
    "children": {"names": ["nested"], "filter_string": "tags.`mlflow.parentRunId` != ''"},
    "many keys": {"names": ["wide"]},
    "many keys in another order": {"names": ["wide"], "order_by": ["params.`key 3` DESC", "run_id"]},
    "few of many": {"names": ["wide"], "max_results": 3},
    "none asked for": {"names": ["wide"], "max_results": 0},
    "several experiments": {"names": ["wide", "mixed", "ended", "empty"], "order_by": ["attributes.start_time"]},
    "a filter": {"names": ["mixed", "wide"], "filter_string": "metrics.loss < 1"},
    "everything": {"names": [], "search_all_experiments": True},
}


@pytest.mark.parametrize("search", SEARCHES)
def test_the_frame_is_the_one_that_mlflow_makes(search: str, both: tuple[dict[str, str], Store]) -> None:
    ids, store = both
    arguments = dict(SEARCHES[search])
    experiment_ids = [ids[name] for name in arguments.pop("names")]
    fluent.use(store)

    expected = mlflow.search_runs(experiment_ids, **arguments)
    actual = fluent.search_runs(experiment_ids, **arguments)

    assert_frame_equal(expected, actual, check_exact=True, check_freq=True)
    assert list(expected.columns) == list(actual.columns)
    assert list(map(str, expected.dtypes)) == list(map(str, actual.dtypes))


@settings(max_examples=25)
@given(data=st.data())
def test_any_choice_of_runs_gives_mlflows_columns(data: st.DataObject, both: tuple[dict[str, str], Store]) -> None:
    ids, store = both
    every = list(ids.values())
    chosen = data.draw(st.lists(st.sampled_from(store.runs.ids), min_size=1, max_size=6, unique=True))
    listed = ", ".join(f"'{run_id}'" for run_id in chosen)
    query: dict[str, Any] = {"filter_string": f"attributes.run_id IN ({listed})", "order_by": ["attributes.run_id"]}

    expected = mlflow.search_runs(every, run_view_type=3, **query)
    actual = search_frame(store, every, run_view_type=3, **query)

    assert_frame_equal(expected, actual, check_exact=True)


@pytest.mark.filterwarnings("ignore:The 'future.infer_string' option")
def test_text_follows_the_option_that_turns_pandas_strings_off(both: tuple[dict[str, str], Store]) -> None:
    ids, store = both
    fluent.use(store)

    with pd.option_context("future.infer_string", False):
        expected = mlflow.search_runs([ids["mixed"]])
        actual = fluent.search_runs([ids["mixed"]])

    assert_frame_equal(expected, actual, check_exact=True)
    assert "object" == str(actual.dtypes["params.lr"])


def test_a_frame_does_not_change_when_the_store_does() -> None:
    store = Store()
    client = fluent.use(store)
    run = client.create_run("0", 1, {"t": "old"}).info.run_id
    client.log_metric(run, "m", 1.0, 1)
    client.log_param(run, "p", "old")
    frame = fluent.search_runs(["0"])
    before = frame.copy(deep=True)

    client.log_metric(run, "m", 2.0, 2)
    client.set_tag(run, "t", "new")
    client.set_terminated(run)

    assert_frame_equal(before, frame)


def test_a_frame_can_be_changed_without_touching_the_store() -> None:
    store = Store()
    client = fluent.use(store)
    run = client.create_run("0", 1).info.run_id
    client.log_metric(run, "m", 1.0, 1)

    frame = fluent.search_runs(["0"])
    frame.loc[0, "metrics.m"] = 7.0

    assert {"m": 1.0} == client.get_run(run).data.metrics


def test_more_runs_than_a_page_holds_are_all_in_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlquery.query.dataframe._PAGE", 4)
    store = many_runs(11)

    expected = [f"{i:032x}" for i in reversed(range(11))]

    assert expected == search_frame(store, ["0"])["run_id"].tolist()
    assert expected == search_frame(store, ["0"], max_results=None)["run_id"].tolist()
    assert expected[:9] == search_frame(store, ["0"], max_results=9)["run_id"].tolist()


def test_keys_that_few_runs_have_are_found_among_very_many(monkeypatch: pytest.MonkeyPatch) -> None:
    store = many_runs(40)
    expected = search_frame(store, ["0"], order_by=["run_id"])

    monkeypatch.setattr("mlquery.query.dataframe._FEW_KEYS", 3)

    assert_frame_equal(expected, search_frame(store, ["0"], order_by=["run_id"]))


def test_runs_whose_times_and_texts_are_missing_have_missing_values() -> None:
    store = Store()
    store.load_run("a" * 32, "0")
    store.load_run("b" * 32, "0")

    frame = runs_frame(store, np.array([1, 0]))

    assert frame["start_time"].isna().all()
    assert ["b" * 32, "a" * 32] == frame["run_id"].tolist()


def many_runs(count: int) -> Store:
    store = Store()
    for i in range(count):
        store.load_run(
            f"{i:032x}",
            "0",
            start_time=i + 1,
            status="FINISHED",
            end_time=i + 5,
            metrics={f"m{j}": (float(i + j), 1, 0) for j in range(8) if (i + j) % 9},
            params={f"p{j}": str(i % (j + 2)) for j in range(10)},
            tags={"mlflow.user": "ann", "mlflow.runName": f"run-{i}", **({"rare": str(i)} if i % 13 == 0 else {})},
        )
    return store
