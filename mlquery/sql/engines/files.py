"""What engines read Parquet files as: tables with names, types and paths, of one state of a folder."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Final, Protocol

import attrs

STRING: Final = "string"
DOUBLE: Final = "double"
INTEGER: Final = "bigint"
TIME: Final = "timestamp"
STRINGS: Final = "map<string,string>"
METRICS: Final = "array<struct<metric_name:string,latest_value:double,min_value:double,max_value:double>>"
"""Types of columns, as Spark writes them."""


@attrs.frozen
class FileTable:
    """A table in Parquet files.

    Attributes:
        columns: The types of the columns by name, that of the partition too.
        paths: The files, or folders of files; none for an empty table.
        partition: The column that is in the names of folders, as in `experiment_id=1`; None if there is none.
        base: The folder in which these folders are.
        numbers: The field ids of the columns, for files that have some of the columns each.
    """

    columns: Mapping[str, str]
    paths: tuple[str, ...]
    partition: str | None = None
    base: str = ""
    numbers: Mapping[str, int] = attrs.field(factory=dict)


class Folder(Protocol):
    """A folder with tables in Parquet files, which others may replace by newer ones."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def state(self) -> Hashable:
        """Return what differs as soon as the files do.

        Raises:
            SourceUnavailableError: the folder is gone, or is not what it was.
        """

    def tables(self) -> Mapping[str, FileTable]:
        """Return the tables by name, as they are now.

        Raises:
            SourceUnavailableError: the folder is gone, or is not what it was.
        """
