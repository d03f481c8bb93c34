"""What engines read Parquet files as: tables with names, types and paths, of one state of a folder.

Nothing is written to the folder. Where files are replaced while a session reads, what it has read is no one state, and
is read again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol

import attrs

from mlquery.sql.errors import ChangedError, SourceUnavailableError

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
        is_located: Whether there are the columns `filename` and `file_row_number` too: where a row is.
    """

    columns: Mapping[str, str]
    paths: tuple[str, ...]
    partition: str | None = None
    base: str = ""
    numbers: Mapping[str, int] = attrs.field(factory=dict)
    is_located: bool = False


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


class Views:
    """The views that an engine has of the tables of a folder. Any number of threads may use them.

    Args:
        folder: Where the tables are.
        make: Makes the view of a table, or makes it anew.
    """

    def __init__(self, folder: Folder, make: Callable[[str, FileTable], None]) -> None:
        self._folder = folder
        self._make = make
        self._lock = threading.Lock()
        self._state: Hashable = None

    @contextmanager
    def following(self) -> Iterator[None]:
        """Let the views be of the files that there are now, and look at the end whether these are still there.

        Raises:
            ChangedError: the files were replaced meanwhile.
            SourceUnavailableError: the files cannot be read.
        """
        state = self._renewed()
        try:
            yield
        except SourceUnavailableError:
            self._require(state)
            raise
        self._require(state)

    def _renewed(self) -> Hashable:
        state = self._folder.state()
        with self._lock:
            if state != self._state:
                for name, table in self._folder.tables().items():
                    self._make(name, table)
                self._state = state
        return state

    def _require(self, state: Hashable) -> None:
        if self._folder.state() != state:
            raise ChangedError(self._folder.name, "is being replaced by another export; try again")
