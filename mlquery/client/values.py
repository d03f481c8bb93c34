"""What the client does to values on their way to the store: numbers out of arrays, batches of the size a server takes.

It knows no store and no dialect.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from mlquery.entities import Metric, Param, RunTag
from mlquery.errors import StoreError, invalid_parameter

_PER_BATCH = 1000
_TEXTS_PER_BATCH = 100
ASYNC_LOGGING = "MLFLOW_ENABLE_ASYNC_LOGGING"


class RunOperations:
    """What a call with `synchronous=False` returns. The work is done by then; only its failures wait here."""

    def __init__(self, failures: Sequence[Exception] = ()) -> None:
        self._failures = list(failures)

    def wait(self) -> None:
        """Raise StoreError if any of the operations failed."""
        if self._failures:
            raise StoreError(
                "The following failures occurred while performing one or more async logging "
                f"operations: {self._failures}"
            )


def performed(write: Callable[[], None]) -> RunOperations:
    """Do a write that the caller does not wait for, and keep what it raises for `RunOperations.wait`."""
    try:
        write()
    except Exception as error:
        return RunOperations([error])
    return RunOperations()


def is_synchronous(synchronous: bool | None) -> bool:
    """Return the argument, or where it is None what MLFLOW_ENABLE_ASYNC_LOGGING says, as MLflow does."""
    if synchronous is not None:
        return synchronous
    return os.environ.get(ASYNC_LOGGING, "").lower() not in ("true", "1")


def metric_value(value: Any) -> Any:
    """Return a metric value as a float; what no float can be made of is left for the store to refuse.

    **Source**: the conversions of `MlflowClient.log_metric`: NumPy arrays and Torch tensors of one item, `float()`.
    """
    if value is None or type(value) is float:
        return value
    if _is_array(value):
        try:
            return float(value.item())
        except Exception as error:
            raise invalid_parameter(f"Failed to convert metric value to float: {error}") from error
    try:
        return float(value)
    except ValueError:
        return value


def _is_array(value: Any) -> bool:
    """Tell whether the value is an array or tensor, without importing the library that would define it."""
    kinds = (("numpy", "ndarray"), ("torch", "Tensor"))
    return any(isinstance(value, getattr(sys.modules[module], name)) for module, name in kinds if module in sys.modules)


def own_metric(metric: Any) -> Metric:
    """Return the point with a float value, as an entity of this package; any object of that shape will do."""
    if type(metric) is Metric and type(metric.value) is float:
        return metric
    return Metric(
        metric.key,
        metric_value(metric.value),
        metric.timestamp,
        metric.step,
        metric.model_id,
        metric.dataset_name,
        metric.dataset_digest,
        metric.run_id,
    )


Batch = tuple[Sequence[Metric], Sequence[Param], Sequence[RunTag]]


def batches(metrics: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]) -> Iterator[Batch]:
    """Cut what is to be logged into the batches that a client sends, at most 1000 entities each.

    **Source**: `MlflowClient.log_batch` of MLflow 3.17; a batch is all-or-nothing, the sequence of batches is not.
    """
    rest = metrics
    for some_params, some_tags in zip_longest(_chunks(params), _chunks(tags), fillvalue=()):
        room = _PER_BATCH - len(some_params) - len(some_tags)
        yield rest[:room], some_params, some_tags
        rest = rest[room:]
    for start in range(0, len(rest), _PER_BATCH):
        yield rest[start : start + _PER_BATCH], (), ()


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + _TEXTS_PER_BATCH] for start in range(0, len(items), _TEXTS_PER_BATCH))
