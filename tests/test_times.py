"""Times that nobody gave: they never collide, however quick the calls are; times that were given keep MLflow's rule."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import mlflow
import pytest
from freezegun import freeze_time
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.tracking._tracking_service.utils import _get_store
from mlflow.utils.time import get_current_time_millis

import mlquery
from mlquery import Client, Store, fluent
from mlquery.entities import Metric
from mlquery.errors import StoreError
from mlquery.mlflow_plugin import register, times, uris
from mlquery.mocking import Clock
from mlquery.registry import Registry
from mlquery.store.times import RisingTimes

NOW = 1_700_000_000_000
FUTURE = NOW + 10**9


def values_of(client: Any, run_id: str, key: str = "x") -> list[float]:
    return [point.value for point in client.get_metric_history(run_id, key)]


def times_of(client: Any, run_id: str, key: str = "x") -> list[int]:
    return [point.timestamp for point in client.get_metric_history(run_id, key)]


@pytest.fixture
def client() -> Client:
    """Return a client whose clock stands still."""
    return Client(Store(clock=Clock(NOW)))


@pytest.fixture
def run_id(client: Client) -> str:
    return client.create_run("0").info.run_id


# Points of metrics


def test_the_last_of_many_points_in_one_millisecond_is_the_latest(client: Client, run_id: str) -> None:
    for value in range(50, 0, -1):
        client.log_metric(run_id, "x", value)

    assert [float(value) for value in range(50, 0, -1)] == values_of(client, run_id)
    assert 1.0 == client.get_run(run_id).data.metrics["x"]
    assert list(range(NOW, NOW + 50)) == times_of(client, run_id)


def test_equal_points_that_nobody_timed_are_all_kept(client: Client, run_id: str) -> None:
    for _ in range(3):
        client.log_metric(run_id, "x", 1.0)

    assert [1.0, 1.0, 1.0] == values_of(client, run_id)


def test_a_history_is_in_the_order_of_logging_whatever_the_steps_are(client: Client, run_id: str) -> None:
    steps = [5, 6, 3, 3, 9, 0, 1]
    for value, step in enumerate(steps):
        client.log_metric(run_id, "x", value, step=step)

    assert list(range(len(steps))) == values_of(client, run_id)


def test_points_of_rising_steps_and_of_several_metrics_keep_the_time_of_the_clock(client: Client, run_id: str) -> None:
    for step in range(20):
        client.log_metric(run_id, "x", 1.0, step=step)
        client.log_metric(run_id, "y", 1.0, step=step)

    assert {NOW} == {*times_of(client, run_id), *times_of(client, run_id, "y")}


def test_points_that_are_moved_do_not_move_the_clock_or_other_metrics(client: Client, run_id: str) -> None:
    for _ in range(100):
        client.log_metric(run_id, "x", 1.0)
    client.log_metric(run_id, "y", 1.0)
    other = client.create_run("0")

    assert [NOW] == times_of(client, run_id, "y")
    assert NOW + 1 == other.info.start_time


def test_a_point_passes_those_that_were_timed(client: Client, run_id: str) -> None:
    client.log_metric(run_id, "x", 9.0, timestamp=NOW + 1)
    client.log_metric(run_id, "x", 8.0, timestamp=FUTURE)
    for value in (1.0, 2.0, 3.0):
        client.log_metric(run_id, "x", value)

    assert [NOW, NOW + 1, NOW + 2, NOW + 3, FUTURE] == times_of(client, run_id)
    assert 8.0 == client.get_run(run_id).data.metrics["x"]


def test_a_clock_that_was_set_back_is_believed() -> None:
    clock = Clock(NOW)
    client = Client(Store(clock=clock))
    run_id = client.create_run("0").info.run_id

    for time in (NOW, NOW, NOW - 5, NOW - 5, NOW - 100):
        if time != clock():
            clock.set(time)
        client.log_metric(run_id, "x", 1.0)

    assert [NOW - 100, NOW - 5, NOW - 4, NOW, NOW + 1] == times_of(client, run_id)


def test_times_that_were_given_keep_the_rule_of_mlflow(client: Client, run_id: str) -> None:
    for value in (2.0, 1.0, 2.0):
        client.log_metric(run_id, "x", value, timestamp=NOW)

    assert [1.0, 2.0] == values_of(client, run_id)
    assert 2.0 == client.get_run(run_id).data.metrics["x"]


def test_a_point_of_a_model_moves_with_that_of_its_run(client: Client, run_id: str) -> None:
    model_id = client.create_logged_model("0", "m").model_id
    for value in (3.0, 2.0, 1.0):
        client.log_metric(run_id, "x", value, model_id=model_id)

    points = client.get_logged_model(model_id).metrics or []
    assert [(3.0, NOW), (2.0, NOW + 1), (1.0, NOW + 2)] == [(point.value, point.timestamp) for point in points]
    assert [NOW, NOW + 1, NOW + 2] == times_of(client, run_id)


def test_a_model_refuses_another_value_at_a_time_that_was_given(client: Client, run_id: str) -> None:
    model_id = client.create_logged_model("0", "m").model_id
    client.log_metric(run_id, "x", 1.0, timestamp=NOW, model_id=model_id)

    with pytest.raises(StoreError, match="has another value of 'x'"):
        client.log_metric(run_id, "x", 2.0, timestamp=NOW, model_id=model_id)


def test_metrics_that_are_logged_together_move_key_by_key(client: Client) -> None:
    fluent.use(client)
    with fluent.start_run() as run:
        fluent.log_metric("x", 1.0)
        fluent.log_metrics({"x": 0.5, "y": 0.25})
        fluent.log_metrics({"x": 0.25, "y": 0.125}, timestamp=NOW)

    assert [(0.25, NOW), (1.0, NOW), (0.5, NOW + 1)] == [
        (point.value, point.timestamp) for point in client.get_metric_history(run.info.run_id, "x")
    ]
    assert [0.125, 0.25] == values_of(client, run.info.run_id, "y")


def test_points_of_one_batch_have_one_time(client: Client, run_id: str) -> None:
    client.log_metric(run_id, "x", 9.0, step=1)
    batch = [Metric("x", 1.0, NOW, 2), Metric("x", 2.0, NOW, 1), Metric("x", 1.0, NOW, 1), Metric("x", 3.0, 5, 1)]

    client.backend.log_batch(run_id, batch, now=NOW)

    assert [5, NOW, NOW + 1, NOW + 1, NOW + 1] == times_of(client, run_id)
    assert [3.0, 9.0, 1.0, 2.0, 1.0] == values_of(client, run_id)


def test_a_clone_goes_on_where_the_points_of_its_origin_ended(client: Client, run_id: str) -> None:
    for _ in range(3):
        client.log_metric(run_id, "x", 1.0)
    clone = Client(client.store.clone())
    clone.log_metric(run_id, "x", 2.0)
    client.log_metric(run_id, "x", 3.0)

    assert [1.0, 1.0, 1.0, 2.0] == values_of(clone, run_id)
    assert [1.0, 1.0, 1.0, 3.0] == values_of(client, run_id)


def test_a_store_on_disk_keeps_the_times_that_points_were_moved_to(tmp_path: Path) -> None:
    store = mlquery.open(tmp_path / "store", "fast", clock=Clock(NOW))
    client = Client(store)
    run_id = client.create_run("0").info.run_id
    model_id = client.create_logged_model("0", "m").model_id
    for value in (3.0, 2.0, 1.0):
        client.log_metric(run_id, "x", value, model_id=model_id)
    client.set_terminated(run_id)
    before = client.get_run(run_id), client.get_metric_history(run_id, "x"), client.get_logged_model(model_id)
    store.close()

    again = mlquery.open(tmp_path / "store", read_only=True)
    found = Client(again)

    assert before == (
        found.get_run(run_id),
        found.get_metric_history(run_id, "x"),
        found.get_logged_model(model_id),
    )
    again.close()


# Runs, experiments, models


def test_runs_that_are_created_in_one_millisecond_are_found_newest_first(client: Client) -> None:
    created = [client.create_run("0").info for _ in range(20)]

    assert list(range(NOW, NOW + 20)) == [info.start_time for info in created]
    assert [info.run_id for info in reversed(created)] == [run.info.run_id for run in client.search_runs(["0"])]


def test_a_run_ends_after_its_start(client: Client) -> None:
    ids = [client.create_run("0").info.run_id for _ in range(3)]
    for each in ids:
        client.set_terminated(each)

    infos = [client.get_run(each).info for each in ids]
    assert [(NOW, NOW + 1), (NOW + 1, NOW + 2), (NOW + 2, NOW + 3)] == [(i.start_time, i.end_time) for i in infos]


def test_starts_and_ends_that_were_given_stay(client: Client) -> None:
    same = [client.create_run("0", start_time=NOW).info.run_id for _ in range(2)]
    later = client.create_run("0", start_time=FUTURE).info.run_id
    client.set_terminated(same[0], end_time=NOW)
    client.set_terminated(later)

    assert [NOW, NOW] == [client.get_run(each).info.start_time for each in same]
    assert NOW == client.get_run(same[0]).info.end_time
    assert NOW == client.get_run(later).info.end_time


def test_experiments_and_models_are_found_newest_first(client: Client) -> None:
    experiments = [client.create_experiment(name) for name in "abc"]
    models = [client.create_logged_model("0", name).model_id for name in "abc"]

    assert [*reversed(experiments), "0"] == [found.experiment_id for found in client.search_experiments()]
    assert models[::-1] == [found.model_id for found in client.search_logged_models(["0"])]


def test_the_version_that_changed_last_is_found_first(client: Client) -> None:
    for name in "ab":
        client.create_registered_model(name)
    for name in "aba":
        client.create_model_version(name, "s3://x")
    client.update_model_version("a", "1", "changed")

    assert [("a", 1), ("a", 2), ("b", 1)] == [(one.name, int(one.version)) for one in client.search_model_versions()]


def test_the_first_of_everything_has_the_time_that_was_set() -> None:
    clock = Clock(NOW)
    client = Client(Store(clock=clock))
    client.create_registered_model("m")

    for _ in range(2):
        clock.set(NOW)
        experiment = client.get_experiment(client.create_experiment(f"e{clock.era}"))
        run, model = client.create_run("0").info, client.create_logged_model("0")
        version = client.create_model_version("m", "s3://x")

        assert [NOW] * 4 == [
            experiment.creation_time,
            run.start_time,
            model.creation_timestamp,
            version.creation_timestamp,
        ]


def test_times_rise_whichever_thread_reads_the_clock_first() -> None:
    times = RisingTimes()
    clock = lambda: 20  # noqa: E731

    assert [20, 21, 22, 23, 24] == [times.next(clock, reading) for reading in (20, 20, 19, 20, 19)]


def test_threads_create_runs_with_different_times() -> None:
    client = Client()
    starts: list[int] = []

    def create() -> None:
        starts.extend(client.create_run("0").info.start_time for _ in range(200))

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 800 == len(set(starts))


# MLflow's client, which reads the clock itself


@pytest.fixture(params=["mock", "stopped", "shared", "folder"])
def mlflow_client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MlflowClient]:
    """Give MLflow's client of a mock, of one whose clock stands still, of a store in memory and of one on disk."""
    register()
    where = {"shared": "mlquery://quick", "folder": f"mlquery:///{tmp_path}/store"}.get(request.param)
    if where is None:
        with mlquery.mock(clock=NOW if request.param == "stopped" else None):
            yield MlflowClient()
        return
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(where)
    yield MlflowClient()
    mlflow.set_tracking_uri(before)
    uris.forget(where)


