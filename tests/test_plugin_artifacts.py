"""Artifacts in memory through `import mlflow`: files, texts, tables, figures and models, and paths that are refused."""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.data.pandas_dataset import from_pandas
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from sklearn.linear_model import LinearRegression, LogisticRegression

import mlquery
from mlquery.mlflow_plugin import register, uris
from mlquery.mlflow_plugin.artifacts import StoreArtifactRepository

mpl.use("Agg")

# MLflow starts a Python to find out what a model needs, unless it is told.
NONE_INFERRED = ["mlflow"]
X = np.arange(40.0).reshape(20, 2)
Y = X[:, 0] * 2 + X[:, 1] ** 0.5

# Warnings of MLflow and of the libraries it saves models of, about their own affairs.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(autouse=True)
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[mlquery.mocking.Mock]:
    """Stand in for MLflow's server, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with mlquery.mock() as double:
        mlflow.set_experiment("artifacts")
        yield double


@pytest.fixture
def client() -> MlflowClient:
    return MlflowClient()


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    run_id: str = client.create_run("0").info.run_id
    return run_id


def repository(run_id: str) -> StoreArtifactRepository:
    found = get_artifact_repository(MlflowClient().get_run(run_id).info.artifact_uri)
    assert isinstance(found, StoreArtifactRepository)
    return found


def listed(client: MlflowClient, run_id: str, path: str | None = None) -> list[tuple[str, bool, int | None]]:
    return [(info.path, info.is_dir, info.file_size) for info in client.list_artifacts(run_id, path)]


# --- files ------------------------------------------------------------------------------------------------------------


def test_files_and_folders_are_stored_listed_and_downloaded(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("aa")
    (folder / "deep" / "b.bin").write_bytes(b"\0\1\2")

    client.log_artifact(run_id, str(folder / "a.txt"))
    client.log_artifact(run_id, str(folder / "a.txt"), "x/y")
    client.log_artifact(run_id, str(folder), "z")
    client.log_artifacts(run_id, str(folder))

    assert [("a.txt", False, 2), ("deep", True, None), ("x", True, None), ("z", True, None)] == listed(client, run_id)
    assert [("deep/b.bin", False, 3)] == listed(client, run_id, "deep")
    assert [("z/folder/a.txt", False, 2), ("z/folder/deep", True, None)] == listed(client, run_id, "z/folder")
    assert b"\0\1\2" == Path(client.download_artifacts(run_id, "deep/b.bin")).read_bytes()
    copy = Path(client.download_artifacts(run_id, "", str(tmp_path)))
    assert "aa" == (copy / "z" / "folder" / "a.txt").read_text()
    assert not (tmp_path / "mlruns").exists()


def test_what_is_logged_under_a_name_replaces_what_was_there(client: MlflowClient, run_id: str) -> None:
    client.log_text(run_id, "old", "a.txt")
    client.log_text(run_id, "new!", "a.txt")

    assert [("a.txt", False, 4)] == listed(client, run_id)


def test_neither_a_file_nor_a_missing_folder_lists_anything(client: MlflowClient, run_id: str) -> None:
    client.log_text(run_id, "a", "a.txt")

    assert [] == listed(client, run_id, "a.txt")
    assert [] == listed(client, run_id, "nowhere")


def test_a_missing_artifact_is_refused_as_mlflow_does(client: MlflowClient, run_id: str) -> None:
    with pytest.raises(MlflowException, match="please ensure that the path is correct") as refused:
        client.download_artifacts(run_id, "nothing.txt")

    assert "RESOURCE_DOES_NOT_EXIST" == refused.value.error_code


def test_artifacts_can_be_deleted(client: MlflowClient, run_id: str) -> None:
    for name in ("a.txt", "d/b.txt", "d/c.txt", "dd.txt"):
        client.log_text(run_id, "x", name)
    artifacts = repository(run_id)

    artifacts.delete_artifacts("d")
    artifacts.delete_artifacts("a.txt")
    artifacts.delete_artifacts("nothing")

    assert [("dd.txt", False, 1)] == listed(client, run_id)
    artifacts.delete_artifacts()
    assert [] == listed(client, run_id)


def test_a_stream_is_stored(client: MlflowClient, run_id: str) -> None:
    client.log_stream(run_id, io.BytesIO(b"stream"), "s/data.bin")

    assert [("s/data.bin", False, 6)] == listed(client, run_id, "s")


@pytest.mark.parametrize("path", ["../out", "/etc", "a/../../out", "..", "a/.."])
def test_a_path_that_leads_out_is_refused(client: MlflowClient, run_id: str, path: str, tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("x")
    artifacts = repository(run_id)

    for call in (
        lambda: client.log_artifact(run_id, str(file), path),
        lambda: client.log_artifacts(run_id, str(tmp_path), path),
        lambda: client.list_artifacts(run_id, path),
        lambda: client.download_artifacts(run_id, path),
        lambda: artifacts.list_artifacts(path),
        lambda: artifacts.download_artifacts(path),
        lambda: artifacts.delete_artifacts(path),
        lambda: artifacts.log_artifact_from_stream(io.BytesIO(b"x"), "f", path),
    ):
        with pytest.raises(MlflowException):
            call()
    assert [] == listed(client, run_id)


def test_a_file_name_with_odd_characters_is_kept_as_it_is(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    name = "a b%20#ä.txt"
    (tmp_path / name).write_text("odd")

    client.log_artifact(run_id, str(tmp_path / name))

    assert [(name, False, 3)] == listed(client, run_id)
    assert "odd" == Path(repository(run_id).download_artifacts(name)).read_text()


def test_an_unknown_run_has_no_artifacts(client: MlflowClient, tmp_path: Path) -> None:
    with pytest.raises(MlflowException, match="Run with id=nothing not found"):
        client.list_artifacts("nothing")


def test_an_experiment_can_keep_its_artifacts_elsewhere_in_memory(client: MlflowClient) -> None:
    experiment = client.create_experiment("elsewhere", artifact_location="mlquery-artifacts:shelf/7")
    run_id = client.create_run(experiment).info.run_id

    client.log_text(run_id, "a", "a.txt")

    assert f"mlquery-artifacts:shelf/7/{run_id}/artifacts" == client.get_run(run_id).info.artifact_uri
    assert [("a.txt", False, 1)] == listed(client, run_id)


def test_a_location_of_no_run_keeps_files_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    shelf = get_artifact_repository("mlquery-artifacts:shelf")

    shelf.log_artifact(str(tmp_path / "a.txt"), "deep")

    assert ["deep"] == [info.path for info in shelf.list_artifacts()]
    assert ["deep/a.txt"] == [info.path for info in shelf.list_artifacts("deep")]
    assert "a" == mlflow.artifacts.load_text("mlquery-artifacts:shelf/deep/a.txt")


def test_the_artifacts_of_a_shared_store_are_found_from_anywhere() -> None:
    register()
    shared = MlflowClient("mlquery://shared artifacts")
    run = shared.create_run("0")
    shared.log_text(run.info.run_id, "hello", "a.txt")

    assert run.info.artifact_uri.startswith("mlquery-artifacts://shared%20artifacts/0/")
    assert "hello" == mlflow.artifacts.load_text(run.info.artifact_uri + "/a.txt")
    uris.forget("mlquery://shared artifacts")


def test_runs_with_the_same_id_in_two_stores_keep_their_artifacts_apart() -> None:
    for text in ("one", "two"):
        with mlquery.mock(seed=1), mlflow.start_run() as run:
            assert [] == MlflowClient().list_artifacts(run.info.run_id)
            mlflow.log_text(text, "a.txt")
            assert text == mlflow.artifacts.load_text(f"{run.info.artifact_uri}/a.txt")


def test_a_fault_is_met_by_artifacts(double: mlquery.mocking.Mock, client: MlflowClient, run_id: str) -> None:
    double.store.faults.fail_next("log_artifact", OSError("disk full"))

    with pytest.raises(OSError, match="disk full"):
        client.log_text(run_id, "a", "a.txt")


# --- what MLflow makes files of -----------------------------------------------------------------------------------


def test_texts_dictionaries_figures_and_images_come_back() -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.plot([1, 2])
    with mlflow.start_run() as run:
        mlflow.log_text("hällo", "d/text.txt")
        mlflow.log_dict({"a": [1, 2]}, "data.json")
        mlflow.log_dict({"a": [1, 2]}, "data.yaml")
        mlflow.log_figure(figure, "figure.png")
        mlflow.log_image(np.zeros((4, 4, 3), dtype=np.uint8), "image.png")
    plt.close(figure)

    where = run.info.artifact_uri

    assert "hällo" == mlflow.artifacts.load_text(f"{where}/d/text.txt")
    assert {"a": [1, 2]} == mlflow.artifacts.load_dict(f"{where}/data.json")
    assert "a:\n- 1\n- 2\n" == mlflow.artifacts.load_text(f"{where}/data.yaml")
    assert (4, 4) == mlflow.artifacts.load_image(f"{where}/image.png").size
    assert mlflow.artifacts.load_image(f"{where}/figure.png").size[0] > 100


def test_tables_of_many_runs_come_back_as_one() -> None:
    for number in range(2):
        with mlflow.start_run():
            mlflow.log_table({"question": ["a", "b"], "score": [number, 1]}, "qa.json")
            mlflow.log_table({"question": ["c"], "score": [5]}, "qa.json")

    table = mlflow.load_table("qa.json", extra_columns=["run_id"])

    assert ["a", "b", "c"] * 2 == table["question"].tolist()
    assert {0, 1, 5} == set(table["score"])
    assert 2 == table["run_id"].nunique()


# --- models -----------------------------------------------------------------------------------------------------------


def predictions(uri: str, flavor: Any, rows: Any) -> list[Any]:
    """Return what a model predicts that is loaded with its own library and as a plain Python function."""
    return [flavor.load_model(uri).predict(rows), mlflow.pyfunc.load_model(uri).predict(rows)]


def test_a_model_of_scikit_learn_predicts_the_same_from_every_uri() -> None:
    model = LinearRegression().fit(X, Y)
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(model, name="model", pip_requirements=NONE_INFERRED)

    for uri in (f"runs:/{run.info.run_id}/model", info.model_uri, f"models:/{info.model_id}"):
        for predicted in predictions(uri, mlflow.sklearn, X):
            assert model.predict(X).tolist() == predicted.tolist()


def test_a_model_of_xgboost_predicts_the_same_from_every_uri() -> None:
    import xgboost

    model = xgboost.XGBRegressor(n_estimators=5, max_depth=2).fit(X, Y)
    with mlflow.start_run() as run:
        info = mlflow.xgboost.log_model(model, name="model", pip_requirements=NONE_INFERRED)

    for uri in (f"runs:/{run.info.run_id}/model", f"models:/{info.model_id}"):
        for predicted in predictions(uri, mlflow.xgboost, X):
            assert model.predict(X).tolist() == predicted.tolist()


def test_a_logged_model_is_known_with_its_run_params_and_files(client: MlflowClient) -> None:
    with mlflow.start_run() as run:
        mlflow.log_param("depth", 3)
        info = mlflow.sklearn.log_model(
            LinearRegression().fit(X, Y), name="model", step=2, pip_requirements=NONE_INFERRED
        )
        mlflow.log_metric("rmse", 0.5, model_id=info.model_id)
        mlflow.set_logged_model_tags(info.model_id, {"stage": "test"})

    model = mlflow.get_logged_model(info.model_id)
    found = mlflow.search_logged_models(filter_string="metrics.rmse < 1 AND params.depth = '3'")

    assert ("model", run.info.run_id, "READY") == (model.name, model.source_run_id, str(model.status))
    assert ({"depth": "3"}, "test") == (model.params, model.tags["stage"])
    assert [("rmse", 0.5)] == [(metric.key, metric.value) for metric in model.metrics or ()]
    assert [info.model_id] == found["model_id"].tolist()
    outputs = client.get_run(run.info.run_id).outputs
    assert outputs is not None
    assert [(info.model_id, 2)] == [(output.model_id, output.step) for output in outputs.model_outputs]
    assert "MLmodel" in [entry.path for entry in mlflow.artifacts.list_artifacts(f"models:/{info.model_id}")]
    assert "model/MLmodel" in [entry.path for entry in client.list_artifacts(run.info.run_id, "model")]


def test_autologging_of_scikit_learn_logs_all_it_logs_elsewhere(client: MlflowClient) -> None:
    mlflow.sklearn.autolog()
    try:
        with mlflow.start_run() as run:
            model = LogisticRegression(max_iter=200).fit(X, (Y > 40).astype(int))
    finally:
        mlflow.sklearn.autolog(disable=True)

    logged = client.get_run(run.info.run_id)

    assert {"training_accuracy_score", "training_f1_score", "training_score"} <= set(logged.data.metrics)
    assert "200" == logged.data.params["max_iter"]
    assert "LogisticRegression" == logged.data.tags["estimator_name"]
    assert logged.inputs is not None
    assert logged.outputs is not None
    assert 1 == len(logged.inputs.dataset_inputs) == len(logged.outputs.model_outputs)
    loaded = mlflow.sklearn.load_model(f"models:/{logged.outputs.model_outputs[0].model_id}")
    assert model.predict(X).tolist() == loaded.predict(X).tolist()


def test_autologging_of_xgboost_logs_a_history_and_a_model(client: MlflowClient) -> None:
    import xgboost

    data = xgboost.DMatrix(X, label=Y)
    mlflow.xgboost.autolog()
    try:
        with mlflow.start_run() as run:
            model = xgboost.train({"max_depth": 2}, data, 5, evals=[(data, "train")], verbose_eval=False)
    finally:
        mlflow.xgboost.autolog(disable=True)

    history = client.get_metric_history(run.info.run_id, "train-rmse")

    assert [0, 1, 2, 3, 4] == [point.step for point in history]
    assert "2" == client.get_run(run.info.run_id).data.params["max_depth"]
    assert "feature_importance_weight.json" in [info.path for info in client.list_artifacts(run.info.run_id)]
    loaded = mlflow.xgboost.load_model(f"runs:/{run.info.run_id}/model")
    assert model.predict(data).tolist() == loaded.predict(data).tolist()


def test_a_model_cannot_be_logged_where_the_service_has_no_logged_models() -> None:
    """MLflow 3 asks for a logged model before it saves anything, and Azure Machine Learning answers 404."""
    with mlquery.mock(dialect="azure"), mlflow.start_run() as run:
        with pytest.raises(MlflowException, match="logged-models failed with error code 404"):
            mlflow.sklearn.log_model(LinearRegression().fit(X, Y), name="model")
        mlflow.log_text("files can", "be logged.txt")

        assert ["be logged.txt"] == [info.path for info in MlflowClient().list_artifacts(run.info.run_id)]


def test_what_the_service_without_logged_models_is_told_to_do_instead_works(tmp_path: Path) -> None:
    model = LinearRegression().fit(X, Y)
    with mlquery.mock(dialect="azure"), mlflow.start_run() as run:
        with pytest.raises(MlflowException, match=r"save_model into a folder, .*log_artifacts.*register_model"):
            mlflow.sklearn.log_model(model, name="model")
        mlflow.sklearn.save_model(model, tmp_path / "model")
        mlflow.log_artifacts(str(tmp_path / "model"), "model")
        version = mlflow.register_model(f"runs:/{run.info.run_id}/model", "regressor")
        loaded = mlflow.sklearn.load_model("models:/regressor/1")

    assert ("1", run.info.run_id) == (version.version, version.run_id)
    assert model.predict(X).tolist() == loaded.predict(X).tolist()


def test_datasets_are_logged_as_inputs(client: MlflowClient) -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    with mlflow.start_run() as run:
        mlflow.log_input(from_pandas(frame, name="frame"), context="training")

    inputs = client.get_run(run.info.run_id).inputs
    assert inputs is not None
    (found,) = inputs.dataset_inputs

    assert ("frame", {"mlflow.data.context": "training"}) == (found.dataset.name, {t.key: t.value for t in found.tags})
    assert {"num_rows": 2, "num_elements": 2} == json.loads(found.dataset.profile or "")


def test_nothing_is_written_to_the_working_folder() -> None:
    with mlflow.start_run(), warnings.catch_warnings():
        mlflow.log_text("a", "a.txt")
        mlflow.sklearn.log_model(LinearRegression().fit(X, Y), name="model", pip_requirements=NONE_INFERRED)

    assert [] == os.listdir()
