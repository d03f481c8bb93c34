"""The commands: each takes the parsed arguments, prints the result to standard output and returns an exit code.

A query that a dialect refuses raises `QueryError`, a command that is used wrongly `UsageError`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from mlquery.cli.options import filter_of
from mlquery.cli.outcomes import ACCEPTED, REFUSED, UsageError
from mlquery.cli.sources import explained, loaded_store, opened, without_password
from mlquery.entities import ViewType
from mlquery.tables.lines import one_line
from mlquery.tables.runs import columns_named, histories_named, runs_table

if TYPE_CHECKING:
    from mlquery.backend import Backend
    from mlquery.query.histories import PointsByKey

Query = tuple[list[str], str, int, list[str]]
"""Experiment ids, filter, view and order of a search."""

DEFAULT_DIALECT = "oss"  # as in the matrix, which is not imported for a help text
VIEWS = {"active": ViewType.ACTIVE_ONLY, "deleted": ViewType.DELETED_ONLY, "all": ViewType.ALL}
REPORT_FORMATS = ["table", "json", "jsonl", "junit", "markdown", "html"]
COMPARISON_FORMATS = ["table", "csv", "json", "md"]


def demo(_: argparse.Namespace) -> int:
    """Run every query of the Azure documentation on the example database."""
    from mlquery.demo import report

    for line in report():
        print(line)
    return ACCEPTED


def search(options: argparse.Namespace) -> int:
    """Print the runs that match a filter, or with `--explain` how they are found."""
    filter_string = _filter(options)
    with opened(options, options.dialect and dialect_named(options.dialect)) as backend:
        query = (experiment_ids(backend, options), filter_string, VIEWS[options.view], options.order_by)
        if options.explain:
            print(*explained(backend, query, options.max_results), sep="\n")
        else:
            FORMATS[options.format](backend, query, options.max_results)
    return ACCEPTED


def check(options: argparse.Namespace) -> int:
    """Print whether each dialect accepts a query, and its diagnostics."""
    from mlquery.query.search import check as check_query

    filter_string, store, verdicts = _filter(options), loaded_store(options), []
    for dialect in _dialects(options):
        verdict = check_query(filter_string, options.order_by, dialect=dialect, entity=options.entity, store=store)
        print(f"{dialect}: {'accepted' if verdict.accepted else 'refused'}")
        for diagnostic in verdict.diagnostics:
            print(diagnostic)
        verdicts.append(verdict.accepted)
    return ACCEPTED if all(verdicts) else REFUSED


def explain(options: argparse.Namespace) -> int:
    """Print what a query means in each dialect, or why it is refused."""
    from mlquery.query.explain import explain as explain_query
    from mlquery.query.search import check as check_query

    filter_string, store, verdicts = _filter(options), loaded_store(options), []
    for number, dialect in enumerate(_dialects(options)):
        print(end="\n" if number else "")
        query = {"dialect": dialect, "entity": options.entity}
        print(explain_query(filter_string, options.order_by, **query, store=store))
        verdicts.append(check_query(filter_string, options.order_by, **query).accepted)
    return ACCEPTED if all(verdicts) else REFUSED


def matrix(options: argparse.Namespace) -> int:
    """Print the support matrix, some columns of it, or the features on which they differ."""
    from mlquery.language.matrix import MATRIX
    from mlquery.language.tables import to_csv, to_json, to_markdown

    shown = MATRIX.of(_dialects(options)) if options.dialect else MATRIX
    shown = shown.differing() if options.differing else shown
    tables = {"md": to_markdown, "csv": to_csv, "json": to_json}
    print(tables[options.format](shown).rstrip("\n"))
    return ACCEPTED


def conformance(options: argparse.Namespace) -> int:
    """Run the conformance suite on mlquery itself or on a target, and print a report."""
    from mlquery.cli.conformance import run_suite

    dialects = [dialect_named(name) for name in options.dialect] or None
    return ACCEPTED if run_suite(options, dialects) else REFUSED


def compare(options: argparse.Namespace) -> int:
    """Put runs side by side."""
    from mlquery.cli.comparing import compare_command

    return compare_command(options, options.dialect and dialect_named(options.dialect))


def serve(options: argparse.Namespace) -> int:
    """Serve MLflow's REST API until interrupted."""
    _serving("serve").serve(options, dialect_named(options.dialect))
    return ACCEPTED


