"""What searches see while they trail the writes: a copy of the store that makes every change some time later.

A service that searches in an index of its own finds there what was written some seconds ago, and reads by id what is
there now. Which calls search is not known here.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from mlquery.store.state import Change, StoreState

S = TypeVar("S", bound=StoreState)


class SearchIndex(Generic[S]):
    """The state of a store some time ago.

    Args:
        copy: The store as it is now, which nobody else knows.
    """

    def __init__(self, copy: S) -> None:
        self._copy = copy
        self._waiting: deque[tuple[int, Change]] = deque()  # with the times at which they were made, in ms UTC

    def note(self, change: Change) -> None:
        """Make a change of the store later."""
        self._waiting.append((self._copy.clock(), change))

    def before(self, seconds: float) -> S:
        """Return the store as it was so many seconds ago by its clock, at the earliest as it was given."""
        latest = self._copy.clock() - 1000 * seconds
        while self._waiting and self._waiting[0][0] <= latest:
            self._copy.write(self._waiting.popleft()[1])
        return self._copy
