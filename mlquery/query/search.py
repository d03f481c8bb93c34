"""Search a store: read the query, run its plan and return a page. Every search of a store goes through here.

Errors are `QueryError` about the query and `StoreError` about other arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from mlquery.engine import columnar
from mlquery.entities import Experiment, PagedList, Run, ViewType
from mlquery.errors import Diagnostic, QueryError
from mlquery.language.keys import NO_KEYS, KnownKeys
from mlquery.language.matrix import MATRIX, Dialect
from mlquery.language.plan import Entity, Plan
from mlquery.query.page_tokens import PageToken
from mlquery.query.reading import OnWarning, read_experiment_search, read_query, read_run_search, warn_caller
from mlquery.store import Store
from mlquery.store.result_cache import without_newer

Engine = Callable[[Store, Plan, int | None], Any]

DEFAULT_MAX_RESULTS = 1000
FULL_IS_NOT_LAST = "page.full-is-not-last"
"""The behaviour that an empty page may follow the last full one."""


@attrs.frozen
class Check:
    """The result of checking a query: whether the dialect accepts it, and every error, warning and note."""

    accepted: bool
    diagnostics: tuple[Diagnostic, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether the dialect accepts the query."""
        return self.accepted

    def __str__(self) -> str:
        """Render the diagnostics, one block each."""
        return "\n".join(map(str, self.diagnostics)) or "accepted"


def search_rows(
    store: Store,
    experiment_ids: Iterable[str | int],
    filter_string: str | None = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = DEFAULT_MAX_RESULTS,
    order_by: Sequence[str] | None = None,
    page_token: str | bytes | None = None,
    *,
    dialect: str | Dialect = "oss",
    engine: Engine = columnar.rows,
    on_warning: OnWarning = warn_caller,
) -> tuple[Sequence[int], str | None]:
    """Return the rows of one page of runs, as row numbers of the store, and the token of the next page.

    Raises:
        QueryError: the filter, the order or the page token is not valid in the dialect.
        StoreError: `max_results` or an experiment id is not valid.

    Source: MLflow 3.17 `SqlAlchemyStore.search_runs`.
    """
    chosen = MATRIX.dialect(dialect)
    plan, token = read_run_search(
        experiment_ids,
        *(filter_string, run_view_type, max_results, order_by, page_token),
        dialect=chosen,
        on_warning=on_warning,
        read_default_experiment=lambda: store.default_experiment_id,
    )
    return page_of_runs(store, plan, token, max_results, chosen, engine)


def page_of_runs(
    store: Store, plan: Plan, token: PageToken, max_results: int | None, dialect: Dialect, engine: Engine
) -> tuple[Sequence[int], str | None]:
    """Return the rows of one page of runs, while nobody writes, and the token of the next page."""
    return _page(store, plan, token, max_results, engine, dialect.behaves(FULL_IS_NOT_LAST))


def search_runs(store: Store, experiment_ids: Iterable[str | int], *query: Any, **options: Any) -> PagedList[Run]:
    """Return one page of the runs that a filter finds, in order; arguments and errors as of `search_rows`."""
    with store.lock:
        rows, token = search_rows(store, experiment_ids, *query, **options)
        return PagedList(store.runs.runs_at(rows), token)


def search_experiments(
    store: Store,
    view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = DEFAULT_MAX_RESULTS,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
    page_token: str | bytes | None = None,
    *,
    dialect: str | Dialect = "oss",
    engine: Engine = columnar.rows,
    on_warning: OnWarning = warn_caller,
) -> PagedList[Experiment]:
    """Return one page of the experiments that a filter finds, in order.

    Raises:
        QueryError: the filter, the order or the page token is not valid in the dialect.
        StoreError: `max_results` is not valid; None is not.

    Source: MLflow 3.17 `SqlAlchemyStore.search_experiments`.
    """
    query = (view_type, max_results, filter_string, order_by, page_token)
    plan, token = read_experiment_search(*query, dialect=MATRIX.dialect(dialect), on_warning=on_warning)
    with store.lock:
        rows, next_token = _page(store, plan, token, max_results, engine)
        return PagedList([store.experiments.experiment_at(row) for row in rows], next_token)


