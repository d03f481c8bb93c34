"""Databases and folders made by real MLflow: loaded, they say what MLflow's own client says of them."""

from __future__ import annotations

import logging
import math
import random
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import alembic.command
import mlflow
import pytest
import sqlalchemy
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.fs2db import migrate
from mlflow.store.tracking.dbmodels.initial_models import Base as FirstSchema

import mlquery
from tests.support.installed_mlflow import INSTALLED

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning"),  # MLflow's oldest migrations
]

LARGEST = sys.float_info.max
TEXTS = [
    "",
    "plain",
    "it's",
    'a "b"',
    "two\nlines",
    "\ttab ",
    "Größe Ω ß",
    "😀",
    "null",
    "1e5",
    "a: b #c",
    "%_\\",
    "x" * 450,
]
VALUES = [0.0, -0.0, 1.0, 1.0, 0.1 + 0.2, -1e308, 5e-324, math.nan, math.inf, -math.inf]
KEYS = ["loss", "validation_0-logloss", "a/b/c", "key with blanks", "dotted.key", "Größe", "m_1"]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)


def fill(client: mlflow.MlflowClient, *, repeats: bool = True) -> None:
    """Write one of everything that a tracking store can hold, and much at random; `repeats` logs equal points too."""
    chance = random.Random(20)
    tagged = client.create_experiment("tagged Ω", tags={f"k{i}": text for i, text in enumerate(TEXTS)})
    located = client.create_experiment("located", artifact_location="s3://bucket/some where")
    archived = client.create_experiment("archived")
    restored = client.create_experiment("restored")
    renamed = client.create_experiment("old name")
    client.create_experiment("empty")
    for number, experiment in enumerate([tagged, located, archived, restored, renamed] * 5):
        log_run(client, experiment, number, chance, repeats)
    log_corners(client, tagged, repeats)
    client.rename_experiment(renamed, "new: name #1")
    client.delete_experiment(archived)
    client.delete_experiment(restored)
    client.restore_experiment(restored)


