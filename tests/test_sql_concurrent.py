"""Searches of a database that `mlflow server` writes to: no lock error on either side, and each answer is one state.

`MLQUERY_CONCURRENT_SEARCHES` sets how many searches are made, and more where these end before the writers have come far
enough; 10,000 take some minutes; see docs/contributing/set-up.md. What was measured is printed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
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
from tests.support.mlflow_server import mlflow_server
from tests.support.mlflow_writer import KEYS, RUNS, WRITERS
from tests.support.random_data import new_mlflow_store

SEARCHES = int(os.environ.get("MLQUERY_CONCURRENT_SEARCHES", "200"))
_FEW = 20
_STATES = min(10, SEARCHES / _FEW)  # of which more have to be seen
_PATIENCE = 60.0
_TROUBLE = re.compile(r"locked|deadlock|OperationalError|Traceback|Internal Server Error", re.IGNORECASE)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def everywhere(filter_string: str, order_by: str) -> Plan:
    """Return the plan of a search of all experiments."""
    plan = plan_of(filter_string, [order_by], dialect="extended")
    return attrs.evolve(plan, experiment_ids=None)


LATEST = everywhere(f"metrics.{KEYS[0]} >= 0 AND metrics.{KEYS[1]} >= 0", f"metrics.{KEYS[-1]} DESC")
HISTORY = everywhere(f"max(metrics.{KEYS[0]}) >= 0", f"max(metrics.{KEYS[-1]}) DESC")


@contextmanager
def writing(server: str) -> Iterator[subprocess.Popen[str]]:
    """Let another process write to a server, until it is told to stop."""
    writer = subprocess.Popen(
        [sys.executable, mlflow_writer.__file__, server], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    try:
        assert "ready\n" == writer.stdout.readline()
        yield writer
    finally:
        writer.kill()
        writer.wait()
        writer.stdin.close()
        writer.stdout.close()


def require_one_state(source: Source, plan: Plan) -> float:
    """Search all runs, require that the answer is one state of the database, and return the newest number in it."""
    page = source.page(plan, WRITERS * RUNS)
    by_writer: dict[str, list[float]] = defaultdict(list)
    order = []
    for row in page.rows:
        run = page.store.runs.run_at(row)
        (number,) = {run.data.metrics[key] for key in KEYS}  # as they were logged, in one batch
        by_writer[run.info.experiment_id].append(number)
        order.append(number)
    assert sorted(order, reverse=True) == order  # the data are those that the runs were ordered by
    assert WRITERS == len(by_writer)
    for numbers in by_writer.values():  # a writer's batches go to its runs in turn
        assert [numbers[0] - back for back in range(RUNS)] == numbers
    return order[0]


def search_beside_a_server(url: str, folder: Path) -> None:
    """Search while a server of MLflow's writes; every answer has to be one state, and no side may fail."""
    with mlflow_server(folder, url) as server:
        with writing(server) as writer:
            engine = open_relational(url)
            source = Source(engine, mlflow_tables(engine))
            start, before = time.monotonic(), time.process_time()
            states: set[float] = set()
            searches = 0
            while searches < SEARCHES or (len(states) <= _STATES and time.monotonic() < start + _PATIENCE):
                states.add(require_one_state(source, HISTORY if searches % _FEW == 0 else LATEST))
                searches += 1
            taken, worked = time.monotonic() - start, time.process_time() - before
            told: dict[str, Any] = json.loads(writer.communicate()[0].splitlines()[-1])
        stored = state_of_the_database(url)
        for _ in range(_FEW):
            require_one_state(source, LATEST)
        assert stored == state_of_the_database(url)
        source.close()
    print(f"\n{searches} searches in {taken:.1f} s ({worked:.1f} s of processor time), {len(states)} states seen")
    print(f"{told['points']} points written, {told['points'] / told['seconds']:.1f} a second, errors: {told['errors']}")
    assert [] == told["errors"]
    assert [] == [line for line in (folder / "log").read_text("utf-8").splitlines() if _TROUBLE.search(line)]
    assert len(states) > _STATES  # the writers went on meanwhile


def state_of_the_database(url: str) -> Any:
    """Return what differs as soon as anybody has written to a database: digests of its files, or what its server says.

    PostgreSQL gives a number to every transaction that writes, and to no other.
    """
    if url.startswith("sqlite"):
        return digests(Path(url.removeprefix("sqlite:///")).parent)
    from sqlalchemy import create_engine, inspect, text

    engine = create_engine(url)
    asked = "SELECT CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text)"
    if url.startswith("mysql"):
        asked = f"CHECKSUM TABLE {', '.join(sorted(inspect(engine).get_table_names()))}"
    with engine.connect() as connection:
        answer = [tuple(row) for row in connection.execute(text(asked))]
    engine.dispose()
    return answer


def digests(folder: Path) -> dict[str, str]:
    """Return the digests of a database's files, but not of the shared memory in which its readers leave their marks."""
    paths = sorted(path for path in folder.glob("mlflow.db*") if not path.name.endswith("-shm"))
    # Read apart, because to close a database here would take SQLite's locks away.
    command = [sys.executable, "-c", _DIGEST, *map(str, paths)]
    return dict(zip(map(str, paths), subprocess.check_output(command, text=True).split(), strict=True))


_DIGEST = "import sys, hashlib; [print(hashlib.sha256(open(path, 'rb').read()).hexdigest()) for path in sys.argv[1:]]"


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_file_is_searched_while_a_server_of_mlflows_writes_to_it(mode: str, tmp_path: Path) -> None:
    new_mlflow_store(tmp_path).engine.dispose()
    connection = sqlite3.connect(tmp_path / "mlflow.db")
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.close()
    url = f"sqlite:///{tmp_path / 'mlflow.db'}"

    search_beside_a_server(url, tmp_path)

    before = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in tmp_path.glob("mlflow.db*")}
    engine = open_relational(url)
    source = Source(engine, mlflow_tables(engine))
    for _ in range(_FEW):  # nobody else has it open any more
        require_one_state(source, LATEST)
    source.close()
    assert before == {path.name: hashlib.sha256(path.read_bytes()).digest() for path in tmp_path.glob("mlflow.db*")}


@pytest.mark.parametrize(
    "kind", [pytest.param("postgres", marks=ON_POSTGRES), pytest.param("mariadb", marks=ON_MARIADB)]
)
def test_a_database_server_is_searched_while_a_server_of_mlflows_writes_to_it(kind: str, tmp_path: Path) -> None:
    with database_server(kind) as server, new_database(server) as url:
        search_beside_a_server(url, tmp_path)
