"""How long do filter, order and cut take, row ids only? Q1 to Q7 beside numpy, Polars and DuckDB."""

from __future__ import annotations

from harness import Report, measure
from lab import Lab, command
from systems import own

TARGET = "filter + order + top-k row ids"


def rows(lab: Lab, report: Report) -> None:
    """Measure the row ids of the first page of every query."""
    store, numpy, polars, duckdb = lab.own, lab.numpy, lab.polars, lab.duckdb
    for query in lab.runs.queries.values():
        systems = {
            "mlquery": lambda q=query: own.rows(store, q),
            "numpy, all rows": lambda q=query: numpy.rows(q),
            "numpy, newest first": lambda q=query: numpy.newest(q),
            "Polars": lambda q=query: polars.rows(q),
            "DuckDB": lambda q=query: duckdb.rows(q),
        }
        measure(report, query.name, lab.size, systems, ids=numpy.ids)
        if lab.size >= 100_000:
            report.at_most(TARGET, query.name, lab.size, "numpy, all rows", 2, 0.05)
        if lab.size == 100_000:
            for peer in ("Polars", "DuckDB"):
                report.at_least(TARGET, query.name, lab.size, peer, 1)


if __name__ == "__main__":
    command("rows", rows)
