"""What the engines read: columns, sparse and dense, the default order, entities as snapshots, and what they cost."""

from __future__ import annotations

import math
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mlquery.entities import Metric, Param, RunTag
from mlquery.errors import StoreError
from mlquery.store import Store
from mlquery.store.cells import Cells
from mlquery.store.columns import MetricCells, StringCells, TimeCells
from mlquery.store.entity_fields import experiment_fields
from tests.support.random_data import new_store as random_store

MISSING = -(2**63)


def store_of(count: int, start_time: Callable[[int], int] = lambda i: i) -> tuple[Store, list[str]]:
    store = Store(seed=1)
    return store, [store.create_run("0", "ann", start_time(i), [], f"n{i}").info.run_id for i in range(count)]


def test_columns_show_what_was_written() -> None:
    store, ids = store_of(3)
    store.log_metric(ids[0], Metric("m", 0.5, 1, 1))
    store.log_metric(ids[2], Metric("m", math.nan, 1, 1))
    store.log_param(ids[1], Param("p", "x"))
    store.set_tag(ids[1], RunTag("t", "y"))
    store.update_run_info(ids[1], 3, 77, None)

    runs = store.runs

    np.testing.assert_array_equal([0.5, math.nan, math.nan], runs.metrics["m"].values)
    assert [1, 0, 2] == runs.metrics["m"].states.tolist()
    assert [-1, 0, -1] == runs.params["p"].codes.tolist()
    assert (["x"], 0, -1) == (runs.params["p"].table, runs.params["p"].code("x"), runs.params["p"].code("z"))
    assert ["y"] == runs.tags["t"].table
    assert [MISSING, 77, MISSING] == runs.times["end_time"].values.tolist()
    assert ["RUNNING", "FINISHED", "RUNNING"] == texts(store, "status")
    assert [f"mlquery-artifacts:0/{run_id}/artifacts" for run_id in ids] == texts(store, "artifact_uri")
    assert ids == texts(store, "run_id") == runs.ids
    assert {run_id: row for row, run_id in enumerate(ids)} == runs.row_of


def test_columns_have_the_types_that_engines_count_on() -> None:
    store, ids = store_of(1)
    store.log_batch(ids[0], [Metric("m", 1.0, 1, 1)], [Param("p", "x")], [])

    runs = store.runs

    assert ("float64", "uint8") == (runs.metrics["m"].values.dtype.name, runs.metrics["m"].states.dtype.name)
    assert ("int32", "int64") == (runs.params["p"].codes.dtype.name, runs.times["start_time"].values.dtype.name)
    assert "int64" == runs.default_order().dtype


def texts(store: Store, name: str) -> list[str]:
    column = store.runs.strings[name]
    return [column.table[code] for code in column.codes]


def test_columns_are_mappings() -> None:
    store, ids = store_of(1)
    store.log_batch(ids[0], [Metric("m", 1.0, 1, 1)], [Param("p", "x"), Param("q", "x")], [])

    params = store.runs.params

    assert (["p", "q"], 2, True, False) == (list(params), len(params), "p" in params, "m" in params)
    assert params.get("none") is None
    assert ["p", "q"] == [key for key, _ in params.items()]


def test_a_write_shows_in_a_dense_column_without_building_it_again() -> None:
    store, ids = store_of(8)
    for run_id in ids:
        store.log_metric(run_id, Metric("m", 1.0, 1, 1))
    before = store.runs.metrics["m"].values

    store.log_metric(ids[3], Metric("m", 2.0, 2, 2))

    assert np.shares_memory(before, store.runs.metrics["m"].values)
    assert 2.0 == before[3]


