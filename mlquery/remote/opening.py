"""Turns what a user names into what answers plans there: a database, tables or a cluster in place, or a server."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import Any, Final

from mlquery.errors import invalid_parameter
from mlquery.language.matrix import MATRIX, Dialect
from mlquery.query.sources import Source
from mlquery.remote.names import DATABRICKS
from mlquery.remote.requests import MAX_PAGES, WORKERS
from mlquery.remote.source import RemoteSource
from mlquery.sql.opening import SCHEMES, open_in_place, scheme_of

_SERVERS: Final = ("http", "https", "mssql")
"""The schemes that MLflow talks to by itself and that are not searched in place."""
_PLUGINS: Final = "mlflow.tracking_store"
_IN_MEMORY: Final = "mlquery"


def open_anywhere(
    source: Any,
    layout: str | None = None,
    engine: str | None = None,
    *,
    server_dialect: str | Dialect | None = None,
    max_pages: int = MAX_PAGES,
    workers: int = WORKERS,
) -> Source:
    """Return what answers plans at an address.

    Args:
        source: A tracking URI of a server, or what `mlquery.sql.opening.open_in_place` takes.
        layout: How tables are laid out; servers have none.
        engine: What reads files; servers have none.
        server_dialect: Which filters a server takes; see `RemoteSource`.
        max_pages: The most requests of one search of a server.
        workers: The most requests at a time.

    Raises:
        StoreError: as of `open_in_place` and `RemoteSource`.
    """
    if not is_remote(source):
        if server_dialect is not None:
            raise invalid_parameter("server_dialect is about servers; a database answers every dialect")
        return open_in_place(source, layout, engine)
    if layout is not None or engine is not None:
        raise invalid_parameter("a server has neither layouts nor engines; those are for databases and files")
    if max_pages < 1 or workers < 1:
        raise invalid_parameter("a search takes at least one page and one worker")
    return RemoteSource(source, server_dialect, max_pages, workers)


def is_remote(source: Any) -> bool:
    """Tell whether an address is that of a server which MLflow's client talks to."""
    if not isinstance(source, str) or os.path.exists(source):
        return False
    scheme = scheme_of(source)
    if DATABRICKS in (source, scheme):
        return "?" not in source  # with a query, it is a warehouse, which is asked in SQL
    if scheme is None or scheme.partition("+")[0] in (*SCHEMES, "file", _IN_MEMORY):
        return False
    return scheme.partition("+")[0] in _SERVERS or MATRIX.claiming_dialect(source) is not None or _is_of_plugin(scheme)


def _is_of_plugin(scheme: str) -> bool:
    """Tell whether a package that is installed brings MLflow a store of a scheme."""
    return any(plugin.name == scheme for plugin in entry_points(group=_PLUGINS))
