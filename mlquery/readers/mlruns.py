"""Turns an `mlruns` folder, as MLflow's folder store keeps it, into experiments, runs and points.

A folder is an experiment or a run if its `meta.yaml` gives the id that the folder is named by; all others are passed
over, as MLflow does. Numbers mean what they mean once MLflow has moved the folder into a database: an infinite metric
is the largest float, and the step counts on every line. Stores are not known here.

**Source**: `mlflow.store.tracking.file_store` for the layout, `mlflow.store.fs2db` (`mlflow migrate-filestore`) for
the meaning of metric lines, MLflow 3.17.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from mlquery.entities import Dataset, DatasetInput, Experiment, InputTag, RunInfo, RunStatus
from mlquery.readers.contents import Contents, LoadedRun, Points
from mlquery.readers.errors import SourceError
from mlquery.readers.flatyaml import Value, read_mapping

_META: Final = "meta.yaml"
_TRASH: Final = ".trash"
_REGISTRY: Final = "models"
_NOT_RUNS: Final = ("tags", "datasets", "traces", "models")
_LARGEST: Final = float(np.finfo(np.float64).max)


def read_folder(path: Path, name: str) -> Contents:
    """Read the tracking data of a folder; `name` is what the caller called it.

    Raises:
        SourceError: the folder holds no experiment, or a file in it is damaged.
        OSError: a file cannot be read.
    """
    reader = _Reader(str(path), name)
    experiments = [found for folder in reader.experiment_folders() if (found := reader.experiment(folder)) is not None]
    if not experiments:
        raise SourceError(name, f"holds no MLflow experiments{_advice(path)}")
    return Contents(name, experiments, reader.runs, reader.pile.points())


def _advice(path: Path) -> str:
    for inner in ("mlruns", "mlflow.db"):
        if (path / inner).exists():
            return f"; did you mean {str(path / inner)!r}?"
    if (path / "journal.db").exists():
        return ": it is a store on disk, which 'mlquery runs --store' and mlquery.open read"
    return ""


class _Pile:
    """The points of all metric files, column by column."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.columns: tuple[array[Any], ...] = tuple(array(code) for code in "iidqq")

    def add(self, run: int, key: str, lines: list[str]) -> None:
        """Add the points of a metric; raise ValueError or OverflowError where a line is none."""
        code = self.codes.setdefault(key, len(self.codes))
        for line in lines:
            timestamp, value, *rest = line.strip().split(" ")
            if len(rest) not in (0, 1, 3):  # nothing; step; step, dataset name and digest
                raise ValueError(line)
            point = (run, code, float(value), int(timestamp), int(rest[0]) if rest else 0)
            for column, cell in zip(self.columns, point, strict=True):
                column.append(cell)

    def points(self) -> Points:
        runs, keys, values, timestamps, steps = (np.array(column, column.typecode) for column in self.columns)
        values = np.clip(values, -_LARGEST, _LARGEST) + 0.0  # SQLite has no -0.0
        return Points(list(self.codes), runs, keys, values, timestamps, steps)


class _Meta:
    """The fields of one `meta.yaml`; one of the wrong type makes the source damaged."""

    def __init__(self, fields: dict[str, Value], reader: _Reader, path: str) -> None:
        self.fields = fields
        self.reader = reader
        self.path = path

    def damaged(self, key: str) -> SourceError:
        return self.reader.damaged(self.path, f"has no usable {key}")

    def id(self, *keys: str) -> str | None:
        """Return the first id among `keys`; very old files hold them as numbers."""
        found = next((self.fields[key] for key in keys if self.fields.get(key) is not None), None)
        return None if found is None else str(found)

    def text(self, key: str) -> str:
        found = self.optional_text(key)
        if found is None:
            raise self.damaged(key)
        return found

    def optional_text(self, key: str) -> str | None:
        found = self.fields.get(key)
        if found is not None and not isinstance(found, str):
            raise self.damaged(key)
        return found

    def number(self, key: str) -> int | None:
        found = self.fields.get(key)
        if found is not None and (type(found) is not int or not -(2**63) < found < 2**63):
            raise self.damaged(key)
        return found

    def tags(self) -> list[InputTag]:
        found = self.fields.get("tags") or {}
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise self.damaged("tags")
        return [InputTag(key, str(value)) for key, value in found.items()]