@pytest.mark.parametrize("kind", [StringCells, MetricCells, TimeCells])
def test_cells_are_the_same_sparse_and_dense(kind: Any) -> None:
    draw = random.Random(kind.__name__)
    cells: Cells = kind(object())
    expected: dict[int, int] = {}

    for size, count in ((40, 30), (400, 30), (4000, 30), (4000, 900), (20_000, 30)):
        for row in draw.sample(range(size), count):
            value = draw.randrange(1, 99)
            put(cells, row, value, size)
            expected[row] = value
        for row in draw.sample(sorted(expected), 10):
            cells.discard(cells.slot(row))
            del expected[row]

        assert len(expected) == cells.count
        if cells.is_short_of(size):
            cells.reach(size)
        assert expected == read(cells, size)


def put(cells: Any, row: int, value: int, size: int) -> None:
    if isinstance(cells, MetricCells):
        cells.add(row, float(value), value, row + value, size)
        place = cells.slot(row)
        cells.put(place, float(value), value, row + value)
    else:
        cells.put(row, str(value) if isinstance(cells, StringCells) else value, size)


def read(cells: Any, size: int) -> dict[int, int]:
    column = cells.column(size)
    if isinstance(cells, StringCells):
        found = {row: int(column.table[code]) for row, code in enumerate(column.codes.tolist()) if code >= 0}
        assert found == {row: int(cells.string(row) or "") for row in found}
    elif isinstance(cells, MetricCells):
        found = {row: int(column.values[row]) for row in np.flatnonzero(column.states).tolist()}
        assert found == {row: cells.value(row) for row in found}
    else:
        found = {row: time for row, time in enumerate(column.values.tolist()) if time != MISSING}
        assert [found.get(row) for row in range(size)] == cells.at(range(size))
    return found


def test_a_key_of_few_runs_is_sparse_and_becomes_dense_with_more() -> None:
    store, ids = store_of(1000)
    param = store.runs.params

    for run_id in ids[500:510]:
        store.log_param(run_id, Param("rare", "x"))
    few = param.cells["rare"].rows is not None
    for run_id in ids[:200]:
        store.log_param(run_id, Param("rare", "x"))

    assert few
    assert param.cells["rare"].rows is None
    assert 210 == (param["rare"].codes >= 0).sum()


def test_a_key_of_the_first_runs_becomes_sparse_when_many_runs_without_it_follow() -> None:
    store, ids = store_of(10)
    for run_id in ids:
        store.log_param(run_id, Param("early", "x"))
    was_dense = store.runs.params.cells["early"].rows is None

    for i in range(500):
        store.create_run("0", "ann", i, [], "n")

    assert was_dense
    assert 10 == (store.runs.params["early"].codes >= 0).sum()
    assert store.runs.params.cells["early"].rows is not None


@pytest.mark.slow
def test_ten_thousand_rare_keys_do_not_cost_dense_memory() -> None:
    store, ids = store_of(20_000)
    draw = random.Random(1)

    tracemalloc.start()
    for i in range(10_000):
        store.log_metric(draw.choice(ids), Metric(f"rare{i}", 1.0, 1, 1))
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert used < 30e6  # dense columns would take 25 bytes x 20,000 runs x 10,000 keys = 5 GB
    assert 10_000 == len(store.runs.metrics)


def test_only_some_sparse_columns_are_kept_spread_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlquery.store.table._SPREAD_OUT_CELLS", 3 * 1000)
    store, ids = store_of(1000)
    for i in range(9):
        store.log_metric(ids[i], Metric(f"rare{i}", 1.0, 1, 1))

    for key in store.runs.metrics:
        assert 1.0 == np.nansum(store.runs.metrics[key].values)

    assert 3 == sum(cells.views is not None for cells in store.runs.metrics.cells.values())


def test_a_tag_that_is_set_over_and_over_does_not_grow_for_ever() -> None:
    store, ids = store_of(10)

    for i in range(2000):
        store.set_tag(ids[i % 10], RunTag("heartbeat", str(i)))

    column = store.runs.tags["heartbeat"]
    assert len(column.table) < 200
    assert [str(1990 + i) for i in range(10)] == [column.table[code] for code in column.codes]


