"""What released versions of MLflow answered is recorded; their columns and the suite's expectations agree with it.

With `MLQUERY_VERSIONS="2.9 2.14"` and `MLQUERY_ENVIRONMENTS=FOLDER` all cases are put to these versions again, in
environments of their own (`conformance/versions.py`); without, a few are put to the MLflow that is installed.
"""

from __future__ import annotations

import contextlib
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

import mlquery
from conformance.replay import replaying
from conformance.versions import (
    COLUMNS,
    RECORDS,
    Answers,
    comparison,
    disagreements,
    read_records,
    replayed,
    report,
    written,
)
from conformance.versions import RELEASES as VERSIONS
from conformance.versions import main as versions_main
from mlquery.cli import main
from mlquery.conformance.recordings import record_disagreements
from mlquery.conformance.suite import Expectation, Tied
from mlquery.language.matrix import MATRIX
from mlquery.language.tables import to_markdown
from tests.support.installed_mlflow import INSTALLED, column_of, note_about
from tests.support.suite import SUITE

RECORDED = read_records()
OLDER: list[dict[str, Any]] = tomllib.loads(
    (RECORDS.parents[1] / "differences.toml").read_text(encoding="utf-8"),
)["older"]
RELEASES = [name for name, dialect in MATRIX.dialects.items() if dialect.release]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("conformance versions")]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_answered_as_its_column_says_save_for_what_is_listed(version: str) -> None:
    name = f"oss:{version}"
    listed = {case for entry in OLDER if name in entry["dialects"] for case in entry["cases"]}

    found = disagreements(RECORDED, version)

    assert listed == set(found), found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_case_was_put_to_every_version(version: str) -> None:
    assert {case.id for case in SUITE.cases} == set(RECORDED.answers[version])


def test_every_version_that_is_recorded_has_a_column_that_names_it() -> None:
    releases = {name.partition(":")[2]: MATRIX.dialect(name).release for name in RELEASES}

    assert {**releases, "3.18": RECORDED.releases["3.18"]} == dict(RECORDED.releases) == dict(VERSIONS)
    assert [MATRIX.dialect(name).name for name in COLUMNS] == [*reversed(RELEASES), "oss"]
    for name in RELEASES:
        source = MATRIX.feature("join.or").cells[name].source
        assert f"MLflow {MATRIX.dialect(name).release}," in MATRIX.sources[source]
        assert {source} == {feature.cells[name].source for feature in MATRIX.features}
        assert {"measured"} == {feature.cells[name].confidence for feature in MATRIX.features}


@pytest.mark.parametrize("entry", OLDER, ids=lambda entry: entry["id"])
def test_every_listed_difference_has_a_reason(entry: dict[str, Any]) -> None:
    assert entry["reason"].endswith(".")
    assert set(entry["dialects"]) <= set(RELEASES)
    assert entry["cases"]


def test_the_report_shows_what_is_recorded() -> None:
    lines = list(report(RECORDED))

    assert to_markdown(MATRIX.of(COLUMNS).differing()) in lines
    assert RECORDED.date in " ".join(lines)
    for version, release in RECORDED.releases.items():
        others = [case for entry in OLDER if f"oss:{version}" in entry["dialects"] for case in entry["cases"]]
        (line,) = (line for line in lines if line.startswith(f"| {release} |"))
        _, cases, as_expected, otherwise = (cell.strip() for cell in line.strip("|").split("|"))
        assert f"{len(SUITE.cases):,}" == cases
        assert f"{len(SUITE.cases) - len(others):,}" == as_expected
        assert sorted(others) == sorted(re.findall("`(.*?)`", otherwise))


def test_records_are_read_as_they_are_written() -> None:
    assert RECORDS.read_text(encoding="utf-8") == written(RECORDED)


