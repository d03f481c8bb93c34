"""The same calls and searches on MLflow's SQLite model registry and on mlquery's: the same answers and errors.

`MLQUERY_FUZZ=2000 HYPOTHESIS_PROFILE=fresh` plays that many scripts and draws that many new filters of each kind;
`MLQUERY_SEED=5000` plays other scripts.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any
from unittest import mock

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

from mlquery.backend import Backend
from mlquery.errors import QueryError, StoreError
from mlquery.mlflow_plugin import register, uris
from mlquery.mocking import Clock
from mlquery.registry import Registry
from mlquery.store import Store
from tests.support import random_queries, random_registry
from tests.support.installed_mlflow import INSTALLED
from tests.support.random_registry import Player, Script, Step

SCRIPTS = int(os.environ.get("MLQUERY_FUZZ", "60"))
FIRST_SEED = int(os.environ.get("MLQUERY_SEED", "0"))
EXAMPLES = int(os.environ.get("MLQUERY_FUZZ", "120"))
SETTINGS = settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
PAGE_SIZES = st.sampled_from([100, 100, 1, 3, 7])
CLOCK = "mlflow.store.model_registry.sqlalchemy_store.get_current_time_millis"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("registry beside mlflow"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:mlflow"),
    pytest.mark.filterwarnings("ignore:.*stages will be removed.*:FutureWarning"),
]


@attrs.define
class Pair:
    """A client of MLflow's registry and one of ours, under one clock."""

    theirs: Player
    ours: Player
    clock: Clock
    time: int = 0

    def play(self, step: Step) -> tuple[Any, Any]:
        """Make the same call on both, a millisecond later than the one before."""
        self.time += 1
        self.clock.set(self.time)  # a time that is set may come again, in the next script
        with mock.patch(CLOCK, return_value=self.time):
            expected = self.theirs.play(step)
        return expected, self.ours.play(step)

    def begin(self) -> None:
        """Start a script."""
        self.time = 0
        self.theirs.begin()
        self.ours.begin()


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Return what makes URIs of empty databases; MLflow takes seconds to make the first one."""
    folder = tmp_path_factory.mktemp("registry")
    # MLflow logs the SQL of every statement that fails.
    logging.disable(logging.CRITICAL)
    SqlAlchemyStore(f"sqlite:///{folder}/empty.db")._dispose_engine()
    numbers = count()
    yield lambda: f"sqlite:///{shutil.copy(folder / 'empty.db', folder / f'{next(numbers)}.db')}"
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def pair(databases: Callable[[], str]) -> Iterator[Pair]:
    register()
    clock = Clock(0)
    uri = uris.new_private(uris.new_backend(INSTALLED.name, Store(clock=clock)))
    yield Pair(Player(MlflowClient(databases())), Player(MlflowClient(uri)), clock)
    uris.forget(uri)


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SCRIPTS))
def test_a_script_of_random_calls_gives_the_answers_and_errors_of_mlflow(pair: Pair, seed: int) -> None:
    pair.begin()

    for number, step in enumerate(Script(seed).steps):
        expected, answer = pair.play(step)

        assert expected == answer, f"step {number}: {step}"


@attrs.define
class Filled:
    """MLflow's registry store and our registry with the same contents."""

    theirs: Any
    ours: Registry


@pytest.fixture(scope="module")
def filled(databases: Callable[[], str]) -> Filled:
    clock = Clock(1_700_000_000_000)
    both = Filled(SqlAlchemyStore(databases()), Registry(clock))

    def create_version(name: str, source: str | None, run_id: str | None, tags: dict[str, str]) -> None:
        theirs = [ModelVersionTag(key, value) for key, value in tags.items()]
        both.theirs.create_model_version(name, source, run_id, theirs)
        clock.set(clock())  # times that are set may be equal, as those of MLflow are here
        both.ours.create_model_version(name, source, run_id, tags)

    def create_model(name: str, tags: dict[str, str]) -> None:
        both.theirs.create_registered_model(name, [RegisteredModelTag(key, value) for key, value in tags.items()])
        clock.set(clock())
        both.ours.create_registered_model(name, tags)

    def delete_version(name: str, number: int) -> None:
        for registry in (both.theirs, both.ours):
            if any(version.version == number for version in registry.get_latest_versions(name)):
                clock.set(clock())
                registry.delete_model_version(name, number)

    with mock.patch(CLOCK, side_effect=clock):
        random_registry.fill(create_model, create_version, delete_version, clock.tick)
    return both


def outcome(search: Any, **arguments: Any) -> Any:
    """Return the rows on every page of a search, or the error code of its refusal; MLflow fails on IS NULL."""
    pages, token = [], None
    try:
        while True:
            page = search(page_token=token, **arguments)
            pages.append([(item.name, getattr(item, "version", None)) for item in page])
            token = page.token
            if not token:
                return pages
    except (MlflowException, QueryError, StoreError) as error:
        return error.error_code
    except ValueError:
        return "INTERNAL_ERROR"  # what a server answers then


def outcomes(filled: Filled, call: str, **arguments: Any) -> tuple[Any, Any]:
    expected = outcome(getattr(filled.theirs, call), **arguments)
    return expected, outcome(getattr(Backend(registry=filled.ours, dialect=INSTALLED), call), **arguments)


KINDS = pytest.mark.parametrize(
    ("call", "clauses", "orders"),
    [
        ("search_registered_models", random_registry.MODEL_CLAUSES, random_registry.MODEL_ORDERS),
        ("search_model_versions", random_registry.VERSION_CLAUSES, random_registry.VERSION_ORDERS),
    ],
)


@KINDS
def test_searches_find_the_rows_of_mlflow_in_its_order(filled: Filled, call: str, clauses: Any, orders: Any) -> None:
    tally: Counter[bool] = Counter()

    @SETTINGS
    @given(filter_string=random_registry.filters(clauses), order_by=orders, max_results=PAGE_SIZES)
    def compare(**arguments: Any) -> None:
        expected, actual = outcomes(filled, call, **arguments)
        tally[isinstance(expected, str)] += 1

        # Of several errors MLflow reports another one first.
        assert isinstance(expected, str) == isinstance(actual, str), (expected, actual)
        assert isinstance(expected, str) or expected == actual

    compare()

    assert all(tally[was_refused] > EXAMPLES / 10 for was_refused in (True, False))


@KINDS
def test_a_clause_is_refused_with_the_error_code_of_mlflow(
    filled: Filled, call: str, clauses: Any, orders: Any
) -> None:
    @SETTINGS
    @given(filter_string=random_registry.filters(clauses, most=1))
    def compare(filter_string: str) -> None:
        expected, actual = outcomes(filled, call, filter_string=filter_string)

        assert expected == actual

    compare()


@KINDS
def test_damaged_filters_are_never_read_differently_and_seldom_refused_alone(
    filled: Filled, call: str, clauses: Any, orders: Any
) -> None:
    refused_alone: list[str] = []

    @SETTINGS
    @given(random_queries.damaged(random_registry.filters(clauses, most=2)))
    def compare(filter_string: str) -> None:
        expected, actual = outcomes(filled, call, filter_string=filter_string)
        if isinstance(actual, str) and not isinstance(expected, str):
            refused_alone.append(filter_string)
        else:
            assert isinstance(expected, str) == isinstance(actual, str)
            assert isinstance(expected, str) or expected == actual

    compare()

    assert len(refused_alone) <= max(1, EXAMPLES / 100), refused_alone
