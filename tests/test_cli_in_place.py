"""The command line in place: the same bytes as after loading, explanations without rows, refusals in one sentence."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import make_url

import mlquery
from mlquery import Client, ViewType, readers
from mlquery.cli import main
from mlquery.resources import example_database
from mlquery.sql.engines.sqlite import SqliteFile
from mlquery.sql.source import Source
from mlquery.sync.exporting import export
from tests.support.databases import ON_POSTGRES

SWEEP = str(example_database())
QUERIES = [
    (),
    ("metrics.accuracy > 0.5 AND params.model = 'mlp'", "--order-by", "metrics.accuracy DESC", "--max-results", "7"),
    ("tags.framework LIKE 'sk%' OR status = 'FAILED'", "--view", "all", "--order-by", "params.learning_rate"),
    ("max(metrics.loss) > 0.1 AND count(metrics.loss) > 1", "--order-by", "first(metrics.loss)"),
    ("metrics.none > 1",),
    ("", "--view", "deleted"),
    ("", "--experiment", "five_models"),
    ("datasets.name LIKE 'breast%'", "--order-by", "start_time ASC"),
]


def outcome(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    return code, *capsys.readouterr()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one sentence of a command that ends with 2."""
    code, out, err = outcome(capsys, *arguments)
    assert (2, "") == (code, out)
    assert len(err.splitlines()) == 1
    assert err.startswith("mlquery: ")
    return err


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be loaded."""

    def load(*arguments: Any, **named: Any) -> Any:
        raise AssertionError("the source is loaded")

    monkeypatch.setattr(readers, "load", load)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the example database that a test may change."""
    return Path(shutil.copy(SWEEP, tmp_path / "sweep.db"))


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statement)
        connection.commit()


