"""What a page shows of MLflow's own tables is what loading the database shows, and what MLflow says itself."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

import mlquery
from mlquery.sql.engines.relational import open_relational
from mlquery.sql.errors import SourceUnavailableError
from mlquery.sql.layouts.mlflow import mlflow_tables
from mlquery.sql.session import read
from mlquery.sql.source import Source
from mlquery.store import Store
from tests.support.random_data import fill, new_mlflow_store
from tests.support.statements import statements_run

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "sweep.db"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # SQLAlchemy's about MLflow's mappers


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a database with runs of every kind, by MLflow."""
    folder = tmp_path_factory.mktemp("mlflow")
    fill(new_mlflow_store(folder), seed=11, runs=60)
    return folder / "mlflow.db"


@pytest.fixture(params=["made", "example"])
def path(request: pytest.FixtureRequest, database: Path) -> Path:
    return database if request.param == "made" else EXAMPLE


@pytest.fixture
def loaded(path: Path) -> Store:
    return mlquery.load(path)


@pytest.fixture
def source(path: Path) -> Iterator[Source]:
    source = source_of(f"sqlite:///{path}")
    yield source
    source.close()


def source_of(url: str) -> Source:
    engine = open_relational(url)
    return Source(engine, mlflow_tables(engine))


def test_runs_are_those_of_the_loaded_database_in_the_order_asked_for(loaded: Store, source: Source) -> None:
    ids = random.Random(3).sample(loaded.runs.ids, 40)

    page = source.runs([*ids, "gone", ids[0]])

    assert ids == page.runs.ids
    assert [str(loaded.get_run(run_id)) for run_id in ids] == [str(page.get_run(run_id)) for run_id in ids]
    for run_id in ids:  # with the time and the step of each latest point
        run = page.get_run(run_id)
        assert loaded.models.outputs.get(run_id) == page.models.outputs.get(run_id)
        assert loaded.models.inputs.get(run_id) == page.models.inputs.get(run_id)
        assert list(loaded.get_run(run_id).data.metrics) == list(run.data.metrics)


def test_a_page_has_the_experiments_of_its_runs_and_no_others(loaded: Store, source: Source) -> None:
    run_id = loaded.runs.ids[-1]

    page = source.runs([run_id])

    assert [loaded.get_run(run_id).info.experiment_id] == page.experiments.ids
    assert 0 == source.runs(["gone"]).experiments.size == source.runs([]).runs.size


def test_experiments_are_those_of_the_loaded_database(loaded: Store, source: Source) -> None:
    table = loaded.experiments
    ids = list(reversed(table.ids))

    found = source.experiments([*ids, "007", "x", "99999999999999999999"]).experiments

    assert ids == found.ids
    assert [table.experiment_at(table.row_of[one]) for one in ids] == list(map(found.experiment_at, range(found.size)))
    names = list(table.row_of_name)
    assert set(ids) == set(source.experiments(names=[*names, "gone"]).experiments.ids)


def test_histories_are_those_of_the_loaded_database(loaded: Store, source: Source) -> None:
    expected = {
        (run_id, key): [column.tolist() for column in loaded.runs.history(run_id, key)]
        for run_id in loaded.runs.ids
        for key in loaded.get_run(run_id).data.metrics
    }

    found = source.histories(loaded.runs.ids)

    assert {name: str(points) for name, points in expected.items()} == {
        name: str([column.tolist() for column in points]) for name, points in found.items()
    }
    (run_id, key), *_ = expected
    assert [(run_id, key)] == list(source.histories([run_id], [key, "gone"]))
    assert {} == source.histories(["gone"]) == source.histories([], [key])


def test_logged_models_are_those_of_the_loaded_database(loaded: Store, source: Source) -> None:
    layout = mlflow_tables(source.engine)

    found = read(source.engine, lambda session: layout.load_models(session, loaded.experiments.ids))

    assert loaded.models.by_id == found.models.by_id
    assert sorted(map(str, loaded.models.points.items())) == sorted(map(str, found.models.points.items()))


def test_the_number_of_statements_does_not_depend_on_that_of_the_runs(loaded: Store, source: Source) -> None:
    counts = []
    for ids in (loaded.runs.ids[:30], loaded.runs.ids):
        with statements_run() as found:
            source.runs(ids)
        counts.append(len(found))

    assert counts[0] == counts[1] <= 12


def test_datasets_are_those_that_mlflow_lists(tmp_path: Path) -> None:
    store = new_mlflow_store(tmp_path)
    fill(store, seed=5, runs=40)
    ids = [one.experiment_id for one in store.search_experiments()]
    expected = {(one.experiment_id, one.name, one.digest, one.context) for one in store._search_datasets(ids)}

    found = source_of(f"sqlite:///{tmp_path / 'mlflow.db'}").datasets([*ids, "x"])

    assert expected
    assert expected == set(found)
    assert len(expected) == len(found)


def test_a_cell_of_the_wrong_type_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    path.write_bytes(EXAMPLE.read_bytes())
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE params SET value = x'ff'")
    connection.close()
    source = source_of(f"sqlite:///{path}")

    with pytest.raises(SourceUnavailableError, match="is damaged: column value of table params holds a wrong value"):
        source.runs(mlquery.load(EXAMPLE).runs.ids)
