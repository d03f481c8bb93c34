"""What people do with MLflow, on whichever release of it is installed: it needs mlflow-skinny and nothing else of it.

`.ci/run` runs this file on old releases too, each in an environment of its own.
"""

from __future__ import annotations

import os
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils import autologging_utils
from mlflow.utils.import_hooks import _post_import_hooks

import mlquery
from mlquery.errors import MockWarning
from mlquery.mlflow_plugin import releases, uris

HAS_MODELS = hasattr(mlflow.entities, "LoggedModel")


@pytest.fixture
def store() -> Iterator[mlquery.Store]:
    with mlquery.mock() as mock:
        yield mock.store


@pytest.fixture
def client(store: mlquery.Store) -> MlflowClient:
    return MlflowClient()


# Runs


def test_a_run_keeps_what_is_logged(store: mlquery.Store) -> None:
    with mlflow.start_run(run_name="one", tags={"team": "blue"}) as run:
        mlflow.log_metric("auc", 0.5, step=1)
        mlflow.log_metrics({"auc": 0.75, "loss": 0.25}, step=2)
        mlflow.log_param("depth", 4)
        mlflow.log_params({"eta": 0.1})
        mlflow.set_tags({"stage": "dev"})

    found = mlflow.get_run(run.info.run_id)
    assert ("one", "FINISHED") == (found.info.run_name, found.info.status)
    assert {"auc": 0.75, "loss": 0.25} == found.data.metrics
    assert {"depth": "4", "eta": "0.1"} == found.data.params
    assert {"team": "blue", "stage": "dev"}.items() <= found.data.tags.items()
    last = mlflow.last_active_run()
    assert last is not None
    assert run.info.run_id == last.info.run_id
    assert 1 == store.runs.size


def test_points_of_a_metric_are_read_back_one_by_one(client: MlflowClient) -> None:
    with mlflow.start_run() as run:
        for step in range(5):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
    client.log_batch(run.info.run_id, [Metric("loss", 0.0, 10**12, 9)], [Param("p", "1")], [RunTag("t", "2")])

    points = client.get_metric_history(run.info.run_id, "loss")
    assert [0, 1, 2, 3, 4, 9] == sorted(point.step for point in points)
    assert 10**12 in [point.timestamp for point in points]
    assert {"loss": 0.0} == client.get_run(run.info.run_id).data.metrics


def test_what_is_logged_asynchronously_is_there(client: MlflowClient) -> None:
    with mlflow.start_run() as run:
        for operation in (
            mlflow.log_metric("m", 1.0, synchronous=False),
            mlflow.log_params({"p": 1}, synchronous=False),
            mlflow.set_tag("t", "v", synchronous=False),
        ):
            assert operation is not None
            operation.wait()

    data = client.get_run(run.info.run_id).data
    assert ({"m": 1.0}, {"p": "1"}, "v") == (data.metrics, data.params, data.tags["t"])


def test_searches_answer_with_a_frame_or_a_list(store: mlquery.Store) -> None:
    mlflow.set_experiment("search")
    for depth in (2, 4, 8):
        with mlflow.start_run(run_name=f"depth {depth}"):
            mlflow.log_param("depth", depth)
            mlflow.log_metric("auc", 0.9 - abs(depth - 4) / 10)

    frame = mlflow.search_runs(order_by=["metrics.auc DESC"])
    runs = mlflow.search_runs(filter_string="metrics.auc > 0.6 AND params.depth != '2'", output_format="list")
    everywhere = mlflow.search_runs(search_all_experiments=True, max_results=2)
    assert ["4", "2", "8"] == list(frame["params.depth"])
    assert ["depth 4"] == [run.info.run_name for run in runs]
    assert 2 == len(everywhere)


def test_a_filter_that_the_dialect_does_not_take_is_refused(store: mlquery.Store) -> None:
    with mlquery.mock(dialect="azure"), pytest.raises(MlflowException, match="order runs by metrics"):
        mlflow.search_runs(order_by=["metrics.auc DESC"])

    with pytest.raises(MlflowException) as caught:
        mlflow.search_runs(filter_string="metrics.auc >")
    assert "INVALID_PARAMETER_VALUE" == caught.value.error_code


