"""What Microsoft's example notebooks and scripts do with runs and experiments, in the dialect of their workspace.

Each test of the first part runs through MLflow itself, on a mock, and through `mlquery.fluent`, which has its
functions; those of the second part are about one of them. Source: Azure/azureml-examples (run_history,
xgboost_nested_runs, batch endpoints, foundation-model evaluation) and MicrosoftLearning/mslearn-azure-ml, read in 2026.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow as real_mlflow
import pandas as pd
import pytest
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException, RestException

import mlquery
from mlquery import Store, fluent
from tests.test_page_examples import names_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::mlquery.QueryWarning")]


def a_clock() -> Any:
    """Return a clock that goes on by a second at every look."""
    return iter(range(1_700_000_000_000, 1_800_000_000_000, 1000)).__next__


@pytest.fixture(params=["mlflow", "mlquery.fluent"])
def mlflow(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Give what a notebook calls `mlflow`, at work on an empty workspace."""
    if request.param == "mlflow":
        with mlquery.mock("azure", clock=a_clock()):
            yield real_mlflow
    else:
        fluent.use(Store(guid_ids=True, clock=a_clock()), "azure")
        yield fluent


@pytest.fixture
def trained(mlflow: Any) -> str:
    """Train four models, one of which fails, and return the id of their experiment."""
    experiment = mlflow.set_experiment("heart-classifier")
    for number, rounds in enumerate([100, 100, 10, 100]):
        try:
            with mlflow.start_run(run_name=f"run {number}", tags={"model_type": "LogisticRegression"}):
                mlflow.log_params({"num_boost_round": rounds, "model_arch": "resnet18"})
                if number == 2:
                    raise ValueError("no data")
                mlflow.log_metric("accuracy", [0.7, 0.9, math.nan, 0.8][number])
                mlflow.log_metric("AUC", number / 2)
        except ValueError:
            pass
    return str(experiment.experiment_id)


def test_experiments_are_listed_in_a_frame(mlflow: Any, trained: str) -> None:
    frame = pd.DataFrame([dict(experiment) for experiment in mlflow.search_experiments()])
    everything = mlflow.search_experiments(view_type=ViewType.ALL)

    assert {"heart-classifier", "Default"} == set(frame["name"]) == {experiment.name for experiment in everything}
    assert {"experiment_id", "lifecycle_stage", "creation_time"} <= set(frame.columns)


def test_an_experiment_is_created_on_first_use_and_looked_up_by_name(mlflow: Any, trained: str) -> None:
    experiment = mlflow.get_experiment_by_name("heart-classifier")

    assert trained == experiment.experiment_id == mlflow.set_experiment("heart-classifier").experiment_id
    assert mlflow.get_experiment_by_name("none") is None


def test_ids_are_guids(mlflow: Any, trained: str) -> None:
    last_run = mlflow.last_active_run()

    assert [8, 4, 4, 4, 12] == [len(part) for part in trained.split("-")]
    assert [8, 4, 4, 4, 12] == [len(part) for part in last_run.info.run_id.split("-")]


def test_runs_of_one_experiment_come_oldest_first(mlflow: Any, trained: str) -> None:
    assert ["run 0", "run 1", "run 2", "run 3"] == names_of(mlflow.search_runs(trained))


def test_an_attribute_needs_no_prefix_to_order_by(mlflow: Any, trained: str) -> None:
    found = mlflow.search_runs(trained, order_by=["start_time DESC"], max_results=2)

    assert ["run 3", "run 2"] == names_of(found)


def test_the_frame_is_sorted_by_a_metric(mlflow: Any, trained: str) -> None:
    found = mlflow.search_runs(trained).sort_values("metrics.accuracy", ascending=False)

    assert ["run 1", "run 3", "run 0", "run 2"] == names_of(found)


@pytest.mark.parametrize("output_format", ["pandas", "list"])
def test_a_parameter_selects_runs(mlflow: Any, trained: str, output_format: str) -> None:
    found = mlflow.search_runs(
        trained, filter_string="params.num_boost_round='100'", max_results=2, output_format=output_format
    )

    assert ["run 0", "run 1"] == names_of(found)


def test_the_status_column_is_in_upper_case(mlflow: Any, trained: str) -> None:
    runs = mlflow.search_runs(trained)

    assert ["run 0", "run 1", "run 3"] == names_of(runs[runs.status == "FINISHED"])
    assert ["run 2"] == names_of(runs[runs.status == "FAILED"])


def test_a_title_case_status_selects_runs_and_results_are_in_upper_case(mlflow: Any, trained: str) -> None:
    found = mlflow.search_runs(filter_string="attributes.status = 'Finished'", output_format="list")

    assert ["FINISHED"] * 3 == [run.info.status for run in found]


def test_the_last_of_a_list_is_the_last_run(mlflow: Any, trained: str) -> None:
    last_run = mlflow.search_runs(trained, output_format="list")[-1]

    assert "run 3" == last_run.info.run_name
    assert {"accuracy": 0.8, "AUC": 1.5} == last_run.data.metrics
    assert {"num_boost_round": "100", "model_arch": "resnet18"} == last_run.data.params
    assert last_run.info.run_id in str(last_run)


