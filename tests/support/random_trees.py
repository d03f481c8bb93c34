"""Random searches of runs by the hundred thousand: trees of clauses that Hypothesis drew, put together in a moment."""

from __future__ import annotations

import random
from typing import Any, TypeVar

import attrs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mlquery.entities import ViewType
from mlquery.language.plan import All, AnyOf, Negation, Plan, SortKey, Where
from mlquery.query.search import check, plan_of
from tests.support import random_queries, sql_stores

T = TypeVar("T")
CLAUSES = st.one_of(random_queries.EXTENDED_CLAUSES, random_queries.RUN_CLAUSES, sql_stores.AWKWARD_CLAUSES)
LIMITS = [None, None, 1, 3, 10, 25, 60]
VIEWS = [ViewType.ACTIVE_ONLY] * 5 + [ViewType.DELETED_ONLY, ViewType.ALL]
EXPERIMENTS = [["1", "2", "30"]] * 8 + [["2"], ["30", "99"], ["99"], []]


@attrs.frozen
class Search:
    """A search: its plan, how many runs are wanted, and how many a page has."""

    plan: Plan
    limit: int | None
    page_size: int


class Trees:
    """Random searches in the extended language.

    Args:
        seed: Decides which searches are made of the clauses and orders.
        size: How many clauses are drawn.
    """

    def __init__(self, seed: int, size: int) -> None:
        self._random = random.Random(seed)
        clauses = _drawn(CLAUSES, size)
        self._clauses = [plan_of(clause, dialect="extended").where for clause in clauses if _is_valid(clause, [])]
        orders = _drawn(random_queries.EXTENDED_ORDERS, size // 5)
        self._orders = [plan_of("", order, dialect="extended").order for order in orders if _is_valid("", order)]

    def search(self) -> Search:
        """Return another search."""
        chosen = self._random.choice
        view: Any = {"dialect": "extended", "view_type": chosen(VIEWS)}
        plan = attrs.evolve(
            plan_of("", [], **view),
            where=self._tree(self._random.randrange(4)),
            order=self._order(),
            experiment_ids=frozenset(chosen(EXPERIMENTS)),
        )
        return Search(plan, chosen(LIMITS), self._random.randint(1, 40))

    def _tree(self, depth: int) -> Where:
        if depth == 0:
            return All() if self._random.random() < 0.05 else self._random.choice(self._clauses)
        kind = self._random.choice(["all", "any", "not"])
        if kind == "not":
            return Negation(self._tree(depth - 1))
        parts = tuple(self._tree(self._random.randrange(depth)) for _ in range(self._random.randint(2, 3)))
        return All(parts) if kind == "all" else AnyOf(parts)

    def _order(self) -> tuple[SortKey, ...]:
        return (
            plan_of("", [], dialect="extended").order
            if self._random.random() < 0.4
            else self._random.choice(self._orders)
        )


def _is_valid(filter_string: str, order_by: list[str]) -> bool:
    return bool(check(filter_string, order_by, dialect="extended"))


def _drawn(strategy: st.SearchStrategy[T], size: int) -> list[T]:
    """Return values of a strategy."""
    found: list[T] = []

    @settings(max_examples=size, phases=(Phase.generate,), suppress_health_check=list(HealthCheck), database=None)
    @given(strategy)
    def draw(value: T) -> None:
        found.append(value)

    draw()
    return found
