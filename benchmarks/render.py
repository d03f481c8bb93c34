"""Turns reports into tables, written between markers, and charts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import charts
from harness import FOLDER, OWN, RESULTS, Figure, Report, Verdict, read_report, shown

README = FOLDER / "README.md"
ORDER = (
    *("pages", "rows", "default_order", "order_by_metric", "frames", "paging", "writes", "histories"),
    *("history_functions", "comparison", "live_page", "engines", "engines_memory", "ui", "exports"),
    *("exports_memory", "exporting", "fresh", "memory", "parsing", "lint", "remote", "startup"),
)
# Systems that are a limit or a part of the measurement, not alternatives for a user.
_LIMITS = ("numpy", "plain dictionaries", "import numpy", "mlquery", "python alone", "copy of")


def write_readme() -> None:
    """Write tables and charts of all existing reports."""
    reports = read_all()
    README.write_text(with_tables(README.read_text(), reports))
    charts.draw_all({name: report for name, (report, _) in reports.items()}, FOLDER / "charts")


def read_all(folder: Path = RESULTS) -> dict[str, tuple[Report, dict[str, Any]]]:
    """Return the saved reports with their machines, in the order of the README."""
    return {name: read_report(folder / f"{name}.json") for name in ORDER if (folder / f"{name}.json").exists()}


def with_tables(text: str, reports: dict[str, tuple[Report, dict[str, Any]]]) -> str:
    """Return the README with every part between markers written anew."""
    parts = {name: "\n".join(tables(report)) for name, (report, _) in reports.items()}
    parts["machine"] = _machines([machine for _, machine in reports.values()])
    only = [report for report, _ in reports.values()]
    parts["targets"] = "\n".join(_targets(only))
    parts["losses"] = "\n".join(_losses(only))
    for name, part in parts.items():
        pattern = re.compile(rf"(<!-- {name}: .*?-->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"the README has no place for {name}")
        text = pattern.sub(partial(_filled, part), text)
    return text


def _filled(part: str, place: re.Match[str]) -> str:
    return f"{place[1]}\n{part}\n\n{place[2]}"


def tables(report: Report) -> Iterable[str]:
    """Yield the lines of the table of a report: a row per system and number of runs, a column per case."""
    cases = list(dict.fromkeys(figure.case for figure in report.figures))
    if len(cases) > 1 and all(len(_systems(report, runs, cases)) < 3 or runs == 0 for runs in _sizes(report)):
        yield from _upright(report, cases)
    else:
        yield from _flat(report, cases)
    reasons = {(f.system, f.left_out): f for f in report.figures if f.left_out}
    if reasons:
        yield ""
        yield "Not measured (–): " + "; ".join(f"{system}: {why}" for system, why in reasons) + "."


def _flat(report: Report, cases: list[str]) -> Iterable[str]:
    yield f"| runs | system ({report.unit}) | " + " | ".join(cases) + " |"
    yield "|---:|---|" + "---:|" * len(cases)
    for runs in _sizes(report):
        for system in _systems(report, runs, cases):
            cells = [_cell(report, case, runs, system) for case in cases]
            yield f"| {runs:,} | {_emphasized(system)} | " + " | ".join(cells) + " |"


def _upright(report: Report, cases: list[str]) -> Iterable[str]:
    """Yield a table with a row per case, for few systems."""
    systems = list(dict.fromkeys(figure.system for figure in report.figures))
    yield f"| {report.unit} | " + " | ".join(map(_emphasized, systems)) + " |"
    yield "|---|" + "---:|" * len(systems)
    for runs in _sizes(report):
        for case in cases:
            if any(figure.case == case and figure.runs == runs for figure in report.figures):
                name = f"{case}, {runs:,} runs" if runs else case
                yield f"| {name} | " + " | ".join(_cell(report, case, runs, system) for system in systems) + " |"


def _cell(report: Report, case: str, runs: int, system: str) -> str:
    """Return a median and how many times mlquery's it is."""
    found, own = report.figure(case, runs, system), report.median(case, runs, OWN)
    if found is None or found.median is None:
        left_out = any((f.case, f.runs, f.system) == (case, runs, system) for f in report.figures)
        return "–" if left_out else ""
    median = shown(found.median)
    return median if system == OWN or not own else f"{median} ({shown(found.median / own)}x)"