def test_artifacts_of_a_run_are_listed_and_downloaded(mlflow: Any, trained: str, tmp_path: Path) -> None:
    with mlflow.start_run() as active:
        mlflow.log_dict({"a": 1}, "config/model.json")
    client = mlflow.tracking.MlflowClient()

    assert ["config"] == [info.path for info in client.list_artifacts(active.info.run_id)]
    path = mlflow.artifacts.download_artifacts(
        run_id=active.info.run_id, artifact_path="config", dst_path=str(tmp_path)
    )
    assert ["model.json"] == [file.name for file in Path(path).iterdir()]


def test_children_are_found_without_their_parent_oldest_first(mlflow: Any) -> None:
    mlflow.set_experiment("nested")
    with mlflow.start_run(run_name="parent"):
        for number in range(3):
            with mlflow.start_run(run_name=f"child {number}", nested=True):
                mlflow.log_param("max_depth", number)
                mlflow.log_metric("auc", number / 10)
    parent = mlflow.last_active_run()

    children = mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId='{parent.info.run_id}'")

    assert ["child 0", "child 1", "child 2"] == names_of(children)
    first = ["run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time"]
    assert [*first, "metrics.auc", "params.max_depth"] == list(children.columns[:8])
    # The captures of 2022 have source.type and source.name as well, which the service drops today.
    keys = ("parentRunId", "user", "runName", "rootRunId")
    assert {f"tags.mlflow.{key}" for key in keys} == set(children.columns[8:])
    assert "UTC" == str(children["start_time"].dt.tz)
    assert [parent.info.run_id] * 3 == children["tags.mlflow.rootRunId"].tolist()


def test_the_runs_of_a_pipeline_job_share_its_root(mlflow: Any) -> None:
    mlflow.set_experiment("evaluation")
    with mlflow.start_run() as job, mlflow.start_run(nested=True), mlflow.start_run(nested=True):
        mlflow.log_metric("rouge1", 0.5)

    runs = mlflow.search_runs(
        experiment_names=["evaluation"],
        filter_string=f"tags.mlflow.rootRunId='{job.info.run_id}'",
        output_format="list",
    )

    assert 3 == len(runs)
    assert [{"rouge1": 0.5}] == [run.data.metrics for run in runs if "rouge1" in run.data.metrics]


def test_the_active_experiment_is_searched_by_default(mlflow: Any, trained: str) -> None:
    assert 4 == len(mlflow.search_runs())
    assert 4 == len(mlflow.search_runs(filter_string="params.model_arch = 'resnet18'"))
    assert 4 == len(mlflow.search_runs(experiment_names=["heart-classifier"], output_format="list"))


def test_clauses_are_joined_in_lower_case(mlflow: Any, trained: str) -> None:
    found = mlflow.search_runs(filter_string="metrics.AUC > 0.8 and tags.model_type = 'LogisticRegression'")

    assert ["run 3"] == names_of(found)


def test_a_history_gives_steps_and_values(mlflow: Any) -> None:
    mlflow.set_experiment("history")
    with mlflow.start_run() as active:
        for step in range(3):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)

    history = mlflow.MlflowClient().get_metric_history(active.info.run_id, "loss")

    assert [(0, 1.0), (1, 0.5), (2, 1 / 3)] == [(point.step, point.value) for point in history]


