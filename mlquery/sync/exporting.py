"""Turns a store into three tables in Parquet, CSV or JSON lines, shaped like Databricks' `system.mlflow` tables.

NaN stays NaN, and the largest floats, which stand for infinities in MLflow's databases, become infinite again.

**Source**: https://docs.databricks.com/admin/system-tables/mlflow for tables, columns and types.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from mlquery.entities import Experiment, LifecycleStage, ViewType
from mlquery.errors import invalid_parameter
from mlquery.query.search import search_rows
from mlquery.store import Store
from mlquery.store.entity_fields import without_nan
from mlquery.store.validation import LARGEST_FLOAT
from mlquery.sync.content import Points
from mlquery.sync.sources import chosen_experiments, experiments_of

Row = tuple[Any, ...]
Columns = dict[str, str]
"""The type of each column: string, time (ms UTC), number, integer, map (of strings) or metrics (a list)."""

TABLES: Final[dict[str, Columns]] = {
    "experiments_latest": {
        "account_id": "string",
        "update_time": "time",
        "delete_time": "time",
        "experiment_id": "string",
        "workspace_id": "string",
        "name": "string",
        "create_time": "time",
    },
    "runs_latest": {
        "account_id": "string",
        "update_time": "time",
        "delete_time": "time",
        "workspace_id": "string",
        "run_id": "string",
        "experiment_id": "string",
        "created_by": "string",
        "start_time": "time",
        "end_time": "time",
        "run_name": "string",
        "status": "string",
        "params": "map",
        "tags": "map",
        "aggregated_metrics": "metrics",
    },
    "run_metrics_history": {
        "account_id": "string",
        "insert_time": "time",
        "record_id": "string",
        "workspace_id": "string",
        "experiment_id": "string",
        "run_id": "string",
        "metric_name": "string",
        "metric_time": "time",
        "metric_step": "integer",
        "metric_value": "number",
    },
}
AGGREGATED: Final = ("metric_name", "latest_value", "min_value", "max_value")
FORMATS: Final = ("parquet", "csv", "jsonl")
_NONE: Final = ""  # account and workspace: a store has none, and the columns are not nullable
_ROWS: Final = 100_000


def export(
    store: Store,
    folder: str | Path,
    *,
    format: str = "parquet",
    experiments: Sequence[str] = (),
    filter_string: str = "",
) -> dict[Path, int]:
    """Write experiments, runs and metric histories as files in a folder.

    Args:
        store: The store to write, deleted runs and experiments included.
        folder: The folder to write to; files of the same names are replaced.
        format: "parquet" (needs pyarrow), "csv" (maps and lists as JSON) or "jsonl" (NaN as a string).
        experiments: The names of the experiments; all if empty.
        filter_string: The filter that selects runs; all if empty.

    Returns:
        The number of rows by file.

    Raises:
        StoreError: the format or an experiment does not exist, or pyarrow is not installed.
        QueryError: the filter is not valid.
        OSError: a file cannot be written.
    """
    if format not in FORMATS:
        raise invalid_parameter(f"unknown format {format!r}; use one of {', '.join(FORMATS)}")
    with store.lock:
        chosen = chosen_experiments(experiments_of(store), experiments, "the store")
        ids = [experiment.experiment_id for experiment in chosen]
        rows, _ = search_rows(store, ids, filter_string, ViewType.ALL, None, ["start_time ASC"])
        run_ids = [store.runs.ids[row] for row in rows]
    contents: dict[str, Iterable[Row]] = {
        "experiments_latest": map(_experiment, chosen),
        "runs_latest": (_run(store, run_id) for run_id in run_ids),
        "run_metrics_history": (point for run_id in run_ids for point in _points(store, run_id)),
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    files = {name: Path(folder) / f"{name}.{format}" for name in TABLES}
    return {path: _write(path, format, TABLES[name], contents[name]) for name, path in files.items()}


def _experiment(found: Experiment) -> Row:
    deleted = found.last_update_time if found.lifecycle_stage == LifecycleStage.DELETED else None
    return (_NONE, found.last_update_time, deleted, found.experiment_id, _NONE, found.name, found.creation_time)


def _run(store: Store, run_id: str) -> Row:
    with store.lock:
        run = store.get_run(run_id)
        histories = {key: store.history(run_id, key) for key in run.data.metrics}
    info = run.info
    # The time of a run's last change or deletion is not recorded: the latest known time stands in.
    times = [time for time in (info.start_time, info.end_time) if time is not None]
    times += [int(timestamps.max()) for _, timestamps, _ in histories.values()]
    updated = max(times, default=None)
    deleted = updated if info.lifecycle_stage == LifecycleStage.DELETED else None
    metrics = [_aggregated(key, run.data.metrics[key], points) for key, points in histories.items()]
    return (
        *(_NONE, updated, deleted, _NONE, run_id, info.experiment_id, info.user_id or ""),
        *(info.start_time, info.end_time, info.run_name, info.status, run.data.params, run.data.tags, metrics),
    )


def _aggregated(key: str, latest: float, points: Points) -> dict[str, Any]:
    numbers = points[0][~np.isnan(points[0])]
    least, most = (float(numbers.min()), float(numbers.max())) if len(numbers) else (math.nan, math.nan)
    return dict(zip(AGGREGATED, (key, _logged(latest), _logged(least), _logged(most)), strict=True))


def _points(store: Store, run_id: str) -> Iterator[Row]:
    with store.lock:
        run = store.get_run(run_id)
        histories = {key: store.history(run_id, key) for key in run.data.metrics}
    experiment_id = run.info.experiment_id
    for key, columns in histories.items():
        for value, timestamp, step in zip(*(column.tolist() for column in columns), strict=True):
            about = f"{run_id} {key} {value!r} {timestamp} {step}"
            record_id = blake2b(about.encode(), digest_size=16).hexdigest()
            yield _NONE, timestamp, record_id, _NONE, experiment_id, run_id, key, timestamp, step, _logged(value)


def _logged(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) == LARGEST_FLOAT else value


# Files


class _Writer(Protocol):
    def write(self, rows: Sequence[Row]) -> None: ...
    def close(self) -> None: ...


def _write(path: Path, format: str, columns: Columns, rows: Iterable[Row]) -> int:
    """Write rows to a file that appears once it is complete; return how many there were."""
    new, written = path.with_name(f".{path.name}"), 0
    writers: dict[str, Callable[[Path, Columns], _Writer]] = {"parquet": _Parquet, "csv": _Csv, "jsonl": _Lines}
    writer, left = writers[format](new, columns), iter(rows)
    try:
        while some := list(islice(left, _ROWS)):
            writer.write(some)
            written += len(some)
    except BaseException:
        writer.close()
        new.unlink(missing_ok=True)
        raise
    writer.close()
    new.replace(path)
    return written


class _Csv:
    def __init__(self, path: Path, columns: Columns) -> None:
        self._kinds = tuple(columns.values())
        self._file = path.open("w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._file, lineterminator="\n")
        self._csv.writerow(columns)

    def write(self, rows: Sequence[Row]) -> None:
        self._csv.writerows(
            [_csv_cell(kind, cell) for kind, cell in zip(self._kinds, row, strict=True)] for row in rows
        )

    def close(self) -> None:
        self._file.close()


class _Lines:
    def __init__(self, path: Path, columns: Columns) -> None:
        self._columns = columns
        self._file = path.open("w", encoding="utf-8")

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            cells = {
                name: _time(cell) if kind == "time" else without_nan(cell)
                for (name, kind), cell in zip(self._columns.items(), row, strict=True)
            }
            self._file.write(json.dumps(cells, ensure_ascii=False) + "\n")

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path, columns: Columns) -> None:
        try:
            import pyarrow as arrow
            from pyarrow import parquet
        except ImportError:
            raise invalid_parameter("Parquet needs pyarrow: pip install 'mlquery[tracker]'") from None
        number, string = arrow.float64(), arrow.string()
        metric = arrow.struct([(AGGREGATED[0], string), *((name, number) for name in AGGREGATED[1:])])
        types = {
            "string": string,
            "time": arrow.timestamp("ms", "UTC"),
            "number": number,
            "integer": arrow.int64(),
            "map": arrow.map_(string, string),
            "metrics": arrow.list_(metric),
        }
        self._arrow = arrow
        self._schema = arrow.schema([(name, types[kind]) for name, kind in columns.items()])
        self._parquet = parquet.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, rows: Sequence[Row]) -> None:
        columns = [
            [list(cell.items()) for cell in cells] if isinstance(cells[0], dict) else list(cells)
            for cells in zip(*rows, strict=True)
        ]
        arrays = [self._arrow.array(cells, field.type) for cells, field in zip(columns, self._schema, strict=True)]
        self._parquet.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        self._parquet.close()


def _csv_cell(kind: str, cell: Any) -> str:
    if cell is None:
        return ""
    if kind == "time":
        return _time(cell) or ""
    if kind in ("map", "metrics"):
        return json.dumps(without_nan(cell), ensure_ascii=False)
    return str(without_nan(cell))


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _time(milliseconds: int | None) -> str | None:
    """Return a time in ISO 8601, or as its number beyond the range of `datetime`."""
    if milliseconds is None:
        return None
    try:
        return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")
    except OverflowError:
        return str(milliseconds)
