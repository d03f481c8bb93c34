"""Registered models in databases and folders made by real MLflow: loaded, they are what MLflow's own client shows."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import mlflow.tracking._tracking_service.utils as trackers
import pytest
from mlflow.store.fs2db import migrate

import mlquery
from mlquery import SourceError, StoreError
from tests.support.tracker_mlflow import new_database

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*stage.* is deprecated:FutureWarning"),  # MLflow's stages
]
TEXTS = ["", "it's", 'a "b"', "two\nlines", "\ttab ", "Größe Ω", "null", "1e5", "a: b #c", "{}"]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)


def fill(uri: str) -> None:
    """Register one of everything."""
    client = mlflow.MlflowClient(uri, uri)
    run_id = client.create_run("0").info.run_id
    model = client.create_logged_model("0", "net", run_id)
    client.create_registered_model("wine", {f"k{i}": text for i, text in enumerate(TEXTS)}, "all of it")
    client.create_registered_model("empty")
    client.create_registered_model("Größe Ω")
    for text in TEXTS:
        client.create_model_version("wine", "s3://bucket/1", run_id, tags={"text": text}, description=text)
    with pytest.MonkeyPatch.context() as patch:  # where MLflow looks for the logged model
        patch.setattr(trackers, "_tracking_uri", uri)
        client.create_model_version("wine", f"models:/{model.model_id}", run_id)
    client.create_model_version("wine", "models:/wine/1")
    client.set_registered_model_alias("wine", "champion", "2")
    client.set_registered_model_alias("wine", "last", "11")
    client.transition_model_version_stage("wine", "1", "Production")
    client.delete_model_version("wine", "3")
    client.delete_model_version("wine", "12")


def shown(client: Any) -> list[Any]:
    """Return all that a client shows of registered models, as plain values."""
    found: list[Any] = []
    for model in sorted(client.search_registered_models(max_results=100), key=lambda one: one.name):
        alone = client.get_registered_model(model.name)
        found += [dict(alone), dict(alone.aliases), [dict(version) for version in alone.latest_versions]]
    versions = client.search_model_versions(max_results=1000)
    for version in sorted(versions, key=lambda one: (one.name, int(one.version))):
        found.append(dict(client.get_model_version(version.name, version.version)))
        found.append(client.get_model_version_download_uri(version.name, version.version))
    return [_plain(one) for one in found]


def _plain(one: Any) -> Any:
    if isinstance(one, dict):
        left_out = ("latest_versions", "model_id", "metrics", "params")  # shown alone, or of logged models
        return {str(key): _plain(value) for key, value in one.items() if key not in left_out}
    return [_plain(each) for each in one] if isinstance(one, list | tuple) else str(one)


def shown_by_plugin(store: mlquery.Store) -> list[Any]:
    """Return what MLflow's client shows over a store in memory."""
    with mlquery.mock(store=store):
        return shown(mlflow.MlflowClient())


def test_a_database_holds_the_registered_models_that_mlflow_shows(tmp_path: Path) -> None:
    uri = new_database(tmp_path)
    fill(uri)

    assert shown(mlflow.MlflowClient(uri, uri)) == shown_by_plugin(mlquery.load(uri))


def test_a_folder_holds_them_as_once_mlflow_has_moved_it_into_a_database(tmp_path: Path) -> None:
    folder, uri = tmp_path / "mlruns", f"sqlite:///{tmp_path / 'moved.db'}"
    fill(str(folder))
    migrate(folder, uri, progress=False)
    client = mlquery.Client(mlquery.load(folder))

    assert shown(mlflow.MlflowClient(uri, uri)) == shown_by_plugin(mlquery.load(folder))
    assert 13 == client.create_model_version("wine", "s3://bucket/new").version  # numbers are not used again


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("version-1/meta.yaml", "name: wine\nversion: one\n", "meta.yaml has no usable version"),
        ("version-1/meta.yaml", "name: wine\nversion: 1\nstatus: [1]\n", "meta.yaml"),
        ("meta.yaml", "name: wine\ncreation_timestamp: soon\n", "meta.yaml has no usable creation_timestamp"),
        ("aliases/champion", "first", "aliases/champion is no number of a version"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, file: str, text: str, said: str) -> None:
    folder = tmp_path / "mlruns"
    mlflow.MlflowClient(str(folder), str(folder)).create_registered_model("wine")
    path = folder / "models" / "wine" / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)

    with pytest.raises(SourceError, match="is damaged: models/wine/") as caught:
        mlquery.load(folder)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE model_versions SET version = 'one' WHERE version = 1",
        "UPDATE registered_model_aliases SET version = 'x'",
        "UPDATE registered_models SET description = x'ff'",
    ],
)
def test_a_damaged_cell_is_named(tmp_path: Path, change: str) -> None:
    uri = new_database(tmp_path)
    fill(uri)
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
        connection.execute(change)
        connection.commit()

    with pytest.raises(SourceError, match=r"is damaged: column .* of table .* holds a wrong value"):
        mlquery.load(uri)


def test_models_of_one_name_in_two_workspaces_are_refused(tmp_path: Path) -> None:
    uri = new_database(tmp_path)
    fill(uri)
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
        connection.execute("INSERT INTO registered_models (workspace, name) VALUES ('other', 'wine')")
        connection.commit()

    with pytest.raises(StoreError, match="registered models of the name 'wine' are in two workspaces"):
        mlquery.load(uri)
    with pytest.raises(StoreError, match="registered models of the name 'wine' are in two workspaces"):
        mlquery.connect(uri).search_registered_models()


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "mlruns", tmp_path / "secret"
    mlflow.MlflowClient(str(folder), str(folder)).create_registered_model("wine")
    outside.write_text("1")
    (folder / "models" / "wine" / "aliases").mkdir()
    (folder / "models" / "wine" / "aliases" / "champion").symlink_to(outside)

    with pytest.raises(SourceError, match="is a link that leads out of the folder"):
        mlquery.load(folder)
