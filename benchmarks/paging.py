"""How long does it take to read all runs in pages of 1,000, as entities whose data is read? Q8."""

from __future__ import annotations

from functools import partial

from harness import Plan, Report, leave_out, measure
from lab import Lab, command
from systems import mlflow_sql, own
from systems.bare_numpy import BareNumpy
from workload import Query

TARGET = "all pages of 1,000"
_QUERY = Query("Q8", "")


def paging(lab: Lab, report: Report) -> None:
    """Measure all pages on every system."""
    store, columns = lab.own, lab.numpy
    systems = {
        "mlquery": lambda: own.all_pages(partial(own.next_page, store), _QUERY),
        "numpy, slot objects": lambda: _numpy_pages(columns),
    }
    if lab.has_mlflow:
        peer = partial(mlflow_sql.next_page, lab.mlflow)
        systems["MLflow"] = lambda: own.all_pages(peer, _QUERY)
        if lab.size >= 10_000:
            leave_out(report, "Q8", lab.size, "FastTrackML", "it refuses its own page tokens from 10,000 on")
        elif lab.fasttrackml is not None:
            client = partial(mlflow_sql.next_page, lab.fasttrackml)
            systems["FastTrackML"] = lambda: own.all_pages(client, _QUERY)
    measure(report, "Q8", lab.size, systems, ids=list, plan=Plan(rounds=5))
    if lab.size in (10_000, 100_000):
        report.at_least(TARGET, "Q8", lab.size, "MLflow", 100)
        report.at_most(TARGET, "Q8", lab.size, "numpy, slot objects", 1.5)


def _numpy_pages(columns: BareNumpy) -> list[str]:
    order, found = columns.order, []
    for start in range(0, len(order), 1000):
        found += own.run_ids(own.touched(columns.entities(order[start : start + 1000])))
    return found


if __name__ == "__main__":
    command("paging", paging)
