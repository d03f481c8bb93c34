"""Tells times that MLflow's client has read from the clock from times that somebody gave.

MLflow's client asks its function for the present time and hands the answer on as if it had been given. Here that
function gets its time from an object that stands for the module `time` and notes, in each thread, what it handed out: a
store that is then given this very time knows that nobody else has said so. Once a call has used it, it counts as given:
a point that a caller logs twice is the same point.

**Source**: `mlflow.utils.time.get_current_time_millis` of MLflow 3.17, which reads `time.time()`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

try:
    import mlflow.utils.time as _mlflow_time
except ImportError:  # a release that keeps the time elsewhere; every time counts as given there
    _mlflow_time = ModuleType("time")


class _HandedOut(threading.local):
    time: int | None = None


_handed_out = _HandedOut()


class NotedTime:
    """Stands for the module `time` in MLflow's function for the present time.

    Args:
        clock: Returns the time in ms UTC; by default `time.time()` is read, which a test may have replaced.
    """

    def __init__(self, clock: Callable[[], int] | None = None) -> None:
        self._clock = clock

    def time(self) -> float:
        """Return the time in seconds, and note it."""
        # The half millisecond keeps the time of a clock the same when MLflow rounds it down.
        seconds = time.time() if self._clock is None else (self._clock() + 0.5) / 1000
        _handed_out.time = int(seconds * 1000)
        return seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def note_times() -> None:
    """Have MLflow's times noted from now on, unless they are or something else stands in the place of the module."""
    if vars(_mlflow_time).get("time") is time:
        vars(_mlflow_time)["time"] = NotedTime()


def taken(is_last: bool = True) -> int | None:
    """Return the time in ms UTC that this thread was handed out, None if a call has used it before.

    Args:
        is_last: Whether it is used with this call.
    """
    note_times()  # a mock that has ended has put the module back
    found = _handed_out.time
    if is_last:
        _handed_out.time = None
    return found
