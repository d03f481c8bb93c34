"""The folder of a wide export: which tables it has now, and in which files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from mlquery.sql.engines import files
from mlquery.sql.engines.files import FileTable
from mlquery.sql.errors import SourceUnavailableError
from mlquery.sql.layouts import manifest
from mlquery.sql.layouts.manifest import DATASETS, EXPERIMENTS, HISTORY, MODELS, RUNS, Manifest, read_manifest

PARTITION: Final = "experiment_id"
EXPERIMENT: Final = ("experiment_id", "name", "artifact_location", "lifecycle_stage")
TIMES: Final = ("creation_time", "last_update_time")
"""Columns of experiments: strings, and times in ms UTC."""

_FILE_TYPES: Final = {"string": files.STRING, "double": files.DOUBLE, "int64": files.INTEGER}
_STRINGS: Final = ("run_id", "name", "digest", "source_type", "source", "schema", "profile", "context", "tags")
_TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    HISTORY: {"run_id": files.STRING, "metric": files.STRING, "value": files.DOUBLE}
    | dict.fromkeys(("timestamp", "step"), files.INTEGER),
    DATASETS: dict.fromkeys(_STRINGS, files.STRING) | {"place": files.INTEGER},
    MODELS: dict.fromkeys(("run_id", "role", "model_id"), files.STRING) | {"step": files.INTEGER},
}


@attrs.define(eq=False)
class WideFolder:
    """The folder of a wide export, as it is now.

    Attributes:
        path: The folder.
    """

    path: Path
    _known: tuple[Any, Manifest] | None = None

    @property
    def name(self) -> str:
        """Return what it is called in messages."""
        return str(self.path)

    def state(self) -> tuple[Any, ...]:
        """Return which manifest it has: it is replaced as a whole."""
        path = self.path / manifest.NAME
        try:
            about = path.stat()
        except OSError:
            read_manifest(self.path)  # raises
            raise SourceUnavailableError(self.name, "cannot be read") from None
        return about.st_ino, about.st_mtime_ns, about.st_size

    def manifest(self) -> Manifest:
        """Return the manifest.

        Raises:
            SourceUnavailableError: it is gone, or not valid.
        """
        state = self.state()
        if self._known is None or self._known[0] != state:
            self._known = state, read_manifest(self.path)
        return self._known[1]

    def tables(self) -> Mapping[str, FileTable]:
        """Return the tables."""
        found = self.manifest()
        runs = {column.name: _FILE_TYPES[column.type] for column in found.columns}
        tables = {name: self._partitioned(found, name, columns) for name, columns in {RUNS: runs, **_TABLES}.items()}
        columns = dict.fromkeys(EXPERIMENT, files.STRING) | dict.fromkeys(TIMES, files.INTEGER)
        experiments = FileTable({**columns, "tags": files.STRINGS}, (str(self.path / found.experiments),))
        return {**tables, EXPERIMENTS: experiments}

    def _partitioned(self, found: Manifest, name: str, columns: Mapping[str, str]) -> FileTable:
        paths = tuple(str(self.path / path) for path in found.paths(name))
        numbers = {column.name: column.number for column in found.columns} if name == RUNS else {}
        base = str(self.path / name)
        return FileTable({**columns, PARTITION: files.STRING}, paths, PARTITION, base, numbers, name == RUNS)
