"""The mutations of a store as values: a listener hears of all of them, and they make the same store anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlquery.entities import Metric, Param, RunTag
from mlquery.errors import StoreError
from mlquery.store import Store
from mlquery.store.changes import CHANGES, NAMES, DeleteTag, LogBatch, LogMetric, LogParam, LogPoints, SetTag
from tests.support.tracker_calls import Caller, everything


def listened_to() -> tuple[Store, list[Any]]:
    """Return a store with a run "r" and a param, and the changes that follow."""
    store, heard = Store(clock=lambda: 7), list[Any]()
    store.load_run("r", "0", params={"p": "1"}, tags={"t": "1"})
    store.on_change = heard.append
    return store, heard


def as_json(change: Any) -> tuple[str, Any]:
    """Return name and content of a change as a journal would keep them."""
    parts = list(change.slices(10**9)) if isinstance(change, LogPoints) else [change]
    assert len(parts) <= 1
    return (NAMES[type(change)], json.loads(json.dumps(parts[0]))) if parts else ("", None)


@pytest.mark.parametrize("seed", range(4))
def test_the_changes_of_a_store_make_the_same_store_anywhere(seed: int) -> None:
    store, other, heard = Store(clock=lambda: 7), Store(), list[tuple[str, Any]]()
    first = store.experiments.experiment_at(0)
    other.clear()
    CHANGES["experiment"](
        {name: getattr(first, name) for name in ("experiment_id", "name", "artifact_location", "lifecycle_stage")}
        | {"creation_time": 7, "last_update_time": 7}
    ).apply(other)  # type: ignore[call-arg]
    store._is_untouched = False  # the default experiment of a store that is listened to makes way for no other
    store.on_change = lambda change: heard.append(as_json(change))

    Caller(store, seed).make(500)

    for name, content in heard:
        if name:
            CHANGES[name](*content).apply(other)
    assert everything(store) == everything(other)


def test_a_listener_hears_of_a_change_once_it_was_made() -> None:
    store, heard = listened_to()
    values = []
    store.on_change = lambda change: values.append(store.get_run("r").data.metrics)

    store.log_metric("r", Metric("m", 1.5, 1, 1))

    assert [{"m": 1.5}] == values
    assert [] == heard


def test_a_change_is_what_is_kept_of_the_arguments() -> None:
    store, heard = listened_to()

    store.log_metric("r", Metric("m", 2, 1, 1))
    store.log_param("r", Param("q", "x" * 7_000))
    store.set_tag("r", RunTag("a", "b"))
    store.delete_tag("r", "a")

    assert heard == [
        LogMetric("r", "m", 2.0, 1, 1),
        LogParam("r", "q", "x" * 6_000),
        SetTag("r", "a", "b"),
        DeleteTag("r", "a"),
    ]
    assert list(map(type, heard)) == [LogMetric, LogParam, SetTag, DeleteTag]


def test_nothing_is_told_of_what_changes_nothing_or_is_refused() -> None:
    store, heard = listened_to()

    store.log_param("r", Param("p", "1"))
    store.set_tag("r", RunTag("mlflow.runName", ""))
    store.log_inputs("r", [])
    store.load_inputs("r", [])
    for metric in (Metric("m", 1.0, -1, 1), Metric("m", 1.0, 1, 1, "m-none")):
        with pytest.raises(StoreError):
            store.log_metric("r", metric)
    with pytest.raises(StoreError):
        store.log_batch("r", [Metric("m", 1.0, 1, 1)], [Param("p", "2")], [RunTag("a", "b")])

    assert [] == heard
    assert ({}, {"t": "1"}) == (store.get_run("r").data.metrics, store.get_run("r").data.tags)


def test_a_batch_is_one_change_with_what_is_new_in_it() -> None:
    store, heard = listened_to()
    tags = [RunTag("a", "1"), RunTag("mlflow.runName", "first"), RunTag("a", "2"), RunTag("mlflow.runName", "")]

    store.log_batch("r", [Metric("m", float("inf"), 1, 1)], [Param("p", "1"), Param("q", "2")], tags)

    assert [LogBatch("r", [("m", float("inf"), 1, 1)], {"q": "2"}, {"a": "2", "mlflow.runName": "first"})] == heard
    data = store.get_run("r").data
    assert ({"m": 1.7976931348623157e308}, {"p": "1", "q": "2"}) == (data.metrics, data.params)
    assert {"t": "1", "a": "2", "mlflow.runName": "first"} == data.tags


def test_points_in_slices_come_to_the_same() -> None:
    whole, sliced = listened_to()[0], listened_to()[0]
    points = LogPoints("r", "m", [3.0, 1.0, 2.0, 2.0], [1, 1, 9, 9], [5, 4, 3, 3])

    whole.write(points)
    for part in points.slices(3):
        sliced.write(part)

    assert everything(whole) == everything(sliced)
    assert 3 == len(whole.history("r", "m")[0])


@pytest.mark.parametrize(
    ("name", "content"),
    [("metric", ["none", "m", 1.0, 1, 1]), ("metric", ["r", "m"]), ("wings", []), ("run", [{"run_id": "r"}])],
)
def test_a_change_of_another_form_or_about_nothing_is_refused(name: str, content: list[Any]) -> None:
    store, _ = listened_to()

    with pytest.raises((KeyError, TypeError, ValueError)):
        CHANGES[name](*content).apply(store)


def test_the_experiment_zero_stays_the_default_whatever_is_called_so() -> None:
    store = Store()
    store.rename_experiment("0", "mine")
    other = store.create_experiment("Default")

    assert ("mine", "Default") == (store.get_experiment("").name, store.get_experiment(other).name)
    loaded = Store()
    loaded.load_experiment("5", "Default")
    assert "5" == loaded.get_experiment("0").experiment_id
    loaded.load_experiment("0", "renamed")
    assert "0" == loaded.get_experiment("0").experiment_id
