"""What a wide export says about itself: `manifest.json` names its columns and the files that are live.

Names of columns are readable where they can be and differ without regard to case, because DuckDB and Spark do not
distinguish it. Only the manifest tells which key a column holds. No Parquet file is read here.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import attrs

from mlquery.sql.errors import SourceUnavailableError

NAME: Final = "manifest.json"
VERSION: Final = 2
_FORMAT: Final = "mlquery wide export"

RUNS: Final = "runs"
HISTORY: Final = "metric_history"
DATASETS: Final = "datasets"
MODELS: Final = "models"
EXPERIMENTS: Final = "experiments"
RUN_ROWS: Final = "run_rows"
PARTITIONED: Final = (RUNS, RUN_ROWS, HISTORY, DATASETS, MODELS)
"""The tables that have a folder per experiment, and the runs row by row."""

STRING: Final = "string"
DOUBLE: Final = "double"
INTEGER: Final = "int64"
ATTRIBUTES: Final[Mapping[str, str]] = {
    "run_id": STRING,
    "run_name": STRING,
    "status": STRING,
    "user_id": STRING,
    "lifecycle_stage": STRING,
    "artifact_uri": STRING,
    "start_time": INTEGER,
    "end_time": INTEGER,
}
"""The type of each attribute that is a column; the experiment is the partition. Times are in ms UTC."""
_TYPES: Final = {"metric": DOUBLE, "param": STRING, "tag": STRING}
_PLAIN: Final = frozenset("_-. :/")
# Where the name of an attribute, of a partition or of what engines add is, no key may be.
_RESERVED: Final = ("experiment_id", "filename", "file_row_number")


@attrs.frozen
class Column:
    """A column of the runs.

    Attributes:
        number: The field id in the files; it never changes.
        name: The name in the files.
        kind: "attribute", "metric", "param" or "tag".
        key: The attribute, or the key of the metric, param or tag.
    """

    number: int
    name: str
    kind: str
    key: str

    @property
    def type(self) -> str:
        """Return "string", "double" or "int64"."""
        return ATTRIBUTES[self.key] if self.kind == "attribute" else _TYPES[self.kind]


@attrs.frozen
class Part:
    """The files with some runs of one experiment: one file for each table that has rows.

    Attributes:
        name: The name of all its files, without suffix; no other part has it.
        experiment_id: The experiment.
        rows: The number of rows by table.
    """

    name: str
    experiment_id: str
    rows: Mapping[str, int]

    def path(self, table: str) -> str:
        """Return the path of the file of a table, relative to the folder of the export."""
        suffix = "arrow" if table == RUN_ROWS else "parquet"
        return f"{table}/experiment_id={quote(self.experiment_id, safe='')}/{self.name}.{suffix}"


@attrs.frozen
class Manifest:
    """What a wide export has.

    Attributes:
        generation: The number of the export into this folder, from 1.
        generated_by: What wrote it.
        columns: The columns of the runs; a file has those that its runs need.
        parts: The files that are live.
        experiments: The path of the table of experiments.
        state: The path of what the next export compares with.
        selection: Which runs of the store are exported.
    """

    generation: int
    generated_by: str
    columns: tuple[Column, ...]
    parts: tuple[Part, ...]
    experiments: str
    state: str
    selection: Mapping[str, Any]

    def paths(self, table: str) -> list[str]:
        """Return the paths of the live files of a table."""
        return [part.path(table) for part in self.parts if part.rows.get(table)]

    def written(self) -> str:
        """Return the manifest as JSON."""
        parts = [{"name": one.name, "experiment_id": one.experiment_id, "rows": dict(one.rows)} for one in self.parts]
        columns = [attrs.asdict(column) | {"type": column.type} for column in self.columns]
        about = {"format": _FORMAT, "version": VERSION, "generated_by": self.generated_by}
        about |= {"generation": self.generation, "selection": dict(self.selection)}
        about |= {"experiments": self.experiments, "state": self.state}
        fields = {**about, "columns": columns, "parts": parts}
        lines = ",\n".join(f"{json.dumps(name)}: {_listed(value)}" for name, value in fields.items())
        return f"{{\n{lines}\n}}\n"


def _listed(value: Any) -> str:
    """Return a value as JSON, a list with one item on each line."""
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f" {json.dumps(item)}" for item in value) + "\n]"
    return json.dumps(value)


def read_manifest(folder: str | Path) -> Manifest:
    """Return the manifest of a wide export.

    Raises:
        SourceUnavailableError: there is none, it is of a newer release, or not valid.
    """
    name, path = f"the export {str(folder)!r}", Path(folder) / NAME
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        what = "has no manifest.json" if Path(folder).is_dir() else "does not exist"
        raise SourceUnavailableError(name, f"{what}; 'mlquery export --layout wide' makes one") from None
    except (OSError, ValueError) as error:
        raise SourceUnavailableError(name, f"has a manifest.json that cannot be read: {error}") from None
    if not isinstance(found, dict) or found.get("format") != _FORMAT or not isinstance(found.get("version"), int):
        raise SourceUnavailableError(name, "has a manifest.json that is not mlquery's")
    if found["version"] > VERSION:
        raise SourceUnavailableError(
            name, f"is of version {found['version']}, and this release reads up to {VERSION}: upgrade mlquery"
        )
    if found["version"] < VERSION:
        raise SourceUnavailableError(name, "is of an earlier form; instead: export to another folder")
    try:
        return _manifest_of(found)
    except (KeyError, TypeError) as error:
        raise SourceUnavailableError(name, f"has a manifest.json that lacks a part: {error}") from None


def _manifest_of(found: Mapping[str, Any]) -> Manifest:
    columns = tuple(
        Column(column["number"], column["name"], column["kind"], column["key"]) for column in found["columns"]
    )
    parts = tuple(Part(part["name"], part["experiment_id"], part["rows"]) for part in found["parts"])
    names = ("generation", "generated_by", "experiments", "state", "selection")
    return Manifest(columns=columns, parts=parts, **{name: found[name] for name in names})


class Names:
    """Gives each key a column, those of an earlier export first.

    Args:
        columns: The columns that there are.
    """

    def __init__(self, columns: Iterable[Column] = ()) -> None:
        self._columns = {(column.kind, column.key): column for column in columns}
        self._taken = {folded(column.name) for column in self._columns.values()} | set(map(folded, _RESERVED))
        for key in ATTRIBUTES:
            self.column("attribute", key)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return all columns, in the order of their numbers."""
        return tuple(self._columns.values())

    def column(self, kind: str, key: str) -> Column:
        """Return the column of a key, a new one if it has none."""
        found = self._columns.get((kind, key))
        if found is None:
            number = max((column.number for column in self._columns.values()), default=0) + 1
            found = self._columns[kind, key] = Column(number, self._free_name(kind, key), kind, key)
        return found

    def _free_name(self, kind: str, key: str) -> str:
        wanted = key if kind == "attribute" else f"{kind}s.{readable(key)}"
        name, number = wanted, 1
        while folded(name) in self._taken:
            number += 1
            name = f"{wanted}~{number}"
        self._taken.add(folded(name))
        return name


def readable(key: str) -> str:
    """Return a key with letters, digits and the punctuation of MLflow's keys, and `_` in place of all else."""
    return "".join(one if one.isalnum() or one in _PLAIN else "_" for one in key)


def folded(name: str) -> str:
    """Return what names have in common that any engine may take for the same: case, accents and forms of letters."""
    plain = (one for one in unicodedata.normalize("NFKD", name.upper()) if not unicodedata.combining(one))
    return unicodedata.normalize("NFKD", "".join(plain).casefold())
