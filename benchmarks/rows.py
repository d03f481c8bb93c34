"""How long do filter, order and cut take, row ids only? Q1 to Q7 beside numpy, Polars and DuckDB."""

from __future__ import annotations

from harness import Report, measure
from lab import Lab, command, require_same
from systems import own

TARGET = "filter + order + top-k row ids"


def rows(lab: Lab, report: Report) -> None:
    """Measure the row ids of the first page of every query."""
    for query in lab.runs.queries.values():
        systems = {
            "mlquery": lambda q=query: own.rows(lab.own, q),
            "numpy, all rows": lambda q=query: lab.numpy.rows(q),
            "numpy, newest first": lambda q=query: lab.numpy.newest(q),
            "Polars": lambda q=query: lab.polars.rows(q),
            "DuckDB": lambda q=query: lab.duckdb.rows(q),
        }
        require_same(query.name, {name: lab.numpy.ids(call()) for name, call in systems.items()})
        measure(report, query.name, lab.size, systems)
        if lab.size >= 100_000:
            report.at_most(TARGET, query.name, lab.size, "numpy, all rows", 2, 0.05)
        if lab.size == 100_000:
            for peer in ("Polars", "DuckDB"):
                report.at_least(TARGET, query.name, lab.size, peer, 1)


if __name__ == "__main__":
    command("rows", rows)
