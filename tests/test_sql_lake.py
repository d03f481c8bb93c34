"""Exports and tables of Databricks are searched in place: by DuckDB, and on a warehouse with another connector."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from mlquery.engine import reference
from mlquery.entities import Metric, Param
from mlquery.errors import StoreError
from mlquery.language.plan import Plan
from mlquery.query.search import plan_of
from mlquery.sql.engines.databricks import Databricks, Warehouse, warehouse_of
from mlquery.sql.engines.lake import open_catalog, open_folder
from mlquery.sql.errors import NotAskableError, SourceUnavailableError
from mlquery.sql.layouts.databricks_tables import DatabricksTables
from mlquery.sql.source import Source
from mlquery.store import Store
from mlquery.sync.exporting import export
from tests.support.sql_stores import new_store

pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")

QUERIES = [
    ("metrics.loss > 0.2 AND params.model LIKE '%a%'", ["metrics.loss DESC"]),
    ("NOT (metrics.acc <= 0.5 OR tags.team IS NULL)", ["params.lr", "start_time"]),
    ("max(metrics.loss) > 0", ["at(metrics.loss, 1) DESC", "run_name"]),
    ("mean(metrics.acc) < 0.7", ["mean(metrics.loss)"]),
    ("tags.team RLIKE '^[a-z]+$' OR run_name ILIKE '%A%'", ["duration DESC", "user_id"]),
    ("user_id IS NULL", ["run_name"]),
    ("user_id = '' OR user_id IS NULL", ["user_id"]),
]


def plan(filter_string: str = "", order_by: list[str] | None = None) -> Plan:
    return attrs.evolve(plan_of(filter_string, order_by, dialect="extended", view_type=3), experiment_ids=None)


@pytest.fixture(scope="module")
def store() -> Store:
    return new_store(3, 60)


@pytest.fixture
def folder(store: Store, tmp_path: Path) -> Path:
    export(store, tmp_path / "export")
    return tmp_path / "export"


@pytest.fixture
def source(folder: Path) -> Source:
    return open_folder(str(folder))


@pytest.fixture(params=["tables", "wide"])
def either(store: Store, tmp_path: Path, request: pytest.FixtureRequest) -> Source:
    export(store, tmp_path / request.param, layout=request.param)
    return open_folder(str(tmp_path / request.param))


@pytest.mark.parametrize(("filter_string", "order_by"), QUERIES)
def test_the_same_runs_are_found_in_the_same_order(
    store: Store, either: Source, filter_string: str, order_by: list[str]
) -> None:
    source = either
    wanted = plan(filter_string, order_by)
    expected = [store.runs.ids[row] for row in reference.rows(store, wanted)]

    pages: list[list[str]] = []
    after = None
    while not pages or after is not None:
        page = source.page(wanted, 7, after)
        pages.append([page.store.runs.ids[row] for row in page.rows])
        after = page.next

    assert expected == [run_id for page_ids in pages for run_id in page_ids] == source.ids(wanted)
    assert len(expected) == source.count(wanted)


@pytest.mark.parametrize("order_by", ["metrics.a", "metrics.a DESC", "max(metrics.a)", "max(metrics.a) DESC"])
def test_a_page_may_end_at_an_infinite_value(order_by: str, tmp_path: Path) -> None:
    store = Store(seed=1)
    for value in (float("-inf"), -1.0, float("inf"), float("-inf"), float("nan"), 2.0, float("inf")):
        run = store.create_run("0", "me", 1, [], "run")
        store.log_metric(run.info.run_id, Metric("a", value, 5, 0))
    wanted = plan("", [order_by])
    expected = [store.runs.ids[row] for row in reference.rows(store, wanted)]
    for layout in ("tables", "wide"):
        export(store, tmp_path / layout, layout=layout)
        source = open_folder(str(tmp_path / layout))
        found, after = source.ids(wanted, 1), source.page(wanted, 1).next
        while after is not None and len(found) <= len(expected):
            page = source.page(wanted, 1, after)
            found += [page.store.runs.ids[row] for row in page.rows]
            after = page.next

        assert expected == found


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


def test_a_page_of_a_wide_export_has_all_data_of_its_runs(store: Store, tmp_path: Path) -> None:
    export(store, tmp_path, layout="wide")
    page = open_folder(str(tmp_path)).page(plan(), None)

    found = {run.info.run_id: run for run in page.store.runs.runs_at(page.rows)}

    assert set(store.runs.ids) == set(found)
    for run in store.runs.runs_at(range(store.runs.size)):
        same = found[run.info.run_id]
        assert (repr(run.data), repr(run.inputs)) == (repr(same.data), repr(same.inputs))
        assert run.info == same.info


def test_a_page_has_all_data_of_its_runs_but_what_the_tables_lack(store: Store, source: Source) -> None:
    page = source.page(plan(), None)

    found = {run.info.run_id: run for run in page.store.runs.runs_at(page.rows)}

    assert set(store.runs.ids) == set(found)
    for run in store.runs.runs_at(range(store.runs.size)):
        same = found[run.info.run_id]
        assert repr(run.data) == repr(same.data)
        assert attrs.evolve(run.info, artifact_uri=None) == same.info


def test_histories_have_all_points(store: Store, either: Source) -> None:
    found = either.histories(store.runs.ids, None)

    assert {(run_id, key) for run_id in store.runs.ids for key in store.get_run(run_id).data.metrics} == set(found)
    for (run_id, key), points in found.items():
        for column, same in zip(store.history(run_id, key), points, strict=True):
            assert np.array_equal(column, same, equal_nan=True)


@pytest.mark.parametrize("query", ["dataset.name = 'x'", "artifact_uri LIKE '%x'"])
def test_what_the_tables_lack_is_refused_by_name(source: Source, query: str) -> None:
    with pytest.raises(NotAskableError, match="Databricks' tables"):
        source.ids(plan(query))


@pytest.mark.parametrize(
    ("query", "view"),
    [("name LIKE 'a%'", 3), ("tags.team IS NOT NULL", 3), ("creation_time >= 0", 1), ("experiment_id != '1'", 3)],
)
def test_experiments_of_a_wide_export_are_found(store: Store, tmp_path: Path, query: str, view: int) -> None:
    export(store, tmp_path, layout="wide")
    wanted = plan_of(query, ["experiment_id DESC"], entity="experiment", view_type=view, dialect="extended")
    expected = [store.experiments.ids[row] for row in reference.rows(store, wanted)]

    page = open_folder(str(tmp_path)).page(wanted, None)

    assert expected == page.store.experiments.ids
    assert [store.get_experiment(one) for one in expected] == [page.store.get_experiment(one) for one in expected]


def test_an_export_that_grows_shows_what_it_has_gained(store: Store, tmp_path: Path) -> None:
    copy = store.clone()
    export(copy, tmp_path, layout="wide")
    source = open_folder(str(tmp_path))
    assert [] == source.ids(plan("params.`of late` = 'x'"))

    run = copy.create_run(copy.create_experiment("of late"), "me", 1, [], "late")
    copy.log_param(run.info.run_id, Param("of late", "x"))
    export(copy, tmp_path, layout="wide")

    assert [run.info.run_id] == source.ids(plan("params.`of late` = 'x'"))


def test_an_export_that_is_replaced_is_read_anew(store: Store, source: Source, folder: Path) -> None:
    before = source.count(plan())
    export(Store(), folder)

    assert 0 == source.count(plan()) < before


def _without_folder(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def _without_table(folder: Path) -> None:
    (folder / "runs_latest.parquet").unlink()


@pytest.mark.parametrize("damage", [_without_folder, _without_table])
def test_a_folder_that_is_no_export_is_refused_in_one_sentence(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)

    with pytest.raises(SourceUnavailableError, match=r"does not exist|has neither") as caught:
        open_folder(str(folder))

    assert "\n" not in str(caught.value)


def _cut_off(folder: Path) -> None:
    path = folder / "runs_latest.parquet"
    path.write_bytes(path.read_bytes()[:100])


def _without_column(folder: Path) -> None:
    from pyarrow import parquet

    path = folder / "runs_latest.parquet"
    parquet.write_table(parquet.read_table(path).drop_columns(["params"]), path)


@pytest.mark.parametrize("damage", [_cut_off, _without_column])
def test_a_damaged_export_is_one_sentence(source: Source, folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)

    with pytest.raises(SourceUnavailableError, match="cannot be read") as caught:
        source.page(plan("params.model = 'x'"), 10)

    assert "\n" not in str(caught.value)


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
