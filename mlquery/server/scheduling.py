"""Decides where a request is answered, so that none waits for another one: in the event loop or in a thread.

What is small and touches few things takes less time than handing it to a thread. What looks through the store, or waits
for a lock, a database or a latency that a test has asked for, has a thread. Large requests take turns in one: they end
no sooner side by side, and many of them would leave little of Python's lock to the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import attrs
from anyio import CapacityLimiter, to_thread

from mlquery.server.service import Service

R = TypeVar("R")

_LARGE: Final = 64_000  # bytes of a request: a batch of a thousand values
_LARGE_QUERY: Final = 4_000  # bytes of a request with a filter, which takes longer to read


@attrs.frozen(eq=False)
class Scheduler:
    """Runs what answers requests to a service."""

    service: Service
    _turns: CapacityLimiter = attrs.field(init=False, factory=lambda: CapacityLimiter(1))

    async def run(self, answer: Callable[[], R], size: int = 0, *, is_search: bool = False) -> R:
        """Return the answer to a request of so many bytes, which may look through everything that is stored."""
        if size > (_LARGE_QUERY if is_search else _LARGE):
            return await to_thread.run_sync(answer, limiter=self._turns)
        if not is_search and not self.service.may_wait:
            with self.service.locked_at_once() as is_locked:
                if is_locked:
                    return answer()
        return await to_thread.run_sync(answer)
