"""What is declared of a target: each entry has a reason, changes what it says, and is printed in every report."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from mlquery.conformance import load_suite
from mlquery.conformance.execution import Answer
from mlquery.conformance.known_deviations import Tweaks, load_tweaks
from mlquery.conformance.markdown import render_markdown
from mlquery.conformance.runner import Runner
from mlquery.conformance.suite import Problem
from mlquery.conformance.targets import opened
from mlquery.language.matrix import MATRIX
from mlquery.server.testing import running_server

SUITE = load_suite()
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
def tweaks(tmp_path: Path) -> Tweaks:
    path = tmp_path / "tweaks.toml"
    path.write_text(TEXT, "utf-8")
    return load_tweaks(path)


def test_cases_are_left_out_by_id_and_by_topic(tweaks: Tweaks) -> None:
    assert "the server loses ties" == tweaks.reason_against(CASES["ties.default"])
    assert "the server loses ties" == tweaks.reason_against(CASES["page-runs.or"])
    assert tweaks.reason_against(CASES["page-runs.metric"]) is None


def test_spellings_are_taken_for_the_same(tweaks: Tweaks) -> None:
    assert tweaks.same("status", "FINISHED", "Finished")
    assert not tweaks.same("status", "FINISHED", "Failed")
    assert (Problem("INVALID_PARAMETER_VALUE"),) == tweaks.understood(
        Answer(problems=(Problem("BAD_REQUEST"),))
    ).problems


def test_only_tags_that_were_not_expected_are_ignored(tweaks: Tweaks) -> None:
    assert tweaks.same("tag own.host", None, "x")
    assert not tweaks.same("tag own.host", "y", "x")
    assert not tweaks.same("tag other", None, "x")
    assert not tweaks.same("param own.host", None, "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("params.depth='5'", "params.depth = '5'"),
        ("metrics.a>=1 AND params.b!='x=y'", "metrics.a >= 1 AND params.b != 'x=y'"),
        ("params.`a=b` = 'x'", "params.`a=b` = 'x'"),
        ("metrics.a>1", "metrics.a>1"),
    ],
)
def test_blanks_are_put_around_operators_outside_quotes(tweaks: Tweaks, text: str, expected: str) -> None:
    assert expected == tweaks.asked(attrs.evolve(CASES["ties.default"], filter=text)).filter


def test_every_entry_is_printed_in_the_report(tweaks: Tweaks) -> None:
    with running_server() as server, opened(server.url, SUITE) as target:
        report = Runner(target, SUITE, MATRIX.dialect("oss"), tweaks).report(["ties.default", "page-runs.metric"])

    assert {"ties.default": "skipped", "page-runs.metric": "pass"} == {row.case: row.outcome for row in report.rows}
    assert 5 == len(report.tweaks)
    text = render_markdown([report])
    assert all(tweak.reason in text for tweak in report.tweaks)
    assert "https://example.invalid/1" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[leave_out]]\ncases = ['ties']", "a reason"),
        ("[[leave_out]]\nreason = 'x'", "cases"),
        ("[[forgive]]\nreason = 'x'", r"no \[\[forgive\]\]"),
        ("[[status]]\nvalues = ['x']\nreason = 'x'", "values"),
        ("[[spaces]]\naround = ['=']\nreason = 'x'\nextra = 1", "nothing else"),
        ("leave_out = [", "no TOML"),
    ],
)
def test_a_file_outside_the_vocabulary_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "tweaks.toml"
    path.write_text(text, "utf-8")

    with pytest.raises(ValueError, match=words):
        load_tweaks(path)
