"""Writes a store as three tables, in Parquet, CSV or JSON lines: the shape of Databricks' `system.mlflow` tables.

What a cell is follows from the column, what a file looks like from the format. NaN and infinities stay what they are:
the largest floats, which stand for infinities in MLflow's databases, become infinite again.

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
from mlquery.store.validation import LARGEST_FLOAT
from mlquery.sync.content import Points
from mlquery.sync.sources import chosen_experiments

Row = tuple[Any, ...]
Columns = dict[str, str]
"""The type of each column: text, time (ms UTC), number, integer, texts (a dictionary) or metrics (a list)."""

TABLES: Final[dict[str, Columns]] = {
    "experiments_latest": {
        "account_id": "text",
        "update_time": "time",
        "delete_time": "time",
        "experiment_id": "text",
        "workspace_id": "text",
        "name": "text",
        "create_time": "time",
    },
    "runs_latest": {
        "account_id": "text",
        "update_time": "time",
        "delete_time": "time",
        "workspace_id": "text",
        "run_id": "text",
        "experiment_id": "text",
        "created_by": "text",
        "start_time": "time",
        "end_time": "time",
        "run_name": "text",
        "status": "text",
        "params": "texts",
        "tags": "texts",
        "aggregated_metrics": "metrics",
    },
    "run_metrics_history": {
        "account_id": "text",
        "insert_time": "time",
        "record_id": "text",
        "workspace_id": "text",
        "experiment_id": "text",
        "run_id": "text",
        "metric_name": "text",
        "metric_time": "time",
        "metric_step": "integer",
        "metric_value": "number",
    },
}
AGGREGATED: Final = ("metric_name", "latest_value", "min_value", "max_value")
FORMATS: Final = ("parquet", "csv", "jsonl")
_NONE: Final = ""  # account and workspace: there are none here, and the tables have no place for a null
_ROWS: Final = 100_000


def export(
    store: Store,
    folder: str | Path,
    *,
    format: str = "parquet",
    experiments: Sequence[str] = (),
    filter_string: str = "",
) -> dict[Path, int]:
    """Write experiments, runs and metric histories as files of a folder.

    Args:
        store: What to write, deleted runs and experiments too.
        folder: Where to; files of the same names are replaced.
        format: "parquet" (with pyarrow), "csv" (dictionaries and lists in JSON) or "jsonl" (with NaN as a text).
        experiments: The names of the experiments; all if empty.
        filter_string: Which runs.

    Returns:
        The number of rows by file.

    Raises:
        StoreError: there is no such format or experiment, or pyarrow is not there.
        OSError: a file cannot be written.
    """
    if format not in FORMATS:
        raise invalid_parameter(f"format is one of {', '.join(FORMATS)}, not {format!r}")
    with store.lock:
        table = store.experiments
        found = [table.experiment_at(row) for row in range(table.size)]
        chosen = chosen_experiments(found, experiments, "the store")
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
    # When a run was last touched, or deleted, is not recorded: the last time that is known of it stands in.
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
    """Write rows to a file that appears when it is whole; return how many there were."""
    new, written = path.with_name(f".{path.name}"), 0
    makers: dict[str, Callable[[Path, Columns], _Writer]] = {"parquet": _Parquet, "csv": _Csv, "jsonl": _Lines}
    writer, left = makers[format](new, columns), iter(rows)
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
        self._csv.writerows([_text(kind, cell) for kind, cell in zip(self._kinds, row, strict=True)] for row in rows)

    def close(self) -> None:
        self._file.close()


class _Lines:
    def __init__(self, path: Path, columns: Columns) -> None:
        self._columns = columns
        self._file = path.open("w", encoding="utf-8")

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            cells = {
                name: _time(cell) if kind == "time" else _plain(cell)
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
        number, text = arrow.float64(), arrow.string()
        metric = arrow.struct([(AGGREGATED[0], text), *((name, number) for name in AGGREGATED[1:])])
        types = {
            "text": text,
            "time": arrow.timestamp("ms", "UTC"),
            "number": number,
            "integer": arrow.int64(),
            "texts": arrow.map_(text, text),
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


def _text(kind: str, cell: Any) -> str:
    if cell is None:
        return ""
    if kind == "time":
        return _time(cell) or ""
    if kind in ("texts", "metrics"):
        return json.dumps(_plain(cell), ensure_ascii=False)
    return str(_plain(cell))


def _plain(cell: Any) -> Any:
    """Return a cell for JSON, which has no NaN and no infinity: they become text, as in MLflow's REST answers."""
    if isinstance(cell, dict):
        return {key: _plain(value) for key, value in cell.items()}
    if isinstance(cell, list):
        return [_plain(value) for value in cell]
    if isinstance(cell, float) and not math.isfinite(cell):
        return "NaN" if math.isnan(cell) else "Infinity" if cell > 0 else "-Infinity"
    return cell


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _time(milliseconds: int | None) -> str | None:
    """Return a time as ISO 8601 text; as the number it is where no calendar goes that far."""
    if milliseconds is None:
        return None
    try:
        return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")
    except OverflowError:
        return str(milliseconds)
