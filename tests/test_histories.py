"""Histories in bulk: the same points as one at a time, ranges of steps, and few points that draw the same line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlquery.entities import Metric
from mlquery.errors import StoreError
from mlquery.query.dataframe import history_frame
from mlquery.query.histories import downsample, histories, points
from mlquery.store import Store


def _store() -> tuple[Store, list[str]]:
    store = Store(seed=1)
    runs = [store.create_run("0", "ann", n, [], f"run-{n}").info.run_id for n in range(3)]
    for number, run_id in enumerate(runs):
        for step in range(10 * number):
            store.log_metric(run_id, Metric("loss", 1 / (step + 1), 1000 + step, step))
    store.log_metric(runs[1], Metric("acc", float("nan"), 5, 0))
    return store, runs


def test_points_are_made_when_they_are_asked_for() -> None:
    """The same points as the history, one by one, from the end, in slices."""
    store, runs = _store()
    expected = list(store.get_metric_history(runs[2], "loss"))

    found = points(store, runs[2], "loss")

    assert expected == list(found)
    assert (len(expected), expected[-1], expected[3:7]) == (len(found), found[-1], list(found[3:7]))


def test_points_are_a_snapshot() -> None:
    """What is logged later does not show."""
    store, runs = _store()
    found = points(store, runs[1], "loss")

    store.log_metric(runs[1], Metric("loss", 7.0, 9999, 99))

    assert (10, 11) == (len(found), len(points(store, runs[1], "loss")))


def test_many_histories_are_read_at_once() -> None:
    """Runs and keys without points are simply not there."""
    store, runs = _store()

    found = histories(store, [*runs, "nobody"], ["loss", "acc", "nowhere"])

    assert [(1, 0)] * 10 + [(1, 1)] + [(2, 0)] * 20 == list(zip(found.runs.tolist(), found.keys.tolist(), strict=True))
    assert [m.value for m in store.get_metric_history(runs[2], "loss")] == found.values[11:].tolist()


def test_a_range_of_steps_includes_both_ends() -> None:
    """And either end may be open."""
    store, runs = _store()

    assert [3, 4, 5] == histories(store, [runs[1]], ["loss"], steps=(3, 5)).steps.tolist()
    assert [8, 9] == histories(store, [runs[1]], ["loss"], steps=(8, None)).steps.tolist()


def test_a_frame_has_one_row_for_each_point() -> None:
    """Runs that are asked for twice appear once."""
    store, runs = _store()

    frame = history_frame(store, [runs[1], runs[2], runs[1]], ["loss"])

    assert {runs[1]: 10, runs[2]: 20} == frame["run_id"].value_counts(sort=False).to_dict()
    assert ["run_id", "key", "value", "timestamp", "step"] == list(frame.columns)
    assert 0 == len(history_frame(store, [], []))


@given(
    st.lists(st.one_of(st.floats(-5, 5), st.just(float("nan")), st.integers(-2, 2).map(float)), max_size=200),
    st.integers(2, 40),
)
def test_few_points_keep_the_ends_and_the_extremes(values: list[float], max_points: int) -> None:
    """Never more than asked for, rising, with the first, the last, and (given room) the lowest and the highest."""
    places = downsample(values, max_points)

    assert len(places) <= max(max_points, 0)
    assert (np.diff(places) > 0).all()
    if values:
        assert [0, len(values) - 1] == [places[0], places[-1]]
    known = [v for v in values if v == v]
    if known and max_points >= 4:
        assert (min(known), max(known)) == (np.nanmin(np.array(values)[places]), np.nanmax(np.array(values)[places]))


def test_bare_strings_and_impossible_sizes_are_refused() -> None:
    """With what to write instead."""
    store, runs = _store()

    with pytest.raises(StoreError, match="run_ids must be a list"):
        histories(store, runs[0], ["loss"])
    with pytest.raises(StoreError, match="at least 2"):
        downsample([1.0, 2.0], 1)
