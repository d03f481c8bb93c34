"""Starts Spark in this process for small data: one thread, no web page, as little planning as possible."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from mlquery.conformance.servers import LOOPBACK, NoServerError

_SETTINGS: Final = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": LOOPBACK,
    "spark.driver.host": LOOPBACK,
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "1",
    "spark.default.parallelism": "1",
    # To compile each of thousands of different statements would take longer than to interpret it.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
}


@contextmanager
def spark_started() -> Iterator[Any]:
    """Give the active SparkSession of this process, or a new one that is stopped in the end.

    Raises:
        NoServerError: Java or pyspark is not there.
    """
    try:
        from pyspark.sql import SparkSession
    except ModuleNotFoundError:
        raise NoServerError("pyspark is not installed; instead: pip install 'mlquery[spark]'") from None
    active = SparkSession.getActiveSession()
    if active is not None:
        yield active
        return
    if shutil.which("java") is None:
        raise NoServerError("java is not installed; instead: apt-get install default-jre-headless")
    with TemporaryDirectory(prefix="mlquery-", ignore_cleanup_errors=True) as folder:
        builder = SparkSession.builder.master("local[1]").appName("mlquery conformance")
        settings = {**_SETTINGS, "spark.sql.warehouse.dir": str(Path(folder) / "warehouse"), "spark.local.dir": folder}
        for key, value in settings.items():
            builder = builder.config(key, value)
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("OFF")
        try:
            yield session
        finally:
            session.stop()
