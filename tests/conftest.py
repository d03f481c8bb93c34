"""Settings that every test runs under."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import settings

from mlquery.conformance.servers import DatabaseServer
from tests.support.databases import database_server, local_spark, new_database
from tests.support.mlflow_server import mlflow_server

# The same examples on every machine and in every run; `HYPOTHESIS_PROFILE=fresh` draws new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("fresh", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# Shells start background jobs with interrupts ignored, which processes that a test interrupts would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# MLflow, which the tests compare with, counts its calls on the network unless told not to.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a group on one worker: pytest 9.2 no longer reads the id that xdist 3.8 writes the group into.

    Source: https://github.com/pytest-dev/pytest-xdist/issues/1386. Without xdist, or with one that is repaired, nothing
    is written there.
    """
    item: Any
    for item in items:
        with_group = getattr(item, "_nodeid", item.nodeid)
        if with_group != item.nodeid:
            item._id = type(item._id).parse(with_group)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a failure say that the MLflow beside the tests is of a release that no column is about."""
    report = yield
    installed = sys.modules.get("tests.support.installed_mlflow")
    if report.failed and installed is not None and installed.NOTE:
        report.sections.append(("MLflow", installed.NOTE))
    return report


@pytest.fixture(scope="module", autouse=True)
def settings_of_mlflow() -> Iterator[None]:
    """Let no file of tests leave settings of MLflow behind: its variables and its active experiment."""
    before = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}
    yield
    for name in [name for name in os.environ if name.startswith("MLFLOW_") and name not in before]:
        del os.environ[name]
    os.environ.update(before)
    if "mlflow.tracking.fluent" in sys.modules:
        vars(sys.modules["mlflow.tracking.fluent"])["_active_experiment_id"] = None


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a process start without coverage, for tests of what a process imports, prints or may write to."""
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def mlflow_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of a real `mlflow server`, new for each file of tests: both servers count their experiments."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow_server")) as url:
        yield url


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    """Give the URL of a server of ours to compare with it, which sees the same requests from its start on."""
    from mlquery.server.testing import running_server
    from tests.support.installed_mlflow import INSTALLED

    with running_server(dialect=INSTALLED.name) as server:
        yield server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[DatabaseServer]:
    """Give a real PostgreSQL, for the tests marked `databases.ON_POSTGRES`."""
    with database_server("postgres") as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[DatabaseServer]:
    """Give a real MariaDB, for the tests marked `databases.ON_MARIADB`."""
    with database_server("mariadb") as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: DatabaseServer) -> Iterator[str]:
    """Give the SQLAlchemy URL of an empty database on a real PostgreSQL."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture
def mariadb_url(mariadb_server: DatabaseServer) -> Iterator[str]:
    """Give the SQLAlchemy URL of an empty database on a real MariaDB."""
    with new_database(mariadb_server) as url:
        yield url


@pytest.fixture(scope="session")
def spark_session() -> Iterator[Any]:
    """Give a real SparkSession, for the tests marked `databases.ON_SPARK`."""
    with local_spark() as session:
        yield session
