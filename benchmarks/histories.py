"""Times the reading of metric histories: a million points of one metric, and those of many runs and keys."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from harness import Plan, Report, measure
from systems import mlflow_sql
from systems.mlquery_store import empty_store
from workbench import Workbench, command

TARGET = "history of 1,000,000 points"
POINTS = 1_000_000
RUNS, KEYS, EACH = 100, ("loss", "accuracy"), 1000
_TIME = 1_700_000_000_000
_LONG = "f" * 32
_IDS = [f"{number:032x}" for number in range(RUNS)]
History = tuple[np.ndarray, np.ndarray, np.ndarray]


class Point:
    """The minimum that a list of points has."""

    __slots__ = ("key", "step", "timestamp", "value")

    def __init__(self, key: str, value: float, timestamp: int, step: int) -> None:
        self.key = key
        self.value = value
        self.timestamp = timestamp
        self.step = step


def histories(bench: Workbench, report: Report) -> None:
    """Measure histories; the number of runs of the workbench does not matter."""
    data = {(_LONG, "loss"): _history(POINTS, 0)}
    data |= {(run_id, key): _history(EACH, seed) for seed, run_id in enumerate(_IDS) for key in KEYS}
    store, database = _own_store(data), mlflow_sql.empty_store(_database(data, bench.folder))
    as_list = partial(database.get_metric_history, _LONG, "loss")
    _one_long(report, data, store, as_list)
    _many(report, data, store, database)
    database.engine.dispose()


def _one_long(report: Report, data: dict[tuple[str, str], History], store: Any, as_list: Any) -> None:
    """Measure one history as arrays, as a frame and as a list, which alone MLflow has, and reads once."""
    from mlquery.query.dataframe import history_frame

    cases = {
        "arrays": (lambda: store.history(_LONG, "loss"), lambda: tuple(one.view() for one in data[_LONG, "loss"])),
        "DataFrame": (lambda: history_frame(store, [_LONG], ["loss"]), lambda: _frame(data, [_LONG], ["loss"])),
        "list": (lambda: store.get_metric_history(_LONG, "loss"), lambda: _points("loss", *data[_LONG, "loss"])),
    }
    systems = {"mlquery": cases["list"][0], "numpy": cases["list"][1], "MLflow": as_list}
    measure(report, "1M points, list", 0, systems, plan=Plan(rounds=5))
    mlflow = report.median("1M points, list", 0, "MLflow") or 0.0
    for case in ("arrays", "DataFrame"):
        name = f"1M points, {case}"
        measure(report, name, 0, {"mlquery": cases[case][0], "numpy": cases[case][1]})
        mine = report.median(name, 0, "mlquery") or 0.0
        words = ">= 3,000x MLflow's list"
        report.judge(TARGET, words, name, 0, f"{mlflow / mine:,.0f}x", words, mlflow / mine / 3000)
    report.at_least(TARGET, "1M points, list", 0, "MLflow", 15)
    for case in ("arrays", "DataFrame", "list"):
        report.at_most(TARGET, f"1M points, {case}", 0, "numpy", 2)


def _many(report: Report, data: dict[tuple[str, str], History], store: Any, database: Any) -> None:
    """Measure 100 runs with two metrics of 1,000 points each."""
    from mlquery.query.dataframe import history_frame
    from mlquery.query.histories import histories as own_histories

    name = f"{RUNS} runs x {len(KEYS)} metrics x {EACH:,} points"
    arrays = {
        "mlquery": lambda: own_histories(store, _IDS, KEYS),
        "numpy": lambda: _joined(data, _IDS, list(KEYS)),
    }
    measure(report, f"{name}, arrays", 0, arrays)
    frames = {
        "mlquery": lambda: history_frame(store, _IDS, KEYS),
        "numpy": lambda: _frame(data, _IDS, list(KEYS)),
    }
    measure(report, f"{name}, DataFrame", 0, frames)
    lists = {
        "mlquery": lambda: [store.get_metric_history(run_id, key) for key in KEYS for run_id in _IDS],
        "numpy": lambda: [_points(key, *data[run_id, key]) for key in KEYS for run_id in _IDS],
        "MLflow": lambda: [database.get_metric_history_bulk(_IDS, key, RUNS * EACH) for key in KEYS],
    }
    measure(report, f"{name}, list", 0, lists)


def _history(points: int, seed: int) -> History:
    rng = np.random.default_rng(seed)
    return rng.random(points), _TIME + np.arange(points), np.arange(points)


def _points(key: str, values: np.ndarray, timestamps: np.ndarray, steps: np.ndarray) -> list[Point]:
    columns = values.tolist(), timestamps.tolist(), steps.tolist()
    return [Point(key, value, time, step) for value, time, step in zip(*columns, strict=True)]


def _joined(data: dict[tuple[str, str], History], run_ids: list[str], keys: list[str]) -> list[np.ndarray]:
    parts = [data[run_id, key] for run_id in run_ids for key in keys]
    counts = [len(part[0]) for part in parts]
    runs = np.repeat(np.repeat(np.arange(len(run_ids), dtype=np.int32), len(keys)), counts)
    metrics = np.repeat(np.tile(np.arange(len(keys), dtype=np.int32), len(run_ids)), counts)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if len(parts) > 1 else list(parts[0])
    return [runs, metrics, *columns]


def _frame(data: dict[tuple[str, str], History], run_ids: list[str], keys: list[str]) -> pd.DataFrame:
    runs, metrics, values, timestamps, steps = _joined(data, run_ids, keys)
    columns = {
        "run_id": pd.Categorical.from_codes(runs, categories=pd.Index(run_ids), validate=False),
        "key": pd.Categorical.from_codes(metrics, categories=pd.Index(keys), validate=False),
        "value": values,
        "timestamp": timestamps,
        "step": steps,
    }
    return pd.DataFrame(columns, copy=False)


def _own_store(data: dict[tuple[str, str], History]) -> Any:
    store = empty_store()
    for run_id in (_LONG, *_IDS):
        store.load_run(run_id, "1", start_time=_TIME)
    for (run_id, key), points in data.items():
        store.load_history(run_id, key, *points)
    return store


def _database(data: dict[tuple[str, str], History], folder: Path) -> Path:
    """Return MLflow's database with the same points; create it unless it is cached."""
    path = folder / f"histories-{POINTS}-{RUNS}-{EACH}.db"
    if path.exists():
        return path
    building = path.with_suffix(".building")
    building.unlink(missing_ok=True)
    mlflow_sql.empty_store(building).engine.dispose()
    connection = sqlite3.connect(building)
    connection.execute("PRAGMA synchronous = OFF")
    connection.executemany(
        "INSERT INTO runs (run_uuid, name, user_id, status, start_time, lifecycle_stage, artifact_uri, experiment_id) "
        f"VALUES (?, '', '', 'RUNNING', {_TIME}, 'active', '', 0)",
        [(run_id,) for run_id in (_LONG, *_IDS)],
    )
    for (run_id, key), points in data.items():
        rows = zip(*(column.tolist() for column in points), strict=True)
        insertion = f"INSERT INTO metrics (value, timestamp, step, key, run_uuid) VALUES (?, ?, ?, '{key}', '{run_id}')"
        connection.executemany(insertion, rows)
    connection.commit()
    connection.close()
    building.rename(path)
    return path


if __name__ == "__main__":
    command("histories", histories, sizes=(0,))
