"""Run every benchmark, one after the other, on the same stores, and write the tables and charts of the README.

    python benchmarks/all.py [--runs 1000 10000 100000 1000000 10000000] [--only rows frames] [--render]

`--render` measures nothing and writes tables and charts from the results that are there.
"""

from __future__ import annotations

import argparse
import time
import traceback
from collections.abc import Callable
from contextlib import closing

import render
from comparison import comparison
from default_order import default_order
from engines import SIZES as ENGINE_SIZES
from engines import engines
from engines_memory import SIZES as ENGINE_MEMORY_SIZES
from engines_memory import engines_memory
from exporting import SIZES as EXPORTING_SIZES
from exporting import exporting
from exports import SIZES as EXPORT_SIZES
from exports import exports
from exports_memory import exports_memory
from frames import frames
from fresh import fresh
from harness import RESULTS, Report
from histories import histories
from history_functions import history_functions
from lint import lint
from live_page import live_page
from memory import memory
from order_by_metric import order_by_metric
from pages import pages
from paging import paging
from parsing import parsing
from remote import SIZES as REMOTE_SIZES
from remote import remote
from rows import rows
from startup import startup
from ui import SIZES as UI_SIZES
from ui import ui
from workbench import SIZES, Workbench, print_verdicts
from writes import writes

Question = Callable[[Workbench, Report], None]
# Each benchmark with its numbers of runs; 0 for one that does not depend on a number of runs.
QUESTIONS: dict[str, tuple[Question, tuple[int, ...]]] = {
    "pages": (pages, SIZES),
    "rows": (rows, SIZES),
    "default_order": (default_order, (1_000_000,)),
    "order_by_metric": (order_by_metric, SIZES),
    "frames": (frames, SIZES),
    "paging": (paging, SIZES),
    "writes": (writes, (0,)),
    "histories": (histories, (0,)),
    "history_functions": (history_functions, (0,)),
    "comparison": (comparison, (0,)),
    "live_page": (live_page, (100_000,)),
    "engines": (engines, ENGINE_SIZES),
    "engines_memory": (engines_memory, ENGINE_MEMORY_SIZES),
    "ui": (ui, UI_SIZES),
    "exports": (exports, EXPORT_SIZES),
    "exports_memory": (exports_memory, EXPORT_SIZES),
    "exporting": (exporting, EXPORTING_SIZES),
    "fresh": (fresh, (0,)),
    "memory": (memory, (100_000, 1_000_000)),
    "parsing": (parsing, (0,)),
    "lint": (lint, (0,)),
    "remote": (remote, REMOTE_SIZES),
    "startup": (startup, (0,)),
}


def main() -> None:
    """Run the benchmarks that the arguments name, save the reports and write the README; fail if a benchmark failed."""
    parser = argparse.ArgumentParser(description="Run every benchmark and write the tables of the README.")
    parser.add_argument("--runs", type=int, nargs="*", default=_all_sizes(), help="numbers of runs")
    parser.add_argument("--only", nargs="+", choices=list(QUESTIONS), default=list(QUESTIONS), help="benchmarks")
    parser.add_argument("--render", action="store_true", help="write tables and charts from what was measured before")
    arguments = parser.parse_args()
    failed = set() if arguments.render else measure_all(arguments.only, arguments.runs)
    render.write_readme()
    print(f"wrote {render.README.name}")
    if failed:
        raise SystemExit(f"failed, and not on the page: {', '.join(sorted(failed))}")


def _all_sizes() -> list[int]:
    return sorted({size for _, sizes in QUESTIONS.values() for size in sizes if size})


def measure_all(names: list[str], sizes: list[int]) -> set[str]:
    """Measure, save each report with its last number of runs, and return the names of those that failed.

    What was measured before goes first, so that nothing of it stays beside what is new.
    """
    start = time.perf_counter()
    reports = {name: Report(name) for name in names}
    asked = {name: [size for size in (0, *sorted(sizes)) if size in QUESTIONS[name][1]] for name in names}
    for name in names:
        (RESULTS / f"{name}.json").unlink(missing_ok=True)
    failed: set[str] = set()
    for size in (0, *sorted(sizes)):
        with closing(Workbench(size)) as bench:
            for name in (name for name in names if size in asked[name] and name not in failed):
                print(f"{name} ({time.perf_counter() - start:.0f} s)", flush=True)
                failed |= _failed(name, bench, reports[name])
                if size == asked[name][-1] and name not in failed:
                    reports[name].save()
    for report in reports.values():
        print_verdicts(report)
    return failed


def _failed(name: str, bench: Workbench, report: Report) -> set[str]:
    """Run a benchmark; a failure does not stop the others."""
    try:
        QUESTIONS[name][0](bench, report)
    except Exception:
        traceback.print_exc()
        return {name}
    return set()


if __name__ == "__main__":
    main()
