"""Microsoft's page and example notebooks, through `import mlflow` as they are printed, on a mock in both dialects.

The examples of the page, and what they must find, are those of `tests/test_page_examples.py`; here `mlflow` is MLflow
itself. Source of the notebooks: Azure/azureml-examples and MicrosoftLearning/mslearn-azure-ml, read in 2026.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException, RestException

import mlquery
from mlquery import QueryWarning
from mlquery.mock import Mock
from tests.test_page_examples import EXAMPLES, ID, OTHER_ID, in_open_source, names_of, run, store_of_the_page

pytestmark = pytest.mark.filterwarnings("ignore::mlquery.QueryWarning")

LEGACY = "all active experiments, legacy"  # MLflow 2 has dropped the function


def page_names() -> dict[str, Any]:
    """Return the names that the page's examples see."""
    return {"mlflow": mlflow, "experiment_name": "my_experiment", "__name__": "page"}


@pytest.fixture
def page() -> Iterator[dict[str, Any]]:
    """Let MLflow work on the workspace of the page and return the names that its examples see."""
    with mlquery.mock("azure", store=store_of_the_page()):
        mlflow.set_experiment(experiment_id=ID)
        runs = mlflow.search_runs(ID, output_format="list")
        yield {**page_names(), "runs": runs, "last_run": runs[0]}


@pytest.mark.parametrize("title", [title for title in EXAMPLES if title != LEGACY])
@pytest.mark.parametrize("dialect", ["azure", "azure:documented"])
def test_an_example_of_the_page_finds_what_it_is_about(title: str, dialect: str) -> None:
    example, expected, _ = EXAMPLES[title]
    with mlquery.mock(dialect, store=store_of_the_page()):
        mlflow.set_experiment(experiment_id=ID)

        assert expected == names_of(run(example, page_names()))


@pytest.mark.parametrize("title", [title for title in EXAMPLES if title != LEGACY])
def test_open_source_mlflow_finds_the_same_or_refuses_what_only_azure_knows(title: str) -> None:
    example, expected, refused = EXAMPLES[title]
    if title == "runs that failed":
        expected = []  # statuses are compared as they are written, and results are in upper case
    with mlquery.mock("oss", store=store_of_the_page("1", "2", "3")):
        if refused:
            with pytest.raises(MlflowException, match=refused) as error:
                run(in_open_source(example), page_names())
            assert "INVALID_PARAMETER_VALUE" == error.value.error_code
        else:
            assert sorted(expected) == sorted(names_of(run(in_open_source(example), page_names())))


def test_a_function_that_mlflow_has_dropped_is_missing_in_every_dialect(page: dict[str, Any]) -> None:
    with pytest.raises(AttributeError, match="list_experiments"):
        run(EXAMPLES[LEGACY][0], page)


@pytest.mark.parametrize("title", ["experiments created after a time", "runs created after a time"])
def test_the_examples_that_compare_seconds_with_milliseconds_warn(title: str, page: dict[str, Any]) -> None:
    with pytest.warns(QueryWarning, match="seconds"):
        run(EXAMPLES[title][0], page)


