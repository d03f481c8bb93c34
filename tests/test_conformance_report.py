"""A report counts what became of the cases, judges every line of the matrix, and survives a file."""

from __future__ import annotations

import json

import pytest

from mlquery.conformance.jsonl import read_jsonl, write_jsonl
from mlquery.conformance.report import KnownDeviation, Report, Row

ROWS = (
    Row("ties.a", "ties", "A tie", ("order.metric",), "pass", (), "filter: metrics.a > 1"),
    Row("ties.b", "ties", "B tie", ("order.metric", "join.or"), "fail", ("expected rows é,\n not b",)),
    Row("ties.c", "ties", "C tie", ("join.or",), "refused-as-declared"),
    Row("ties.d", "ties", "D tie", ("join.not",), "skipped", ("no clock",)),
    Row("ties.e", "ties", "E tie", ("join.parentheses",), "refused-as-declared"),
)
TWEAKS = (KnownDeviation("leaves out ties.x", "it takes an hour", "https://example.invalid/1"),)
REPORT = Report("sqlite:///x.db", "MLflow", "3.17.2", "oss", "2026-11-26T04:00:00Z", "abc", ROWS, TWEAKS)


def test_a_report_counts_every_outcome() -> None:
    expected = {"pass": 1, "fail": 1, "refused-as-declared": 2, "skipped": 1, "errored": 0}

    assert expected == REPORT.totals
    assert not REPORT.passed


def test_a_line_of_the_matrix_fails_when_one_of_its_cases_does() -> None:
    verdicts = {verdict.feature: verdict for verdict in REPORT.features}

    assert "fail" == verdicts["order.metric"].verdict
    assert "fail" == verdicts["join.or"].verdict
    assert "pass" == verdicts["join.parentheses"].verdict
    assert "skipped" == verdicts["join.not"].verdict
    assert ("ties.a", "ties.b") == verdicts["order.metric"].cases
    assert ("yes", "no") == (verdicts["order.metric"].declared, verdicts["join.or"].declared)


def test_reports_are_read_back_as_they_were_written() -> None:
    lines = list(write_jsonl([REPORT, REPORT]))

    assert [REPORT, REPORT] == read_jsonl(lines)
    assert {"kind": "totals"} | REPORT.totals == json.loads(lines[-1])


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"kind": "case"}', '{"kind": "totals"}'])
def test_a_line_that_is_not_of_a_report_is_told_by_its_number(line: str) -> None:
    with pytest.raises(ValueError, match="line 1 is not a line of a report"):
        read_jsonl([line])
