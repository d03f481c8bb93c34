"""The table of runs: params, latest metrics with histories, tags, dataset inputs, and runs as entities.

Nothing is checked here; see `table`.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlquery.entities import EMPTY, Dataset, DatasetInput, Run, RunInfo, RunInputs
from mlquery.store.cells import Cells
from mlquery.store.columns import StringCells, StringColumn
from mlquery.store.derived import DerivedColumns
from mlquery.store.fast_entities import make_data, make_info, make_run
from mlquery.store.growing import OF_NONE, KnownHashes
from mlquery.store.history import Arrays, read_only
from mlquery.store.locations import run_location, run_locations
from mlquery.store.order import Rows
from mlquery.store.row_dicts import records_of, strings_of, strings_present, times_of, transposed, values_present
from mlquery.store.table import STAGES, Columns, Table, strings_at

RUN_NAME = "mlflow.runName"

_INFO_STRINGS: Final = ("experiment_id", "user_id", "status", "lifecycle_stage", "run_name")
_INFO_TIMES: Final = ("start_time", "end_time")
_FEW_RUNS: Final = 16


class RunStrings(Columns[StringCells, StringColumn]):
    """The string attributes of runs. Artifact URIs follow from others and are made when they are first read."""

    def __getitem__(self, key: str) -> StringColumn:
        if key == "artifact_uri":
            assert isinstance(self._table, RunTable)
            self._table.fill_artifact_uris()
        return super().__getitem__(key)


class RunTable(Table):
    """Runs: strings run_id, run_name, status, lifecycle_stage, user_id, artifact_uri, experiment_id; start and end."""

    id_name = "run_id"
    order_name = "start_time"

    def __init__(self) -> None:
        super().__init__()
        self.strings = RunStrings(self, StringCells, StringCells.column)
        self._bind_ids()
        for name in ("run_name", "status", "user_id", "artifact_uri", "experiment_id"):
            self.strings.to_write(name)
        self.strings.cells["lifecycle_stage"] = StringCells(self.owner, STAGES)
        for name in _INFO_TIMES:
            self.times.to_write(name)
        self.param_keys: list[tuple[str, ...]] = []
        self.metric_keys: list[tuple[str, ...]] = []
        self.inputs: dict[int, tuple[DatasetInput, ...]] = {}
        self.hashed: defaultdict[str, KnownHashes] = defaultdict(KnownHashes)
        self.datasets: dict[tuple[str, str, str], Dataset] = {}
        self.roots: dict[str, str] = {}
        self.own_artifact_uris: dict[int, str | None] = {}
        self.derived = DerivedColumns()
        self._uris_made = 0

    def copy(self) -> RunTable:
        """Return an independent table with the same rows."""
        new = RunTable()
        new.share(self)
        for table in (self, new):
            table._bind_ids()
        new.param_keys, new.metric_keys = self.param_keys[:], self.metric_keys[:]
        new.inputs, new.datasets, new.roots = self.inputs.copy(), self.datasets.copy(), self.roots.copy()
        new.own_artifact_uris, new._uris_made = self.own_artifact_uris.copy(), self._uris_made
        return new

    def add(self, run_id: str, strings: Mapping[str, str | None], times: Mapping[str, int | None]) -> int:
        """Add a run without data and return its row; attributes that are None are left out."""
        row = self._add_row(run_id, strings, times)
        self.param_keys.append(())
        self.metric_keys.append(())
        self._place(row)
        return row

    def load(
        self,
        infos: Sequence[RunInfo],
        params: Sequence[Mapping[str, str]],
        tags: Sequence[Mapping[str, str]],
        metrics: Sequence[Mapping[str, tuple[float, int, int]]],
        inputs: Sequence[Sequence[DatasetInput]],
    ) -> None:
        """Fill a table that has no rows, key by key: runs with the data of each, and their latest points."""
        for row, info in enumerate(infos):
            if info.artifact_uri != self.default_artifact_uri(info.experiment_id, info.run_id):
                self.own_artifact_uris[row] = info.artifact_uri
        strings, times = (
            {name: [getattr(info, name) for info in infos] for name in names} for names in (_INFO_STRINGS, _INFO_TIMES)
        )
        self.append([info.run_id for info in infos], strings, times, params, tags, metrics)
        for row, used in enumerate(inputs):
            if used:
                self.add_inputs(row, used)

    def append(
        self,
        ids: Sequence[str],
        strings: Mapping[str, Sequence[str | None]],
        times: Mapping[str, Sequence[int | None]],
        params: Sequence[Mapping[str, str]],
        tags: Sequence[Mapping[str, str]],
        metrics: Sequence[Mapping[str, tuple[float, int, int]]],
    ) -> None:
        """Add many runs, key by key: their attributes, and of each the data and the latest points."""
        first, size = self.size, self.size + len(ids)
        rows = range(first, size)
        self.ids += ids
        self.row_of.update(zip(ids, rows, strict=True))
        self.strings.to_write("run_id").load(rows, ids, size)
        for attributes, found in ((self.strings, strings), (self.times, times)):
            for name, values in found.items():
                known = [place for place, value in enumerate(values) if value is not None]
                if known:
                    cells: Any = attributes.to_write(name)
                    cells.load([first + place for place in known], [values[place] for place in known], size)
        for columns, keys, records in ((self.params, self.param_keys, params), (self.tags, self.tag_keys, tags)):
            shapes = [self.shape(tuple(record)) for record in records]
            for key, (those, texts) in transposed(records, shapes, first).items():
                columns.to_write(key).load(those, texts, size)
            keys += shapes
        shapes = [self.shape(tuple(record)) for record in metrics]
        for key, (those, points) in transposed(metrics, shapes, first).items():
            self.metrics.to_write(key).load_latest(those, points, size)
        self.metric_keys += shapes
        self.forget_order()

    def rows_of(self, experiment_id: str) -> list[int]:
        """Return the rows of an experiment."""
        column = self.strings["experiment_id"]
        code = column.code(experiment_id)
        if code < 0:  # no run has the id; the code stands for runs without an experiment
            return []
        rows: list[int] = (column.codes == code).nonzero()[0].tolist()
        return rows

    def rename(self, row: int, name: str) -> None:
        """Set the name of a run, and the tag that holds it."""
        self.put_string("run_name", row, name)
        self.put_tag(row, RUN_NAME, name)

    def add_inputs(self, row: int, inputs: Iterable[DatasetInput]) -> None:
        """Record datasets that a run reads; `used_inputs` says which of them count."""
        experiment_id, used = self.string("experiment_id", row) or "", self.used_inputs(row)
        for given in inputs:
            key = given.dataset.name, given.dataset.digest
            if key not in used:
                dataset = self.datasets.setdefault((experiment_id, *key), given.dataset)
                used[key] = DatasetInput(dataset, list(given.tags))
        if used:
            self.inputs[row] = tuple(used.values())

    def used_inputs(self, row: int) -> dict[tuple[str, str], DatasetInput]:
        """Return the datasets that a run reads by name and digest; no other of the same two is added to it."""
        return {(found.dataset.name, found.dataset.digest): found for found in self.inputs.get(row, ())}

    def put_params(self, row: int, params: Iterable[tuple[str, str]]) -> None:
        """Set params of a row."""
        size = len(self.ids)
        new = [key for key, value in params if self.params.to_write(key).put(row, value, size)]
        if new:
            self.param_keys[row] = self.shape((*self.param_keys[row], *new))

    def put_param(self, row: int, key: str, value: str) -> None:
        """Set a param of a row."""
        if self.params.to_write(key).put(row, value, len(self.ids)):
            self.param_keys[row] = self.shape((*self.param_keys[row], key))

    def param(self, row: int, key: str) -> str | None:
        """Return a param of a row, None if it has none of that key."""
        cells = self.params.cells.get(key)
        return None if cells is None else cells.string(row)

    def next_time(self, row: int, key: str, time: int, step: int) -> int:
        """Return the time of a point that nobody timed: what the clock says, or the next one that is free."""
        cells = self.metrics.cells.get(key)
        if cells is None or cells.is_last(row, time, step):
            return time
        return self.metrics.to_write(key).next_time(row, time, step)

    def add_point(self, row: int, key: str, value: float, timestamp: int, step: int) -> None:
        """Log a point of a metric."""
        metrics = self.metrics
        cells = metrics.cells.get(key)
        if cells is None or cells.owner is not self.owner:
            cells = metrics.to_write(key)
        if cells.add(row, value, timestamp, step, len(self.ids)):
            self.metric_keys[row] = self.shape((*self.metric_keys[row], key))

    def add_points(self, row: int, points: Iterable[Sequence[Any]]) -> None:
        """Log points of any metrics, each a key, value, timestamp (ms UTC) and step, in order."""
        size, to_write = len(self.ids), self.metrics.to_write
        new = [key for key, value, time, step in points if to_write(key).add(row, value, time, step, size)]
        if new:
            self.metric_keys[row] = self.shape((*self.metric_keys[row], *new))

    def points(self, run_id: str, key: str) -> tuple[array[float], array[int], array[int]]:
        """Return values, timestamps and steps of a metric of a run, valid until the next write."""
        row, cells = self.row_of.get(run_id), self.metrics.cells.get(key)
        if row is None or cells is None:
            return array("d"), array("q"), array("q")
        return cells.points(row)

    def history(self, run_id: str, key: str) -> Arrays:
        """Return values, timestamps and steps of a metric of a run as arrays that later writes do not change."""
        row, cells = self.row_of.get(run_id), self.metrics.cells.get(key)
        history = None if row is None or cells is None else cells.histories.get(row)
        if history is not None:
            return history.arrays()
        return read_only(*self.points(run_id, key))

    def load_points(
        self, row: int, key: str, values: npt.NDArray[Any], timestamps: npt.NDArray[Any], steps: npt.NDArray[Any]
    ) -> None:
        """Log many points at once."""
        if len(values) and self.metrics.to_write(key).load(row, values, timestamps, steps, len(self.ids)):
            self.metric_keys[row] = self.shape((*self.metric_keys[row], key))

    def move_artifacts(self, row: int, uri: str | None) -> None:
        """Set where a run keeps its artifacts."""
        self.own_artifact_uris[row] = uri
        self.forget_artifact_uris()

    def forget_artifact_uris(self) -> None:
        """Make the column of artifact URIs anew when it is next read."""
        self._uris_made = 0

    def artifact_uri(self, row: int) -> str | None:
        """Return where a run keeps its artifacts."""
        if row in self.own_artifact_uris:
            return self.own_artifact_uris[row]
        return self.default_artifact_uri(self.string("experiment_id", row) or "", self.ids[row])

    def default_artifact_uri(self, experiment_id: str, run_id: str) -> str | None:
        """Return where a run keeps its artifacts by default."""
        root = self.roots.get(experiment_id)
        return None if root is None else run_location(root, run_id)

    def artifact_uris(self, rows: Rows) -> list[str | None]:
        """Return where runs keep their artifacts, without making a column of it."""
        taken = rows.tolist()
        ids = [self.ids[row] for row in taken]
        uris = run_locations(self.roots, strings_of(self.strings["experiment_id"], rows), ids)
        for place, row in enumerate(taken) if self.own_artifact_uris else ():
            if row in self.own_artifact_uris:
                uris[place] = self.own_artifact_uris[row]
        return uris

    def fill_artifact_uris(self) -> None:
        """Make the column of artifact URIs cover all rows."""
        for row in range(self._uris_made, len(self.ids)):
            uri = self.artifact_uri(row)
            if uri is not None:
                self.put_string("artifact_uri", row, uri)
        self._uris_made = len(self.ids)

    def info_at(self, row: int) -> RunInfo:
        """Return what is known of every run."""
        cells, times = self.strings.cells, self.times.cells
        return make_info(
            self.ids[row],
            cells["experiment_id"].string(row),
            cells["user_id"].string(row),
            cells["status"].string(row),
            times["start_time"].time(row),
            times["end_time"].time(row),
            cells["lifecycle_stage"].string(row),
            self.artifact_uri(row),
            cells["run_name"].string(row),
        )

    def run_at(self, row: int) -> Run:
        """Return the run of a row, as it is now."""
        metrics = self.metrics.cells
        values = {key: metrics[key].value(row) for key in self.metric_keys[row]}
        data = make_data(values, strings_at(self.params, self.param_keys[row], row), self.tags_at(row))
        return make_run(self.info_at(row), data, self._inputs_at(row), EMPTY)

    def runs_at(self, rows: Sequence[int] | Rows) -> list[Run]:
        """Return the runs of many rows, read column by column."""
        wanted = np.asarray(rows, np.int64)
        if len(wanted) < _FEW_RUNS:
            return [self.run_at(row) for row in wanted.tolist()]
        metrics = records_of(self.metrics, self.metric_keys, wanted, values_present)
        params = records_of(self.params, self.param_keys, wanted, strings_present)
        tags = records_of(self.tags, self.tag_keys, wanted, strings_present)
        data = map(make_data, metrics, params, tags)
        inputs = map(self._inputs_at, wanted.tolist()) if self.inputs else repeat(EMPTY)
        return list(map(make_run, self._infos_at(wanted), data, inputs, repeat(EMPTY)))

    def _infos_at(self, rows: Rows) -> Iterable[RunInfo]:
        ids = [self.ids[row] for row in rows.tolist()]
        experiments, users, statuses, stages, names = (strings_of(self.strings[name], rows) for name in _INFO_STRINGS)
        start_times, end_times = (times_of(self.times[name], rows) for name in _INFO_TIMES)
        uris = self.artifact_uris(rows)
        return map(make_info, ids, experiments, users, statuses, start_times, end_times, stages, uris, names)

    def _inputs_at(self, row: int) -> Any:
        found = self.inputs.get(row)
        if not found:
            return EMPTY
        # Copies, because MLflow's entities hold lists, which a caller may change.
        return RunInputs([DatasetInput(one.dataset, one.tags[:]) for one in found], [])

    def keep_ids(self) -> None:
        """Stay the owner of the column of run ids after cells were shared; it is made of what the table has anyway."""
        self.strings.cells["run_id"].owner = self.owner

    def _bind_ids(self) -> None:
        """Make the column of run ids use the list and the dictionary that the table has anyway."""
        old = self.strings.cells.get("run_id")
        cells = StringCells(self.owner) if old is None else Cells.copy(old, self.owner)
        cells.table, cells.index = self.ids, self.row_of
        cells.digest = OF_NONE if old is None else old.digest
        self.strings.cells["run_id"] = cells
