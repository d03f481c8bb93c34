"""Makes exports of any size without a store, part by part: wide ones, and Databricks' tables with the same runs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from mlquery.sql.layouts.manifest import EXPERIMENTS, Column
from mlquery.sql.layouts.run_rows import METRICS, STRINGS
from mlquery.sync.incremental import PART_ROWS
from mlquery.sync.wide_files import ROW_GROUP, Writer
from mlquery.sync.wide_rows import Latest, Values
from mlquery.sync.wide_run_rows import row_table

METRIC_KEYS: Final = ("auc", "loss", "f1", "accuracy", "seconds")
PARAMS: Final = {
    "model": ("x", "y", "z", "w", "v"),
    "lr": ("0.1", "0.01", "0.001"),
    "opt": ("adam", "sgd"),
    "batch": tuple(str(2**power) for power in range(8)),
    "depth": tuple(map(str, range(20))),
}
TAGS: Final = {
    "team": ("ads", "audio", "nlp", "vision", "speech", "search", "maps"),
    "stage": ("dev", "prod"),
    "owner": tuple(f"owner{number}" for number in range(100)),
}
_EXPERIMENTS: Final = 10
_START: Final = 1_700_000_000_000
_SHARE_MISSING: Final = 0.05
_SHARE_NAN: Final = 0.003


def make_wide(folder: Path, size: int, seed: int = 1) -> None:
    """Write a wide export of `size` runs in ten experiments, in parts; at no time is more than one in memory."""
    import pyarrow as arrow

    rng, writer, parts = np.random.default_rng(seed), Writer(folder, None, "benchmarks/lake.py"), []
    for number in range(_EXPERIMENTS):
        left = size // _EXPERIMENTS
        while left:
            rows = min(left, PART_ROWS)
            parts.append(writer.write_part(str(number), *_runs(rng, str(number), rows)))
            left -= rows
    ids = [str(number) for number in range(_EXPERIMENTS)]
    strings = {"name": [f"experiment {one}" for one in ids], "artifact_location": [f"s3://runs/{one}" for one in ids]}
    columns: dict[str, Any] = {"experiment_id": ids, **strings, "lifecycle_stage": ["active"] * len(ids)}
    columns |= dict.fromkeys(("creation_time", "last_update_time"), [_START] * len(ids))
    tags = arrow.array([[]] * len(ids), arrow.map_(arrow.string(), arrow.string()))
    experiments = writer.write_table(EXPERIMENTS, arrow.table({**columns, "tags": tags}))
    keys = {(kind, key) for kind, all_keys in _KEYS.items() for key in all_keys}
    writer.commit(parts, experiments, writer.write_file("_state", "state", b""), {}, keys)


_KEYS: Final = {"metric": METRIC_KEYS, "param": tuple(PARAMS), "tag": (*TAGS, "mlflow.runName")}


def make_tables(folder: Path, size: int, seed: int = 1) -> None:
    """Write the same runs as Databricks' tables, with one point for each metric."""
    import pyarrow as arrow

    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        write = partial(_written, stack, {}, folder)
        for number in range(_EXPERIMENTS):
            left = size // _EXPERIMENTS
            while left:
                rows = min(left, PART_ROWS)
                write(_tables(str(number), *_runs(rng, str(number), rows)))
                left -= rows
        ids = [str(number) for number in range(_EXPERIMENTS)]
        times = {name: _times(np.full(len(ids), _START)) for name in ("update_time", "create_time")}
        names = {"experiment_id": ids, "name": [f"experiment {one}" for one in ids]}
        write({"experiments_latest": arrow.table({**names, **times, "delete_time": _times([None] * len(ids))})})


def _written(stack: ExitStack, writers: dict[str, Any], folder: Path, tables: Mapping[str, Any]) -> None:
    from pyarrow import parquet

    for name, table in tables.items():
        if name not in writers:
            options = {"compression": "zstd", "write_statistics": False}  # bounds leave NaN out
            writer = parquet.ParquetWriter(folder / f"{name}.parquet", table.schema, **options)
            writers[name] = stack.enter_context(writer)
        writers[name].write_table(table, row_group_size=ROW_GROUP)


