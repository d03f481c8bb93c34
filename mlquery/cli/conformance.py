"""Runs the conformance suite on mlquery, a target or a program for `mlquery conformance`, and prints the report."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from mlquery import __version__
from mlquery.cli.conformance_tables import report as topic_table
from mlquery.cli.conformance_tables import report_table
from mlquery.cli.outcomes import UsageError
from mlquery.cli.progress import progress
from mlquery.language.matrix import MATRIX

if TYPE_CHECKING:
    from mlquery.conformance.known_deviations import KnownDeviations
    from mlquery.conformance.report import Report
    from mlquery.conformance.suite import Suite

_IN_PROCESS = "in-process"


def run_suite(options: argparse.Namespace, dialects: Sequence[str] | None) -> bool:
    """Run the chosen cases, print the report, and tell whether none failed.

    Raises:
        UsageError: the options do not fit together, or name something unknown.
        StoreError: the target does not exist or does not respond.
    """
    import mlquery.conformance as conformance
    from mlquery.conformance.suite import chosen

    suite = conformance.load_suite()
    try:
        cases = tuple(chosen(suite, options.case))
    except ValueError as error:
        raise UsageError(str(error)) from None
    if options.stdio is None and options.target == _IN_PROCESS:
        return _run_in_process(options, dialects, attrs.evolve(suite, cases=cases))
    if options.engine:
        raise UsageError("--engine excludes --target and --stdio, which are searched by their own")
    if options.stdio is not None:
        reports = _run_on_program(options, dialects, attrs.evolve(suite, cases=cases))
    else:
        reports = _run_on_target(options, dialects or [MATRIX.dialect_of_uri(options.target).name], suite)
    _print(rendered(reports, options.format))
    return all(report.passed for report in reports)


def _run_in_process(options: argparse.Namespace, dialects: Sequence[str] | None, suite: Suite) -> bool:
    import mlquery.conformance as conformance

    if options.known_deviations or options.record:
        raise UsageError("--known-deviations and --record need a --target")
    engines = [name.strip() for names in options.engine for name in names.split(",")]
    try:
        outcomes = conformance.run(dialects, engines or None, suite=suite)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if options.format in ("table", "json"):
        _print(topic_table(outcomes, dict(suite.topics), options))
    else:
        _print(rendered(conformance.reports_of(outcomes, __version__), options.format))
    return not any(outcome.failed for outcome in outcomes)


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        print(line)


def _run_on_target(options: argparse.Namespace, dialects: Sequence[str], suite: Suite) -> list[Report]:
    try:
        from mlquery.conformance.runner import Runner
        from mlquery.conformance.targets import opened
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "mlquery":
            raise
        raise UsageError(f"--target needs {error.name}: pip install 'mlquery[mlflow]'") from None
    if options.record and len(dialects) > 1:
        raise UsageError("--record needs exactly one --dialect")
    known_deviations, reports = _known_deviations(options), []
    for name in dialects:
        with opened(options.target, suite) as target, progress() as show:
            if options.product:
                target.product, _, target.version = options.product.partition(" ")
            runner = Runner(
                target, suite, MATRIX.dialect(name), known_deviations, options.silent or bool(options.record)
            )
            reports.append(runner.report(options.case, lambda done, total: show("cases", done, total)))
    if options.record:
        from mlquery.conformance.matrix_column import recorded

        Path(options.record).write_text(recorded(runner, reports[0]), "utf-8")
    return reports


def _run_on_program(options: argparse.Namespace, dialects: Sequence[str] | None, suite: Suite) -> list[Report]:
    from mlquery.conformance.stdio import run_program
    from mlquery.conformance.subprocess_client import BrokenProgramError

    if options.target != _IN_PROCESS or options.known_deviations or options.record or options.product:
        raise UsageError("--stdio excludes --target, --known-deviations, --record and --product")
    try:
        with progress() as show:
            show_cases = partial(show, "cases")
            return run_program(
                options.stdio, dialects, suite=suite, includes_silent=options.silent, progress=show_cases
            )
    except BrokenProgramError as broken:
        raise UsageError(str(broken)) from None


def _known_deviations(options: argparse.Namespace) -> KnownDeviations:
    from mlquery.conformance.known_deviations import NONE, load_known_deviations

    if options.known_deviations is None:
        return NONE
    try:
        return load_known_deviations(Path(options.known_deviations))
    except ValueError as error:
        raise UsageError(str(error)) from None


def rendered(reports: Sequence[Report], format_: str) -> Iterator[str]:
    """Yield the lines of reports in a format."""
    match format_:
        case "table":
            for report in reports:
                yield from report_table(report)
        case "json":
            documents = [{**report.as_document(), "totals": report.totals} for report in reports]
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
