"""A store against a model of it: plain dictionaries, as slow and as obvious as possible."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mlquery.entities import Metric, Param, RunTag
from mlquery.store import Store

pytestmark = pytest.mark.slow

KEYS = st.sampled_from(["a", "b", "c"])
TEXTS = st.sampled_from(["", "x", "X", "ä", "%"])
VALUES = st.sampled_from([0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 0.5])
SMALL = st.integers(0, 2)
PICK = st.integers(0, 10**6)

Point = tuple[float, int, int]


class ModelRun:
    def __init__(self, run_id: str, start_time: int) -> None:
        self.run_id = run_id
        self.start_time = start_time
        self.end_time: int | None = None
        self.status = "RUNNING"
        self.name = "named"
        self.stage = "active"
        self.params: dict[str, str] = {}
        self.tags = {"mlflow.runName": "named"}
        self.points: dict[str, list[Point]] = {}

    def log(self, key: str, point: Point) -> None:
        value, timestamp, step = point
        kept = math.copysign(1.7976931348623157e308, value) if math.isinf(value) else value
        points = self.points.setdefault(key, [])
        if all(identity((kept, timestamp, step)) != identity(old) for old in points):
            points.append((kept, timestamp, step))

    def latest(self, key: str) -> float:
        found = self.points[key][0]
        for point in self.points[key][1:]:
            if newness(point) > newness(found):
                found = point
        return found[0]

    def copy(self) -> ModelRun:
        new = ModelRun(self.run_id, self.start_time)
        new.__dict__.update(self.__dict__)
        new.params, new.tags = dict(self.params), dict(self.tags)
        new.points = {key: list(points) for key, points in self.points.items()}
        return new


def identity(point: Point) -> tuple[int, int, float, bool]:
    value, timestamp, step = point
    return timestamp, step, 0.0 if math.isnan(value) else value, math.isnan(value)


def newness(point: Point) -> tuple[int, int, float]:
    value, timestamp, step = point
    return step, timestamp, 0.0 if math.isnan(value) else value


class StoreMachine(RuleBasedStateMachine):
    """Writes to several stores, clones of each other, and to their models."""

    @initialize()
    def open(self) -> None:
        self.worlds: list[tuple[Store, list[ModelRun]]] = [(Store(seed=1), [])]

    def world(self, pick: int) -> tuple[Store, list[ModelRun]]:
        return self.worlds[pick % len(self.worlds)]

    def has_runs(self) -> bool:
        return all(runs for _, runs in self.worlds)

    @rule(pick=PICK, start_time=SMALL, several=st.sampled_from([1, 1, 1, 20]))
    def create_runs(self, pick: int, start_time: int, several: int) -> None:
        store, runs = self.world(pick)
        for _ in range(several):
            run = store.create_run("0", "ann", start_time, [], "named")
            runs.append(ModelRun(run.info.run_id, start_time))

    @precondition(has_runs)
    @rule(pick=PICK, key=KEYS, point=st.tuples(VALUES, SMALL, SMALL))
    def log_metric(self, pick: int, key: str, point: Point) -> None:
        store, run = self.active_run(pick)
        store.log_metric(run.run_id, Metric(key, *point))
        run.log(key, point)

    @precondition(has_runs)
    @rule(
        pick=PICK, points=st.lists(st.tuples(KEYS, VALUES, SMALL, SMALL), max_size=8), tags=st.dictionaries(KEYS, TEXTS)
    )
    def log_batch(self, pick: int, points: list[tuple[str, float, int, int]], tags: dict[str, str]) -> None:
        store, run = self.active_run(pick)
        store.log_batch(run.run_id, [Metric(*point) for point in points], [], [RunTag(*tag) for tag in tags.items()])
        for key, *point in points:
            run.log(key, tuple(point))  # type: ignore[arg-type]
        run.tags |= tags

    @precondition(has_runs)
    @rule(pick=PICK, key=KEYS, points=st.lists(st.tuples(VALUES.filter(math.isfinite), SMALL, SMALL), max_size=8))
    def load_history(self, pick: int, key: str, points: list[Point]) -> None:
        store, run = self.active_run(pick)
        values, timestamps, steps = ([point[i] for point in points] for i in range(3))
        store.load_history(run.run_id, key, values, timestamps, steps)
        for point in points:
            run.log(key, point)

    @precondition(has_runs)
    @rule(pick=PICK, key=KEYS, value=TEXTS)
    def log_param(self, pick: int, key: str, value: str) -> None:
        store, run = self.active_run(pick)
        if run.params.get(key, value) == value:
            store.log_param(run.run_id, Param(key, value))
            run.params[key] = value

    @precondition(has_runs)
    @rule(pick=PICK, key=KEYS, value=st.one_of(TEXTS, st.integers().map(str)))
    def set_tag(self, pick: int, key: str, value: str) -> None:
        store, run = self.active_run(pick)
        store.set_tag(run.run_id, RunTag(key, value))
        run.tags[key] = value

    @precondition(has_runs)
    @rule(pick=PICK, key=KEYS)
    def delete_tag(self, pick: int, key: str) -> None:
        store, run = self.active_run(pick)
        if key in run.tags:
            store.delete_tag(run.run_id, key)
            del run.tags[key]

    @precondition(has_runs)
    @rule(pick=PICK, status=st.integers(1, 5), end_time=st.one_of(st.none(), SMALL), name=TEXTS)
    def update(self, pick: int, status: int, end_time: int | None, name: str) -> None:
        store, run = self.active_run(pick)
        run.status = store.update_run_info(run.run_id, status, end_time, name).status
        run.end_time = run.end_time if end_time is None else end_time
        if name:
            run.name = run.tags["mlflow.runName"] = name

    @precondition(has_runs)
    @rule(pick=PICK)
    def delete_run(self, pick: int) -> None:
        store, run = self.active_run(pick)
        store.delete_run(run.run_id)
        run.stage = "deleted"

    @precondition(lambda self: len(self.worlds) < 3)
    @rule(pick=PICK)
    def clone(self, pick: int) -> None:
        store, runs = self.world(pick)
        self.worlds.append((store.clone(), [run.copy() for run in runs]))

    def active_run(self, pick: int) -> tuple[Store, ModelRun]:
        store, runs = self.world(pick)
        run = runs[(pick // 7) % len(runs)]
        if run.stage == "deleted":
            store.restore_run(run.run_id)
            run.stage = "active"
        return store, run

    @invariant()
    def entities_are_those_of_the_model(self) -> None:
        for store, runs in self.worlds:
            found = store.runs.runs_at(range(len(runs)))

            assert [without_nan(modelled(run)) for run in runs] == [without_nan(seen(run)) for run in found]
            assert [without_nan(seen(run)) for run in found] == [
                without_nan(seen(store.runs.run_at(row))) for row in range(len(runs))
            ]

    @invariant()
    def columns_are_those_of_the_model(self) -> None:
        for store, runs in self.worlds:
            assert len(runs) == store.runs.size
            for name in ("params", "tags"):
                for key in "abc":
                    expected = [getattr(run, name).get(key) for run in runs]
                    assert expected == texts(getattr(store.runs, name), key, len(runs))
            assert [run.status for run in runs] == texts(store.runs.strings, "status", len(runs))
            assert [run.name for run in runs] == texts(store.runs.strings, "run_name", len(runs))
            assert [run.stage for run in runs] == texts(store.runs.strings, "lifecycle_stage", len(runs))
            assert [run.run_id for run in runs] == texts(store.runs.strings, "run_id", len(runs))
            ends = store.runs.times["end_time"].values.tolist()
            assert [-(2**63) if run.end_time is None else run.end_time for run in runs] == ends
            for key in "abc":
                self.check_metric(store, runs, key)

    def check_metric(self, store: Store, runs: list[ModelRun], key: str) -> None:
        expected = [run.latest(key) if key in run.points else None for run in runs]
        column = store.runs.metrics.get(key)
        if column is None:
            assert [None] * len(runs) == expected
            return
        states = [0 if value is None else 2 if math.isnan(value) else 1 for value in expected]
        assert states == column.states.tolist()
        np.testing.assert_array_equal([math.nan if v is None else v for v in expected], column.values)
        for run in runs:
            points = sorted(run.points.get(key, []), key=identity)
            for part, array in enumerate(store.history(run.run_id, key)):
                np.testing.assert_array_equal([point[part] for point in points], array)

    @invariant()
    def the_default_order_is_newest_first(self) -> None:
        for store, runs in self.worlds:
            expected = sorted(range(len(runs)), key=lambda row: (-runs[row].start_time, runs[row].run_id))

            assert expected == store.runs.default_order().tolist()


def modelled(run: ModelRun) -> tuple[Any, ...]:
    metrics = {key: run.latest(key) for key in run.points if run.points[key]}
    return run.run_id, run.name, run.status, run.stage, run.start_time, run.end_time, metrics, run.params, run.tags


def seen(run: Any) -> tuple[Any, ...]:
    info, data = run.info, run.data
    times = (info.start_time, info.end_time)
    return (info.run_id, info.run_name, info.status, info.lifecycle_stage, *times, data.metrics, data.params, data.tags)


def without_nan(parts: tuple[Any, ...]) -> str:
    return repr([sorted(part.items()) if isinstance(part, dict) else part for part in parts])


def texts(columns: Any, key: str, size: int) -> list[str | None]:
    column = columns.get(key)
    if column is None:
        return [None] * size
    found = [None if code < 0 else column.table[code] for code in column.codes.tolist()]
    assert all(column.table[column.code(text)] == text for text in found if text is not None)
    return found


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
