"""Opens runs that lie in files or in tables of a catalog: finds out their layout, and puts an engine to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from mlquery.errors import invalid_parameter
from mlquery.sql.engines.databricks import Databricks, warehouse_of
from mlquery.sql.engines.duckdb import DuckDb
from mlquery.sql.engines.files import Folder
from mlquery.sql.engines.spark import Spark
from mlquery.sql.errors import SourceUnavailableError
from mlquery.sql.layouts import manifest
from mlquery.sql.layouts.databricks_tables import DatabricksFolder, DatabricksTables
from mlquery.sql.layouts.wide import WideTables
from mlquery.sql.layouts.wide_folder import WideFolder
from mlquery.sql.query import Layout
from mlquery.sql.session import Engine
from mlquery.sql.source import Source

ENGINES: Final = ("duckdb", "spark")
"""What reads the files of a folder."""

_NAME: Final = re.compile(r"[\w-]+(\.[\w-]+)*")


def open_folder(folder: str, engine: str | None = None, layout: str | None = None) -> Source:
    """Return the source of a folder with Parquet files.

    Args:
        folder: Its path.
        engine: One of `ENGINES`; by default DuckDB.
        layout: "wide" or "databricks"; by default what the folder has.

    Raises:
        StoreError: INVALID_PARAMETER_VALUE, there is no such engine or layout of files.
        SourceUnavailableError: the folder has neither, or a package is missing.
    """
    if engine is not None and engine not in ENGINES:
        raise invalid_parameter(f"unknown engine {engine!r}; files are read by {' or '.join(ENGINES)}")
    path = Path(folder)
    if not path.is_dir():
        raise SourceUnavailableError(folder, "does not exist, or is no folder")
    files, tables = _recognized(path, layout)
    return Source(_engine(files, engine), tables)


def _engine(files: Folder, engine: str | None) -> Engine:
    return Spark(files.name, None, files) if engine == "spark" else DuckDb(files)


def _recognized(path: Path, layout: str | None) -> tuple[Folder, Layout]:
    if layout == "mlflow":
        raise invalid_parameter("files are of the layout 'wide' or 'databricks', not 'mlflow'")
    if layout == "wide" or (layout is None and (path / manifest.NAME).exists()):
        wide = WideFolder(path)
        wide.state()  # raises if there is no export
        return wide, WideTables(wide)
    files = DatabricksFolder(path)
    files.state()  # raises if a table is missing
    return files, DatabricksTables(files.name)


def open_catalog(name: str, session: Any = None, layout: str | None = None) -> Source:
    """Return the source of the tables of a schema that Spark knows.

    Args:
        name: A catalog and a schema, as in "system.mlflow"; empty for those that are current in the session.
        session: A SparkSession; by default the active one, or a new one on this machine.
        layout: Only "databricks": Databricks' tables.

    Raises:
        StoreError: INVALID_PARAMETER_VALUE, the name or the layout is none.
        SourceUnavailableError: pyspark or Java is missing.
    """
    _require_databricks(layout)
    about, prefix = f"spark:{name}", _prefix(name)
    return Source(Spark(about, session), DatabricksTables(about, prefix))


def open_databricks(url: str, layout: str | None = None) -> Source:
    """Return the source of Databricks' tables behind a warehouse; errors as of `open_catalog`."""
    _require_databricks(layout)
    warehouse = warehouse_of(url)
    prefix = _prefix(f"{warehouse.catalog}.{warehouse.schema}")
    return Source(Databricks(warehouse), DatabricksTables(warehouse.name, prefix))


def _require_databricks(layout: str | None) -> None:
    if layout not in (None, "databricks"):
        raise invalid_parameter(f"tables of a catalog are of the layout 'databricks', not {layout!r}")


def _prefix(name: str) -> str:
    """Return what stands before the names of tables."""
    if not name:
        return ""
    if not _NAME.fullmatch(name):
        raise invalid_parameter(f"{name!r} is no catalog and schema, as in 'system.mlflow'")
    return "".join(f"`{part}`." for part in name.split("."))
