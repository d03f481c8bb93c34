"""Turns an MLflow tracking database, or an `mlruns` folder, into a `Store` with the same contents.

MLflow itself is not needed, and the source is never written to. How a source is read is not known here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlquery.errors import RESOURCE_DOES_NOT_EXIST
from mlquery.readers.errors import SourceError
from mlquery.store import Store

__all__ = ["SourceError", "load"]


def load(source: str | os.PathLike[str], *, into: Store | None = None) -> Store:
    """Read an MLflow SQLite database or `mlruns` folder into a new store.

    Experiments, runs, params, tags, metric histories, inputs, outputs, logged and registered models are read, deleted
    ones too. Artifacts stay where they are; traces are not read. The source is opened for reading only.

    Args:
        source: The path of the database or folder, or its `sqlite:///…` or `file:…` URI.
        into: The new store to fill; by default `Store()`.

    Returns:
        The store, which is independent of the source.

    Raises:
        SourceError: the source does not exist, cannot be read, is damaged, or is not MLflow tracking data.

    **Source**: the tracking URIs that `mlflow.set_tracking_uri` accepts for local stores.
    """
    name = os.fspath(source)
    path = Path(_local_path(name))
    store = Store() if into is None else into
    try:
        if path.is_dir():
            from mlquery.readers.mlruns import read_folder  # not needed by stores on disk, which import this package

            return read_folder(path, name).into_store(store)
        if path.is_file():
            from mlquery.readers.sqlite import read_database

            return read_database(path, name).into_store(store)
        problem = "is neither a file nor a folder" if path.exists() else "does not exist"
    except OSError as error:
        raise SourceError(name, f"cannot be read: {error.strerror}") from None
    raise SourceError(name, problem, RESOURCE_DOES_NOT_EXIST)


def _local_path(name: str) -> str:
    """Return the path in the URI of a local store; a string without a scheme is a path."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", name)  # a single letter is a drive
    if not found or os.path.exists(name):
        return name
    scheme = found[1].lower()
    if scheme == "sqlite" and name[found.end() :].startswith("///"):
        return name[found.end() + 3 :].partition("?")[0]
    if scheme == "file":
        return unquote(urlsplit(name).path)
    # Only the scheme is named: the rest of a URI may hold a password.
    raise SourceError(f"{found[1]}:…", "cannot be loaded; a source is an SQLite database or an mlruns folder")
