"""Logged models in databases and folders made by real MLflow: loaded, they are what MLflow itself says of them."""

from __future__ import annotations

import logging
import math
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Dataset, DatasetInput, LoggedModelInput, LoggedModelOutput, LoggedModelStatus, ViewType
from mlflow.store.fs2db import migrate

import mlquery
from tests.support.installed_mlflow import INSTALLED

pytestmark = pytest.mark.slow

STRINGS = ["", "plain", "it's", "two\nlines", " tab\t", "Größe 😀", "null", "x" * 4000]
KEYS = ["loss", "a/b/c", "key with whitespace", "Größe"]
LARGEST = repr(sys.float_info.max)
FIELDS = (
    *("model_id", "experiment_id", "name", "artifact_location", "creation_timestamp", "last_updated_timestamp"),
    *("model_type", "source_run_id"),
)


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        yield


def fill(client: mlflow.MlflowClient) -> None:
    """Log models in every state, with points of several runs, and let runs read and write them."""
    chance = random.Random(5)
    experiments = [client.create_experiment(name) for name in ("one", "two", "deleted")]
    runs = [client.create_run(experiments[number % 3], start_time=number).info.run_id for number in range(9)]
    models = [create_model(client, experiments[number % 3], runs, number, chance) for number in range(12)]
    for number, model_id in enumerate(models):
        for run_id in chance.sample(runs[number % 3 :: 3], number % 4):  # a folder has no points across experiments
            log_points(client, run_id, model_id, chance)
    for number, run_id in enumerate(runs):
        read, written = chance.sample(models, number % 4), chance.sample(models, number % 3)
        # Moving a folder, MLflow leaves the models out that were read in an experiment without datasets.
        dataset = DatasetInput(Dataset("train", "abc", "local", "{}"), [])
        client.log_inputs(run_id, [dataset], [LoggedModelInput(model_id) for model_id in read])
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step * 7) for step, model_id in enumerate(written)])
    client.delete_logged_model_tag(models[3], "a/b/c")
    client.finalize_logged_model(models[4], LoggedModelStatus.READY)
    client.finalize_logged_model(models[5], LoggedModelStatus.FAILED)
    client.delete_logged_model(models[6])
    client.delete_run(runs[1])
    client.delete_experiment(experiments[2])


def create_model(
    client: mlflow.MlflowClient, experiment: str, runs: list[str], number: int, chance: random.Random
) -> str:
    model_id: str = client.create_logged_model(
        experiment,
        None if number % 5 == 0 else f"model {number}",
        chance.choice([None, *runs]),
        tags={key: chance.choice(STRINGS) for key in KEYS},
        params={key: chance.choice(STRINGS) for key in KEYS if chance.random() < 0.5} if number % 3 else None,
        model_type=chance.choice([None, "Agent"]),
    ).model_id
    client.set_logged_model_tags(model_id, {"late": "😀", "loss": "again"})
    client.log_model_params(model_id, {"late": "1"})
    return model_id


def log_points(client: mlflow.MlflowClient, run_id: str, model_id: str, chance: random.Random) -> None:
    for step in range(3):
        key, value = chance.choice(KEYS), chance.choice([0.0, 1.5, -1e308, 5e-324, math.inf])
        dataset: dict[str, Any] = {"dataset_name": "train", "dataset_digest": "abc"} if step == 2 else {}
        # MLflow cannot migrate a folder with a point that it would take for a repetition.
        time = chance.randrange(2**53)
        client.log_metric(run_id, key, value, timestamp=time, step=step, model_id=model_id, **dataset)


def facts_of_model(found: Any) -> dict[str, Any]:
    """Return what a model is, points apart, as values to compare."""
    fields = {name: getattr(found, name) or None for name in FIELDS}
    return fields | {"status": str(found.status), "tags": dict(found.tags or {}), "params": dict(found.params or {})}


def points_of_model(found: Any) -> list[tuple[Any, ...]]:
    return sorted(
        (p.key, repr(p.value), p.timestamp, p.step, p.run_id, p.dataset_name or "", p.dataset_digest or "")
        for p in found.metrics or ()
    )


