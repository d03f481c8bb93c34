"""Turns reports into Markdown: the target, a table of topics, the skipped and failed cases, a table of the matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from mlquery.conformance.report import BAD, OUTCOMES, Outcome, Report, Row, counted


def render_markdown(reports: Sequence[Report]) -> str:
    """Return one document."""
    return "\n".join(line for report in reports for line in (*_report(report), ""))


def _report(report: Report) -> Iterator[str]:
    totals = report.totals
    yield f"# {' '.join(filter(None, (report.product, report.version)))} in dialect {report.dialect}"
    yield ""
    yield f"`{report.target}`, {report.date}, suite `{report.suite}`: {len(report.rows)} cases, {_totals(totals)}."
    yield ""
    if report.known_deviations:
        yield "Known deviations of this target:"
        yield ""
        for deviation in report.known_deviations:
            yield f"- {deviation.what} – {deviation.reason}{f' ({deviation.link})' if deviation.link else ''}"
        yield ""
    yield from _topics(report.rows)
    yield from _skipped(report.rows)
    yield from _failures(report.rows)
    yield from _features(report)


def _totals(totals: Mapping[Outcome, int]) -> str:
    return ", ".join(f"{totals[outcome]} {outcome}" for outcome in OUTCOMES if totals[outcome])


def _topics(rows: Sequence[Row]) -> Iterator[str]:
    yield f"| topic | {' | '.join(OUTCOMES)} |"
    yield f"|---|{'---:|' * len(OUTCOMES)}"
    for topic in dict.fromkeys(row.topic for row in rows):
        totals = counted(row for row in rows if row.topic == topic)
        yield f"| {topic} | {' | '.join(str(totals[outcome] or '') for outcome in OUTCOMES)} |"
    yield ""


def _skipped(rows: Sequence[Row]) -> Iterator[str]:
    reasons = Counter(row.details[0] for row in rows if row.outcome == "skipped")
    if reasons:
        yield "## Skipped"
        yield ""
        yield from (f"- {number}: {_escaped(reason)}" for reason, number in reasons.most_common())
        yield ""


def _failures(rows: Sequence[Row]) -> Iterator[str]:
    bad = [row for row in rows if row.outcome in BAD]
    if bad:
        yield "## Failures"
        yield ""
        for row in bad:
            yield f"- **{row.case}** ({row.outcome}): {_escaped(row.title)}"
            yield from (f"    - {_escaped(line)}" for line in row.query.splitlines())
            yield from (f"    - → {_escaped(detail)}" for detail in row.details)
        yield ""


def _features(report: Report) -> Iterator[str]:
    yield "## Lines of the support matrix"
    yield ""
    yield f"| line | {report.dialect} declares | seen | {' | '.join(OUTCOMES)} |"
    yield f"|---|---|---|{'---:|' * len(OUTCOMES)}"
    for verdict in report.features:
        numbers = " | ".join(str(verdict.totals[outcome] or "") for outcome in OUTCOMES)
        yield f"| `{verdict.feature}` {_escaped(verdict.title)} | {verdict.declared} | {verdict.verdict} | {numbers} |"


def _escaped(string: str) -> str:
    """Return a string that Markdown shows as it is, control characters escaped."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in string)
    for special in "\\`*_|<>[]#~":
        shown = shown.replace(special, f"\\{special}")
    return shown
