"""Defines the commands about stores on disk and their options."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any, Final

from mlquery.cli import commands
from mlquery.cli.argument_types import count

_FILTER: Final = "filter, such as \"metrics.loss < 0.1 AND params.model = 'forest'\""
_EXPERIMENT: Final = "experiment to use; may be repeated; default: all"
_RUN: Final = "id of a run, its beginning, or a name"


def add_commands(names: Any) -> None:
    """Add the commands of stores on disk to those of `mlquery`."""
    opened = _command(names, "open", "open_command", "open a store on disk, or create it")
    opened.add_argument("path", metavar="PATH", nargs="?", help="folder of the store; default: that of --store")
    _add_reading(names)
    _add_transfers(names)
    repair = _command(names, "repair", "repair_command", "repair a damaged store")
    repair.add_argument("path", metavar="PATH", nargs="?", help="folder of the store; default: that of --store")
    repair.add_argument("--dry-run", action="store_true", help="only show what would be repaired")
    ui = _command(names, "ui", "ui_command", "start MLflow's UI on a store (needs MLflow)")
    ui.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="address to listen on; default: 127.0.0.1")
    ui.add_argument("--port", metavar="N", default="5000", help="port to listen on; default: 5000")


def _add_reading(names: Any) -> None:
    runs = _command(names, "runs", "runs_command", "list the runs of a store, newest first")
    runs.add_argument("filter", metavar="FILTER", nargs="?", default="", help=_FILTER)
    runs.add_argument("--experiment", metavar="NAME", action="append", default=[], help=_EXPERIMENT)
    runs.add_argument(
        "--order-by", metavar="FIELD [ASC|DESC]", action="append", default=[], help="field to order by; may be repeated"
    )
    runs.add_argument(
        "--view",
        choices=list(commands.VIEWS),
        default="active",
        help="runs to show by lifecycle stage; default: active",
    )
    runs.add_argument("--max-results", metavar="N", type=count, default=50, help="maximum number of runs; default: 50")
    runs.add_argument("--format", choices=list(commands.FORMATS), default="table", help="output format; default: table")
    show = _command(names, "show", "show_command", "show all details of a run")
    show.add_argument("run", metavar="RUN", help=_RUN)
    history = _command(names, "history", "history_command", "plot a metric of a run in the terminal")
    history.add_argument("run", metavar="RUN", help=_RUN)
    history.add_argument("metric", metavar="METRIC", help="key of the metric")
    history.add_argument(
        "--format", choices=["plot", "csv", "json"], default="plot", help="output format; default: plot"
    )
    history.add_argument("--by", choices=["step", "time"], default="step", help="horizontal axis; default: step")
    tail = _command(names, "tail", "tail_command", "follow a run until it ends")
    tail.add_argument("run", metavar="RUN", nargs="?", help=f"{_RUN}; default: the newest run")
    tail.add_argument(
        "--lines", metavar="N", type=count, default=10, help="number of points to begin with; default: 10"
    )
    tail.add_argument(
        "--interval", metavar="SECONDS", type=float, default=0.5, help="seconds between reads; default: 0.5"
    )


def _add_transfers(names: Any) -> None:
    pull = _command(names, "pull", "pull_command", "pull runs from another MLflow store")
    pull.add_argument("source", metavar="SOURCE", help="tracking URI, MLflow database, mlruns folder or store")
    _add_choice(pull)
    pull.add_argument("--artifacts", action="store_true", help="copy artifacts too")
    push = _command(names, "push", "push_command", "push new and changed runs to an MLflow server")
    push.add_argument("target", metavar="TARGET", help="tracking URI")
    _add_choice(push)
    push.add_argument("--dry-run", action="store_true", help="only show what would be sent, without any request")
    push.add_argument("--leave-out", action="store_true", help="leave out what exceeds limits of the target")
    push.add_argument("--no-artifacts", action="store_true", help="upload no artifacts")
    push.add_argument("--dialect", metavar="NAME", help="dialect whose limits apply; default: by target")
    export = _command(names, "export", "export_command", "export a store to Parquet, CSV or JSON lines")
    _add_choice(export)
    export.add_argument(
        "--format", choices=["parquet", "csv", "jsonl"], default="parquet", help="output format; default: parquet"
    )
    export.add_argument("--out", metavar="FOLDER", default="export", help="folder to write to; default: export")


def _command(names: Any, name: str, run: str, about: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = names.add_parser(name, help=about)
    store = os.environ.get("MLQUERY_STORE", "runs.mlq")
    parser.add_argument(
        "--store", metavar="PATH", default=store, help="folder of the store; default: MLQUERY_STORE, or runs.mlq"
    )
    parser.set_defaults(command=_at_first_use(run))
    return parser


def _at_first_use(name: str) -> Callable[[argparse.Namespace], int]:
    """Return a command that is imported when it is called, so that other commands start faster."""

    def run(options: argparse.Namespace) -> int:
        from mlquery.cli import store_commands

        code: int = getattr(store_commands, name)(options)
        return code

    return run


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--experiment", metavar="NAME", action="append", default=[], help=_EXPERIMENT)
    parser.add_argument("--filter", metavar="FILTER", default="", help=_FILTER)
