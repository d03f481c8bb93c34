"""Faults on demand: what a store does wrong when a test wants it to. It knows calls by name and nothing about them."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from threading import Lock

from mlquery.errors import INTERNAL_ERROR, StoreError


class Faults:
    """The faults that a test has asked for. Any number of threads may use it.

    Attributes:
        offline: Whether every call fails as if no server answered.
        latency: How long every call takes at least, in seconds.
    """

    def __init__(self) -> None:
        self.offline = False
        self.latency = 0.0
        self._waiting: dict[str, deque[BaseException]] = defaultdict(deque)
        self._lock = Lock()

    def fail_next(self, call: str, error: BaseException | type[BaseException], times: int = 1) -> None:
        """Make the next calls of a method of the store ("log_batch") raise an error, after those asked for before."""
        failure = error() if isinstance(error, type) else error
        with self._lock:
            self._waiting[call].extend([failure] * times)

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._waiting.clear()
        self.offline, self.latency = False, 0.0

    def before(self, call: str) -> None:
        """Do what was asked for before a call is served: wait, or raise."""
        if self.latency:
            time.sleep(self.latency)
        if self.offline:
            raise StoreError(f"API request {call} failed with exception: the store is offline", INTERNAL_ERROR)
        if not self._waiting:
            return
        with self._lock:
            waiting = self._waiting.get(call)
            failure = waiting.popleft() if waiting else None
            if waiting is not None and not waiting:
                del self._waiting[call]
        if failure is not None:
            raise failure
