"""The schemas of MLflow that are searched in place: all from 2.9 on, told by their revision, and no other."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base

from mlquery.sql.engines.relational import open_relational
from mlquery.sql.errors import SourceUnavailableError
from mlquery.sql.layouts.mlflow import MlflowTables, mlflow_tables
from mlquery.sql.layouts.mlflow_revisions import OLDER, RELEASES, schema_of
from tests.support.databases import ON_MARIADB, ON_POSTGRES, database_server, new_database

# MLflow's own mappers are of a way that SQLAlchemy 2.1 deprecates, and it says so to whoever is first.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

REVISIONS = [revision for _, revisions in RELEASES for revision in revisions]
OLDEST = REVISIONS[0]
ROWS: dict[str, dict[str, Any]] = {
    "experiments": {"experiment_id": 7, "name": "one", "lifecycle_stage": "active", "artifact_location": "s3://b/7"},
    "experiment_tags": {"experiment_id": 7, "key": "team", "value": "vision"},
    "runs": {
        **{"run_uuid": "a" * 32, "experiment_id": 7, "name": "run", "status": "FINISHED", "user_id": "ann"},
        **{"start_time": 1, "end_time": 2, "lifecycle_stage": "active", "artifact_uri": "s3://b/7/a/artifacts"},
    },
    "metrics": {"run_uuid": "a" * 32, "key": "auc", "value": 0.5, "timestamp": 1, "step": 3, "is_nan": False},
    "latest_metrics": {"run_uuid": "a" * 32, "key": "auc", "value": 0.5, "timestamp": 1, "step": 3, "is_nan": False},
    "params": {"run_uuid": "a" * 32, "key": "lr", "value": "0.1"},
    "tags": {"run_uuid": "a" * 32, "key": "stage", "value": "prod"},
    "datasets": {
        **{"dataset_uuid": "d", "experiment_id": 7, "name": "train", "digest": "x", "dataset_source_type": "local"},
        **{"dataset_source": "{}"},
    },
    "inputs": {
        **{"input_uuid": "i", "source_type": "DATASET", "source_id": "d", "destination_type": "RUN"},
        **{"destination_id": "a" * 32},
    },
    "input_tags": {"input_uuid": "i", "name": "mlflow.data.context", "value": "training"},
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    level = logging.getLogger("alembic").level
    logging.getLogger("alembic").setLevel(logging.ERROR)
    yield
    logging.getLogger("alembic").setLevel(level)


def upgrade(engine: sqlalchemy.Engine, revision: str) -> None:
    """Bring a database to a revision with MLflow's migrations."""
    config = _get_alembic_config("")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def database_of(url: str, revision: str = OLDEST) -> sqlalchemy.Engine:
    """Make a database of a revision, with one run in it."""
    engine = sqlalchemy.create_engine(url)
    Base.metadata.create_all(engine)
    upgrade(engine, OLDEST)
    quote = engine.dialect.identifier_preparer.quote_identifier
    with engine.begin() as connection:
        for table, row in ROWS.items():
            columns, values = (", ".join(map(write, row)) for write in (quote, ":{}".format))
            connection.execute(sqlalchemy.text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), row)
    if revision != OLDEST:
        upgrade(engine, revision)
    return engine


def run_of(layout: MlflowTables, url: str) -> tuple[Any, ...]:
    """Return what a page shows of the run."""
    engine = open_relational(url)
    with engine.snapshot() as session:
        store = layout.load_runs(session, [("a" * 32,)])
        points = layout.load_points(session, ["a" * 32], None)
        datasets = layout.load_datasets(session, ["7"])
    engine.close()
    run: Any = store.get_run("a" * 32)
    values, times, steps = points["a" * 32, "auc"]
    return (
        store.experiments.experiment_at(0),
        run.info,
        run.data,
        [(one.dataset.name, one.tags[0].value) for one in run.inputs.dataset_inputs],
        (values.tolist(), times.tolist(), steps.tolist()),
        datasets,
    )