@pytest.mark.parametrize("output_format", ["table", "csv", "json"])
@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_search_in_place_prints_the_same_bytes_as_after_loading(
    query: tuple[str, ...], output_format: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("search", *query, "--from", SWEEP, "--dialect", "extended", "--format", output_format)
    loaded = outcome(capsys, *command, "--load")
    monkeypatch.setattr(readers, "load", None)

    assert loaded == outcome(capsys, *command)
    assert loaded[0] == 0


@pytest.mark.parametrize("output_format", ["table", "csv", "json", "md"])
def test_aggregates_in_place_print_the_same_bytes(output_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = "count(), mean(metrics.accuracy), max(min(metrics.loss)), median(duration), min(start_time)"
    command = ("aggregate", asked, "--by", "params.model", "--by", "status", "--from", SWEEP, "--format", output_format)

    assert outcome(capsys, *command) == outcome(capsys, *command, "--load")


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize("source", [SWEEP, f"sqlite:///{SWEEP}"])
def test_a_database_is_not_loaded(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "(1 run" in outcome(capsys, "search", "--from", source, "--max-results", "1")[1]


@pytest.mark.usefixtures("unloaded")
def test_an_explanation_has_the_statement_its_parameters_and_the_plan_of_the_engine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    query = ("metrics.accuracy > 0.875", "--order-by", "metrics.accuracy DESC", "--max-results", "5")

    code, shown, err = outcome(capsys, "search", *query, "--from", SWEEP, "--explain")

    assert (0, "") == (code, err)
    for words in (
        "searched  in place, sqlite:///",
        "SELECT r.run_uuid",
        "= 0.875",
        "LIMIT",
        "SEARCH",
        "latest_metrics",
    ):
        assert words in shown
    assert "0.875" not in shown.partition("bound")[0].partition("statement")[2]  # values are bound, never written


def test_what_is_loaded_is_explained_as_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    assert "in memory" in outcome(capsys, "search", "--from", SWEEP, "--explain", "--load")[1]


def test_a_database_of_an_older_release_is_loaded(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = outcome(capsys, "search", "--from", SWEEP)
    change(copy, "DROP TABLE alembic_version")

    assert expected == outcome(capsys, "search", "--from", str(copy))


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE alembic_version SET version_num = 'fffffffffff1'", "was made by a newer MLflow than"),
        ("ALTER TABLE runs DROP COLUMN user_id", "lacks the column user_id of the table runs"),
        ("DROP TABLE input_tags", "lacks the table input_tags"),
    ],
)
def test_a_database_that_is_not_as_its_release_has_it_is_refused(
    statement: str, words: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(copy, statement)

    assert words in refused(capsys, "search", "--from", str(copy))


@pytest.mark.parametrize("source", ["postgresql://ada:s3cret@127.0.0.1:1/runs", "mysql://ada:s3cret@127.0.0.1:1/runs"])
@pytest.mark.parametrize("command", [("search",), ("aggregate", "count()"), ("serve", "--in-place", "--port", "0")])
def test_a_server_that_does_not_answer_is_one_sentence_without_the_password(
    command: tuple[str, ...], source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = refused(capsys, *command, "--from", source)

    assert "127.0.0.1:1" in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "oracle://ada:s3cret@host/db"), "oracle:… cannot be searched in place; what can is sqlite:///PATH"),
        (("--from", SWEEP, "--load", "--engine", "duckdb"), "instead: one of the two"),
        (("--from", SWEEP, "--engine", "duckdb"), "a database answers by itself, not through 'duckdb'"),
        (("--from", "nowhere.db"), "does not exist"),
    ],
)
def test_a_source_that_means_nothing_is_one_sentence(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = refused(capsys, "search", *arguments)

    assert words in shown
    assert "s3cret" not in shown


def test_the_name_of_a_source_in_messages_has_no_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SqliteFile(Path(SWEEP), "sweep")
    from mlquery.sql import opening
    from mlquery.sql.layouts.mlflow import mlflow_tables

    monkeypatch.setattr(opening, "open_in_place", lambda name, engine_=engine: Source(engine_, mlflow_tables(engine_)))

    shown = refused(capsys, "search", "--from", "postgresql://ada:s3cret@host/db", "--experiment", "none")

    assert "postgresql://ada:***@host/db has no experiment named 'none'" in shown


def test_a_query_that_cannot_be_answered_in_place_points_at_the_field_and_at_loading(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlquery.language.plan import FieldRef, Kind
    from mlquery.sql.errors import field_error

    def page(self: Any, plan: Any, limit: Any, after: Any = None) -> Any:
        if plan.experiment_ids is None:
            return original(self, plan, limit, after)
        raise field_error(FieldRef(Kind.ATTRIBUTE, "user_id"), "these tables lack it")

    original = Source.page
    monkeypatch.setattr(Source, "page", page)

    code, out, err = outcome(capsys, "search", "user_id = 'ada'", "--from", SWEEP)

    assert (1, "") == (code, out)
    assert "^^^^^^^" in err
    assert "--load" in err


def test_a_server_is_served_in_place_only(capsys: pytest.CaptureFixture[str]) -> None:
    shown = refused(capsys, "serve", "--from", "postgresql://ada:s3cret@127.0.0.1:1/runs", "--port", "0")

    assert "instead: --in-place" in shown
    assert "s3cret" not in shown


@ON_POSTGRES
@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: url, "is not an MLflow tracking database"),
        (lambda url: url.set(password="wr0ng", username="nobody"), "refuses the user or the password"),
        (lambda url: url.set(database="nowhere"), "has no such database"),
        (lambda url: url.set(host="no-such-host.invalid"), "has no such host"),
    ],
)
@pytest.mark.parametrize("command", [("search",), ("compare",), ("serve", "--in-place", "--port", "0"), ("ui",)])
def test_what_is_wrong_with_a_server_is_one_sentence(
    command: tuple[str, ...], change: Any, words: str, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = change(make_url(postgres_url)).render_as_string(hide_password=False)

    shown = refused(capsys, *command, "--from", url)

    assert words in shown
    assert "wr0ng" not in shown


def test_serve_in_place_needs_a_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--in-place needs what to serve" in refused(capsys, "serve", "--in-place")


def test_the_ui_takes_the_address_from_a_variable_and_not_from_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlquery.cli import store_commands

    started: dict[str, Any] = {}
    fake = SimpleNamespace(
        environ={}, execve=lambda *given: started.update(zip(("path", "command", "env"), given, strict=True))
    )
    monkeypatch.setattr(store_commands, "os", fake)

    assert main(["ui", "--from", SWEEP, "--port", "5099"]) in (0, None)

    assert SWEEP not in started["command"]
    assert "mlquery:in-place" in started["command"]
    assert SWEEP == started["env"]["MLQUERY_IN_PLACE"]


def test_loading_what_is_searched_in_place_gives_what_the_file_has() -> None:
    expected = readers.load(SWEEP)
    with mlquery.connect(SWEEP) as client:
        store = client.load()

    assert store.runs.size == expected.runs.size
    for run_id in expected.runs.ids:
        assert repr(expected.get_run(run_id).to_dictionary()) == repr(store.get_run(run_id).to_dictionary())
        for key in expected.get_run(run_id).data.metrics:
            for here, there in zip(expected.history(run_id, key), store.history(run_id, key), strict=True):
                assert repr(here.tolist()) == repr(there.tolist())
    assert repr(expected.models.by_id) == repr(store.models.by_id)
    assert expected.models.outputs == store.models.outputs
    found = [repr(one) for one in Client(store).search_experiments(ViewType.ALL)]
    assert found == [repr(one) for one in Client(expected).search_experiments(ViewType.ALL)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder with the tables of the example database as Parquet."""
    folder = tmp_path_factory.mktemp("export")
    export(readers.load(SWEEP), folder)
    return str(folder)


@pytest.mark.parametrize("arguments", [(), ("--engine", "duckdb"), ("--load",)])
@pytest.mark.parametrize("scheme", ["", "parquet:"])
def test_exported_tables_are_searched_in_place(
    scheme: str, arguments: tuple[str, ...], exported: str, capsys: pytest.CaptureFixture[str]
) -> None:
    query = ("search", "metrics.auc > 0.99 AND params.model = 'mlp'", "--order-by", "metrics.auc DESC")

    assert outcome(capsys, *query, "--from", SWEEP) == outcome(capsys, *query, "--from", scheme + exported, *arguments)


def test_what_tables_lack_is_refused_where_it_is_asked(exported: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(capsys, "search", "datasets.name = 'x'", "--from", f"parquet:{exported}")

    assert (1, "") == (code, out)
    assert "Databricks' tables have no datasets" in err
    assert "^^^^^^^^^^^^^" in err