def test_the_details_of_the_last_run_can_be_read(page: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    run('last_run = runs[-1]\nprint("Last run ID:", last_run.info.run_id)', page)

    assert f"Last run ID: {OTHER_ID}\n" == capsys.readouterr().out
    assert {"num_boost_round": "100"} == run("last_run.data.params", page)
    assert pytest.approx({"accuracy": 0.3}) == run("last_run.data.metrics", page)


def test_the_history_of_a_metric_can_be_read(page: dict[str, Any]) -> None:
    example = """
        client = mlflow.tracking.MlflowClient()
        client.get_metric_history("1234-5678-90AB-CDEFG", "log_loss")
        """

    assert [(0, 0.9), (1, 0.5), (2, 0.4)] == [(point.step, point.value) for point in run(example, page)]


def test_the_artifacts_of_a_run_can_be_listed(page: dict[str, Any]) -> None:
    example = """
        client = mlflow.tracking.MlflowClient()
        client.list_artifacts("1234-5678-90AB-CDEFG")
        """

    assert ["classifier", "feature_importance_weight.png"] == [info.path for info in run(example, page)]


def test_an_artifact_can_be_downloaded(page: dict[str, Any]) -> None:
    example = """
        file_path = mlflow.artifacts.download_artifacts(
            run_id="1234-5678-90AB-CDEFG", artifact_path="feature_importance_weight.png"
        )
        """

    assert "a picture" == Path(run(example, page)).read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_a_model_can_be_downloaded_and_loaded(page: dict[str, Any], tmp_path: Path) -> None:
    mlflow.set_experiment("models")
    with mlflow.start_run() as active:
        save_classifier(tmp_path / "classifier")
        mlflow.log_artifacts(str(tmp_path / "classifier"), "classifier")
    page["last_run"] = active
    download = f"""
        artifact_path="classifier"
        model_local_path = mlflow.artifacts.download_artifacts(
          run_id="{active.info.run_id}", artifact_path=artifact_path
        )
        """
    run(download, page)

    # The page has the flavour `xgboost`; the calls are the same in each flavour.
    run("model = mlflow.sklearn.load_model(model_local_path)", page)
    run('same = mlflow.sklearn.load_model(f"runs:/{last_run.info.run_id}/{artifact_path}")', page)

    assert [0, 1] == page["model"].predict([[0.0], [1.0]]).tolist() == page["same"].predict([[0.0], [1.0]]).tolist()


def save_classifier(path: Path) -> None:
    import mlflow.sklearn
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=100).fit([[0.0], [1.0]], [0, 1])
    mlflow.sklearn.save_model(model, str(path), pip_requirements=["scikit-learn"])


def test_the_children_of_the_last_active_run_are_found(page: dict[str, Any]) -> None:
    with mlflow.start_run(run_name="parent"):
        for number in range(3):
            with mlflow.start_run(run_name=f"child {number}", nested=True):
                mlflow.log_metric("m", number)
    example = """
        hyperopt_run = mlflow.last_active_run()
        child_runs = mlflow.search_runs(
            filter_string=f"tags.mlflow.parentRunId='{hyperopt_run.info.run_id}'"
        )
        """

    assert ["child 0", "child 1", "child 2"] == sorted(names_of(run(example, page)))


