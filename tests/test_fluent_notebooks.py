"""What Microsoft's example notebooks and scripts do with runs and experiments, in the dialect of their workspace.

Source: Azure/azureml-examples (run_history, xgboost_nested_runs, batch endpoints, foundation-model evaluation) and
MicrosoftLearning/mslearn-azure-ml, read in 2026; each test follows one of them.
"""

from __future__ import annotations

import threading
from typing import Any

import pandas as pd
import pytest

from mlquery import Store, fluent
from mlquery import fluent as mlflow


class Clock:
    """A clock that goes on by a second at every look."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        self.now += 1000
        return self.now


@pytest.fixture(autouse=True)
def workspace() -> Store:
    store = Store(guid_ids=True, clock=Clock())
    fluent.use(store, "azure")
    return store


@pytest.fixture
def trained() -> str:
    """Train four models, one of which fails, and return the id of their experiment."""
    experiment = mlflow.set_experiment("heart-classifier")
    for number, rounds in enumerate([100, 100, 10, 100]):
        try:
            with mlflow.start_run(run_name=f"run {number}", tags={"model_type": "LogisticRegression"}):
                mlflow.log_params({"num_boost_round": rounds, "model_arch": "resnet18"})
                if number == 2:
                    raise ValueError("no data")
                mlflow.log_metric("accuracy", [0.7, 0.9, None, 0.8][number])
                mlflow.log_metric("AUC", number / 2)
        except ValueError:
            pass
    return experiment.experiment_id


def names_of(runs: Any) -> list[str]:
    if isinstance(runs, pd.DataFrame):
        return runs["tags.mlflow.runName"].tolist()
    return [run.info.run_name for run in runs]


def test_experiments_are_listed_in_a_frame(trained: str) -> None:
    rows = [dict(experiment) for experiment in mlflow.search_experiments()]

    frame = pd.DataFrame(rows)

    assert {"heart-classifier", "Default"} == set(frame["name"])
    assert {"experiment_id", "lifecycle_stage", "creation_time"} <= set(frame.columns)


def test_an_experiment_is_looked_up_by_name(trained: str) -> None:
    experiment = mlflow.get_experiment_by_name("heart-classifier")

    assert experiment is not None
    assert trained == experiment.experiment_id
    assert mlflow.get_experiment_by_name("none") is None


def test_runs_of_one_experiment_come_oldest_first(trained: str) -> None:
    assert ["run 0", "run 1", "run 2", "run 3"] == names_of(mlflow.search_runs(trained))


def test_an_attribute_needs_no_prefix_to_order_by(trained: str) -> None:
    found = mlflow.search_runs(trained, order_by=["start_time DESC"], max_results=2)

    assert ["run 3", "run 2"] == names_of(found)


def test_the_frame_is_sorted_by_a_metric(trained: str) -> None:
    found = mlflow.search_runs(trained).sort_values("metrics.accuracy", ascending=False)

    assert ["run 1", "run 3", "run 0", "run 2"] == names_of(found)


def test_a_parameter_selects_runs(trained: str) -> None:
    found = mlflow.search_runs(trained, filter_string="params.num_boost_round='100'", max_results=2)

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


def test_children_are_found_without_their_parent_oldest_first() -> None:
    mlflow.set_experiment("nested")
    with mlflow.start_run(run_name="parent"):
        for number in range(3):
            with mlflow.start_run(run_name=f"child {number}", nested=True):
                mlflow.log_param("max_depth", number)
                mlflow.log_metric("auc", number / 10)
    parent = mlflow.last_active_run()
    assert parent is not None

    children = mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId='{parent.info.run_id}'")

    assert ["child 0", "child 1", "child 2"] == names_of(children)
    first = ["run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time"]
    assert [*first, "metrics.auc", "params.max_depth"] == list(children.columns[:8])
    keys = ("source.type", "parentRunId", "user", "runName", "rootRunId", "source.name")
    assert {f"tags.mlflow.{key}" for key in keys} == set(children.columns[8:])
    assert "UTC" == str(children["start_time"].dt.tz)
    assert [parent.info.run_id] * 3 == children["tags.mlflow.rootRunId"].tolist()


def test_the_runs_of_a_pipeline_job_share_its_root() -> None:
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


def test_one_experiment_name_needs_no_list(trained: str) -> None:
    runs = mlflow.search_runs(experiment_names="heart-classifier", output_format="list")

    assert 4 == len(runs)


def test_the_active_experiment_is_searched_by_default(trained: str) -> None:
    assert 4 == len(mlflow.search_runs())
    assert 4 == len(mlflow.search_runs(filter_string="params.model_arch = 'resnet18'"))


def test_clauses_are_joined_in_lower_case(trained: str) -> None:
    found = mlflow.search_runs(filter_string="metrics.AUC > 0.8 and tags.model_type = 'LogisticRegression'")

    assert ["run 3"] == names_of(found)


def test_a_history_gives_steps_and_values() -> None:
    mlflow.set_experiment("history")
    with mlflow.start_run() as run:
        for step in range(3):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)

    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")

    assert [(0, 1.0), (1, 0.5), (2, 1 / 3)] == [(point.step, point.value) for point in history]


def test_threads_log_to_runs_of_their_own() -> None:
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
