"""Defines the commands of `mlquery` and their options, as one argparse parser."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from mlquery import __version__
from mlquery.cli import aggregates, commands, linting, mcp, store_arguments
from mlquery.cli.options import ORDER_BY, add_choice, add_list, add_server, add_source, add_value, count, port
from mlquery.language.plan import Entity

_DESCRIPTION = "Query MLflow experiments and runs, without MLflow and without a server."
_FILTER_HELP = "filter, such as \"metrics.accuracy > 0.9 AND params.model = 'forest'\"; - reads it from standard input"
_EXIT_CODES = "Exit codes: 0 accepted, 1 refused by the dialect, 2 misuse or a source that cannot be read."


def parser() -> argparse.ArgumentParser:
    """Return the parser; the parsed arguments have the function to call as `command`."""
    top = argparse.ArgumentParser("mlquery", description=_DESCRIPTION, epilog=_EXIT_CODES)
    top.add_argument("--version", action="version", version=f"mlquery {__version__}")
    names = top.add_subparsers(required=True, metavar="COMMAND")

    demo = names.add_parser("demo", help="run the queries of the Azure documentation on the example database")
    demo.set_defaults(command=commands.demo)
    _add_search(names.add_parser("search", help="search the runs of a database, of tables or of an mlruns folder"))
    _add_compare(names.add_parser("compare", help="put runs side by side: what differs, groups, tests, a report"))
    aggregates.add_command(names)
    _add_query(names.add_parser("check", help="check whether a dialect accepts a query"), commands.check)
    _add_query(names.add_parser("explain", help="show what a query means under a dialect"), commands.explain)
    linting.add_command(names)
    matrix = names.add_parser("matrix", help="print the support matrix")
    add_list(matrix, "--dialect", "NAME", "dialect to show; may be repeated; default: all")
    matrix.add_argument("--differing", action="store_true", help="show only features on which the dialects differ")
    add_choice(matrix, "--format", ("md", "csv", "json"), "output format")
    matrix.set_defaults(command=commands.matrix)
    _add_conformance(
        names.add_parser("conformance", help="run the conformance suite on mlquery, a server or a program")
    )
    _add_serve(names.add_parser("serve", help="serve MLflow's REST API and a page about the runs from memory"))
    _add_view(names.add_parser("view", help="look at runs in a browser"))
    mcp.add_command(names)
    store_arguments.add_commands(names)
    return top


def _add_query(command: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    command.add_argument("filter", metavar="FILTER", nargs="?", default="", help=_FILTER_HELP)
    add_list(command, *ORDER_BY)
    add_list(command, "--dialect", "NAME", f"dialect to follow; default: {commands.DEFAULT_DIALECT}; may be repeated")
    add_choice(command, "--entity", (entity.value for entity in Entity), "entity to search")
    keys = "database or mlruns folder, loaded for the keys of its runs: warn of keys that none of them has"
    command.add_argument("--from", dest="source", metavar="SOURCE", help=keys)
    command.set_defaults(command=run)


def _add_search(command: argparse.ArgumentParser) -> None:
    command.add_argument("filter", metavar="FILTER", nargs="?", default="", help=_FILTER_HELP)
    add_source(command)
    add_list(command, "--experiment", "NAME", "experiment to search; may be repeated; default: all")
    add_list(command, "--experiment-id", "ID", "id of an experiment; may be repeated")
    add_list(command, *ORDER_BY)
    add_choice(command, "--view", commands.VIEWS, "runs to show by lifecycle stage")
    command.add_argument("--max-results", metavar="N", type=count, help="maximum number of runs; default: all")
    defaults = f"default: {commands.DEFAULT_DIALECT}; of a server: extended"
    command.add_argument("--dialect", metavar="NAME", help=f"dialect to follow; {defaults}")
    add_choice(command, "--format", commands.FORMATS, "output format")
    explain = (
        "print the meaning of the query and no runs: the SQL statement, its parameters and the engine's plan, or what "
        "a server is asked, what is decided here, and the most pages"
    )
    command.add_argument("--explain", action="store_true", help=explain)
    command.set_defaults(command=commands.search)


def _add_compare(command: argparse.ArgumentParser) -> None:
    runs = (
        "a filter, or ids of runs, their beginnings or names; default: all runs; - reads a filter from standard input"
    )
    command.add_argument("runs", metavar="FILTER|ID", nargs="*", help=runs)
    sources = "tracking URI, MLflow database, mlruns folder or store on disk"
    command.add_argument("--from", dest="source", metavar="SOURCE", required=True, help=sources)
    add_list(command, "--experiment", "NAME", "experiment to search; may be repeated; default: all")
    add_list(command, *ORDER_BY)
    values = "value of metrics: last, best, min, max, mean or step:N; METRIC=VALUE for one of them, may be repeated"
    add_list(command, "--value", "VALUE", f"{values}; default: last")
    add_list(command, "--direction", "METRIC=max|min", "what is better of a metric; may be repeated; default: by name")
    add_list(
        command, "--group-by", "FIELD", "field in which a group of runs agrees; may be repeated; default: all params"
    )
    add_list(command, "--ignore", "PARAM", "param that tells runs of a group apart, such as seed; may be repeated")
    command.add_argument("--baseline", metavar="ID", help="run that others are compared with: its id or name")
    command.add_argument("--output", "-o", metavar="FILE", help="write a report as one HTML file")
    command.add_argument("--title", metavar="TITLE", help="title of the report")
    command.add_argument("--dialect", metavar="NAME", help="dialect to follow; default: that of the source, or oss")
    add_choice(command, "--format", commands.COMPARISON_FORMATS, "output format")
    command.add_argument("--no-color", action="store_true", help="print no colors")
    add_server(command)
    command.set_defaults(command=commands.compare)


def _add_conformance(command: argparse.ArgumentParser) -> None:
    uris = (
        "sqlite:///PATH, file:PATH, http(s)://…, azureml://… or databricks; sqlite: and file: create new MLflow stores"
    )
    command.add_argument(
        "--target", metavar="URI", default="in-process", help=f"target to run on: {uris}; default: mlquery"
    )
    engines = "engines of mlquery to run on: reference, columnar, sqlite, postgres, mariadb, duckdb, duckdb-wide, spark"
    add_list(command, "--engine", "NAME[,NAME…]", f"{engines}, spark-wide, server; default: reference,columnar")
    command.add_argument("--stdio", metavar="COMMAND", help="run on a program that implements the JSON lines protocol")
    add_list(command, "--dialect", "NAME", "expected dialect; may be repeated; default: by target")
    command.add_argument(
        "--case", metavar="ID|TOPIC", nargs="+", default=[], help="cases or topics to run; default: all"
    )
    add_choice(command, "--format", commands.REPORT_FORMATS, "output format")
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
    in_place = "answer from the database where it is, read-only, without loading it: --from postgresql://…"
    command.add_argument("--in-place", action="store_true", help=in_place)
    add_value(command, "--dialect", "NAME", commands.DEFAULT_DIALECT, "dialect to follow")
    add_value(command, "--host", "ADDRESS", "127.0.0.1", "address to listen on")
    add_value(command, "--port", "N", 5000, "port to listen on, 0 for any free one", port)
    command.add_argument("--token", metavar="TOKEN", help="require this token in the Authorization header")
    command.add_argument("--https", action="store_true", help="speak https, with a certificate made for this session")
    files = "speak https, with the certificate in this file"
    command.add_argument("--ssl-certfile", metavar="FILE", help=files)
    command.add_argument("--ssl-keyfile", metavar="FILE", help="key of the certificate, where its file has none")
    command.add_argument("--token-file", metavar="FILE", help="require the token in this file; default: $MLQUERY_TOKEN")
    origins = "other origins whose pages may read and write, such as http://localhost:3000, separated by commas"
    command.add_argument("--cors-allowed-origins", metavar="ORIGINS", default="", help=origins)
    add_value(command, "--max-body", "MB", 32, "maximum size of a request", count)
    add_value(command, "--max-artifact", "MB", 1000, "maximum size of an artifact", count)
    command.set_defaults(command=commands.serve)


def _add_view(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "source", metavar="SOURCE", help="tracking URI, MLflow database, mlruns folder or store on disk; read-only"
    )
    add_value(command, "--dialect", "NAME", commands.DEFAULT_DIALECT, "dialect to follow")
    add_value(command, "--port", "N", 0, "port to listen on, 0 for any free one", port)
    command.add_argument("--no-browser", action="store_true", help="only print the address, open no browser")
    command.set_defaults(command=commands.view)


class _DeprecatedTweaks(argparse.Action):
    """The old name of `--known-deviations`."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Store the file as that of the known deviations."""
        print("mlquery: --tweaks is deprecated; instead: --known-deviations", file=sys.stderr)
        setattr(namespace, self.dest, values)
