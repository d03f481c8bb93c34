"""Splits the data of a run into batches that each fit into one request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from mlquery.store.limits import Limits

Point: TypeAlias = tuple[str, float, int, int, str | None, str | None, str | None]
"""Key, value, timestamp (ms UTC), step; the model it is about, and that model's dataset by name and digest."""
Batch: TypeAlias = tuple[list[Point], dict[str, str], dict[str, str]]
"""Points, params and tags."""

_LARGEST: Final = 800_000  # characters; MLflow's documentation limits a request to a megabyte
_POINT: Final = 200  # characters of a point without its key, at most


def batches(
    points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str], limits: Limits
) -> Iterator[Batch]:
    """Yield non-empty batches that together hold every item once, in order.

    `limits` bounds the points, params, tags, all of these together, and the values of one metric in a batch; a batch
    has at most 800,000 characters besides.
    """
    batch: Batch = ([], {}, {})
    values: Counter[str] = Counter()
    size = 0
    for kind, item in _items(points, params, tags):
        key, length = str(item[0]), _length(kind, item)
        is_full = (
            len(batch[kind]) >= (limits.metrics_per_batch, limits.params_per_batch, limits.tags_per_batch)[kind]
            or sum(map(len, batch)) >= limits.entities_per_batch
            or (kind == 0 and values[key] >= (limits.values_per_metric_batch or limits.metrics_per_batch))
            or (size + length > _LARGEST and size > 0)
        )
        if is_full:
            yield batch
            batch, values, size = ([], {}, {}), Counter(), 0
        if kind == 0:
            batch[0].append(item)  # type: ignore[arg-type]
            values[key] += 1
        else:
            batch[kind][key] = str(item[1])  # type: ignore[call-overload]
        size += length
    if any(batch):
        yield batch


def _items(
    points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]
) -> Iterator[tuple[int, Point | tuple[str, str]]]:
    yield from ((1, item) for item in params.items())
    yield from ((2, item) for item in tags.items())
    yield from ((0, point) for point in points)


def _length(kind: int, item: Sequence[object]) -> int:
    return len(str(item[0])) + (_POINT if kind == 0 else len(str(item[1])))
