"""Times `mlflow.search_runs` for a DataFrame of 10,000 runs, on MLflow's SQLite store and on mlquery.

Both hold the same runs, written into the database directly and read from there into the store; both are asked through
`import mlflow`, so that the time MLflow takes to build the frame is in both figures. Run it with

    python benchmarks/plugin_frame.py [runs] [metrics params tags of a run]

The default is what autologging of scikit-learn writes: 7 metrics, 14 params, 8 tags.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import mlflow

from mlquery.mlflow_plugin import register, uris
from mlquery.readers import load

ROUNDS = 3
TARGET = 5


def make_database(path: Path, runs: int, metrics: int, params: int, tags: int) -> str:
    """Write an experiment with runs and return its id."""
    experiment_id: str = mlflow.MlflowClient(f"sqlite:///{path}").create_experiment("many")
    rng = random.Random(1)
    ids = [f"{rng.getrandbits(128):032x}" for _ in range(runs)]
    starts = [1_700_000_000_000 + 1000 * number for number in range(runs)]
    with sqlite3.connect(path) as database:
        _insert(
            database,
            "runs (run_uuid, name, source_type, user_id, status, start_time, end_time, lifecycle_stage, artifact_uri,"
            " experiment_id)",
            [
                (i, f"run {t}", "UNKNOWN", "ann", "FINISHED", t, t + 500, "active", f"memory:{i}", experiment_id)
                for i, t in zip(ids, starts, strict=True)
            ],
        )
        for key in range(metrics):
            points = [(f"metric {key}", rng.random(), 5, 0, False, run_id) for run_id in ids]
            for table in ("metrics", "latest_metrics"):
                _insert(database, f"{table} (key, value, timestamp, step, is_nan, run_uuid)", points)
        for table, count in (("params", params), ("tags", tags)):
            for key in range(count):
                rows = [(f"{table} {key}", str(rng.randrange(9)), run_id) for run_id in ids]
                _insert(database, f"{table} (key, value, run_uuid)", rows)
    database.close()
    return experiment_id


def _insert(database: sqlite3.Connection, into: str, rows: Sequence[tuple[object, ...]]) -> None:
    marks = ", ".join("?" * len(rows[0]))
    database.executemany(f"INSERT INTO {into} VALUES ({marks})", rows)


def best_time(uri: str, experiment_id: str, runs: int) -> float:
    """Return the shortest time in seconds of a few calls."""
    mlflow.set_tracking_uri(uri)
    spent = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        frame = mlflow.search_runs([experiment_id], max_results=runs)
        spent.append(time.perf_counter() - start)
        assert len(frame) == runs
    return min(spent)


def main() -> None:
    """Measure both and print the figures."""
    logging.disable(logging.CRITICAL)
    runs, *shape = [int(argument) for argument in sys.argv[1:]] or [10_000]
    metrics, params, tags = shape or (7, 14, 8)
    register()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        experiment_id = make_database(path, runs, metrics, params, tags)
        own = best_time(uris.new_private(uris.new_backend(store=load(path))), experiment_id, runs)
        theirs = best_time(f"sqlite:///{path}", experiment_id, runs)
    print(f"{runs} runs of {metrics} metrics, {params} params, {tags} tags, as a DataFrame")
    print(f"SQLite  {theirs:7.2f} s")
    print(f"mlquery {own:7.2f} s   {theirs / own:.1f} times faster; at least {TARGET} are asked for")


if __name__ == "__main__":
    main()
