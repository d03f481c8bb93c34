"""Reads one query page by page in the order of time: says what to ask next, and how far it has been read.

The next page begins at the time at which the last one ended, so that it repeats a few runs and misses none.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import attrs

from mlquery.language.matrix import Dialect
from mlquery.pushdown.clauses import Clause
from mlquery.pushdown.covers import Branch
from mlquery.pushdown.requests import RUN_ID, ServerOrder, from_value
from mlquery.remote.sorting import VALUE, SortValues, compared

Query = tuple[Branch, ServerOrder, str | None]
"""The clauses of a request, its order, and the token of the page that it continues."""


@attrs.define(eq=False)
class TimeReader:
    """A query that is being read.

    Attributes:
        branch: Its clauses.
        order: The order of time, as far as the server keeps it.
        dialect: Which filters the server takes.
        last: Time, and the id if it is ordered by, of the last run that was read; None if the order is not kept.
        is_complete: Whether all of its runs have been read.
    """

    branch: Branch
    order: ServerOrder
    dialect: Dialect
    last: SortValues | None = None
    is_complete: bool = False
    _token: str | None = None
    _asked: Branch = ()

    def next_query(self, extra: Clause | None) -> Query:
        """Return what to ask next; `extra` is a clause for the runs that are still wanted."""
        if self._token is None:
            since = None if self.last is None else self._since(self.last)
            self._asked = (*self.branch, *filter(None, (since, extra)))
        return self._asked, self.order, self._token  # a token continues the very same query

    def take(self, infos: Sequence[Any], token: str | None) -> None:
        """Learn from a page: the infos of its runs, and the token of the next page."""
        self._token = None
        if token is None:
            self.is_complete = True
            return
        before, self.last = self.last, self._end(infos)
        is_stuck = self.last is None or self._since(self.last) is None
        if is_stuck or (before is not None and self.last is not None and before[0] == self.last[0]):
            self._token = token  # more runs of one time than a page has, or no other way

    def _since(self, last: SortValues) -> Clause | None:
        return from_value(self.order.keys[0], last[0][1], self.dialect)

    def _end(self, infos: Sequence[Any]) -> SortValues | None:
        """Return where a page ends; None if it is not in the order that was asked for."""
        keys = self.order.keys
        if not keys or not infos or any(info.start_time is None for info in infos):
            return None
        ends = [
            tuple((VALUE, info.run_id if key.field == RUN_ID else info.start_time) for key in keys) for info in infos
        ]
        in_order = all(compared(*pair, keys) <= 0 for pair in pairwise(ends))
        return ends[-1] if in_order else None
