"""Turns the URL of a database, or an engine of SQLAlchemy, into what is there: a file, or a server with its driver.

The scheme picks the system and, where it names no driver, the first one that is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import attrs

from mlquery.sql.dialects import MYSQL, POSTGRES, SqlDialect
from mlquery.sql.errors import SourceUnavailableError

_EXTRA: Final = "pip install 'mlquery[sql]'"
_TIMEOUT_SECONDS: Final = 10
_FILE_SCHEMES: Final = ("sqlite", "sqlite+pysqlite")
_SUPPORTED: Final = "sqlite, postgresql, mysql and mariadb are"


@attrs.frozen
class System:
    """A kind of server.

    Attributes:
        dialect: How it says things.
        drivers: What SQLAlchemy calls its drivers, and the module of each, the best one first.
        begin: What begins a transaction that only reads and sees one state.
        options: What SQLAlchemy is told when it makes an engine.
    """

    dialect: SqlDialect
    drivers: tuple[tuple[str, str], ...]
    begin: tuple[str, ...]
    options: dict[str, Any]


# PostgreSQL sorts and hashes a large table in memory, unless its own setting gives it more; compiling a plan would take
# longer than it saves.
_MEMORY: Final = (
    "SELECT set_config('work_mem', '64MB', true) WHERE pg_size_bytes(current_setting('work_mem')) < 64 * 1024 * 1024"
)
# Rows are ordered by up to five expressions, strings among them. PostgreSQL takes a comparison of them for as cheap as
# one of two numbers, and so would rather order all runs than find those that a filter keeps, in three times the time.
_COMPARISONS: Final = "SET LOCAL cpu_operator_cost = 0.01"
# Without statistics, as of a database that was just restored, it expects few rows to join, and would look up hundreds
# of thousands one by one.
_JOINS: Final = (
    "SELECT set_config('enable_nestloop', 'off', true) "
    "WHERE NOT EXISTS (SELECT 1 FROM pg_stats WHERE schemaname = current_schema())"
)
_POSTGRES: Final = System(
    POSTGRES,
    (("psycopg2", "psycopg2"), ("psycopg", "psycopg")),
    (f"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL jit = off; {_COMPARISONS}; {_MEMORY}; {_JOINS}",),
    {"client_encoding": "utf8"},
)
_MYSQL: Final = System(
    MYSQL,
    (("mysqldb", "MySQLdb"), ("pymysql", "pymysql")),
    (
        "SET NAMES utf8mb4",
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ),
    {},
)
_SYSTEMS: Final = {"postgresql": _POSTGRES, "postgres": _POSTGRES, "mysql": _MYSQL, "mariadb": _MYSQL}


@attrs.frozen(eq=False)
class Address:
    """Where a database is.

    Attributes:
        name: What it is called in messages, without a password.
        path: The file, where it is one.
        system: The kind of server, where it is one.
        engine: Makes the engine of SQLAlchemy, or returns the caller's.
        secrets: What no message may repeat.
        is_own: Whether the engine is made here.
    """

    name: str
    path: Path | None = None
    system: System | None = None
    engine: Callable[[], Any] = lambda: None
    secrets: tuple[str, ...] = ()
    is_own: bool = True


def address_of(url_or_engine: Any) -> Address:
    """Return what a URL or an engine is the address of.

    Raises:
        SourceUnavailableError: it is of no supported database, or a package is missing.
    """
    if isinstance(url_or_engine, str):
        scheme = url_or_engine.partition(":")[0].lower()
        if scheme in _FILE_SCHEMES:
            return _file(url_or_engine, url_or_engine.partition("://")[2].removeprefix("/"))
        return _server(_parsed(url_or_engine), None)
    url = url_or_engine if hasattr(url_or_engine, "drivername") else url_or_engine.url
    if url.get_backend_name() == "sqlite":
        return _file(str(url), url.database or "")
    return _server(url, None if url is url_or_engine else url_or_engine)


def _file(name: str, path: str) -> Address:
    path = path.partition("?")[0]
    if path in ("", ":memory:"):
        problem = "is a database in memory, which only its own program can read; instead: sqlite:///PATH"
        raise SourceUnavailableError(name, problem)
    return Address(name, Path(path))


def _parsed(url: str) -> Any:
    scheme = url.partition(":")[0]
    try:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError
    except ModuleNotFoundError:
        raise SourceUnavailableError(f"{scheme}://…", f"needs SQLAlchemy; instead: {_EXTRA}") from None
    try:
        return make_url(url)
    except (ArgumentError, ValueError):  # its message would repeat the password
        raise SourceUnavailableError(f"{scheme}://…", "is not a valid URL of a database") from None


def _server(url: Any, engine: Any) -> Address:
    hidden = {key: "***" for key in url.query if "password" in key.lower()}
    name = url.update_query_dict(hidden).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")
    secrets = tuple(str(secret) for secret in (url.password, *map(url.query.get, hidden)) if secret)
    system = _SYSTEMS.get(url.get_backend_name())
    if system is None:
        raise SourceUnavailableError(name, f"cannot be searched in place; of databases, {_SUPPORTED}")
    if engine is not None:
        return Address(name, None, system, lambda: _without_asyncio(engine, name), secrets, is_own=False)
    driven = url.set(drivername=_driver_name(url, system, name))
    return Address(name, None, system, lambda: _made(driven, system, name), secrets)


def _driver_name(url: Any, system: System, name: str) -> str:
    """Return the scheme that SQLAlchemy takes, with a driver that is installed."""
    backend = "postgresql" if system is _POSTGRES else url.get_backend_name()
    asked = url.drivername.partition("+")[2]
    if asked:
        return f"{backend}+{asked}"
    for driver, module in system.drivers:
        if find_spec(module) is not None:
            return f"{backend}+{driver}"
    drivers = " or ".join(driver for driver, _ in system.drivers)
    raise SourceUnavailableError(name, f"needs a driver ({drivers}); instead: {_EXTRA}")


def _made(url: Any, system: System, name: str) -> Any:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    timeout = {} if "connect_timeout" in url.query else {"connect_timeout": _TIMEOUT_SECONDS}
    try:
        engine = create_engine(url, pool_pre_ping=True, connect_args=timeout, **system.options)
    except (ModuleNotFoundError, NoSuchModuleError, ArgumentError):
        backend, _, driver = url.drivername.partition("+")
        problem = f"needs the driver {driver}, which is not installed; instead: {backend}://…, after {_EXTRA}"
        raise SourceUnavailableError(name, problem) from None
    return _without_asyncio(engine, name)


def _without_asyncio(engine: Any, name: str) -> Any:
    if engine.dialect.is_async:
        problem = f"has the driver {engine.dialect.driver}, which needs asyncio; instead: {engine.dialect.name}://…"
        raise SourceUnavailableError(name, problem)
    return engine
