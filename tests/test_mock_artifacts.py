"""Mocks whose artifacts are files in a temporary folder, and mocks that leave the environment alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

import mlquery
from mlquery.mocking import Mock
from tests.support.mlflow_globals import fingerprint


@pytest.fixture(autouse=True)
def outside() -> Iterator[Mock]:
    """Keep each test apart from all others, with a mock that the mocks of the test are nested in."""
    with mlquery.mock() as mock:
        yield mock


def train(text: str = "text") -> Path:
    """Log a run with a file and return where its artifacts are."""
    with mlflow.start_run(run_name="trained") as run:
        mlflow.log_text(text, "notes/file.txt")
    return Path(run.info.artifact_uri)


def test_artifacts_are_files_that_are_gone_when_the_mock_has_ended() -> None:
    with mlquery.mock(artifacts="tmp") as mock:
        folder = train()
        assert "text" == (folder / "notes" / "file.txt").read_text("utf-8")
        (folder / "by hand.txt").write_text("written by the code under test", "utf-8")
        run_id = mock.store.runs.ids[0]

        assert ["by hand.txt", "notes"] == [found.path for found in MlflowClient().list_artifacts(run_id)]
        assert "written by the code under test" == mlflow.artifacts.load_text(f"runs:/{run_id}/by hand.txt")

    assert not folder.parents[2].exists()


@pytest.mark.slow
def test_locations_look_as_those_of_mlflow_on_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locations(top: Path) -> list[str]:
        with mlflow.start_run() as run:
            model = mlflow.initialize_logged_model("model")
        experiment = mlflow.get_experiment(run.info.experiment_id)
        found = (experiment.artifact_location, run.info.artifact_uri, model.artifact_location)
        known = {run.info.run_id: "RUN", model.model_id: "MODEL", str(top): "TOP"}
        return [_replaced(one, known) for one in found]

    monkeypatch.chdir(tmp_path)
    with mlquery.mock(passthrough=["sqlite:"]):
        mlflow.set_tracking_uri("sqlite:///mlflow.db")
        expected = locations(tmp_path / "mlruns")
    with mlquery.mock(artifacts="tmp") as mock:
        assert expected == locations(Path(mock.store.artifact_root))


def _replaced(string: str, known: dict[str, str]) -> str:
    for value, name in known.items():
        string = string.replace(value, name)
    return string


def test_clients_without_mlflow_use_the_same_files() -> None:
    with mlquery.mock(artifacts="tmp") as mock:
        folder, run_id = train(), mock.store.runs.ids[0]
        mock.client.log_text(run_id, "by the client", "client.txt")
        mlquery.fluent.use(mock.client)
        with mlquery.fluent.start_run(run_id=run_id):
            mlquery.fluent.log_text("by the functions", "functions.txt")

        assert ["client.txt", "functions.txt", "notes"] == sorted(os.listdir(folder))
        mock.store.artifacts.delete(run_id, "client.txt")
        assert ["functions.txt", "notes"] == [found.path for found in mock.client.list_artifacts(run_id)]
        with pytest.raises(mlquery.StoreError, match="is both a file and a directory"):
            mock.client.log_text(run_id, "x", "functions.txt/x.txt")


@pytest.mark.parametrize("artifacts", ["memory", "tmp"])
def test_a_copy_never_writes_into_the_files_of_the_original(artifacts: str) -> None:
    with mlquery.mock(artifacts="tmp") as original:
        folder, client = train("of the original"), MlflowClient()
        run_id = original.store.runs.ids[0]
        with mlflow.start_run(run_id=run_id):
            model = mlflow.initialize_logged_model("model")
        client.log_model_artifact(model.model_id, str(folder / "notes" / "file.txt"))
        client.create_registered_model("churn")
        for source in (str(folder / "notes"), f"models:/{model.model_id}"):
            client.create_model_version("churn", source, run_id)

        with mlquery.mock(store=original, artifacts=artifacts) as copy:
            mlflow.log_text("of the copy", "notes/file.txt", run_id=run_id)
            assert "of the copy" == mlflow.artifacts.load_text(f"runs:/{run_id}/notes/file.txt")
            found = [
                mlflow.get_run(run_id).info.artifact_uri,
                mlflow.get_experiment("0").artifact_location,
                mlflow.get_logged_model(model.model_id).artifact_location,
                *(str(client.get_model_version("churn", version).source) for version in "1"),
                *(client.get_model_version_download_uri("churn", version) for version in "12"),
            ]
            assert [True] * 6 == [location.startswith(copy.store.artifact_root) for location in found]
            assert ["file.txt"] == [file.path for file in client.list_logged_model_artifacts(model.model_id)]

        assert "of the original" == (folder / "notes" / "file.txt").read_text("utf-8")


def test_a_store_whose_mock_has_ended_still_has_its_artifacts_for_the_next_one() -> None:
    with mlquery.mock(artifacts="tmp") as first:
        train("kept")
    run_id = first.store.runs.ids[0]

    for artifacts in ("memory", "tmp"):
        with mlquery.mock(store=first, artifacts=artifacts):
            assert "kept" == mlflow.artifacts.load_text(f"runs:/{run_id}/notes/file.txt")
    assert "mlquery-artifacts:" == first.store.artifact_root


def test_a_location_that_somebody_chose_is_used_as_it_is(tmp_path: Path) -> None:
    with mlquery.mock(artifacts="tmp") as mock:
        ids = [
            mlflow.create_experiment("by path", str(tmp_path / "a")),
            mlflow.create_experiment("by uri", (tmp_path / "b c").as_uri()),
            mlflow.create_experiment("elsewhere", "s3://bucket/models"),
        ]
        for name, experiment_id in zip(("a", "b c", ""), ids, strict=True):
            run = mock.client.create_run(experiment_id)
            mock.client.log_text(run.info.run_id, "text", "file.txt")
            assert ["file.txt"] == [found.path for found in mock.client.list_artifacts(run.info.run_id)]
            if name:
                assert (tmp_path / name / run.info.run_id / "artifacts" / "file.txt").is_file()


def test_a_store_on_disk_keeps_its_files_where_they_are(tmp_path: Path) -> None:
    with mlquery.open(tmp_path / "store") as store:
        with pytest.raises(ValueError, match="on disk"):
            mlquery.mock(store=store, clone=False, artifacts="tmp").start()

        with mlquery.mock(store=store, artifacts="tmp"):
            assert (train() / "notes" / "file.txt").is_file()


def test_another_place_for_artifacts_is_refused() -> None:
    with pytest.raises(ValueError, match="'memory' or, as files, in 'tmp', not in 'disk'"):
        mlquery.mock(artifacts="disk")


def test_the_environment_is_left_alone_where_somebody_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    uris = {"MLFLOW_TRACKING_URI": "sqlite:///production.db", "MLFLOW_REGISTRY_URI": "http://localhost:1"}
    for name, value in (*uris.items(), ("MLFLOW_RUN_ID", "of the server")):
        monkeypatch.setenv(name, value)
    before = fingerprint()
    with mlquery.mock(environment=False) as mock:
        assert uris == {name: os.environ[name] for name in uris}
        with mlflow.start_run():
            pass
        MlflowClient().create_registered_model("churn")
        assert (1, 1) == (mock.store.runs.size, len(mock.client.search_registered_models()))

    assert before == fingerprint()


def test_a_variable_that_is_not_set_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with mlquery.mock(environment=False):
        assert "MLFLOW_TRACKING_URI" not in os.environ
        assert "mlquery://" == mlflow.get_tracking_uri()
