"""Turns reports into one HTML page: the matrix as cells, and for each cell its cases with expected and actual results.

The page is a single file that needs no network. All content of a report is escaped. The template, the style and the
script are in `page/`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from string import Template
from typing import Any

from mlquery.conformance.page_data import GROUPS, OTHER, WORDS, Line, lines_of, page_data, verdict_of
from mlquery.conformance.report import KnownDeviation, Outcome, Report

_DESCRIPTIONS: dict[Outcome, str] = {
    "pass": "the result that the dialect declares",
    "refused-as-declared": "refused, as the dialect declares",
    "fail": "another result",
    "skipped": "not run",
    "errored": "no result to compare",
}
_MOST_WIDE = 6
_DECLARED = {"yes": "the dialect has it", "no": "the dialect does not have it", "silent": "no source says"}


def render_html(reports: Sequence[Report]) -> str:
    """Return the HTML page that shows reports side by side.

    Args:
        reports: One or more; each is a column.

    Raises:
        ValueError: `reports` is empty.
    """
    if not reports:
        raise ValueError("render_html needs at least one report")
    columns = len(reports)
    # Below so many rem a line has its cells below its name; a column needs six of them.
    style = Template(_part("report.css")).substitute(narrow=max(56, 22 + 6 * columns), wide=max(84, 30 + 9 * columns))
    script = _part("report.js")
    lines = lines_of(reports)
    page = Template(_part("report.html")).substitute(
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:",
        style=style,
        script=script,
        title=_escaped(_title(reports)),
        summary=_escaped(_summary(reports)),
        notice=_notice(reports),
        cards="\n".join(_card(report) for report in reports),
        legend="".join(f"<li class='{o}'>{_icon(o)}<b>{WORDS[o]}</b> {_DESCRIPTIONS[o]}</li>" for o in WORDS),
        chips="\n".join(_chip(outcome, reports) for outcome in WORDS),
        columns="\n".join(_column(report) for report in reports),
        count=columns,
        density="many" if columns > _MOST_WIDE else "few",
        body="\n".join(_body(lines, reports)),
        data=_json(page_data(reports, lines)),
    )
    return page.encode("utf-8", "replace").decode()


def _part(name: str) -> str:
    return resources.files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def _digest(string: str) -> str:
    """Return the hash of a script or style for the content security policy, which blocks all others."""
    return f"sha256-{base64.b64encode(hashlib.sha256(string.encode()).digest()).decode()}"


def _json(value: Any) -> str:
    """Return JSON that can stand inside a script element."""
    string = json.dumps(value, separators=(",", ":"))
    return string.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _escaped(value: object) -> str:
    return escape(str(value))


def _title(reports: Sequence[Report]) -> str:
    names = dict.fromkeys(f"{report.product} {report.version}".strip() for report in reports)
    return f"Conformance of {', '.join(names)}"


def _summary(reports: Sequence[Report]) -> str:
    targets = f"{len(reports)} reports side by side" if len(reports) > 1 else "One report"
    cases = len({row.case for report in reports for row in report.rows})
    return (
        f"{targets}, {cases:,} cases. Every cell is a line of the support matrix; open one to see the cases behind it."
    )


def _notice(reports: Sequence[Report]) -> str:
    if len({report.suite for report in reports}) == 1:
        return ""
    return '<p class="notice">These reports come from different versions of the suite.</p>'


def _icon(outcome: Outcome) -> str:
    return f'<svg class="icon" aria-hidden="true"><use href="#is-{outcome}"/></svg>'


def _card(report: Report) -> str:
    facts = {"Target": report.target, "Dialect": report.dialect, "Date": _date(report.date), "Suite": report.suite}
    listed = "".join(f"<div><dt>{name}</dt><dd>{_escaped(value)}</dd></div>" for name, value in facts.items())
    verdict = "ok" if report.passed else "bad"
    name = f'{_escaped(report.product)} <span class="version">{_escaped(report.version)}</span>'
    return (
        f'<article class="card {verdict}"><h2>{name}</h2>{_bar(report.totals)}'
        f'<ul class="totals">{"".join(_totals(report))}</ul><dl>{listed}</dl>'
        f"{_known_deviations(report.known_deviations)}</article>"
    )


def _date(string: str) -> str:
    """Return a time in UTC to the minute for human readers; any other string stays."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d(\.\d+)?)?(Z|\+00:00)", string)
    return f"{found[1]} {found[2]} UTC" if found else string


