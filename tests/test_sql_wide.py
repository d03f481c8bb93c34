"""Wide exports are searched in place by DuckDB: what only they have, and what they read of it; see `test_sql_lake`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlquery.engine import reference
from mlquery.entities import Param
from mlquery.query.search import plan_of
from mlquery.sql.engines.lake import open_folder
from mlquery.sql.errors import SourceUnavailableError
from mlquery.sql.layouts.manifest import read_manifest
from mlquery.sql.source import Source
from mlquery.store import Store
from mlquery.sync import incremental
from mlquery.sync.exporting import export
from tests.support.lake import QUERIES, expected_ids, pages_of, plan
from tests.support.sql_stores import new_store
from tests.support.statements import statements_run

pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")


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
            assert expected_ids(changed, wanted) == source.ids(wanted)


def test_experiments_and_their_tags_are_found(store: Store, source: Source) -> None:
    ids = list(store.experiments.ids)

    found = source.experiments([*ids, "nobody"])

    assert [store.get_experiment(one) for one in ids] == [found.get_experiment(one) for one in found.experiments.ids]


def test_datasets_and_artifact_locations_are_found(store: Store, source: Source) -> None:
    wanted = plan("dataset.name = 'train' AND dataset.context != 'eval' OR dataset.digest LIKE 'd%'", ["artifact_uri"])

    assert expected_ids(store, wanted) == source.ids(wanted)


@pytest.mark.parametrize(
    ("query", "view"),
    [("name LIKE 'a%'", 3), ("tags.team IS NOT NULL", 3), ("creation_time >= 0", 1), ("experiment_id != '1'", 3)],
)
def test_experiments_are_found(store: Store, source: Source, query: str, view: int) -> None:
    wanted = plan_of(query, ["experiment_id DESC"], entity="experiment", view_type=view, dialect="extended")
    expected = [store.experiments.ids[row] for row in reference.rows(store, wanted)]

    page = source.page(wanted, None)

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


@pytest.mark.parametrize("order_by", [["metrics.loss"], ["metrics.loss DESC", "run_id DESC"]])
@pytest.mark.parametrize("limit", [1, 30, 100, 150, 151, 400])
def test_runs_that_agree_in_all_but_their_ids_are_ordered_by_them(
    tmp_path: Path, limit: int, order_by: list[str]
) -> None:
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
    wanted = plan("", order_by)
    expected = expected_ids(store, wanted)
    opened = open_folder(str(tmp_path / "wide"))

    assert expected[:limit] == opened.ids(wanted, limit)
    assert expected == pages_of(opened, wanted, limit)
    opened.close()


def test_a_folder_without_a_manifest_is_no_wide_export(tmp_path: Path) -> None:
    with pytest.raises(
        SourceUnavailableError, match=r"has no manifest\.json; 'mlquery export --layout wide' makes one"
    ):
        open_folder(str(tmp_path), layout="wide")
