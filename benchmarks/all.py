"""Run every benchmark, one after the other, on the same stores, and write the tables and charts of the README.

    python benchmarks/all.py [--runs 1000 10000 100000 1000000] [--only rows frames] [--render]

`--render` measures nothing and writes tables and charts from the results that are there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import render
from default_order import default_order
from frames import frames
from fresh import fresh
from harness import Report
from histories import histories
from lab import SIZES, Lab, print_verdicts
from memory import memory
from order_by_metric import order_by_metric
from pages import pages
from paging import paging
from parsing import parsing
from rows import rows
from startup import startup
from writes import writes

Question = Callable[[Lab, Report], None]
# Each with the numbers of runs it is asked for; 0 stands for a question that no number of runs belongs to.
QUESTIONS: dict[str, tuple[Question, tuple[int, ...]]] = {
    "pages": (pages, SIZES),
    "rows": (rows, SIZES),
    "default_order": (default_order, (1_000_000,)),
    "order_by_metric": (order_by_metric, SIZES),
    "frames": (frames, SIZES),
    "paging": (paging, SIZES),
    "writes": (writes, (0,)),
    "histories": (histories, (0,)),
    "fresh": (fresh, (0,)),
    "memory": (memory, (100_000, 1_000_000)),
    "parsing": (parsing, (0,)),
    "startup": (startup, (0,)),
}


def main() -> None:
    """Measure what the arguments ask for, save it and write the README."""
    parser = argparse.ArgumentParser(description="Run every benchmark and write the tables of the README.")
    parser.add_argument("--runs", type=int, nargs="*", default=list(SIZES), help="numbers of runs")
    parser.add_argument("--only", nargs="+", choices=list(QUESTIONS), default=list(QUESTIONS), help="benchmarks")
    parser.add_argument("--render", action="store_true", help="write tables and charts from what was measured before")
    arguments = parser.parse_args()
    if not arguments.render:
        measure_all(arguments.only, arguments.runs)
    render.write_readme()
    print(f"wrote {render.README.name}")


def measure_all(names: list[str], sizes: list[int]) -> None:
    """Measure and save; a report is saved when its last number of runs is done."""
    start = time.perf_counter()
    reports = {name: Report(name) for name in names}
    for size in (0, *sorted(sizes)):
        lab = Lab(size)
        try:
            for name in names:
                question, asked = QUESTIONS[name]
                if size in asked:
                    print(f"{name} ({time.perf_counter() - start:.0f} s)", flush=True)
                    question(lab, reports[name])
        finally:
            lab.close()
    for report in reports.values():
        if report.figures:
            report.save()
            print_verdicts(report)


if __name__ == "__main__":
    main()
