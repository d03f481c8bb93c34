"""Says what a search on a server costs and where each part of it is decided, before anything is asked."""

from __future__ import annotations

from typing import Protocol

from mlquery.language.matrix import Dialect
from mlquery.language.plan import Plan, SortKey
from mlquery.pushdown.clauses import filter_of
from mlquery.pushdown.covers import unasked
from mlquery.pushdown.entailment import Test
from mlquery.pushdown.requests import Queries
from mlquery.remote.search import LATER_PAGE, PAGE
from mlquery.sql.errors import name_of


class Server(Protocol):
    """What is known of a server: its name, the filters that it takes, and the most pages of a search."""

    name: str
    server_dialect: Dialect
    max_pages: int


def explained(plan: Plan, queries: Queries, limit: int | None, server: Server) -> list[str]:
    """Return the lines that say how the first page of a search is found."""
    dialect = server.server_dialect
    return [
        f"searched  by requests to {server.name} (dialect {dialect.name})",
        "asks",
        *_asked(queries),
        "decided here",
        *_decided_here(plan, queries, dialect),
        f"ordered   {_ordered(plan, queries, limit)}",
        f"pages     {_pages(queries, limit, server.max_pages)}",
    ]


def _asked(queries: Queries) -> list[str]:
    if not queries.cover.branches:
        return ["          nothing: no run can pass"]
    return [f"          {filter_of(branch) or '(all runs of the experiments)'}" for branch in queries.cover.branches]


def _decided_here(plan: Plan, queries: Queries, dialect: Dialect) -> list[str]:
    tests = list(dict.fromkeys(map(_test, unasked(plan.where, queries.cover, dialect))))
    return [f"          {test}" for test in tests] or ["          nothing that the server does not decide too"]


def _test(test: Test) -> str:
    predicate = test.predicate
    value = "" if predicate.value is None else f" {predicate.value!r}"
    return f"{'NOT ' * test.is_negated}{name_of(predicate.field)} {predicate.op.value}{value}"


def _ordered(plan: Plan, queries: Queries, limit: int | None) -> str:
    if limit is not None and queries.order.keys:
        kept = "by the server" if queries.order.is_total else "by the server as far as it can, then here"
        return f"{kept}: {', '.join(queries.order.entries)}"
    return f"here, by {', '.join(map(_key, plan.order))}"


def _key(key: SortKey) -> str:
    return f"{name_of(key.field)} {'DESC' if key.descending else 'ASC'}"


def _pages(queries: Queries, limit: int | None, most: int) -> str:
    number = len(queries.cover.branches)
    if number == 0:
        return "none"
    if number == 1 and limit is not None and limit <= PAGE and queries.cover.is_exact and queries.order.is_total:
        return "1"
    return f"at most {most} (max_pages) of up to {LATER_PAGE:,} runs; a search that takes more is refused"
