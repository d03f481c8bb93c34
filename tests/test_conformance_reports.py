"""The reports of live products that are kept here: read back, alike in every format, and told truly in the README."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.live import TARGETS
from mlquery.cli.conformance import rendered
from mlquery.conformance.jsonl import read_jsonl
from mlquery.conformance.report import Report
from mlquery.resources import data_path

FOLDER = data_path("conformance") / "reports"
README = Path(__file__).resolve().parents[1] / "README.md"


def report_of(name: str) -> Report:
    (report,) = read_jsonl((FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines())
    return report


@pytest.mark.parametrize("name", TARGETS)
def test_a_report_is_the_same_in_every_format(name: str) -> None:
    report = report_of(name)

    assert "\n".join(rendered([report], "markdown")) + "\n" == (FOLDER / f"{name}.md").read_text("utf-8")
    page = (FOLDER / f"{name}.html").read_text("utf-8")
    assert all(shown in page for shown in (report.product, report.date[:10], report.suite, report.rows[0].case))
    assert report.version
    assert len(report.rows) > 1_500


@pytest.mark.parametrize("name", ["mlflow-sqlite", "mlflow-server", "mlquery-oss", "mlquery-azure"])
def test_what_the_dialects_are_measured_on_and_what_follows_them_has_no_failure(name: str) -> None:
    report = report_of(name)

    assert {"fail": 0, "errored": 0} == {outcome: report.totals[outcome] for outcome in ("fail", "errored")}


@pytest.mark.parametrize("name", TARGETS)
def test_the_readme_has_the_figures_of_the_report(name: str) -> None:
    report = report_of(name)
    figures = [report.totals[o] for o in ("pass", "refused-as-declared", "fail", "errored", "skipped")]
    link = f"[{report.product} {report.version}](conformance/reports/{name}.md)"

    line = f"| {link} | {report.dialect} | {' | '.join(map(str, figures))} |"

    assert line in README.read_text("utf-8").splitlines()


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_skipped_says_why(name: str) -> None:
    assert [] == [row.case for row in report_of(name).rows if row.outcome == "skipped" and not row.details]
