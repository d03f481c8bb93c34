"""Mirrors a store behind a server that speaks HTTP, so that a plan can be run as on a server of others.

What serves needs packages that the suite does not, and is imported when the server is started.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlquery.remote.source import RemoteSource
from mlquery.sql.errors import SourceUnavailableError
from mlquery.store import Store

if TYPE_CHECKING:
    from mlquery.server.service import Service


class HttpMirror:
    """A server that holds what a store holds.

    Args:
        service: What it serves.
        url: Where it is.
    """

    def __init__(self, service: Service, url: str) -> None:
        self._service = service
        self._source = RemoteSource(url, max_pages=1000)
        self._held: tuple[Store, int] | None = None

    def source(self, store: Store) -> RemoteSource:
        """Return a source that holds what the store holds now; it is good until the next call."""
        if self._held != (store, store.version):
            self._service.show(store.clone())
            self._held = (store, store.version)
        return self._source

    def close(self) -> None:
        """Forget what is held."""
        self._source.close()


@contextmanager
def behind_http() -> Iterator[HttpMirror]:
    """Give a mirror behind a new server that answers as MLflow's.

    Raises:
        SourceUnavailableError: a package is missing.
    """
    try:
        from mlquery.server.process import serving
        from mlquery.server.service import new_service
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "mlquery":
            raise
        raise SourceUnavailableError(
            "the engine server", f"needs {error.name}: pip install 'mlquery[server]'"
        ) from None
    service = new_service()
    with serving(service) as url:
        yield HttpMirror(service, url)
