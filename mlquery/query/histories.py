"""Read metric histories in bulk: arrays of many runs and keys, ranges of steps, downsampling, lazy points.

Everything is a snapshot in NumPy arrays; a point becomes a `Metric` only when it is accessed. Times are integer
milliseconds UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, overload

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.entities import Metric
from mlquery.errors import invalid_parameter
from mlquery.store import Store
from mlquery.store.fast_entities import make_point

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
PointsByKey = Mapping[tuple[str, str], tuple[Floats, Ints, Ints]]
"""Values, timestamps and steps by run and key, in the order of `get_metric_history`."""
ReadPoints = Callable[[Sequence[str], Sequence[str]], PointsByKey]
"""Reads the points of runs and keys, wherever they are."""


@attrs.frozen(eq=False, repr=False)
class Points(Sequence[Metric]):
    """The points of one metric of one run, as a sequence that creates each `Metric` when it is accessed.

    `values`, `timestamps` and `steps` are arrays (points,) in the order of `get_metric_history`.
    """

    key: str
    run_id: str
    values: Floats
    timestamps: Ints
    steps: Ints

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.values)

    @overload
    def __getitem__(self, place: int) -> Metric: ...
    @overload
    def __getitem__(self, place: slice) -> Points: ...
    def __getitem__(self, place: int | slice) -> Metric | Points:
        """Return a point, or the points of a slice without copying them."""
        if isinstance(place, slice):
            return attrs.evolve(
                self, values=self.values[place], timestamps=self.timestamps[place], steps=self.steps[place]
            )
        return Metric(self.key, float(self.values[place]), int(self.timestamps[place]), int(self.steps[place]))

    def __iter__(self) -> Iterator[Metric]:
        """Iterate over the points in chunks, so that few `Metric` objects exist at a time."""
        for start in range(0, len(self), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            columns = self.values[chunk].tolist(), self.timestamps[chunk].tolist(), self.steps[chunk].tolist()
            yield from map(make_point, repeat(self.key), *columns)

    def __repr__(self) -> str:
        """Return the number of points and what they are of."""
        return f"<Points: {len(self)} of {self.key!r} in run {self.run_id}>"


_CHUNK = 10_000


@attrs.frozen(eq=False, repr=False)
class Histories:
    """The points of many runs and keys as arrays (points,); `runs` and `keys` are codes into `run_ids`, `key_names`.

    Points of one run and key are adjacent, in the order of `get_metric_history`.
    """

    run_ids: tuple[str, ...]
    key_names: tuple[str, ...]
    runs: Codes
    keys: Codes
    values: Floats
    timestamps: Ints
    steps: Ints

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.values)

    def __repr__(self) -> str:
        """Return the number of points and what they are of."""
        return f"<Histories: {len(self)} points of {len(self.run_ids)} runs and {len(self.key_names)} metrics>"


def points(store: Store, run_id: str, key: str) -> Points:
    """Return the points of a metric of a run; none for an unknown run or key.

    Source: MLflow 3.17 `MlflowClient.get_metric_history`, without building the list.
    """
    values, timestamps, steps = store.history(run_id, key)
    return Points(key, run_id, values, timestamps, steps)


def histories(
    store: Store,
    run_ids: Sequence[str],
    keys: Sequence[str],
    steps: tuple[int | None, int | None] = (None, None),
    max_points: int | None = None,
) -> Histories:
    """Return the points of many runs and keys as arrays.

    Args:
        store: Where to read.
        run_ids: Runs; unknown ones have no points, duplicates are ignored.
        keys: Metrics; a run without one has no points of it.
        steps: First and last step, both included; None for no bound.
        max_points: The most points of one run and key, chosen by `downsample`; None for all.

    Raises:
        StoreError: `run_ids` or `keys` is a string, or `max_points` is below 2.
    """
    return histories_read(points_in(store), run_ids, keys, steps, max_points)


def points_in(store: Store) -> ReadPoints:
    """Return what reads the points of runs and keys from a store."""

    def read(run_ids: Sequence[str], keys: Sequence[str]) -> PointsByKey:
        with store.lock:
            return {(run, key): store.history(run, key) for run in run_ids for key in keys}

    return read


def histories_read(
    read: ReadPoints,
    run_ids: Sequence[str],
    keys: Sequence[str],
    steps: tuple[int | None, int | None] = (None, None),
    max_points: int | None = None,
) -> Histories:
    """Return the points of many runs and keys that `read` finds; further arguments and errors as of `histories`."""
    for name, given in (("run_ids", run_ids), ("keys", keys)):
        if isinstance(given, str):
            raise invalid_parameter(f"{name} must be a list of strings, such as {name}=[{given!r}]")
    runs, names = tuple(dict.fromkeys(run_ids)), tuple(dict.fromkeys(keys))
    found = read(runs, names)
    places = [((r, k), found.get((run, key))) for r, run in enumerate(runs) for k, key in enumerate(names)]
    parts = {at: _chosen(arrays, steps, max_points) for at, arrays in places if arrays is not None and len(arrays[0])}
    counts = [len(arrays[0]) for arrays in parts.values()]
    run_codes, key_codes = (np.repeat(np.array([w[i] for w in parts], np.int32), counts) for i in (0, 1))
    return Histories(runs, names, run_codes, key_codes, *_joined(list(parts.values())))


def _joined(parts: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64)
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _chosen(
    arrays: tuple[Floats, Ints, Ints], steps: tuple[int | None, int | None], max_points: int | None
) -> tuple[Any, ...]:
    """Return the points of one history within a range of steps, downsampled."""
    first, last = steps
    if first is not None or last is not None:
        at = arrays[2]
        within = np.ones(len(at), np.bool_) if first is None else at >= first
        within = within if last is None else within & (at <= last)
        arrays = arrays[0][within], arrays[1][within], arrays[2][within]
    if max_points is None or len(arrays[0]) <= max_points:
        return arrays
    places = downsample(arrays[0], max_points)
    return tuple(array[places] for array in arrays)


def downsample(values: npt.ArrayLike, max_points: int) -> Ints:
    """Return the indices of at most `max_points` points that draw the same line: the extremes of each bucket.

    The indices ascend and include the first and the last point. A bucket of NaN only keeps its first point, so that a
    gap stays a gap.

    Raises:
        StoreError: `max_points` is below 2.
    """
    if max_points < 2:
        raise invalid_parameter(f"max_points must be at least 2, not {max_points}")
    line = np.asarray(values, np.float64)
    size = len(line)
    if size <= max_points:
        return np.arange(size)
    ends = np.array([0, size - 1])
    buckets = (max_points - 2) // 2
    if buckets == 0:
        return ends
    edges = 1 + (np.arange(buckets + 1) * (size - 2)) // buckets
    lowest = _extreme_places(np.where(np.isnan(line), np.inf, line), edges)
    highest = _extreme_places(np.where(np.isnan(line), np.inf, -line), edges)
    return np.unique(np.concatenate([ends, lowest, highest]))


def sampled(size: int, wanted: int) -> list[int]:
    """Return the indices of a sample: the first of each of `wanted` equal parts, and the last of all.

    The longer parts come first, as SQL's NTILE makes them.
    """
    if size <= wanted:
        return list(range(size))
    length, longer = divmod(size, wanted)
    places = [part * length + min(part, longer) for part in range(wanted)]
    places[-1] = size - 1
    return places


def _extreme_places(line: Floats, edges: Ints) -> Ints:
    """Return the index of the smallest value between each pair of edges, the first of equals."""
    starts = edges[:-1]
    smallest = np.minimum.reduceat(line[: edges[-1]], starts)
    bucket = np.repeat(np.arange(len(starts)), np.diff(edges))
    hits = np.flatnonzero(line[edges[0] : edges[-1]] == smallest[bucket])
    _, first = np.unique(bucket[hits], return_index=True)
    places: Ints = hits[first] + edges[0]
    return places