def test_the_revisions_are_those_of_mlflow_in_their_order() -> None:
    scripts = ScriptDirectory.from_config(_get_alembic_config(""))
    chain = [script.revision for script in reversed(list(scripts.walk_revisions()))]

    assert chain == [*OLDER, *REVISIONS][: len(chain)]
    assert len(REVISIONS) - len(chain) + len(OLDER) <= 3  # those of 3.18, which may not be the release installed here


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        "sqlite",
        pytest.param("postgres", marks=ON_POSTGRES),
        # Migrations take MariaDB a minute: it is asked where campaigns are.
        *([pytest.param("mariadb", marks=ON_MARIADB)] if "MLQUERY_SQL_QUERIES" in os.environ else []),
    ],
)
def test_a_database_of_each_revision_gives_the_same_run(kind: str, tmp_path: Path) -> None:
    if kind == "sqlite":
        answers = answers_of(f"sqlite:///{tmp_path / 'mlflow.db'}")
    else:
        with database_server(kind) as server, new_database(server) as url:
            answers = answers_of(url)

    assert len(answers) >= len(REVISIONS) - 3
    assert {str(answers[OLDEST])} == set(map(str, answers.values()))


def answers_of(url: str) -> dict[str, Any]:
    engine = database_of(url)
    known = {script.revision for script in ScriptDirectory.from_config(_get_alembic_config("")).walk_revisions()}
    answers = {}
    for revision in REVISIONS:
        if revision in known:
            upgrade(engine, revision)
            source = open_relational(url)
            layout = mlflow_tables(source)
            source.close()
            columns = {table: column_names(engine, table) for table in ("inputs", "experiments")}
            assert revision == layout.pages.schema.revision
            assert ("workspace" in columns["experiments"]) is layout.pages.schema.has_workspaces
            assert ("step" in columns["inputs"]) is layout.pages.schema.has_steps_of_inputs
            assert sqlalchemy.inspect(engine).has_table("logged_models") is layout.pages.schema.has_models
            answers[revision] = run_of(layout, url)
    engine.dispose()
    return answers


def column_names(engine: sqlalchemy.Engine, table: str) -> set[str]:
    return {str(column["name"]) for column in sqlalchemy.inspect(engine).get_columns(table)}


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'mlflow.db'}"
    database_of(url).dispose()
    return url


def changed(url: str, *statements: str) -> str:
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sqlalchemy.text(statement))
    engine.dispose()
    return url


def refusal(url: str) -> str:
    with pytest.raises(SourceUnavailableError) as caught:
        mlflow_tables(open_relational(url))
    assert str(caught.value).startswith(f"{url} ")
    return str(caught.value).removeprefix(f"{url} ")


def test_an_unknown_revision_is_refused_as_that_of_a_newer_mlflow(url: str) -> None:
    changed(url, "UPDATE alembic_version SET version_num = 'ffffffffffff'")

    newer = "was made by a newer MLflow than 3.18 (schema revision 'ffffffffffff'); instead: update mlquery"
    assert newer == refusal(url)


def test_an_old_revision_is_refused_with_what_to_do(url: str) -> None:
    changed(url, f"UPDATE alembic_version SET version_num = '{OLDER[-1]}'")

    older = "was made by an MLflow older than 2.9; instead: run `mlflow db upgrade`, or load it (--load)"
    assert older == refusal(url)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DROP TABLE alembic_version", "is not an MLflow tracking database: it has no table alembic_version that"),
        ("ALTER TABLE params RENAME TO others", "is not an MLflow tracking database: it has no table params that"),
        ("ALTER TABLE runs RENAME COLUMN name TO n", "lacks the column name of the table runs, which MLflow 2.9 has"),
        ("DROP TABLE input_tags", "lacks the table input_tags, which MLflow 2.9 has there; instead: restore it"),
        ("DELETE FROM alembic_version", "has 0 schema revisions, and MLflow's tables have one; instead: run `mlflow"),
    ],
)
def test_a_database_that_is_not_all_there_is_refused_with_what_it_lacks(statement: str, problem: str, url: str) -> None:
    assert refusal(changed(url, statement)).startswith(problem)


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    url = changed(f"sqlite:///{tmp_path / 'other.db'}", "CREATE TABLE users (name TEXT)")

    assert refusal(url).startswith("is not an MLflow tracking database: it has no table experiments, experiment_tags, ")


def test_experiments_in_other_workspaces_are_refused_as_mlflow_refuses_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'mlflow.db'}"
    database_of(url, "dc11669786a5").dispose()
    mlflow_tables(open_relational(url))
    changed(url, "UPDATE experiments SET workspace = 'team-a'")

    assert refusal(url).startswith("has experiments outside the workspace 'default'")


def test_an_unknown_revision_has_no_schema() -> None:
    assert schema_of("") is None
    assert schema_of(OLDER[0]) is None
