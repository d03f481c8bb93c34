"""Makes many changes of a kind at once, in a fraction of the time: for those who read whole stores from elsewhere.

The result is what the changes one by one give; see `changes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlquery.entities import LifecycleStage
from mlquery.store.changes import LogPoints
from mlquery.store.columns import MetricCells
from mlquery.store.entity_fields import dataset_input_of
from mlquery.store.history import Points, histories_of
from mlquery.store.state import StoreState


def add_runs(store: StoreState, runs: Sequence[Mapping[str, Any]]) -> None:
    """Make many changes `AddRun`, given as their fields, in a fraction of the time.

    Raises:
        ValueError, KeyError: one of them does not fit those before it; nothing was changed.
    """
    table = store.runs
    ids = [fields["run_id"] for fields in runs]
    if len(set(ids)) < len(ids) or not table.row_of.keys().isdisjoint(ids):
        raise ValueError(ids)
    strings: dict[str, list[Any]] = {
        name: [fields[name] for fields in runs] for name in ("experiment_id", "status", "user_id", "run_name")
    }
    strings["lifecycle_stage"] = [fields.get("lifecycle_stage", LifecycleStage.ACTIVE) for fields in runs]
    times = {name: [fields.get(name) for fields in runs] for name in ("start_time", "end_time")}
    params, tags = ([fields.get(kind, {}) for fields in runs] for kind in ("params", "tags"))
    points = [fields.get("metrics", ()) for fields in runs]
    metrics = [{key: (value, time, step) for key, value, time, step in latest} for latest in points]
    if any(len(one) < len(latest) for one, latest in zip(metrics, points, strict=True)):
        raise ValueError(metrics)
    first = table.size
    table.append(ids, strings, times, params, tags, metrics)
    for row, fields in enumerate(runs, first):
        if "artifact_uri" in fields:
            table.own_artifact_uris[row] = fields["artifact_uri"]
        if "inputs" in fields:
            table.add_inputs(row, map(dataset_input_of, fields["inputs"]))


def log_points(store: StoreState, changes: Sequence[LogPoints]) -> None:
    """Make many changes `LogPoints`, of lists.

    Raises:
        KeyError: one of them is about a run that is not there; nothing was changed.
    """
    runs = store.runs
    rows = [runs.row_of[change.run_id] for change in changes]
    points_of: dict[str, list[tuple[int, Any]]] = {}
    for row, (_, key, *points) in zip(rows, changes, strict=True):
        if points[0]:
            points_of.setdefault(key, []).append((row, points))
    new = {key: _load(runs.metrics.to_write(key), points, runs.size) for key, points in points_of.items()}
    for row, change in zip(rows, changes, strict=True):  # in their order, which is that of the keys of a run
        if row in new.get(change.key, ()):
            new[change.key].remove(row)
            runs.metric_keys[row] = runs.shape((*runs.metric_keys[row], change.key))


def _load(cells: MetricCells, points: Sequence[tuple[int, Points]], size: int) -> set[int]:
    """Log points of many rows of a metric, and return the rows that did not have it."""
    latest: dict[int, tuple[float, int, int]] = {}
    others = points
    if len({row for row, _ in points}) == len(points):
        others = []
        histories = histories_of(cells.owner, [given for _, given in points])
        for (row, given), history in zip(points, histories, strict=True):
            if history is None or row in cells.histories:
                others.append((row, given))
                continue
            last = history.values[-1], history.timestamps[-1], history.steps[-1]
            place = cells.slot(row)
            if place < 0:
                latest[row] = last
            elif last != tuple(column[place] for column in cells.arrays[1:]):
                others.append((row, given))
                continue
            if len(history) > 1:
                cells.histories[row] = history
        if latest:
            cells.load_latest(list(latest), list(latest.values()), size)
    had_none = set(latest)
    for row, (values, timestamps, steps) in others:
        arrays = np.asarray(values, np.float64), np.asarray(timestamps, np.int64), np.asarray(steps, np.int64)
        if cells.load(row, *arrays, size):
            had_none.add(row)
    return had_none
