"""The specification of functions of a metric's history, in plain Python: from all points of a run to one value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from mlquery.language.plan import FieldRef, Function
from mlquery.language.semantics import mean
from mlquery.store import Store


class Point(NamedTuple):
    """A point of a metric: its step, its time in ms UTC and its value."""

    step: int
    timestamp: int
    value: float


def history_values(field: FieldRef, run: Any, store: Store | None) -> list[float | int]:
    """Return the value of a field of the kind HISTORY of a run whose points are in a store: none or one."""
    if store is None or field.key not in run.data.metrics:
        return []
    values, timestamps, steps = store.runs.points(run.info.run_id, field.key)
    value = history_value(field, list(map(Point, steps, timestamps, values)), run.data.metrics[field.key])
    return [] if value is None else [value]


def in_order(points: Sequence[Point]) -> list[Point]:
    """Return points from the first to the latest: by step, then time, then value, NaN counting as 0 and before it."""
    return sorted(
        points, key=lambda p: (p.step, p.timestamp, 0.0 if math.isnan(p.value) else p.value, p.value == p.value)
    )


def history_value(field: FieldRef, points: Sequence[Point], latest: float) -> float | int | None:
    """Return the value of a field of the kind HISTORY; None if it is missing.

    Args:
        field: The function, and the step if it has one.
        points: All points of a metric of a run, at least one, in any order.
        latest: The value of the metric in a search.
    """
    ordered = in_order(points)
    numbers = [point.value for point in points if not math.isnan(point.value)]
    match field.function:
        case Function.COUNT:
            return len(points)
        case Function.FIRST:
            return ordered[0].value
        case Function.AT:
            values = [point.value for point in ordered if point.step == field.step]
            is_last = ordered[-1].step == field.step
            return latest if is_last else values[-1] if values else None
        case Function.ARGMAX | Function.ARGMIN:
            best = (max if field.function is Function.ARGMAX else min)(numbers, default=None)
            return min((point.step for point in points if point.value == best), default=None)
        case Function.MAX | Function.MIN | Function.MEAN if not numbers:
            return math.nan
        case Function.MAX:
            return max(numbers) + 0.0  # a zero has no sign
        case Function.MIN:
            return min(numbers) + 0.0
        case Function.MEAN:
            return mean(numbers)
    raise AssertionError(f"{field.function} is not a function of a history")
