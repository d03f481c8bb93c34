"""Turn the arguments of a search into a plan and the page that it continues, wherever the runs are.

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

from mlquery.entities import ViewType
from mlquery.errors import INTERNAL_ERROR, Diagnostic, QueryError, QueryWarning, StoreError
from mlquery.language.matrix import Dialect
from mlquery.language.parser import parse_filter, parse_order_by
from mlquery.language.plan import All, Entity, FieldRef, Kind, Op, Plan, Predicate
from mlquery.language.precedence import by_precedence
from mlquery.language.resolve import Query, Resolved, resolve
from mlquery.language.sizes import filter_problem, order_problem
from mlquery.language.syntax import And, Expression, OrderTerm
from mlquery.query.page_tokens import PageToken, read_token, require_max_results
from mlquery.store.state import integer_id

Ids = TypeVar("Ids")
OnWarning = Callable[[Iterable[Diagnostic]], None]
"""Receives the warnings about a query that is accepted."""

FINDS_SLASHES = "experiment.name.slash"
"""The behaviour that experiments with a slash in their names are found otherwise than by their ids."""

_WITHOUT_SLASH = Predicate(FieldRef(Kind.ATTRIBUTE, "name"), Op.NOT_LIKE, "%/%")
_VIEWS = {ViewType.ACTIVE_ONLY: "ACTIVE_ONLY", ViewType.DELETED_ONLY: "DELETED_ONLY", ViewType.ALL: "ALL"}
_SKIPPED = ("mlquery", "mlflow")
_LONGEST_ID = 20
_CACHED_PLANS = 1024
_LONGEST_CACHED = 10_000  # characters


def warn_caller(found: Iterable[Diagnostic]) -> None:
    """Issue warnings for the first caller outside this package and outside MLflow, which calls the plugin."""
    for diagnostic in found:
        warn_outside(str(diagnostic))


def warn_outside(message: str) -> None:
    """Issue a `QueryWarning` for the first caller outside this package and outside MLflow."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _SKIPPED:
        level, frame = level + 1, frame.f_back
    warnings.warn(QueryWarning(message), stacklevel=level)


def read_run_search(
    experiment_ids: Iterable[str | int],
    filter_string: str | None,
    run_view_type: int,
    max_results: int | None,
    order_by: Sequence[str] | None,
    page_token: str | bytes | None,
    *,
    dialect: Dialect,
    on_warning: OnWarning,
    read_default_experiment: Callable[[], str] = lambda: "0",
) -> tuple[Plan, PageToken]:
    """Return the plan of a search of runs and the page that it continues, wherever the runs are.

    Args and raises: as of `search_rows`; `read_default_experiment` returns what a service means by experiment "0".
    """
    require_max_results(max_results, least=1 if dialect.behaves("max_results.positive") else -math.inf)
    resolved, token, ids = read_search(
        Entity.RUN,
        filter_string,
        order_by,
        run_view_type,
        page_token,
        dialect,
        lambda: _ids(read_default_experiment, experiment_ids, dialect),
    )
    on_warning(resolved.warnings)
    return attrs.evolve(resolved.plan, experiment_ids=ids), token


def read_experiment_search(
    view_type: int,
    max_results: int | None,
    filter_string: str | None,
    order_by: Sequence[str] | None,
    page_token: str | bytes | None,
    *,
    dialect: Dialect,
    on_warning: OnWarning,
) -> tuple[Plan, PageToken]:
    """Return the plan of a search of experiments and the page that it continues; raises as `search_experiments`."""
    require_max_results(max_results, none_is_all=False)
    resolved, token, _ = read_search(Entity.EXPERIMENT, filter_string, order_by, view_type, page_token, dialect)
    on_warning(resolved.warnings)
    plan = resolved.plan
    if not dialect.behaves(FINDS_SLASHES):
        plan = attrs.evolve(plan, where=All((plan.where, _WITHOUT_SLASH)))
    return plan, token


def read_query(
    entity: Entity, filter_string: str | None, order_by: Sequence[str] | None, view_type: int, dialect: Dialect
) -> Resolved:
    """Return the plan of a query and the warnings about it.

    Raises:
        QueryError: the filter or the order is not valid in the dialect.
    """
    view = _VIEWS.get(view_type, "NOTHING")
    query = entity, _require_string(filter_string), _require_strings(order_by), view, dialect
    is_short = len(query[1]) + sum(map(len, query[2])) <= _LONGEST_CACHED
    return _resolve(*query) if is_short else _resolve.__wrapped__(*query)


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
    if filter_string is not None and not isinstance(filter_string, str):
        raise QueryError(_not_string("a filter", filter_string, "filter_string"))
    problem = filter_problem(filter_string or "")
    if problem is not None:
        raise QueryError(Diagnostic("syntax", problem, suggestion="split the search into several smaller ones"))
    return filter_string or ""


def _not_string(what: str, given: Any, argument: str) -> Diagnostic:
    """Return the error about an argument that is no string; what was built from `F` is easily made one."""
    from mlquery.language.building import Condition, Ordering  # only mistakes need it

    suggestion = "str() of it, or its to_string(dialect)" if isinstance(given, Condition | Ordering) else None
    message = f"{what} must be a string, not {type(given).__name__}"
    return Diagnostic("syntax", message, argument, suggestion=suggestion)


def _require_strings(order_by: Sequence[Any] | None) -> tuple[str, ...]:
    if isinstance(order_by, str):
        message = "order_by must be a list of strings, one for each field"
        suggestion = f"order_by=[{order_by!r}]"
        raise QueryError(Diagnostic("syntax", message, "order_by", order_by, suggestion=suggestion, rule="MLQ011"))
    entries = tuple(order_by or ())
    for index, entry in enumerate(entries):
        if not isinstance(entry, str):
            error = _not_string("an entry of order_by", entry, f"order_by[{index}]")
            raise QueryError(attrs.evolve(error, rule="MLQ011"))
    problem = order_problem(entries)
    if problem is not None:
        raise QueryError(Diagnostic("syntax", problem, "order_by", suggestion="sort the DataFrame of `search_frame`"))
    return entries


def _ids(
    read_default_experiment: Callable[[], str], experiment_ids: Iterable[str | int], dialect: Dialect
) -> frozenset[str]:
    """Return experiment ids as the store writes them.

    Source: MLflow 3.17 `_parse_experiment_ids`: integers in any spelling.
    """
    if dialect.behaves("experiment_id.integer"):
        return frozenset(map(_integer_id, experiment_ids))
    ids = frozenset(map(str, experiment_ids))
    # A database finds integers in any spelling.
    ids |= {str(int(i)) for i in ids if i.isdecimal() and len(i) < _LONGEST_ID}
    # MLflow's client searches "0" if no experiment is set, and creates runs there: the service means its default.
    return ids | {read_default_experiment()} if "0" in ids else ids


def _integer_id(experiment_id: str | int) -> str:
    number = integer_id(experiment_id)
    if not -(2**63) <= number < 2**63:
        raise StoreError(f"Experiment ID '{experiment_id}' does not fit into 64 bits.", INTERNAL_ERROR)
    return str(number)
