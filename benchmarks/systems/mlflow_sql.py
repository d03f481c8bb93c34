"""MLflow on a SQLite file: a workload written into MLflow's own schema, searched through MLflow's own store."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from itertools import chain
from pathlib import Path
from typing import Any

from workload import ABSENT, EXPERIMENTS, NAN, Numbers, Query, Workload, artifact_root

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_ENABLE_ASYNC_LOGGING", "false")

ALL = list(EXPERIMENTS)
_COLUMNS = (
    *("run_uuid", "name", "source_type", "source_name", "entry_point_name", "user_id", "status", "start_time"),
    *("end_time", "source_version", "lifecycle_stage", "artifact_uri", "experiment_id"),
)


def quiet() -> None:
    """Keep MLflow's and alembic's messages off the screen."""
    for name in ("mlflow", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.ERROR)


def empty_store(path: Path) -> Any:
    """Return MLflow's store on a new file."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    quiet()
    return SqlAlchemyStore(f"sqlite:///{path}", str(path.with_suffix(".artifacts")))


def load(runs: Workload, folder: Path) -> Path:
    """Return a database with the runs of a workload, made now unless the folder has it."""
    path = folder / f"mlflow-{runs.size}-{runs.digest()}.db"
    if not path.exists():
        building = path.with_suffix(".building")
        building.unlink(missing_ok=True)
        empty_store(building).engine.dispose()
        _write(runs, building)
        building.rename(path)
    return path


def analyzed(path: Path) -> Path:
    """Return a copy of a database for whose tables SQLite has statistics."""
    copy = path.with_suffix(".analyzed.db")
    if not copy.exists():
        building = path.with_suffix(".building")
        shutil.copy(path, building)
        connection = sqlite3.connect(building)
        connection.execute("ANALYZE")
        connection.commit()
        connection.close()
        building.rename(copy)
    return copy


def _write(runs: Workload, path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    connection.executemany(
        "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, "
        "last_update_time) VALUES (?, ?, ?, 'active', 0, 0)",
        [(int(number), f"experiment {number}", artifact_root(number)) for number in EXPERIMENTS],
    )
    for table, columns, rows in chain([("runs", _COLUMNS, run_rows(runs))], text_tables(runs), metric_tables(runs)):
        places = ", ".join("?" * len(columns))
        connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)
    connection.commit()
    connection.close()


def run_rows(runs: Workload) -> Any:
    """Yield the rows of MLflow's table of runs."""
    columns = zip(
        runs.run_ids, runs.run_names, runs.users, runs.statuses, runs.start_times.tolist(), runs.end_times.tolist(),
        runs.experiments, strict=True,
    )  # fmt: skip
    for run_id, name, user, status, start, end, experiment in columns:
        uri = f"{artifact_root(experiment)}/{run_id}/artifacts"
        ended = None if end < 0 else end
        yield (
            *(run_id, name, "UNKNOWN", "", "", user, status, start, ended, "", "active"),
            *(uri, int(experiment)),
        )


def text_tables(runs: Workload) -> Any:
    """Yield the rows of the tables of params and tags."""
    for table, columns in (("params", runs.params), ("tags", runs.all_tags())):
        for key, column in columns.items():
            rows = zip([key] * runs.size, column, runs.run_ids, strict=True)
            yield table, ("key", "value", "run_uuid"), rows


def metric_tables(runs: Workload) -> Any:
    """Yield the rows of the tables of metrics, one point each."""
    columns = ("key", "value", "timestamp", "step", "is_nan", "run_uuid")
    for table in ("metrics", "latest_metrics"):
        for key, metric in runs.metrics.items():
            yield table, columns, _points(runs, key, metric)


def _points(runs: Workload, key: str, metric: Numbers) -> Any:
    columns = (runs.run_ids, metric.values.tolist(), metric.states.tolist(), runs.start_times.tolist())
    for run_id, value, state, start in zip(*columns, strict=True):
        if state != ABSENT:
            yield key, 0.0 if state == NAN else value, start, 1, int(state == NAN), run_id


def page(store: Any, query: Query) -> list[Any]:
    """Search through MLflow's store, or through the REST client of a server: both have the same call."""
    found: list[Any] = store.search_runs(ALL, query.filter_string, 1, query.limit, list(query.order_by))
    return found


def next_page(store: Any, query: Query, size: int, token: str | None) -> Any:
    return store.search_runs(ALL, query.filter_string, 1, size, list(query.order_by), token)


def frame(uri: str, query: Query, limit: int = 100_000) -> Any:
    import mlflow

    mlflow.set_tracking_uri(uri)
    return mlflow.search_runs(
        ALL, query.filter_string, max_results=limit, order_by=list(query.order_by), output_format="pandas"
    )
