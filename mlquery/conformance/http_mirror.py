"""Mirrors a store behind a server that speaks HTTP, so that a plan can be run as on a server of others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlquery.remote.source import RemoteSource
from mlquery.server.testing import RunningServer, running_server
from mlquery.store import Store


class HttpMirror:
    """A server that holds what a store holds.

    Args:
        server: Shows the store; its dialect is what it can be asked.
    """

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._source = RemoteSource(server.tracking_uri, max_pages=1000)
        self._held: tuple[Store, int] | None = None

    def source(self, store: Store) -> RemoteSource:
        """Return a source that holds what the store holds now; it is good until the next call."""
        if self._held != (store, store.version):
            self._server.show(store.clone())
            self._held = (store, store.version)
        return self._source

    def close(self) -> None:
        """Forget what is held."""
        self._source.close()


@contextmanager
def behind_http() -> Iterator[HttpMirror]:
    """Give a mirror behind a new server that answers as MLflow's."""
    with running_server() as server:
        yield HttpMirror(server)
