"""Fingerprints of runs: they differ exactly where what an export holds of a run differs."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlquery.entities import Dataset, DatasetInput, InputTag, RunTag
from mlquery.store import Store
from mlquery.store.changes import LogModelInputs, LogOutputs
from mlquery.store.columns import MetricCells
from mlquery.sync import fingerprints as module
from mlquery.sync import mixing
from mlquery.sync.fingerprints import fingerprints
from mlquery.sync.mixing import mixed
from tests.support.random_data import METRIC_KEYS, METRIC_VALUES, new_store

ROW = 3


def of(store: Store, coded: tuple[str, ...] = ()) -> list[int]:
    """Return the fingerprint of each run."""
    found: list[int] = fingerprints(store.runs, store.models, coded).tolist()
    return found


def a_store() -> Store:
    """Return a store whose runs have something of everything."""
    store = Store(seed=1, clock=lambda: 5)
    for number in range(6):
        run_id = store.create_run("0", "ada", number, [RunTag("team", "a"), RunTag("stage", "b")], "same").info.run_id
        store.runs.put_params(number, [("lr", "0.1"), ("opt", "adam")])
        store.runs.add_points(number, [("auc", 0.5, 1, 1), *(("loss", float(step), step, step) for step in range(4))])
        store.log_inputs(run_id, [dataset("train", context="training"), dataset("test", context="eval", split="b")])
        store.models.outputs[run_id] = {"m-1": 3}
        store.models.inputs[run_id] = {"m-2": None}
        store.runs.move_artifacts(number, f"file:///{number}")
    return store


def dataset(name: str, **tags: str) -> DatasetInput:
    about = Dataset(name, "digest", "local", "{}", "a schema", None)
    return DatasetInput(about, [InputTag(key, value) for key, value in tags.items()])


def cells_of(store: Store, key: str) -> MetricCells:
    return store.runs.metrics.to_write(key)


def put_point(store: Store, column: str, place: int, value: Any) -> None:
    getattr(cells_of(store, "loss").histories[ROW], column)[place] = value


def put_latest(store: Store, number: int, value: Any) -> None:
    cells = cells_of(store, "auc")
    cells.arrays[number][ROW if cells.rows is None else cells.slot(ROW)] = value


def put_inputs(store: Store, change: Callable[[list[DatasetInput]], list[DatasetInput]]) -> None:
    store.runs.inputs[ROW] = tuple(change(list(store.runs.inputs[ROW])))


def swap_params(store: Store) -> None:
    store.runs.put_params(ROW, [("lr", "adam"), ("opt", "0.1")])


def with_dataset(found: list[DatasetInput], **fields: Any) -> list[DatasetInput]:
    changed = attrs.evolve(found[0].dataset, **fields)
    return [DatasetInput(changed, found[0].tags), *found[1:]]


def with_tags(found: list[DatasetInput], *tags: tuple[str, str]) -> list[DatasetInput]:
    return [found[0], DatasetInput(found[1].dataset, [InputTag(*tag) for tag in tags])]


CHANGES: dict[str, Callable[[Store], object]] = {
    "status": lambda store: store.runs.put_string("status", ROW, "FAILED"),
    "end": lambda store: store.runs.put_time("end_time", ROW, 9),
    "start": lambda store: store.runs.put_time("start_time", ROW, 9),
    "stage": lambda store: store.runs.put_string("lifecycle_stage", ROW, "deleted"),
    "name": lambda store: store.runs.put_string("run_name", ROW, "other"),
    "user": lambda store: store.runs.put_string("user_id", ROW, "bob"),
    "experiment": lambda store: store.runs.put_string("experiment_id", ROW, "1"),
    "artifacts": lambda store: store.runs.move_artifacts(ROW, "file:///elsewhere"),
    "no place of artifacts": lambda store: store.runs.move_artifacts(ROW, None),
    "param": lambda store: store.runs.put_params(ROW, [("lr", "0.2")]),
    "new param": lambda store: store.runs.put_params(ROW, [("depth", "1")]),
    "two params swapped": swap_params,
    "tag": lambda store: store.runs.put_tag(ROW, "team", "b"),
    "no tag": lambda store: store.runs.drop_tag(ROW, "team"),
    "empty tag": lambda store: store.runs.put_tag(ROW, "new", ""),
    "new metric": lambda store: store.runs.add_point(ROW, "f1", 0.0, 0, 0),
    "new point before the latest": lambda store: store.runs.add_point(ROW, "loss", 9.0, 0, 0),
    "latest value": lambda store: put_latest(store, 1, -0.5),
    "latest time": lambda store: put_latest(store, 2, 2),
    "latest step": lambda store: put_latest(store, 3, 2),
    "value of an old point": lambda store: put_point(store, "values", 1, -1.0),
    "sign of an old zero": lambda store: put_point(store, "values", 0, -0.0),
    "time of an old point": lambda store: put_point(store, "timestamps", 1, 2),
    "step of an old point": lambda store: put_point(store, "steps", 1, 7),
    "a dataset more": lambda store: put_inputs(store, lambda found: [*found, dataset("more")]),
    "a dataset less": lambda store: put_inputs(store, lambda found: found[:1]),
    "order of datasets": lambda store: put_inputs(store, lambda found: found[::-1]),
    "schema": lambda store: put_inputs(store, lambda found: with_dataset(found, schema="other")),
    "profile": lambda store: put_inputs(store, lambda found: with_dataset(found, profile="")),
    "tag of a dataset": lambda store: put_inputs(store, lambda found: with_tags(found, ("context", "b"))),
    "order of tags": lambda store: put_inputs(
        store, lambda found: with_tags(found, *((tag.key, tag.value) for tag in found[1].tags[::-1]))
    ),
    "model written": lambda store: store.write(LogOutputs(store.runs.ids[ROW], {"m-9": 0})),
    "step of a model": lambda store: store.write(LogOutputs(store.runs.ids[ROW], {"m-1": 4})),
    "model read": lambda store: store.write(LogModelInputs(store.runs.ids[ROW], ["m-9"])),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_a_run_changes_its_fingerprint_and_no_other(name: str) -> None:
    before, store = of(a_store()), a_store()

    CHANGES[name](store)

    assert [ROW] == [row for row, (old, new) in enumerate(zip(before, of(store), strict=True)) if old != new]


@given(seed=st.integers(0, 10**6), rounds=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_points_that_are_added_between_two_looks_are_found(seed: int, rounds: int) -> None:
    rng, store = random.Random(seed), new_store(seed, 10)
    copies = [store]
    for _ in range(rounds):
        of(store)
        store = store.clone()
        copies.append(store)
        for one in copies * 3:
            key, value, time = rng.choice(METRIC_KEYS), rng.choice(METRIC_VALUES), rng.randrange(4)
            if rng.random() < 0.5:
                one.runs.add_point(rng.randrange(10), key, value, time, rng.randrange(4))
            else:
                times = np.array([time, time + 1])
                one.runs.load_points(rng.randrange(10), key, np.array([value, 1.0]), times, times)
        if rng.random() < 0.5:
            of(rng.choice(copies))

    for one in copies:
        found = of(one)
        for cells in one.runs.metrics.cells.values():
            cells.hashed = None
        assert of(one) == found


def test_runs_with_the_same_content_have_the_same_fingerprint() -> None:
    store = a_store()
    for row in range(store.runs.size):
        store.runs.put_time("start_time", row, 1)
        store.runs.move_artifacts(row, "file:///same")

    assert 1 == len(set(of(store)))


def test_a_place_of_artifacts_that_moves_changes_all_runs_below_it() -> None:
    store = a_store()
    before = of(store)

    store.runs.roots["0"] = "file:///moved"

    assert not set(before) & set(of(store))


@given(seed=st.integers(0, 10**6), size=st.sampled_from([0, 1, 7, 40]), rare=st.sampled_from([0, 30]))
@settings(max_examples=20, deadline=None)
def test_fingerprints_do_not_depend_on_how_rows_are_kept_or_taken(seed: int, size: int, rare: int) -> None:
    store, same = new_store(seed, size, rare), new_store(seed, size, rare)
    expected = of(store)
    for columns in (same.runs.params, same.runs.tags, same.runs.metrics):
        for key in reversed(list(columns)):
            cells = columns.to_write(key)
            columns.cells[key] = columns.cells.pop(key)
            if cells.rows is not None:
                cells._spread(size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mixing, "_BLOCK", 3)
        patch.setattr(module, "_AT_ONCE", 3)
        patch.setattr(module, "_POINTS_AT_ONCE", 3)
        found = of(same)

    assert expected == found


def test_codes_stand_for_strings_where_asked() -> None:
    store = a_store()
    renamed = a_store()
    renamed.runs.params.to_write("lr").table[0] = "other"

    assert of(store, ("param lr",)) == of(renamed, ("param lr",))
    assert not set(of(store)) & set(of(renamed))


@given(st.lists(st.tuples(*[st.integers(-(2**63), 2**63 - 1)] * 3), min_size=1), st.integers(0, 2), st.integers(1, 63))
def test_one_number_that_changes_changes_the_hash(rows: list[Any], column: int, bit: int) -> None:
    columns = [np.array(one, np.int64) for one in zip(*rows, strict=True)]
    changed = [one.copy() for one in columns]
    changed[column] ^= np.int64(1 << bit) if bit < 63 else np.int64(-(2**63))

    before = mixed("name", *columns)

    assert not (before == mixed("name", *changed)).any()
    assert not (before == mixed("other", *columns)).any()


@pytest.mark.parametrize("name", ["artifacts", "a dataset more", "tag of a dataset", "step of a model", "model read"])
def test_what_was_hashed_before_does_not_hide_a_change(name: str) -> None:
    store, same = a_store(), a_store()
    of(store)
    for one in (store, same):
        CHANGES[name](one)

    assert of(same) == of(store)


def test_models_of_runs_that_are_gone_change_nothing() -> None:
    store = a_store()
    before = of(store)
    store.models.outputs["gone"] = {"m-1": 0}
    store.models.inputs["gone"] = {"m-1": None}

    assert before == of(store)
