"""Databricks SQL through its connector: text and parameters are tested, against a live account nothing was tried.

A warehouse has no transactions over several statements: each statement sees one state, a page may see two.

**Source**: `databricks.sql.client` of databricks-sql-connector 4, native named parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import attrs

from mlquery.sql.dialects import SPARK, SqlDialect
from mlquery.sql.errors import SourceUnavailableError
from mlquery.sql.session import Session, one_sentence, plan_lines
from mlquery.sql.statement import Statement

Connect = Callable[..., Any]


@attrs.frozen
class Warehouse:
    """Where a warehouse is: `databricks://token:TOKEN@HOST?http_path=…&catalog=…&schema=…`, as SQLAlchemy writes it.

    Attributes:
        host: The host of the workspace.
        http_path: The path of the warehouse.
        token: The access token.
        catalog: The catalog of the tables, by default `system`.
        schema: The schema of the tables, by default `mlflow`.
    """

    host: str
    http_path: str
    token: str = attrs.field(repr=False)
    catalog: str = "system"
    schema: str = "mlflow"

    @property
    def name(self) -> str:
        """Return what it is called in messages, without the token."""
        return f"databricks://{self.host}"


def warehouse_of(url: str) -> Warehouse:
    """Return the warehouse that a URL names.

    Raises:
        SourceUnavailableError: the URL lacks the host, the path or the token.
    """
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    token = unquote(parts.password or "")
    host = parts.hostname or ""
    for what, value in (("a host", host), ("http_path=…", options.get("http_path")), ("token:TOKEN@", token)):
        if not value:
            problem = f"lacks {what}; write databricks://token:TOKEN@HOST?http_path=…&catalog=system&schema=mlflow"
            raise SourceUnavailableError(f"databricks://{host}", problem)
    named = {name: options[name] for name in ("catalog", "schema") if name in options}
    return Warehouse(host, options["http_path"], token, **named)


class Databricks:
    """A warehouse. Any number of threads may use it: each session has a connection of its own.

    Args:
        warehouse: Where it is.
        connect: Connects to it; by default `databricks.sql.connect`.

    Raises:
        SourceUnavailableError: the connector is not installed.
    """

    dialect: SqlDialect = SPARK

    def __init__(self, warehouse: Warehouse, connect: Connect | None = None) -> None:
        self.name = warehouse.name
        self._warehouse = warehouse
        self._connect = connect or _connector(self.name)

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """Give a session.

        Raises:
            SourceUnavailableError: the warehouse does not answer.
        """
        where = self._warehouse
        with self._one_sentence():
            connection = self._connect(
                server_hostname=where.host,
                http_path=where.http_path,
                access_token=where.token,
                session_configuration={"timezone": "UTC"},
            )
        try:
            yield Session(self.dialect, connection, _run, self._one_sentence)
        finally:
            connection.close()

    def explain(self, statement: Statement) -> list[str]:
        """Return the plan of a statement, line by line."""
        return plan_lines(self, "EXPLAIN FORMATTED", statement)

    def close(self) -> None:
        """Do nothing: connections end with their sessions."""

    def _one_sentence(self) -> AbstractContextManager[None]:
        # The connector raises errors of its own, of thrift and of HTTP.
        return one_sentence(self.name, Exception, self._warehouse.token)


def _run(connection: Any, statement: Statement) -> Iterable[Iterable[Any]]:
    with connection.cursor() as cursor:
        cursor.execute(statement.text, dict(statement.parameters))
        rows: Iterable[Iterable[Any]] = cursor.fetchall()
        return rows


def _connector(name: str) -> Connect:
    try:
        sql = import_module("databricks.sql")
    except ImportError:
        raise SourceUnavailableError(name, "needs its connector: pip install 'mlquery[databricks]'") from None
    connect: Connect = sql.connect
    return connect
