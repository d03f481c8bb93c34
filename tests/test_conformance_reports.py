"""The reports of live products that are kept here: read back, alike in every format, and told truly on their pages."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from conformance import live
from conformance.live import TARGETS
from mlquery.cli.conformance import rendered
from mlquery.conformance.jsonl import read_jsonl
from mlquery.conformance.report import OUTCOMES, Outcome, Report
from mlquery.resources import data_path
from tests.support.documentation import DOCS, generated

FOLDER = data_path("conformance") / "reports"


def report_of(name: str) -> Report:
    (report,) = read_jsonl((FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines())
    return report


def counted_anew(name: str) -> dict[Outcome, int]:
    """Return how many cases had which outcome, from the lines of the file alone."""
    lines = map(json.loads, (FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines())
    numbers = Counter(line["outcome"] for line in lines if line["kind"] == "case")
    return {outcome: numbers[outcome] for outcome in OUTCOMES}


def test_every_report_is_kept_once_as_data() -> None:
    assert {f"{name}.jsonl" for name in TARGETS} | {"versions.json"} == {path.name for path in FOLDER.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_report_is_written_as_it_was_read(name: str, tmp_path: Path) -> None:
    live.write(report_of(name), name, tmp_path)

    assert (FOLDER / f"{name}.jsonl").read_text("utf-8") == (tmp_path / f"{name}.jsonl").read_text("utf-8")


@pytest.mark.parametrize("name", TARGETS)
def test_a_report_is_the_same_in_every_format(name: str) -> None:
    report, figures = report_of(name), counted_anew(name)

    assert figures == dict(report.totals)
    markdown = "\n".join(rendered([report], "markdown"))
    (page,) = rendered([report], "html")
    told = [f"{number} {outcome}" for outcome, number in figures.items() if number]
    assert all(shown in markdown for shown in (report.product, report.date, report.suite, ", ".join(told)))
    assert all(shown in page for shown in (report.product, report.date[:10], report.suite, report.rows[0].case))
    assert all(f"{row.case}" in markdown for row in report.rows if row.outcome in ("fail", "errored"))
    assert report.version
    assert len(report.rows) > 1_500


@pytest.mark.parametrize("name", ["mlflow-sqlite", "mlflow-server", "mlquery-oss", "mlquery-azure"])
def test_what_the_dialects_are_measured_on_and_what_follows_them_has_no_failure(name: str) -> None:
    report = report_of(name)

    assert {"fail": 0, "errored": 0} == {outcome: report.totals[outcome] for outcome in ("fail", "errored")}


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_the_documentation_has_the_figures_of_the_report(name: str) -> None:
    report = report_of(name)
    figures = " | ".join(map(str, counted_anew(name).values()))
    link = f"[{report.product} {report.version}](../reports/{name}.md)"

    page = generated().expanded((DOCS / "reports" / "index.md").read_text("utf-8"), "reports/index.md")
    assert f"| {link} | {report.dialect} | {figures} | {report.date[:10]} |" in page.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_report_has_a_page_of_its_own_and_one_with_cells(name: str, tmp_path: Path) -> None:
    page = generated().expanded((DOCS / "reports" / f"{name}.md").read_text("utf-8"), f"reports/{name}.md")
    _, *shown = "\n".join(rendered([report_of(name)], "markdown")).splitlines()

    generated().write_cells(tmp_path / "cells")

    assert "\n".join(shown).strip() in page
    (link,) = re.findall(r'href="(cells/.*?)"', page)
    assert "\n".join(rendered([report_of(name)], "html")) == (tmp_path / link).read_text("utf-8")


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_skipped_says_why(name: str) -> None:
    assert [] == [row.case for row in report_of(name).rows if row.outcome == "skipped" and not row.details]
