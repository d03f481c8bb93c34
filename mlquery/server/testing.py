"""A server for tests: in a thread of the test's own process, with its store at hand.

`mlquery_server` is a pytest fixture that `mlquery.pytest_plugin` brings into every test run, so nothing heavy is
imported here before a test asks for a server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import attrs
import pytest

if TYPE_CHECKING:
    from mlquery.client import Client
    from mlquery.server.certificates import Certificate
    from mlquery.server.security import Security
    from mlquery.server.service import Service
    from mlquery.store import Store


@attrs.frozen(eq=False)
class RunningServer:
    """A server that runs.

    Attributes:
        url: Where it is, such as "http://127.0.0.1:40123".
        service: What it serves.
    """

    url: str
    service: Service

    @property
    def tracking_uri(self) -> str:
        """Return what to give to MLflow's client: in a dialect of workspaces, the URI of one."""
        return self.url + self.service.workspace_path

    @property
    def store(self) -> Store:
        """Return what is served now; a reset replaces it."""
        return self.service.store

    @property
    def client(self) -> Client:
        """Return a client of the same store that needs no HTTP."""
        from mlquery.client import Client

        backend = self.service.backend
        return Client(backend.store, backend.dialect, registry=backend.registry)

    def show(self, store: Store) -> None:
        """Serve another store, with its registered models, until the next reset."""
        self.service.show(store)

    def reset(self) -> None:
        """Go back to the contents that the server was started with."""
        self.service.reset()


@contextmanager
def running_server(
    store: Store | None = None,
    dialect: str = "oss",
    security: Security | None = None,
    certificate: Certificate | None = None,
) -> Iterator[RunningServer]:
    """Serve a store on a free port of the loopback.

    Args:
        store: What to serve; a new, empty store by default.
        dialect: How it answers.
        security: Which requests are admitted; by default any from this machine.
        certificate: What to speak https with; by default the server speaks http.
    """
    from mlquery.server.process import serving
    from mlquery.server.service import new_service

    service = new_service(store, dialect)
    with serving(service, security, certificate) as url:
        yield RunningServer(url, service)


@pytest.fixture(scope="session")
def mlquery_servers() -> Iterator[Callable[[str], RunningServer]]:
    """Return the function that returns the one server of the session for a dialect, started when first needed."""
    with ExitStack() as stack:
        started: dict[str, RunningServer] = {}

        def server(dialect: str) -> RunningServer:
            if dialect not in started:
                started[dialect] = stack.enter_context(running_server(dialect=dialect))
            return started[dialect]

        yield server


@pytest.fixture
def mlquery_server(
    request: pytest.FixtureRequest, mlquery_servers: Callable[[str], RunningServer]
) -> Iterator[RunningServer]:
    """Yield a server with an empty store, in the dialect of the run's setting or of an indirect parameter."""
    dialect: str = getattr(request, "param", None) or str(request.config.getini("mlquery_dialect"))
    server = mlquery_servers(dialect)
    server.reset()
    yield server
    server.reset()
