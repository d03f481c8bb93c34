"""Exports of both layouts are searched in place by DuckDB, and tables of Databricks on a warehouse."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import pytest

from mlquery.entities import Metric
from mlquery.errors import StoreError
from mlquery.sql.engines.databricks import Databricks, Warehouse, warehouse_of
from mlquery.sql.engines.lake import open_catalog, open_folder
from mlquery.sql.errors import NotAskableError, SourceUnavailableError
from mlquery.sql.layouts.databricks_tables import DatabricksTables
from mlquery.sql.source import Source
from mlquery.store import Store
from mlquery.sync.exporting import export
from tests.support.lake import QUERIES, expected_ids, pages_of, plan
from tests.support.sql_stores import new_store

pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")

Damage = Callable[[Path], None]
ONLY_TABLES = pytest.mark.parametrize("layout", ["tables"])


@pytest.fixture(scope="module")
def store() -> Store:
    return new_store(3, 60)


@pytest.fixture(params=["tables", "wide"])
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(store: Store, layout: str, tmp_path: Path) -> Path:
    export(store, tmp_path / "export", layout=layout)
    return tmp_path / "export"


@pytest.fixture
def source(folder: Path) -> Iterator[Source]:
    opened = open_folder(str(folder))
    yield opened
    opened.close()


@pytest.mark.parametrize(("filter_string", "order_by"), QUERIES)
def test_the_same_runs_are_found_in_the_same_order(
    store: Store, source: Source, filter_string: str, order_by: list[str]
) -> None:
    wanted = plan(filter_string, order_by)
    expected = expected_ids(store, wanted)

    assert expected == pages_of(source, wanted, 7) == source.ids(wanted)
    assert len(expected) == source.count(wanted)


@pytest.mark.parametrize("order_by", ["metrics.a", "metrics.a DESC", "max(metrics.a)", "max(metrics.a) DESC"])
def test_a_page_may_end_at_an_infinite_value(order_by: str, layout: str, tmp_path: Path) -> None:
    store = Store(seed=1)
    for value in (float("-inf"), -1.0, float("inf"), float("-inf"), float("nan"), 2.0, float("inf")):
        run = store.create_run("0", "me", 1, [], "run")
        store.log_metric(run.info.run_id, Metric("a", value, 5, 0))
    export(store, tmp_path, layout=layout)

    assert expected_ids(store, plan("", [order_by])) == pages_of(open_folder(str(tmp_path)), plan("", [order_by]), 1)


def test_nan_is_found_in_files_whose_bounds_leave_it_out(tmp_path: Path) -> None:
    from pyarrow import parquet

    store = Store(seed=1)
    ids = [store.create_run("0", "me", time, [], "run").info.run_id for time in (1, 2, 3)]
    nan = float("nan")
    for run_id, value, same in zip(ids, (1.0, nan, 2.0), (1.0, nan, 1.0), strict=True):
        for step in (0, 1):
            store.log_metric(run_id, Metric("loss", value, 5, step))
            store.log_metric(run_id, Metric("same", same, 5, step))
    export(store, tmp_path)
    for file in tmp_path.glob("*.parquet"):
        parquet.write_table(parquet.read_table(file), file)  # with bounds of all columns
    source = open_folder(str(tmp_path))

    assert [ids[2]] == source.ids(plan("metrics.loss > 1.5"))
    assert [ids[2], ids[1]] == source.ids(plan("metrics.loss != 1"))
    assert [ids[2], ids[0], ids[1]] == source.ids(plan("", ["max(metrics.loss) DESC"]))
    assert [ids[2]] == source.ids(plan("max(metrics.loss) > 1.5"))
    assert [ids[1]] == source.ids(plan("metrics.same != 1")) == source.ids(plan("max(metrics.same) != 1"))


def test_nan_is_found_beside_numbers_that_do_not_pass(tmp_path: Path, layout: str) -> None:
    store = Store()
    for value in (1.0, math.nan, 0.5):
        run_id = store.create_run("0", "ada", 0, [], "").info.run_id
        store.runs.add_point(store.runs.row_of[run_id], "auc", value, 0, 0)
    export(store, tmp_path, layout=layout)

    found = open_folder(str(tmp_path)).ids(plan("NOT metrics.auc <= 2"))

    assert [store.runs.ids[1]] == found


def test_keys_that_differ_only_by_case_are_told_apart(tmp_path: Path, layout: str) -> None:
    store = Store()
    run_id = store.create_run("0", "ada", 0, [], "").info.run_id
    for number, key in enumerate(("auc", "AUC", 'a "b"', "ä", "Ä", "")):
        store.runs.add_point(store.runs.row_of[run_id], key, float(number), 0, 0)
    export(store, tmp_path, layout=layout)

    source = open_folder(str(tmp_path))

    assert [run_id] == source.ids(plan("metrics.AUC = 1 AND metrics.auc = 0 AND metrics.`Ä` = 4"))
    assert store.get_run(run_id).data.metrics == source.page(plan(), 1).store.get_run(run_id).data.metrics


def test_a_page_has_all_data_of_its_runs_but_what_the_tables_lack(store: Store, source: Source, layout: str) -> None:
    by_page, by_id = source.page(plan(), None).store, source.runs([*store.runs.ids, "nobody"])

    for found in (by_page, by_id):
        assert set(store.runs.ids) == set(found.runs.ids)
        for run in store.runs.runs_at(range(store.runs.size)):
            same, run_id, info = found.get_run(run.info.run_id), run.info.run_id, run.info
            if layout == "tables":
                info = attrs.evolve(info, artifact_uri=None)
            assert info == same.info
            assert layout == "tables" or run.inputs == same.inputs
            for name in ("metrics", "params", "tags"):
                assert repr(sorted(getattr(run.data, name).items())) == repr(sorted(getattr(same.data, name).items()))
            for key in run.data.metrics:
                assert latest_point(store, run_id, key) == latest_point(found, run_id, key)


def latest_point(store: Store, run_id: str, key: str) -> tuple[int, int]:
    """Return time and step of the latest point of a metric."""
    cells = store.runs.metrics.cells[key]
    place = cells.slot(store.runs.row_of[run_id])
    return int(cells.arrays[2][place]), int(cells.arrays[3][place])


def test_histories_have_all_points(store: Store, source: Source) -> None:
    found = source.histories(store.runs.ids, None)

    assert {(run_id, key) for run_id in store.runs.ids for key in store.get_run(run_id).data.metrics} == set(found)
    for (run_id, key), points in found.items():
        for column, same in zip(store.history(run_id, key), points, strict=True):
            assert np.array_equal(column, same, equal_nan=True)


@ONLY_TABLES
@pytest.mark.parametrize("query", ["dataset.name = 'x'", "artifact_uri LIKE '%x'"])
def test_what_the_tables_lack_is_refused_by_name(source: Source, query: str) -> None:
    with pytest.raises(NotAskableError, match="Databricks' tables"):
        source.ids(plan(query))


def test_an_export_that_is_replaced_is_read_anew(source: Source, folder: Path, layout: str) -> None:
    before = source.count(plan())
    export(Store(), folder, layout=layout)

    assert 0 == source.count(plan()) < before


def _without_folder(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def _without_table(folder: Path) -> None:
    (folder / "runs_latest.parquet").unlink()


def _without_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("layout", "damage"), [("tables", _without_folder), ("tables", _without_table), ("wide", _without_manifest)]
)
def test_a_folder_that_is_no_export_is_refused_in_one_sentence(folder: Path, damage: Damage) -> None:
    damage(folder)

    with pytest.raises(SourceUnavailableError, match=r"does not exist|has neither") as caught:
        open_folder(str(folder))

    assert "\n" not in str(caught.value)


def _cut_off(folder: Path) -> None:
    for path in (*folder.glob("runs_latest.parquet"), *folder.rglob("runs/**/*.parquet")):
        path.write_bytes(path.read_bytes()[:100])


def _without_column(folder: Path) -> None:
    from pyarrow import parquet

    path = folder / "runs_latest.parquet"
    parquet.write_table(parquet.read_table(path).drop_columns(["params"]), path)


def _without_files(folder: Path) -> None:
    for path in (folder / "runs").rglob("*.parquet"):
        path.unlink()


def _rows_cut_off(folder: Path) -> None:
    for path in (folder / "run_rows").rglob("*.arrow"):
        path.write_bytes(path.read_bytes()[:100])


def _of_another_version(folder: Path, version: int) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"version": 2', f'"version": {version}'))


@pytest.mark.parametrize(
    ("layout", "damage", "words"),
    [
        ("tables", _cut_off, "cannot be read"),
        ("tables", _without_column, "cannot be read"),
        ("wide", _cut_off, "cannot be read"),
        ("wide", _without_files, "cannot be read"),
        ("wide", _rows_cut_off, "cannot be read"),
        ("wide", partial(_of_another_version, version=9), "version"),
        ("wide", partial(_of_another_version, version=1), "is of an earlier form"),
        ("wide", _without_folder, "does not exist"),
    ],
)
def test_a_damaged_export_is_one_sentence(source: Source, folder: Path, damage: Damage, words: str) -> None:
    damage(folder)

    with pytest.raises(SourceUnavailableError, match=words) as caught:
        source.page(plan(), 10)

    assert "\n" not in str(caught.value)


def test_spark_needs_java(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = SimpleNamespace(PySparkException=RuntimeError, PySparkRuntimeError=RuntimeError)
    monkeypatch.setitem(sys.modules, "pyspark.errors", errors)
    session = SimpleNamespace(getActiveSession=lambda: None)
    monkeypatch.setitem(sys.modules, "pyspark.sql", SimpleNamespace(SparkSession=session))
    monkeypatch.setenv("JAVA_HOME", str(folder))

    with pytest.raises(SourceUnavailableError, match=f"needs Java 17, .*: there is none in JAVA_HOME, {folder}$"):
        open_folder(str(folder), "spark")


@pytest.mark.parametrize(("name", "layout"), [("a.b; DROP TABLE x", None), ("a`b", None), ("a.b", "wide")])
def test_a_catalog_has_a_plain_name_and_one_layout(name: str, layout: str | None) -> None:
    with pytest.raises(StoreError, match=r"is no catalog and schema|are of the layout"):
        open_catalog(name, object(), layout)


# A warehouse of Databricks, whose connector is replaced


@attrs.define
class Connector:
    """Answers with no rows, and keeps what it was sent."""

    asked: list[tuple[str, dict[str, Any]]] = attrs.field(factory=list)
    settings: dict[str, Any] = attrs.field(factory=dict)
    failure: Exception | None = None

    def connect(self, **settings: Any) -> Connector:
        self.settings = settings
        return self

    @contextmanager
    def cursor(self) -> Any:
        yield self

    def execute(self, text: str, parameters: dict[str, Any]) -> None:
        if self.failure is not None:
            raise self.failure
        self.asked.append((text, parameters))

    def fetchall(self) -> list[Any]:
        return []

    def close(self) -> None:
        pass


URL = "databricks://token:s3cret@adb-1.net:443?http_path=/sql/1.0/warehouses/a&catalog=main&schema=ml"


def test_a_warehouse_is_sent_text_and_named_parameters() -> None:
    connector = Connector()
    warehouse = warehouse_of(URL)
    source = Source(Databricks(warehouse, connector.connect), DatabricksTables(warehouse.name, "`main`.`ml`."))

    assert [] == source.ids(plan("metrics.auc > 0.8 AND params.model = 'x'", ["metrics.auc DESC"]), 10)

    ((text, parameters),) = connector.asked
    value = "get(filter(r.aggregated_metrics, one -> one.metric_name = :p0), 0).latest_value"
    assert text.startswith("SELECT r.run_id, ")
    assert "\nFROM `main`.`ml`.runs_latest r\n" in text
    assert f"(({value} > :p1) AND NOT isnan({value}))" in text
    assert "(try_element_at(r.params, :p2) = :p3)" in text
    assert text.endswith("LIMIT :p4")
    assert {"p0": "auc", "p1": 0.8, "p2": "model", "p3": "x", "p4": 11} == parameters
    assert {
        "server_hostname": "adb-1.net",
        "http_path": "/sql/1.0/warehouses/a",
        "access_token": "s3cret",
        "session_configuration": {"timezone": "UTC"},
    } == connector.settings


def test_what_a_warehouse_says_is_one_sentence_without_the_token() -> None:
    connector = Connector(failure=RuntimeError("token s3cret is not valid\nat line 1"))
    engine = Databricks(warehouse_of(URL), connector.connect)

    with pytest.raises(SourceUnavailableError) as caught:
        Source(engine, DatabricksTables("databricks://adb-1.net")).count(plan())

    assert "databricks://adb-1.net cannot be read: token … is not valid" == str(caught.value)
    assert "s3cret" not in repr(Warehouse("a", "b", "s3cret"))


@pytest.mark.parametrize(
    "url", ["databricks://token:t@host", "databricks://host?http_path=/a", "databricks://token:t@?http_path=/a"]
)
def test_a_warehouse_needs_a_host_a_path_and_a_token(url: str) -> None:
    with pytest.raises(SourceUnavailableError, match=r"lacks .*; write databricks://token:TOKEN@HOST"):
        warehouse_of(url)
