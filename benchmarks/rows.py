"""Times filter, order and limit, with row ids only, for Q1 to Q7 beside numpy, Polars and DuckDB."""

from __future__ import annotations

from harness import Report, measure
from systems import mlquery_store
from workbench import Workbench, command

TARGET = "filter + order + top-k row ids"


def rows(bench: Workbench, report: Report) -> None:
    """Measure the row ids of the first page of every query."""
    store, numpy, polars, duckdb = bench.mlquery, bench.numpy, bench.polars, bench.duckdb
    for query in bench.runs.queries.values():
        systems = {
            "mlquery": lambda q=query: mlquery_store.rows(store, q),
            "numpy, all rows": lambda q=query: numpy.rows(q),
            "numpy, newest first": lambda q=query: numpy.newest(q),
            "Polars": lambda q=query: polars.rows(q),
            "DuckDB": lambda q=query: duckdb.rows(q),
        }
        measure(report, query.name, bench.size, systems, ids=numpy.ids)
        if bench.size >= 100_000:
            report.at_most(TARGET, query.name, bench.size, "numpy, all rows", 2, 0.05)
        if bench.size == 100_000:
            for peer in ("Polars", "DuckDB"):
                report.at_least(TARGET, query.name, bench.size, peer, 1)


if __name__ == "__main__":
    command("rows", rows)
