"""Real database servers for tests: one of each kind for a worker, one new database for a test, all gone in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mlquery.conformance.servers import DatabaseServer, NoServerError, started

# The tests of one server run on one worker, so that a session starts each server once.
ON_POSTGRES = pytest.mark.xdist_group("postgres")
ON_MARIADB = pytest.mark.xdist_group("mariadb")
ON_SPARK = pytest.mark.xdist_group("spark")


@contextmanager
def database_server(kind: str) -> Iterator[DatabaseServer]:
    """Give a server, "postgres" or "mariadb"; skip where it cannot be had."""
    try:
        running = started(kind)
        server = running.__enter__()
    except NoServerError as error:
        pytest.skip(str(error))
    try:
        yield server
    finally:
        running.__exit__(None, None, None)


@contextmanager
def new_database(server: DatabaseServer) -> Iterator[str]:
    """Give the URL of an empty database, which is gone in the end."""
    url = server.new_database()
    try:
        yield url
    finally:
        server.drop_database(url)
