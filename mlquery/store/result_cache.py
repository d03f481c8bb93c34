"""Results of searches whose pages are still being read, so that the pages of one search belong together."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any, Final

import numpy as np

_MOST: Final = 8


class ResultCache:
    """Row numbers by search; the ones that were asked for last stay."""

    def __init__(self) -> None:
        self._results: OrderedDict[Hashable, Sequence[int]] = OrderedDict()

    def get(self, search: Hashable) -> Sequence[int] | None:
        """Return the rows of a search, None if they are not cached any more."""
        rows = self._results.get(search)
        if rows is not None:
            self._results.move_to_end(search)
        return rows

    def put(self, search: Hashable, rows: Sequence[int]) -> None:
        """Cache the rows of a search and forget those that were not asked for the longest."""
        self._results[search] = rows
        while len(self._results) > _MOST:
            self._results.popitem(last=False)


def without_newer(rows: Sequence[int], size: int) -> Any:
    """Return the rows of a table that were there when it had `size` of them, in the same order."""
    found = np.asarray(rows, np.int64)
    return found[found < size]
