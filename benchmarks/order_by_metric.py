"""Times the search for the ten runs with the smallest loss."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from harness import Report, leave_out, measure
from pages import QUADRATIC, searches
from systems import mlquery_store
from workbench import Workbench, command
from workload import Query

TARGET = "order by a metric, top 10"
_QUERY = Query("top 10 by loss", "", ("metrics.loss ASC",), 10)


def order_by_metric(bench: Workbench, report: Report) -> None:
    """Measure the page as entities and, beside Polars and DuckDB, the row ids."""
    systems: dict[str, Callable[[], Any]]
    systems = {name: partial(_touched, search) for name, search in searches(bench).items()}
    store, numpy, polars, duckdb = bench.mlquery, bench.numpy, bench.polars, bench.duckdb
    systems["numpy, slot objects"] = lambda: mlquery_store.touched(numpy.entities(numpy.order_by_metric("loss", 10)))
    if bench.size > 10_000 and "MLflow" in systems:
        del systems["MLflow"]
        leave_out(report, "page", bench.size, "MLflow", QUADRATIC)
    measure(report, "page", bench.size, systems, ids=mlquery_store.run_ids, differing=["FastTrackML"])
    rows = {
        "mlquery": lambda: mlquery_store.rows(store, _QUERY),
        "numpy": lambda: numpy.order_by_metric("loss", 10),
        "Polars": lambda: polars.order_by_metric("loss", 10),
        "DuckDB": lambda: duckdb.order_by_metric("loss", 10),
    }
    measure(report, "row ids", bench.size, rows, ids=numpy.ids)
    if bench.size == 100_000:
        report.at_least(TARGET, "page", bench.size, "MLflow, ANALYZE", 200)
        report.within(TARGET, "page", bench.size, 3)


def _touched(search: Callable[[Query], Any]) -> Any:
    return mlquery_store.touched(search(_QUERY))


if __name__ == "__main__":
    command("order_by_metric", order_by_metric)