def count_runs(
    store: Store,
    experiment_ids: Iterable[str | int],
    filter_string: str | None = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    *,
    dialect: str | Dialect = "oss",
    engine: Engine = columnar.rows,
) -> int:
    """Return how many runs a filter finds, without building `Run` objects.

    Raises:
        QueryError: the filter is not valid in the dialect.
        StoreError: an experiment id is not valid.
    """
    with store.lock:
        rows, _ = search_rows(store, experiment_ids, filter_string, run_view_type, None, dialect=dialect, engine=engine)
        return len(rows)


def check(
    filter_string: str | None = "",
    order_by: Sequence[str] | None = None,
    *,
    dialect: str | Dialect = "oss",
    entity: str = "run",
    view_type: int = ViewType.ACTIVE_ONLY,
    store: Store | None = None,
) -> Check:
    """Return whether a dialect accepts a query, with every error and warning; does not raise `QueryError`.

    Warnings are also about what is accepted and matches nothing, or means something else than it looks: these are the
    rules of `mlquery lint`. A query that is accepted gets notes too, which are often not about a mistake. With a
    `store`, there are warnings of keys that none of its runs has.
    """
    from mlquery.query.store_keys import keys_of  # few ask for it

    keys = NO_KEYS if store is None else keys_of(store)
    return check_with_keys(filter_string, order_by, keys, dialect=dialect, entity=entity, view_type=view_type)


def check_with_keys(
    filter_string: str | None,
    order_by: Sequence[str] | None,
    keys: KnownKeys,
    *,
    dialect: str | Dialect,
    entity: str,
    view_type: int = ViewType.ACTIVE_ONLY,
) -> Check:
    """Return the same as `check`, with the keys that something is known to log."""
    from mlquery.query.advising import advice_on, with_rule  # no search needs it

    chosen = MATRIX.dialect(dialect)
    found = advice_on(Entity(entity), filter_string, order_by, chosen, keys)
    try:
        resolved = read_query(Entity(entity), filter_string, order_by, view_type, chosen)
    except QueryError as error:
        return Check(False, (*error.diagnostics, *(one for one in found if one.severity == "warning")))
    return Check(True, (*map(with_rule, resolved.warnings), *found))


def plan_of(
    filter_string: str | None = "",
    order_by: Sequence[str] | None = None,
    *,
    dialect: str | Dialect = "oss",
    entity: str = "run",
    view_type: int = ViewType.ACTIVE_ONLY,
) -> Plan:
    """Return the plan of a query: its condition and its total order, fully resolved.

    Raises:
        QueryError: the filter or the order is not valid in the dialect.
    """
    return read_query(Entity(entity), filter_string, order_by, view_type, MATRIX.dialect(dialect)).plan


def _page(
    store: Store,
    plan: Plan,
    token: PageToken,
    max_results: int | None,
    engine: Engine,
    full_is_not_last: bool = False,
) -> tuple[Sequence[int], str | None]:
    """Return the rows of one page and the token of the next.

    The first page stops searching when it is full. Further pages are taken from one result, which the store caches, so
    that reading all pages takes one search, and runs that are added meanwhile neither move nor repeat others. With
    `full_is_not_last`, an empty page may follow the last full one.
    """
    if max_results is None or max_results < 0:
        return engine(store, plan, None)[token.offset :], None
    stop = token.offset + max_results
    found = engine(store, plan, stop + 1) if token.offset == 0 else _full_result(store, plan, token, engine)
    if len(found) < stop or (len(found) == stop and not full_is_not_last):
        return found[token.offset : stop], None
    size, version = (_size(store, plan), store.version) if token.offset == 0 else (token.size, token.version)
    return found[token.offset : stop], str(PageToken(stop, size, version))


def _full_result(store: Store, plan: Plan, token: PageToken, engine: Engine) -> Sequence[int]:
    """Return all rows of the search that a token continues, without those added after its first page."""
    search = (plan, token.version)
    cached = None if token.version is None else store.result_cache.get(search)
    if cached is not None:
        return cached
    found: Sequence[int] = engine(store, plan, None)
    if token.size is not None and token.size < _size(store, plan):
        found = without_newer(found, token.size)
    if token.version is not None:
        store.result_cache.put(search, found)
    return found


def _size(store: Store, plan: Plan) -> int:
    return (store.runs if plan.entity is Entity.RUN else store.experiments).size
