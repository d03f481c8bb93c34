"""How long does a page of at most 1,000 runs take, as entities whose data is read? Q1 to Q7."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from typing import Any

from harness import Report, leave_out, measure
from lab import Lab, command
from systems import mlflow_sql, own
from workload import Query

TARGET = "page of <= 1,000 entities, data touched"
QUADRATIC = "ordering by a metric is quadratic without statistics: minutes"


def pages(lab: Lab, report: Report) -> None:
    """Measure the first page of every query on every system."""
    for query in lab.runs.queries.values():
        systems = {name: _touching(search, query) for name, search in searches(lab).items()}
        if query.order_by and lab.size > 10_000 and "MLflow" in systems:
            del systems["MLflow"]
            leave_out(report, query.name, lab.size, "MLflow", QUADRATIC)
        # FastTrackML sorts runs without the metric to the front in ascending order, MLflow to the end. It is timed all
        # the same: it does the same work for another answer.
        differing = ["FastTrackML"] if query.order_by else []
        measure(report, query.name, lab.size, systems, ids=own.run_ids, differing=differing)
        if lab.size <= 100_000:
            report.at_least(TARGET, query.name, lab.size, _peer(query), 50)
            report.at_most(TARGET, query.name, lab.size, "numpy, slot objects", 1.5, 0.1)
    if lab.has_mlflow:
        _judge_mean(report, list(lab.runs.queries.values()))
        _without_collector(lab, report)


def _peer(query: Query) -> str:
    """Return which MLflow mlquery is held against: where it has to order by a metric, the one that is fit for it."""
    return "MLflow, ANALYZE" if query.order_by else "MLflow"


def searches(lab: Lab) -> dict[str, Callable[[Query], Any]]:
    """Return how each system, loaded now, searches for a page."""
    store, columns = lab.own, lab.numpy
    found: dict[str, Callable[[Query], Any]] = {
        "mlquery": lambda query: own.page(store, query),
        "numpy, slot objects": lambda query: columns.entities(columns.newest(query)),
    }
    if lab.has_mlflow:
        peers = {"MLflow": lab.mlflow, "MLflow, ANALYZE": lab.analyzed, "FastTrackML": lab.fasttrackml}
        found |= {
            name: lambda query, p=peer: mlflow_sql.page(p, query) for name, peer in peers.items() if peer is not None
        }
    return found


def _touching(search: Callable[[Query], Any], query: Query) -> Callable[[], Any]:
    return lambda: own.touched(search(query))


def _judge_mean(report: Report, queries: list[Query]) -> None:
    """Judge the geometric mean of the ratios of all queries at all numbers of runs so far, in place of the last one."""
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


def _without_collector(lab: Lab, report: Report) -> None:
    """Measure one query with Python's collector switched off, which MLflow's time depends on more than on anything."""
    query = lab.runs.queries["Q7"]
    systems = {name: _touching(search, query) for name, search in searches(lab).items() if "ANALYZE" not in name}
    gc.disable()
    try:
        measure(report, "Q7, no collector", lab.size, systems)
    finally:
        gc.enable()


if __name__ == "__main__":
    command("pages", pages)
