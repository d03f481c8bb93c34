"""Microsoft's page through `import mlflow` as it is printed, on a mock in both dialects.

The examples, and what they must find, are those of `tests/test_page_examples.py`; here `mlflow` is MLflow itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import mlflow
import pytest
from mlflow.exceptions import MlflowException, RestException

import mlquery
from mlquery import QueryWarning
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
        runs = cast(Any, mlflow.search_runs)(ID, output_format="list")  # a bare id, which its types do not know
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


@pytest.mark.slow
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
