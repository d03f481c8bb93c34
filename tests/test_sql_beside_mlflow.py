"""Random queries on one database, answered by MLflow's own search and in place: the same pages, with the same data.

On servers strings are left out: MLflow compares them there as the server's collation and LIKE do, and in place they are
compared as on SQLite. What that is on PostgreSQL and MariaDB is measured below.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlquery.backend.in_place import InPlaceBackend
from mlquery.errors import QueryError, StoreError
from mlquery.sql.opening import open_in_place
from tests.support import random_data, random_queries
from tests.support.databases import ON_MARIADB, ON_POSTGRES, database_server, new_database
from tests.support.installed_mlflow import INSTALLED

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("MLQUERY_FUZZ", "60"))
SETTINGS = settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
VIEWS = st.sampled_from([1, 1, 2, 3])
PAGE_SIZES = st.sampled_from([1000, 7, 20])
EXPERIMENTS = st.sampled_from([["0", "1", "2", "3", "4", "5", "6"], ["1"], ["2", "0"], ["99", "1"], []])
NUMBERS = ["metrics.loss > 0.5", "metrics.loss != 1", "metrics.acc <= 0", "start_time >= 1", "end_time < 1600000000500"]
ORDERS = [["metrics.loss DESC"], ["metrics.acc", "start_time"], ["end_time DESC", "metrics.loss"], []]


@attrs.frozen
class Pair:
    """Two ways to search one database."""

    theirs: Any
    ours: InPlaceBackend


def _pair(url: str, folder: Path) -> Pair:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    return Pair(SqlAlchemyStore(url, str(folder / "artifacts")), InPlaceBackend(open_in_place(url), INSTALLED))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A file of SQLite with awkward runs."""
    folder = tmp_path_factory.mktemp("file")
    logging.disable(logging.CRITICAL)  # MLflow logs the SQL of every statement that fails
    random_data.fill(random_data.new_mlflow_store(folder), seed=1, runs=60)
    pair = _pair(f"sqlite:///{folder / 'mlflow.db'}", folder)
    yield pair
    pair.ours.source.close()
    logging.disable(logging.NOTSET)


