"""The example database is what its script makes, what its README says, and what the documented queries need."""

from __future__ import annotations

import getpass
import importlib.util
import logging
import math
import re
import shutil
import socket
import sqlite3
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import pytest
from mlflow.entities import ViewType

import mlquery

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
DATABASE = EXAMPLES / "sweep.db"
COMPARED = ["experiments", "experiment_tags", "runs", "params", "tags", "datasets", "inputs", "input_tags"]


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    found = connection.execute(query).fetchall()
    connection.close()
    return found


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_sweep", EXAMPLES / "make_sweep.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "make_sweep", module)  # its dataclasses look themselves up
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def remade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    path = tmp_path_factory.mktemp("sweep") / "sweep.db"
    script().make(path)
    return path


@pytest.mark.slow
@pytest.mark.xdist_group("sweep")  # it is made again once
@pytest.mark.parametrize("table", COMPARED)
def test_the_script_makes_the_same_rows_again(table: str, remade: Path) -> None:
    query = f"SELECT * FROM {table} ORDER BY 1, 2, 3"

    assert rows(remade, query) == rows(DATABASE, query)


@pytest.mark.slow
@pytest.mark.xdist_group("sweep")
def test_the_script_measures_the_same_metrics_again(remade: Path) -> None:
    # How a network diverges hangs on the last bit of every number.
    converged = "SELECT run_uuid FROM runs WHERE name <> 'mlp_16_1e6'"
    query = f"SELECT * FROM metrics WHERE run_uuid IN ({converged}) ORDER BY run_uuid, key, step, timestamp"
    made, kept = rows(remade, query), rows(DATABASE, query)

    def without_value(row: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*row[:1], *row[2:])

    assert list(map(without_value, kept)) == list(map(without_value, made))
    moved = [row for row, other in zip(kept, made, strict=True) if not math.isclose(row[1], other[1], abs_tol=0.05)]
    assert [] == moved


def test_mlflows_own_client_opens_it_and_finds_what_mlquery_finds(tmp_path: Path) -> None:
    copy = shutil.copy(DATABASE, tmp_path / "sweep.db")
    theirs, ours = mlflow.MlflowClient(f"sqlite:///{copy}"), mlquery.Client(mlquery.load(DATABASE))
    ids = [found.experiment_id for found in theirs.search_experiments(view_type=ViewType.ALL)]

    for text in ("", "metrics.accuracy > 0.9 AND params.model = 'gradient_boosting'", "tags.framework = 'torch'"):
        expected = [run.info.run_id for run in theirs.search_runs(ids, text, ViewType.ALL)]

        assert expected == [run.info.run_id for run in ours.search_runs(ids, text, ViewType.ALL)]
        assert len(expected) > 5


def test_it_is_small_and_holds_no_path_and_no_name_of_the_machine_it_was_made_on() -> None:
    content = DATABASE.read_bytes()
    texts = re.findall(rb"[ -~]{3,}", content)
    names = {socket.gethostname(), getpass.getuser()} - {"root", "user", "nightly"}

    assert len(content) < 1_500_000
    path = re.compile(rb"/(home|root|tmp|work|Users|usr|var|mnt|private)\b|\b[A-Z]:\\|file:")
    assert [] == [text for text in texts if path.search(text)]
    assert [] == [name for name in names if len(name) > 3 and name.encode() in content]
    assert [("train.py",)] == rows(DATABASE, "SELECT DISTINCT value FROM tags WHERE key = 'mlflow.source.name'")
    locations = rows(DATABASE, "SELECT artifact_location FROM experiments UNION SELECT artifact_uri FROM runs")
    assert all(location.startswith("mlflow-artifacts:/") for (location,) in locations)


def test_the_readme_counts_what_is_there() -> None:
    lines = re.findall(r"^\| (\d+) \| (\w+) \| (\d+) \|", (EXAMPLES / "README.md").read_text("utf-8"), re.MULTILINE)
    query = (
        "SELECT e.experiment_id, e.name, count(r.run_uuid) FROM experiments e LEFT JOIN runs r USING (experiment_id)"
    )

    assert [(int(number), name, int(runs)) for number, name, runs in lines] == rows(DATABASE, f"{query} GROUP BY 1")


def test_it_holds_every_kind_of_run_and_value_that_the_readme_names() -> None:
    statuses = {status for (status,) in rows(DATABASE, "SELECT status FROM runs")}
    stages = {stage for (stage,) in rows(DATABASE, "SELECT lifecycle_stage FROM runs")}
    nan = rows(DATABASE, "SELECT key, name FROM metrics JOIN runs USING (run_uuid) WHERE is_nan")
    endless = rows(DATABASE, "SELECT DISTINCT key, name FROM metrics JOIN runs USING (run_uuid) WHERE value > 1e308")
    twins = "SELECT start_time FROM runs GROUP BY 1 HAVING count(*) > 1 AND count(DISTINCT lifecycle_stage) = 1"
    children = "SELECT r.name FROM tags t JOIN runs r ON r.run_uuid = t.value WHERE key = 'mlflow.parentRunId'"

    assert {"FINISHED", "FAILED", "KILLED", "RUNNING", "SCHEDULED"} == statuses
    assert {"active", "deleted"} == stages
    assert [("auc", "one-class fold")] == nan
    assert [("loss", "mlp_16_1e6")] == endless
    assert len(rows(DATABASE, twins)) > 5
    counts = dict(rows(DATABASE, f"SELECT name, count(*) FROM ({children}) GROUP BY 1"))
    assert {"gbm-sweep": 18, "mlp_sweep": 7, "mlp_long_sweep": 7} == counts


@pytest.mark.parametrize(
    "text",
    [
        "params.num_boost_round='100'",
        "metrics.auc>0.8",
        "tags.framework='torch'",
        "attributes.user_id = 'John Smith'",
        "attributes.status = 'Failed'",
        "attributes.creation_time > '1655703168000'",
        "attributes.duration > '360000'",
    ],
)
def test_each_query_of_the_documentation_finds_some_of_the_runs_and_not_all(text: str) -> None:
    client = mlquery.Client(mlquery.load(DATABASE), dialect="azure")
    experiment = client.get_experiment_by_name("my_experiment")
    assert experiment is not None

    found = client.search_runs([experiment.experiment_id], text)

    assert 0 < len(found) < len(client.search_runs([experiment.experiment_id]))


@pytest.mark.parametrize("text", ["tags.framework = 'torch'", "creation_time > 1655703168000"])
def test_each_experiment_query_of_the_documentation_finds_some_experiments_and_not_all(text: str) -> None:
    client = mlquery.Client(mlquery.load(DATABASE), dialect="azure")

    found = client.search_experiments(filter_string=text)

    assert 0 < len(found) < len(client.search_experiments())
    assert len(client.search_experiments()) < len(client.search_experiments(view_type=mlquery.ViewType.ALL))
