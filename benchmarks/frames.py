"""Times searches that return the DataFrame of `mlflow.search_runs`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from harness import Plan, Report, leave_out, measure
from systems import mlflow_sql, mlquery_store
from workbench import Workbench, command
from workload import Query

TARGET = "DataFrame of 10k and 100k runs"
_MOST = 100_000
# MLflow takes about a millisecond for each run of a frame.
_MANY_FOR_MLFLOW = 10_000


def frames(bench: Workbench, report: Report) -> None:
    """Measure the frame of every query on every system."""
    for query in bench.runs.queries.values():
        most = query.limit if query.order_by else _MOST
        systems = _systems(bench, query, most)
        peer = "MLflow, ANALYZE" if query.order_by and bench.size > 10_000 else "MLflow"
        if bench.has_mlflow and _is_quick_enough(bench, query, most):
            path = bench.analyzed_path if "ANALYZE" in peer else bench.mlflow_path
            systems[peer] = partial(mlflow_sql.frame, f"sqlite:///{path}", query, most)
        elif bench.has_mlflow:
            leave_out(report, query.name, bench.size, peer, "about a millisecond for each run of the frame")
        measure(
            report, query.name, bench.size, systems, ids=lambda frame: frame["run_id"].to_list(), plan=Plan(rounds=7)
        )
        if query.name == "Q7" and bench.size in (10_000, 100_000):
            report.at_least(TARGET, query.name, bench.size, peer, 300)
            report.at_most(TARGET, query.name, bench.size, "numpy", 1.5)


def _systems(bench: Workbench, query: Query, most: int) -> dict[str, Callable[[], Any]]:
    store, numpy, polars, duckdb = bench.mlquery, bench.numpy, bench.polars, bench.duckdb
    return {
        "mlquery": lambda: mlquery_store.frame(store, query, most),
        "numpy": lambda: numpy.frame(numpy.newest(query, most)),
        "Polars": lambda: polars.frame(query, most),
        "DuckDB": lambda: duckdb.frame(query, most),
    }


def _is_quick_enough(bench: Workbench, query: Query, most: int) -> bool:
    """Return whether MLflow is timed: up to 10,000 runs, and for the one frame of 100,000 that has a target."""
    return query.name == "Q7" or len(bench.numpy.rows(query, most)) <= _MANY_FOR_MLFLOW


if __name__ == "__main__":
    command("frames", frames)
