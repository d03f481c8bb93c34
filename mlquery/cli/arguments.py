"""What can be typed after `mlquery`: the commands and their options, as one argparse parser."""

from __future__ import annotations

import argparse

from mlquery import __version__
from mlquery.cli import commands, tracker
from mlquery.language.plan import Entity

_DESCRIPTION = "MLflow experiment and run queries, without MLflow and without a server."
_FILTER_HELP = "a filter such as \"metrics.accuracy > 0.9 AND params.model = 'forest'\"; - reads it from standard input"
_CONFORMANCE_HELP = "may be repeated; default: all but older releases, such as oss:2.14"
_DIALECT_HELP = f"whose rules to follow; default: {commands.DEFAULT_DIALECT}"
_EXIT_CODES = "Exit codes: 0 accepted, 1 refused by the dialect, 2 misuse or a source that cannot be read."


def parser() -> argparse.ArgumentParser:
    """Return the parser; what it parses has a `command`, the function to call with it."""
    top = argparse.ArgumentParser("mlquery", description=_DESCRIPTION, epilog=_EXIT_CODES)
    top.add_argument("--version", action="version", version=f"mlquery {__version__}")
    names = top.add_subparsers(required=True, metavar="COMMAND")

    demo = names.add_parser("demo", help="run the queries of the Azure documentation on the example database")
    demo.set_defaults(command=commands.demo)
    _add_search(names.add_parser("search", help="search the runs of an MLflow database or mlruns folder"))
    check = names.add_parser("check", help="say whether a dialect accepts a query, without any data")
    _add_query(check)
    check.set_defaults(command=commands.check)
    explain = names.add_parser("explain", help="show what a query means under a dialect")
    _add_query(explain)
    explain.set_defaults(command=commands.explain)
    matrix = names.add_parser("matrix", help="print the support matrix of all dialects, or of some")
    matrix.add_argument("--dialect", metavar="NAME", action="append", help="a column; may be repeated; default: all")
    matrix.add_argument("--differing", action="store_true", help="only the lines on which the columns differ")
    matrix.add_argument("--format", choices=["md", "csv", "json"], default="md", help="default: md")
    matrix.set_defaults(command=commands.matrix)
    _add_conformance(names.add_parser("conformance", help="run the conformance suite on mlquery or on a server"))
    _add_serve(names.add_parser("serve", help="serve MLflow's REST API from memory"))
    tracker.add_commands(names)
    return top


def _add_query(command: argparse.ArgumentParser) -> None:
    command.add_argument("filter", metavar="FILTER", nargs="?", default="", help=_FILTER_HELP)
    command.add_argument("--order-by", metavar="FIELD [ASC|DESC]", action="append", default=[], help="may be repeated")
    command.add_argument("--dialect", metavar="NAME", action="append", help=f"{_DIALECT_HELP}; may be repeated")
    entities = [entity.value for entity in Entity]
    command.add_argument("--entity", choices=entities, default="run", help="what is searched; default: run")


def _add_search(command: argparse.ArgumentParser) -> None:
    command.add_argument("filter", metavar="FILTER", nargs="?", default="", help=_FILTER_HELP)
    command.add_argument(
        "--from", dest="source", metavar="SOURCE", required=True, help="an MLflow SQLite database or an mlruns folder"
    )
    command.add_argument(
        "--experiment", metavar="NAME", action="append", default=[], help="may be repeated; default: all experiments"
    )
    command.add_argument("--experiment-id", metavar="ID", action="append", default=[], help="may be repeated")
    command.add_argument("--order-by", metavar="FIELD [ASC|DESC]", action="append", default=[], help="may be repeated")
    command.add_argument("--view", choices=list(commands.VIEWS), default="active", help="default: active")
    command.add_argument("--max-results", metavar="N", type=_count, help="stop after N runs; default: all")
    command.add_argument("--dialect", metavar="NAME", default=commands.DEFAULT_DIALECT, help=_DIALECT_HELP)
    command.add_argument("--format", choices=list(commands.FORMATS), default="table", help="default: table")
    command.set_defaults(command=commands.search)


def _add_conformance(command: argparse.ArgumentParser) -> None:
    uris = (
        "sqlite:///PATH, file:PATH, http(s)://…, azureml://… or databricks; sqlite: and file: make new stores of MLflow"
    )
    command.add_argument("--target", metavar="URI", default="in-process", help=f"{uris}; default: mlquery itself")
    command.add_argument("--stdio", metavar="COMMAND", help="ask a program that answers on its standard output instead")
    command.add_argument("--dialect", metavar="NAME", action="append", help="may be repeated; default: by the target")
    command.add_argument("--case", metavar="ID|TOPIC", nargs="+", default=[], help="only these; default: all")
    command.add_argument("--format", choices=commands.REPORT_FORMATS, default="table", help="default: table")
    command.add_argument("--tweaks", metavar="FILE", help="what is declared of the target, as TOML")
    command.add_argument("--record", metavar="FILE", help="write what the target does as a column of the matrix")
    command.add_argument("--silent", action="store_true", help="ask too where the dialect's sources say nothing")
    command.add_argument("--product", metavar="NAME", help="what the target is, for the report: a name and a version")
    command.set_defaults(command=commands.conformance)


def _add_serve(command: argparse.ArgumentParser) -> None:
    command.add_argument("--from", dest="source", metavar="SOURCE", help="what to load first; it is never written to")
    command.add_argument("--dialect", metavar="NAME", default=commands.DEFAULT_DIALECT, help=_DIALECT_HELP)
    command.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="default: 127.0.0.1, the loopback")
    command.add_argument("--port", metavar="N", type=_port, default=5000, help="0 takes any free one; default: 5000")
    command.add_argument("--token", metavar="TEXT", help="what requests must bear in their Authorization header")
    command.add_argument("--max-body", metavar="MB", type=_count, default=32, help="of a call; default: 32")
    command.add_argument("--max-artifact", metavar="MB", type=_count, default=1000, help="of a file; default: 1000")
    command.set_defaults(command=commands.serve)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)