def test_mlflow_logs_falling_values_in_their_order(mlflow_client: MlflowClient) -> None:
    with mlflow.start_run() as run:
        for value in range(30, 0, -1):
            mlflow.log_metric("x", value)
            mlflow.log_metrics({"x": value - 0.5, "y": -value})
    run_id = run.info.run_id

    assert [value - half for value in range(30, 0, -1) for half in (0, 0.5)] == values_of(mlflow_client, run_id)
    found = mlflow_client.get_run(run_id)
    assert {"x": 0.5, "y": -1.0} == found.data.metrics
    assert found.info.end_time > found.info.start_time


def test_mlflow_logs_metrics_of_an_active_model(mlflow_client: MlflowClient) -> None:
    active = mlflow.set_active_model(name="m")
    try:
        for value in range(30):
            mlflow.log_metric("x", value)
    finally:
        mlflow.clear_active_model()
        mlflow.end_run()

    points = mlflow_client.get_logged_model(active.model_id).metrics or []
    assert [float(value) for value in range(30)] == [point.value for point in points]


def test_mlflow_gives_a_model_the_metrics_that_were_logged_before_it(mlflow_client: MlflowClient) -> None:
    with mlflow.start_run() as run:
        for number in range(10):
            mlflow.log_metric("x", number)
            mlflow.log_metric("x", -number)
            model_id = mlflow.initialize_logged_model(name=f"m{number}").model_id
            for point in mlflow_client.get_metric_history(run.info.run_id, "x"):  # as `log_model` does
                mlflow_client.log_metric(run.info.run_id, "x", point.value, point.timestamp, model_id=model_id)

    assert 20 == len(mlflow_client.get_metric_history(run.info.run_id, "x"))
    found = mlflow.search_logged_models(output_format="list")
    assert [f"m{number}" for number in range(9, -1, -1)] == [model.name for model in found]


