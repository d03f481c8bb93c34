"""The conformance suite runs on databases and on files, and says what cannot be asked there and why."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

import mlquery.conformance
from mlquery.cli import main
from mlquery.conformance import run
from mlquery.conformance.engines import MIRRORS, opened
from mlquery.conformance.servers import NoServerError
from mlquery.conformance.suite import Suite
from mlquery.language.matrix import MATRIX
from mlquery.query.search import plan_of
from mlquery.sql.errors import NotAskableError
from mlquery.store import Store
from mlquery.sync.exporting import export
from tests.support.databases import ON_DUCKDB, ON_MARIADB, ON_POSTGRES, ON_SPARK, database_server
from tests.support.suite import SUITE

DATASETS = "datasets"
ALL = MATRIX.main_dialects
WHOLE = [
    ("sqlite", ALL),
    ("server", ("extended", "oss")),  # over HTTP
    pytest.param("postgres", ALL, marks=ON_POSTGRES),
    pytest.param("mariadb", ALL, marks=ON_MARIADB),
    # An export takes longer than a search in it: the largest language, and ids of another kind.
    pytest.param("duckdb", ("extended", "azure"), marks=ON_DUCKDB),
    pytest.param("duckdb-wide", ("extended", "azure"), marks=ON_DUCKDB),
]
FEW = [pytest.param("spark", marks=ON_SPARK), pytest.param("spark-wide", marks=ON_SPARK)]


def of_topics(*topics: str) -> Suite:
    return attrs.evolve(SUITE, cases=tuple(case for case in SUITE.cases if case.topic in topics))


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "dialects"), WHOLE)
def test_every_case_gives_the_expected_answer_on_databases_and_files(engine: str, dialects: tuple[str, ...]) -> None:
    try:
        outcomes = run(dialects, [engine], suite=SUITE)
    except NoServerError as error:
        pytest.skip(str(error))

    refused = [o for o in outcomes if o.not_askable and o.case.entity == "run"]
    assert [] == [str(o) for o in outcomes if o.failed]
    assert len(refused) < 100
    assert sum(o.searches for o in outcomes) > 900 * len(dialects)


@pytest.mark.slow
@ON_POSTGRES
def test_every_case_gives_the_expected_answer_on_postgres_with_psycopg_3(monkeypatch: pytest.MonkeyPatch) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg")
    with database_server("postgres") as server:
        url = sqlalchemy.make_url(server.url).set(drivername="postgresql+psycopg")
        monkeypatch.setenv("MLQUERY_POSTGRES_URL", url.render_as_string(hide_password=False))
        outcomes = run(["oss"], ["postgres"], suite=SUITE)

    assert [] == [str(o) for o in outcomes if o.failed]
    assert sum(o.searches for o in outcomes) > 900


@pytest.mark.slow
@pytest.mark.parametrize("engine", FEW)
def test_cases_of_some_topics_give_the_expected_answers_on_spark(engine: str) -> None:
    topics = ("engines", "two-valued")
    try:
        outcomes = run(["extended"], [engine], suite=of_topics(*topics))
    except NoServerError as error:
        pytest.skip(str(error))

    assert [] == [str(o) for o in outcomes if not o.passed]


@pytest.mark.parametrize(
    ("home", "problem"), [(None, "there is none in the PATH"), ("nowhere", "there is none in JAVA_HOME, nowhere")]
)
def test_spark_without_java_is_refused_in_one_sentence(home: str | None, problem: str, tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    export(Store(), tmp_path / "lake")
    environment = {name: value for name, value in os.environ.items() if name not in ("PATH", "JAVA_HOME")}
    environment |= {"PATH": str(tmp_path)} | ({"JAVA_HOME": home} if home else {})
    command = [sys.executable, "-m", "mlquery", "search", "", "--from", f"parquet:{tmp_path / 'lake'}"]

    ended = subprocess.run(
        [*command, "--engine", "spark"], env=environment, capture_output=True, text=True, check=False
    )

    needs = "needs Java 17, such as Debian's default-jre-headless"
    assert (2, "") == (ended.returncode, ended.stdout)
    assert f"mlquery: {tmp_path / 'lake'} {needs}: {problem}\n" == ended.stderr


def test_what_cannot_be_asked_is_neither_passed_nor_failed_and_says_why() -> None:
    outcomes = run(["oss"], ["duckdb"], suite=of_topics(DATASETS))

    refused = [o for o in outcomes if o.not_askable]
    assert refused
    assert not any(o.passed or o.failed for o in refused)
    assert all("Databricks' tables have no datasets" in str(o) for o in refused)


def test_models_are_searched_without_an_engine_and_counted_apart() -> None:
    (outcome,) = run(["oss"], ["sqlite"], suite=attrs.evolve(SUITE, cases=of_topics("registry-models").cases[:1]))

    assert mlquery.conformance.NO_ENGINE == outcome.not_askable
    assert 0 == outcome.searches


def test_a_case_that_no_engine_could_be_asked_is_skipped_in_a_report() -> None:
    outcomes = run(["oss"], ["duckdb"], suite=of_topics(DATASETS))

    (report,) = mlquery.conformance.reports_of(outcomes, "1")

    skipped = {row.case for row in report.rows if row.outcome == "skipped"}
    assert {o.case.id for o in outcomes if o.not_askable} == skipped


@pytest.fixture
def small_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    suite = of_topics("ties", DATASETS)
    monkeypatch.setattr(mlquery.conformance, "load_suite", lambda: suite)


@pytest.mark.usefixtures("small_suite")
def test_the_table_has_a_line_for_each_engine_and_the_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["conformance", "--engine", "reference,sqlite", "--engine", "duckdb", "--dialect", "oss"])

    lines = capsys.readouterr().out.splitlines()
    table = [re.split(r"\s{2,}", line.strip()) for line in lines[lines.index("") + 1 :]]
    assert 0 == code
    assert "engine" == table[0][0]
    assert ["reference", "sqlite", "duckdb"] == [line[0] for line in table[1:4]]
    assert any(line.startswith("not askable on duckdb, ") for line in lines)


@pytest.mark.usefixtures("small_suite")
def test_json_has_the_numbers_of_each_engine(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["conformance", "--engine", "sqlite", "--dialect", "oss", "--format", "json"])

    printed = json.loads(capsys.readouterr().out)
    assert 0 == code
    assert {"sqlite"} == printed["engines"].keys()
    assert 0 == printed["engines"]["sqlite"]["failed"]
    assert printed["engines"]["sqlite"]["searches"] > 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "turbo"], "unknown engine 'turbo'; use reference or columnar or sqlite"),
        (["--engine", "sqlite", "--target", "sqlite:"], "--engine excludes --target and --stdio"),
    ],
)
def test_an_engine_that_does_not_exist_or_does_not_fit_is_misuse(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["conformance", *arguments])

    assert 2 == code
    assert message in capsys.readouterr().err


def test_an_engine_that_cannot_be_had_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLQUERY_POSTGRES_URL", "postgresql+psycopg2://me:secret@127.0.0.1:1/x")

    code = main(["conformance", "--engine", "postgres", "--case", "ties"])

    printed = capsys.readouterr()
    assert 2 == code
    assert printed.err.startswith("mlquery: MLQUERY_POSTGRES_URL names no server that responds")
    assert 1 == len(printed.err.splitlines())
    assert "secret" not in printed.err


def test_a_store_that_was_filled_with_infinities_is_refused() -> None:
    store = Store(seed=1)
    store.load_run("f" * 32, "0", metrics={"m": (float("inf"), 0, 0)})

    with MIRRORS["sqlite"]() as mirror, pytest.raises(NotAskableError, match=r"metrics\.m"):
        mirror.source(store)


def test_a_mirror_follows_a_store_that_changes() -> None:
    store, plan = Store(seed=1), plan_of("params.a = 'b'", view_type=3)
    with opened(["sqlite"]) as (engine,):
        before = list(engine.rows(store, plan))
        store.load_run("f" * 32, "0", params={"a": "b"})
        after = list(engine.rows(store, plan))

    assert ([], [0]) == (before, after)
    assert 2 == engine.asked


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    run(["oss"], ["sqlite", "duckdb-wide"], suite=of_topics("ties"))

    assert [] == list(tmp_path.iterdir())
