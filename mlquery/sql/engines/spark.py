"""Spark, in a session that the caller gives or in one of this machine: tables of a catalog, or of Parquet files.

Rows come back as Arrow would give them to Python; a search can also stay a lazy DataFrame of Spark's.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import attrs

from mlquery.sql.dialects import SPARK, SqlDialect
from mlquery.sql.engines.files import FileTable, Folder
from mlquery.sql.errors import ChangedError, SourceUnavailableError
from mlquery.sql.statement import Statement

_SETTINGS: Final = {
    "spark.ui.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "4",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}


class Spark:
    """A session of Spark. Any number of threads may use it.

    Args:
        name: What it is called in messages.
        session: A SparkSession; by default the active one, or a new one on this machine.
        folder: Parquet files to be seen as temporary views; None for the tables that the session knows.

    Raises:
        SourceUnavailableError: pyspark or Java is not there.
    """

    dialect: SqlDialect = SPARK

    def __init__(self, name: str, session: Any = None, folder: Folder | None = None) -> None:
        self.name = name
        session = session if session is not None else _local_session(name)
        # Views and settings of this folder are no matter of others who use the session.
        self.spark = session if folder is None else session.newSession()
        if folder is not None:
            self.spark.conf.set("spark.sql.session.timeZone", "UTC")
        self._folder = folder
        self._lock = threading.Lock()
        self._state: Hashable = None

    @contextmanager
    def snapshot(self) -> Iterator[_Session]:
        """Give a session.

        Raises:
            ChangedError: the files were replaced meanwhile.
            SourceUnavailableError: Spark does not answer.
        """
        state = self._renewed()
        try:
            yield _Session(self)
        except SourceUnavailableError as error:
            if self._folder is not None and self._folder.state() != state:
                raise ChangedError(self.name, "is being replaced by another export; try again") from error
            raise
        if self._folder is not None and self._folder.state() != state:
            raise ChangedError(self.name, "is being replaced by another export; try again")

    def frame(self, statement: Statement) -> Any:
        """Return the rows of a statement as a lazy DataFrame of Spark.

        Raises:
            SourceUnavailableError: Spark does not answer, or refuses the statement.
        """
        with self.one_sentence():
            return self.spark.sql(statement.text, args=dict(statement.parameters))

    def arrow(self, statement: Statement) -> Any:
        """Return the rows of a statement as an Arrow table; raises as `frame`."""
        with self.snapshot(), self.one_sentence():
            return self.frame(statement).toArrow()

    def explain(self, statement: Statement) -> list[str]:
        """Return Spark's plan of a statement, line by line: what is pushed to files, and which partitions are read."""
        with self.snapshot(), self.one_sentence():
            frame = self.spark.sql(f"EXPLAIN FORMATTED {statement.text}", args=dict(statement.parameters))
            return [line.rstrip() for row in frame.collect() for line in str(row[0]).splitlines()]

    def close(self) -> None:
        """Leave the session to whoever uses it."""

    def _renewed(self) -> Hashable:
        """Let the views be of the files that there are now, and return their state."""
        if self._folder is None:
            return None
        state = self._folder.state()
        with self._lock:
            if state != self._state:
                for name, table in self._folder.tables().items():
                    with self.one_sentence():
                        self._frame_of(table).createOrReplaceTempView(name)
                self._state = state
        return state

    def _frame_of(self, table: FileTable) -> Any:
        schema = ", ".join(f"`{name.replace('`', '``')}` {kind}" for name, kind in table.columns.items())
        if not table.paths:
            return self.spark.createDataFrame([], schema)
        reader = self.spark.read.schema(schema)
        return (reader.option("basePath", table.base) if table.base else reader).parquet(*table.paths)

    @contextmanager
    def one_sentence(self) -> Iterator[None]:
        """Let what Spark says be one sentence."""
        from pyspark.errors import PySparkException

        try:
            yield
        except PySparkException as error:
            first = str(error).strip().partition("\n")[0]
            raise SourceUnavailableError(self.name, f"cannot be read: {first}") from None


@attrs.frozen(eq=False)
class _Session:
    engine: Spark

    @property
    def dialect(self) -> SqlDialect:
        """Return how Spark says things."""
        return self.engine.dialect

    def rows(self, statement: Statement) -> list[tuple[Any, ...]]:
        """Return the rows of a statement.

        Raises:
            SourceUnavailableError: Spark does not answer, or refuses the statement.
        """
        with self.engine.one_sentence():
            return [tuple(row) for row in self.engine.frame(statement).collect()]


def _local_session(name: str) -> Any:
    """Return the active session of this process, or a new one on this machine."""
    try:
        from pyspark.errors import PySparkException, PySparkRuntimeError
        from pyspark.sql import SparkSession
    except ImportError:
        raise SourceUnavailableError(name, "needs Spark: pip install 'mlquery[spark]'") from None
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    try:
        return _built(SparkSession.builder.master("local[*]").appName("mlquery"), _SETTINGS)
    except (PySparkException, PySparkRuntimeError, OSError) as error:
        first = str(error).strip().partition("\n")[0]
        raise SourceUnavailableError(name, f"needs Java, such as Debian's default-jre-headless: {first}") from None


def _built(builder: Any, settings: Mapping[str, str]) -> Any:
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session