@pytest.fixture(
    scope="module",
    params=[pytest.param("postgres", marks=ON_POSTGRES), pytest.param("mariadb", marks=ON_MARIADB)],
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A database of a server, with runs that it can hold whatever its collation."""
    with ExitStack() as stack:
        running = stack.enter_context(database_server(request.param))
        url = stack.enter_context(new_database(running))
        pair = _pair(url, tmp_path_factory.mktemp("server"))
        _log(pair.theirs)
        yield pair
        pair.ours.source.close()
        pair.theirs._dispose_engine()


def _log(store: Any) -> None:
    """Log runs with all kinds of numbers, and strings that collations take for others."""
    from mlflow.entities import Metric, Param, RunTag

    values = [0.0, 1.0, -1.0, 0.5, float("nan"), float("inf"), float("-inf"), 1e300, 2.0**53]
    texts = ["a", "A", "Ä", "ä", "a\\b", "b", "B", "e", "é", "100%", "a_b", "axb"]
    for number in range(40):
        tags = [RunTag("team", texts[number % len(texts)]), RunTag("mlflow.runName", f"run {number}")]
        run = store.create_run("0", "me", 1_600_000_000_000 + number % 7, tags, f"run {number}")
        metrics = [Metric("loss", values[number % len(values)], number, 0)] if number % 4 else []
        metrics += [Metric("acc", values[number * 5 % len(values)], number, step) for step in range(number % 3)]
        store.log_batch(run.info.run_id, metrics, [Param("model", texts[number * 7 % len(texts)])], [])


def pages(search: Any) -> Any:
    """Return the runs on every page of a search, with their data, or the error code of its refusal."""
    from mlflow.exceptions import MlflowException

    found, token = [], None
    try:
        while True:
            page = search(page_token=token)
            found.append([_shown(run) for run in page])
            token = page.token
            if not token:
                return found
    except (MlflowException, QueryError, StoreError) as error:
        return error.error_code
    except (ValueError, SyntaxError) as error:  # which MLflow lets escape
        return type(error).__name__


def _shown(run: Any) -> Any:
    info, data = run.info, run.data
    metrics = sorted((key, repr(value)) for key, value in data.metrics.items())  # NaN is not equal to itself
    about = (info.run_id, info.run_name, info.experiment_id, info.user_id, str(info.status), info.start_time)
    return about, info.end_time, info.artifact_uri, info.lifecycle_stage, metrics, data.params, data.tags


@SETTINGS
@given(
    experiment_ids=EXPERIMENTS,
    filter_string=random_queries.filters(random_queries.RUN_CLAUSES),
    run_view_type=VIEWS,
    max_results=PAGE_SIZES,
    order_by=random_queries.RUN_ORDERS,
)
def test_a_file_is_searched_as_by_mlflow(file: Pair, **arguments: Any) -> None:
    expected = pages(lambda **page: file.theirs.search_runs(**arguments, **page))

    assert expected == pages(lambda **page: file.ours.search_runs(**arguments, **page))


@SETTINGS
@given(
    clauses=st.lists(st.sampled_from(NUMBERS), max_size=3),
    run_view_type=VIEWS,
    max_results=PAGE_SIZES,
    order_by=st.sampled_from(ORDERS),
)
def test_a_server_is_searched_as_by_mlflow_where_numbers_decide(
    server: Pair, clauses: list[str], **arguments: Any
) -> None:
    arguments |= {"experiment_ids": ["0"], "filter_string": " AND ".join(clauses)}
    expected = pages(lambda **page: server.theirs.search_runs(**arguments, **page))

    assert expected == pages(lambda **page: server.ours.search_runs(**arguments, **page))


# What the guide "Search the database you have" says: the runs that MLflow finds on servers, and those found in place.
DIFFERENT = {
    "tags.team ILIKE 'ä'": {"postgresql": (8, 4), "mysql": (16, 4)},  # of any alphabet; MariaDB takes `a` for `ä`, too
    "tags.team ILIKE 'A%'": {"postgresql": (17, 17), "mysql": (25, 17)},
    "tags.team LIKE 'a\\b'": {"postgresql": (0, 3), "mysql": (0, 3)},  # a backslash escapes
    "tags.team LIKE 'a\\_b'": {"postgresql": (3, 0), "mysql": (3, 0)},
}
SAME = [
    *("tags.team = 'a'", "tags.team != 'a'", "tags.team LIKE 'a%'", "params.model = 'A '", "tags.TEAM = 'a'"),
    *("metrics.LOSS > 0", "run_name LIKE 'RUN 1%'", "run_name = 'RUN 1'"),
]


def _found(pair: Pair, filter_string: str, order_by: list[str]) -> tuple[list[Any], list[Any]]:
    """Return what is found on the first page by MLflow and in place."""
    query: Any = (["0"], filter_string, 1, 1000, order_by)
    theirs = pages(lambda **page: pair.theirs.search_runs(*query, **page))
    ours = pages(lambda **page: pair.ours.search_runs(*query, **page))
    return theirs[0], ours[0]


@pytest.mark.parametrize("filter_string", [*DIFFERENT, *SAME])
def test_strings_on_servers_are_those_of_mlflow_but_for_what_is_written_down(server: Pair, filter_string: str) -> None:
    theirs, ours = _found(server, filter_string, [])

    if filter_string in SAME:
        assert theirs == ours
    else:
        kind = server.theirs.engine.dialect.name
        assert DIFFERENT[filter_string][kind] == (len(theirs), len(ours))


def test_strings_on_servers_are_ordered_by_code_points(server: Pair) -> None:
    """MLflow orders them as the server's collation does."""
    theirs, ours = _found(server, "", ["tags.team"])

    teams = [run[-1]["team"] for run in ours]
    assert sorted(teams) == teams != [run[-1]["team"] for run in theirs]