def test_mlflow_finds_the_newest_first(mlflow_client: MlflowClient) -> None:
    runs = [mlflow_client.create_run("0").info.run_id for _ in range(10)]
    experiments = [mlflow_client.create_experiment(f"quick {number}") for number in range(10)]

    assert runs[::-1] == [run.info.run_id for run in mlflow_client.search_runs(["0"])]
    assert experiments[::-1] == [found.experiment_id for found in mlflow_client.search_experiments()[:10]]


def test_a_point_that_a_caller_logs_twice_is_one_point(mlflow_client: MlflowClient) -> None:
    store, run_id = _get_store(), mlflow_client.create_run("0").info.run_id
    point = mlflow.entities.Metric("x", 1.0, get_current_time_millis(), 0)

    store.log_metric(run_id, point)
    store.log_metric(run_id, point)
    store.log_batch(run_id, [point], [], [])

    assert [point.timestamp] == times_of(mlflow_client, run_id)


def test_more_metrics_than_a_batch_holds_move_together() -> None:
    with mlquery.mock(clock=NOW) as double, mlflow.start_run() as run:
        for value in (2.0, 1.0):
            mlflow.log_metrics({f"k{number}": value for number in range(1_001)})

    assert {1.0} == set(double.store.get_run(run.info.run_id).data.metrics.values())