def log_run(client: mlflow.MlflowClient, experiment: str, number: int, chance: random.Random, repeats: bool) -> None:
    tags = {"mlflow.user": chance.choice(["John Smith", "nightly", "007"]), "note": chance.choice(TEXTS)}
    run_id = client.create_run(experiment, start_time=1_000 * (number // 3), tags=tags).info.run_id
    client.log_batch(
        run_id,
        params=[Param(f"p{i}/{key}", chance.choice(TEXTS)) for i, key in enumerate(KEYS) if chance.random() < 0.6],
        tags=[RunTag(key, chance.choice(TEXTS)) for key in KEYS if chance.random() < 0.6],
    )
    for key in KEYS:
        points = [point(key, chance) for _ in range(chance.choice([0, 1, 1, 2, 9]))]
        # MLflow cannot migrate a folder with a point that it would take for a repetition.
        client.log_batch(
            run_id, metrics=points if repeats else list({(p.timestamp, p.step): p for p in points}.values())
        )
    if number % 2:
        client.log_inputs(
            run_id, [dataset_input(name) for name in chance.sample(["train", "valid", "Ω it's"], number % 3)]
        )
    status = chance.choice(["FINISHED", "FAILED", "KILLED", "SCHEDULED", None])
    if status == "SCHEDULED":
        client.update_run(run_id, status=status, name="renamed")
    elif status:
        client.set_terminated(run_id, status, end_time=1_000 * number + 7)
    if chance.random() < 0.3:
        client.delete_run(run_id)
        if chance.random() < 0.3:
            client.restore_run(run_id)


def point(key: str, chance: random.Random) -> Metric:
    return Metric(key, chance.choice(VALUES), chance.choice([0, 5, 5, 2**53 + 1]), chance.choice([-3, 0, 0, 1, 2**40]))


def dataset_input(name: str) -> DatasetInput:
    long = '{"columns": [' + ", ".join(f'"column {i}"' for i in range(60)) + "]}"
    tags = [InputTag("mlflow.data.context", name), InputTag("k" * 200, "it's: a\nlong 'one' " * 12)]
    return DatasetInput(
        Dataset(name, "abc123", "local", '{"uri": "s3://x"}', long, None), tags if name != "valid" else []
    )


def log_corners(client: mlflow.MlflowClient, experiment: str, repeats: bool) -> None:
    client.create_run(experiment, start_time=0, run_name="no data")
    unnamed = client.create_run(experiment, start_time=1, run_name="tag deleted").info.run_id
    client.delete_tag(unnamed, "mlflow.runName")
    parent = client.create_run(experiment, start_time=2, run_name="parent 100%").info.run_id
    client.create_run(experiment, start_time=2, run_name="child", tags={"mlflow.parentRunId": parent})
    for key, values in {"nan last": [1.0, math.nan], "nan first": [math.nan, 1.0], "nan only": [math.nan]}.items():
        for step, value in enumerate(values):
            client.log_metric(parent, key, value, timestamp=10, step=step)
    for value in (math.nan, -1.0, 0.0, 0.0, 2.0, 1.0) if repeats else (math.nan, 2.0, 1.0):
        client.log_metric(parent, "all at once", value, timestamp=10, step=0)
    for step in range(300):
        client.log_metric(parent, "curve", 1 / (step + 1), timestamp=step // 7, step=step) if step % 50 == 0 else None
    client.log_batch(parent, metrics=[Metric("long", float(i % 13), i, i) for i in range(999, -1, -1)])


# --- both sides as plain data ----------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """Make NaN comparable and show the sign of zero."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return value


def experiment_facts(found: Any) -> dict[str, Any]:
    names = ("experiment_id", "name", "artifact_location", "lifecycle_stage", "creation_time", "last_update_time")
    return {name: getattr(found, name) for name in names} | {"tags": dict(found.tags)}


def run_facts(found: Any) -> dict[str, Any]:
    used = [
        (dict(used.dataset), sorted((tag.key, tag.value) for tag in used.tags)) for used in found.inputs.dataset_inputs
    ]
    data = {"metrics": found.data.metrics, "params": found.data.params, "tags": found.data.tags}
    return {"info": dict(found.info), "data": plain(data), "inputs": sorted(used, key=str)}


def point_facts(found: Any) -> tuple[Any, ...]:
    return (found.key, repr(found.value), found.timestamp, found.step)


class Facts:
    """Everything a tracking store answers, by calling it as `MlflowClient` is called."""

    def __init__(self, calls: Any, experiments: list[Any], runs: list[Any]) -> None:
        self.experiments = {e.experiment_id: experiment_facts(e) for e in experiments}
        self.runs = {r.info.run_id: run_facts(r) for r in runs}
        self.histories = {
            (run_id, key): [point_facts(p) for p in calls.get_metric_history(run_id, key)]
            for run_id, facts in self.runs.items()
            for key in facts["data"]["metrics"]
        }


def facts_of_mlflow(uri: str) -> Facts:
    client = mlflow.MlflowClient(uri)
    experiments = client.search_experiments(view_type=ViewType.ALL)
    found = client.search_runs([e.experiment_id for e in experiments], run_view_type=ViewType.ALL, max_results=5000)
    return Facts(client, experiments, [client.get_run(run.info.run_id) for run in found])


def facts_of_store(store: mlquery.Store) -> Facts:
    experiments = [store.experiments.experiment_at(row) for row in range(store.experiments.size)]
    return Facts(store, experiments, [store.get_run(run_id) for run_id in store.runs.ids])


def difference(expected: Facts, found: Facts) -> dict[tuple[str, Any], Any]:
    """Return what differs, as small as possible, so that a failure can be read."""
    parts = ("experiments", "runs", "histories")
    pairs = {(part, key) for part in parts for key in {*getattr(expected, part), *getattr(found, part)}}
    both = {pair: (getattr(expected, pair[0]).get(pair[1]), getattr(found, pair[0]).get(pair[1])) for pair in pairs}
    return {pair: sides for pair, sides in both.items() if sides[0] != sides[1]}


# --- databases -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "tracking ü.db"
    fill(mlflow.MlflowClient(f"sqlite:///{path}"))
    return path


def test_a_database_holds_what_mlflow_says_it_holds(database: Path) -> None:
    store = mlquery.load(database)

    assert {} == difference(facts_of_mlflow(f"sqlite:///{database}"), facts_of_store(store))
    assert store.runs.size > 25
    assert "Default" in store.experiments.row_of_name


def test_a_database_is_found_by_its_uri_too(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = facts_of_store(mlquery.load(database))
    monkeypatch.chdir(database.parent)

    for source in (f"sqlite:///{database}", f"sqlite:///{database.name}", database.name, str(database)):
        assert {} == difference(expected, facts_of_store(mlquery.load(source)))


def test_searching_the_loaded_store_gives_the_rows_that_mlflow_gives(database: Path) -> None:
    ours = mlquery.Client(mlquery.load(database), INSTALLED)
    theirs = mlflow.MlflowClient(f"sqlite:///{database}")
    ids = [found.experiment_id for found in theirs.search_experiments(view_type=ViewType.ALL)]

    for text in ("", "metrics.loss > 0", "metrics.loss != 1", "params.`p0/loss` LIKE '%a%'", "attributes.end_time > 9"):
        for order in (["metrics.loss DESC"], ["params.`p6/m_1`"], ["attributes.end_time"]):
            arguments = (ids, text, ViewType.ALL, 100, order)

            expected = [run.info.run_id for run in theirs.search_runs(*arguments)]

            assert expected == [run.info.run_id for run in ours.search_runs(*arguments)], (text, order)


# --- databases of older MLflow versions ------------------------------------------------------------------------------

FIRST_ROWS = """
    INSERT INTO experiments VALUES (0, 'Default', './mlruns/0', 'active');
    INSERT INTO experiments VALUES (7, 'old one', 'mlflow-artifacts:/7', 'active');
    INSERT INTO experiments VALUES (8, 'gone', 'mlflow-artifacts:/8', 'deleted');
    INSERT INTO runs VALUES ('a1', 'named', 'LOCAL', 't.py', '', 'John Smith', 'FINISHED', 5, 9, '', 'active', 'u', 7);
    INSERT INTO runs VALUES ('b2', '', 'LOCAL', 't.py', '', 'nightly', 'RUNNING', 6, NULL, '', 'deleted', 'v', 7);
    INSERT INTO runs VALUES ('c3', '', 'LOCAL', '', '', 'nightly', 'FAILED', 7, 8, '', 'deleted', 'w', 8);
    INSERT INTO params VALUES ('lr', '0.1', 'a1'), ('lr', '0.2', 'b2'), ('depth', '', 'a1');
    INSERT INTO tags VALUES ('mlflow.runName', 'from its tag', 'b2'), ('framework', 'torch', 'a1');
    INSERT INTO metrics VALUES ('loss', 0.5, 10, 'a1'), ('loss', 0.25, 20, 'a1'), ('loss', 0.75, 15, 'a1');
    INSERT INTO metrics VALUES ('auc', 1, 10, 'a1'), ('auc', 1.7976931348623157e308, 3, 'b2');
"""
REVISIONS = (
    "451aebb31d03",  # steps, MLflow 1.0
    "90e64c465722",  # the user becomes a tag
    "181f10493468",  # NaN
    "df50e92ffc5e",  # experiment tags
    "89d4b8295536",  # latest metrics
    "0c779009ac13",  # time of deletion
    "97727af70f4d",  # times of experiments, MLflow 2.0
    "7f2a7d5fae7d",  # datasets
    "400f98739977",  # logged models, MLflow 3.0
    "6953534de441",  # steps of inputs
    "heads",
)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A database made with the first schema MLflow had, and a copy of it after each of some migrations."""
    folder = tmp_path_factory.mktemp("versions")
    path = folder / "growing.db"
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    FirstSchema.metadata.create_all(engine)
    with sqlite3.connect(path) as connection:
        connection.executescript(FIRST_ROWS)
    connection.close()
    found = {"first": Path(shutil.copy(path, folder / "first.db"))}
    for revision in REVISIONS:
        config = _get_alembic_config(str(engine.url))
        with engine.begin() as shared:
            config.attributes["connection"] = shared
            alembic.command.upgrade(config, revision)
        found[revision] = Path(shutil.copy(path, folder / f"{revision}.db"))
    engine.dispose()
    return found


@pytest.mark.parametrize("revision", ["first", *REVISIONS])
def test_a_database_of_an_older_mlflow_holds_what_mlflow_reads_after_migrating_it(
    revision: str, versions: dict[str, Path]
) -> None:
    expected = facts_of_mlflow(f"sqlite:///{versions['heads']}")

    found = facts_of_store(mlquery.load(versions[revision]))

    if revision in ("first", "451aebb31d03"):  # the first migration of all copied users into tags
        for facts in expected.runs.values():
            facts["data"]["tags"].pop("mlflow.user", None)
    assert {} == difference(expected, found)
    assert {"a1", "b2", "c3"} == set(found.runs)


# --- folders ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "mlruns"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        client = mlflow.MlflowClient(str(path))
        fill(client, repeats=False)
        log_dataset_metric(client)
    (path / "0" / "not a run").mkdir()
    (path / "not_an_experiment").mkdir()
    (path / "models" / "registered").mkdir(parents=True)
    return path


def log_dataset_metric(client: mlflow.MlflowClient) -> None:
    run_id = client.create_run("0", run_name="scored").info.run_id
    client.log_metric(run_id, "on data", 0.5, 77, 3, dataset_name="train", dataset_digest="abc123")


def test_a_folder_holds_what_mlflow_says_once_it_has_moved_it_into_a_database(folder: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'moved.db'}"
    migrate(folder, uri, progress=False)

    found = facts_of_store(mlquery.load(folder))

    assert {} == difference(facts_of_mlflow(uri), found)
    assert len(found.runs) > 25


def test_the_database_that_mlflow_moved_a_folder_into_loads_alike(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "moved.db"
    migrate(folder, f"sqlite:///{path}", progress=False)

    assert {} == difference(facts_of_store(mlquery.load(folder)), facts_of_store(mlquery.load(path)))


def test_a_folder_holds_what_mlflows_folder_store_says(folder: Path) -> None:
    expected, found = facts_of_mlflow(str(folder)), facts_of_store(mlquery.load(f"file://{folder}"))

    assert expected.experiments == found.experiments
    for run_id, facts in expected.runs.items():
        for part in ("info", "inputs"):
            assert facts[part] == found.runs[run_id][part]
        for part in ("params", "tags"):
            assert facts["data"][part] == found.runs[run_id]["data"][part]
    for (run_id, key), points in expected.histories.items():
        if key != "on data":  # the folder store forgets the step of a metric with a dataset, the migration does not
            assert sorted(map(clamped, points)) == sorted(found.histories[run_id, key])
    assert expected.histories.keys() == found.histories.keys()


def clamped(found: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the point with infinities and the negative zero as a database keeps them."""
    key, value, *rest = found
    return (key, {"inf": repr(LARGEST), "-inf": repr(-LARGEST), "-0.0": "0.0"}.get(value, value), *rest)
