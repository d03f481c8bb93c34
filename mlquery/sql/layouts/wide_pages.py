"""Reads runs, experiments and datasets out of a wide export: what a page of a search shows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from mlquery.entities import Dataset, DatasetInput, Experiment, InputTag, RunInfo
from mlquery.readers.contents import LoadedRun
from mlquery.sql.errors import SourceUnavailableError
from mlquery.sql.layouts.manifest import DATASETS, EXPERIMENTS, MODELS, RUN_ROWS
from mlquery.sql.layouts.points import stored
from mlquery.sql.layouts.rows import rows_with
from mlquery.sql.layouts.run_rows import METRICS, STRINGS, read_rows
from mlquery.sql.layouts.stores import page_store
from mlquery.sql.layouts.wide_folder import EXPERIMENT, PARTITION, TIMES, WideFolder
from mlquery.sql.query import DatasetUse
from mlquery.sql.session import Session
from mlquery.store import Store
from mlquery.store.model_table import ModelTable

Place = tuple[str, int]
"""Where a run is: a file of columns, of which only the name matters, and the number of its row there."""

_MOST_DATASETS: Final = 1_000
_DATASET: Final = ("name", "digest", "source_type", "source", "schema", "profile")
_INFO: Final = ("run_id", "user_id", "status", "start_time", "end_time", "lifecycle_stage", "artifact_uri", "run_name")


@attrs.frozen
class Pages:
    """Reads from one export.

    Attributes:
        folder: Where it is.
    """

    folder: WideFolder

    def runs(self, session: Session, places: Sequence[Place]) -> Store:
        """Return a store with the runs of some places in the order given, and their experiments."""
        rows = self._rows(places)
        partitions = list(dict.fromkeys(row[PARTITION] for row in rows))
        ids = [row["run_id"] for row in rows]
        inputs, models = self._inputs(session, ids, partitions), self._models(session, ids, partitions)
        keys = {column.number: (column.kind, column.key) for column in self.folder.manifest().columns}
        runs = [_run(row, keys, inputs[row["run_id"]]) for row in rows]
        return page_store(self.folder.name, self._experiments(session, partitions), runs, models)

    def ids_at(self, places: Sequence[Place]) -> list[str]:
        """Return the ids of the runs of some places."""
        return [row["run_id"] for row in self._rows(places, ("run_id",))]

    def experiments(self, session: Session, ids: Sequence[str]) -> Store:
        """Return a store with some experiments in the order given; unknown ones are left out."""
        return page_store(self.folder.name, self._experiments(session, list(dict.fromkeys(ids))))

    def datasets(self, session: Session, experiment_ids: Sequence[str]) -> list[DatasetUse]:
        """Return which datasets the runs of some experiments read, each once for each context; 1,000 at most."""
        columns = ("d.experiment_id", "d.name", "d.digest", "d.context")
        found = rows_with(session, columns, f"{DATASETS} d", {}, {"d.experiment_id": list(experiment_ids)})
        return [(row[0], row[1], row[2], row[3]) for row in dict.fromkeys(found)][:_MOST_DATASETS]

    def _rows(self, places: Sequence[Place], columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return rows as they are in the files row by row, with their experiments."""
        parts = {part.name: part for part in self.folder.manifest().parts}
        of_file = {name: parts.get(Path(name).stem) for name, _ in places}
        if None in of_file.values():
            raise SourceUnavailableError(self.folder.name, "has been replaced by another export")
        known = {name: part for name, part in of_file.items() if part is not None}
        paths = {name: self.folder.path / part.path(RUN_ROWS) for name, part in known.items()}
        rows = read_rows([(paths[name], int(number)) for name, number in places], columns)
        return [{**row, PARTITION: known[name].experiment_id} for row, (name, _) in zip(rows, places, strict=True)]

    def _inputs(self, session: Session, ids: list[str], partitions: list[str]) -> defaultdict[str, list[DatasetInput]]:
        columns = [f"d.{session.dialect.quoted(name)}" for name in ("run_id", "place", "tags", *_DATASET)]
        found: defaultdict[str, list[DatasetInput]] = defaultdict(list)
        rows = rows_with(session, columns, f"{DATASETS} d", {"d.run_id": ids}, {"d.experiment_id": partitions})
        for run_id, _, tags, *fields in sorted(rows, key=lambda row: (row[0], row[1])):
            found[run_id].append(DatasetInput(Dataset(*fields), [InputTag(*tag) for tag in json.loads(tags)]))
        return found

    def _models(self, session: Session, ids: list[str], partitions: list[str]) -> ModelTable:
        models = ModelTable()
        columns = ("m.run_id", "m.role", "m.model_id", "m.step")
        rows = rows_with(session, columns, f"{MODELS} m", {"m.run_id": ids}, {"m.experiment_id": partitions})
        for run_id, role, model_id, step in rows:
            if role == "output":
                models.outputs.setdefault(run_id, {})[model_id] = step
            else:
                models.inputs.setdefault(run_id, {})[model_id] = None
        return models

    def _experiments(self, session: Session, ids: Sequence[str]) -> list[Experiment]:
        names = (*EXPERIMENT, "tags", *TIMES)
        rows = rows_with(session, [f"e.{name}" for name in names], f"{EXPERIMENTS} e", {"e.experiment_id": ids})
        found = {row[0]: row for row in rows}
        known = [dict(zip(names, found[one], strict=True)) for one in ids if one in found]
        return [Experiment(**(fields | {"tags": dict(fields["tags"] or {})})) for fields in known]


def _run(row: Mapping[str, Any], keys: Mapping[int, tuple[str, str]], inputs: Sequence[DatasetInput]) -> LoadedRun:
    metrics = {keys[one["column"]][1]: (stored(one["value"]), one["timestamp"], one["step"]) for one in row[METRICS]}
    strings: dict[str, dict[str, str]] = {"param": {}, "tag": {}}
    for one in row[STRINGS]:
        kind, key = keys[one["column"]]
        strings[kind][key] = one["value"]
    info = RunInfo(experiment_id=row[PARTITION], **{name: row[name] for name in _INFO})
    return LoadedRun(info, strings["param"], strings["tag"], metrics, tuple(inputs))