REFUSED: dict[str, tuple[Callable[[], object], str, bool]] = {  # what, in which words, and whether in oss too
    "order by metrics": (
        lambda: mlflow.search_runs(order_by=["metrics.accuracy DESC"]),
        "order runs by metrics",
        False,
    ),
    "order by params": (lambda: mlflow.search_runs(order_by=["params.num_boost_round"]), "order runs by param", False),
    "order by tags": (lambda: mlflow.search_runs(order_by=["tags.framework"]), "order runs by tags", False),
    "metrics with special characters": (
        lambda: mlflow.search_runs(filter_string="metrics.`a b` > 1"),
        r"Currently unsupported filter string format .*Provided filter string: metrics.`a b` > 1",
        False,
    ),
    "other operators on params": (
        lambda: mlflow.search_runs(filter_string="params.num_boost_round > '1'"),
        "Operator '>' not supported for key type 'Parameter'",
        True,
    ),
    "!= on tags": (
        lambda: mlflow.search_runs(filter_string="tags.framework != 'torch'"),
        r"Currently unsupported filter string format .*Provided filter string: tags.framework != 'torch'",
        False,
    ),
    "LIKE on tags": (
        lambda: mlflow.search_runs(filter_string="tags.framework LIKE 'to%'"),
        "Operator 'LIKE' not supported for key type 'Tag'",
        False,
    ),
    "OR": (
        lambda: mlflow.search_runs(filter_string="metrics.auc > 1 OR metrics.auc < 0"),
        r"we currently do not support OR\). Provided filter string: metrics.auc > 1 OR metrics.auc < 0",
        True,
    ),
    "rename": (
        lambda: mlflow.MlflowClient().rename_experiment(mlflow.search_experiments()[0].experiment_id, "other"),
        "rename",
        False,
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_page_says_azure_does_not_support_is_refused_as_the_service_does(
    what: str, page: dict[str, Any]
) -> None:
    call, wording, _ = REFUSED[what]

    with pytest.raises(RestException, match=wording) as refused:
        call()

    assert "INVALID_PARAMETER_VALUE" == refused.value.error_code
    assert 400 == refused.value.get_http_status_code()
    assert {"Error", "Correlation", "ComponentName", "error_code"} <= set(refused.value.json)


@pytest.mark.parametrize("what", REFUSED)
def test_open_source_mlflow_takes_what_is_its_own(what: str) -> None:
    call, _, is_refused = REFUSED[what]
    with mlquery.mock("oss", store=store_of_the_page("1", "2", "3")):
        mlflow.set_experiment("my_experiment")

        if is_refused:
            with pytest.raises(MlflowException) as refused:
                call()
            assert (MlflowException, "INVALID_PARAMETER_VALUE") == (type(refused.value), refused.value.error_code)
        else:
            call()


# The notebooks


@pytest.fixture
def workspace() -> Iterator[Mock]:
    """Let MLflow work on an empty workspace whose time goes on by a second at every look."""
    times = iter(range(1_700_000_000_000, 1_800_000_000_000, 1000))
    with mlquery.mock("azure", clock=lambda: next(times)) as mock:
        yield mock


@pytest.fixture
def trained(workspace: Mock) -> str:
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
    return experiment.experiment_id


def test_experiments_are_listed_in_a_frame(trained: str) -> None:
    frame = pd.DataFrame([dict(experiment) for experiment in mlflow.search_experiments()])
    everything = mlflow.search_experiments(view_type=ViewType.ALL)

    assert {"heart-classifier", "Default"} == set(frame["name"]) == {experiment.name for experiment in everything}
    assert {"experiment_id", "lifecycle_stage", "creation_time"} <= set(frame.columns)


def test_an_experiment_is_created_on_first_use_and_looked_up_by_name(trained: str) -> None:
    experiment = mlflow.get_experiment_by_name("heart-classifier")

    assert trained == experiment.experiment_id == mlflow.set_experiment("heart-classifier").experiment_id
    assert mlflow.get_experiment_by_name("none") is None


def test_ids_are_guids(trained: str) -> None:
    last_run = mlflow.last_active_run()

    assert [8, 4, 4, 4, 12] == [len(part) for part in trained.split("-")]
    assert [8, 4, 4, 4, 12] == [len(part) for part in last_run.info.run_id.split("-")]


def test_runs_of_one_experiment_come_oldest_first(trained: str) -> None:
    assert ["run 0", "run 1", "run 2", "run 3"] == names_of(mlflow.search_runs(trained))


def test_an_attribute_needs_no_prefix_to_order_by(trained: str) -> None:
    found = mlflow.search_runs(trained, order_by=["start_time DESC"], max_results=2)

    assert ["run 3", "run 2"] == names_of(found)


def test_the_frame_is_sorted_by_a_metric(trained: str) -> None:
    found = mlflow.search_runs(trained).sort_values("metrics.accuracy", ascending=False)

    assert ["run 1", "run 3", "run 0", "run 2"] == names_of(found)


@pytest.mark.parametrize("output_format", ["pandas", "list"])
def test_a_parameter_selects_runs(trained: str, output_format: Any) -> None:
    found = mlflow.search_runs(
        trained, filter_string="params.num_boost_round='100'", max_results=2, output_format=output_format
    )

    assert ["run 0", "run 1"] == names_of(found)


def test_the_status_column_is_in_upper_case(trained: str) -> None:
    runs = mlflow.search_runs(trained)

    assert ["run 0", "run 1", "run 3"] == names_of(runs[runs.status == "FINISHED"])
    assert ["run 2"] == names_of(runs[runs.status == "FAILED"])


def test_the_last_of_a_list_is_the_last_run(trained: str) -> None:
    last_run = mlflow.search_runs(trained, output_format="list")[-1]

    assert "run 3" == last_run.info.run_name
    assert {"accuracy": 0.8, "AUC": 1.5} == last_run.data.metrics
    assert {"num_boost_round": "100", "model_arch": "resnet18"} == last_run.data.params
    assert last_run.info.run_id in str(last_run)


def test_artifacts_of_a_run_are_listed_and_downloaded(trained: str, tmp_path: Path) -> None:
    with mlflow.start_run() as active:
        mlflow.log_dict({"a": 1}, "config/model.json")
    client = mlflow.tracking.MlflowClient()

    assert ["config"] == [info.path for info in client.list_artifacts(active.info.run_id)]
    path = mlflow.artifacts.download_artifacts(
        run_id=active.info.run_id, artifact_path="config", dst_path=str(tmp_path)
    )
    assert ["model.json"] == [file.name for file in Path(path).iterdir()]


def test_children_are_found_without_their_parent_oldest_first(workspace: Mock) -> None:
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
    keys = ("source.type", "parentRunId", "user", "runName", "rootRunId", "source.name")
    assert {f"tags.mlflow.{key}" for key in keys} <= set(children.columns[8:])
    assert "UTC" == str(children["start_time"].dt.tz)
    assert [parent.info.run_id] * 3 == children["tags.mlflow.rootRunId"].tolist()


def test_the_runs_of_a_pipeline_job_share_its_root(workspace: Mock) -> None:
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


def test_the_active_experiment_is_searched_by_default(trained: str) -> None:
    assert 4 == len(mlflow.search_runs())
    assert 4 == len(mlflow.search_runs(filter_string="params.model_arch = 'resnet18'"))
    assert 4 == len(mlflow.search_runs(experiment_names=["heart-classifier"], output_format="list"))


def test_an_experiment_name_without_a_list_is_read_by_mlflow_3_as_a_list_of_letters(trained: str) -> None:
    mlflow.set_experiment("h")
    mlflow.start_run(run_name="found by a letter")
    mlflow.end_run()

    found = mlflow.search_runs(experiment_names="heart-classifier", output_format="list")

    assert {"found by a letter"} == set(names_of(found))


def test_where_no_experiment_is_set_runs_are_in_the_default_one(workspace: Mock) -> None:
    with mlflow.start_run(run_name="in the default experiment") as active:
        pass

    assert ["in the default experiment"] == names_of(mlflow.search_runs())
    assert mlflow.get_experiment_by_name("Default").experiment_id == active.info.experiment_id


def test_clauses_are_joined_in_lower_case(trained: str) -> None:
    found = mlflow.search_runs(filter_string="metrics.AUC > 0.8 and tags.model_type = 'LogisticRegression'")

    assert ["run 3"] == names_of(found)


def test_a_history_gives_steps_and_values(workspace: Mock) -> None:
    mlflow.set_experiment("history")
    with mlflow.start_run() as active:
        for step in range(3):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)

    history = mlflow.MlflowClient().get_metric_history(active.info.run_id, "loss")

    assert [(0, 1.0), (1, 0.5), (2, 1 / 3)] == [(point.step, point.value) for point in history]


def test_the_script_of_the_continuous_integration_orders_by_run_info(trained: str) -> None:
    client = mlflow.tracking.MlflowClient()

    def ordered(experiment_id: str) -> list[str]:
        return names_of(
            client.search_runs(
                experiment_ids=experiment_id,  # a text where a list is asked for
                filter_string="",
                run_view_type=ViewType.ALL,
                order_by=["run.info.start_time DESC"],
            ).to_list()
        )

    assert ["run 3", "run 2", "run 1", "run 0"] == ordered(trained)
    with mlquery.mock("oss"), pytest.raises(MlflowException):
        ordered("0")


def test_the_user_is_shown_by_a_name_that_the_caller_cannot_set(trained: str) -> None:
    with mlflow.start_run(tags={"mlflow.user": "somebody"}) as active:
        pass

    found = mlflow.get_run(active.info.run_id)
    assert found.info.user_id == found.data.tags["mlflow.user"] != "somebody"


def test_a_title_case_status_selects_runs_and_results_are_in_upper_case(trained: str) -> None:
    found = mlflow.search_runs(filter_string="attributes.status = 'Finished'", output_format="list")

    assert ["FINISHED"] * 3 == [run.info.status for run in found]


def test_a_run_holds_200_params_and_a_batch_250_values_of_a_metric(workspace: Mock) -> None:
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


def test_logged_models_are_not_there_as_on_the_service(workspace: Mock) -> None:
    with pytest.raises(MlflowException, match="404"):
        mlflow.create_external_model("model")


def test_times_are_milliseconds_utc(trained: str) -> None:
    runs = mlflow.search_runs()

    assert "UTC" == str(runs["start_time"].dt.tz)
    assert 13 == len(str(mlflow.get_experiment(trained).creation_time))
