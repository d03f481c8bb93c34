"""The examples of Microsoft's page and what its notebooks do, through `import mlflow` unchanged.

The examples, and the store that they are about, are those of `test_page_examples`; here it is MLflow that runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException, RestException

import mlquery
from tests.test_page_examples import EXAMPLES, ID, OTHER_ID, in_open_source, names_of, run, store_of_the_page

LEGACY = {"all active experiments, legacy"}  # a function that MLflow 3 does not have any more
TITLES = sorted(set(EXAMPLES) - LEGACY)

pytestmark = pytest.mark.filterwarnings("ignore::mlquery.QueryWarning")


def search_runs(*arguments: Any, **named: Any) -> Any:
    """Search as the page does, with a bare id: MLflow takes one, and its types do not say so."""
    return mlflow.search_runs(*arguments, **named)


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    """Return the names that the page's examples see."""
    with mlquery.mock(dialect="azure", store=store_of_the_page()):
        mlflow.set_experiment(experiment_id=ID)
        runs = search_runs(ID, output_format="list")
        yield {"mlflow": mlflow, "experiment_name": "my_experiment", "runs": runs, "__name__": "page"}


@pytest.mark.parametrize("title", TITLES)
def test_an_example_of_the_page_finds_what_it_is_about(title: str, names: dict[str, Any]) -> None:
    example, expected, _ = EXAMPLES[title]

    assert expected == names_of(run(example, names))


@pytest.mark.parametrize("title", TITLES)
def test_open_source_mlflow_finds_the_same_or_refuses_what_only_azure_knows(title: str) -> None:
    example, expected, refused = EXAMPLES[title]
    names = {"mlflow": mlflow, "experiment_name": "my_experiment", "__name__": "page"}
    with mlquery.mock(dialect="oss", store=store_of_the_page("1", "2", "3")):
        if title == "runs that failed":
            expected = []  # statuses are compared as they are written, and results are in upper case
        if refused:
            with pytest.raises(MlflowException, match=refused):
                run(in_open_source(example), names)
        else:
            assert sorted(expected) == sorted(names_of(run(in_open_source(example), names)))


def test_details_histories_and_artifacts_can_be_read(names: dict[str, Any], tmp_path: Path) -> None:
    assert OTHER_ID == run("last_run = runs[-1]", names).info.run_id
    assert {"num_boost_round": "100"} == run("last_run.data.params", names)
    client = mlflow.tracking.MlflowClient()
    assert [(0, 0.9), (1, 0.5), (2, 0.4)] == [(p.step, p.value) for p in client.get_metric_history(ID, "log_loss")]
    assert ["classifier", "feature_importance_weight.png"] == [info.path for info in client.list_artifacts(ID)]
    picture = mlflow.artifacts.download_artifacts(run_id=ID, artifact_path="feature_importance_weight.png")
    assert "a picture" == Path(picture).read_text(encoding="utf-8")
    model = Path(mlflow.artifacts.download_artifacts(run_id=ID, artifact_path="classifier"))
    assert "a model" == (model / "MLmodel").read_text(encoding="utf-8")


def test_the_children_of_the_last_active_run_are_found(names: dict[str, Any]) -> None:
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

    assert ["child 0", "child 1", "child 2"] == sorted(names_of(run(example, names)))


