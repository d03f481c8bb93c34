"""Turns histories of one metric into lines to draw: by step, time or relative time, smoothed, few points, and bands.

A line is two arrays (points,). Smoothing comes before the choice of points, which keeps the extremes. Frames are not
made here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.errors import invalid_parameter
from mlquery.query.histories import downsample
from mlquery.store import Store

Floats = npt.NDArray[np.float64]
AXES: Final = ("step", "time", "relative")


@attrs.frozen(eq=False)
class Line:
    """The points of one run: `x` is steps, ms UTC or seconds since the run's first point, `y` values."""

    run: int
    x: npt.NDArray[Any]
    y: Floats

    def thinned(self, points: int) -> Line:
        """Return at most so many points that draw the same line."""
        places = downsample(self.y, points)
        return attrs.evolve(self, x=self.x[places], y=self.y[places])


@attrs.frozen(eq=False)
class Band:
    """What the runs of a group do together at each `x`: arrays (points,); how many they are, mean and spread."""

    x: npt.NDArray[Any]
    n: npt.NDArray[np.int64]
    mean: Floats
    std: Floats
    min: Floats
    max: Floats


def check_curve(x: str, points: int, smoothing: float) -> None:
    """Refuse arguments that no curve can be drawn with."""
    if x not in AXES:
        raise invalid_parameter(f"x is one of {', '.join(map(repr, AXES))}, not {x!r}")
    if points < 2:
        raise invalid_parameter(f"points must be at least 2, not {points}")
    if not 0 <= smoothing < 1:
        raise invalid_parameter(f"smoothing must be at least 0 and less than 1, not {smoothing}")


def lines(store: Store, run_ids: Sequence[str], key: str, x: str, smoothing: float) -> Iterator[Line]:
    """Yield the whole line of each run that has the metric; of points at one place, the one logged last counts."""
    for run, run_id in enumerate(run_ids):
        with store.lock:
            values, timestamps, steps = store.history(run_id, key)
        if len(values):
            across = steps if x == "step" else timestamps
            places = in_order(across)
            across, values = across[places], values[places]
            yield Line(run, (across - across[0]) / 1000 if x == "relative" else across, smoothed(values, smoothing))


def in_order(across: npt.NDArray[Any]) -> Any:
    """Return places of points in rising order, the last one of those at the same place."""
    if len(across) < 2 or (across[1:] > across[:-1]).all():
        return slice(None)
    order = np.argsort(across, kind="stable")
    ordered = across[order]
    return order[np.append(ordered[1:] != ordered[:-1], True)]


def smoothed(values: Floats, weight: float) -> Floats:
    """Return the exponential moving average of values, without its bias to zero, as TensorBoard draws it.

    `weight` is that of what came before, from 0 (no smoothing) to below 1. NaN stays and does not count.
    """
    if not weight:
        return values
    from pandas import Series

    average = Series(values).ewm(alpha=1 - weight, adjust=True, ignore_na=True).mean().to_numpy()
    return np.where(np.isnan(values), np.nan, average)


def band(group: Sequence[Line], points: int) -> Band:
    """Return the band over the lines of a group: at their own places if those are few, else evenly between the ends.

    Between its points a line is straight; it does not count before its first and after its last number.
    """
    kept = [attrs.evolve(line, x=line.x[has], y=line.y[has]) for line in group if (has := ~np.isnan(line.y)).any()]
    if not kept:
        return Band(np.empty(0, np.int64), np.empty(0, np.int64), *(np.empty(0) for _ in range(4)))
    across = _grid(kept, points)
    heights = np.array([np.interp(across, line.x, line.y, np.nan, np.nan) for line in kept])
    n = (~np.isnan(heights)).sum(axis=0)
    with np.errstate(all="ignore"):
        filled = np.where(np.isnan(heights), 0.0, heights)
        mean = filled.sum(axis=0) / n
        squares = np.where(np.isnan(heights), 0.0, (heights - mean) ** 2).sum(axis=0)
        std = np.sqrt(squares / (n - 1))
    low, high = np.fmin.reduce(heights), np.fmax.reduce(heights)
    return Band(across, n, mean, np.where(n > 1, std, np.nan), low, high)


def _grid(group: Sequence[Line], points: int) -> npt.NDArray[Any]:
    start, stop = min(line.x[0] for line in group), max(line.x[-1] for line in group)
    if sum(len(line.x) for line in group) <= 4 * points * len(group):
        own = np.unique(np.concatenate([line.x for line in group]))
        if len(own) <= points:
            return own
    even = np.linspace(start, stop, points)
    return np.unique(np.rint(even).astype(np.int64)) if group[0].x.dtype.kind == "i" else even