def _totals(report: Report) -> Iterator[str]:
    for outcome, word in WORDS.items():
        if count := report.totals[outcome]:
            yield f'<li class="{outcome}">{_icon(outcome)}<b>{count:,}</b> {word}</li>'


def _bar(totals: Mapping[Outcome, int]) -> str:
    parts, start = "", 0
    for outcome in WORDS:
        if width := totals[outcome]:
            parts += f'<rect class="{outcome}" x="{start}" width="{width}" height="1"/>'
            start += width
    return (
        f'<svg class="bar" viewBox="0 0 {sum(totals.values()) or 1} 1" preserveAspectRatio="none" aria-hidden="true">'
        f"{parts}</svg>"
    )


def _known_deviations(known_deviations: Iterable[KnownDeviation]) -> str:
    items = "".join(
        f"<li><b>{_escaped(deviation.what)}</b> {_escaped(deviation.reason)}{_link(deviation.link)}</li>"
        for deviation in known_deviations
    )
    return (
        f'<details class="tweaks" open><summary>Known deviations</summary><ul>{items}</ul></details>' if items else ""
    )


def _link(target: str) -> str:
    """Return a link; what is not an HTTP URL is shown as it is, so that no other scheme can be followed."""
    if not target:
        return ""
    if not re.match(r"https?://", target):
        return f" <code>{_escaped(target)}</code>"
    return f' <a href="{_escaped(target)}" rel="noreferrer">more</a>'


def _chip(outcome: Outcome, reports: Sequence[Report]) -> str:
    count = sum(report.totals[outcome] for report in reports)
    return (
        f'<button type="button" class="chip {outcome}" aria-pressed="true" data-outcome="{list(WORDS).index(outcome)}" '
        f'title="{_DESCRIPTIONS[outcome]}">{_icon(outcome)}{WORDS[outcome]} '
        f'<span class="count">{count:,}</span></button>'
    )


def _column(report: Report) -> str:
    product = f"{report.product} {report.version}"
    return (
        f'<th scope="col" role="columnheader"><span class="product">{_escaped(product)}</span>'
        f'<span class="dialect">{_escaped(report.dialect)}</span>'
        f'<span class="target" title="{_escaped(report.target)}">{_escaped(report.target)}</span></th>'
    )


def _body(lines: Sequence[Line], reports: Sequence[Report]) -> Iterator[str]:
    for group in dict.fromkeys((*GROUPS.values(), OTHER)):
        members = [number for number, line in enumerate(lines) if line.group == group]
        if not members:
            continue
        rows = "\n".join(_row(number, lines[number], reports) for number in members)
        heading = f'<th scope="rowgroup" role="rowheader" colspan="{1 + len(reports)}">{_escaped(group)}</th>'
        yield f'<tbody role="rowgroup"><tr class="group" role="row">{heading}</tr>\n{rows}</tbody>'


def _row(number: int, line: Line, reports: Sequence[Report]) -> str:
    cells = "".join(_cell(number, line, column, report) for column, report in enumerate(reports))
    name = f'<span class="feature">{_escaped(line.title)}</span><code>{_escaped(line.id)}</code>'
    return f'<tr role="row" data-line="{number}"><th scope="row" role="rowheader">{name}</th>{cells}</tr>'


def _cell(number: int, line: Line, column: int, report: Report) -> str:
    totals, declared = line.totals[column], line.declared[column]
    verdict = verdict_of(totals, declared)
    label = f"{report.product} {report.version} · {report.dialect}"
    if verdict is None:
        return f'<td role="gridcell" class="empty"><span class="of">{_escaped(label)}</span><span>no case</span></td>'
    ran = sum(totals.values()) - totals["skipped"]
    fine = totals["pass"] + totals["refused-as-declared"]
    counts = f"{fine:,}/{ran:,}" if ran else f"{totals['skipped']:,}"
    spoken = f"{fine:,} of {ran:,} cases" if ran else f"{totals['skipped']:,} not run"
    label_of_cell = (
        f"{label}: {WORDS[verdict]}, {spoken}. {line.title}. Declared: {_DECLARED.get(declared, 'nothing')}."
    )
    return (
        f'<td role="gridcell"><span class="of" aria-hidden="true">{_escaped(label)}</span>'
        f'<button type="button" class="cell {verdict}" tabindex="-1" aria-haspopup="dialog" data-column="{column}" '
        f'aria-label="{_escaped(label_of_cell)}">{_icon(verdict)}<span class="word">{WORDS[verdict]}</span>'
        f'<span class="count">{counts}</span>{_bar(totals)}</button></td>'
    )
