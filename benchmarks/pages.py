"""How long does a page of at most 1,000 runs take, as entities whose data is read? Q1 to Q7."""

from __future__ import annotations

import math

from harness import Report, leave_out, measure
from lab import Lab, command, require_same
from systems import mlflow_sql, own

TARGET = "page of <= 1,000 entities, data touched"
# FastTrackML 0.6 sorts runs without the metric to the front in ascending order, MLflow to the end. It is timed there
# all the same: it does the same work for another answer.
_QUADRATIC = "ordering by a metric is quadratic without statistics: minutes"


def pages(lab: Lab, report: Report) -> None:
    """Measure the first page of every query on every system."""
    for query in lab.runs.queries.values():
        systems = {"mlquery": lambda q=query: own.page(lab.own, q)}
        systems["numpy, slot objects"] = lambda q=query: lab.numpy.entities(lab.numpy.newest(q))
        if lab.has_mlflow:
            systems |= {
                "MLflow": lambda q=query: mlflow_sql.page(lab.mlflow, q),
                "MLflow, ANALYZE": lambda q=query: mlflow_sql.page(lab.analyzed, q),
            }
            if lab.fasttrackml is not None:
                systems["FastTrackML"] = lambda q=query: mlflow_sql.page(lab.fasttrackml, q)
        if query.order_by and lab.size > 10_000 and "MLflow" in systems:
            del systems["MLflow"]
            leave_out(report, query.name, lab.size, "MLflow", _QUADRATIC)
        comparable = {name: call for name, call in systems.items() if not (query.order_by and name == "FastTrackML")}
        require_same(query.name, {name: _ids(call()) for name, call in comparable.items()})
        touched = {name: lambda c=call: own.touch(c()) for name, call in systems.items()}
        measure(report, query.name, lab.size, touched)
        _judge(report, query.name, lab.size)
    _judge_mean(report, lab.size, list(lab.runs.queries))


def _ids(found: list) -> list[str]:
    return [run.info.run_id for run in found]


def _judge(report: Report, case: str, runs: int) -> None:
    peer = "MLflow" if report.median(case, runs, "MLflow") else "MLflow, ANALYZE"
    report.at_least(TARGET, case, runs, peer, 50)
    report.at_most(TARGET, case, runs, "numpy, slot objects", 1.5, 0.1)


def _judge_mean(report: Report, runs: int, cases: list[str]) -> None:
    """Judge the geometric mean of the ratios; the median of MLflow after ANALYZE where it was not run as installed."""
    ratios = []
    for case in cases:
        peer = report.median(case, runs, "MLflow") or report.median(case, runs, "MLflow, ANALYZE")
        mine = report.median(case, runs, "mlquery")
        if peer and mine:
            ratios.append(peer / mine)
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        report.judge(TARGET, "geometric mean", runs, f"{mean:.0f}x", ">= 100x MLflow", mean >= 100)


if __name__ == "__main__":
    command("pages", pages)
