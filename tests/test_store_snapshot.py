"""Snapshots of runs: what they hold stays, whatever is written to the store meanwhile."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from mlquery.store import Store
from mlquery.store.changes import LogModelInputs, LogOutputs
from mlquery.store.run_table import RunTable
from mlquery.store.snapshot import RunSnapshot
from tests.support.random_data import METRIC_KEYS, PARAM_KEYS, TAG_KEYS, TEXTS, new_store


def shown(runs: RunTable) -> list[Any]:
    """Return all that a snapshot holds, key by key."""
    found: list[Any] = [runs.size, runs.ids[: runs.size], dict(runs.inputs), dict(runs.roots)]
    found.append(runs.artifact_uris(np.arange(runs.size)))
    for columns in (runs.strings, runs.params, runs.tags):
        names = [name for name in columns.cells if name != "artifact_uri"]
        found.append({name: columns.cells[name].at(range(runs.size)) for name in names})
    found.append({name: cells.at(range(runs.size)) for name, cells in runs.times.cells.items()})
    for key, cells in runs.metrics.cells.items():
        found.append((key, [[repr(list(column)) for column in cells.points(row)] for row in range(runs.size)]))
    return found


def write(store: Store, rng: random.Random) -> None:
    """Write something to each kind of column of some rows, old and new."""
    store.load_run(f"{rng.getrandbits(128):032x}", "0", user_id="eve", run_name="new", tags={"team": "new"})
    for row in (rng.randrange(store.runs.size), store.runs.size - 1):
        store.runs.put_string("status", row, "KILLED")
        store.runs.put_time("end_time", row, 3)
        store.runs.put_params(row, [(rng.choice([*PARAM_KEYS, "new"]), rng.choice(TEXTS))])
        store.runs.put_tag(row, rng.choice(TAG_KEYS), rng.choice(TEXTS))
        store.runs.drop_tag(row, rng.choice(TAG_KEYS))
        store.runs.add_point(row, rng.choice([*METRIC_KEYS, "new"]), rng.random(), 7, 7)
        store.runs.move_artifacts(row, "file:///moved")
        store.runs.inputs.pop(row, None)


@pytest.mark.parametrize("seed", range(5))
def test_a_snapshot_stays_as_it_was_while_the_store_is_written_to(seed: int) -> None:
    rng, store = random.Random(seed + 100), new_store(seed, 30, rare_keys=20)
    snapshot = RunSnapshot(store.runs)
    expected = shown(snapshot)
    assert expected == shown(store.runs)

    for _ in range(20):
        write(store, rng)

    assert expected == shown(snapshot)
    assert 50 == store.runs.size


def test_a_store_goes_on_as_one_of_which_nobody_took_a_snapshot() -> None:
    store, same = new_store(1, 30), new_store(1, 30)

    for round in range(5):
        RunSnapshot(store.runs)
        for one in (store, same):
            write(one, random.Random(round + 100))

    assert shown(same.runs) == shown(store.runs)
    assert store.runs.ids == store.runs.strings.cells["run_id"].at(range(store.runs.size))
    assert store.runs.strings.cells["run_id"].table is store.runs.ids
    assert repr([same.get_run(run_id) for run_id in same.runs.ids]) == repr(
        [store.get_run(run_id) for run_id in store.runs.ids]
    )


def test_a_copy_that_was_made_before_a_snapshot_is_written_to_on_its_own() -> None:
    store = new_store(2, 30)
    copy = store.clone()
    snapshot = RunSnapshot(store.runs)
    expected = shown(snapshot)

    write(store, random.Random(101))
    write(copy, random.Random(102))

    assert expected == shown(snapshot)
    assert copy.runs.ids[:30] == store.runs.ids[:30]
    assert copy.runs.ids == copy.runs.strings.cells["run_id"].at(range(31))


def test_models_that_a_copy_of_a_store_wrote_are_not_in_the_store() -> None:
    store = new_store(3, 5)
    run_id = store.runs.ids[0]
    store.write(LogOutputs(run_id, {"m-1": 1}))
    store.write(LogModelInputs(run_id, ["m-2"]))
    copy = store.clone()

    copy.write(LogOutputs(run_id, {"m-3": 3}))
    store.write(LogModelInputs(run_id, ["m-4"]))

    assert {run_id: {"m-1": 1}} == store.models.outputs
    assert {run_id: {"m-1": 1, "m-3": 3}} == copy.models.outputs
    assert {run_id: {"m-2": None, "m-4": None}} == store.models.inputs
    assert {run_id: {"m-2": None}} == copy.models.inputs