REFUSED: dict[str, Callable[[], Any]] = {
    "order by metrics": lambda: search_runs(ID, order_by=["metrics.accuracy DESC"]),
    "order by params": lambda: search_runs(ID, order_by=["params.num_boost_round"]),
    "order by tags": lambda: search_runs(ID, order_by=["tags.framework"]),
    "metrics with special characters": lambda: search_runs(ID, "metrics.`a b` > 1"),
    "other operators on params": lambda: search_runs(ID, "params.num_boost_round > '1'"),
    "!= on tags": lambda: search_runs(ID, "tags.framework != 'torch'"),
    "OR": lambda: search_runs(ID, "metrics.auc > 1 OR metrics.auc < 0"),
    "rename": lambda: MlflowClient().rename_experiment(ID, "other"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_page_says_azure_does_not_support_is_refused(what: str, names: dict[str, Any]) -> None:
    with pytest.raises(RestException) as refused:
        REFUSED[what]()

    assert ("INVALID_PARAMETER_VALUE", 400) == (refused.value.error_code, refused.value.json["statusCode"])


# --- the notebooks: `azure-dialect.md`, section 3 -----------------------------------------------------------------


@pytest.fixture
def trained() -> Iterator[str]:
    """Train four models, one of which fails, and return the id of their experiment."""
    with mlquery.mock(dialect="azure", clock=1_700_000_000_000) as double:
        experiment = mlflow.set_experiment("heart-classifier")
        for number, rounds in enumerate([100, 100, 10, 100]):
            double.clock.tick(1000)
            try:
                with mlflow.start_run(run_name=f"run {number}", tags={"model_type": "LogisticRegression"}):
                    mlflow.log_params({"num_boost_round": rounds, "model_arch": "resnet18"})
                    if number == 2:
                        raise ValueError("no data")
                    mlflow.log_metric("accuracy", [0.7, 0.9, 0, 0.8][number])
                    mlflow.log_metric("AUC", number / 2)
            except ValueError:
                pass
        yield experiment.experiment_id


def test_experiments_are_listed_and_looked_up(trained: str) -> None:
    frame = pd.DataFrame([dict(experiment) for experiment in mlflow.search_experiments()])

    assert {"heart-classifier", "Default"} == set(frame["name"])
    assert {"heart-classifier", "Default"} == {e.name for e in mlflow.search_experiments(view_type=ViewType.ALL)}
    found = mlflow.get_experiment_by_name("heart-classifier")
    assert found is not None
    assert trained == found.experiment_id
    assert mlflow.get_experiment_by_name("none") is None
    assert trained == mlflow.set_experiment("heart-classifier").experiment_id
    assert 13 == len(str(mlflow.get_experiment(trained).creation_time))


def test_runs_are_found_oldest_first_by_a_bare_id(trained: str) -> None:
    found = search_runs(trained)

    assert ["run 0", "run 1", "run 2", "run 3"] == names_of(found)
    assert ["run 1", "run 3", "run 0", "run 2"] == names_of(found.sort_values("metrics.accuracy", ascending=False))
    assert ["run 0", "run 1", "run 3"] == names_of(found[found.status == "FINISHED"])
    assert "UTC" == str(found["start_time"].dt.tz)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"order_by": ["start_time DESC"], "max_results": 2}, ["run 3", "run 2"]),
        ({"filter_string": "params.num_boost_round='100'", "max_results": 2}, ["run 0", "run 1"]),
        ({"filter_string": "params.num_boost_round='100'", "output_format": "list"}, ["run 0", "run 1", "run 3"]),
        ({"filter_string": "params.model_arch = 'resnet18'"}, ["run 0", "run 1", "run 2", "run 3"]),
        ({"filter_string": "metrics.AUC > 0.8 and tags.model_type = 'LogisticRegression'"}, ["run 3"]),
        ({"filter_string": "attributes.status = 'Failed'"}, ["run 2"]),
    ],
)
def test_the_searches_of_the_notebooks_find_their_runs(
    trained: str, arguments: dict[str, Any], expected: list[str]
) -> None:
    assert expected == names_of(search_runs(trained, **arguments))


def test_runs_are_found_by_experiment_name_in_the_active_experiment_and_in_all(trained: str) -> None:
    assert 4 == len(mlflow.search_runs(experiment_names=["heart-classifier"], output_format="list"))
    assert 4 == len(mlflow.search_runs())
    assert 4 == len(mlflow.search_runs(search_all_experiments=True))


def test_the_script_of_the_continuous_integration_asks_for_all_runs(trained: str) -> None:
    client: Any = MlflowClient()

    found = client.search_runs(trained, "", ViewType.ALL, order_by=["run.info.start_time DESC"])

    assert ["run 3", "run 2", "run 1", "run 0"] == names_of(list(found))
    assert ["FINISHED", "FAILED", "FINISHED", "FINISHED"] == [each.info.status for each in found]


def test_children_are_found_without_their_parent_oldest_first() -> None:
    with mlquery.mock(dialect="azure", clock=1_700_000_000_000) as double:
        mlflow.set_experiment("nested")
        with mlflow.start_run(run_name="parent") as parent:
            for number in range(3):
                double.clock.tick(1000)
                with mlflow.start_run(run_name=f"child {number}", nested=True):
                    mlflow.log_param("max_depth", number)
                    mlflow.log_metric("auc", number / 10)
        children = mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId='{parent.info.run_id}'")
        family = mlflow.search_runs(
            experiment_names=["nested"],
            filter_string=f"tags.mlflow.rootRunId='{parent.info.run_id}'",
            output_format="list",
        )

    assert ["child 0", "child 1", "child 2"] == names_of(children)
    first = ["run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time"]
    assert first == list(children.columns[:6])
    keys = ("parentRunId", "user", "runName", "rootRunId")  # the service keeps no mlflow.source.*
    assert {f"tags.mlflow.{key}" for key in keys} == {c for c in children.columns if c.startswith("tags.")}
    assert 4 == len(family)
    assert 3 == sum("auc" in each.data.metrics for each in family)
