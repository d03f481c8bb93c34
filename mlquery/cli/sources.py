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
    from mlquery.sql.source import Source
    from mlquery.store import Store

_PASSWORD = re.compile(r"(://[^/@:]*:)[^@/]*@")


@contextmanager
def opened(options: argparse.Namespace, dialect: Any) -> Iterator[Backend]:
    """Give what answers about the source of a command: `--load` loads it, `--engine` searches it in place.

    Raises:
        StoreError: it cannot be read, or not in the way that the options ask for.
    """
    from mlquery.backend import Backend

    source = _source_in_place(options)
    if source is None:
        yield Backend(_loaded(options.source), None, dialect)
        return
    from mlquery.backend.in_place import InPlaceBackend

    try:
        if options.load:
            from mlquery.query.loading import loaded

            yield Backend(loaded(source), None, dialect)
            return
        in_place: Any = InPlaceBackend(source, dialect)
        yield in_place
    finally:
        source.close()


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