def _tables(experiment_id: str, values: Values, latest: Mapping[str, Latest]) -> dict[str, Any]:
    """Return runs and points in the shape of `runs_latest` and `run_metrics_history`."""
    import pyarrow as arrow

    keys = [key for _, key in values]
    numbers = {of: Column(number, "", *of) for number, of in enumerate(values)}
    names = arrow.array(keys)

    def rows_of(kind: str) -> Any:
        some = {of: array for of, array in values.items() if of[0] in (kind, "attribute")}
        return row_table(some, latest, lambda *of: numbers[of])

    def map_of(kind: str) -> Any:
        strings = rows_of(kind)[STRINGS].combine_chunks()
        column, value = strings.values.flatten()
        return arrow.MapArray.from_arrays(strings.offsets, names.take(column), value)

    metrics = rows_of("metric")[METRICS].combine_chunks()
    column, value, time, step = metrics.values.flatten()
    aggregated = arrow.StructArray.from_arrays([names.take(column), value, value, value], _AGGREGATED)
    run_ids, start = values["attribute", "run_id"], values["attribute", "start_time"]
    is_deleted = np.asarray(values["attribute", "lifecycle_stage"].dictionary_decode()) == "deleted"
    runs = {
        "update_time": _times(start),
        "delete_time": _times(arrow.array(np.asarray(start), mask=~is_deleted)),
        "run_id": run_ids,
        "experiment_id": arrow.array([experiment_id] * len(run_ids)),
        "created_by": values["attribute", "user_id"],
        "start_time": _times(start),
        "end_time": _times(values["attribute", "end_time"]),
        "run_name": values["attribute", "run_name"],
        "status": values["attribute", "status"],
        "params": map_of("param"),
        "tags": map_of("tag"),
        "aggregated_metrics": arrow.ListArray.from_arrays(metrics.offsets, aggregated),
    }
    sizes = np.diff(np.asarray(metrics.offsets))
    points = {
        "run_id": run_ids.take(arrow.array(np.repeat(np.arange(len(run_ids)), sizes))),
        "metric_name": names.take(column),
        "metric_time": _times(time),
        "metric_step": step,
        "metric_value": value,
    }
    return {"runs_latest": arrow.table(runs), "run_metrics_history": arrow.table(points)}


_AGGREGATED: Final = ["metric_name", "latest_value", "min_value", "max_value"]


def _times(milliseconds: Any) -> Any:
    import pyarrow as arrow

    return arrow.array(milliseconds, arrow.int64()).cast(arrow.timestamp("ms", "UTC"))


def _runs(rng: np.random.Generator, experiment_id: str, size: int) -> tuple[Values, dict[str, Latest]]:
    import pyarrow as arrow

    text = rng.bytes(16 * size).hex()
    ids = [text[start : start + 32] for start in range(0, 32 * size, 32)]
    starts = _START + np.sort(rng.integers(0, 5_000 * size, size))
    names = arrow.array([f"run-{run_id[:8]}" for run_id in ids])
    attributes = {
        "run_id": arrow.array(ids),
        "run_name": names,
        "status": _chosen(rng, size, ("FINISHED", "FAILED", "RUNNING", "KILLED"), 0),
        "user_id": _chosen(rng, size, tuple(f"user{number}" for number in range(50)), 0),
        "lifecycle_stage": _chosen(rng, size, ("active",) * 49 + ("deleted",), 0),
        "artifact_uri": arrow.array([f"s3://runs/{experiment_id}/{run_id}/artifacts" for run_id in ids]),
        "start_time": arrow.array(starts),
        "end_time": arrow.array(starts + rng.integers(1_000, 7_200_000, size), mask=rng.random(size) < _SHARE_MISSING),
    }
    found = {("attribute", name): column for name, column in attributes.items()}
    masks = {key: rng.random(size) < _SHARE_MISSING for key in METRIC_KEYS}
    found |= {("metric", key): arrow.array(_numbers(rng, size), mask=mask) for key, mask in masks.items()}
    latest = dict.fromkeys(METRIC_KEYS, (starts, np.full(size, 99)))
    found |= {("param", key): _chosen(rng, size, strings) for key, strings in PARAMS.items()}
    found |= {("tag", key): _chosen(rng, size, strings) for key, strings in TAGS.items()}
    return found | {("tag", "mlflow.runName"): names}, latest


def _chosen(rng: np.random.Generator, size: int, strings: tuple[str, ...], missing: float = _SHARE_MISSING) -> Any:
    import pyarrow as arrow

    distinct = tuple(dict.fromkeys(strings))
    places = np.array([distinct.index(string) for string in strings], np.int32)
    codes = places[rng.integers(0, len(strings), size)]
    return arrow.DictionaryArray.from_arrays(arrow.array(codes, mask=rng.random(size) < missing), arrow.array(distinct))


def _numbers(rng: np.random.Generator, size: int) -> Any:
    values = np.round(rng.random(size), 5)
    values[rng.random(size) < _SHARE_NAN] = np.nan
    return values
