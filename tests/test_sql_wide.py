"""Wide exports are searched in place by DuckDB: the same runs, in the same order, with all their data."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlquery.engine import reference
from mlquery.language.plan import Plan
from mlquery.query.search import plan_of
from mlquery.sql.engines.lake import open_folder
from mlquery.sql.errors import SourceUnavailableError
from mlquery.sql.layouts.manifest import read_manifest
from mlquery.sql.source import Source
from mlquery.store import Store
from mlquery.sync import incremental
from mlquery.sync.exporting import export
from tests.support.sql_stores import new_store
from tests.support.statements import statements_run

pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")

QUERIES = [
    ("", []),
    ("metrics.loss > 0.2 AND params.model LIKE '%a%'", ["metrics.loss DESC"]),
    ("NOT (metrics.acc <= 0.5 OR tags.team IS NULL)", ["params.lr", "start_time"]),
    ("NOT metrics.acc <= 0.5 OR metrics.`val loss` != 1", ["metrics.`val loss`", "metrics.acc DESC"]),
    ("max(metrics.loss) > 0", ["at(metrics.loss, 1) DESC", "run_name"]),
    ("mean(metrics.acc) < 0.7", ["mean(metrics.loss)"]),
    ("tags.team RLIKE '^[a-z]+$' OR run_name ILIKE '%A%'", ["duration DESC", "user_id"]),
    ("dataset.name = 'train' AND dataset.context != 'eval' OR dataset.digest LIKE 'd%'", ["artifact_uri"]),
    ("params.nobody IS NULL AND metrics.nobody IS NULL AND NOT tags.nobody = 'x'", ["metrics.nobody", "params.nobody"]),
]


def plan(filter_string: str = "", order_by: list[str] | None = None) -> Plan:
    return attrs.evolve(plan_of(filter_string, order_by, dialect="extended", view_type=3), experiment_ids=None)


@pytest.fixture(scope="module")
def store() -> Store:
    return new_store(3, 60)


@pytest.fixture
def folder(store: Store, tmp_path: Path) -> Path:
    export(store, tmp_path / "wide", layout="wide")
    return tmp_path / "wide"


@pytest.fixture
def source(folder: Path) -> Iterator[Source]:
    opened = open_folder(str(folder))
    yield opened
    opened.close()


def pages_of(source: Source, wanted: Plan, limit: int) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        page = source.page(wanted, limit, after)
        found += [page.store.runs.ids[row] for row in page.rows]
        after = page.next
        if after is None:
            return found


@pytest.mark.parametrize(("filter_string", "order_by"), QUERIES)
def test_the_same_runs_are_found_in_the_same_order(
    store: Store, source: Source, filter_string: str, order_by: list[str]
) -> None:
    wanted = plan(filter_string, order_by)
    expected = [store.runs.ids[row] for row in reference.rows(store, wanted)]

    assert expected == pages_of(source, wanted, 7) == source.ids(wanted)
    assert len(expected) == source.count(wanted)


@given(seed=st.integers(0, 10**6), queries=st.lists(st.sampled_from(QUERIES), min_size=1, max_size=3))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_exports_of_changes_the_same_runs_are_found(
    seed: int, queries: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, old = tmp_path_factory.mktemp("wide"), new_store(seed, 20)
    export(old, folder, layout="wide")
    source, new = open_folder(str(folder)), new_store(seed + 1, 20)
    for changed in (old, new):
        changed.runs.put_tag(0, "team", "changed")
        export(changed, folder, layout="wide")
        for filter_string, order_by in queries:
            wanted = plan(filter_string, order_by)
            assert [changed.runs.ids[row] for row in reference.rows(changed, wanted)] == source.ids(wanted)


def test_a_page_has_all_data_of_its_runs(store: Store, source: Source) -> None:
    by_page, by_id = source.page(plan(), None).store, source.runs([*store.runs.ids, "nobody"])

    for found in (by_page, by_id):
        assert set(store.runs.ids) == set(found.runs.ids)
        for run in store.runs.runs_at(range(store.runs.size)):
            same = found.get_run(run.info.run_id)
            assert run.info == same.info
            for name in ("metrics", "params", "tags"):
                assert repr(sorted(getattr(run.data, name).items())) == repr(sorted(getattr(same.data, name).items()))
            assert run.inputs == same.inputs
            for key in run.data.metrics:
                cells, others = store.runs.metrics.cells[key], found.runs.metrics.cells[key]
                row, other = store.runs.row_of[run.info.run_id], found.runs.row_of[run.info.run_id]
                place, other_place = cells.slot(row), others.slot(other)
                assert cells.arrays[2][place] == others.arrays[2][other_place]
                assert cells.arrays[3][place] == others.arrays[3][other_place]


def test_experiments_and_their_tags_are_found(store: Store, source: Source) -> None:
    ids = list(store.experiments.ids)

    found = source.experiments([*ids, "nobody"])

    assert [store.get_experiment(one) for one in ids] == [found.get_experiment(one) for one in found.experiments.ids]


def test_histories_have_all_points(store: Store, source: Source) -> None:
    found = source.histories(store.runs.ids, None)

    assert {(run_id, key) for run_id in store.runs.ids for key in store.get_run(run_id).data.metrics} == set(found)
    for (run_id, key), points in found.items():
        for column, same in zip(store.history(run_id, key), points, strict=True):
            assert np.array_equal(column, same, equal_nan=True)


def test_nan_is_found_beside_numbers_that_do_not_pass(tmp_path: Path) -> None:
    store = Store()
    for value in (1.0, math.nan, 0.5):
        run_id = store.create_run("0", "ada", 0, [], "").info.run_id
        store.runs.add_point(store.runs.row_of[run_id], "auc", value, 0, 0)
    export(store, tmp_path, layout="wide")

    found = open_folder(str(tmp_path)).ids(plan("NOT metrics.auc <= 2"))

    assert [store.runs.ids[1]] == found


def test_keys_that_differ_only_by_case_are_told_apart(tmp_path: Path) -> None:
    store = Store()
    run_id = store.create_run("0", "ada", 0, [], "").info.run_id
    for number, key in enumerate(("auc", "AUC", 'a "b"', "ä", "Ä", "")):
        store.runs.add_point(store.runs.row_of[run_id], key, float(number), 0, 0)
    export(store, tmp_path, layout="wide")

    source = open_folder(str(tmp_path))

    assert [run_id] == source.ids(plan("metrics.AUC = 1 AND metrics.auc = 0 AND metrics.`Ä` = 4"))
    assert store.get_run(run_id).data.metrics == source.page(plan(), 1).store.get_run(run_id).data.metrics


def test_only_files_of_the_experiments_asked_for_are_read(source: Source, folder: Path) -> None:
    wanted = attrs.evolve(plan("metrics.acc > 0"), experiment_ids=frozenset(["1"]))

    text = "\n".join(source.described(source.statement(wanted, 5)))

    (part,) = [part for part in read_manifest(folder).parts if part.experiment_id == "1"]
    assert part.rows["runs"]
    assert f"Scanning Files: 1/{len(read_manifest(folder).parts)}" in text


def test_a_page_takes_as_many_statements_for_many_parts_as_for_few(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for size in (1, 1_000):
        monkeypatch.setattr(incremental, "PART_ROWS", size)
        export(store, tmp_path / str(size), layout="wide")
        source = open_folder(str(tmp_path / str(size)))
        with statements_run() as found:
            source.page(plan("metrics.acc > 0"), 50)
        counts.append(len(found))

    assert counts[0] == counts[1]


@pytest.mark.parametrize("limit", [1, 30, 100, 150, 151, 400])
def test_runs_that_agree_in_all_but_their_ids_are_ordered_by_them(tmp_path: Path, limit: int) -> None:
    """150 runs agree, more than are asked for beyond a page: where that is not enough, ids are asked for."""
    store = Store()
    store.load_experiment("1", "experiment 1", artifact_location="s3://runs/1")
    for number in random.Random(5).sample(range(300), 300):
        loss = 0.5 if number % 2 else number / 300
        info: dict[str, Any] = {"status": "FINISHED", "user_id": "ada", "start_time": 5, "end_time": 6}
        store.load_run(
            f"{number:032x}", "1", **info, run_name="a", artifact_uri="s3://a", metrics={"loss": (loss, 1, 1)}
        )
    export(store, tmp_path / "wide", layout="wide")
    wanted = plan("", ["metrics.loss"])
    expected = [store.runs.ids[row] for row in reference.rows(store, wanted)]
    opened = open_folder(str(tmp_path / "wide"))

    assert expected[:limit] == opened.ids(wanted, limit)
    assert expected == pages_of(opened, wanted, limit)
    opened.close()


def test_an_export_that_is_replaced_is_read_anew(store: Store, source: Source, folder: Path) -> None:
    before = source.count(plan())
    export(Store(), folder, layout="wide")

    assert 0 == source.count(plan()) < before


def _no_folder(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    folder.rename(folder.with_name("elsewhere"))


def _newer(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"version": 2', '"version": 9'))


def _earlier(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"version": 2', '"version": 1'))


def _cut_off(folder: Path) -> None:
    for path in (folder / "runs").rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:100])


def _rows_cut_off(folder: Path) -> None:
    for path in (folder / "run_rows").rglob("*.arrow"):
        path.write_bytes(path.read_bytes()[:100])


def _without_file(folder: Path) -> None:
    for path in (folder / "runs").rglob("*.parquet"):
        path.unlink()


@pytest.mark.parametrize("damage", [_no_folder, _newer, _earlier, _cut_off, _rows_cut_off, _without_file])
def test_a_damaged_export_is_one_sentence(source: Source, folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)

    with pytest.raises(SourceUnavailableError) as caught:
        source.page(plan(), 10)

    assert "\n" not in str(caught.value)


def test_a_folder_without_a_manifest_is_no_wide_export(tmp_path: Path) -> None:
    with pytest.raises(
        SourceUnavailableError, match=r"has no manifest\.json; 'mlquery export --layout wide' makes one"
    ):
        open_folder(str(tmp_path), layout="wide")