def view(options: argparse.Namespace) -> int:
    """Show the runs of a source in a browser until interrupted."""
    _serving("view").view(options, dialect_named(options.dialect))
    return ACCEPTED


def _serving(command: str) -> ModuleType:
    """Return the module that serves, which needs packages that the other commands do not."""
    from importlib import import_module

    try:
        return import_module("mlquery.cli.serving")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "mlquery":
            raise
        raise UsageError(f"{command} needs {error.name}: pip install 'mlquery[server]'") from None


def _filter(options: argparse.Namespace) -> str:
    return filter_of(options.filter)


def _dialects(options: argparse.Namespace) -> list[str]:
    return [dialect_named(name) for name in options.dialect or [DEFAULT_DIALECT]]


def dialect_named(name: str) -> str:
    """Return the name of a dialect that an option names."""
    from mlquery.language.matrix import MATRIX

    try:
        return MATRIX.dialect(name).name
    except ValueError as error:
        raise UsageError(str(error)) from None


def experiment_ids(backend: Backend, options: argparse.Namespace) -> list[str]:
    """Return the ids of the chosen experiments, or of all; unless the view is active, of deleted ones too."""
    from mlquery.backend.selection import chosen_experiment_ids

    view = ViewType.ACTIVE_ONLY if options.view == "active" else ViewType.ALL
    where = without_password(options.source)
    return chosen_experiment_ids(backend, options.experiment, options.experiment_id, view, where)


def print_table(
    backend: Backend, query: Query, limit: int | None, experiments: Mapping[str, str] | None = None
) -> None:
    """Print a table, with the names of the experiments where they are given by id."""
    from mlquery.backend.selection import found_runs
    from mlquery.query.search import plan_of

    def read_points(run_ids: Sequence[str], keys: Sequence[str]) -> PointsByKey:
        from mlquery.query.in_place import data_of, points_of

        return points_of(data_of(backend))(run_ids, keys)

    _, filter_string, _, order_by = query
    runs = list(found_runs(backend, *query, limit))
    plan = plan_of(filter_string, order_by, dialect=backend.dialect)
    others = histories_named(plan, read_points, runs)
    if experiments is not None:
        named = [{"experiment": one_line(experiments[run.info.experiment_id])} for run in runs]
        others = [name | cells for name, cells in zip(named, others, strict=True)]
    print(*runs_table(runs, columns_named(plan), others=others), sep="\n")


def _print_csv(backend: Backend, query: Query, limit: int | None) -> None:
    """Print the result of `mlflow.search_runs(...).to_csv(index=False)`."""
    ids, filter_string, view, order_by = query
    print(backend.search_frame(ids, filter_string, view, limit, order_by).to_csv(index=False), end="")


def _print_json(backend: Backend, query: Query, limit: int | None) -> None:
    from mlquery.backend.selection import found_runs
    from mlquery.store.entity_fields import without_nan

    runs = found_runs(backend, *query, limit)
    print(json.dumps([without_nan(run.to_dictionary()) for run in runs], indent=2, ensure_ascii=False))


def _print_jsonl(backend: Backend, query: Query, limit: int | None) -> None:
    """Print a run on each line, as JSON, as soon as its page is there."""
    from mlquery.backend.selection import found_runs
    from mlquery.store.entity_fields import without_nan

    for run in found_runs(backend, *query, limit, is_streamed=True):
        print(json.dumps(without_nan(run.to_dictionary()), ensure_ascii=False))


FORMATS = {"table": print_table, "csv": _print_csv, "json": _print_json, "jsonl": _print_jsonl}
