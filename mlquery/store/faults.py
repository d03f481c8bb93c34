"""Faults on demand: errors, delays and outages that a test asks for. Of calls only the names are known here.

Clients meet the faults of a store, MLflow's client through the plugin and `mlquery.Client` alike; the methods of the
store itself do not, so that a test can look at a store that is offline.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from threading import Lock

from mlquery.errors import INTERNAL_ERROR, StoreError


class Faults:
    """The faults that a test has asked for. Any number of threads may use it.

    Attributes:
        is_set: Whether a call could meet a fault; the others need not ask.
        offline: Whether every call fails as if no server answered.
        latency: How long every call takes at least, in seconds.
    """

    def __init__(self) -> None:
        self.is_set = False
        self.offline = False
        self.latency = 0.0
        self._waiting: dict[str, deque[BaseException]] = defaultdict(deque)
        self._lock = Lock()
        self._raised: list[BaseException] = []

    def raised(self, error: BaseException) -> bool:
        """Tell whether an error was raised because a test has asked for it with `fail_next`."""
        return any(error is failure for failure in self._raised)

    def set_conditions(self, *, offline: bool | None = None, latency: float | None = None) -> None:
        """Take the store off the network or bring it back, and make calls slow; what is None stays as it is."""
        with self._lock:
            self.offline = self.offline if offline is None else offline
            self.latency = self.latency if latency is None else latency
            self._settle()

    def fail_next(self, call: str, error: BaseException | type[BaseException], times: int = 1) -> None:
        """Make the next calls of a method of the store ("log_batch") raise an error, after those asked for before."""
        failure = error() if isinstance(error, type) else error
        with self._lock:
            self._waiting[call].extend([failure] * times)
            self._settle()

    def waiting(self) -> list[str]:
        """Return the calls that are still to fail, one entry for each failure that was asked for and has not come."""
        with self._lock:
            return [call for call, failures in self._waiting.items() for _ in failures]

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._waiting.clear()
            self._raised.clear()
            self.offline, self.latency, self.is_set = False, 0.0, False

    def before(self, call: str) -> None:
        """Do what was asked for before a call is served: wait, or raise."""
        if self.latency:
            time.sleep(self.latency)
        if self.offline:
            raise StoreError(f"API request {call} failed with exception: the store is offline", INTERNAL_ERROR)
        with self._lock:
            failures = self._waiting.get(call)
            if not failures:
                return
            failure = failures.popleft()
            self._raised.append(failure)
            if not failures:
                del self._waiting[call]
                self._settle()
        raise failure

    def _settle(self) -> None:  # under the lock, so that no fault is overlooked
        self.is_set = bool(self.offline or self.latency or any(self._waiting.values()))


class FaultsOnDemand:
    """The part of a store by which a test asks for faults."""

    faults: Faults

    def fail_next(self, call: str, error: BaseException | type[BaseException], times: int = 1) -> None:
        """Make the next calls that a client sends to a method of the store ("log_batch") raise an error.

        Args:
            call: A method of MLflow's tracking store: `mlflow.log_metric` calls "log_metric", `mlflow.log_params`
                "log_batch", the end of a run "update_run_info".
            error: What is raised, in place of the call.
            times: How many calls fail; those asked for before come first.
        """
        self.faults.fail_next(call, error, times)

    @property
    def offline(self) -> bool:
        """Whether every call of a client fails as if no server answered."""
        return self.faults.offline

    @offline.setter
    def offline(self, is_offline: bool) -> None:
        """Take the store off the network, or bring it back."""
        self.faults.set_conditions(offline=is_offline)

    @property
    def latency(self) -> float:
        """How long every call of a client takes at least, in seconds."""
        return self.faults.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        """Make calls slow, or fast again with 0."""
        self.faults.set_conditions(latency=seconds)