def test_nested_runs_know_their_parent(client: MlflowClient) -> None:
    with mlflow.start_run() as parent:
        with mlflow.start_run(nested=True) as child:
            assert child.info.run_id == mlflow.active_run().info.run_id  # type: ignore[union-attr]
        with pytest.raises(Exception, match="already active"):
            mlflow.start_run()

    assert parent.info.run_id == client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"]
    assert mlflow.active_run() is None


def test_a_run_that_raises_has_failed(client: MlflowClient) -> None:
    with pytest.raises(ZeroDivisionError), mlflow.start_run() as run:
        1 / 0  # noqa: B018

    assert "FAILED" == client.get_run(run.info.run_id).info.status


def test_runs_are_deleted_and_restored(client: MlflowClient) -> None:
    with mlflow.start_run() as run:
        pass
    mlflow.delete_run(run.info.run_id)
    assert [] == mlflow.search_runs(output_format="list")
    assert [run.info.run_id] == [one.info.run_id for one in client.search_runs(["0"], run_view_type=2)]

    client.restore_run(run.info.run_id)
    assert "active" == client.get_run(run.info.run_id).info.lifecycle_stage


def test_experiments_are_created_tagged_renamed_deleted_and_restored(client: MlflowClient) -> None:
    experiment_id = mlflow.create_experiment("first", tags={"team": "blue"})
    client.set_experiment_tag(experiment_id, "stage", "dev")
    client.rename_experiment(experiment_id, "second")
    found = mlflow.get_experiment_by_name("second")
    assert found is not None
    assert {"team": "blue", "stage": "dev"} == found.tags
    assert ["second"] == [one.name for one in mlflow.search_experiments(filter_string="name LIKE 's%'")]

    mlflow.delete_experiment(experiment_id)
    assert "deleted" == client.get_experiment(experiment_id).lifecycle_stage
    client.restore_experiment(experiment_id)
    assert experiment_id == mlflow.set_experiment("second").experiment_id
    with mlflow.start_run() as run:
        pass
    assert experiment_id == run.info.experiment_id


def test_a_missing_run_has_mlflows_code(client: MlflowClient) -> None:
    with pytest.raises(MlflowException) as caught:
        client.get_run("none")

    assert "RESOURCE_DOES_NOT_EXIST" == caught.value.error_code


# Artifacts, datasets, models


def test_artifacts_are_logged_listed_and_downloaded(client: MlflowClient, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("a")
    with mlflow.start_run() as run:
        mlflow.log_text("hello", "notes/hello.txt")
        mlflow.log_dict({"a": 1}, "a.json")
        mlflow.log_artifact(str(tmp_path / "folder" / "a.txt"))
        mlflow.log_artifacts(str(tmp_path / "folder"), "copy")

    assert ["a.json", "a.txt", "copy", "notes"] == [one.path for one in client.list_artifacts(run.info.run_id)]
    assert {"a": 1} == mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/a.json")
    into = tmp_path / "into"
    into.mkdir()
    copied = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="notes", dst_path=str(into))
    assert "hello" == (Path(copied) / "hello.txt").read_text()


def test_a_dataset_is_an_input(client: MlflowClient) -> None:
    dataset = mlflow.entities.Dataset("iris", "d1", "local", "{}")
    tag = mlflow.entities.InputTag("mlflow.data.context", "training")
    with mlflow.start_run() as run:
        pass
    client.log_inputs(run.info.run_id, [mlflow.entities.DatasetInput(dataset, [tag])])

    inputs: Any = client.get_run(run.info.run_id).inputs
    (read,) = inputs.dataset_inputs
    assert ("iris", "d1", "training") == (read.dataset.name, read.dataset.digest, read.tags[0].value)
    assert 1 == len(mlflow.search_runs(filter_string="dataset.name = 'iris'", output_format="list"))


