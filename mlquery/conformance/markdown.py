"""Turns reports into Markdown: the target, a table of topics, the skipped and failed cases, a table of the matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mlquery.conformance.report import BAD, OUTCOMES, FeatureVerdict, KnownDeviation, Outcome, Report, Row, counted


def render_markdown(reports: Sequence[Report]) -> str:
    """Return one document."""
    return "\n".join(line for report in reports for line in _report(report))


def _report(report: Report) -> Iterator[str]:
    totals = ", ".join(f"{count} {outcome}" for outcome, count in report.totals.items() if count)
    yield f"# {' '.join(filter(None, (report.product, report.version)))} in dialect {report.dialect}"
    yield ""
    yield f"`{report.target}`, {report.date}, suite `{report.suite}`: {len(report.rows)} cases, {totals}."
    yield ""
    yield from _section("Known deviations of this target:", map(_known_deviation, report.known_deviations))
    yield from _table(["topic"], _topics(report.rows))
    yield ""
    reasons = Counter(row.details[0] for row in report.rows if row.outcome == "skipped")
    yield from _section("## Skipped", (f"- {number}: {_escaped(reason)}" for reason, number in reasons.most_common()))
    yield from _section("## Failures", (line for row in report.rows if row.outcome in BAD for line in _failure(row)))
    features = _table(["line", f"{report.dialect} declares", "seen"], map(_feature, report.features))
    yield from _section("## Lines of the support matrix", features)


def _section(heading: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield lines below a heading, nothing if there are none."""
    if shown := list(lines):
        yield from (heading, "", *shown, "")


def _known_deviation(deviation: KnownDeviation) -> str:
    return f"- {deviation.what} – {deviation.reason}{f' ({deviation.link})' if deviation.link else ''}"


def _failure(row: Row) -> Iterator[str]:
    yield f"- **{row.case}** ({row.outcome}): {_escaped(row.title)}"
    yield from (f"    - {_escaped(line)}" for line in row.query.splitlines())
    yield from (f"    - → {_escaped(detail)}" for detail in row.details)


_Line = tuple[list[str], Mapping[Outcome, int]]


def _topics(rows: Sequence[Row]) -> Iterator[_Line]:
    for topic in dict.fromkeys(row.topic for row in rows):
        yield [topic], counted(row for row in rows if row.topic == topic)


def _feature(verdict: FeatureVerdict) -> _Line:
    return [f"`{verdict.feature}` {_escaped(verdict.title)}", verdict.declared, verdict.verdict], verdict.totals


def _table(headings: list[str], lines: Iterable[_Line]) -> Iterator[str]:
    """Yield a table whose last columns are the outcomes."""
    yield f"| {' | '.join((*headings, *OUTCOMES))} |"
    yield f"|{'---|' * len(headings)}{'---:|' * len(OUTCOMES)}"
    for cells, totals in lines:
        yield f"| {' | '.join((*cells, *(str(totals[outcome] or '') for outcome in OUTCOMES)))} |"


def _escaped(string: str) -> str:
    """Return a string that Markdown shows as it is, control characters escaped."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in string)
    for special in "\\`*_|<>[]#~":
        shown = shown.replace(special, f"\\{special}")
    return shown
