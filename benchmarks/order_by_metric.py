"""How long does it take to find the ten runs with the smallest loss?"""

from __future__ import annotations

from harness import Report, leave_out, measure
from lab import Lab, command
from pages import QUADRATIC, searches
from systems import own
from workload import Query

TARGET = "order by a metric, top 10"
_QUERY = Query("top 10 by loss", "", ("metrics.loss ASC",), 10)


def order_by_metric(lab: Lab, report: Report) -> None:
    """Measure the page as entities and, beside Polars and DuckDB, the row ids."""
    systems = {name: lambda s=search: own.touched(s(_QUERY)) for name, search in searches(lab).items()}
    store, numpy, polars, duckdb = lab.own, lab.numpy, lab.polars, lab.duckdb
    systems["numpy, slot objects"] = lambda: own.touched(numpy.entities(numpy.order_by_metric("loss", 10)))
    if lab.size > 10_000 and "MLflow" in systems:
        del systems["MLflow"]
        leave_out(report, "page", lab.size, "MLflow", QUADRATIC)
    measure(report, "page", lab.size, systems, ids=own.run_ids, differing=["FastTrackML"])
    rows = {
        "mlquery": lambda: own.rows(store, _QUERY),
        "numpy": lambda: numpy.order_by_metric("loss", 10),
        "Polars": lambda: polars.order_by_metric("loss", 10),
        "DuckDB": lambda: duckdb.order_by_metric("loss", 10),
    }
    measure(report, "row ids", lab.size, rows, ids=numpy.ids)
    if lab.size == 100_000:
        report.at_least(TARGET, "page", lab.size, "MLflow, ANALYZE", 200)
        report.within(TARGET, "page", lab.size, 3)


if __name__ == "__main__":
    command("order_by_metric", order_by_metric)