def log_model() -> Any:
    """Log a model that needs no library, and register it, as every release can."""
    pyfunc: Any = import_module("mlflow.pyfunc")

    class Doubled(pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads them
            return [2 * number for number in model_input]

    where = {"name" if HAS_MODELS else "artifact_path": "model"}
    return pyfunc.log_model(**where, python_model=Doubled(), registered_model_name="doubled", pip_requirements=[])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's, about type hints
def test_a_model_is_logged_registered_and_loaded(client: MlflowClient) -> None:
    with mlflow.start_run() as run:
        logged = log_model()

    (version,) = client.search_model_versions("name = 'doubled'")
    assert ("1", run.info.run_id) == (str(version.version), version.run_id)
    client.set_registered_model_alias("doubled", "champion", str(version.version))
    for uri in (logged.model_uri, "models:/doubled/1", "models:/doubled@champion"):
        assert [2, 4] == import_module("mlflow.pyfunc").load_model(uri).unwrap_python_model().predict(None, [1, 2])


@pytest.mark.filterwarnings("ignore")
def test_logged_models_are_found_by_what_was_measured_or_are_in_a_tag_as_in_mlflow_2(client: MlflowClient) -> None:
    if not HAS_MODELS:
        with mlflow.start_run() as run:
            log_model()
        assert '"artifact_path": "model"' in client.get_run(run.info.run_id).data.tags["mlflow.log-model.history"]
        assert not hasattr(client, "search_logged_models")
        return

    with mlflow.start_run() as run:
        for name, auc in (("good", 0.9), ("bad", 0.5)):
            model = mlflow.initialize_logged_model(name=name, params={"depth": "4"})
            mlflow.log_metric("auc", auc, model_id=model.model_id)
            mlflow.finalize_logged_model(model.model_id, "READY")

    found: Any = client.search_logged_models(["0"], filter_string="metrics.auc > 0.8 AND params.depth = '4'")
    assert ["good"] == [one.name for one in found]
    assert run.info.run_id == found[0].source_run_id
    assert [0.9] == [point.value for point in found[0].metrics]


def test_models_are_registered_with_tags_aliases_and_stages(client: MlflowClient) -> None:
    client.create_registered_model("churn", tags={"team": "blue"}, description="who leaves")
    with mlflow.start_run() as run:
        mlflow.log_text("weights", "model/weights.txt")
    source = f"{run.info.artifact_uri}/model"
    for _ in range(2):
        client.create_model_version("churn", source, run.info.run_id, tags={"state": "new"})
    client.set_registered_model_alias("churn", "champion", "2")
    client.set_model_version_tag("churn", "1", "state", "old")

    assert "2" == str(client.get_model_version_by_alias("churn", "champion").version)
    assert "old" == client.get_model_version("churn", "1").tags["state"]
    assert {1, 2} == {int(one.version) for one in client.search_model_versions("name = 'churn'")}
    assert ["churn"] == [one.name for one in client.search_registered_models("name LIKE 'ch%'")]
    with pytest.warns(FutureWarning):
        client.transition_model_version_stage("churn", "2", "Production")
    with pytest.warns(FutureWarning):
        assert ["Production"] == [one.current_stage for one in client.get_latest_versions("churn", ["Production"])]
    client.delete_registered_model_alias("churn", "champion")
    client.delete_model_version("churn", "1")
    client.rename_registered_model("churn", "leavers")
    client.delete_registered_model("leavers")
    assert [] == list(client.search_registered_models())


def test_prompts_are_refused_by_name_where_there_are_any(client: MlflowClient) -> None:
    search = getattr(client, "search_prompts", None)
    if search is not None:
        with pytest.raises(MlflowException, match="does not keep prompts"):
            search()


# What a mock leaves behind


def tracer() -> Any:
    provider: Any = mlflow.tracing.provider
    return provider.provider.get() if hasattr(provider, "provider") else provider._MLFLOW_TRACER_PROVIDER


def state() -> list[Any]:
    """Return what is global in MLflow, as people can see it."""
    return [
        *(mlflow.get_tracking_uri(), mlflow.get_registry_uri(), mlflow.active_run(), mlflow.last_active_run()),
        *({name: on for name, on in autologging_utils.AUTOLOGGING_INTEGRATIONS.items() if on}, tracer()),
        {module: list(hooks) for module, hooks in _post_import_hooks.items() if hooks},
        {name: value for name, value in os.environ.items() if "MLFLOW" in name},
    ]


def test_a_mock_ends_with_everything_as_it_was(tmp_path: Path) -> None:
    with mlquery.mock():  # keeps the outer state apart from other tests
        mlflow.set_tracking_uri("mlquery://outside")
        mlflow.set_experiment("outside")
        with mlflow.start_run() as outside:
            before = state()
            with mlquery.mock(), mlflow.start_run():
                mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/not-there.db")
                mlflow.set_registry_uri("http://127.0.0.1:9")
                mlflow.set_experiment("inside")
                mlflow.autolog(silent=True)
                os.environ["MLFLOW_RUN_ID"] = "none"
                mlflow.log_param("p", 1)
            assert before == state()
            mlflow.log_param("q", 2)

        assert {"q": "2"} == mlflow.get_run(outside.info.run_id).data.params
        assert [] == list(tmp_path.iterdir())
    uris.forget("mlquery://outside")


def test_a_client_that_is_older_than_the_mock_speaks_to_it() -> None:
    older = MlflowClient("http://127.0.0.1:9")
    with mlquery.mock(), mlflow.start_run() as run:
        assert run.info.run_id == older.get_run(run.info.run_id).info.run_id
        older.create_registered_model("m")
        assert "m" == MlflowClient().get_registered_model("m").name


def test_mocks_are_nested() -> None:
    with mlquery.mock() as outer, mlflow.start_run() as run:
        with mlquery.mock() as inner:
            assert mlflow.active_run() is None
            with mlflow.start_run():
                pass
        assert run.info.run_id == mlflow.active_run().info.run_id  # type: ignore[union-attr]

    assert (1, 1) == (outer.store.runs.size, inner.store.runs.size)


def test_a_run_that_is_left_active_is_ended_and_named() -> None:
    with pytest.warns(mlquery.MockWarning, match="was left active and has been ended as FINISHED"), mlquery.mock() as m:
        run = mlflow.start_run()

    assert "FINISHED" == m.client.get_run(run.info.run_id).info.status
    assert mlflow.active_run() is None


def test_threads_log_into_the_store(store: mlquery.Store) -> None:
    def train() -> None:
        client = MlflowClient()
        run = client.create_run("0")
        client.log_metric(run.info.run_id, "m", 1.0)

    threads = [threading.Thread(target=train) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 4 == store.runs.size


def test_autologging_that_was_on_is_on_again(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("mlflow.of_the_test")
    utils: Any = autologging_utils

    class Estimator:
        def fit(self) -> str:
            return "fitted"

    def logged_fit(original: Any, self: Any) -> Any:
        mlflow.log_param("fitted", True)
        return original(self)

    @utils.autologging_integration("of_the_test")  # type: ignore[untyped-decorator]
    def autolog(disable: bool = False, silent: bool = False) -> None:
        utils.safe_patch("of_the_test", Estimator, "fit", logged_fit, manage_run=True)

    module.autolog = autolog
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(mlflow, "of_the_test", module, raising=False)
    for is_on in (True, False):
        with mlquery.mock() as outer:
            autolog(disable=not is_on)
            with mlquery.mock() as inner:
                autolog(disable=is_on)
                assert "fitted" == Estimator().fit()
            Estimator().fit()

        assert (int(is_on), int(not is_on)) == (outer.store.runs.size, inner.store.runs.size)
    assert not autologging_utils.AUTOLOGGING_INTEGRATIONS.get("of_the_test")


@pytest.mark.filterwarnings("default")  # an error in what MLflow imports for a trace would drop it in silence
def test_code_that_traces_runs_and_leaves_no_tracer_behind(store: mlquery.Store) -> None:
    @mlflow.trace
    def double(number: int) -> int:
        with mlflow.start_span("inner"):
            return 2 * number

    before = tracer()
    mock = mlquery.mock().start()
    mlflow.set_experiment("traced")
    assert 4 == double(2)
    with pytest.warns(MockWarning, match="traces are not kept") if HAS_MODELS else nullcontext():
        mock.stop()

    assert before is tracer()


def test_tracing_that_is_switched_off_stays_off(store: mlquery.Store) -> None:
    tracing: Any = mlflow.tracing
    is_enabled = getattr(tracing.provider, "is_tracing_enabled", None) or tracing.provider._is_enabled
    tracing.disable()
    with mlquery.mock():
        assert not is_enabled()
        tracing.enable()
        assert is_enabled()
    assert not is_enabled()
    tracing.enable()
    assert is_enabled()


# URIs, pytest


def test_a_named_store_is_shared(store: mlquery.Store) -> None:
    mlflow.set_tracking_uri("mlquery://of-the-releases?dialect=azure")
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 1.0)

    assert 36 == len(run.info.run_id)
    assert 0 == store.runs.size
    other = MlflowClient("mlquery://of-the-releases", "mlquery://of-the-releases")
    assert {"m": 1.0} == other.get_run(run.info.run_id).data.metrics
    uris.forget("mlquery://of-the-releases")


def test_a_store_on_disk_is_read_again(tmp_path: Path) -> None:
    uri = f"mlquery:///{tmp_path}/store"
    with mlquery.mock():
        mlflow.set_tracking_uri(uri)
        with mlflow.start_run() as run:
            mlflow.log_metric("m", 1.0)
            mlflow.log_text("x", "x.txt")
        uris.forget(uri)
        mlflow.set_tracking_uri(uri)
        assert {"m": 1.0} == mlflow.get_run(run.info.run_id).data.metrics
        assert "x" == mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/x.txt")
        uris.forget(uri)


def test_the_fixtures_of_pytest_are_there(mlquery_store: mlquery.Store, mlquery_client: mlquery.Client) -> None:
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 1.0)

    assert 1 == mlquery_store.runs.size
    assert {"m": 1.0} == mlquery_client.get_run(run.info.run_id).data.metrics


def test_a_test_runs_once_per_dialect(mlquery_dialect: str) -> None:
    with mlflow.start_run() as run:
        pass

    assert {"oss": 32, "azure": 36}[mlquery_dialect] == len(run.info.run_id)


@pytest.mark.mlquery(seed=1, clock=1_700_000_000_000)
def test_the_marker_stops_the_clock() -> None:
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 1.0)

    (point,) = MlflowClient().get_metric_history(run.info.run_id, "m")
    assert (1_700_000_000_000,) * 2 == (run.info.start_time, point.timestamp)