def test_times_are_noted_again_when_a_mock_inside_has_ended() -> None:
    register()
    uri = "mlquery://nested-times"
    client = MlflowClient(uri)
    with mlquery.mock(clock=5):
        with mlquery.mock(clock=7):
            assert 7 == get_current_time_millis()
        assert 5 == get_current_time_millis()
    with mock.patch("mlflow.utils.time.time", vars(times)["time"]):  # as a mock leaves it that began before the store
        run_id = client.create_run("0").info.run_id
        for value in range(30, 0, -1):
            client.log_metric(run_id, "x", value)

    assert [float(value) for value in range(30, 0, -1)] == values_of(client, run_id)
    uris.forget(uri)


# `time.time` of a test


def test_a_test_may_replace_the_time_of_the_system() -> None:
    store, registry = Store(), Registry()
    with mock.patch("time.time", return_value=NOW / 1000):
        run = Client(store).create_run("0").info
        experiment = store.get_experiment(store.create_experiment("e"))
        model = registry.create_registered_model("m")
        assert NOW == store.clock() == Clock()()

    assert [NOW] * 3 == [run.start_time, experiment.creation_time, model.creation_timestamp]


@pytest.mark.parametrize(
    "replaced",
    [lambda: mock.patch("time.time", return_value=1_600_000_000.0), lambda: freeze_time("2020-09-13T12:26:40Z")],
    ids=["patched", "frozen"],
)
def test_a_test_may_replace_the_time_of_mlflow(
    replaced: Callable[[], AbstractContextManager[Any]], mlflow_client: MlflowClient, request: pytest.FixtureRequest
) -> None:
    is_stopped = request.node.callspec.params["mlflow_client"] == "stopped"  # a clock that the mock was given wins
    start = NOW if is_stopped else 1_600_000_000_000
    mlflow_client.search_experiments()  # makes the store, with its default experiment
    with replaced():
        run_id = mlflow_client.create_run("0").info.run_id
        mlflow_client.log_metric(run_id, "x", 2.0)
        mlflow_client.log_metric(run_id, "x", 1.0)
        experiment = mlflow_client.get_experiment(mlflow_client.create_experiment("patched"))
        mlflow_client.set_terminated(run_id)

    info = mlflow_client.get_run(run_id).info
    later = start + 1 if is_stopped else start  # times that a test replaces are given, and equal ones stay so
    assert (start, later, [start, later]) == (info.start_time, info.end_time, times_of(mlflow_client, run_id))
    assert (1.0 if is_stopped else 2.0) == mlflow_client.get_run(run_id).data.metrics["x"]
    assert experiment.creation_time == (start + 1 if is_stopped else start)


