"""Finds the first runs of a plan on a server: asks its queries until no run that is unread can be among them.

Pages continue by time, not by the server's page tokens: these count rows, so that a run would be skipped when one
before it is deleted. A run that is added meanwhile may be found or not; one that was there throughout is always found.
Only among more runs of one millisecond than a page has is there no other way than tokens.

Runs in an order that the server keeps are asked for in one page, each time a larger one. Of runs that are read by time
the first field of the order, if the server compares it, must be at least as good as in the last one that is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, takewhile
from math import ceil
from typing import Any, Final

import attrs

from mlquery.language.matrix import Dialect
from mlquery.language.plan import Plan, SortKey
from mlquery.pushdown.clauses import Clause, filter_of
from mlquery.pushdown.covers import Branch, presence
from mlquery.pushdown.requests import Queries, ServerOrder, from_value, up_to_value
from mlquery.remote.found import FoundRuns
from mlquery.remote.paging import Query, TimeReader
from mlquery.remote.requests import Requests
from mlquery.remote.sorting import MISSING, NAN, VALUE, SortValues, compared, sort_values

PAGE: Final = 1000
"""The most runs of a first page; MLflow's client asks for as many unless told otherwise."""
LATER_PAGE: Final = 5000
"""The most runs of a page after that."""
_LARGEST_PAGE: Final = 10_000
"""The most runs of a page in the server's order. `mlflow.search_runs` asks every server for as many at once."""
_GROWTH: Final = 4
_SPARE: Final = 2

Frontier = SortValues | None
"""What no unread run comes before, in the first keys of the order; None if any run may be unread."""


@attrs.frozen(eq=False)
class Found:
    """The rows of the runs that a search found, in order.

    Attributes:
        may_follow: Whether runs may follow that have not been read.
        is_complete: Whether everything that the plan finds is among the rows that were read.
    """

    rows: Sequence[int]
    may_follow: bool
    is_complete: bool


