"""Searches of a database that MLflow writes to: no lock error on either side, and each answer is one state.

`MLQUERY_CONCURRENT_SEARCHES` sets how many searches are made; 10,000 take some minutes.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from mlquery.language.plan import Plan
from mlquery.query.search import plan_of
from mlquery.sql.engines.relational import open_relational
from mlquery.sql.layouts.mlflow import mlflow_tables
from mlquery.sql.source import Source
from tests.support import mlflow_writer
from tests.support.databases import ON_MARIADB, ON_POSTGRES, database_server, new_database
from tests.support.random_data import new_mlflow_store

SEARCHES = int(os.environ.get("MLQUERY_CONCURRENT_SEARCHES", "150"))

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def everywhere(filter_string: str, order_by: str) -> Plan:
    """Return the plan of a search of all experiments."""
    return attrs.evolve(plan_of(filter_string, [order_by]), experiment_ids=None)


@contextmanager
def writing(url: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Let MLflow write to a database in another process, from now on and for some seconds at most."""
    writer = subprocess.Popen(
        [sys.executable, mlflow_writer.__file__, url, str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    try:
        assert "ready\n" == writer.stdout.readline()
        yield writer
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()


def search_beside_a_writer(url: str) -> None:
    """Search while MLflow writes; every answer has to be one state, and no side may fail."""
    plan = everywhere("metrics.a >= 0 AND metrics.b >= 0", "metrics.b DESC")
    source: Source | None = None
    states: set[float] = set()
    start = time.monotonic()
    with writing(url, seconds=SEARCHES * 0.03 + 5) as writer:
        engine = open_relational(url)
        source = Source(engine, mlflow_tables(engine))
        for _ in range(SEARCHES):
            page = source.page(plan, 20)
            latest = [page.store.runs.run_at(row).data.metrics for row in page.rows]
            assert 20 == len(latest)
            assert all(metrics["a"] == metrics["b"] for metrics in latest)  # as they were logged, in one batch
            order = [metrics["b"] for metrics in latest]
            assert sorted(order, reverse=True) == order  # the data are those that the runs were ordered by
            assert order[0] - order[-1] == 19  # batches go to the runs in turn
            states.add(order[0])
        taken = time.monotonic() - start
        told: dict[str, Any] = json.loads(writer.communicate()[0].splitlines()[-1])
    source.close()
    print(f"{SEARCHES} searches in {taken:.1f} s, {len(states)} states; the writer: {told}")
    assert [] == told["errors"]
    assert len(states) > min(10, SEARCHES / 10)  # the writer went on meanwhile


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_file_is_searched_while_mlflow_writes_to_it(mode: str, tmp_path: Path) -> None:
    new_mlflow_store(tmp_path).engine.dispose()
    connection = sqlite3.connect(tmp_path / "mlflow.db")
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.close()

    search_beside_a_writer(f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_searches_change_no_byte_of_a_file_and_leave_none_beside_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with writing(url, seconds=3) as writer:
        writer.communicate()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    engine = open_relational(url)
    source = Source(engine, mlflow_tables(engine))

    for _ in range(SEARCHES):
        source.page(everywhere("metrics.a >= 0", "metrics.b DESC"), 20)
    source.close()

    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    "kind", [pytest.param("postgres", marks=ON_POSTGRES), pytest.param("mariadb", marks=ON_MARIADB)]
)
def test_a_server_is_searched_while_mlflow_writes_to_it(kind: str) -> None:
    with database_server(kind) as server, new_database(server) as url:
        search_beside_a_writer(url)
