"""Exports: the three tables, in three formats, with everything in them."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet

from mlquery.durable.opening import open as open_store
from mlquery.durable.store import DurableStore
from mlquery.entities import Metric, Param, RunTag
from mlquery.errors import StoreError
from mlquery.store import Store
from mlquery.sync.exporting import TABLES, export

VALUES = [1.0, math.nan, math.inf, -math.inf, 0.25]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DurableStore]:
    with open_store(tmp_path / "runs.mlq", "fast", clock=lambda: 1_000) as opened:
        run_id = opened.create_run("0", "ada", 5_000, [RunTag("team", "grün")], "one").info.run_id
        points = [Metric("loss", value, 6_000 + step, step) for step, value in enumerate(VALUES)]
        opened.log_batch(run_id, points, [Param("lr", '0.1, "x"')], [])
        opened.update_run_info(run_id, 3, 9_000, None)
        other = opened.create_experiment("other")
        opened.delete_run(opened.create_run(other, "bob", 7_000, [], "two").info.run_id)
        opened.delete_experiment(other)
        yield opened


def read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file, dictionaries and lists unpacked, NaN and infinities as floats."""
    if path.suffix == ".parquet":
        return [
            {name: dict(cell) if name in ("params", "tags") else cell for name, cell in row.items()}
            for row in parquet.read_table(path).to_pylist()
        ]
    text = path.read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines(True))) if path.suffix == ".csv" else map(json.loads, text.splitlines())
    return [{name: unpacked(name, cell) for name, cell in row.items()} for row in rows]


def unpacked(name: str, cell: Any) -> Any:
    if name in ("params", "tags", "aggregated_metrics") and isinstance(cell, str):
        cell = json.loads(cell)
    if name == "aggregated_metrics":
        return [{key: value if key == "metric_name" else float(value) for key, value in one.items()} for one in cell]
    return {"metric_value": float, "metric_step": int}.get(name, lambda same: same)(cell)


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
def test_the_tables_hold_experiments_runs_and_points(format: str, store: DurableStore, tmp_path: Path) -> None:
    done = export(store, tmp_path / "out", format=format)

    tables = {path.stem: read(path) for path in done}
    assert {"experiments_latest": 2, "runs_latest": 2, "run_metrics_history": 5} == {p.stem: n for p, n in done.items()}
    assert {name: list(columns) for name, columns in TABLES.items()} == {n: list(rows[0]) for n, rows in tables.items()}
    run, deleted = tables["runs_latest"]
    assert ("one", "ada", "FINISHED") == (run["run_name"], run["created_by"], run["status"])
    assert ({"lr": '0.1, "x"'}, "grün") == (run["params"], run["tags"]["team"])
    assert not run["delete_time"]
    assert deleted["delete_time"]
    (metric,) = run["aggregated_metrics"]
    expected = {"metric_name": "loss", "latest_value": 0.25, "min_value": -math.inf, "max_value": math.inf}
    assert expected == metric
    points = [(point["metric_step"], repr(point["metric_value"])) for point in tables["run_metrics_history"]]
    assert [(step, repr(value)) for step, value in enumerate(VALUES)] == points
    assert 5 == len({point["record_id"] for point in tables["run_metrics_history"]})


def test_times_are_what_they_were(store: DurableStore, tmp_path: Path) -> None:
    for format in ("csv", "jsonl"):
        export(store, tmp_path / "out", format=format)

    expected = ["1970-01-01T00:00:05.000+00:00", "1970-01-01T00:00:09.000+00:00", "1970-01-01T00:00:09.000+00:00"]
    for suffix in ("csv", "jsonl"):
        run = read(tmp_path / "out" / f"runs_latest.{suffix}")[0]
        assert expected == [run["start_time"], run["end_time"], run["update_time"]]


def test_parquet_has_the_types_of_the_tables(store: DurableStore, tmp_path: Path) -> None:
    export(store, tmp_path / "out")

    schema = parquet.read_schema(tmp_path / "out" / "runs_latest.parquet")

    assert arrow.types.is_map(schema.field("params").type)
    assert arrow.timestamp("ms", "UTC") == schema.field("start_time").type
    metric = schema.field("aggregated_metrics").type.value_type
    expected = {"metric_name": "string", "latest_value": "double", "min_value": "double", "max_value": "double"}
    assert expected == {field.name: str(field.type) for field in metric}


def test_only_the_chosen_experiments_and_runs_are_written(store: DurableStore, tmp_path: Path) -> None:
    done = export(store, tmp_path / "out", format="csv", experiments=["Default"], filter_string="metrics.loss > 1")

    assert [1, 0, 0] == list(done.values())


def test_a_format_that_does_not_exist_and_a_missing_library_are_said(
    store: DurableStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="unknown format 'xlsx'; use one of parquet, csv, jsonl"):
        export(store, tmp_path / "out", format="xlsx")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(StoreError, match="Parquet needs pyarrow"):
        export(store, tmp_path / "out")


@pytest.mark.parametrize("layout", ["tables", "wide"])
def test_runs_of_experiments_whose_ids_are_no_numbers_are_written_too(layout: str, tmp_path: Path) -> None:
    store = Store(guid_ids=True, seed=1)
    experiment_id = store.create_experiment("other")
    store.create_run(experiment_id, "ada", 5_000, [], "one")

    written = export(store, tmp_path / "out", layout=layout, filter_string="attributes.run_name != ''")

    assert {1} == {rows for path, rows in written.items() if path.stem in ("runs", "runs_latest")}


def test_no_bounds_are_written_of_numbers_that_may_be_nan(store: DurableStore, tmp_path: Path) -> None:
    """DuckDB takes a column whose bounds are numbers for one without NaN."""
    import duckdb

    export(store, tmp_path / "out")

    path = tmp_path / "out" / "run_metrics_history.parquet"
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT count(*) FROM '{path}' WHERE isnan(metric_value)").fetchall()
    assert [(1,)] == found