class Search:
    """A search of the first runs of a plan.

    Args:
        plan: The search.
        queries: What to ask the server.
        dialect: Which filters the server takes.
        requests: What sends them.
        found: Where runs are put; it decides which of them the plan finds.
        limit: How many runs are wanted; None for all.
        after: What the wanted runs come after, None for the first ones.
    """

    def __init__(
        self,
        plan: Plan,
        queries: Queries,
        dialect: Dialect,
        requests: Requests,
        found: FoundRuns,
        limit: int | None,
        after: SortValues | None = None,
    ) -> None:
        self.plan, self.queries, self.dialect = plan, queries, dialect
        self.requests, self.found = requests, found
        self.limit, self.after = limit, after
        self._first = plan.order[0]
        self.experiment_ids = sorted(plan.experiment_ids or ())
        self._smallest_unread = VALUE

    def run(self) -> Found:
        """Return the runs.

        Raises:
            TooManyPagesError, StoreError: as of `Requests.send`.
        """
        if not self.experiment_ids or not self.queries.cover.branches:
            return Found([], False, True)
        if self.limit is not None and self.after is None and self.queries.order.keys and not self._leads_with_time:
            found = self._in_server_order()
            if found is not None:
                return found
        return self._by_time()

    @property
    def _leads_with_time(self) -> bool:
        """Tell whether the first key of the order is the one that pages continue by."""
        return self.queries.by_time.keys[:1] == self.plan.order[:1]

    # In the order of the server

    def _in_server_order(self) -> Found | None:
        """Return the runs from one page of each query, as the server orders them; None if they cannot be found so."""
        assert self.limit is not None
        order, size = self.queries.order, self._first_size()
        asked = list(self.queries.cover.branches)
        ends: dict[Branch, Frontier] = {}
        while True:
            pages = self._pages([(branch, order, None) for branch in asked], size)
            for branch, (runs, token) in zip(asked, pages, strict=True):
                self.found.add(runs)
                ends[branch] = self._last(runs, order)
                if token is None:
                    del ends[branch]
            rows = self.found.rows()
            asked = [branch for branch, end in ends.items() if not self._is_settled(rows, end)]
            if not asked:
                return Found(rows, bool(ends), not ends)
            if None in ends.values() or size == _LARGEST_PAGE:
                return None
            size = min(size + self._next_size(size, len(rows)), _LARGEST_PAGE)

    def _last(self, runs: list[Any], order: ServerOrder) -> Frontier:
        """Return where a page ends; None if it does not say what is unread.

        The page must be in the order that was asked for. Where it ends among runs without a value, other runs must
        have been before them: some services put these first.
        """
        store = self.found.store
        values = [sort_values(store, store.runs.row_of[run.info.run_id], order.keys) for run in runs]
        if not values or any(compared(*pair, order.keys) > 0 for pair in pairwise(values)):
            return None
        ends = zip(values[0], values[-1], strict=True)
        known = [last[0] == VALUE or first[0] < last[0] for first, last in ends]
        sure = known.index(False) if False in known else len(known)
        return values[-1][:sure] or None

    # By time

    def _by_time(self) -> Found:
        bound = self._first_bound()
        readers = self._readers(self.queries.cover.branches, bound)
        found = self._read(readers, self._first_size(), may_give_up=True)
        if found is None:  # runs with a value come first, and can be asked for
            found = self._read(self._readers(self._branches_with_values()), PAGE)
            self._smallest_unread = MISSING if self.after is None else NAN
            if found is None or not self._is_enough(found.rows):
                found = self._read(readers, PAGE)
        assert found is not None
        is_read = all(reader.is_complete for reader in readers)
        is_complete = found.is_complete and bound is None and is_read
        return attrs.evolve(found, may_follow=found.may_follow or not is_read, is_complete=is_complete)

    def _readers(self, branches: Sequence[Branch], bound: int | None = None) -> list[TimeReader]:
        order, dialect = self.queries.by_time, self.dialect
        return [TimeReader(branch, order, dialect, None if bound is None else ((VALUE, bound),)) for branch in branches]

    def _read(self, readers: list[TimeReader], size: int, may_give_up: bool = False) -> Found | None:
        """Read queries until the runs are found; None after a page if runs with a value should be read instead."""
        extra: Clause | None = None
        asked = [reader for reader in readers if not reader.is_complete]
        while True:
            pages = self._pages([reader.next_query(extra) for reader in asked], size)
            for reader, (runs, token) in zip(asked, pages, strict=True):
                self.found.add(runs)
                reader.take([run.info for run in runs], token)
            unread = [reader for reader in readers if not reader.is_complete]
            rows = self.wanted(self.found.rows())
            asked = [reader for reader in unread if not self._is_settled(rows, self._frontier(reader))]
            if not asked:
                return Found(rows, bool(unread) or extra is not None, not unread and extra is None)
            self._suggest(unread)
            extra = self._at_least_as_good(rows)
            if may_give_up and extra is None and self._should_read_values():
                return None
            size = min(self._next_size(size, len(rows)), LATER_PAGE)

    def _first_bound(self) -> int | None:
        """Return the time at which the wanted runs begin, if the order tells."""
        if self.after is None or not self._leads_with_time or self.after[0][0] != VALUE:
            return None
        return int(self.after[0][1])

    def _frontier(self, reader: TimeReader) -> Frontier:
        """Return what no unread run of a query comes before."""
        keys = reader.order.keys
        if self._leads_with_time:
            same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(keys, self.plan.order, strict=False)))
            return reader.last and reader.last[:same]
        if self._smallest_unread == VALUE:
            return None
        unread: SortValues = ((self._smallest_unread, None),)
        follows = self._smallest_unread == MISSING and self.plan.order[1:2] == keys[:1]
        return unread + reader.last[:1] if follows and reader.last is not None else unread

    # Runs with a value of the first key

    def _at_least_as_good(self, rows: Sequence[int]) -> Clause | None:
        """Return the clause for runs that may be among the first, once enough of those read have a value."""
        if not self._is_enough(rows):
            return None
        ((_, value),) = self._values(rows[self._last_wanted], (self._first,))
        return up_to_value(self._first, value, self.dialect)

    def _is_enough(self, rows: Sequence[int]) -> bool:
        """Tell whether as many runs as are wanted have a value of the first key."""
        if self.limit is None or len(rows) < self.limit or not self.limit:
            return False
        ((kind, _),) = self._values(rows[self._last_wanted], (self._first,))
        return kind == VALUE

    def _should_read_values(self) -> bool:
        """Tell whether runs with a value of the first key can be asked for and are wanted before others."""
        is_wanted = self.limit is not None and not self._leads_with_time and self._compares_first_key
        return is_wanted and (self.after is None or self.after[0][0] == VALUE) and bool(self._branches_with_values())

    def _branches_with_values(self) -> list[Branch]:
        """Return the queries for the runs that have a value of the first key; none if it cannot be asked for."""
        if self.after is not None:
            start = from_value(self._first, self.after[0][1], self.dialect)
            having: tuple[Branch, ...] = () if start is None else ((start,),)
        else:
            having = presence(self._first.field, self.dialect) or ()
        return [(*branch, *clauses) for branch in self.queries.cover.branches for clauses in having]

    # What is wanted

    @property
    def _last_wanted(self) -> int:
        assert self.limit is not None
        return self.limit - 1

    def _first_size(self) -> int:
        """Return how many runs to ask for at first: hardly more than are wanted if all that the server finds are."""
        if self.limit is None or self._needs_all:
            return PAGE
        is_exact = self.queries.cover.is_exact and self.queries.order.is_total and self.after is None
        # Of a later page, runs of the time at which the page before ended come again.
        share = self._share(self.limit)
        return max(1, min(share if is_exact else share + _SPARE, PAGE))

    def _share(self, wanted: int) -> int:
        """Return how many of the wanted runs one of the queries is likely to find: no more than a fair share."""
        queries = len(self.queries.cover.branches)
        return wanted if queries <= 1 else min(wanted, ceil(wanted * 4 / (3 * queries)) + 1)

    def _next_size(self, size: int, found: int) -> int:
        """Return how many runs to ask for next, after so many of them were found among those of a page."""
        if self.limit is None or not 0 < found < self.limit:
            return size * _GROWTH
        read = self.found.store.runs.size
        return min(max((self.limit - found) * read * 5 // (found * 4), size), size * _GROWTH)

    @property
    def _needs_all(self) -> bool:
        """Tell whether nothing but all runs says which are the first: their order is kept by nobody else."""
        asks_in_order = bool(self.queries.order.keys) and self.after is None
        return not asks_in_order and not self._leads_with_time and not self._compares_first_key

    @property
    def _compares_first_key(self) -> bool:
        """Tell whether the server can be asked for runs whose first key is at least as good as a value."""
        return from_value(self._first, 0, self.dialect) is not None

    def wanted(self, rows: Sequence[int]) -> Sequence[int]:
        """Return the rows that come after the page before."""
        if self.after is None:
            return rows
        low, high = 0, len(rows)
        while low < high:
            middle = (low + high) // 2
            if compared(self._values(rows[middle], self.plan.order), self.after, self.plan.order) <= 0:
                low = middle + 1
            else:
                high = middle
        return rows[low:]

    def _is_settled(self, rows: Sequence[int], frontier: Frontier) -> bool:
        """Tell whether no unread run of a query comes before the last one that is wanted."""
        if self.limit is None or len(rows) < self.limit or frontier is None:
            return False
        return not self.limit or self._is_before(rows[self._last_wanted], frontier)

    def _is_before(self, row: int, frontier: SortValues) -> bool:
        keys = self.plan.order[: len(frontier)]
        order = compared(self._values(row, keys), frontier, keys)
        return order < 0 or (order == 0 and len(keys) == len(self.plan.order))

    def _values(self, row: int, keys: Sequence[SortKey]) -> SortValues:
        return sort_values(self.found.store, row, keys)

    def _pages(self, queries: Sequence[Query], size: int) -> list[tuple[list[Any], str | None]]:
        """Return a page of each query."""

        def page(query: Query) -> tuple[list[Any], str | None]:
            clauses, order, token = query
            return self.requests.runs(
                self.experiment_ids, filter_of(clauses), self.queries.view, size, order.entries, token
            )

        return self.requests.each(page, queries)

    def _suggest(self, unread: Sequence[TimeReader]) -> None:
        """Say in the error about too many pages which search would take fewer."""
        lasts = [reader.last for reader in unread]
        known = [last[0][1] for last in lasts if last is not None]
        if known and len(known) == len(lasts):
            descending = self.queries.by_time.keys[0].descending
            clause = f"attributes.start_time {'>' if descending else '<'} {max(known) if descending else min(known)}"
            self.requests.cheaper = f"(FILTER) AND {clause}, with the filter for FILTER, or a larger max_pages"
