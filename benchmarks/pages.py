"""Times pages of at most 1,000 runs, as entities whose data is read, for the queries Q1 to Q7."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from harness import Report, leave_out, measure
from systems import mlflow_sql, mlquery_store
from workbench import Workbench, command
from workload import Query

TARGET = "page of <= 1,000 entities, data touched"
QUADRATIC = "ordering by a metric is quadratic without statistics: minutes"


def pages(bench: Workbench, report: Report) -> None:
    """Measure the first page of every query on every system."""
    for query in bench.runs.queries.values():
        systems = {name: _touching(search, query) for name, search in searches(bench).items()}
        if query.order_by and bench.size > 10_000 and "MLflow" in systems:
            del systems["MLflow"]
            leave_out(report, query.name, bench.size, "MLflow", QUADRATIC)
        # FastTrackML sorts runs without the metric to the front in ascending order, MLflow to the end. It is timed
        # nevertheless: the work is the same.
        differing = ["FastTrackML"] if query.order_by else []
        measure(report, query.name, bench.size, systems, ids=mlquery_store.run_ids, differing=differing)
        if bench.size <= 100_000:
            report.at_least(TARGET, query.name, bench.size, _peer(query), 50)
            report.at_most(TARGET, query.name, bench.size, "numpy, slot objects", 1.5, 0.1)
    if bench.has_mlflow:
        _judge_mean(report, list(bench.runs.queries.values()))
        _without_collector(bench, report)


def _peer(query: Query) -> str:
    """Return the MLflow that mlquery is compared with: for an order by a metric, the analyzed one."""
    return "MLflow, ANALYZE" if query.order_by else "MLflow"


def searches(bench: Workbench) -> dict[str, Callable[[Query], Any]]:
    """Return how each system, loaded now, searches for a page."""
    store, columns = bench.mlquery, bench.numpy
    found: dict[str, Callable[[Query], Any]] = {
        "mlquery": lambda query: mlquery_store.page(store, query),
        "numpy, slot objects": lambda query: columns.entities(columns.newest(query)),
    }
    if bench.has_mlflow:
        peers = {"MLflow": bench.mlflow, "MLflow, ANALYZE": bench.analyzed, "FastTrackML": bench.fasttrackml}
        found |= {name: partial(mlflow_sql.page, peer) for name, peer in peers.items() if peer is not None}
    return found


def _touching(search: Callable[[Query], Any], query: Query) -> Callable[[], Any]:
    return lambda: mlquery_store.touched(search(query))


def _judge_mean(report: Report, queries: list[Query]) -> None:
    """Check the geometric mean of the ratios of all queries at all numbers of runs so far, instead of the last one."""
    words = ">= 100x MLflow, geometric mean"
    report.verdicts = [verdict for verdict in report.verdicts if verdict.against != words]
    ratios = []
    for runs in dict.fromkeys(figure.runs for figure in report.figures):
        for query in queries:
            peer, mine = (report.median(query.name, runs, system) for system in (_peer(query), "mlquery"))
            if peer and mine:
                ratios.append(peer / mine)
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    report.judge(TARGET, words, "all queries at all sizes", 0, f"{mean:.0f}x", words, mean / 100)


def _without_collector(bench: Workbench, report: Report) -> None:
    """Measure one query without Python's garbage collector, which MLflow's time depends on most."""
    query = bench.runs.queries["Q7"]
    systems = {name: _touching(search, query) for name, search in searches(bench).items() if "ANALYZE" not in name}
    gc.disable()
    try:
        measure(report, "Q7, no collector", bench.size, systems)
    finally:
        gc.enable()


if __name__ == "__main__":
    command("pages", pages)
