"""What released versions of MLflow answered is recorded; their columns and the suite's expectations agree with it.

With `MLQUERY_VERSIONS="2.9 2.14"` and `MLQUERY_ENVIRONMENTS=FOLDER` all cases are put to these versions again, in
environments of their own (`conformance/versions.py`); without, a few are put to the MLflow that is installed.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

import mlquery
from conformance.replay import replaying
from conformance.versions import (
    COLUMNS,
    PACKAGES,
    RECORDS,
    disagreements,
    read_records,
    replayed,
    report,
    written,
)
from mlquery.cli import main
from mlquery.conformance.recordings import record_disagreements
from mlquery.conformance.suite import Expectation, Tied
from mlquery.language.matrix import MATRIX
from mlquery.language.tables import to_markdown
from tests.support.suite import SUITE

RECORDED = read_records()
OLDER: list[dict[str, Any]] = tomllib.loads(
    (RECORDS.parents[1] / "differences.toml").read_text(encoding="utf-8"),
)["older"]
RELEASES = [name for name, dialect in MATRIX.dialects.items() if dialect.release]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("conformance versions")]


@pytest.mark.parametrize("version", PACKAGES)
def test_a_version_answered_as_its_column_says_save_for_what_is_listed(version: str) -> None:
    name = f"oss:{version}"
    listed = {case for entry in OLDER if name in entry["dialects"] for case in entry["cases"]}

    found = disagreements(RECORDED, version)

    assert listed == set(found), found


@pytest.mark.parametrize("version", PACKAGES)
def test_every_case_was_put_to_every_version(version: str) -> None:
    assert {case.id for case in SUITE.cases} == set(RECORDED.answers[version])


def test_every_version_that_is_recorded_has_a_column_that_names_it() -> None:
    releases = {name.partition(":")[2]: MATRIX.dialect(name).release for name in RELEASES}

    assert {**releases, "3.17": RECORDED.releases["3.17"]} == dict(RECORDED.releases)
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
        yield version, replayed(version, folder)["answers"]
    if not versions:
        few = [case for case in SUITE.cases if case.topic in ("metric-special", "null", "ties")]
        with replaying(SUITE) as replay:
            yield ".".join(mlflow.__version__.split(".")[:2]), replay.answers(few)


def test_a_version_answers_what_is_recorded_of_it(tmp_path: Path) -> None:
    for version, now in asked_again(tmp_path):
        assert len(now) > 30
        assert {case: RECORDED.answers[version][case] for case in now} == now


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
    assert new == names(runs, "oss", filter_string) == names(runs, "oss:3.17", filter_string)


def test_what_a_release_did_not_know_is_refused_in_its_name(runs: Any) -> None:
    with pytest.raises(mlquery.QueryError, match=r"oss:2.14 does not support this: filter by IS NULL"):
        names(runs, "oss:2.14", "params.p IS NULL")

    assert ["2.0", "nan"] == names(runs, "oss", "params.p IS NULL")


def test_a_release_is_named_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    codes = [main(["check", "params.p IS NULL", "--dialect", name]) for name in ("oss:3.1", "oss:3.17")]
    main(["explain", "metrics.m < 1", "--dialect", "oss:2.9"])

    printed = capsys.readouterr().out
    assert [1, 0] == codes
    assert "oss:3.1: refused" in printed
    assert "(NaN counts as 0)" in printed


def test_a_release_can_be_mocked() -> None:
    with mlquery.mock(dialect="oss:2.14"):
        run = mlflow.MlflowClient().create_run("0")
        mlflow.MlflowClient().log_metric(run.info.run_id, "m", float("nan"))

        assert 1 == len(mlflow.MlflowClient().search_runs(["0"], "metrics.m < 1"))


def test_a_release_that_is_not_known_is_refused_with_those_that_are() -> None:
    known = r"unknown dialect 'oss:9.9'. Known dialects: oss:3.1, oss:2.22, oss:2.14, oss:2.9, oss:3.17"

    with pytest.raises(ValueError, match=known):
        mlquery.Client(dialect="oss:9.9")


def test_the_matrix_can_be_cut_down_to_what_changed(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["matrix", "--differing", "--dialect", "oss:3.1", "--dialect", "oss"])

    lines = capsys.readouterr().out.splitlines()
    assert 0 == code
    assert "| Feature | oss:3.1 | oss |" == lines[0]
    assert any("`filter.null` | – | ✓ |" in line for line in lines)
    assert not any("`join.or`" in line for line in lines)
