"""Times wide exports of a million runs, and of one per cent more runs into the same folder.

Once as calls, in the process that has the runs, and once as commands: each starts Python, opens a store on disk and
imports pyarrow and pandas before it exports anything.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final

from harness import OWN, Report, record
from processes import run_command
from systems import mlquery_store
from workbench import Workbench, command
from workload import Workload, slices, workload

import mlquery
from mlquery.sync.exporting import export

SIZES = (1_000_000,)
FIRST: Final = "the first time"
MORE: Final = "after 1 % more runs"
COMMAND: Final = "mlquery export"
TARGET: Final = "a wide export after 1 % more runs"
_ROUNDS: Final = 3
_LIMIT: Final = 0.05

Export = Callable[[Path], float]
"""Exports into a folder and returns the seconds that it took."""


def exporting(bench: Workbench, report: Report) -> None:
    """Measure calls and commands."""
    hundredth = bench.size // 100
    pieces = slices(workload(bench.size + _ROUNDS * hundredth), hundredth)
    runs, more = list(islice(pieces, 100)), list(pieces)
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        _called(report, bench.size, Path(folder), runs, more)
        _commanded(report, bench.size, Path(folder), runs, more)
    for system in (OWN, COMMAND):
        first, again = (report.median(case, bench.size, system) for case in (FIRST, MORE))
        assert first
        assert again
        share, words = again / first, f"<= {_LIMIT:.0%} of the first"
        name = "as a call" if system == OWN else "as a command"
        report.judge(TARGET, words, name, bench.size, f"{share:.1%}", words, _LIMIT / share)


def _called(report: Report, size: int, folder: Path, runs: list[Workload], more: list[Workload]) -> None:
    store = mlquery_store.empty_store()
    for some in runs:
        mlquery_store.load_into(store, some)

    def exported(to: Path) -> float:
        start = time.perf_counter()
        export(store, to, layout="wide")
        return time.perf_counter() - start

    _measure(report, size, OWN, folder / "called", exported, lambda some: mlquery_store.load_into(store, some), more)


def _commanded(report: Report, size: int, folder: Path, runs: list[Workload], more: list[Workload]) -> None:
    path = folder / "store"

    def add(*pieces: Workload) -> None:
        with mlquery.open(path) as store:
            for some in pieces:
                with store.transaction():
                    mlquery_store.load_into(store, some)

    def exported(to: Path) -> float:
        words = ("-m", "mlquery", "export", "--store", str(path), "--layout", "wide", "--out", str(to))
        return run_command([sys.executable, *words])[0]

    with mlquery.open(path) as store:
        mlquery_store.load_experiments(store)
    add(*runs)
    _measure(report, size, COMMAND, folder / "commanded", exported, add, more)


def _measure(
    report: Report,
    size: int,
    system: str,
    folder: Path,
    exported: Export,
    add: Callable[[Workload], None],
    more: list[Workload],
) -> None:
    record(report, FIRST, size, system, [exported(folder / str(number)) for number in range(_ROUNDS)])
    again = []
    for some in more:
        add(some)
        again.append(exported(folder / "0"))
    record(report, MORE, size, system, again)


if __name__ == "__main__":
    command("exporting", exporting, SIZES)
