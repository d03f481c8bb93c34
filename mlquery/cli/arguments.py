"""Defines the commands of `mlquery` and their options, as one argparse parser."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from mlquery import __version__
from mlquery.cli import commands, store_arguments
from mlquery.cli.argument_types import count, port
from mlquery.language.plan import Entity

_DESCRIPTION = "Query MLflow experiments and runs, without MLflow and without a server."
_FILTER_HELP = "filter, such as \"metrics.accuracy > 0.9 AND params.model = 'forest'\"; - reads it from standard input"
_DIALECT_HELP = f"dialect to follow; default: {commands.DEFAULT_DIALECT}"
_REPEATED = "may be repeated"
_ORDER_HELP = f"field to order by; {_REPEATED}"
_EXIT_CODES = "Exit codes: 0 accepted, 1 refused by the dialect, 2 misuse or a source that cannot be read."


def parser() -> argparse.ArgumentParser:
    """Return the parser; the parsed arguments have the function to call as `command`."""
    top = argparse.ArgumentParser("mlquery", description=_DESCRIPTION, epilog=_EXIT_CODES)
    top.add_argument("--version", action="version", version=f"mlquery {__version__}")
    names = top.add_subparsers(required=True, metavar="COMMAND")

    demo = names.add_parser("demo", help="run the queries of the Azure documentation on the example database")
    demo.set_defaults(command=commands.demo)
    _add_search(names.add_parser("search", help="search the runs of an MLflow database or mlruns folder"))
    check = names.add_parser("check", help="check whether a dialect accepts a query")
    _add_query(check)
    check.set_defaults(command=commands.check)
    explain = names.add_parser("explain", help="show what a query means under a dialect")
    _add_query(explain)
    explain.set_defaults(command=commands.explain)
    matrix = names.add_parser("matrix", help="print the support matrix")
    matrix.add_argument(
        "--dialect", metavar="NAME", action="append", help="dialect to show; may be repeated; default: all"
    )
    matrix.add_argument("--differing", action="store_true", help="show only features on which the dialects differ")
    matrix.add_argument("--format", choices=["md", "csv", "json"], default="md", help="output format; default: md")
    matrix.set_defaults(command=commands.matrix)
    _add_conformance(
        names.add_parser("conformance", help="run the conformance suite on mlquery, a server or a program")
    )
    _add_serve(names.add_parser("serve", help="serve MLflow's REST API from memory"))
    store_arguments.add_commands(names)
    return top


def _add_query(command: argparse.ArgumentParser) -> None:
    command.add_argument("filter", metavar="FILTER", nargs="?", default="", help=_FILTER_HELP)
    command.add_argument("--order-by", metavar="FIELD [ASC|DESC]", action="append", default=[], help=_ORDER_HELP)
    command.add_argument("--dialect", metavar="NAME", action="append", help=f"{_DIALECT_HELP}; {_REPEATED}")
    entities = [entity.value for entity in Entity]
    command.add_argument("--entity", choices=entities, default="run", help="entity to search; default: run")


def _add_search(command: argparse.ArgumentParser) -> None:
    command.add_argument("filter", metavar="FILTER", nargs="?", default="", help=_FILTER_HELP)
    command.add_argument(
        "--from", dest="source", metavar="SOURCE", required=True, help="MLflow SQLite database or mlruns folder to load"
    )
    command.add_argument(
        "--experiment",
        metavar="NAME",
        action="append",
        default=[],
        help="experiment to search; may be repeated; default: all",
    )
    command.add_argument(
        "--experiment-id", metavar="ID", action="append", default=[], help="id of an experiment; may be repeated"
    )
    command.add_argument("--order-by", metavar="FIELD [ASC|DESC]", action="append", default=[], help=_ORDER_HELP)
    command.add_argument(
        "--view",
        choices=list(commands.VIEWS),
        default="active",
        help="runs to show by lifecycle stage; default: active",
    )
    command.add_argument("--max-results", metavar="N", type=count, help="maximum number of runs; default: all")
    command.add_argument("--dialect", metavar="NAME", default=commands.DEFAULT_DIALECT, help=_DIALECT_HELP)
    command.add_argument(
        "--format", choices=list(commands.FORMATS), default="table", help="output format; default: table"
    )
    command.set_defaults(command=commands.search)


def _add_conformance(command: argparse.ArgumentParser) -> None:
    uris = (
        "sqlite:///PATH, file:PATH, http(s)://…, azureml://… or databricks; sqlite: and file: create new MLflow stores"
    )
    command.add_argument(
        "--target", metavar="URI", default="in-process", help=f"target to run on: {uris}; default: mlquery"
    )
    command.add_argument("--stdio", metavar="COMMAND", help="run on a program that implements the JSON lines protocol")
    command.add_argument(
        "--dialect", metavar="NAME", action="append", help="expected dialect; may be repeated; default: by target"
    )
    command.add_argument(
        "--case", metavar="ID|TOPIC", nargs="+", default=[], help="cases or topics to run; default: all"
    )
    command.add_argument(
        "--format", choices=commands.REPORT_FORMATS, default="table", help="output format; default: table"
    )
    command.add_argument("--known-deviations", metavar="FILE", help="read known deviations of the target from TOML")
    command.add_argument(
        "--tweaks",
        metavar="FILE",
        action=_DeprecatedTweaks,
        dest="known_deviations",
        help="deprecated: --known-deviations",
    )
    command.add_argument("--record", metavar="FILE", help="write the results as a column of the support matrix")
    command.add_argument("--silent", action="store_true", help="run also cases that no source of the dialect covers")
    command.add_argument("--product", metavar="NAME", help="name and version of the target in the report")
    command.set_defaults(command=commands.conformance)


def _add_serve(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--from", dest="source", metavar="SOURCE", help="MLflow SQLite database or mlruns folder to load, read-only"
    )
    command.add_argument("--dialect", metavar="NAME", default=commands.DEFAULT_DIALECT, help=_DIALECT_HELP)
    command.add_argument(
        "--host", metavar="ADDRESS", default="127.0.0.1", help="address to listen on; default: 127.0.0.1"
    )
    command.add_argument(
        "--port", metavar="N", type=port, default=5000, help="port to listen on, 0 for any free one; default: 5000"
    )
    command.add_argument("--token", metavar="TOKEN", help="require this token in the Authorization header")
    command.add_argument(
        "--max-body", metavar="MB", type=count, default=32, help="maximum size of a request; default: 32"
    )
    command.add_argument(
        "--max-artifact", metavar="MB", type=count, default=1000, help="maximum size of an artifact; default: 1000"
    )
    command.set_defaults(command=commands.serve)


class _DeprecatedTweaks(argparse.Action):
    """The old name of `--known-deviations`."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Store the file as that of the known deviations."""
        print("mlquery: --tweaks is deprecated; instead: --known-deviations", file=sys.stderr)
        setattr(namespace, self.dest, values)
