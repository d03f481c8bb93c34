"""Random queries, run on MLflow's SQLite store and on mlquery: the same rows in the same order, or the same refusal.

`MLQUERY_FUZZ=5000 HYPOTHESIS_PROFILE=fresh` draws that many new queries of each kind; with `-s` it says what
mlquery alone refused.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlquery.errors import QueryError, StoreError
from mlquery.query.search import search_experiments, search_runs
from mlquery.readers import load
from tests.support import random_data, random_queries
from tests.support.installed_mlflow import INSTALLED

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("MLQUERY_FUZZ", "300"))
SETTINGS = settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
VIEWS = st.sampled_from([1, 1, 1, 2, 3])
PAGE_SIZES = st.sampled_from([1000, 1000, 1000, 7, 20])
EXPERIMENTS = st.sampled_from([["0", "1", "2", "3", "4", "5", "6"]] * 3 + [["1"], ["2", "0"], ["6"], ["99", "1"], []])


@attrs.frozen
class Pair:
    """The same contents in both stores."""

    theirs: Any
    ours: Any


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Fill an MLflow store with random runs and read its file."""
    folder: Path = tmp_path_factory.mktemp("beside")
    logging.disable(logging.CRITICAL)  # MLflow logs the SQL of every statement that fails
    store = random_data.new_mlflow_store(folder)
    random_data.fill(store, seed=1, runs=60)
    yield Pair(store, load(folder / "mlflow.db"))
    logging.disable(logging.NOTSET)


def _pages(search: Any, token: Any = None) -> list[list[str]]:
    """Return the ids on every page of a search."""
    pages = []
    while True:
        page = search(token)
        pages.append([getattr(item, "info", item) for item in page])
        token = page.token
        if not token:
            return [[getattr(i, "run_id", i.experiment_id) for i in page] for page in pages]


def _outcome(search: Any) -> Any:
    """Return the pages of a search, or the error code of its refusal; MLflow lets some ValueErrors escape."""
    from mlflow.exceptions import MlflowException

    try:
        return _pages(search)
    except (MlflowException, QueryError, StoreError) as error:
        return error.error_code
    except (ValueError, SyntaxError) as error:
        return type(error).__name__


def _both(pair: Pair, call: str, **arguments: Any) -> tuple[Any, Any]:
    searches: dict[str, Callable[..., Any]] = {"search_runs": search_runs, "search_experiments": search_experiments}
    theirs, ours = getattr(pair.theirs, call), searches[call]
    expected = _outcome(lambda token: theirs(page_token=token, **arguments))
    actual = _outcome(lambda token: ours(pair.ours, page_token=token, dialect=INSTALLED, **arguments))
    return expected, actual


@SETTINGS
@given(
    experiment_ids=EXPERIMENTS,
    filter_string=random_queries.filters(random_queries.RUN_CLAUSES),
    run_view_type=VIEWS,
    max_results=PAGE_SIZES,
    order_by=random_queries.RUN_ORDERS,
)
def test_run_searches_find_the_rows_of_mlflow_in_its_order(pair: Pair, **arguments: Any) -> None:
    """Well-formed filters, orders, views and page sizes."""
    expected, actual = _both(pair, "search_runs", **arguments)

    assert expected == actual


@SETTINGS
@given(
    view_type=VIEWS,
    filter_string=random_queries.filters(random_queries.EXPERIMENT_CLAUSES),
    max_results=st.sampled_from([1000, 2]),
    order_by=random_queries.EXPERIMENT_ORDERS,
)
def test_experiment_searches_find_the_rows_of_mlflow_in_its_order(pair: Pair, **arguments: Any) -> None:
    """Well-formed filters, orders, views and page sizes."""
    expected, actual = _both(pair, "search_experiments", **arguments)

    assert expected == actual


def test_damaged_filters_are_never_read_differently_and_seldom_refused_alone(pair: Pair) -> None:
    """Filters with one or two characters changed: rows never differ, and what MLflow refuses is refused."""
    tally: Counter[str] = Counter()
    refused_alone: list[str] = []

    @SETTINGS
    @given(random_queries.damaged(random_queries.filters(random_queries.RUN_CLAUSES)))
    def compare(filter_string: str) -> None:
        arguments = {"experiment_ids": ["0", "1", "2", "3"], "filter_string": filter_string, "run_view_type": 1}
        expected, actual = _both(pair, "search_runs", **arguments)
        is_refused_alone = isinstance(expected, list) and not isinstance(actual, list)
        tally["accepted by MLflow"] += isinstance(expected, list)
        if is_refused_alone:
            refused_alone.append(filter_string)
        assert is_refused_alone or isinstance(expected, list) == isinstance(actual, list)
        assert is_refused_alone or not isinstance(expected, list) or expected == actual

    compare()

    print(f"MLflow accepted {tally['accepted by MLflow']}; refused alone {len(refused_alone)}: {refused_alone}")
    assert tally["accepted by MLflow"] > EXAMPLES / 20
    assert len(refused_alone) <= max(1, EXAMPLES / 100), refused_alone
