"""How a mock is switched on and off, where MLflow's calls go meanwhile, and what it says about a careless test."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock as Mocked

import mlflow
import pytest
from mlflow.exceptions import MlflowException

import mlquery
from mlquery import MockWarning
from mlquery.mocking import Clock, Mock
from tests.support.mlflow_globals import fingerprint


@pytest.fixture(autouse=True)
def outside() -> Iterator[Mock]:
    """Keep each test apart from all others, with a mock that the mocks of the test are nested in."""
    with mlquery.mock() as mock:
        yield mock


def train(name: str = "trained") -> str:
    with mlflow.start_run(run_name=name) as run:
        mlflow.log_metric("loss", 0.5)
    return str(run.info.run_id)


def names_in(store: mlquery.Store) -> list[str | None]:
    return [store.get_run(run_id).info.run_name for run_id in store.runs.ids]


def test_what_runs_inside_a_mock_is_in_its_store_and_nowhere_else(outside: Mock) -> None:
    with mlquery.mock() as mock:
        run_id = train()

    assert {"loss": 0.5} == mock.client.get_run(run_id).data.metrics
    assert 0 == outside.store.runs.size


def test_a_mock_that_is_started_again_has_a_new_store() -> None:
    mock = mlquery.mock()
    with mock:
        train()
    first = mock.store

    with mock:
        train("second")

    assert ["trained"] == names_in(first)
    assert ["second"] == names_in(mock.store)


def test_an_active_mock_cannot_be_started() -> None:
    with mlquery.mock() as mock, pytest.raises(RuntimeError, match="active already"):
        mock.start()


def test_stopping_twice_does_nothing() -> None:
    mock = mlquery.mock().start()
    mock.stop()
    before = fingerprint()

    mock.stop()

    assert before == fingerprint()


def test_a_mock_that_was_never_started_has_no_store() -> None:
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = mlquery.mock().store


def test_an_unknown_dialect_is_refused_when_the_mock_is_made() -> None:
    with pytest.raises(ValueError, match="unknown dialect 'aws'"):
        mlquery.mock("aws")


def test_mocks_that_end_in_the_order_in_which_they_started_leave_nothing_behind() -> None:
    before = fingerprint()
    first = mlquery.mock().start()
    train("first")
    second = mlquery.mock().start()

    first.stop()
    train("second")
    second.stop()

    assert before == fingerprint()
    assert (["first"], ["second"]) == (names_in(first.store), names_in(second.store))


def test_an_outer_mock_that_ends_first_reports_the_run_that_it_hides() -> None:
    first = mlquery.mock().start()
    run = mlflow.start_run(run_name="hidden")
    second = mlquery.mock().start()

    with pytest.warns(MockWarning, match="'hidden'"):
        first.stop()
    second.stop()

    assert "FINISHED" == first.store.get_run(run.info.run_id).info.status
    assert mlflow.active_run() is None


# Clients that are there already


def test_a_client_that_is_older_than_the_mock_talks_to_the_mock_while_it_is_active(outside: Mock) -> None:
    client = mlflow.MlflowClient()
    with mlquery.mock():
        run_id = train()
        assert {"loss": 0.5} == client.get_run(run_id).data.metrics
        client.log_text(run_id, "text", "file.txt")
        assert ["file.txt"] == [info.path for info in client.list_artifacts(run_id)]

    with pytest.raises(MlflowException, match=f"Run with id={run_id} not found"):
        client.get_run(run_id)


def test_a_client_of_a_server_or_database_never_reaches_it_from_inside_a_mock(tmp_path: Path) -> None:
    server = mlflow.MlflowClient("http://localhost:1", registry_uri="http://localhost:2")
    database = f"sqlite:///{tmp_path}/mlflow.db"
    with mlquery.mock():
        mlflow.set_tracking_uri(database)
        run_id = train()
        mlflow.MlflowClient(database).set_tag(run_id, "t", "v")
        mlflow.log_text("text", "file.txt", run_id=run_id)

        assert {"t": "v"}.items() <= server.get_run(run_id).data.tags.items()
        assert database == mlflow.get_tracking_uri()
        assert "text" == mlflow.artifacts.load_text(f"runs:/{run_id}/file.txt")

    assert [] == list(tmp_path.iterdir())


def test_a_client_made_inside_a_mock_works_in_the_next_one() -> None:
    with mlquery.mock():
        client = mlflow.MlflowClient()
    with mlquery.mock("azure"):
        run_id = train()

        assert "FINISHED" == client.get_run(run_id).info.status


def test_named_stores_keep_their_meaning_inside_a_mock() -> None:
    with mlquery.mock() as mock:
        mlflow.set_tracking_uri("mlquery://named-in-a-test")
        train()

        assert 0 == mock.store.runs.size
        assert 1 == len(mlflow.search_runs(output_format="list"))


def test_what_passes_through_reaches_its_store(tmp_path: Path) -> None:
    (tmp_path / "mlruns").mkdir()
    uri = (tmp_path / "mlruns").as_uri()
    with mlquery.mock(passthrough=["file:"]) as mock, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        experiment_id = mlflow.MlflowClient(uri).create_experiment("on disk")

        assert mock.store.get_experiment_by_name("on disk") is None
    assert (tmp_path / "mlruns" / experiment_id).is_dir()


def test_what_the_environment_says_about_a_server_is_not_seen_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRACKING_URI", "REGISTRY_URI", "EXPERIMENT_ID", "EXPERIMENT_NAME", "RUN_ID"):
        monkeypatch.setenv(f"MLFLOW_{name}", "of the server")
    before = fingerprint()
    with mlquery.mock() as mock:
        train()
        assert [mock.store.default_experiment_id] == list(mock.store.experiments.ids)
        assert "mlquery://" == mlflow.get_registry_uri()

    assert before == fingerprint()


def test_mlquerys_own_fluent_functions_work_on_the_mock_too(outside: Mock) -> None:
    with mlquery.mock() as mock:
        with mlquery.fluent.start_run(run_name="without mlflow"):
            pass
        assert ["without mlflow"] == [run.info.run_name for run in mlflow.search_runs(output_format="list")]

    assert ["without mlflow"] == names_in(mock.store)
    assert 0 == outside.store.runs.size


def test_a_run_that_is_active_outside_is_not_active_inside_and_again_afterwards() -> None:
    with mlflow.start_run(run_name="outer") as outer:
        with mlquery.mock() as mock:
            train("inner")
        mlflow.log_metric("after", 1.0)

    assert ["inner"] == names_in(mock.store)
    assert {"after": 1.0} == mlflow.get_run(outer.info.run_id).data.metrics


def test_tracing_that_was_switched_off_stays_off() -> None:
    mlflow.tracing.disable()

    with mlquery.mock():
        assert not mlflow.tracing.provider.is_tracing_enabled()

    assert not mlflow.tracing.provider.is_tracing_enabled()
    mlflow.tracing.enable()


def test_a_tracer_that_was_made_outside_is_not_used_inside_and_again_afterwards() -> None:
    mlflow.tracing.enable()
    tracer = mlflow.tracing.provider.provider.get()

    with mlquery.mock():
        assert tracer is not mlflow.tracing.provider.provider.get()
        assert mlflow.tracing.provider.is_tracing_enabled()

    assert tracer is mlflow.tracing.provider.provider.get()


@pytest.mark.slow
def test_autologging_that_was_on_is_on_again_with_its_arguments() -> None:
    import mlflow.sklearn
    from mlflow.utils.autologging_utils import AUTOLOGGING_INTEGRATIONS
    from sklearn.linear_model import LinearRegression

    mlflow.sklearn.autolog(max_tuning_runs=3, log_models=False, silent=True)
    with mlquery.mock():
        mlflow.sklearn.autolog(disable=True)

    LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    assert 3 == AUTOLOGGING_INTEGRATIONS["sklearn"]["max_tuning_runs"]
    assert 1 == len(mlflow.search_runs())


@pytest.mark.slow
def test_autologging_that_was_off_is_off_again() -> None:
    import mlflow.sklearn
    from sklearn.linear_model import LinearRegression

    fit = LinearRegression.fit
    with mlquery.mock():
        mlflow.sklearn.autolog(log_models=False, silent=True)
        LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
        assert 1 == len(mlflow.search_runs())
    assert fit is LinearRegression.fit

    LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    assert 0 == len(mlflow.search_runs())


# Careless tests


def test_a_run_that_is_left_active_is_ended_and_named() -> None:
    mock = mlquery.mock(clock=7).start()
    run = mlflow.start_run(run_name="careless")

    with pytest.warns(MockWarning, match=r"the run 'careless' \(.*\) was left active.*ended as FINISHED") as warned:
        mock.stop()

    info = mock.store.get_run(run.info.run_id).info
    assert ("FINISHED", 7, 8) == (info.status, info.start_time, info.end_time)
    assert mlflow.active_run() is None
    assert __file__ == warned[0].filename


def test_runs_that_are_left_active_by_a_failing_test_fail_and_are_noted_on_its_error() -> None:
    def fail() -> None:
        with mock:
            mlflow.start_run(run_name="outer")
            mlflow.start_run(run_name="inner", nested=True)
            _ = 1 / 0

    mock = mlquery.mock()
    with pytest.raises(ZeroDivisionError) as failed:
        fail()

    notes = failed.value.__notes__
    assert [True, True] == [name in note for name, note in zip(("'inner'", "'outer'"), notes, strict=True)]
    assert {"FAILED"} == {mock.store.get_run(run_id).info.status for run_id in mock.store.runs.ids}


def test_a_run_that_a_thread_leaves_active_is_ended_and_named() -> None:
    mock = mlquery.mock().start()
    thread = threading.Thread(target=mlflow.start_run, kwargs={"run_name": "of a thread"})
    thread.start()
    thread.join()

    with pytest.warns(MockWarning, match="'of a thread'"):
        mock.stop()

    assert "FINISHED" == mock.store.get_run(mock.store.runs.ids[0]).info.status


def test_a_run_of_mlquerys_own_functions_that_is_left_active_is_ended_and_named() -> None:
    mock = mlquery.mock().start()
    mlquery.fluent.start_run(run_name="without mlflow")

    with pytest.warns(MockWarning, match="'without mlflow'"):
        mock.stop()

    assert "FINISHED" == mock.store.get_run(mock.store.runs.ids[0]).info.status


def test_a_run_that_was_deleted_while_it_was_active_is_named() -> None:
    mock = mlquery.mock().start()
    mlflow.delete_run(mlflow.start_run(run_name="deleted").info.run_id)

    with pytest.warns(MockWarning, match="'deleted'.*cannot be ended: The run .* must be in the 'active' state"):
        mock.stop()


def test_a_run_is_ended_although_the_store_is_offline() -> None:
    mock = mlquery.mock().start()
    mlflow.start_run(run_name="careless")
    mock.store.offline = True

    with pytest.warns(MockWarning, match="'careless'"):
        mock.stop()

    assert ["FINISHED"] == [run.info.status for run in mock.client.search_runs("0")]


def test_what_measures_the_system_for_a_run_that_is_left_active_is_stopped() -> None:
    from mlflow.tracking.fluent import run_id_to_system_metrics_monitor

    monitor = Mocked()
    mock = mlquery.mock().start()
    run_id_to_system_metrics_monitor[mlflow.start_run().info.run_id] = monitor

    with pytest.warns(MockWarning, match="left active"):
        mock.stop()

    monitor.finish.assert_called_once_with()
    assert {} == run_id_to_system_metrics_monitor


def test_where_warnings_are_errors_mlflow_is_as_before_all_the_same() -> None:
    before = fingerprint()
    mock = mlquery.mock().start()
    mlflow.start_run(run_name="one")
    mlflow.start_run(run_name="two", nested=True)

    with pytest.raises(MockWarning, match="'two'"):
        mock.stop()

    assert before == fingerprint()


# Ids and times


def ids_and_names(mock: Mock) -> tuple[str, list[str]]:
    with mock:
        experiment = mlflow.set_experiment("e")
        for _ in range(2):
            mlflow.start_run()
            mlflow.end_run()
        return experiment.experiment_id, [*mock.store.runs.ids, *map(str, names_in(mock.store))]


@pytest.mark.parametrize("dialect", ["oss", "azure"])
def test_a_seed_makes_ids_and_names_repeat(dialect: str) -> None:
    first = ids_and_names(mlquery.mock(dialect, seed=3))

    assert first == ids_and_names(mlquery.mock(dialect, seed=3))
    assert first != ids_and_names(mlquery.mock(dialect, seed=4))


def test_a_seed_makes_the_ids_of_models_repeat() -> None:
    ids = []
    for _ in range(2):
        with mlquery.mock(seed=3), mlflow.start_run():
            ids.append(mlflow.initialize_logged_model("model").model_id)

    assert ids[0] == ids[1]


def test_an_active_experiment_of_another_store_is_not_active_in_a_copy() -> None:
    with mlquery.mock() as seeded:
        mlflow.set_tracking_uri("mlquery://elsewhere")
        mlflow.set_experiment("elsewhere")

    with mlquery.mock(store=seeded):
        train()

    assert 0 == seeded.store.runs.size


def test_without_a_seed_ids_differ() -> None:
    assert ids_and_names(mlquery.mock()) != ids_and_names(mlquery.mock())


def test_mlflow_tells_the_time_by_the_clock_of_the_mock() -> None:
    with mlquery.mock(clock=1_000) as mock:
        mock.clock.tick(1)
        with mlflow.start_run() as run:
            mlflow.log_metric("m", 1.0)
            mock.clock.set(1_700_000_000_123)
            mlflow.log_metric("m", 2.0, step=1)
            mock.clock.tick(5_000)
        experiment_id = mlflow.create_experiment("later")

    info = mock.store.get_run(run.info.run_id).info
    assert (1_001, 1_700_000_005_123) == (info.start_time, info.end_time)
    assert [1_001, 1_700_000_000_123] == [p.timestamp for p in mock.client.get_metric_history(info.run_id, "m")]
    assert 1_700_000_005_123 == mock.store.get_experiment(experiment_id).creation_time


def test_every_millisecond_arrives_as_it_was_set() -> None:
    from mlflow.utils.time import get_current_time_millis

    with mlquery.mock() as mock:
        for time in [0, 1, 999, *range(1_700_000_000_000, 1_700_000_001_000)]:
            mock.clock.set(time)
            assert time == get_current_time_millis()


def test_a_clock_goes_with_the_clock_behind_it_until_it_is_set() -> None:
    times = iter(range(100))
    clock = Clock(lambda: next(times))

    assert [0, 1] == [clock(), clock()]
    clock.tick(10)
    assert [12, 13] == [clock(), clock()]
    clock.set(5)
    clock.tick()
    assert [6, 6] == [clock(), clock()]


def test_the_clock_of_the_system_can_be_moved() -> None:
    from mlflow.utils.time import get_current_time_millis

    with mlquery.mock() as mock:
        before = get_current_time_millis()
        mock.clock.tick(86_400_000)

        assert 86_400_000 <= get_current_time_millis() - before < 86_460_000


@pytest.mark.parametrize("time", [1.5, True, "now"])
def test_a_time_is_a_whole_number(time: object) -> None:
    with pytest.raises(TypeError, match="whole number of milliseconds"):
        Clock().set(time)  # type: ignore[arg-type]


# A store to start with


def test_each_mock_works_on_a_copy_of_the_store_that_is_given() -> None:
    with mlquery.mock(seed=1) as seeded:
        run_id = train("seeded")

    for _ in range(2):
        with mlquery.mock(store=seeded.store) as mock:
            mlflow.MlflowClient().set_tag(run_id, "t", "v")
            train("more")
        assert ["seeded", "more"] == names_in(mock.store)

    assert ["seeded"] == names_in(seeded.store)
    assert "t" not in seeded.store.get_run(run_id).data.tags


@pytest.mark.parametrize("seed", [None, 1])
def test_ids_that_come_after_those_of_the_seed_are_new(seed: int | None) -> None:
    with mlquery.mock(seed=1) as seeded:
        train()

    stores = []
    for _ in range(2):
        with mlquery.mock(store=seeded, seed=seed) as mock:
            train()
        stores.append(mock.store)

    assert 2 == stores[0].runs.size
    assert list(stores[0].runs.ids) == list(stores[1].runs.ids)


def test_a_copy_answers_in_the_dialect_of_its_origin_unless_another_is_named() -> None:
    azure = mlquery.mock("azure").start()
    azure.stop()

    dialects = []
    for given in (None, "extended"):
        with mlquery.mock(given, store=azure.store) as mock:
            dialects.append(mock.dialect)

    assert ["azure", "extended"] == dialects


@pytest.mark.parametrize("what", ["mock", "store"])
def test_the_experiment_that_was_active_in_the_seed_is_active_again(what: str) -> None:
    with mlquery.mock(seed=1) as seeded:
        mlflow.set_experiment("of the seed")
        train()

    for _ in range(2):
        with mlquery.mock(store=seeded if what == "mock" else seeded.store):
            assert 1 == len(mlflow.search_runs())
            mlflow.set_experiment("of the test")
            assert 0 == len(mlflow.search_runs())


def test_the_clock_of_a_copy_is_moved_on_its_own() -> None:
    with mlquery.mock(clock=50) as seeded:
        pass

    with mlquery.mock(store=seeded) as mock:
        mock.clock.tick(5)

    assert (50, 55) == (seeded.clock(), mock.clock())


def test_a_store_can_be_worked_on_itself() -> None:
    store = mlquery.Store()
    for name in ("one", "two"):
        with mlquery.mock(store=store, clone=False):
            train(name)

    assert ["one", "two"] == names_in(store)


@pytest.mark.parametrize("clone", [True, False])
def test_registered_models_are_beside_the_store_after_the_mock(clone: bool) -> None:
    store = mlquery.Store()
    mlquery.Client(store).create_registered_model("before")

    with mlquery.mock(store=store, clone=clone) as mock:
        mlflow.MlflowClient().create_registered_model("inside")
        assert ["before", "inside"] == [model.name for model in mock.client.search_registered_models()]

    assert ["before", "inside"] == [model.name for model in mlquery.Client(mock.store).search_registered_models()]
    names = ["before"] if clone else ["before", "inside"]
    assert names == [model.name for model in mlquery.Client(store).search_registered_models()]


def test_a_store_loaded_from_a_database_serves_mlflow() -> None:
    store = mlquery.load(Path(__file__).parents[1] / "examples" / "sweep.db")

    with mlquery.mock(store=store):
        best = mlflow.search_runs(["2"], order_by=["metrics.auc DESC"], max_results=1, output_format="list")

    assert "mlp_4_0.01" == best[0].info.run_name


def test_the_artifacts_of_the_seed_are_there() -> None:
    with mlquery.mock() as seeded:
        run_id = train()
        mlflow.log_dict({"a": 1}, "config.json", run_id=run_id)

    with mlquery.mock(store=seeded):
        assert {"a": 1} == mlflow.artifacts.load_dict(f"runs:/{run_id}/config.json")


# Without MLflow


@pytest.mark.slow
def test_without_mlflow_the_mock_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['mlflow'] = None\n"
        "import mlquery\n"
        "try: mlquery.mock()\n"
        "except ImportError as error: print(error)"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "pip install 'mlquery[mlflow]'" in shown


@pytest.mark.slow
def test_naming_the_mock_and_loading_the_pytest_plugin_import_nothing_heavy() -> None:
    code = (
        "import sys, mlquery.pytest_plugin as p; print(*sys.modules); import mlquery; mlquery.mock; print(*sys.modules)"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    plugin, mock = (set(line.split()) for line in shown.splitlines())

    assert not {"numpy", "pandas", "mlflow", "pyparsing"} & plugin
    assert not {"pandas", "mlflow", "sqlalchemy"} & mock
