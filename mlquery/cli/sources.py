"""Decides how a command gets at what `--from` names: in place where an engine can, else loaded into memory.

A source that only can be searched in place is never loaded unasked, and a query that cannot be answered exactly in
place is refused: the answer never comes another way than the options say. Only the files of MLflow's older releases are
loaded unasked, as `mlruns` folders are.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlquery.cli.outcomes import UsageError

if TYPE_CHECKING:
    from mlquery.backend import Backend
    from mlquery.language.matrix import Dialect
    from mlquery.query.sources import Source
    from mlquery.remote.source import RemoteSource
    from mlquery.store import Store

_PASSWORD = re.compile(r"(://[^/@:]*:)[^@/]*@")


@contextmanager
def opened(options: argparse.Namespace, dialect: str | Dialect | None) -> Iterator[Backend]:
    """Give what answers about the source of a command: `--load` loads it, `--engine` searches it in place.

    Without a dialect it is the one that mlquery defines for a server, which is asked only for what it understands, and
    that of MLflow for what is here.

    Raises:
        StoreError: it cannot be read, or not in the way that the options ask for.
    """
    from mlquery.backend import Backend
    from mlquery.language.matrix import MATRIX
    from mlquery.remote.opening import is_remote

    if dialect is None:
        dialect = MATRIX.local_dialect if is_remote(options.source) else MATRIX.default_dialect
    if is_remote(options.source):
        yield _answering(_server(options), dialect, options)
        return
    if options.server_dialect is not None:
        raise UsageError("--server-dialect is about servers; what is here takes every dialect")
    source = _source_in_place(options)
    if source is None:
        yield Backend(_loaded(options.source), None, dialect)
        return
    try:
        yield _answering(source, dialect, options)
    finally:
        source.close()


def _server(options: argparse.Namespace) -> RemoteSource:
    """Return the server of a command, with a bar of the pages while it is asked for them."""
    from mlquery.cli.progress import progress
    from mlquery.remote.source import RemoteSource

    if options.engine is not None:
        raise UsageError("--engine reads files and tables; a server answers by itself")
    server = RemoteSource(options.source, options.server_dialect, options.max_pages)
    server.showing = progress
    return server


def _answering(source: Source, dialect: str | Dialect, options: argparse.Namespace) -> Backend:
    from mlquery.backend import Backend
    from mlquery.backend.in_place import InPlaceBackend

    if options.load:
        from mlquery.query.loading import loaded

        return Backend(loaded(source), None, dialect)
    in_place: Any = InPlaceBackend(source, dialect)
    found: Backend = in_place
    return found


def explained(backend: Backend, query: tuple[Any, ...], limit: int | None) -> list[str]:
    """Return the lines that say what a search means and how its first page is found; no run is read."""
    from mlquery.query import in_place
    from mlquery.query.explain import explain

    ids, filter_string, view, order_by = query
    meaning = explain(filter_string, order_by, dialect=backend.dialect, view_type=view)
    if not backend.is_in_place:
        return [meaning, "searched  in memory, after all of the source is loaded"]
    source: Any = in_place.data_of(backend)
    search = in_place.RunSearch(ids, filter_string, view, limit, order_by, dialect=backend.dialect)
    return [meaning, *in_place.explained(source, search)]


def loaded_store(options: argparse.Namespace) -> Store | None:
    """Return the source of a command, loaded; None without one."""
    if options.source is None:
        return None
    from mlquery.language.matrix import MATRIX
    from mlquery.remote.opening import is_remote

    if is_remote(options.source):
        raise UsageError("a server is not loaded for the keys of its runs; instead: a database or a folder")
    loading = argparse.Namespace(source=options.source, load=True, engine=None, server_dialect=None)
    with opened(loading, MATRIX.local_dialect) as backend:
        return backend.store


def without_password(source: str) -> str:
    """Return a source as messages name it."""
    return _PASSWORD.sub(r"\1***@", source)


def _source_in_place(options: argparse.Namespace) -> Source | None:
    """Return the source of a command, None where it is to be loaded from files."""
    from mlquery.sql.errors import OlderSchemaError
    from mlquery.sql.opening import open_in_place, scheme_of

    name, scheme = options.source, scheme_of(options.source)
    is_file = scheme in (None, "file", "sqlite")
    if options.engine is not None:
        if options.load:
            raise UsageError("--load searches in memory, --engine in place; instead: one of the two")
        return open_in_place(name, engine=options.engine)
    if is_file and (scheme == "file" or _is_loaded_folder(name) or (options.load and not os.path.isdir(name))):
        return None
    try:
        return open_in_place(name)
    except OlderSchemaError:
        if is_file:
            return None
        raise


def _is_loaded_folder(name: str) -> bool:
    """Tell whether a path is that of a folder without tables, such as `mlruns`."""
    return os.path.isdir(name) and not any(next(Path(name).glob(f"{way}*.parquet"), None) for way in ("", "*/", "*/*/"))


def _loaded(source: str) -> Store:
    from mlquery.readers import load

    return load(source)