def test_threads_log_to_runs_of_their_own(mlflow: Any) -> None:
    mlflow.set_experiment("threads")

    def train(number: int) -> None:
        with mlflow.start_run(run_name=f"thread {number}"):
            for step in range(200):
                mlflow.log_metric("loss", float(step), step=step)
            mlflow.log_param("number", number)

    threads = [threading.Thread(target=train, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    runs = sorted(mlflow.search_runs(output_format="list"), key=lambda run: run.data.params["number"])
    assert [{"number": str(number)} for number in range(4)] == [run.data.params for run in runs]
    assert [{"loss": 199.0}] * 4 == [run.data.metrics for run in runs]
    histories = [mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss") for run in runs]
    assert [200] * 4 == [len(history) for history in histories]


def test_the_script_of_the_continuous_integration_orders_by_run_info(mlflow: Any, trained: str) -> None:
    found = mlflow.tracking.MlflowClient().search_runs(
        experiment_ids=trained,  # a string where a list is expected
        filter_string="",
        run_view_type=ViewType.ALL,
        order_by=["run.info.start_time DESC"],
    )

    assert ["run 3", "run 2", "run 1", "run 0"] == names_of(list(found))


def test_times_are_milliseconds_utc(mlflow: Any, trained: str) -> None:
    runs = mlflow.search_runs()

    assert "UTC" == str(runs["start_time"].dt.tz)
    assert 13 == len(str(mlflow.get_experiment(trained).creation_time))


# One of them

through_mlflow = pytest.mark.parametrize("mlflow", ["mlflow"], indirect=True)


@through_mlflow
def test_an_experiment_name_without_a_list_is_read_by_mlflow_3_as_a_list_of_letters(mlflow: Any, trained: str) -> None:
    mlflow.set_experiment("h")
    mlflow.start_run(run_name="found by a letter")
    mlflow.end_run()

    found = mlflow.search_runs(experiment_names="heart-classifier", output_format="list")

    assert {"found by a letter"} == set(names_of(found))


def test_fluent_takes_an_experiment_name_without_a_list() -> None:
    fluent.use(Store(guid_ids=True), "azure")
    fluent.set_experiment("heart-classifier")
    fluent.start_run()
    fluent.end_run()

    assert 1 == len(fluent.search_runs(experiment_names="heart-classifier", output_format="list"))


@through_mlflow
def test_where_no_experiment_is_set_runs_are_in_the_default_one(mlflow: Any) -> None:
    with mlflow.start_run(run_name="in the default experiment") as active:
        pass

    assert ["in the default experiment"] == names_of(mlflow.search_runs())
    assert mlflow.get_experiment_by_name("Default").experiment_id == active.info.experiment_id


def test_open_source_mlflow_orders_by_no_run_info() -> None:
    with mlquery.mock("oss"), pytest.raises(MlflowException):
        real_mlflow.MlflowClient().search_runs(["0"], order_by=["run.info.start_time DESC"])


@through_mlflow
def test_a_run_holds_200_params_and_a_batch_250_values_of_a_metric(mlflow: Any) -> None:
    with mlflow.start_run() as active:
        mlflow.log_params({f"p{number}": number for number in range(200)})
        with pytest.raises(RestException, match="FieldName=Parameters, Limit=200, Size=201") as refused:
            mlflow.log_params({"one more": 1})
        points = [mlflow.entities.Metric("m", 0.0, 1, step) for step in range(251)]
        with pytest.raises(RestException, match=r"FieldName=MetricV2Dto.Value/Count, Limit=250, Size=251"):
            mlflow.MlflowClient().log_batch(active.info.run_id, metrics=points)
        mlflow.MlflowClient().log_batch(active.info.run_id, metrics=points[:250])

    assert "ValidationError" == refused.value.json["Error"]["Code"]
    assert 200 == len(mlflow.get_run(active.info.run_id).data.params)


@through_mlflow
def test_the_user_is_shown_by_a_name_that_the_caller_cannot_set(mlflow: Any, trained: str) -> None:
    with mlflow.start_run(tags={"mlflow.user": "somebody"}) as active:
        pass

    found = mlflow.get_run(active.info.run_id)
    assert found.info.user_id == found.data.tags["mlflow.user"] != "somebody"


@through_mlflow
def test_a_run_holds_50_tags(mlflow: Any) -> None:
    with mlflow.start_run(), pytest.raises(RestException, match="FieldName=Tags, Limit=50, Size=") as refused:
        mlflow.set_tags({f"t{number}": number for number in range(50)})

    assert "INVALID_PARAMETER_VALUE" == refused.value.error_code


@through_mlflow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_models_are_managed_in_the_registry(mlflow: Any, tmp_path: Path) -> None:
    class Doubled(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        """A model that needs no package."""

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            return [2 * value for value in model_input["x"]]

    client, name = mlflow.MlflowClient(), "doubled"
    mlflow.pyfunc.save_model(tmp_path / "regressor", python_model=Doubled(), pip_requirements=[])
    with mlflow.start_run() as run:
        mlflow.log_artifacts(tmp_path / "regressor", "model")
    for _ in range(2):
        mlflow.register_model(f"{run.info.artifact_uri}/model", name)

    with pytest.raises(RestException, match="do not support OR"):  # the client asks for what is no prompt
        client.search_registered_models()
    versions = sorted(int(version.version) for version in client.search_model_versions(f"name='{name}'"))
    client.transition_model_version_stage(name, 1, "Staging")
    client.transition_model_version_stage(name, 2, "Staging", archive_existing_versions=True)
    stages = [client.get_model_version(name, number).current_stage for number in versions]
    model = mlflow.pyfunc.load_model(f"models:/{name}/Staging")
    client.update_model_version(name, 1, description="a sample")
    client.set_model_version_tag(name, "1", "type", "regression")
    tags = client.get_model_version(name, 1).tags
    client.delete_model_version_tag(name, "1", "type")
    client.delete_model_version(name, 2)

    assert ([1, 2], ["Archived", "Staging"]) == (versions, stages)
    assert [2, 4] == model.predict(pd.DataFrame({"x": [1, 2]}))
    assert ({"type": "regression"}, {}) == (tags, client.get_model_version(name, 1).tags)
    (latest,) = client.get_registered_model(name).latest_versions
    assert ("1", "a sample") == (str(latest.version), latest.description)
    assert [] == client.get_latest_versions(name, stages=["Staging"])


@through_mlflow
def test_logged_models_are_not_there_as_on_the_service(mlflow: Any) -> None:
    with pytest.raises(MlflowException, match="404"):
        mlflow.create_external_model("model")
