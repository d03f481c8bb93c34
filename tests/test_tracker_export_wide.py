"""Wide exports: everything of a store in a column for each key, and only what changed in the next export."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from mlquery.durable.locks import FolderLock
from mlquery.entities import LifecycleStage, RunTag
from mlquery.errors import StoreError
from mlquery.sql.layouts.manifest import (
    DATASETS,
    MODELS,
    PARTITIONED,
    RUN_ROWS,
    Column,
    Manifest,
    Names,
    Part,
    folded,
    read_manifest,
)
from mlquery.sql.layouts.run_rows import read_rows
from mlquery.store import Store
from mlquery.sync import fingerprints, incremental, wide, wide_files, wide_state
from mlquery.sync.content import logged_value, summary_of
from mlquery.sync.exporting import export
from mlquery.sync.sources import experiments_of
from mlquery.sync.wide_state import read_state
from tests.support.random_data import METRIC_KEYS, METRIC_VALUES, PARAM_KEYS, TAG_KEYS, TEXTS, new_store

Content = dict[str, Any]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def exported(folder: Path) -> Content:
    """Return what the live files of an export hold: runs by id, points, datasets and models, experiments by id."""
    manifest = read_manifest(folder)
    runs: dict[str, Any] = {}
    points: dict[tuple[str, str], list[Any]] = {}
    columns = {column.name: column for column in manifest.columns}
    for part in manifest.parts:
        for row in lines(folder / part.path("runs")):
            run = runs[row["run_id"]] = {"experiment_id": part.experiment_id}
            for name, value in row.items():
                column = columns[name]
                if value is not None:
                    run[column.key if column.kind == "attribute" else (column.kind, column.key)] = shown(value)
        for run_id, (values, latest) in row_by_row(folder, part, manifest.columns).items():
            assert values == runs[run_id]
            runs[run_id] |= latest
    for path in manifest.paths("metric_history"):
        for row in lines(folder / path):
            key = row["run_id"], row["metric"]
            points.setdefault(key, []).append((shown(row["value"]), row["timestamp"], row["step"]))
    others = {
        table: [row for path in manifest.paths(table) for row in lines(folder / path)] for table in (DATASETS, MODELS)
    }
    for rows in others.values():
        rows.sort(key=json.dumps)
    return {"runs": runs, "points": points, **others, "experiments": lines(folder / manifest.experiments)}


def row_by_row(folder: Path, part: Part, columns: Sequence[Column]) -> dict[str, tuple[Content, Content]]:
    """Return by run what the file of rows has beside that of columns: the same values, and the latest points."""
    found: dict[str, tuple[Content, Content]] = {}
    places = [(folder / part.path(RUN_ROWS), number) for number in range(part.rows[RUN_ROWS])]
    keys = {column.number: (column.kind, column.key) for column in columns}
    for row in read_rows(places):
        cells = [*row.pop("metrics"), *row.pop("strings")]
        values = {name: value for name, value in row.items() if value is not None}
        values |= {keys[cell["column"]]: shown(cell["value"]) for cell in cells}
        latest: dict[Any, Any] = {
            ("latest", keys[one["column"]][1]): (one["timestamp"], one["step"]) for one in cells if "step" in one
        }
        found[row["run_id"]] = {"experiment_id": part.experiment_id, **values}, latest
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.ParquetFile(path).read().to_pylist()
    return rows


def shown(value: Any) -> Any:
    """Return a value that equals itself, and no other with another sign."""
    return repr(value) if isinstance(value, float) else value


def content_of(store: Store) -> Content:
    """Return what an export of a store has to hold, read through its calls."""
    runs: dict[str, Any] = {}
    points: dict[tuple[str, str], Any] = {}
    datasets: list[dict[str, Any]] = []
    for run_id in store.runs.ids:
        run = store.get_run(run_id)
        fields: dict[Any, Any] = {name: value for name, value in dict(run.info).items() if value is not None}
        fields |= {("metric", key): shown(logged_value(value)) for key, value in run.data.metrics.items()}
        fields |= {("param", key): value for key, value in run.data.params.items()}
        fields |= {("tag", key): value for key, value in run.data.tags.items()}
        fields |= {("latest", key): (at, step) for key, (_, at, step) in summary_of(store, run_id).latest.items()}
        runs[run_id] = fields
        for key in run.data.metrics:
            values, timestamps, steps = (column.tolist() for column in store.history(run_id, key))
            points[run_id, key] = list(zip(map(shown, map(logged_value, values)), timestamps, steps, strict=True))
        assert run.inputs is not None
        for place, found in enumerate(run.inputs.dataset_inputs):
            tags = {tag.key: tag.value for tag in found.tags}
            about = {"run_id": run_id, "place": place, **found.dataset.to_dictionary()}
            about |= {"context": tags.get("mlflow.data.context"), "tags": json.dumps([[k, v] for k, v in tags.items()])}
            datasets.append(about)
    datasets.sort(key=json.dumps)
    return {"runs": runs, "points": points, "datasets": datasets}


def require_equal(store: Store, folder: Path) -> None:
    found, expected = exported(folder), content_of(store)
    assert expected["runs"] == found["runs"]
    assert expected["points"] == found["points"]
    assert expected["datasets"] == found["datasets"]
    assert [one.experiment_id for one in experiments_of(store)] == [
        row["experiment_id"] for row in found["experiments"]
    ]


@given(seed=st.integers(0, 10**6), size=st.sampled_from([0, 1, 7, 40]), rare=st.sampled_from([0, 30]))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_export_holds_every_run_point_and_dataset(
    seed: int, size: int, rare: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store, folder = new_store(seed, size, rare), tmp_path_factory.mktemp("export")

    export(store, folder, layout="wide")

    require_equal(store, folder)


@given(seed=st.integers(0, 10**6), rounds=st.integers(1, 3), many=st.sampled_from([fingerprints.MANY, 3]))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_export_after_changes_holds_what_a_new_one_holds(
    seed: int, rounds: int, many: int, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprints, "MANY", many)  # columns with more strings are compared by their codes
    rng, store, folder = random.Random(seed), new_store(seed, 30), tmp_path_factory.mktemp("export")
    export(store, folder, layout="wide")

    for _ in range(rounds):
        for _ in range(rng.randrange(4)):
            rng.choice(CHANGES)(store, rng)
        export(store, folder, layout="wide")

    require_equal(store, folder)
    again = tmp_path_factory.mktemp("again")
    export(store, again, layout="wide")
    assert exported(again) == exported(folder)
    assert live_files(folder) == files_of(folder)


def some_run(store: Store, rng: random.Random) -> str:
    return rng.choice(store.runs.ids)


def add_runs(store: Store, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 10])):
        tags = [RunTag(rng.choice(TAG_KEYS), rng.choice(TEXTS))]
        run_id = f"n{rng.getrandbits(128):032x}"
        store.load_run(
            run_id,
            str(rng.randrange(7)),
            user_id="new",
            status="RUNNING",
            start_time=1,
            tags={t.key: t.value for t in tags},
        )
        add_points(store, rng, run_id)


def add_points(store: Store, rng: random.Random, run_id: str | None = None) -> None:
    values = np.array([rng.choice(METRIC_VALUES) for _ in range(3)])
    times = np.array([rng.randrange(5) for _ in range(3)])
    key = rng.choice([*METRIC_KEYS, "new", "NEW"])
    store.load_history(run_id or some_run(store, rng), key, values, times, times)


def change_stage(store: Store, rng: random.Random) -> None:
    run_id = some_run(store, rng)
    row = store.runs.row_of[run_id]
    stage = LifecycleStage.DELETED if store.runs.is_active(row) else LifecycleStage.ACTIVE
    store.runs.put_string("lifecycle_stage", row, stage)


def change_tag(store: Store, rng: random.Random) -> None:
    row = store.runs.row_of[some_run(store, rng)]
    if rng.random() < 0.5:
        store.runs.drop_tag(row, rng.choice(TAG_KEYS))
    else:
        store.runs.put_tag(row, rng.choice(TAG_KEYS), rng.choice(TEXTS))


def change_name(store: Store, rng: random.Random) -> None:
    store.runs.rename(store.runs.row_of[some_run(store, rng)], rng.choice(TEXTS))


def add_param(store: Store, rng: random.Random) -> None:
    store.runs.put_params(store.runs.row_of[some_run(store, rng)], [(rng.choice(PARAM_KEYS), rng.choice(TEXTS))])


def end(store: Store, rng: random.Random) -> None:
    row = store.runs.row_of[some_run(store, rng)]
    store.runs.put_string("status", row, "KILLED")
    store.runs.put_time("end_time", row, rng.randrange(10))


CHANGES: list[Callable[[Store, random.Random], None]] = [
    *(add_runs, add_points, change_stage, change_tag, change_name, add_param, end)
]


def live_files(folder: Path) -> set[str]:
    manifest = read_manifest(folder)
    paths = {path for table in PARTITIONED for path in manifest.paths(table)}
    return paths | {manifest.experiments, manifest.state}


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*-0*")}


def test_an_export_without_changes_writes_no_part(out: Path) -> None:
    store = new_store(1, 50)
    export(store, out, layout="wide")
    before = read_manifest(out)

    export(store, out, layout="wide")

    assert before.parts == read_manifest(out).parts


@pytest.mark.parametrize("many", [fingerprints.MANY, 3])
def test_a_store_that_is_loaded_anew_is_the_same(many: int, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "MANY", many)
    export(new_store(1, 50), out, layout="wide")
    before = read_manifest(out).parts

    export(new_store(1, 50), out, layout="wide")

    assert before == read_manifest(out).parts


def test_a_store_with_other_strings_in_the_same_places_is_compared_anew(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprints, "MANY", 3)
    export(new_store(1, 50), out, layout="wide")
    store = new_store(1, 50)
    table = store.runs.tags.to_write("team").table
    table[1], table[2] = table[2], table[1]

    export(store, out, layout="wide")

    require_equal(store, out)


def test_columns_that_got_many_strings_are_compared_as_before(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "MANY", 30)
    monkeypatch.setattr(incremental, "PART_ROWS", 4)
    store = new_store(1, 50)
    export(store, out, layout="wide")
    before = {part.name for part in read_manifest(out).parts}
    for number in range(60):
        store.runs.put_tag(0, "new", f"{number}")
        export(store, out, layout="wide")
        if number in (0, 59):
            require_equal(store, out)

    assert len(before - {part.name for part in read_manifest(out).parts}) <= 2


def test_an_old_point_of_a_store_that_is_loaded_anew_is_found(out: Path) -> None:
    export(new_store(1, 50), out, layout="wide")
    store = new_store(1, 50)
    histories = store.runs.metrics.to_write("acc").histories.values()
    next(history for history in histories if len(history) > 2).values[0] = 0.25

    export(store, out, layout="wide")

    require_equal(store, out)


def test_an_export_holds_what_was_there_when_it_began(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store(1, 50)
    export(store, out, layout="wide")
    rng = random.Random(1)
    add_runs(store, rng)
    expected = content_of(store)

    def read_late(*args: Any) -> Any:
        for change in CHANGES * 3:
            change(store, rng)
        return read_state(*args)

    with monkeypatch.context() as patch:
        patch.setattr(wide, "read_state", read_late)
        export(store, out, layout="wide")

    found = exported(out)
    assert expected == {table: found[table] for table in expected}
    export(store, out, layout="wide")
    require_equal(store, out)


def test_a_state_of_another_release_is_not_compared_with(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store(1, 50)
    with monkeypatch.context() as patch:
        patch.setattr(wide_state, "_SCHEME", 1)
        export(store, out, layout="wide")
    before = read_manifest(out).parts

    export(store, out, layout="wide")

    assert not {part.name for part in before} & {part.name for part in read_manifest(out).parts}
    require_equal(store, out)


def test_a_state_that_is_damaged_is_refused(out: Path) -> None:
    export(new_store(1, 5), out, layout="wide")
    path = out / read_manifest(out).state
    content = bytearray(path.read_bytes())

    for wrong in (b"", content[: len(content) // 2], content.replace(b"fingerprints.npy", b"fingerprunts.npy")):
        path.write_bytes(wrong)
        with pytest.raises(StoreError, match=r"has no state to compare with .*; instead: remove it, or export to"):
            export(new_store(1, 5), out, layout="wide")


def test_only_parts_with_changed_runs_are_written_anew(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "PART_ROWS", 4)
    store = new_store(2, 100)
    export(store, out, layout="wide")
    before = {part.name for part in read_manifest(out).parts}
    store.runs.put_tag(0, "team", "changed")

    export(store, out, layout="wide")

    after = {part.name for part in read_manifest(out).parts}
    assert len(before) > 20
    assert 1 <= len(before - after) <= 2  # the one, and one that is not full
    assert 1 <= len(after - before) <= 2
    require_equal(store, out)


def test_many_exports_of_few_runs_leave_few_parts(out: Path) -> None:
    store = Store()
    for number in range(64):
        store.create_run("0", "ada", number, [], f"run {number}")
        export(store, out, layout="wide")

    parts = read_manifest(out).parts

    assert 64 == sum(part.rows["runs"] for part in parts)
    assert len(parts) <= 7


def test_a_part_ends_before_it_has_too_many_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "PART_ROWS", 4)
    monkeypatch.setattr(incremental, "PART_POINTS", 10)
    points = np.array([5, 5, 20, 1, 1, 1])

    found = incremental.pieces(np.arange(6), points)

    assert [[0, 1], [2], [3, 4, 5]] == [piece.tolist() for piece in found]


def test_keys_that_engines_take_for_the_same_have_columns_of_their_own(out: Path) -> None:
    keys = [
        "auc",
        "AUC",
        "Auc",
        "a.b",
        "a_b",
        'say "hi"',
        "say 'hi'",
        "`",
        "ä",
        "Ä",
        "ÄA\0",
        "",
        "ı",
        "I",
        "İ",
        "x" * 250,
    ]
    store = Store()
    run_id = store.create_run("0", "ada", 0, [], "").info.run_id
    row = store.runs.row_of[run_id]
    for number, key in enumerate(keys):
        store.runs.add_point(row, key, float(number), 0, 0)
        store.runs.put_params(row, [(key, f"p{number}")])
        store.runs.put_tag(row, key, f"t{number}")

    export(store, out, layout="wide")

    require_equal(store, out)
    names = [column.name for column in read_manifest(out).columns]
    assert len(names) == len(set(map(str.lower, names))) == len(set(map(str.upper, names)))
    assert len(names) == len(set(map(folded, names)))
    assert {"metrics.auc", "metrics.AUC~2", "params.a.b", "params.a_b", "tags.say _hi_"} <= set(names)


def test_thousands_of_keys_have_columns(out: Path) -> None:
    store = Store()
    for number in range(300):
        run_id = store.create_run("0", "ada", number, [], "").info.run_id
        store.runs.put_params(store.runs.row_of[run_id], [(f"key{number}.{n}", str(n)) for n in range(10)])

    export(store, out, layout="wide")

    assert 3_000 == sum(column.kind == "param" for column in read_manifest(out).columns)
    require_equal(store, out)


def test_a_column_keeps_its_name_and_number() -> None:
    first = Names()
    for key in ("auc", "AUC"):
        first.column("metric", key)

    second = Names(first.columns)
    second.column("metric", "aUC")

    assert first.columns == second.columns[:-1]
    assert Column(len(second.columns), "metrics.aUC~3", "metric", "aUC") == second.columns[-1]


def test_a_part_with_nan_has_no_statistics_of_the_metric(out: Path) -> None:
    store = Store()
    for value in (1.0, math.nan):
        run_id = store.create_run("0", "ada", 0, [], "").info.run_id
        store.runs.add_points(store.runs.row_of[run_id], [("with nan", value, 0, 0), ("without", 1.0, 0, 0)])

    export(store, out, layout="wide")

    group = parquet.ParquetFile(out / read_manifest(out).paths("runs")[0]).metadata.row_group(0)
    has = {group.column(n).path_in_schema: group.column(n).is_stats_set for n in range(group.num_columns)}
    assert not has["metrics.with nan"]
    assert has["metrics.without"]


def test_a_key_that_no_run_has_any_more_has_no_column(out: Path) -> None:
    store = Store()
    run_id = store.create_run("0", "ada", 0, [RunTag("team", "a")], "").info.run_id
    export(store, out, layout="wide")
    store.delete_tag(run_id, "team")

    export(store, out, layout="wide")

    assert "tags.team" not in [column.name for column in read_manifest(out).columns]
    require_equal(store, out)


class StoppedError(Exception):
    """The process ended here."""


@pytest.mark.parametrize("writes", range(0, 12))
def test_an_export_that_is_cut_off_leaves_the_one_before(
    writes: int, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store(3, 30)
    export(store, out, layout="wide")
    before = exported(out)
    store.runs.put_tag(0, "team", "changed")
    add_runs(store, random.Random(1))
    left = iter(range(writes))

    def sync(path: Path) -> None:
        if next(left, None) is None:
            raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(wide_files, "sync_file", sync)
        try:
            export(store, out, layout="wide")
        except StoppedError:
            assert before == exported(out)

    export(store, out, layout="wide")
    require_equal(store, out)
    assert live_files(out) == files_of(out)


def test_a_manifest_appears_when_all_that_it_names_is_on_the_disk(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[Path] = set()
    missing: list[set[Path]] = []

    def sync(path: Path) -> None:
        synced.add(path)
        if path.name == ".manifest.json":
            found = json.loads(path.read_bytes())
            folder = path.with_name("read")
            folder.mkdir(exist_ok=True)
            (folder / "manifest.json").write_text(json.dumps(found))
            named = {out / name for name in live_files(folder)}
            folders = {one for name in named for one in name.parents if one.is_relative_to(out)}
            missing.append((named | folders) - synced)

    monkeypatch.setattr(wide_files, "sync_file", sync)
    monkeypatch.setattr(wide_files, "sync_folder", synced.add)
    export(new_store(3, 30), out, layout="wide")

    assert [set()] == missing
    assert out in synced


def test_an_export_that_ends_before_its_cleaning_is_complete(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store(4, 30)
    export(store, out, layout="wide")
    store.runs.put_tag(0, "team", "changed")

    def stop(self: Any, live: Manifest) -> None:
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(wide_files.Writer, "_sweep", stop)
        with pytest.raises(StoppedError):
            export(store, out, layout="wide")

    require_equal(store, out)


def test_two_exports_to_one_folder_at_once_are_refused(out: Path) -> None:
    out.mkdir()
    lock = FolderLock(out, alone=True, name=".export-lock")

    with pytest.raises(StoreError, match="is being exported to by another process; try again"):
        export(Store(), out, layout="wide")
    lock.release()


def test_an_export_of_other_runs_into_the_same_folder_is_refused(out: Path) -> None:
    store = new_store(5, 10)
    export(store, out, layout="wide", experiments=["alpha"])

    with pytest.raises(StoreError, match="has an export of the experiments 'alpha', not of all experiments; instead:"):
        export(store, out, layout="wide")
    with pytest.raises(StoreError, match=r"not of the experiments 'alpha' with the filter 'metrics\.acc > 0'"):
        export(store, out, layout="wide", experiments=["alpha"], filter_string="metrics.acc > 0")


def test_runs_that_a_filter_no_longer_finds_leave_the_export(out: Path) -> None:
    store = new_store(6, 40)
    for row in range(store.runs.size):
        store.runs.put_tag(row, "team", "a" if row % 2 else "b")
    export(store, out, layout="wide", filter_string="tags.team = 'a'")
    store.runs.put_tag(1, "team", "b")
    store.runs.put_tag(2, "team", "a")

    export(store, out, layout="wide", filter_string="tags.team = 'a'")

    expected = {store.runs.ids[row] for row in range(40) if (row % 2 and row != 1) or row == 2}
    assert expected == exported(out)["runs"].keys()


def test_what_cannot_be_exported_is_said(out: Path) -> None:
    store = Store()
    with pytest.raises(StoreError, match="unknown layout 'narrow'; use one of tables, wide"):
        export(store, out, layout="narrow")
    with pytest.raises(StoreError, match="the layout wide is Parquet, not csv"):
        export(store, out, layout="wide", format="csv")
    run_id = store.create_run("0", "ada", 0, [], "").info.run_id
    store.runs.put_tag(store.runs.row_of[run_id], "half", "\ud800")
    with pytest.raises(StoreError, match=r"tags.half has a string with a lone surrogate"):
        export(store, out, layout="wide")


def test_a_manifest_that_is_not_ours_newer_or_damaged_is_refused(out: Path) -> None:
    export(Store(), out, layout="wide")
    path = out / "manifest.json"
    text = path.read_text()

    for wrong, message in (
        (text.replace('"version": 2', '"version": 3'), "is of version 3, and this release reads up to 2"),
        (text.replace('"version": 2', '"version": 1'), "is of an earlier form; instead: export to another folder"),
        ("{", "cannot be read"),
        ("[]", "that is not mlquery's"),
        (text.replace('"columns"', '"cols"'), "lacks a part: 'columns'"),
    ):
        path.write_text(wrong)
        with pytest.raises(StoreError, match=message):
            export(Store(), out, layout="wide")