def test_a_key_that_no_run_has_any_more_is_gone() -> None:
    store, ids = store_of(2)
    store.set_tag(ids[0], RunTag("t", "x"))

    store.delete_tag(ids[0], "t")

    assert "t" not in store.runs.tags
    assert {"mlflow.runName": "n0"} == store.get_run(ids[0]).data.tags


ORDERS: dict[str, Callable[[int], int]] = {
    "rising": lambda i: i,
    "falling": lambda i: -i,
    "equal": lambda i: 0,
    "mixed": lambda i: i * 7919 % 31,
}


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("looks", [1, 7, 1000])
def test_the_default_order_is_newest_first_then_by_run_id(name: str, looks: int) -> None:
    store, ids = store_of(0)[0], []

    for i in range(100):
        ids.append(store.create_run("0", "ann", ORDERS[name](i), [], "n").info.run_id)
        if i % looks == 0:
            expected = sorted(range(i + 1), key=lambda row: (-ORDERS[name](row), ids[row]))
            assert expected == store.runs.default_order().tolist()

    expected = sorted(range(100), key=lambda row: (-ORDERS[name](row), ids[row]))
    assert expected == store.runs.default_order().tolist()


@pytest.mark.parametrize("name", ORDERS)
def test_a_default_order_that_was_handed_out_does_not_change(name: str) -> None:
    store, _ = store_of(10, ORDERS[name])
    orders = [(store.runs.default_order(), store.runs.default_order().tolist())]

    for i in range(10, 40):
        store.create_run("0", "ann", ORDERS[name](i), [], "n")
        orders.append((store.runs.default_order(), store.runs.default_order().tolist()))

    assert all(kept == order.tolist() for order, kept in orders)
    with pytest.raises(ValueError, match="read-only"):
        orders[0][0][0] = 5


def test_loaded_runs_are_put_in_order_when_the_order_is_asked_for() -> None:
    store, draw = Store(), random.Random(1)
    starts = [draw.choice([None, 1, 2, 3]) for _ in range(50)]
    for i, start in enumerate(starts):
        store.load_run(f"r{i:02}", "0", start_time=start)

    loaded = store.runs.default_order().tolist()
    store.create_run("0", "ann", 9, [], None)

    assert sorted(range(50), key=lambda row: (-(starts[row] or 0), row)) == loaded
    assert [50, *loaded] == store.runs.default_order().tolist()


def test_experiments_are_ordered_by_creation_and_then_by_number() -> None:
    store = Store(clock=lambda: 5)
    for i in range(11):
        store.clock = lambda: 5  # another clock each time, so that all are made at one time
        store.create_experiment(f"e{i}")
    store.clock = lambda: 6
    store.create_experiment("newest")

    rows = store.experiments.default_order()

    assert ["12", *map(str, range(12))] == [store.experiments.ids[row] for row in rows]


def test_entities_are_snapshots() -> None:
    store, ids = store_of(1)
    store.log_batch(ids[0], [Metric("m", 1.0, 1, 1)], [Param("p", "x")], [RunTag("t", "y")])
    run, experiment = store.get_run(ids[0]), store.get_experiment("0")
    page = store.runs.runs_at([0])
    points = store.get_metric_history(ids[0], "m")
    kept = (repr(run), repr(experiment), repr(page), repr(points))

    store.log_batch(ids[0], [Metric("m", 2.0, 2, 2)], [Param("q", "x")], [RunTag("t", "z")])
    store.update_run_info(ids[0], 3, 9, "renamed")
    store.delete_experiment("0")

    assert kept == (repr(run), repr(experiment), repr(page), repr(points))


