"""Defines the commands about stores on disk and their options."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from mlquery.cli import commands
from mlquery.cli.options import ORDER_BY, add_choice, add_list, add_value, count
from mlquery.errors import StoreError

_FILTER: Final = "filter, such as \"metrics.loss < 0.1 AND params.model = 'forest'\""
_EXPERIMENT: Final = ("--experiment", "NAME", "experiment to use; may be repeated; default: all")
_ONLY_READS: Final = "write nothing, as this command does anyway"
_RUN: Final = "id of a run, its beginning, or a name"


def add_commands(names: Any) -> None:
    """Add the commands of stores on disk to those of `mlquery`."""
    opened = _command(names, "open", "open a store on disk, or create it", "write nothing; the store must exist")
    opened.add_argument(
        "path", metavar="PATH", nargs="?", type=_folder, help="folder of the store; default: that of --store"
    )
    _add_reading(names)
    _add_transfers(names)
    _add_changes(names)
    repair = _command(names, "repair", "repair a damaged store")
    repair.add_argument(
        "path", metavar="PATH", nargs="?", type=_folder, help="folder of the store; default: that of --store"
    )
    repair.add_argument("--dry-run", action="store_true", help="only show what would be repaired")
    ui = _command(names, "ui", "start MLflow's UI on a store (needs MLflow)", "refuse what the UI would write")
    in_place = "a database to show as it is, read-only, in place of a store: postgresql://…, mysql://… or a file"
    ui.add_argument("--from", dest="source", metavar="SOURCE", help=in_place)
    add_value(ui, "--host", "ADDRESS", "127.0.0.1", "address to listen on")
    add_value(ui, "--port", "N", "5000", "port to listen on")


def _add_reading(names: Any) -> None:
    runs = _command(names, "runs", "list the runs of a store, newest first", _ONLY_READS)
    runs.add_argument("filter", metavar="FILTER", nargs="?", default="", help=_FILTER)
    add_list(runs, *_EXPERIMENT)
    add_list(runs, *ORDER_BY)
    add_choice(runs, "--view", commands.VIEWS, "runs to show by lifecycle stage")
    add_value(runs, "--max-results", "N", 50, "maximum number of runs", count)
    add_choice(runs, "--format", commands.FORMATS, "output format")
    show = _command(names, "show", "show all details of a run", _ONLY_READS)
    show.add_argument("run", metavar="RUN", help=_RUN)
    history = _command(names, "history", "plot a metric of a run in the terminal", _ONLY_READS)
    history.add_argument("run", metavar="RUN", help=_RUN)
    history.add_argument("metric", metavar="METRIC", help="key of the metric")
    add_choice(history, "--format", ("plot", "csv", "json"), "output format")
    add_choice(history, "--by", ("step", "time"), "horizontal axis")
    tail = _command(names, "tail", "follow a run until it ends", _ONLY_READS)
    tail.add_argument("run", metavar="RUN", nargs="?", help=f"{_RUN}; default: the newest run")
    add_value(tail, "--lines", "N", 10, "number of points to begin with", count)
    add_value(tail, "--interval", "SECONDS", 0.5, "seconds between reads", float)


def _add_transfers(names: Any) -> None:
    pull = _command(names, "pull", "pull runs from another MLflow store")
    pull.add_argument("source", metavar="SOURCE", help="tracking URI, MLflow database, mlruns folder or store")
    _add_selection(pull)
    pull.add_argument("--artifacts", action="store_true", help="copy artifacts too")
    push = _command(
        names,
        "push",
        "push new and changed runs to an MLflow server",
        "record nothing: pushed again, all is sent again",
    )
    push.add_argument("target", metavar="TARGET", help="tracking URI")
    _add_selection(push)
    push.add_argument("--dry-run", action="store_true", help="only show what would be sent, without any request")
    push.add_argument("--watch", action="store_true", help="go on pushing as runs change, until Ctrl-C")
    add_value(push, "--interval", "SECONDS", 5.0, "seconds between looks of --watch, at least 0.5", float)
    push.add_argument("--leave-out", action="store_true", help="leave out what exceeds limits of the target")
    push.add_argument("--no-artifacts", action="store_true", help="upload no artifacts")
    push.add_argument("--dialect", metavar="NAME", help="dialect whose limits apply; default: by target")
    export = _command(names, "export", "export a store to Parquet, CSV or JSON lines", _ONLY_READS)
    _add_selection(export)
    add_choice(export, "--format", ("parquet", "csv", "jsonl"), "output format")
    add_choice(export, "--layout", ("tables", "wide"), "three tables, or a column for each key, written incrementally")
    add_value(export, "--out", "FOLDER", "export", "folder to write to")


def _add_changes(names: Any) -> None:
    for name, about in (
        ("delete", "mark runs and experiments as deleted; restore brings them back"),
        ("restore", "bring deleted runs and experiments back"),
    ):
        command = _command(names, name, about, module="store_changes")
        command.add_argument("runs", metavar="RUN", nargs="*", help=_RUN)
        add_list(command, "--experiment", "NAME", "experiment, by name or id, with its runs; may be repeated")
    rename = _command(names, "rename", "rename a run or an experiment", module="store_changes")
    rename.add_argument("run", metavar="RUN", nargs="?", help=_RUN)
    rename.add_argument("new_name", metavar="NEW_NAME", help="the new name")
    rename.add_argument("--experiment", metavar="NAME", help="experiment to rename, by name or id, in place of a run")
    tag = _command(names, "tag", "set and remove tags of a run or an experiment", module="store_changes")
    tags = f"{_RUN}; then the tags to set, which stand alone with --experiment"
    tag.add_argument("tags", metavar="RUN|KEY=VALUE", nargs="*", help=tags)
    tag.add_argument("--experiment", metavar="NAME", help="experiment to tag, by name or id, in place of a run")
    add_list(tag, "--remove", "KEY", "tag to remove; may be repeated")
    tag.set_defaults(run=None)
    about = "rewrite the journal of a store as what the store is now, without what was overwritten"
    compact = _command(names, "compact", about, module="store_changes")
    compact.add_argument(
        "path", metavar="PATH", nargs="?", type=_folder, help="folder of the store; default: that of --store"
    )


def _command(
    names: Any, name: str, about: str, reads: str | None = None, module: str = "store_commands"
) -> argparse.ArgumentParser:
    """Add a command; `reads` says what `--read-only` means to one that does not have to write."""
    parser: argparse.ArgumentParser = names.add_parser(name, help=about)
    store = os.environ.get("MLQUERY_STORE", "runs.mlq")
    parser.add_argument(
        "--store",
        metavar="PATH",
        default=store,
        type=_folder,
        help="folder of the store; default: MLQUERY_STORE, or runs.mlq",
    )
    if reads is not None:
        parser.add_argument("--read-only", action="store_true", help=reads)
    parser.set_defaults(command=_at_first_use(module, f"{name}_command"))
    return parser


def _folder(argument: str) -> str:
    """Return the folder of a store, which its URI may name, too."""
    if not argument.startswith("mlquery:"):
        return argument
    from mlquery.durable.locations import folder_named

    try:
        return str(folder_named(argument))
    except StoreError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _at_first_use(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    """Return a command that is imported when it is called, so that other commands start faster."""

    def run(options: argparse.Namespace) -> int:
        code: int = getattr(import_module(f"mlquery.cli.{module}"), name)(options)
        return code

    return run


def _add_selection(parser: argparse.ArgumentParser) -> None:
    add_list(parser, *_EXPERIMENT)
    parser.add_argument("--filter", metavar="FILTER", default="", help=_FILTER)
