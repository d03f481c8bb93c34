"""Mirrors a store in files as `mlquery export` writes them, so that a plan can be run where a lake keeps its runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from mlquery.sql.opening import open_in_place
from mlquery.store import Store
from mlquery.sync.exporting import export

if TYPE_CHECKING:
    from mlquery.sql.source import Source


class LakeMirror:
    """A folder of Parquet files that holds what a store holds.

    Args:
        folder: Where to write; it may have other contents.
        engine: What reads the files, "duckdb" or "spark".
        layout: How they are laid out, "tables" or "wide".
    """

    def __init__(self, folder: Path, engine: str, layout: str) -> None:
        self._folder = folder
        self._engine = engine
        self._layout = layout
        self._held: tuple[Store, int] | None = None
        self._source: Source | None = None
        self._number = 0

    def source(self, store: Store) -> Source:
        """Return a source that holds what the store holds now; it is good until the next call."""
        if self._source is None or self._held != (store, store.version):
            self.close()
            self._number += 1
            folder = self._folder / str(self._number)
            export(store, folder, layout=self._layout)
            self._held, self._source = (store, store.version), open_in_place(str(folder), engine=self._engine)
        return self._source

    def close(self) -> None:
        """Forget what is held."""
        if self._source is not None:
            self._source.close()
            self._source = None
            shutil.rmtree(self._folder / str(self._number), ignore_errors=True)
