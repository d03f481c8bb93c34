"""Times the first page in default order on a store, and on one with a tenth of its runs."""

from __future__ import annotations

from harness import Plan, Report, measure
from systems import mlquery_store
from workbench import Workbench, command

TARGET = "first page in default order, ten times the runs"
_PLAN = Plan(rounds=25)


def default_order(bench: Workbench, report: Report) -> None:
    """Measure first pages on a store and, in the same rounds, on one with a tenth of its runs."""
    large, small = bench.mlquery, Workbench(bench.size // 10, bench.folder).mlquery
    for query in (bench.runs.queries[name] for name in ("Q7", "Q1")):
        for what, search in (("page", mlquery_store.page), ("row ids", mlquery_store.rows)):
            case = f"{query.name}, {what}"
            systems = {
                "mlquery": lambda s=search, q=query: s(large, q),
                "mlquery, a tenth of the runs": lambda s=search, q=query: s(small, q),
            }
            measure(report, case, bench.size, systems, plan=_PLAN)
            if bench.size == 1_000_000:
                _judge(report, case, bench.size)


def _judge(report: Report, case: str, runs: int) -> None:
    after, before = report.median(case, runs, "mlquery"), report.median(case, runs, "mlquery, a tenth of the runs")
    if after and before:
        words = "<= 1.5x that of a tenth of the runs"
        report.judge(TARGET, words, case, runs, f"{after / before:.2f}x", words, 1.5 * before / after)


if __name__ == "__main__":
    command("default_order", default_order, sizes=(100_000, 1_000_000))