def asked_again(tmp_path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield versions and what they answer now."""
    versions = os.environ.get("MLQUERY_VERSIONS", "").split()
    folder = Path(os.environ.get("MLQUERY_ENVIRONMENTS", tmp_path))
    for version in versions:
        yield version, replayed(VERSIONS[version], folder)
    if not versions:
        few = [case for case in SUITE.cases if case.topic in ("metric-special", "null", "ties")]
        (column,) = (version for version in VERSIONS if MATRIX.dialect(f"oss:{version}") is INSTALLED)
        with replaying(SUITE) as replay:
            yield column, replay.answers(few)


def test_a_version_answers_what_is_recorded_of_it(tmp_path: Path) -> None:
    for version, now in asked_again(tmp_path):
        assert len(now) > 30
        assert {case: RECORDED.answers[version][case] for case in now} == now


# One command says what a release changes.


def test_a_comparison_lists_the_cases_that_a_release_answers_otherwise_by_lines_of_the_matrix() -> None:
    lower, changed = "experiment-names.lower-like", "error INVALID_PARAMETER_VALUE"
    same = {"join.and": [["a"]], "experiment-names.capital-like": [["beta"]], "page-runs.or": changed}
    old = Answers("3.17.2", {**same, lower: changed, "lifecycle.rename-empty": [["a", "b"], []]})
    new = Answers("3.18.0", {**same, lower: [["beta"]], "lifecycle.rename-empty": [[]], "ties.filter": [["d"]]})

    lines = list(comparison(new, old))

    assert [
        "MLflow 3.18.0 answers 2 of 4 cases otherwise than 3.17.2.",
        "",
        "Rename experiments  [experiment.rename]",
        "  oss:3.17: yes, oss: yes",
        "  lifecycle.rename-empty: An empty name",
        "    3.17.2: a, b",
        "    3.18.0: nothing",
        "",
        "Write LIKE, ILIKE and IN in lower case when searching experiments  [experiment.operator.lower-case]",
        "  oss:3.17: no (INVALID_PARAMETER_VALUE), oss: yes",
        f"  {lower}: like in small letters is read",
        "    3.17.2: error INVALID_PARAMETER_VALUE",
        "    3.18.0: beta",
        "",
        "The columns of the support matrix differ in these lines:",
        "",
        to_markdown(MATRIX.of(["oss:3.17", "oss"]).differing()),
    ] == lines


def test_a_release_without_a_column_is_held_against_the_newest_one() -> None:
    old = Answers("3.18.0", {"registry-calls.tag-line-break": [["a"]], "null.param": [["a"]]})
    new = Answers("9.0.0", {"registry-calls.tag-line-break": [["b"]], "null.param": "error INTERNAL_ERROR"})

    lines = list(comparison(new, old))

    assert "MLflow 9.0.0 answers 2 of 2 cases otherwise than 3.18.0." == lines[0]
    assert ["Filter by IS NULL and IS NOT NULL on params and tags  [filter.null]", "  oss: yes"] == lines[2:4]
    assert "No line of the support matrix" in lines
    assert not any("columns" in line for line in lines)


def test_the_recorded_releases_are_compared_without_a_package_index(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == versions_main(["compare", "3.18.0"])

    printed = capsys.readouterr().out
    assert re.match(r"MLflow 3.18.0 answers \d+ of [\d,]+ cases otherwise than 3.17.2.\n", printed)
    assert "[registry.null]\n  oss:3.17: no (INTERNAL_ERROR), oss: no (INVALID_PARAMETER_VALUE)\n" in printed


# The MLflow that is installed is compared with the column of its version.


@pytest.mark.parametrize(
    ("release", "column", "note"),
    [
        ("3.18.0", "oss", None),
        ("3.18.1rc0", "oss", None),
        ("3.17.2", "oss:3.17", None),
        ("3.15.0", "oss:3.17", "MLflow 3.15.0 is installed, which is held against the column 'oss:3.17'."),
        ("2.9.2", "oss:2.9", None),
    ],
)
def test_a_release_is_held_against_the_column_of_its_version_or_the_next_newer_one(
    release: str, column: str, note: str | None
) -> None:
    assert (column, note) == (column_of(release).name, note_about(release))


def test_a_release_that_is_newer_than_all_columns_is_held_against_the_newest_and_failures_say_so() -> None:
    note = note_about("99.1.0")

    assert "oss" == column_of("99.1.0").name
    assert note is not None
    assert note.startswith("MLflow 99.1.0 is installed, which is newer than 3.18,")


# A recorded answer is compared as one that was just given.

CASE = next(case for case in SUITE.cases if case.id == "ties.filter")


@pytest.mark.parametrize(
    ("expected", "recorded", "told"),
    [
        (Expectation(rows=("a", "b")), [["a", "b"]], 0),
        (Expectation(rows=("a", "b")), [["b", "a"]], 1),
        (Expectation(rows=("a",)), "error INTERNAL_ERROR", 1),
        (Expectation(rows=("a",)), "unsupported by this client: set_x", 1),
        (Expectation(rows=(Tied(("a", "b")),)), {"pages": [["b", "a"]], "by_id": ["b", "a"]}, 0),
        (Expectation(rows=(Tied(("a", "b")),)), {"pages": [["b", "a"]], "by_id": ["a", "b"]}, 1),
    ],
)
def test_a_recorded_answer_is_held_against_an_expectation(expected: Expectation, recorded: Any, told: int) -> None:
    assert told == len(record_disagreements(CASE, expected, recorded))


# A release is a dialect like any other.


@pytest.fixture
def runs() -> Any:
    """Make a store with a run whose metric is NaN, and one that has a data set with a capital in its name."""
    client = mlquery.Client()
    for value in (float("nan"), 2.0):
        client.log_metric(client.create_run("0", run_name=str(value)).info.run_id, "m", value)
    return client.store


def names(store: Any, dialect: str, filter_string: str) -> list[str]:
    found = mlquery.Client(store, dialect=dialect).search_runs(["0"], filter_string)
    return sorted(str(run.info.run_name) for run in found)


@pytest.mark.parametrize(
    ("filter_string", "old", "new"),
    [
        ("metrics.m < 1", ["nan"], []),
        ("metrics.m = 0", ["nan"], []),
        ("metrics.m != 0", ["2.0"], ["2.0", "nan"]),
        ("metrics.m > 1", ["2.0"], ["2.0"]),
    ],
)
def test_nan_is_what_a_release_takes_it_for(runs: Any, filter_string: str, old: list[str], new: list[str]) -> None:
    assert old == names(runs, "oss:2.14", filter_string)
    assert new == names(runs, "oss", filter_string) == names(runs, "oss:3.18", filter_string)


def test_what_a_release_did_not_know_is_refused_in_its_name(runs: Any) -> None:
    with pytest.raises(mlquery.QueryError, match=r"oss:2.14 does not support this: filter by IS NULL"):
        names(runs, "oss:2.14", "params.p IS NULL")

    assert ["2.0", "nan"] == names(runs, "oss", "params.p IS NULL")


def test_a_release_is_named_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    codes = [main(["check", "params.p IS NULL", "--dialect", name]) for name in ("oss:3.1", "oss:3.18")]
    main(["explain", "metrics.m < 1", "--dialect", "oss:2.9"])

    printed = capsys.readouterr().out
    assert [1, 0] == codes
    assert "oss:3.1: refused" in printed
    assert "(NaN counts as 0)" in printed


@pytest.mark.parametrize("dialect", ["oss:3.17", "oss"])
def test_the_latest_point_of_a_model_is_the_one_of_its_release(dialect: str) -> None:
    client = mlquery.Client(dialect=dialect)
    run_id = client.create_run("0").info.run_id
    model = client.create_logged_model("0", "net")
    client.log_metric(run_id, "acc", 0.1, timestamp=20, step=1, model_id=model.model_id)
    client.log_metric(run_id, "acc", 0.9, timestamp=10, step=2, model_id=model.model_id)

    found = client.search_logged_models(["0"], "metrics.acc < 0.5")

    assert (1 if dialect == "oss:3.17" else 0) == len(found)


@pytest.mark.parametrize("dialect", ["oss:3.17", "oss"])
def test_what_a_release_refuses_to_store_is_refused_in_its_column(dialect: str) -> None:
    client, stored = mlquery.Client(dialect=dialect), []
    run_id = client.create_run("0").info.run_id
    calls: list[Callable[[], Any]] = [
        lambda: client.create_experiment(" "),
        lambda: client.log_metric(run_id, "m\n", 1.0),
        lambda: client.log_param(run_id, "p\n", 1),
        lambda: client.set_tag(run_id, "t\n", 1),
    ]
    for call in calls:
        with contextlib.suppress(mlquery.StoreError):
            stored.append(call())

    assert len(stored) == (4 if dialect == "oss:3.17" else 0)


def test_the_columns_of_older_releases_inherit_the_limits_of_newer_ones() -> None:
    assert {"final_line_breaks": 1, "visible_in_experiment_name": 0} == MATRIX.dialect("oss:3.1").enforced_limits
    assert {"colons_in_key": 0} == {
        name: limit
        for name, limit in MATRIX.dialect("oss:2.9").enforced_limits.items()
        if name not in MATRIX.dialect("oss:3.17").enforced_limits
    }


def test_a_release_can_be_mocked() -> None:
    with mlquery.mock(dialect="oss:2.14"):
        run = mlflow.MlflowClient().create_run("0")
        mlflow.MlflowClient().log_metric(run.info.run_id, "m", float("nan"))

        assert 1 == len(mlflow.MlflowClient().search_runs(["0"], "metrics.m < 1"))


def test_a_release_that_is_not_known_is_refused_with_those_that_are() -> None:
    known = r"unknown dialect 'oss:9.9'. Known dialects: oss:3.17, oss:3.1, oss:2.22, oss:2.14, oss:2.9, oss:3.18"

    with pytest.raises(ValueError, match=known):
        mlquery.Client(dialect="oss:9.9")


def test_the_matrix_can_be_cut_down_to_what_changed(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["matrix", "--differing", "--dialect", "oss:3.1", "--dialect", "oss"])

    lines = capsys.readouterr().out.splitlines()
    assert 0 == code
    assert "| Feature | oss:3.1 | oss |" == lines[0]
    assert any("`filter.null` | – | ✓ |" in line for line in lines)
    assert not any("`join.or`" in line for line in lines)
