"""Turns what a user names, a URI, a path, a session or an engine, into a source: the engine and layout that fit.

Packages are imported when the address asks for them. Passwords are in no message.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from mlquery.errors import invalid_parameter
from mlquery.sql.errors import SourceUnavailableError
from mlquery.sql.source import Source

ACCEPTED: Final = (
    "sqlite:///PATH, postgresql://…, mysql://…, parquet:FOLDER, spark:CATALOG.SCHEMA, databricks://…, a server "
    "(http://…, https://…, azureml://…), or the path of a database or of a folder of Parquet files"
)
"""What can be searched in place, for messages."""

LAYOUTS: Final = ("mlflow", "databricks", "wide")
"""The names of layouts."""

SERVERS: Final = ("postgresql", "postgres", "mysql", "mariadb")
"""The schemes of database servers."""


def open_in_place(source: Any, layout: str | None = None, engine: str | None = None) -> Source:
    """Return the source that an address names.

    Args:
        source: One of `ACCEPTED`, a SparkSession, or an engine of SQLAlchemy.
        layout: One of `LAYOUTS`; by default it is recognised.
        engine: What reads the files of a folder, where there is a choice.

    Raises:
        StoreError: INVALID_PARAMETER_VALUE for an address that means nothing, or a layout that is none.
        SourceUnavailableError: it does not answer, is not what its address says, or a package is missing.
    """
    if layout is not None and layout not in LAYOUTS:
        raise invalid_parameter(f"unknown layout {layout!r}; layouts are {', '.join(LAYOUTS)}")
    if not isinstance(source, str | os.PathLike):
        return _open_object(source, layout)
    name = os.fspath(source)
    scheme = scheme_of(name)
    if scheme is None:
        return _open_path(name, layout, engine)
    opener = _OPENERS.get(scheme.partition("+")[0])
    if opener is None:
        # Only the scheme is named: the rest of a URI may hold a password.
        raise invalid_parameter(f"{scheme}:… cannot be searched in place; what can is {ACCEPTED}")
    return opener(name, layout, engine)


def scheme_of(name: str) -> str | None:
    """Return the scheme of a URI in lower case, None for a path; a single letter is a drive."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", name)
    return None if not found or os.path.exists(name) else found[1].lower()


def is_server(name: str) -> bool:
    """Tell whether a URI is that of a database server."""
    scheme = scheme_of(name)
    return scheme is not None and scheme.partition("+")[0] in SERVERS


def _open_path(path: str, layout: str | None, engine: str | None) -> Source:
    if os.path.isdir(path):
        return _open_folder(path, layout, engine)
    if not os.path.exists(path):
        raise SourceUnavailableError(path, f"does not exist; what can be searched in place is {ACCEPTED}")
    return _open_database(f"sqlite:///{path}", layout, engine)


def _open_object(source: Any, layout: str | None) -> Source:
    package = type(source).__module__.partition(".")[0]
    if package == "pyspark":
        return _lake("open_catalog")("", source, layout)
    if package == "sqlalchemy":
        return _open_database(source, layout, None)
    raise invalid_parameter(
        f"a {type(source).__name__} cannot be searched in place; what can is {ACCEPTED}, a SparkSession, or an engine "
        "of SQLAlchemy"
    )


def _open_database(url_or_engine: Any, layout: str | None, engine: str | None) -> Source:
    if layout not in (None, "mlflow"):
        raise invalid_parameter(f"a database server has MLflow's own tables: the layout is 'mlflow', not {layout!r}")
    if engine is not None:
        raise invalid_parameter(f"a database answers by itself, not through {engine!r}; engines are for folders")
    from mlquery.sql.engines.relational import open_relational
    from mlquery.sql.layouts.mlflow import mlflow_tables

    opened = open_relational(url_or_engine)
    return Source(opened, mlflow_tables(opened))


def _open_folder(name: str, layout: str | None, engine: str | None) -> Source:
    return _lake("open_folder")(name.removeprefix("parquet:"), engine, layout)


def _open_catalog(name: str, layout: str | None, engine: str | None) -> Source:
    return _lake("open_catalog")(name.partition(":")[2], None, layout)


def _open_databricks(name: str, layout: str | None, engine: str | None) -> Source:
    return _lake("open_databricks")(name, layout)


def _lake(name: str) -> Callable[..., Source]:
    found: Callable[..., Source] = getattr(import_module("mlquery.sql.engines.lake"), name)
    return found


_OPENERS: Final[Mapping[str, Callable[[str, str | None, str | None], Source]]] = {
    **dict.fromkeys(("sqlite", *SERVERS), _open_database),
    "parquet": _open_folder,
    "spark": _open_catalog,
    "databricks": _open_databricks,
}

SCHEMES: Final = tuple(_OPENERS)
"""The schemes of what can be searched in place, without drivers."""