def facts(client: Any, get_model: Callable[[str], Any], model_ids: list[str]) -> dict[str, Any]:
    """Return everything that a client says about logged models, deleted ones too."""
    ids = [found.experiment_id for found in client.search_experiments(view_type=ViewType.ALL)]
    runs = [run.info.run_id for run in client.search_runs(ids, run_view_type=ViewType.ALL)]
    models = {model_id: get_model(model_id) for model_id in model_ids}
    return {
        "models": {model_id: facts_of_model(model) for model_id, model in models.items()},
        "points": {model_id: points_of_model(model) for model_id, model in models.items()},
        "found": sorted(model.model_id for model in client.search_logged_models(ids)),
        "inputs": {run: sorted(one.model_id for one in client.get_run(run).inputs.model_inputs) for run in runs},
        "outputs": {
            run: sorted((one.model_id, one.step) for one in client.get_run(run).outputs.model_outputs) for run in runs
        },
    }


def facts_of_mlflow(uri: str, model_ids: list[str]) -> dict[str, Any]:
    client = mlflow.MlflowClient(uri)
    store = client._tracking_client.store
    return facts(client, lambda model_id: store.get_logged_model(model_id, allow_deleted=True), model_ids)


def facts_of_store(store: mlquery.Store) -> dict[str, Any]:
    client = mlquery.Client(store)
    get_model = client.backend.get_logged_model
    return facts(client, lambda model_id: get_model(model_id, allow_deleted=True), sorted(store.models.by_id))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "tracking.db"
    fill(mlflow.MlflowClient(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "mlruns"
    fill(mlflow.MlflowClient(f"file://{path}"))
    return path


def test_a_database_holds_the_logged_models_that_mlflow_says_it_holds(database: Path) -> None:
    found = facts_of_store(mlquery.load(database))

    assert 12 == len(found["models"])
    assert facts_of_mlflow(f"sqlite:///{database}", sorted(found["models"])) == found


def test_the_models_come_in_the_order_in_which_they_were_created(database: Path) -> None:
    models = list(mlquery.load(database).models.by_id.values())

    assert sorted(models, key=lambda model: model.creation_timestamp) == models


@pytest.mark.parametrize(
    "filter_string",
    [
        "",
        "name LIKE 'model%'",
        "tags.late = '😀'",
        "params.loss = ''",
        "metrics.loss > 0",
        "attributes.status = 'READY'",
    ],
)
def test_searching_the_loaded_models_finds_those_that_mlflow_finds(filter_string: str, database: Path) -> None:
    ours, theirs = mlquery.Client(mlquery.load(database), INSTALLED), mlflow.MlflowClient(f"sqlite:///{database}")
    ids = [found.experiment_id for found in theirs.search_experiments(view_type=ViewType.ALL)]
    order = [{"field_name": "name"}, {"field_name": "creation_timestamp"}]

    def search(client: Any) -> list[str]:
        try:
            return [model.model_id for model in client.search_logged_models(ids, filter_string, order_by=order)]
        except (mlflow.MlflowException, mlquery.StoreError) as error:
            return [error.error_code]

    assert search(theirs) == search(ours)


def test_a_folder_holds_the_models_that_mlflow_says_once_it_has_moved_it_into_a_database(
    folder: Path, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path / 'moved.db'}"
    migrate(folder, uri, progress=False)

    found = facts_of_store(mlquery.load(folder))

    expected = facts_of_mlflow(uri, sorted(found["models"]))
    # An infinite value is the largest float in a database, but for those of models that MLflow moves there.
    expected["points"] = {model_id: list(map(clamped, points)) for model_id, points in expected["points"].items()}
    assert 12 == len(found["models"])
    assert {name: sort_points(part) for name, part in expected.items()} == found


def test_the_database_that_mlflow_moved_a_folder_into_loads_alike(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "moved.db"
    migrate(folder, f"sqlite:///{path}", progress=False)

    assert facts_of_store(mlquery.load(folder)) == facts_of_store(mlquery.load(path))


def test_a_folder_holds_the_models_that_mlflows_folder_store_says(folder: Path) -> None:
    found = facts_of_store(mlquery.load(folder))
    client = mlflow.MlflowClient(f"file://{folder}")
    active = [found.experiment_id for found in client.search_experiments()]
    model_ids = [model.model_id for model in client.search_logged_models(active)]

    expected = facts(client, client.get_logged_model, model_ids)

    assert len(model_ids) > 5
    assert expected["models"] == {model_id: found["models"][model_id] for model_id in model_ids}
    for part in ("inputs", "outputs"):
        assert expected[part] == found[part]
    for model_id, points in expected["points"].items():  # the folder store tells the latest ones only
        assert set(map(clamped, points)) <= set(found["points"][model_id])


def clamped(point: tuple[Any, ...]) -> tuple[Any, ...]:
    key, value, *rest = point
    return (key, LARGEST if value == "inf" else value, *rest)


def sort_points(part: Any) -> Any:
    is_points = isinstance(part, dict) and all(isinstance(found, list) for found in part.values())
    return {key: sorted(found) for key, found in part.items()} if is_points else part


def test_nan_stays_nan_where_a_folder_has_it(tmp_path: Path) -> None:
    client = mlflow.MlflowClient(f"file://{tmp_path / 'mlruns'}")
    run_id, model = client.create_run("0").info.run_id, client.create_logged_model("0")
    client.log_metric(run_id, "loss", math.nan, model_id=model.model_id)

    metrics = mlquery.Client(mlquery.load(tmp_path / "mlruns")).get_logged_model(model.model_id).metrics

    assert [True] == [math.isnan(point.value) for point in metrics or ()]


def test_only_model_folders_named_by_their_own_id_count(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "mlruns")
    (first, *_) = sorted(copy.glob("*/models/m-*"))
    expected = set(mlquery.load(copy).models.by_id)
    shutil.copytree(first, first.with_name("a copy"))
    (first.parent / "empty").mkdir()

    assert expected == set(mlquery.load(copy).models.by_id)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("meta.yaml", "experiment_id: '{0}'\nmodel_id: {1}\nname: 7", "meta.yaml has no usable name"),
        (
            "meta.yaml",
            "experiment_id: '{0}'\nmodel_id: {1}\nname: n\nartifact_location: x\nstatus: READY",
            "meta.yaml has no usable status",
        ),
        ("metrics/loss", "1 2 3", "metrics/loss has a line that is not a metric"),
        ("metrics/loss", "1 2 3 run name", "metrics/loss has a line that is not a metric"),
        ("metrics/loss", "99999999999999999999 1 0 run", "metrics/loss has a line that is not a metric"),
    ],
)
def test_a_damaged_file_of_a_model_is_refused_with_its_name(
    name: str, content: str, problem: str, folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "mlruns")
    (model, *_) = sorted(copy.glob("*/models/m-*"))
    (model / name).write_text(content.format(model.parents[1].name, model.name))

    with pytest.raises(mlquery.SourceError) as error:
        mlquery.load(copy)

    assert f"{str(copy)!r} is damaged: {model.relative_to(copy)}/{problem}" == str(error.value)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE logged_models SET name = x'00'", "column name of table logged_models holds a wrong value"),
        ("UPDATE logged_models SET status = 'x'", "column status of table logged_models holds a wrong value"),
        ("UPDATE logged_models SET status = 9", "has the status '9', which does not exist"),
        ("UPDATE logged_models SET lifecycle_stage = 'odd'", "has the lifecycle stage 'odd', which does not exist"),
        ("UPDATE logged_models SET experiment_id = 77", "has the experiment '77', which does not exist"),
        (
            "UPDATE logged_model_metrics SET metric_step = 'x' || rowid",
            "column metric_step of table logged_model_metrics holds a wrong value",
        ),
        (
            "UPDATE logged_model_tags SET tag_value = x'00'",
            "column tag_value of table logged_model_tags holds a wrong value",
        ),
        ("ALTER TABLE logged_models DROP COLUMN model_type", "table logged_models has no column model_type"),
        ("UPDATE inputs SET step = 'x'", "column step of table inputs holds a wrong value"),
    ],
)
def test_a_damaged_table_of_models_is_refused_with_its_place(
    statement: str, problem: str, database: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(database, tmp_path / "damaged.db"))
    with sqlite3.connect(path) as connection:
        connection.executescript(f"PRAGMA ignore_check_constraints = ON; {statement}")
    connection.close()

    with pytest.raises(mlquery.SourceError) as error:
        mlquery.load(path)

    assert str(error.value).endswith(problem)


def test_what_is_left_of_models_and_runs_that_are_gone_is_passed_over(database: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(database, tmp_path / "gone.db"))
    with sqlite3.connect(path) as connection:
        connection.executescript("DELETE FROM logged_models; DELETE FROM runs WHERE start_time < 8")
    connection.close()

    models = mlquery.load(path).models

    assert ({}, {}) == (models.by_id, models.points)
    assert len(models.inputs) <= 1
    assert len(models.outputs) <= 1


def test_loaded_models_go_on_as_models_of_the_store(database: Path) -> None:
    before = database.read_bytes()
    client = mlquery.Client(mlquery.load(database))
    (model, *_) = client.search_logged_models(["1"])

    client.set_logged_model_tags(model.model_id, {"new": "tag"})
    client.delete_logged_model(model.model_id)

    assert model.model_id not in [found.model_id for found in client.search_logged_models(["1"])]
    assert before == database.read_bytes()
