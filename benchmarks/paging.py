"""Times the reading of all runs in pages of 1,000, as entities whose data is read (Q8)."""

from __future__ import annotations

from functools import partial

from harness import Plan, Report, leave_out, measure
from systems import mlflow_sql, mlquery_store
from systems.bare_numpy import BareNumpy
from workbench import Workbench, command
from workload import Query

TARGET = "all pages of 1,000"
_QUERY = Query("Q8", "")


def paging(bench: Workbench, report: Report) -> None:
    """Measure all pages on every system."""
    store, columns = bench.mlquery, bench.numpy
    systems = {
        "mlquery": lambda: mlquery_store.all_pages(partial(mlquery_store.next_page, store), _QUERY),
        "numpy, slot objects": lambda: _numpy_pages(columns),
    }
    if bench.has_mlflow:
        peer = partial(mlflow_sql.next_page, bench.mlflow)
        systems["MLflow"] = lambda: mlquery_store.all_pages(peer, _QUERY)
        if bench.size >= 10_000:
            leave_out(report, "Q8", bench.size, "FastTrackML", "it refuses its own page tokens from 10,000 on")
        elif bench.fasttrackml is not None:
            client = partial(mlflow_sql.next_page, bench.fasttrackml)
            systems["FastTrackML"] = lambda: mlquery_store.all_pages(client, _QUERY)
    measure(report, "Q8", bench.size, systems, ids=list, plan=Plan(rounds=5))
    if bench.size in (10_000, 100_000):
        report.at_least(TARGET, "Q8", bench.size, "MLflow", 100)
        report.at_most(TARGET, "Q8", bench.size, "numpy, slot objects", 1.5)


def _numpy_pages(columns: BareNumpy) -> list[str]:
    order, found = columns.order, []
    for start in range(0, len(order), 1000):
        found += mlquery_store.run_ids(mlquery_store.touched(columns.entities(order[start : start + 1000])))
    return found


if __name__ == "__main__":
    command("paging", paging)
