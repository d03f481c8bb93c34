"""Loads all systems with one workload, each at its first use, for every benchmark."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from caching import cache_folder
from harness import Report
from workload import Workload, workload

SIZES = (1_000, 10_000, 100_000, 1_000_000)
# Beyond this, loading MLflow's database takes minutes and a search of it too.
MOST_IN_MLFLOW = 100_000


class Workbench:
    """Systems with the same runs. Databases are cached between benchmarks, because loading them is slow."""

    def __init__(self, size: int, folder: Path | None = None) -> None:
        self.size = size
        self.folder = folder or cache_folder()
        self._open: list[Callable[[], Any]] = []

    @cached_property
    def runs(self) -> Workload:
        return workload(self.size)

    @property
    def has_mlflow(self) -> bool:
        return self.size <= MOST_IN_MLFLOW

    @cached_property
    def mlquery(self) -> Any:
        from systems import mlquery_store

        return self._timed("mlquery", lambda: mlquery_store.load(self.runs))

    @cached_property
    def numpy(self) -> Any:
        from systems.bare_numpy import BareNumpy

        return BareNumpy(self.runs)

    @cached_property
    def _arrow(self) -> Any:
        from systems.tables import arrow_table

        return arrow_table(self.runs)

    @cached_property
    def duckdb(self) -> Any:
        from systems.tables import DuckDB

        return DuckDB(self._arrow)

    @cached_property
    def polars(self) -> Any:
        from systems.tables import Polars

        return Polars(self._arrow)

    @cached_property
    def mlflow_path(self) -> Path:
        from systems import mlflow_sql

        path: Path = self._timed("MLflow's database", lambda: mlflow_sql.load(self.runs, self.folder))
        return path

    @cached_property
    def analyzed_path(self) -> Path:
        from systems import mlflow_sql

        return mlflow_sql.analyzed(self.mlflow_path)

    @cached_property
    def mlflow(self) -> Any:
        """MLflow's store as installed."""
        return self._mlflow_store(self.mlflow_path)

    @cached_property
    def analyzed(self) -> Any:
        """MLflow's store after ANALYZE."""
        return self._mlflow_store(self.analyzed_path)

    @cached_property
    def fasttrackml(self) -> Any:
        """MLflow's REST client of a FastTrackML server, None where the server is not installed."""
        from systems import fasttrackml

        server = self._timed("FastTrackML", lambda: fasttrackml.serve(self.runs, self.folder))
        if server is None:
            return None
        self._open.append(server.stop)
        return server.client

    def _mlflow_store(self, path: Path) -> Any:
        from systems import mlflow_sql

        store = mlflow_sql.empty_store(path)
        self._open.append(store.engine.dispose)
        return store

    def _timed(self, name: str, load: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        loaded = load()
        print(f"  {self.size:>9,} loaded {name} in {time.perf_counter() - start:.1f} s", flush=True)
        return loaded

    def close(self) -> None:
        """Stop servers and close databases."""
        while self._open:
            self._open.pop()()


def command(question: str, measure: Callable[[Workbench, Report], None], sizes: Sequence[int] = SIZES) -> None:
    """Run one benchmark from the command line and save its report.

    A benchmark whose only size is 0 does not depend on a number of runs.
    """
    parser = argparse.ArgumentParser(description=f"Measure: {question}.")
    if any(sizes):
        parser.add_argument("--runs", type=int, nargs="+", default=list(sizes), help="numbers of runs")
    report = Report(question)
    for size in getattr(parser.parse_args(), "runs", sizes):
        bench = Workbench(size)
        try:
            measure(bench, report)
        finally:
            bench.close()
    print_verdicts(report)
    print(f"saved {report.save().name}")


def print_verdicts(report: Report) -> None:
    """Print which targets were met."""
    for one in report.verdicts:
        word = "met   " if one.met else "MISSED"
        print(f"{word} {one.target} {one.against} | {one.case} {one.runs:,} | {one.measured} (allowed {one.allowed})")