# Releases that do not work


@pytest.mark.parametrize("version", ["1.30.1", "2.9.2", "2.15.1"])
def test_a_release_that_is_too_old_gets_one_sentence(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow, "__version__", version)
    builders: Any = import_module("mlquery.mlflow_plugin")
    for start in (
        mlquery.mock().start,
        lambda: builders.tracking_store("mlquery://"),
        lambda: builders.registry_store("mlquery://"),
        lambda: builders.artifact_repository("mlquery-artifacts:0/1/artifacts"),
        builders.register,
    ):
        with pytest.raises(ImportError) as caught:
            start()
        assert (
            f"MLflow {version} is too old for mlquery, which works with MLflow 2.16 and newer: "
            "pip install 'mlflow>=2.16,<4'"
        ) == str(caught.value)


def test_a_release_that_has_lost_a_name_gets_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow, "__version__", "4.0.0")
    monkeypatch.delattr("mlflow.tracking.fluent._active_run_stack")
    monkeypatch.delitem(sys.modules, "mlquery.mocking.mlflow_state", raising=False)

    for _ in range(2):
        with pytest.raises(ImportError) as caught:
            mlquery.mock().start()
        assert (
            "mlquery does not work with MLflow 4.0.0 as it is installed "
            "(mlflow.tracking.fluent has no _active_run_stack): "
            "pip install 'mlflow>=2.16,<4', or get a newer mlquery"
        ) == str(caught.value)


def test_the_sentence_names_what_the_extra_installs() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]

    assert [releases.REMEDY] == [f"pip install '{wanted}'" for wanted in project["optional-dependencies"]["mlflow"]]


def test_the_version_is_known_where_mlflow_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mlflow")

    assert mlflow.__version__ == releases.installed_version()