def _emphasized(system: str) -> str:
    return f"**{system}**" if system == OWN else system


def _sizes(report: Report) -> list[int]:
    return list(dict.fromkeys(figure.runs for figure in report.figures))


def _systems(report: Report, runs: int, cases: list[str]) -> list[str]:
    return list(dict.fromkeys(figure.system for figure in report.figures if figure.runs == runs))


def _machines(machines: list[dict[str, Any]]) -> str:
    """Return what the reports were measured on; the dates and loads are those of all of them."""
    one = machines[-1]
    dates = sorted({machine["date"] for machine in machines})
    loads = sorted(machine["load_average"] for machine in machines)
    versions = ", ".join(f"{name} {version}" for name, version in one["versions"].items())
    return (
        f"{one['cpu']}, {one['cores']} cores, {one['memory_gib']} GiB, {one['system']}, Python {one['python']}; "
        f"{' to '.join(dict.fromkeys((dates[0], dates[-1])))}; load average at the end of a benchmark "
        f"{loads[0]:g} to {loads[-1]:g}.\n{versions}."
    )


def _targets(reports: list[Report]) -> Iterable[str]:
    """Yield a row per target: how many of its cases meet it and the one that is closest to missing it."""
    yield "| what | target | met | tightest case | measured |"
    yield "|---|---|---:|---|---:|"
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for report in reports:
        for verdict in report.verdicts:
            groups.setdefault((verdict.target, verdict.against), []).append(verdict)
    for (target, against), verdicts in groups.items():
        met, worst = sum(verdict.met for verdict in verdicts), min(verdicts, key=lambda verdict: verdict.margin)
        word = f"{met} of {len(verdicts)}" if met == len(verdicts) else f"**{met} of {len(verdicts)}**"
        yield f"| {target} | {against} | {word} | {_where(worst)} | {worst.measured} |"
    missed = [verdict for verdicts in groups.values() for verdict in verdicts if not verdict.met]
    yield ""
    yield f"Missed: {len(missed)} of {sum(map(len, groups.values()))} cases." if missed else "All targets are met."
    if missed:
        yield ""
        yield "| missed | case | measured | allowed |"
        yield "|---|---|---:|---:|"
        for verdict in missed:
            yield f"| {verdict.target} | {_where(verdict)} | {verdict.measured} | {_allowed(verdict)} |"


def _allowed(verdict: Verdict) -> str:
    return verdict.against if verdict.allowed == verdict.against else f"{verdict.allowed} ({verdict.against})"


def _where(verdict: Verdict) -> str:
    return f"{verdict.case}, {verdict.runs:,} runs" if verdict.runs else verdict.case


def _losses(reports: list[Report]) -> Iterable[str]:
    """Yield the cases in which an alternative for a user is faster or smaller."""
    rows = [
        f"| {report.question} | {figure.case} | {f'{figure.runs:,}' if figure.runs else ''} | {figure.system} | "
        f"{shown(figure.median or 0)} {report.unit} | {shown(own)} {report.unit} |"
        for report in reports
        for figure, own in _faster(report)
    ]
    if not rows:
        yield "None was measured."
        return
    yield "| benchmark | case | runs | ahead | its figure | mlquery |"
    yield "|---|---|---:|---|---:|---:|"
    yield from rows


def _faster(report: Report) -> Iterable[tuple[Figure, float]]:
    for figure in report.figures:
        own = report.median(figure.case, figure.runs, OWN)
        is_rival = not figure.system.startswith(_LIMITS) and report.question != "startup"
        if own and figure.median is not None and is_rival and figure.median < own:
            yield figure, own