def test_changing_an_entity_does_not_change_the_store() -> None:
    store, ids = store_of(1)
    store.log_batch(ids[0], [Metric("m", 1.0, 1, 1)], [Param("p", "x")], [RunTag("t", "y")])
    expected = repr(store.get_run(ids[0]))

    for run in (store.get_run(ids[0]), store.runs.runs_at([0])[0]):
        run.data.tags["t"] = run.data.params["p"] = "changed"
        run.data.metrics.clear()
        run.inputs.dataset_inputs.append(None)  # type: ignore[union-attr, arg-type]

    assert expected == repr(store.get_run(ids[0]))


@pytest.mark.slow
def test_runs_read_together_are_the_runs_read_one_by_one() -> None:
    store, ids = store_of(200)
    draw = random.Random(1)
    for run_id in ids:
        metrics = [Metric(key, draw.random(), 1, 1) for key in draw.sample("abcdef", draw.randrange(5))]
        tags = [RunTag(key, draw.choice("xyz")) for key in draw.sample("abcdef", draw.randrange(5))]
        store.log_batch(run_id, metrics, [Param(f"rare{draw.randrange(300)}", "x")], tags)
    rows = [draw.randrange(200) for _ in range(300)]

    assert [store.runs.run_at(row) for row in rows] == store.runs.runs_at(np.array(rows))
    assert [] == store.runs.runs_at([])


def test_a_run_can_have_thousands_of_keys() -> None:
    store, ids = store_of(2)

    for i in range(3000):
        store.log_metric(ids[0], Metric(f"m{i}", float(i), 1, 1))
    store.set_tag(ids[0], RunTag("t", "x"))

    assert {f"m{i}": float(i) for i in range(3000)} == store.get_run(ids[0]).data.metrics


def test_importing_the_store_loads_no_pandas() -> None:
    code = "import sys, mlquery.store; print('pandas' in sys.modules, 'mlflow' in sys.modules)"

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "False False\n" == shown


@pytest.mark.parametrize(("runs", "rare_keys"), [(0, 0), (1, 0), (40, 0), (90, 40)])
def test_runs_loaded_at_once_are_those_loaded_one_by_one(runs: int, rare_keys: int) -> None:
    store = random_store(7, runs, rare_keys)
    at_once = Store()
    at_once.clear()
    for row in range(store.experiments.size):
        at_once.load_experiment(**experiment_fields(store.experiments.experiment_at(row)))
    found = [store.runs.run_at(row) for row in range(store.runs.size)]
    metrics = [{key: (value, 5, 1) for key, value in run.data.metrics.items()} for run in found]

    at_once.load_runs(
        [run.info for run in found],
        [run.data.params for run in found],
        [run.data.tags for run in found],
        metrics,
        [run.inputs.dataset_inputs if run.inputs else [] for run in found],
    )

    assert str(found) == str([at_once.runs.run_at(row) for row in range(runs)])
    assert store.runs.default_order().tolist() == at_once.runs.default_order().tolist()
    for key, column in store.runs.metrics.items():
        np.testing.assert_array_equal(column.values, at_once.runs.metrics[key].values)
        np.testing.assert_array_equal(column.states, at_once.runs.metrics[key].states)
    for run in found:  # they go on as any runs of a store
        at_once.restore_run(run.info.run_id)
        at_once.log_metric(run.info.run_id, Metric("new", 1.0, 2, 3))
        at_once.set_tag(run.info.run_id, RunTag("new", "x"))
        assert (1.0, "x") == (
            at_once.get_run(run.info.run_id).data.metrics["new"],
            at_once.get_run(run.info.run_id).data.tags["new"],
        )


def test_runs_of_the_same_id_are_not_loaded_at_once() -> None:
    store = random_store(7, 3)
    info = store.runs.info_at(0)

    with pytest.raises(StoreError, match="already exist"):
        Store().load_runs([info, info], [{}, {}], [{}, {}], [{}, {}], [(), ()])
    with pytest.raises(StoreError, match="already exist"):
        store.load_runs([info], [{}], [{}], [{}], [()])