# Beside MLflow


class Both:
    """MLflow's client of SQLite, whose clock goes on with every look, and clients of ours, whose clock stands still."""

    def __init__(self, folder: Path) -> None:
        logging.getLogger("mlflow.store").setLevel(logging.CRITICAL + 1)
        self.theirs = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        self._ticks = count(NOW)

    def play(self, script: list[tuple[Any, ...]]) -> list[Any]:
        """Return the outcomes of a script on MLflow, on our client and on MLflow's client in a mock."""
        theirs = self._outcome(self.theirs, script, lambda: next(self._ticks))
        own = self._outcome(Client(Store(clock=Clock(NOW))), script, lambda: None)
        with mlquery.mock(clock=NOW):
            return [theirs, own, self._outcome(MlflowClient(), script, lambda: None)]

    def _outcome(self, client: Any, script: list[tuple[Any, ...]], now: Callable[[], int | None]) -> Any:
        clock = "mlflow.store.tracking.sqlalchemy_store.get_current_time_millis"
        with mock.patch(clock, side_effect=lambda: now() or NOW):
            experiment_id = client.create_experiment(f"e{next(self._ticks)}" if now() else "e")
            runs = [client.create_run(experiment_id, now()).info.run_id for _ in range(2)]
            models = [None, client.create_logged_model(experiment_id, "m").model_id]
            refused = [self._refusal(client, runs, models, now, *step) for step in script]
            for run_id in runs:
                client.set_terminated(run_id, end_time=now())
        found = client.search_runs([experiment_id])
        return {
            "refused": refused,
            "newest first": [runs.index(run.info.run_id) for run in found],
            "ended": [run.info.end_time > run.info.start_time for run in found],
            "latest": [repr(run.data.metrics) for run in found],
            "histories": [
                [repr((p.value, p.step)) for p in client.get_metric_history(each, key)] for each in runs for key in "ab"
            ],
            "of the model": sorted(repr((p.key, p.value, p.step)) for p in self._points(client, models[1])),
        }

    def _points(self, client: Any, model_id: str | None) -> Any:
        return client.get_logged_model(model_id).metrics or []

    def _refusal(self, client: Any, runs: Any, models: Any, now: Any, *step: Any) -> str | None:
        run, key, value, number, time, model = step
        try:
            client.log_metric(runs[run], key, value, now() if time is None else time, number, model_id=models[model])
        except Exception as error:
            return str(getattr(error, "error_code", error))
        return None


STEPS = st.tuples(
    st.sampled_from([0, 1]),  # the run
    st.sampled_from("ab"),
    st.sampled_from([0.0, 1.0, 2.0, -1.0, float("nan")]),
    st.sampled_from([0, 0, 0, 1, 2]),
    st.sampled_from([None, None, None, None, 5, 6, FUTURE]),
    st.sampled_from([0, 0, 1]),  # the model
)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(tmp_path_factory.mktemp("times"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(STEPS, max_size=12))
def test_a_clock_that_stands_still_gives_what_mlflow_gives_when_each_call_takes_its_time(
    both: Both, script: list[tuple[Any, ...]]
) -> None:
    theirs, *ours = both.play(script)

    assert [theirs, theirs] == ours
