"""How long does a search that returns the DataFrame of `mlflow.search_runs` take?"""

from __future__ import annotations

from typing import Any

from harness import Plan, Report, leave_out, measure
from lab import Lab, command, require_same
from systems import mlflow_sql, own

TARGET = "DataFrame of 10k and 100k runs"
# Rows that MLflow turns into a frame in the time it is given here; it takes about 1 ms for each.
_MOST_ROWS_OF_MLFLOW = 110_000
_MOST = 100_000


def frames(lab: Lab, report: Report) -> None:
    """Measure the frame of every query on every system."""
    for query in lab.runs.queries.values():
        found = lab.numpy.rows(query, _MOST if not query.order_by else query.limit)
        limit = query.limit if query.order_by else _MOST
        systems = {
            "mlquery": lambda q=query, k=limit: own.frame(lab.own, q, k),
            "numpy": lambda q=query, k=limit: lab.numpy.frame(lab.numpy.newest(q, k)),
            "Polars": lambda q=query, k=limit: lab.polars.frame(q, k),
            "DuckDB": lambda q=query, k=limit: lab.duckdb.frame(q, k),
        }
        require_same(query.name, {name: _ids(call()) for name, call in systems.items()})
        peer = "MLflow, ANALYZE" if query.order_by and lab.size > 10_000 else "MLflow"
        if lab.has_mlflow and _is_worth_it(query.name, len(found)):
            path = lab.analyzed_path if "ANALYZE" in peer else lab.mlflow_path
            uri = f"sqlite:///{path}"
            systems[peer] = lambda q=query, k=limit, u=uri: mlflow_sql.frame(u, q, k)
            if len(found) <= 10_000:
                require_same(query.name, {name: _ids(systems[name]()) for name in ("mlquery", peer)})
        elif lab.has_mlflow:
            leave_out(report, query.name, lab.size, "MLflow", f"{len(found):,} runs take it a minute")
        measure(report, query.name, lab.size, systems, Plan(rounds=7))
        if query.name == "Q7" and lab.size in (10_000, 100_000):
            report.at_least(TARGET, query.name, lab.size, peer, 300)
            report.at_most(TARGET, query.name, lab.size, "numpy", 1.5)


def _ids(frame: Any) -> list[str]:
    return frame["run_id"].to_list()


def _is_worth_it(case: str, found: int) -> bool:
    """Return whether MLflow is asked: always up to 10,000 runs, and for the one frame of 100,000 of the target."""
    return found <= 10_000 or case == "Q7"


if __name__ == "__main__":
    command("frames", frames)
