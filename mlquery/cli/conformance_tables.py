"""Turns the outcomes of the conformance suite into tables for a terminal: how many cases of each topic passed."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mlquery.tables.lines import aligned

TOTALS: Final = ("passed", "failed", "searches", "runs not askable", "experiments not askable", "no engine")
"""What is counted of each engine: outcomes, but for the searches, of which a case may make none or several."""

if TYPE_CHECKING:
    from mlquery.conformance import Outcome
    from mlquery.conformance.report import Report


def report(outcomes: Sequence[Outcome], titles: dict[str, str], options: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the report: a table or JSON, every failure among them."""
    if options.format == "json":
        yield json.dumps(_as_document(outcomes), indent=2, ensure_ascii=False)
        return
    yield from _table(outcomes, titles)
    if any(outcome.not_askable for outcome in outcomes) or options.engine:
        yield from _engine_table(outcomes)
    for outcome in outcomes:
        if outcome.failed:
            yield f"FAILED  {outcome}"


def report_table(report: Report) -> Iterator[str]:
    """Yield the lines about one target: how many cases of each topic have each outcome, then all that failed."""
    from mlquery.conformance.report import BAD, OUTCOMES, counted

    product = " ".join(filter(None, (report.product, report.version)))
    yield f"{product} at {report.target}, in dialect {report.dialect}"
    yield from (f"known deviation: {deviation.what} ({deviation.reason})" for deviation in report.known_deviations)
    topics = list(dict.fromkeys(row.topic for row in report.rows))
    totals = [counted(row for row in report.rows if row.topic == topic) for topic in topics] + [report.totals]
    columns = [["topic", *topics, "all"]]
    columns += [[outcome, *(str(counts[outcome] or "") for counts in totals)] for outcome in OUTCOMES]
    yield from aligned(columns)
    reasons = Counter(row.details[0] for row in report.rows if row.outcome == "skipped")
    yield from (f"skipped {number}: {reason}" for reason, number in reasons.most_common())
    for row in report.rows:
        if row.outcome in BAD:
            yield f"{row.outcome.upper()}  {row.case}: {'; '.join(row.details)}"


def _table(outcomes: Sequence[Outcome], titles: dict[str, str]) -> Iterator[str]:
    dialects, groups = list(dict.fromkeys(o.dialect for o in outcomes)), _groups(outcomes)
    topics = list(dict.fromkeys(o.case.topic for o in outcomes))
    columns = [["topic", *(titles[topic] for topic in topics), "all"]]
    for dialect in dialects:
        counted = [groups[topic, dialect] for topic in topics]
        columns.append([dialect, *map(_shown, counted), _shown(sum(counted, Counter()))])
    yield from aligned(columns)
    cases, engines = {o.case.id for o in outcomes}, dict.fromkeys(o.engine for o in outcomes)
    *others, last = engines
    joined = f"{', '.join(others)} and {last}" if others else last
    yield f"({len(cases)} cases, on {joined})"


def _engine_table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield a line for each engine, and then what was not askable on it and why."""
    engines = engine_totals(outcomes)
    yield ""
    yield from aligned([["engine", *engines], *([name, *_column(engines, name)] for name in TOTALS)])
    for engine, totals in engines.items():
        yield from (f"not askable on {engine}, {number}: {reason}" for reason, number in totals["reasons"].items())


def _column(engines: Mapping[str, Mapping[str, Any]], name: str) -> list[str]:
    return [str(totals[name] or "") for totals in engines.values()]


def engine_totals(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """Return the numbers of `TOTALS` of each engine, and under "reasons" how often it refused for each reason."""
    from mlquery.conformance import NO_ENGINE

    found: dict[str, dict[str, Any]] = {}
    for engine in dict.fromkeys(o.engine for o in outcomes):
        own = [o for o in outcomes if o.engine == engine]
        refused = [o for o in own if o.not_askable not in ("", NO_ENGINE)]
        found[engine] = {
            "passed": sum(o.passed for o in own),
            "failed": sum(o.failed for o in own),
            "searches": sum(o.searches for o in own),
            "runs not askable": sum(o.case.entity == "run" for o in refused),
            "experiments not askable": sum(o.case.entity != "run" for o in refused),
            "no engine": sum(o.not_askable == NO_ENGINE for o in own),
            "reasons": dict(Counter(o.not_askable for o in refused).most_common()),
        }
    return found


def _groups(outcomes: Sequence[Outcome]) -> dict[tuple[str, str], Counter[bool]]:
    """Return how many cases of each topic passed (True) and failed (False) in each dialect, on all engines.

    A case that no engine could be asked is neither.
    """
    verdicts: dict[tuple[str, str, str], bool] = {}
    groups: dict[tuple[str, str], Counter[bool]] = {}
    for o in outcomes:
        groups.setdefault((o.case.topic, o.dialect), Counter())
        key = (o.case.topic, o.dialect, o.case.id)
        if not o.not_askable:
            verdicts[key] = verdicts.get(key, True) and o.passed
    for (topic, dialect, _), passed in verdicts.items():
        groups[topic, dialect][passed] += 1
    return groups


def _shown(counted: Counter[bool]) -> str:
    return f"{counted[True]}/{counted.total()}"


def _as_document(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    groups = _groups(outcomes)
    topics: dict[str, dict[str, Any]] = {}
    for (topic, dialect), counted in groups.items():
        topics.setdefault(topic, {})[dialect] = {"passed": counted[True], "failed": counted[False]}
    failures = [
        {"case": o.case.id, "dialect": o.dialect, "engine": o.engine, "disagreements": list(o.disagreements)}
        for o in outcomes
        if o.failed
    ]
    engines = engine_totals(outcomes)
    return {"cases": len({o.case.id for o in outcomes}), "topics": topics, "engines": engines, "failures": failures}
