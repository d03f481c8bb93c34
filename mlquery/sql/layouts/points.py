"""Reads points of metrics out of a table of points, whatever the layout: all of them, or the latest of each metric."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from mlquery.sql.conditions import LARGEST
from mlquery.sql.histories import order_of_points
from mlquery.sql.layouts.rows import is_listed, rows_with
from mlquery.sql.query import History, Points
from mlquery.sql.session import Session
from mlquery.sql.statement import Parameters, Statement
from mlquery.store.history import history_of

_COLUMNS: Final = (np.float64, np.int64, np.int64)


def histories_of(
    points: Points, session: Session, run_ids: Sequence[str], keys: Sequence[str] | None
) -> dict[tuple[str, str], History]:
    """Return all points of some runs and metrics, by run id and key; without keys, of all metrics."""
    columns = (points.run_id, points.key, points.value.sql, points.timestamp, points.step)
    wanted = {points.run_id: list(dict.fromkeys(run_ids))}
    if keys is not None:
        wanted[points.key] = list(dict.fromkeys(keys))
    grouped: defaultdict[tuple[str, str], list[tuple[float, int, int]]] = defaultdict(list)
    for run_id, key, value, timestamp, step in rows_with(session, columns, points.table, wanted):
        grouped[run_id, key].append((stored(value), timestamp, step))
    return {
        of: history_of(
            None, *(np.array(cells, kind) for cells, kind in zip(zip(*rows, strict=True), _COLUMNS, strict=True))
        ).arrays()
        for of, rows in grouped.items()
    }


def latest_points(
    points: Points, session: Session, run_ids: Sequence[str]
) -> defaultdict[str, dict[str, tuple[int, int]]]:
    """Return time and step of the latest point of each metric, by run id and key."""
    found: defaultdict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    if not run_ids:
        return found
    parameters = Parameters(session.dialect.bind)
    listed = is_listed(points.run_id, list(run_ids), session, parameters)
    order = order_of_points(points, "DESC")
    selected = f"{points.run_id} AS run_id, {points.key} AS k, {points.timestamp} AS t, {points.step} AS s"
    place = f"ROW_NUMBER() OVER (PARTITION BY {points.run_id}, {points.key} ORDER BY {order}) AS place"
    inner = f"SELECT {selected}, {place} FROM {points.table} WHERE {listed}"
    statement = Statement(f"SELECT run_id, k, t, s FROM ({inner}) ranked WHERE place = 1", parameters.values)
    for run_id, key, timestamp, step in session.rows(statement):
        found[run_id][key] = timestamp, step
    return found


def stored(value: Any) -> float:
    """Return a number as MLflow stores it, with the largest numbers in place of infinities."""
    number = float(value)
    return math.copysign(LARGEST, number) if math.isinf(number) else number
