"""The report page: one file that needs nothing else, with every verdict in words, and text that stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import attrs
import pytest

from mlquery.conformance import load_suite
from mlquery.conformance.html import render_html
from mlquery.conformance.page_data import GROUPS, OTHER, lines_of
from mlquery.conformance.report import Report, row_of
from tests.support.sample_reports import AZURE, BAD, EVIL, GOOD, HOSTILE, ODD, report

MOSTLY_REFUSED = attrs.evolve(AZURE, rows=(attrs.evolve(AZURE.rows[0], outcome="refused-as-declared"), *AZURE.rows[1:]))


class Reader(HTMLParser):
    """Collects the elements of a page with their attributes, and the texts in elements of a kind."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, text: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(text)

    def classes(self, wanted: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.elements if wanted in (attributes.get("class") or "").split()]


def data_of(page: str) -> Any:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def cells_of(*reports: Report) -> list[str]:
    return [str(cell["aria-label"]) for cell in Reader(render_html(reports)).classes("cell")]


def test_a_cell_says_who_did_what_on_which_line() -> None:
    cells = cells_of(GOOD, BAD)

    assert "Good 1.2.3 · oss: pass, 3 of 3 cases. Order runs by metrics. Declared: the dialect has it." == cells[0]
    assert "Bad 1.2.3 · oss: fail, 2 of 3 cases. Order runs by metrics. Declared: the dialect has it." == cells[1]


@pytest.mark.parametrize(
    ("shown", "line", "word"),
    [
        (GOOD, "Join clauses with OR", "refused, 1 of 1 cases"),
        (GOOD, "Filter experiments by creation_time", "skipped, 1 not run"),
        (ODD, "Order runs by metrics", "errored, 2 of 3 cases"),
        (ODD, "Put the key", "fail, 0 of 1 cases"),
        (AZURE, "Order runs by metrics", "pass, 3 of 3 cases"),
        (MOSTLY_REFUSED, "Order runs by metrics", "refused, 3 of 3 cases"),
        (GOOD, "Cases of no line of the matrix", "pass, 1 of 1 cases"),
    ],
)
def test_a_cell_has_the_worst_that_happened(shown: Report, line: str, word: str) -> None:
    (cell,) = [each for each in cells_of(shown) if line in each]

    assert word in cell


def test_a_report_without_cases_for_a_line_has_no_button_there() -> None:
    page = render_html([GOOD, ODD])

    assert 5 + 6 == len(Reader(page).classes("cell"))
    assert 1 == page.count("<span>no case</span>")


def test_lines_stand_in_the_order_of_the_matrix_and_below_the_heading_of_their_kind() -> None:
    lines = lines_of([GOOD, ODD])

    assert ["order.metric", "filter.metric", "join.or", "key.quoted", "experiment.filter.creation_time", "other"] == [
        line.id for line in lines
    ]
    assert [GROUPS["order"], GROUPS["filter"], GROUPS["join"], GROUPS["key"], GROUPS["experiment"], OTHER] == [
        line.group for line in lines
    ]


def test_the_head_says_what_was_asked_when_and_under_which_tweaks() -> None:
    page = render_html([BAD])

    for text in ("Bad", "1.2.3", "sqlite:///Bad.db", "oss", "2026-11-26 04:10 UTC", "9f2c41d07ab3", "no clock"):
        assert text in page
    assert '<a href="https://x.invalid/1" rel="noreferrer">more</a>' in page


def test_the_data_hold_every_case_once_and_what_was_expected_and_got() -> None:
    data = data_of(render_html([GOOD, BAD, ODD]))

    (position,) = [number for number, (name, *_) in enumerate(data["cases"]) if name == "ties.c"]
    assert 7 == len(data["cases"])
    assert ["pass", "fail", "errored"] == [data["outcomes"][each["outcomes"][position]] for each in data["reports"]]
    assert [["rows a, b", "b, a"]] == data["reports"][1]["details"][str(position)]
    assert ["no answer in 30 s"] == data["reports"][2]["details"][str(position)]
    assert -1 == data["reports"][0]["outcomes"][6]


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        ("expected rows a b, not b a", ["rows a b", "b a"]),
        ("expected rows a,\nb, not b", ["rows a,\nb", "b"]),
        ("expected rows it, not me, not you", "expected rows it, not me, not you"),
        ("log_batch returned 5", "log_batch returned 5"),
    ],
)
def test_what_was_expected_is_told_from_what_was_got_where_the_text_is_clear(detail: str, told: Any) -> None:
    rows = (attrs.evolve(BAD.rows[2], details=(detail,)),)

    data = data_of(render_html([report("Some", rows)]))

    assert [told] == data["reports"][0]["details"]["0"]


def test_reports_of_different_suites_are_said_to_be() -> None:
    notice = "different versions of the suite"

    assert notice not in render_html([GOOD, BAD])
    assert notice in render_html([GOOD, attrs.evolve(BAD, suite="0")])


def test_text_stays_text() -> None:
    reader, tame = Reader(render_html([EVIL])), Reader(render_html([GOOD]))

    assert 2 == sum(tag == "script" for tag, _ in reader.elements)
    assert 0 == sum(tag == "img" for tag, _ in reader.elements)
    assert {"details", "summary"} == {tag for tag, _ in reader.elements} - {tag for tag, _ in tame.elements}
    assert not any(name.startswith("on") for _, attributes in reader.elements for name in attributes)
    assert not any("javascript:" in (attributes.get("href") or "") for _, attributes in reader.elements)
    assert HOSTILE in [part for case in data_of(render_html([EVIL]))["cases"] for part in case]


def test_the_page_loads_nothing_and_runs_no_script_but_its_own() -> None:
    page = render_html([GOOD, BAD])
    reader = Reader(page)
    policy = next(a["content"] or "" for tag, a in reader.elements if a.get("http-equiv") == "Content-Security-Policy")
    script = page[page.rindex("<script>") + len("<script>") : page.rindex("</script>")]
    style = page[page.index("<style>") + len("<style>") : page.index("</style>")]

    assert policy.startswith("default-src 'none'; ")
    for text in (script, style):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert not {"link", "img", "iframe", "object"} & {tag for tag, a in reader.elements if a.get("rel") != "icon"}
    assert not [a for _, a in reader.elements if "src" in a or "srcset" in a]
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_is_the_same_for_the_same_reports() -> None:
    assert render_html([GOOD, EVIL]) == render_html([GOOD, EVIL])


def test_the_page_is_a_file_whatever_stands_in_the_reports() -> None:
    assert b"<!doctype html>" == render_html([EVIL]).encode("utf-8")[:15]


def test_there_is_no_page_without_a_report() -> None:
    with pytest.raises(ValueError, match="render_html needs at least one report"):
        render_html([])


@pytest.mark.slow
def test_a_page_of_five_reports_of_the_whole_suite_stays_below_a_megabyte() -> None:
    rows = tuple(row_of(case, "pass") for case in load_suite().cases)

    page = render_html([report(f"Product {number}", rows) for number in range(5)])

    assert 1_000_000 > len(page.encode())
