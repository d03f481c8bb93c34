"""`mlquery conformance` runs the suite, says how many cases passed, and fails when one does not."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs
import pytest

import mlquery.conformance
from mlquery.cli import main
from mlquery.conformance.suite import Expectation, Suite
from tests.support.suite import SUITE


@pytest.fixture
def small_suite(monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Let the command run two topics."""
    return use(monkeypatch, tuple(case for case in SUITE.cases if case.topic in ("ties", "two-valued")))


def use(monkeypatch: pytest.MonkeyPatch, cases: tuple[Any, ...]) -> Suite:
    suite = attrs.evolve(SUITE, cases=cases)
    monkeypatch.setattr(mlquery.conformance, "load_suite", lambda: suite)
    return suite


def test_the_table_has_a_line_for_each_topic_and_a_column_for_each_dialect(
    small_suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["conformance"])

    lines = [re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert 0 == code
    assert ["topic", "oss", "azure", "azure:documented", "extended"] == lines[0]
    assert ["Ties", *["20/20"] * 4] == lines[1]
    assert ["Negation in extended is two-valued", *["12/12"] * 4] == lines[2]
    assert ["all", *["32/32"] * 4] == lines[3]
    assert ["(32 cases, on reference and columnar)"] == lines[4]


def test_dialects_may_be_chosen(small_suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["conformance", "--dialect", "extended", "--dialect", "oss"])

    assert 0 == code
    assert ["topic", "extended", "oss"] == capsys.readouterr().out.splitlines()[0].split()


def test_json_counts_what_passed(small_suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["conformance", "--dialect", "azure", "--format", "json"])

    printed = json.loads(capsys.readouterr().out)
    assert 0 == code
    assert 32 == printed["cases"]
    assert {"azure": {"passed": 20, "failed": 0}} == printed["topics"]["ties"]
    assert [] == printed["failures"]


@pytest.mark.parametrize("format_", ["table", "json"])
def test_a_case_that_fails_is_told_and_makes_the_command_fail(
    format_: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = {case.id: case for case in SUITE.cases}
    wrong = dict.fromkeys(SUITE.dialects, Expectation(rows=("d",)))
    use(monkeypatch, (cases["ties.filter"], attrs.evolve(cases["ties.limit"], expect=wrong)))

    code = main(["conformance", "--dialect", "oss", "--format", format_])

    printed = capsys.readouterr().out
    assert 1 == code
    assert 2 == printed.count("ties.limit")
    assert 2 == len(re.findall(r"expected rows d, not \w, \w, \w", printed))
    assert ("1/2" in printed) is (format_ == "table")


def test_an_unknown_dialect_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["conformance", "--dialect", "mysql"])

    assert 2 == code
    assert "mlquery: unknown dialect 'mysql'" in capsys.readouterr().err
