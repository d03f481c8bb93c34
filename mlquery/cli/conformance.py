"""The command `mlquery conformance`: run the suite on mlquery itself or on a target, and print a report."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from mlquery import __version__
from mlquery.cli.outcomes import UsageError
from mlquery.cli.progress import progress
from mlquery.cli.suite import report as topic_table
from mlquery.cli.suite import report_table
from mlquery.language.matrix import MATRIX

if TYPE_CHECKING:
    from mlquery.conformance.known_deviations import Tweaks
    from mlquery.conformance.report import Report
    from mlquery.conformance.suite import Suite

_OURSELVES = "in-process"


def run_suite(options: argparse.Namespace, dialects: Sequence[str] | None) -> bool:
    """Run the cases that were asked for, print the report, and tell whether none failed.

    Raises:
        UsageError: what is asked for is not there.
        StoreError: the target cannot be asked.
    """
    import mlquery.conformance as conformance
    from mlquery.conformance.suite import chosen

    suite = conformance.load_suite()
    try:
        cases = chosen(suite, options.case)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if options.stdio is not None:
        reports = _ask_program(options, dialects, attrs.evolve(suite, cases=tuple(cases)))
        _print(rendered(reports, options.format))
        return all(report.passed for report in reports)
    if options.target != _OURSELVES:
        reports = _ask_target(options, dialects or [MATRIX.dialect_of_uri(options.target).name], suite)
        _print(rendered(reports, options.format))
        return all(report.passed for report in reports)
    if options.tweaks or options.record:
        raise UsageError("--tweaks and --record are for a --target")
    outcomes = conformance.run(dialects, suite=attrs.evolve(suite, cases=tuple(cases)))
    if options.format in ("table", "json"):
        _print(topic_table(outcomes, dict(suite.topics), options))
    else:
        _print(rendered(conformance.reports_of(outcomes, __version__), options.format))
    return all(outcome.passed for outcome in outcomes)


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        print(line)


def _ask_target(options: argparse.Namespace, dialects: Sequence[str], suite: Suite) -> list[Report]:
    try:
        from mlquery.conformance.runner import Runner
        from mlquery.conformance.targets import opened
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "mlquery":
            raise
        raise UsageError(f"a target is asked through {error.name}: pip install 'mlquery[mlflow]'") from None
    if options.record and len(dialects) > 1:
        raise UsageError("--record starts from one dialect")
    tweaks, reports = _tweaks(options), []
    for name in dialects:
        with opened(options.target, suite) as target, progress() as show:
            if options.product:
                target.product, _, target.version = options.product.partition(" ")
            runner = Runner(target, suite, MATRIX.dialect(name), tweaks, options.silent or bool(options.record))
            reports.append(runner.report(options.case, lambda done, total: show("cases", done, total)))
    if options.record:
        from mlquery.conformance.matrix_column import recorded

        Path(options.record).write_text(recorded(runner, reports[0]), "utf-8")
    return reports


def _ask_program(options: argparse.Namespace, dialects: Sequence[str] | None, suite: Suite) -> list[Report]:
    from mlquery.conformance.stdio import ask_program
    from mlquery.conformance.subprocess_client import BrokenProgramError

    if options.target != _OURSELVES or options.tweaks or options.record or options.product:
        raise UsageError("--stdio goes without --target, --tweaks, --record and --product; the program says what it is")
    try:
        with progress() as show:
            tell = partial(show, "cases")
            return ask_program(options.stdio, dialects, suite=suite, asks_silent=options.silent, progress=tell)
    except BrokenProgramError as broken:
        raise UsageError(str(broken)) from None


def _tweaks(options: argparse.Namespace) -> Tweaks:
    from mlquery.conformance.known_deviations import NONE, load_tweaks

    if options.tweaks is None:
        return NONE
    try:
        return load_tweaks(Path(options.tweaks))
    except ValueError as error:
        raise UsageError(str(error)) from None


def rendered(reports: Sequence[Report], format_: str) -> Iterator[str]:
    """Yield the lines of reports in a format."""
    match format_:
        case "table":
            for report in reports:
                yield from report_table(report)
        case "json":
            documents = [{**attrs.asdict(report), "totals": report.totals} for report in reports]
            yield json.dumps(documents, indent=2, ensure_ascii=False)
        case "jsonl":
            from mlquery.conformance.jsonl import write_jsonl

            yield from write_jsonl(reports)
        case "junit":
            from mlquery.conformance.junit import render_junit

            yield render_junit(reports)
        case "markdown":
            from mlquery.conformance.markdown import render_markdown

            yield render_markdown(reports).rstrip("\n")
        case _:
            from mlquery.conformance.html import render_html

            yield render_html(reports)
