"""What is declared of a target: each entry has a reason, changes what it says, and is printed in every report."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from mlquery.conformance.execution import Result
from mlquery.conformance.known_deviations import KnownDeviations, load_known_deviations
from mlquery.conformance.markdown import render_markdown
from mlquery.conformance.runner import Runner
from mlquery.conformance.suite import Problem
from mlquery.conformance.targets import opened
from mlquery.language.matrix import MATRIX
from mlquery.server.testing import running_server
from tests.support.suite import SUITE

CASES = {case.id: case for case in SUITE.cases}
TEXT = """
[[leave_out]]
cases = ["ties", "page-runs.or"]
reason = "the server loses ties"
link = "https://example.invalid/1"

[[status]]
values = { Finished = "FINISHED" }
reason = "it spells statuses in its own way"

[[error_code]]
values = { BAD_REQUEST = "INVALID_PARAMETER_VALUE" }
reason = "it has one code for all"

[[ignore_tags]]
prefixes = ["own."]
reason = "it adds tags"

[[spaces]]
around = ["=", "!=", ">="]
reason = "it needs blanks"
"""


@pytest.fixture
def known_deviations(tmp_path: Path) -> KnownDeviations:
    path = tmp_path / "tweaks.toml"
    path.write_text(TEXT, "utf-8")
    return load_known_deviations(path)


def test_cases_are_left_out_by_id_and_by_topic(known_deviations: KnownDeviations) -> None:
    assert "the server loses ties" == known_deviations.reason_to_skip(CASES["ties.default"])
    assert "the server loses ties" == known_deviations.reason_to_skip(CASES["page-runs.or"])
    assert known_deviations.reason_to_skip(CASES["page-runs.metric"]) is None


def test_spellings_are_accepted_as_the_same(known_deviations: KnownDeviations) -> None:
    assert known_deviations.same("status", "FINISHED", "Finished")
    assert not known_deviations.same("status", "FINISHED", "Failed")
    assert (Problem("INVALID_PARAMETER_VALUE"),) == known_deviations.with_mlflow_error_codes(
        Result(problems=(Problem("BAD_REQUEST"),))
    ).problems


def test_only_tags_that_were_not_expected_are_ignored(known_deviations: KnownDeviations) -> None:
    assert known_deviations.same("tag own.host", None, "x")
    assert not known_deviations.same("tag own.host", "y", "x")
    assert not known_deviations.same("tag other", None, "x")
    assert not known_deviations.same("param own.host", None, "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("params.depth='5'", "params.depth = '5'"),
        ("metrics.a>=1 AND params.b!='x=y'", "metrics.a >= 1 AND params.b != 'x=y'"),
        ("params.`a=b` = 'x'", "params.`a=b` = 'x'"),
        ("metrics.a>1", "metrics.a>1"),
    ],
)
def test_blanks_are_put_around_operators_outside_quotes(
    known_deviations: KnownDeviations, text: str, expected: str
) -> None:
    assert expected == known_deviations.prepared(attrs.evolve(CASES["ties.default"], filter=text)).filter


@pytest.mark.slow
def test_every_entry_is_printed_in_the_report(known_deviations: KnownDeviations) -> None:
    with running_server() as server, opened(server.url, SUITE) as target:
        report = Runner(target, SUITE, MATRIX.dialect("oss"), known_deviations).report(
            ["ties.default", "page-runs.metric"]
        )

    assert {"ties.default": "skipped", "page-runs.metric": "pass"} == {row.case: row.outcome for row in report.rows}
    assert 5 == len(report.known_deviations)
    text = render_markdown([report])
    assert all(deviation.reason in text for deviation in report.known_deviations)
    assert "https://example.invalid/1" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[leave_out]]\ncases = ['ties']", "a reason"),
        ("[[leave_out]]\nreason = 'x'", "cases"),
        ("[[forgive]]\nreason = 'x'", r"unknown entry \[\[forgive\]\]"),
        ("[[status]]\nvalues = ['x']\nreason = 'x'", "values"),
        ("[[spaces]]\naround = ['=']\nreason = 'x'\nextra = 1", "nothing else"),
        ("leave_out = [", "not TOML"),
    ],
)
def test_a_file_outside_the_vocabulary_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "tweaks.toml"
    path.write_text(text, "utf-8")

    with pytest.raises(ValueError, match=words):
        load_known_deviations(path)
