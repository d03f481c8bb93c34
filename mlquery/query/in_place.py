"""Search runs and experiments where they are: parse and resolve the query as ever, and let the source run its plan.

Ids, numbers of results, page tokens, errors and warnings are those of `mlquery.query.search`. A page is a small store
with what was found, so that whatever reads a store reads a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from zlib import crc32

import attrs

from mlquery.entities import ViewType
from mlquery.language.matrix import Dialect
from mlquery.language.plan import Entity, FieldRef, Plan
from mlquery.query.histories import ReadPoints, points_in
from mlquery.query.page_tokens import PageToken, SortValue, bad_page_token
from mlquery.query.reading import OnWarning, read_experiment_search, read_query, read_run_search, warn_caller
from mlquery.query.refusals import positioned
from mlquery.query.search import FULL_IS_NOT_LAST
from mlquery.query.sources import Source
from mlquery.sql.errors import NotAskableError
from mlquery.sql.ordering import Position
from mlquery.sql.source import Page
from mlquery.store import Store


def data_of(source: Any) -> Store | Source:
    """Return the store or the source of a client; these themselves are what they are.

    Raises:
        TypeError: It is neither.
    """
    if isinstance(source, Store | Source):
        return source
    for name in ("source", "store"):  # a client of a source has no store, and says so
        found = getattr(source, name, None)
        if isinstance(found, Store | Source):
            return found
    raise TypeError(f"what is searched must be a Store or a Client, not {type(source).__name__}")


def points_of(data: Store | Source) -> ReadPoints:
    """Return what reads the points of runs and keys."""
    return data.histories if isinstance(data, Source) else points_in(data)


@attrs.frozen
class RunSearch:
    """A search of runs as it is asked for; arguments as of `mlquery.query.search.search_rows`.

    The most results may be any number where pages are of no matter.
    """

    experiment_ids: Iterable[str | int]
    filter_string: str | None = ""
    run_view_type: int = ViewType.ACTIVE_ONLY
    max_results: int | None = None
    order_by: Sequence[str] | None = None
    dialect: Dialect = attrs.field(kw_only=True)
    on_warning: OnWarning = attrs.field(default=warn_caller, kw_only=True)

    @property
    def is_of_none(self) -> bool:
        """Tell whether no run is wanted."""
        return self.max_results is not None and self.max_results <= 0

    def read(self, max_results: int | None = None, page_token: str | bytes | None = None) -> tuple[Plan, PageToken]:
        """Return its plan and the page that it continues; raises as `search_rows`."""
        page = (max_results, self.order_by, page_token)
        query = (self.experiment_ids, self.filter_string, self.run_view_type, *page)
        return read_run_search(*query, dialect=self.dialect, on_warning=self.on_warning)

    def planned(self) -> AbstractContextManager[Plan]:
        """Give its plan without pages to what asks a source; raises as `search_runs`."""
        return self.asking(self.read()[0])

    def asking(self, plan: Plan) -> AbstractContextManager[Plan]:
        """Give its plan, and let a refusal of the source point at the field that it is about."""
        return _asking(plan, self.filter_string, self.order_by, self.dialect)


def search_runs(source: Source, search: RunSearch, page_token: str | bytes | None) -> tuple[Page, str | None]:
    """Return one page of runs and the token of the next; raises as `mlquery.query.search.search_rows`.

    Raises:
        NotAskableError: the source cannot answer the query exactly.
        SourceUnavailableError: the source cannot be read.
    """
    plan, token = search.read(search.max_results, page_token)
    with search.asking(plan):
        return _page(source, plan, token, page_token, search.max_results, search.dialect.behaves(FULL_IS_NOT_LAST))


def search_experiments(
    source: Source,
    view_type: int,
    max_results: int | None,
    filter_string: str | None,
    order_by: Sequence[str] | None,
    page_token: str | bytes | None,
    *,
    dialect: Dialect,
    on_warning: OnWarning = warn_caller,
) -> tuple[Page, str | None]:
    """Return one page of experiments and the token of the next; raises as `search_runs`."""
    query = (view_type, max_results, filter_string, order_by, page_token)
    plan, token = read_experiment_search(*query, dialect=dialect, on_warning=on_warning)
    with _asking(plan, filter_string, order_by, dialect):
        return _page(source, plan, token, page_token, max_results)


def all_runs(source: Source, search: RunSearch) -> Page:
    """Return the runs that a frame is made of as one page."""
    if search.is_of_none:
        return _nothing()
    with search.planned() as plan:
        return source.page(plan, search.max_results)


def run_values(source: Source, fields: Sequence[FieldRef], search: RunSearch) -> list[tuple[Any, ...]]:
    """Return the id of each run that is found, in order, and the values of some fields; what is missing is None."""
    if search.is_of_none:
        return []
    with search.planned() as plan:
        return source.values(plan, fields, search.max_results)


def lazy_runs(source: Source, fields: Mapping[str, FieldRef], search: RunSearch) -> Any:
    """Return fields of the runs that are found, by the names of columns, as a lazy frame of the source."""
    with search.planned() as plan:
        return source.lazy(plan, fields, search.max_results)


def count_runs(source: Source, search: RunSearch) -> int:
    """Return how many runs are found, of which none is read; raises as `search_runs`."""
    with search.planned() as plan:
        return source.count(plan)


def experiment_ids(source: Source, dialect: Dialect, run_view_type: int = ViewType.ACTIVE_ONLY) -> list[str]:
    """Return the ids of all experiments, deleted ones only if the view shows deleted runs."""
    view = ViewType.ACTIVE_ONLY if run_view_type == ViewType.ACTIVE_ONLY else ViewType.ALL
    return source.ids(read_query(Entity.EXPERIMENT, "", None, view, dialect).plan)


def explained(source: Source, search: RunSearch) -> list[str]:
    """Return the lines that say how a source finds the first page: its statement or its requests."""
    with attrs.evolve(search, on_warning=lambda found: None).planned() as plan:
        return source.explained(plan, search.max_results)


@contextmanager
def _asking(plan: Plan, filter_string: str | None, order_by: Sequence[str] | None, dialect: Dialect) -> Iterator[Plan]:
    try:
        yield plan
    except NotAskableError as error:
        raise positioned(error, plan.entity, filter_string, order_by, dialect) from None


def _page(
    source: Source,
    plan: Plan,
    token: PageToken,
    written: str | bytes | None,
    max_results: int | None,
    full_is_not_last: bool = False,
) -> tuple[Page, str | None]:
    """Return a page and the token of the next, as `mlquery.query.search` does; see there for `full_is_not_last`."""
    after = _position(token, written, plan)
    if after is not None and not after.values:  # a full page said that another one may follow, and none does
        return _nothing(), None
    if max_results is None or max_results < 0:
        return source.page(plan, None, after), None
    page = source.page(plan, max(max_results, 1), after)
    if max_results == 0:  # which some services take
        return _nothing(), str(PageToken(token.offset)) if page.rows else None
    is_full = len(page.rows) == max_results
    if page.next is None and not (is_full and full_is_not_last):
        return page, None
    end = () if page.next is None else page.next.values
    return page, str(PageToken(token.offset + len(page.rows), after=end, check=_check(plan, end)))


def _position(token: PageToken, written: str | bytes | None, plan: Plan) -> Position | None:
    """Return where a page begins, None for the first one.

    Raises:
        QueryError: the token is of another search, of a store or of another server: those count rows, which shift.
    """
    if token.offset == 0:
        return None
    if token.after is None:
        raise bad_page_token(written, "not a page token of a search in place; begin again without a token")
    if token.check != _check(plan, token.after):
        raise bad_page_token(written, "a page token of another search, or damaged; begin again without a token")
    return Position(token.after)


def _nothing() -> Page:
    return Page(Store(), range(0), None)


def _check(plan: Plan, after: Sequence[SortValue]) -> int:
    """Return a number that tells a search and a place in it from others, in every process.

    The search of other experiments has the same one: a place in an order is a place in them, too.
    """
    return crc32(repr((plan.entity, plan.where, plan.order, sorted(plan.stages), tuple(after))).encode())