class _Reader:
    """An `mlruns` folder that is being read; `runs` and the `pile` of points grow."""

    def __init__(self, root: str, name: str) -> None:
        self.root = root
        self.name = name
        self.runs: list[LoadedRun] = []
        self.pile = _Pile()

    def damaged(self, path: str, problem: str) -> SourceError:
        return SourceError(self.name, f"is damaged: {os.path.relpath(path, self.root)} {problem}")

    def experiment_folders(self) -> list[str]:
        """Return the folders of all experiments; an active one hides one of the same id in the trash."""
        trash = os.path.join(self.root, _TRASH)
        deleted = {inner: os.path.join(trash, inner) for inner in _folders(trash)}
        active = {f: os.path.join(self.root, f) for f in _folders(self.root) if f not in (_TRASH, _REGISTRY)}
        return list((deleted | active).values())

    def experiment(self, folder: str) -> Experiment | None:
        """Read an experiment and its runs, None if the folder is something else."""
        meta, own_id = self.meta(folder), os.path.basename(folder)
        if meta is None or meta.id("experiment_id") != own_id:
            return None
        datasets = self.datasets(os.path.join(folder, "datasets"))
        for inner in _folders(folder):
            if inner not in _NOT_RUNS:
                self.run(os.path.join(folder, inner), own_id, datasets)
        return Experiment(
            own_id,
            meta.text("name"),
            meta.text("artifact_location"),
            meta.optional_text("lifecycle_stage") or "active",
            self.texts(os.path.join(folder, "tags")),
            meta.number("creation_time"),
            meta.number("last_update_time"),
        )

    def run(self, folder: str, experiment_id: str, datasets: dict[str, Dataset]) -> None:
        """Read a run, if the folder is one."""
        meta, run_id = self.meta(folder), os.path.basename(folder)
        if meta is None or meta.id("experiment_id") != experiment_id or meta.id("run_id", "run_uuid") != run_id:
            return
        status = meta.number("status")
        if status not in (None, *RunStatus.all_status()):
            raise meta.damaged("status")
        info = RunInfo(
            run_id,
            experiment_id,
            meta.optional_text("user_id"),  # type: ignore[arg-type]  # MLflow's own files always have it, and a start
            RunStatus.to_string(RunStatus.RUNNING if status is None else status),
            meta.number("start_time"),  # type: ignore[arg-type]
            meta.number("end_time"),
            meta.optional_text("lifecycle_stage") or "active",
            meta.optional_text("artifact_uri"),
            meta.optional_text("run_name"),
        )
        params, tags = (self.texts(os.path.join(folder, kind)) for kind in ("params", "tags"))
        inputs = tuple(self.inputs(os.path.join(folder, "inputs"), datasets))
        for key, path in self.files(os.path.join(folder, "metrics")):
            try:
                self.pile.add(len(self.runs), key, self.text(path).splitlines())
            except (ValueError, OverflowError):
                raise self.damaged(path, "has a line that is no metric") from None
        self.runs.append(LoadedRun(info, params, tags, {}, inputs))

    def datasets(self, folder: str) -> dict[str, Dataset]:
        """Return the datasets of an experiment by the name of their folder."""
        return {
            inner: Dataset(
                meta.text("name"),
                meta.text("digest"),
                meta.text("source_type"),
                meta.text("source"),
                meta.optional_text("schema"),
                meta.optional_text("profile"),
            )
            for inner in _folders(folder)
            if (meta := self.meta(os.path.join(folder, inner))) is not None
        }

    def inputs(self, folder: str, datasets: dict[str, Dataset]) -> Iterator[DatasetInput]:
        """Yield the datasets that a run read; models that it read are left out."""
        for inner in _folders(folder):
            meta = self.meta(os.path.join(folder, inner))
            if meta is not None and meta.optional_text("source_type") == "DATASET":
                dataset = datasets.get(meta.text("source_id"))
                if dataset is not None:
                    yield DatasetInput(dataset, meta.tags())

    def meta(self, folder: str) -> _Meta | None:
        """Read the `meta.yaml` of a folder, None if there is none or nothing in it."""
        path = os.path.join(folder, _META)
        if not os.path.isfile(path):
            return None
        try:
            fields = read_mapping(self.text(path))
        except ValueError as error:
            raise self.damaged(path, f"cannot be read: {error}") from None
        return _Meta(fields, self, path) if fields else None

    def texts(self, folder: str) -> dict[str, str]:
        """Return params or tags: a file each, its path the key and its content the value."""
        return {key: self.text(path) for key, path in self.files(folder)}

    def files(self, folder: str) -> list[tuple[str, str]]:
        """Return key and path of the files below a folder, sorted; a key may hold slashes, links are not followed."""
        found, open_folders = [], [("", folder)]
        while open_folders:
            prefix, inner = open_folders.pop()
            for entry in _entries(inner):
                if entry.is_dir(follow_symlinks=False):
                    open_folders.append((f"{prefix}{entry.name}/", entry.path))
                elif entry.is_file():
                    found.append((self.key(f"{prefix}{entry.name}", entry.path), entry.path))
        return sorted(found)

    def key(self, name: str, path: str) -> str:
        if any("\ud800" <= char <= "\udfff" for char in name):
            shown = os.fsencode(path).decode("utf-8", "backslashreplace")
            raise self.damaged(shown, "is not named in UTF-8")
        return name

    def text(self, path: str) -> str:
        with open(path, "rb") as file:
            content = file.read()
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            raise self.damaged(path, "is not text in UTF-8") from None


def _entries(folder: str) -> list[os.DirEntry[str]]:
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _folders(folder: str) -> list[str]:
    return [entry.name for entry in _entries(folder) if entry.is_dir()]
