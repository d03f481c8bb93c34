"""Spark, in a session that the caller gives or in one of this machine: tables of a catalog, or of Parquet files.

Rows come back as Arrow would give them to Python; a search can also stay a lazy DataFrame of Spark's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

from mlquery.sql.dialects import SPARK, SqlDialect
from mlquery.sql.engines.files import FileTable, Folder, Views
from mlquery.sql.errors import SourceUnavailableError
from mlquery.sql.session import Session, first_line, one_sentence, plan_lines
from mlquery.sql.statement import Statement

_SETTINGS: Final = {
    "spark.ui.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "4",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}
_NO_JAVA: Final = "needs Java 17, such as Debian's default-jre-headless"
_PLACE: Final = ("_metadata.file_name AS filename", "_metadata.row_index AS file_row_number")


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
        self._views = None if folder is None else Views(folder, self._make_view)

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """Give a session.

        Raises:
            ChangedError: the files were replaced meanwhile.
            SourceUnavailableError: Spark does not answer.
        """
        with nullcontext() if self._views is None else self._views.following():
            yield Session(self.dialect, self.spark, _run, self._one_sentence)

    def frame(self, statement: Statement) -> Any:
        """Return the rows of a statement as a lazy DataFrame of Spark.

        Raises:
            SourceUnavailableError: Spark does not answer, or refuses the statement.
        """
        with self._one_sentence():
            return _frame(self.spark, statement)

    def explain(self, statement: Statement) -> list[str]:
        """Return Spark's plan of a statement, line by line: what is pushed to files, and which partitions are read."""
        return plan_lines(self, "EXPLAIN FORMATTED", statement)

    def close(self) -> None:
        """Leave the session to whoever uses it."""

    def _make_view(self, name: str, table: FileTable) -> None:
        with self._one_sentence():
            self._frame_of(table).createOrReplaceTempView(name)

    def _frame_of(self, table: FileTable) -> Any:
        schema = ", ".join(f"`{name.replace('`', '``')}` {kind}" for name, kind in table.columns.items())
        if not table.paths:
            place = ", filename string, file_row_number bigint" if table.is_located else ""
            return self.spark.createDataFrame([], schema + place)
        reader = self.spark.read.schema(schema)
        frame = (reader.option("basePath", table.base) if table.base else reader).parquet(*table.paths)
        return frame.selectExpr("*", *_PLACE) if table.is_located else frame

    def _one_sentence(self) -> AbstractContextManager[None]:
        from pyspark.errors import PySparkException

        return one_sentence(self.name, PySparkException)


def _frame(spark: Any, statement: Statement) -> Any:
    return spark.sql(statement.text, args=dict(statement.parameters))


def _run(spark: Any, statement: Statement) -> list[Any]:
    rows: list[Any] = _frame(spark, statement).collect()
    return rows


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
    if (problem := _missing_java()) is not None:
        raise SourceUnavailableError(name, f"{_NO_JAVA}: {problem}")
    try:
        return _built(SparkSession.builder.master("local[*]").appName("mlquery"), _SETTINGS)
    except (PySparkException, PySparkRuntimeError, OSError) as error:
        raise SourceUnavailableError(name, f"{_NO_JAVA}: {first_line(error)}") from None


def _missing_java() -> str | None:
    """Return where Spark would look for Java in vain, with lines of its own about that on the standard error."""
    home = os.environ.get("JAVA_HOME")
    if home and shutil.which("java", path=os.path.join(home, "bin")) is None:
        return f"there is none in JAVA_HOME, {home}"
    return None if home or shutil.which("java") else "there is none in the PATH"


def _built(builder: Any, settings: Mapping[str, str]) -> Any:
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session
