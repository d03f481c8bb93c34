"""Adds options to commands with helps that are alike, and turns their strings into numbers, filters or errors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from typing import Final

from mlquery.cli.outcomes import UsageError

ORDER_BY: Final = ("--order-by", "FIELD [ASC|DESC]", "field to order by; may be repeated")


def add_choice(command: argparse.ArgumentParser, name: str, values: Iterable[str], about: str) -> None:
    """Add an option that takes one of a few values, by default the first."""
    choices = list(values)
    command.add_argument(name, choices=choices, default=choices[0], help=f"{about}; default: {choices[0]}")


def add_source(command: argparse.ArgumentParser) -> None:
    """Add the options that say where the runs are, and whether they are searched there or loaded."""
    sources = (
        "where the runs are, searched there: an MLflow database (its path, sqlite:///PATH, postgresql://…, mysql://…), "
        "parquet:FOLDER, spark:CATALOG.SCHEMA, a server (http://…, https://…, azureml://…, databricks); an mlruns "
        "folder is loaded"
    )
    command.add_argument("--from", dest="source", metavar="SOURCE", required=True, help=sources)
    command.add_argument("--load", action="store_true", help="load the source into memory and search it there")
    add_server(command)
    command.add_argument("--engine", metavar="NAME", help="engine to search files with, in place; default: by source")


def add_server(command: argparse.ArgumentParser) -> None:
    """Add the options that say how a server is asked."""
    dialect = "dialect that a server takes, or a file of conformance --record; default: recognised"
    command.add_argument("--server-dialect", metavar="NAME|FILE", help=dialect)
    add_value(command, "--max-pages", "N", 100, "most requests to a server; a search that takes more is refused", count)


def add_list(command: argparse.ArgumentParser, name: str, metavar: str, about: str) -> None:
    """Add an option that may be repeated; without it, its list is empty."""
    command.add_argument(name, metavar=metavar, action="append", default=[], help=about)


def add_value(
    command: argparse.ArgumentParser,
    name: str,
    metavar: str,
    default: str | float,
    about: str,
    type: Callable[[str], str | float] = str,
) -> None:
    """Add an option whose help names its default."""
    command.add_argument(name, metavar=metavar, default=default, type=type, help=f"{about}; default: {default}")


def port(argument: str) -> int:
    """Return a TCP port."""
    if not argument.isascii() or not argument.isdigit() or int(argument) > 65535:
        raise argparse.ArgumentTypeError(f"{argument!r} is not a port")
    return int(argument)


def count(argument: str) -> int:
    """Return a positive integer."""
    if not argument.isascii() or not argument.isdigit() or int(argument) == 0:
        raise argparse.ArgumentTypeError(f"{argument!r} is not a positive integer")
    return int(argument)


def filter_of(argument: str) -> str:
    """Return the filter; one from standard input may have any bytes, and loses the line break at its end."""
    if argument != "-":
        return argument
    if sys.stdin is None:
        raise UsageError("the filter '-' is read from standard input, which is closed")
    filter_string = sys.stdin.buffer.read().decode("utf-8", errors="surrogateescape")
    return filter_string.removesuffix("\n").removesuffix("\r")
