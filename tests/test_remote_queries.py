"""Random searches of servers in the extended language find what the local engine finds, in its order, within a budget.

`MLQUERY_REMOTE_TREES=100000` asks so many of each server instead of a few; see docs/contributing/set-up.md.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

import mlquery
from mlquery.engine import columnar
from mlquery.remote import search
from mlquery.remote.source import RemoteSource
from mlquery.server.testing import running_server
from tests.support import served_runs
from tests.support.random_trees import Trees

# A server in the dialect of Azure warns of views that no source is about, and of times that look like seconds.
pytestmark = [pytest.mark.filterwarnings("ignore::mlquery.QueryWarning")]

_TREES = int(os.environ.get("MLQUERY_REMOTE_TREES", "0"))
_SEED = int(os.environ.get("MLQUERY_REMOTE_SEED", "0"))
_BUDGET = 100
STORE = served_runs.served_store(3, 40 if _TREES else 80)


@pytest.fixture(scope="module")
def trees() -> Trees:
    """Give random searches; others each time that many are asked for."""
    return Trees(_SEED or random.SystemRandom().randrange(2**32) if _TREES else 1, 2000 if _TREES else 400)


@pytest.fixture(scope="module", params=["oss", "azure", "oss:2.9"])
def source(request: pytest.FixtureRequest) -> Iterator[RemoteSource]:
    """Give a server that speaks a dialect."""
    with running_server(STORE, request.param) as server:
        source: Any = mlquery.connect(server.tracking_uri, max_pages=_BUDGET).source
        yield source


@pytest.fixture(params=["large pages", "small pages"])
def pages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let pages be as large as ever, or so small that most searches take several."""
    if request.param == "small pages":
        for name, size in (("PAGE", 5), ("LATER_PAGE", 7), ("_LARGEST_PAGE", 20), ("_SPARE", 1)):
            monkeypatch.setattr(search, name, size)
    return str(request.param)


@pytest.mark.slow
def test_a_server_finds_the_runs_that_the_local_engine_finds_in_its_order(
    source: RemoteSource, pages: str, trees: Trees
) -> None:
    costs = served_runs.Costs()
    share = 4 if pages == "large pages" else 1  # small ones take many times as many requests
    for _ in range(_TREES * share // 5 or 120):
        asked = trees.search()
        expected = [STORE.runs.ids[row] for row in columnar.rows(STORE, asked.plan)][: asked.limit]
        assert expected == source.ids(asked.plan, asked.limit), asked
        cost = source.last_cost
        assert cost.taken <= _BUDGET
        costs.add(cost.taken, cost.rows, len(expected))
    print(f"\n{source.server_dialect.name}, {pages}: {costs}")


@pytest.mark.slow
def test_pages_together_are_the_whole_result(source: RemoteSource, pages: str, trees: Trees) -> None:
    for _ in range(_TREES // 50 or 12):
        asked = trees.search()
        expected = [STORE.runs.ids[row] for row in columnar.rows(STORE, asked.plan)]
        found: list[str] = []
        after = None
        while True:
            page = source.page(asked.plan, asked.page_size, after)
            found += [page.store.runs.ids[row] for row in page.rows]
            after = page.next
            if after is None:
                break
        assert expected == found, asked
