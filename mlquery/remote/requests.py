"""Sends the requests of one search through MLflow's client: counted, a few at a time, and never more than allowed.

What is asked, and what becomes of the answers, is not known here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import attrs

from mlquery.errors import INVALID_PARAMETER_VALUE, StoreError
from mlquery.remote.mlflow_client import call_error

MAX_PAGES: Final = 100
"""The most requests of a search, unless the caller says otherwise."""
WORKERS: Final = 4
"""The most requests at a time, unless the caller says otherwise."""
_REFUSED: Final = (INVALID_PARAMETER_VALUE, "BAD_REQUEST")

A = TypeVar("A")
B = TypeVar("B")
Progress = Callable[[str, int, int], None]
"""Called with what is counted, how many there are so far, and how many there may be."""


class TooManyPagesError(StoreError):
    """A search that would take more requests than it may; no run of it is given.

    Args:
        name: The server.
        most: How many requests the search may take.
        instead: What to ask for instead.
    """

    def __init__(self, name: str, most: int, instead: str) -> None:
        pages = "1 page" if most == 1 else f"{most:,} pages"
        message = f"the search takes more than {pages} of {name}; instead: {instead}"
        super().__init__(message, INVALID_PARAMETER_VALUE)


@attrs.define(eq=False)
class Budget:
    """How many requests a search may take and took."""

    most: int = MAX_PAGES
    taken: int = 0
    rows: int = 0
    progress: Progress = lambda *_: None
    _lock: Any = attrs.field(factory=threading.Lock)

    def take(self) -> bool:
        """Count a request; return whether it may be sent."""
        with self._lock:
            if self.taken >= self.most:
                return False
            self.taken += 1
            self.progress("pages", self.taken, self.most)
            return True

    def count(self, rows: int) -> None:
        """Count runs that a request brought."""
        with self._lock:
            self.rows += rows


class Requests:
    """The requests of one search.

    Args:
        client: MLflow's client.
        name: The server in messages.
        budget: How many requests may be sent.
        workers: How many at a time.
    """

    def __init__(self, client: Any, name: str, budget: Budget, workers: int = WORKERS) -> None:
        self.client, self.name, self.budget = client, name, budget
        self._workers = workers
        self.cheaper = f"a narrower filter, or a larger max_pages than {budget.most}"

    def each(self, ask: Callable[[A], B], of: Sequence[A]) -> list[B]:
        """Return the answers to requests, a few of which are under way at a time."""
        if len(of) <= 1 or self._workers == 1:
            return [ask(one) for one in of]
        with ThreadPoolExecutor(min(self._workers, len(of))) as pool:
            return list(pool.map(ask, of))

    def runs(
        self,
        experiment_ids: Iterable[str],
        filter_string: str,
        view: int,
        size: int,
        order_by: Sequence[str],
        token: Any,
    ) -> tuple[list[Any], str | None]:
        """Return a page of the runs that a server finds, as MLflow's entities, and the token of the next page."""
        query = (list(experiment_ids), filter_string, view, size, list(order_by), token)
        try:
            page = self.send(self.client.search_runs, *query)
        except StoreError as error:
            if error.error_code not in _REFUSED or isinstance(error, TooManyPagesError):
                raise
            hint = f"asked for {filter_string!r}; instead: say with server_dialect which filters it takes"
            raise StoreError(f"{error.message} ({hint})", error.error_code) from error
        self.budget.count(len(page))
        return list(page), page.token or None

    def send(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Return what a call of the client returns.

        Raises:
            TooManyPagesError: no more requests are allowed.
            StoreError: it failed, after MLflow's client has tried again as often as its environment says.
        """
        if not self.budget.take():
            raise TooManyPagesError(self.name, self.budget.most, self.cheaper)
        try:
            return call(*arguments, **options)
        except Exception as error:  # MLflow, its plugins and the network raise all kinds
            raise call_error(self.name, error) from error


def in_parts(of: Sequence[A], size: int) -> Iterator[Sequence[A]]:
    """Yield the items in parts of at most `size`."""
    for start in range(0, len(of), size):
        yield of[start : start + size]
