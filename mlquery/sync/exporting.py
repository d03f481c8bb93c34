"""Turns a store into three tables in Parquet, CSV or JSON lines, shaped like Databricks' `system.mlflow` tables.

NaN stays NaN, and the largest floats, which stand for infinities in MLflow's databases, become infinite again. What a
run lacks is null: an empty string as `created_by` is a user, the one that MLflow's server takes if a client names none.

**Source**: https://docs.databricks.com/admin/system-tables/mlflow for tables, columns and types.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import islice, starmap
from pathlib import Path
from typing import Any, Final

import numpy as np

from mlquery.entities import Experiment, LifecycleStage
from mlquery.errors import invalid_parameter
from mlquery.store import Store
from mlquery.store.entity_fields import without_nan
from mlquery.sync.content import Points, logged_value
from mlquery.sync.sources import chosen_experiments, experiments_of, run_ids_of
from mlquery.sync.wide import export_wide

Row = tuple[Any, ...]
Columns = dict[str, str]
"""The type of each column: string, time (ms UTC), number, integer, map (of strings) or metrics (a list)."""
_Write = Callable[[Sequence[Row]], object]

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
LAYOUTS: Final = ("tables", "wide")
AGGREGATED: Final = ("metric_name", "latest_value", "min_value", "max_value")
_NONE: Final = ""  # account and workspace: a store has none, and the columns are not nullable
_ROWS: Final = 100_000


def export(
    store: Store,
    folder: str | Path,
    *,
    format: str = "parquet",
    layout: str = "tables",
    experiments: Sequence[str] = (),
    filter_string: str = "",
) -> dict[Path, int]:
    """Write experiments, runs and metric histories as files in a folder.

    Args:
        store: The store to write, deleted runs and experiments included.
        folder: The folder to write to; files of the same names are replaced.
        format: "parquet" (needs pyarrow), "csv" (maps and lists as JSON) or "jsonl" (NaN as a string).
        layout: "tables", three as Databricks has them, or "wide" (Parquet), with a column for each metric, param and
            tag, a folder for each experiment and a manifest: a second export writes what is new or has changed.
        experiments: The names of the experiments; all if empty.
        filter_string: The filter that selects runs; all if empty.

    Returns:
        The number of rows by file; by folder, if the layout is wide.

    Raises:
        StoreError: the format, the layout or an experiment does not exist, pyarrow is not installed, or the folder has
            a wide export of other runs.
        QueryError: the filter is not valid.
        OSError: a file cannot be written.
    """
    if format not in _WRITERS:
        raise invalid_parameter(f"unknown format {format!r}; use one of {', '.join(_WRITERS)}")
    if layout not in LAYOUTS:
        raise invalid_parameter(f"unknown layout {layout!r}; use one of {', '.join(LAYOUTS)}")
    if layout == "wide":
        if format != "parquet":
            raise invalid_parameter(f"the layout wide is Parquet, not {format}; instead: --layout tables")
        return export_wide(store, Path(folder), experiments, filter_string)
    with store.lock:
        chosen = chosen_experiments(experiments_of(store), experiments, "the store")
        ids = [experiment.experiment_id for experiment in chosen]
        run_ids = run_ids_of(store, ids, filter_string)
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
        *(_NONE, updated, deleted, _NONE, run_id, info.experiment_id, info.user_id),
        *(info.start_time, info.end_time, info.run_name, info.status, run.data.params, run.data.tags, metrics),
    )


def _aggregated(key: str, latest: float, points: Points) -> dict[str, Any]:
    numbers = points[0][~np.isnan(points[0])]
    least, most = (float(numbers.min()), float(numbers.max())) if len(numbers) else (math.nan, math.nan)
    return dict(zip(AGGREGATED, (key, *map(logged_value, (latest, least, most))), strict=True))


def _points(store: Store, run_id: str) -> Iterator[Row]:
    with store.lock:
        run = store.get_run(run_id)
        histories = {key: store.history(run_id, key) for key in run.data.metrics}
    experiment_id = run.info.experiment_id
    for key, columns in histories.items():
        for value, timestamp, step in zip(*(column.tolist() for column in columns), strict=True):
            about = f"{run_id} {key} {value!r} {timestamp} {step}"
            record_id = blake2b(about.encode(), digest_size=16).hexdigest()
            yield _NONE, timestamp, record_id, _NONE, experiment_id, run_id, key, timestamp, step, logged_value(value)


# Files


def _write(path: Path, format: str, columns: Columns, rows: Iterable[Row]) -> int:
    """Write rows to a file that appears once it is complete; return how many there were."""
    new, written, left = path.with_name(f".{path.name}"), 0, iter(rows)
    try:
        with _WRITERS[format](new, columns) as write:
            while some := list(islice(left, _ROWS)):
                write(some)
                written += len(some)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    new.replace(path)
    return written


@contextmanager
def _csv(path: Path, columns: Columns) -> Iterator[_Write]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        yield lambda rows: writer.writerows(starmap(_csv_cell, zip(columns.values(), row, strict=True)) for row in rows)


@contextmanager
def _lines(path: Path, columns: Columns) -> Iterator[_Write]:
    def line(row: Row) -> str:
        cells = zip(columns.items(), row, strict=True)
        fields = {name: _time(cell) if kind == "time" else without_nan(cell) for (name, kind), cell in cells}
        return json.dumps(fields, ensure_ascii=False) + "\n"

    with path.open("w", encoding="utf-8") as file:
        yield lambda rows: file.writelines(map(line, rows))


@contextmanager
def _parquet(path: Path, columns: Columns) -> Iterator[_Write]:
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
    schema = arrow.schema([(name, types[kind]) for name, kind in columns.items()])

    def write(rows: Sequence[Row]) -> None:
        cells = [
            [list(cell.items()) for cell in column] if isinstance(column[0], dict) else list(column)
            for column in zip(*rows, strict=True)
        ]
        arrays = [arrow.array(column, field.type) for column, field in zip(cells, schema, strict=True)]
        writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))

    # The least and the greatest value leave NaN out, and DuckDB concludes from them that no value is NaN.
    told = [name for name, kind in columns.items() if kind in ("string", "time", "integer")]
    with parquet.ParquetWriter(path, schema, compression="zstd", write_statistics=told) as writer:
        yield write


_WRITERS: Final = {"parquet": _parquet, "csv": _csv, "jsonl": _lines}


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
