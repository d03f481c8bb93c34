"""Search a store: parse and resolve the query, run its plan and return a page. Every search goes through here.

Resolved queries are cached. Errors are `QueryError` about the query and `StoreError` about other arguments; warnings
are `QueryWarning`, issued for the caller outside this package.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import attrs

from mlquery.engine import columnar
from mlquery.entities import Experiment, PagedList, Run, ViewType
from mlquery.errors import INTERNAL_ERROR, Diagnostic, QueryError, QueryWarning, StoreError
from mlquery.language.matrix import MATRIX, Dialect
from mlquery.language.parser import parse_filter, parse_order_by
from mlquery.language.plan import Entity, Plan
from mlquery.language.precedence import by_precedence
from mlquery.language.resolve import Query, Resolved, resolve
from mlquery.language.syntax import And, Expression, OrderTerm
from mlquery.query.page_tokens import PageToken, read_token, require_max_results
from mlquery.store import Store
from mlquery.store.result_cache import without_newer
from mlquery.store.state import integer_id

Engine = Callable[[Store, Plan, int | None], Any]
Ids = TypeVar("Ids")
OnWarning = Callable[[Iterable[Diagnostic]], None]
"""Receives the warnings about a query that is accepted."""

DEFAULT_MAX_RESULTS = 1000
_VIEWS = {ViewType.ACTIVE_ONLY: "ACTIVE_ONLY", ViewType.DELETED_ONLY: "DELETED_ONLY", ViewType.ALL: "ALL"}
_SKIPPED = ("mlquery", "mlflow")
_LONGEST_ID = 20
_CACHED_PLANS = 1024


def warn_caller(found: Iterable[Diagnostic]) -> None:
    """Issue warnings for the first caller outside this package and outside MLflow, which calls the plugin."""
    for diagnostic in found:
        level, frame = 1, sys._getframe()
        while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _SKIPPED:
            level, frame = level + 1, frame.f_back
        warnings.warn(QueryWarning(str(diagnostic)), stacklevel=level)


@attrs.frozen
class Check:
    """The result of checking a query: whether the dialect accepts it, and every error and warning."""

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
    require_max_results(max_results, least=1 if chosen.behaves("max_results.positive") else -math.inf)
    resolved, token, ids = read_search(
        Entity.RUN,
        filter_string,
        order_by,
        run_view_type,
        page_token,
        chosen,
        lambda: _ids(store, experiment_ids, chosen),
    )
    plan = attrs.evolve(resolved.plan, experiment_ids=ids)
    on_warning(resolved.warnings)
    return _page(store, plan, token, max_results, engine, chosen.behaves("page.full-is-not-last"))


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
    require_max_results(max_results, none_is_all=False)
    chosen = MATRIX.dialect(dialect)
    resolved, token, _ = read_search(Entity.EXPERIMENT, filter_string, order_by, view_type, page_token, chosen)
    on_warning(resolved.warnings)
    with store.lock:
        rows, next_token = _page(store, resolved.plan, token, max_results, engine)
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
) -> Check:
    """Return whether a dialect accepts a query, with every error and warning; does not raise `QueryError`."""
    try:
        resolved = read_query(Entity(entity), filter_string, order_by, view_type, MATRIX.dialect(dialect))
    except QueryError as error:
        return Check(False, error.diagnostics)
    return Check(True, resolved.warnings)


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


def read_query(
    entity: Entity, filter_string: str | None, order_by: Sequence[str] | None, view_type: int, dialect: Dialect
) -> Resolved:
    """Return the plan of a query and the warnings about it.

    Raises:
        QueryError: the filter or the order is not valid in the dialect.
    """
    view = _VIEWS.get(view_type, "NOTHING")
    return _resolve(entity, _require_string(filter_string), _require_strings(order_by), view, dialect)


def read_search(
    entity: Entity,
    filter_string: str | None,
    order_by: Sequence[str] | None,
    view_type: int,
    page_token: str | bytes | None,
    dialect: Dialect,
    read_ids: Callable[[], Ids] = lambda: None,  # type: ignore[assignment,return-value]
) -> tuple[Resolved, PageToken, Ids]:
    """Return the plan of a search, the page that it continues and what `read_ids` returns.

    Raises:
        QueryError: the filter, the order or the page token is not valid in the dialect; with all errors, in the order
            in which a search meets them. Those of `read_ids` come before those of a database.
    """
    errors: list[Diagnostic] = []
    resolved, token = None, None
    try:
        resolved = read_query(entity, filter_string, order_by, view_type, dialect)
    except QueryError as error:
        errors += error.diagnostics
        if errors[0].stage != "running":
            raise
    try:
        token = read_token(page_token)
    except QueryError as error:
        errors = by_precedence(entity, [*errors, *error.diagnostics])
    if errors and errors[0].stage != "running":
        raise QueryError(*errors)
    ids = read_ids()
    if resolved is None or token is None:
        raise QueryError(*errors)
    return resolved, token, ids


@lru_cache(_CACHED_PLANS)
def _resolve(
    entity: Entity, filter_string: str, order_strings: tuple[str, ...], view: str, dialect: Dialect
) -> Resolved:
    expression, problems = _parsed(parse_filter, filter_string, "filter_string", dialect)
    if expression is None and (expression := _with_lists(filter_string)) is not None:
        problems = []
    terms: list[OrderTerm | None] = []
    for index, written in enumerate(order_strings):
        term, found = _parsed(parse_order_by, written, f"order_by[{index}]", dialect)
        problems += found
        terms.append(term)
    where: Expression = And(()) if expression is None else expression
    return resolve(Query(entity, where, filter_string, tuple(terms), order_strings, view), dialect, problems)


def _with_lists(filter_string: str) -> Expression | None:
    from mlquery.language.misplaced_lists import tree_with_lists  # only mistakes need it

    return tree_with_lists(filter_string)


def _parsed(
    parse: Callable[[str, str], Any], source: str, argument: str, dialect: Dialect
) -> tuple[Any, list[Diagnostic]]:
    """Return the syntax tree of a filter or an order_by entry, or its errors with the messages of the dialect."""
    try:
        return parse(source, argument), []
    except QueryError as error:
        template = dialect.messages.get("syntax")
        message = template.format(source=source) if template else None
        return None, [attrs.evolve(d, dialect=dialect.name, service_message=message) for d in error.diagnostics]


def _require_string(filter_string: str | None) -> str:
    if filter_string is None or isinstance(filter_string, str):
        return filter_string or ""
    raise QueryError(Diagnostic("syntax", f"a filter must be a string, not {type(filter_string).__name__}"))


def _require_strings(order_by: Sequence[Any] | None) -> tuple[str, ...]:
    if isinstance(order_by, str):
        message = "order_by must be a list of strings, one for each field"
        suggestion = f"order_by=[{order_by!r}]"
        raise QueryError(Diagnostic("syntax", message, "order_by", order_by, suggestion=suggestion))
    entries = tuple(order_by or ())
    for index, entry in enumerate(entries):
        if not isinstance(entry, str):
            message = f"an entry of order_by must be a string, not {type(entry).__name__}"
            raise QueryError(Diagnostic("syntax", message, f"order_by[{index}]"))
    return entries


def _ids(store: Store, experiment_ids: Iterable[str | int], dialect: Dialect) -> frozenset[str]:
    """Return experiment ids as the store writes them.

    Source: MLflow 3.17 `_parse_experiment_ids`: integers in any spelling.
    """
    if dialect.behaves("experiment_id.integer"):
        return frozenset(map(_integer_id, experiment_ids))
    ids = frozenset(map(str, experiment_ids))
    # A database finds integers in any spelling.
    ids |= {str(int(i)) for i in ids if i.isdecimal() and len(i) < _LONGEST_ID}
    # MLflow's client searches "0" if no experiment is set, and creates runs there: the service means its default.
    return ids | {store.default_experiment_id} if "0" in ids else ids


def _integer_id(experiment_id: str | int) -> str:
    number = integer_id(experiment_id)
    if not -(2**63) <= number < 2**63:
        raise StoreError(f"Experiment ID '{experiment_id}' does not fit into 64 bits.", INTERNAL_ERROR)
    return str(number)
