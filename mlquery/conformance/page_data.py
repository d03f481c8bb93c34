"""Turns reports into the plain values of the report page: the lines of the matrix over all reports, and their cases.

Cases that several reports share are kept once, so that the page stays small.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from mlquery.conformance.report import BAD, Outcome, Report, Row, counted
from mlquery.language.matrix import MATRIX

GROUPS = {
    "order": "Ordering runs",
    "filter": "Filtering runs",
    "compare": "Comparing",
    "join": "Joining clauses",
    "in": "Lists of values",
    "attribute": "Writing fields and values",
    "literal": "Writing fields and values",
    "key": "Writing fields and values",
    "experiment": "Experiments",
    "view": "Archiving and restoring",
    "lifecycle": "Archiving and restoring",
    "registry": "Model registry",
}
"""Headings of the matrix by the first word of a feature's id."""

OTHER = "Behaviour"
WORDS: dict[Outcome, str] = {
    "pass": "pass",
    "refused-as-declared": "refused",
    "fail": "fail",
    "errored": "errored",
    "skipped": "skipped",
}
"""The names of outcomes on the page, in the order in which it shows them."""

_NO_FEATURE = "other"
_EXPECTED = re.compile(r"expected (.*), not (.*)", re.DOTALL)


@attrs.frozen
class Line:
    """A line of the matrix over all reports; `cases` are positions in the list of cases."""

    id: str
    title: str
    group: str
    declared: tuple[str, ...]
    totals: tuple[Mapping[Outcome, int], ...]
    cases: tuple[tuple[str, str], ...]


def lines_of(reports: Sequence[Report]) -> list[Line]:
    """Return the lines that any report has cases for, and a last one for the cases of no line."""
    verdicts = [{verdict.feature: verdict for verdict in report.features} for report in reports]
    ranks = {feature.id: rank for rank, feature in enumerate(MATRIX.features)}
    features = dict.fromkeys(feature for found in verdicts for feature in found)
    lines = []
    for feature in sorted(features, key=lambda each: ranks.get(each, len(ranks))):
        title = next(found[feature].title for found in verdicts if feature in found)
        declared = tuple(found[feature].declared if feature in found else "" for found in verdicts)
        group = GROUPS.get(feature.partition(".")[0], OTHER)
        rows = [[row for row in report.rows if feature in row.features] for report in reports]
        lines.append(Line(feature, title, group, declared, tuple(map(counted, rows)), _keys(rows)))
    rows = [[row for row in report.rows if not row.features] for report in reports]
    if any(rows):
        title, undeclared = "Cases of no line of the matrix", ("",) * len(reports)
        lines.append(Line(_NO_FEATURE, title, OTHER, undeclared, tuple(map(counted, rows)), _keys(rows)))
    return lines


def _keys(rows: Sequence[Sequence[Row]]) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys(_key(row) for some in rows for row in some))


def _key(row: Row) -> tuple[str, str]:
    """Return the key of a case: reports of different versions of the suite may have another query of the same name."""
    return row.case, row.query


def verdict_of(totals: Mapping[Outcome, int], declared: str) -> Outcome | None:
    """Return the worst outcome of a cell, None if it has no case."""
    bad = next((outcome for outcome in BAD if totals[outcome]), None)
    if bad is not None:
        return bad
    if not totals["pass"] and not totals["refused-as-declared"]:
        return "skipped" if totals["skipped"] else None
    # A line that a dialect does not have may be a behaviour, which refuses nothing.
    is_refused = not totals["pass"] or (declared == "no" and totals["refused-as-declared"] > totals["pass"])
    return "refused-as-declared" if is_refused else "pass"


def page_data(reports: Sequence[Report], lines: Sequence[Line]) -> dict[str, Any]:
    """Return the data that the page's script reads.

    `outcomes` and `words` name the outcomes, `cases` are [id, title, query], `lines` [title, id, positions of cases,
    what each dialect declares]. Every report has the number of the outcome of each case (-1 without one) and details by
    position: strings, and pairs of the expected and the actual result.
    """
    shown = {_key(row): [row.case, row.title, row.query] for report in reports for row in report.rows}
    positions = {key: position for position, key in enumerate(shown)}
    return {
        "outcomes": list(WORDS),
        "words": list(WORDS.values()),
        "cases": list(shown.values()),
        "lines": [[line.title, line.id, [positions[key] for key in line.cases], line.declared] for line in lines],
        "reports": [_report_data(report, positions) for report in reports],
    }


def _report_data(report: Report, positions: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    outcomes = [-1] * len(positions)
    details: dict[int, list[Any]] = {}
    for row in report.rows:
        position = positions[_key(row)]
        outcomes[position] = list(WORDS).index(row.outcome)
        if row.details:
            details[position] = [_parted(detail) for detail in row.details]
    name = f"{report.product} {report.version}".strip()
    return {"name": name, "dialect": report.dialect, "target": report.target, "outcomes": outcomes, "details": details}


def _parted(detail: str) -> str | list[str]:
    """Return the expected and the actual result, or the whole string if they cannot be told apart."""
    found = _EXPECTED.fullmatch(detail)
    return [found[1], found[2]] if found and detail.count(", not ") == 1 else detail
