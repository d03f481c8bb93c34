"""Real database servers for tests: one of each kind for a worker, one new database for a test, all gone in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from mlquery.conformance.local_spark import spark_started
from mlquery.conformance.servers import DatabaseServer, NoServerError, started

# The tests of one server run on one worker, so that a session starts each server once.
ON_POSTGRES = pytest.mark.xdist_group("postgres")
ON_MARIADB = pytest.mark.xdist_group("mariadb")
ON_DUCKDB = pytest.mark.xdist_group("duckdb")
ON_SPARK = pytest.mark.xdist_group("spark")


@contextmanager
def database_server(kind: str) -> Iterator[DatabaseServer]:
    """Give a server, "postgres" or "mariadb"; skip where it cannot be had."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(started(kind))
        except NoServerError as error:
            pytest.skip(str(error))
        yield server


@contextmanager
def new_database(server: DatabaseServer) -> Iterator[str]:
    """Give the URL of an empty database, which is gone in the end."""
    url = server.new_database()
    try:
        yield url
    finally:
        server.drop_database(url)


@contextmanager
def local_spark() -> Iterator[Any]:
    """Give a SparkSession of this process; skip where Spark cannot be had."""
    with ExitStack() as stack:
        try:
            session = stack.enter_context(spark_started())
        except NoServerError as error:
            pytest.skip(str(error))
        yield session
