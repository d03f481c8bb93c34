"""Random searches of servers in the extended language find what the local engine finds, in its order, within a budget.

`MLQUERY_REMOTE_TREES=100000` asks so many of each server instead of a few; see docs/contributing/set-up.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import mlquery
from mlquery.engine import columnar
from mlquery.entities import ViewType
from mlquery.language.plan import Plan
from mlquery.query.search import check, plan_of
from mlquery.remote import search
from mlquery.remote.source import RemoteSource
from mlquery.server.testing import running_server
from tests.support import random_queries, served_runs, sql_stores

# A server in the dialect of Azure warns of views that no source is about, and of times that look like seconds.
pytestmark = [pytest.mark.filterwarnings("ignore::mlquery.QueryWarning")]

_TREES = int(os.environ.get("MLQUERY_REMOTE_TREES", "0"))
_AT_ONCE = 20
_BUDGET = 100
STORE = served_runs.served_store(3, 80)
LIMITS = st.sampled_from([None, None, 1, 3, 10, 25, 60])
VIEWS = st.sampled_from([ViewType.ACTIVE_ONLY] * 4 + [ViewType.DELETED_ONLY, ViewType.ALL])
EXPERIMENTS = st.sampled_from([["1", "2", "30"]] * 8 + [["2"], ["30", "99"], ["99"], []])


@st.composite
def searches(draw: st.DrawFn) -> tuple[Plan, int | None]:
    """Draw the plan of a search in the extended language, and how many runs are wanted."""
    clauses = st.one_of(random_queries.EXTENDED_CLAUSES, sql_stores.AWKWARD_CLAUSES)
    filter_string = draw(st.one_of(random_queries.EXTENDED_FILTERS, st.recursive(clauses, random_queries._joined)))
    order_by = draw(st.one_of(st.just([]), random_queries.EXTENDED_ORDERS))
    query = {"dialect": "extended", "view_type": draw(VIEWS)}
    if not check(filter_string, order_by, **query):
        order_by = []
    if not check(filter_string, order_by, **query):
        filter_string = ""
    plan = plan_of(filter_string, order_by, **query)
    return attrs.evolve(plan, experiment_ids=frozenset(draw(EXPERIMENTS))), draw(LIMITS)


@pytest.fixture(scope="module", params=["oss", "azure", "oss:2.9"])
def source(request: pytest.FixtureRequest) -> Iterator[RemoteSource]:
    """Give a server that speaks a dialect."""
    with running_server(STORE, request.param) as server:
        source: Any = mlquery.connect(server.tracking_uri, max_pages=_BUDGET).source
        yield source


@pytest.fixture(params=["large pages", "small pages"])
def pages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let pages be as large as ever, or so small that every search takes several."""
    if request.param == "small pages":
        for name, size in (("PAGE", 5), ("_LARGEST_PAGE", 20), ("_SPARE", 1)):
            monkeypatch.setattr(search, name, size)
    return str(request.param)


@pytest.mark.slow
def test_a_server_finds_the_runs_that_the_local_engine_finds_in_its_order(source: RemoteSource, pages: str) -> None:
    costs = served_runs.Costs()

    @settings(
        max_examples=max(_TREES // _AT_ONCE // 2, 1) if _TREES else 8,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(searches(), min_size=_AT_ONCE, max_size=_AT_ONCE))
    def ask(drawn: list[tuple[Plan, int | None]]) -> None:
        for plan, limit in drawn:
            expected = [STORE.runs.ids[row] for row in columnar.rows(STORE, plan)][:limit]
            assert expected == source.ids(plan, limit), f"{plan}, the first {limit}"
            cost = source.last_cost
            assert cost.taken <= _BUDGET
            costs.add(cost.taken, cost.rows, len(expected))

    ask()
    print(f"\n{source.server_dialect.name}, {pages}: {costs}")


@pytest.mark.slow
def test_pages_together_are_the_whole_result(source: RemoteSource, pages: str) -> None:
    @settings(max_examples=max(_TREES // 200, 10), phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(searches(), st.integers(1, 40)), min_size=3, max_size=3))
    def walk(drawn: list[tuple[tuple[Plan, int | None], int]]) -> None:
        for (plan, _), size in drawn:
            expected = [STORE.runs.ids[row] for row in columnar.rows(STORE, plan)]
            found, after = [], None
            while True:
                page = source.page(plan, size, after)
                found += [page.store.runs.ids[row] for row in page.rows]
                after = page.next
                if after is None:
                    break
            assert expected == found, f"{plan}, {size} a page"

    walk()
