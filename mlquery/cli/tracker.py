"""What can be typed after `mlquery` about stores on disk: their commands and options."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any, Final

from mlquery.cli import commands

_FILTER: Final = "a filter such as \"metrics.loss < 0.1 AND params.model = 'forest'\""
_EXPERIMENT: Final = "may be repeated; default: all experiments"
_RUN: Final = "an id, the beginning of one, or a name"


def add_commands(names: Any) -> None:
    """Add the commands of stores on disk to those of `mlquery`."""
    opened = _command(names, "open", "open_command", "open a store on disk, make it if it is not there")
    opened.add_argument("path", metavar="PATH", nargs="?", help="the folder; default: that of --store")
    _add_looking(names)
    _add_moving(names)
    repair = _command(names, "repair", "repair_command", "save what can be saved of a damaged store")
    repair.add_argument("path", metavar="PATH", nargs="?", help="the folder; default: that of --store")
    repair.add_argument("--dry-run", action="store_true", help="only say what would be saved")
    ui = _command(names, "ui", "ui_command", "start MLflow's own UI on a store (needs MLflow)")
    ui.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="default: 127.0.0.1")
    ui.add_argument("--port", metavar="N", default="5000", help="default: 5000")


def _add_looking(names: Any) -> None:
    runs = _command(names, "runs", "runs_command", "list the runs of a store, the newest first")
    runs.add_argument("filter", metavar="FILTER", nargs="?", default="", help=_FILTER)
    runs.add_argument("--experiment", metavar="NAME", action="append", default=[], help=_EXPERIMENT)
    runs.add_argument("--order-by", metavar="FIELD [ASC|DESC]", action="append", default=[], help="may be repeated")
    runs.add_argument("--view", choices=list(commands.VIEWS), default="active", help="default: active")
    runs.add_argument("--max-results", metavar="N", type=_count, default=50, help="stop after N runs; default: 50")
    runs.add_argument("--format", choices=list(commands.FORMATS), default="table", help="default: table")
    show = _command(names, "show", "show_command", "show all that is known of a run")
    show.add_argument("run", metavar="RUN", help=_RUN)
    history = _command(names, "history", "history_command", "plot a metric of a run in the terminal")
    history.add_argument("run", metavar="RUN", help=_RUN)
    history.add_argument("metric", metavar="METRIC")
    history.add_argument("--format", choices=["plot", "csv", "json"], default="plot", help="default: plot")
    history.add_argument("--by", choices=["step", "time"], default="step", help="what is across; default: step")
    tail = _command(names, "tail", "tail_command", "follow a run while it is logged, until it ends")
    tail.add_argument("run", metavar="RUN", nargs="?", help=f"{_RUN}; default: the newest run")
    tail.add_argument(
        "--lines", metavar="N", type=_count, default=10, help="how many points to begin with; default: 10"
    )
    tail.add_argument("--interval", metavar="SECONDS", type=float, default=0.5, help="between looks; default: 0.5")


def _add_moving(names: Any) -> None:
    pull = _command(names, "pull", "pull_command", "take over runs from another MLflow store")
    pull.add_argument("source", metavar="SOURCE", help="a tracking URI, an MLflow database, an mlruns folder, a store")
    _add_choice(pull)
    pull.add_argument("--artifacts", action="store_true", help="copy artifacts and models' files too")
    push = _command(names, "push", "push_command", "send what is new to an MLflow server")
    push.add_argument("target", metavar="TARGET", help="a tracking URI")
    _add_choice(push)
    push.add_argument("--dry-run", action="store_true", help="only say what would be sent; nobody is asked")
    push.add_argument("--leave-out", action="store_true", help="send the rest where parts do not fit")
    push.add_argument("--no-artifacts", action="store_true", help="send no files")
    push.add_argument("--dialect", metavar="NAME", help="whose limits hold; default: as the URI says")
    export = _command(names, "export", "export_command", "write Parquet, CSV or JSON lines")
    _add_choice(export)
    export.add_argument("--format", choices=["parquet", "csv", "jsonl"], default="parquet", help="default: parquet")
    export.add_argument("--out", metavar="FOLDER", default="export", help="default: export")


def _command(names: Any, name: str, run: str, about: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = names.add_parser(name, help=about)
    store = os.environ.get("MLQUERY_STORE", "runs.mlq")
    parser.add_argument("--store", metavar="PATH", default=store, help="default: MLQUERY_STORE, or runs.mlq")
    parser.set_defaults(command=_at_first_use(run))
    return parser


def _at_first_use(name: str) -> Callable[[argparse.Namespace], int]:
    """Return a command that is loaded when it is called: the others need not wait for what it needs."""

    def run(options: argparse.Namespace) -> int:
        from mlquery.cli import tracker_commands

        code: int = getattr(tracker_commands, name)(options)
        return code

    return run


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--experiment", metavar="NAME", action="append", default=[], help=_EXPERIMENT)
    parser.add_argument("--filter", metavar="FILTER", default="", help=_FILTER)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)
