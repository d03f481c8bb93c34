"""What a store does that MLflow's store does not: clones, threads, seeds, loading, other limits, artifacts."""

from __future__ import annotations

import logging
import math
import random
import re
import threading
import uuid
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mlflow.utils.uri import append_to_uri_path

from mlquery import entities
from mlquery.entities import Dataset, DatasetInput, ExperimentTag, FileInfo, InputTag, Metric, Param, RunData, RunTag
from mlquery.errors import (
    BAD_REQUEST,
    INVALID_PARAMETER_VALUE,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
    StoreError,
)
from mlquery.language.matrix import MATRIX
from mlquery.store import Store
from mlquery.store.history import History, history_of, latest_of
from mlquery.store.limits import Limits
from mlquery.store.locations import experiment_location, run_location

UNTYPED: Any = entities  # as code without types uses them: whatever is given
SERVICE = Limits(params_per_run=200, values_per_metric_batch=250)


def a_run(store: Store, **about: Any) -> str:
    return store.create_run("0", "ann", about.get("start_time", 5), [], "named").info.run_id


def refusal(call: Any) -> StoreError:
    with pytest.raises(StoreError) as error:
        call()
    return error.value


# --- limits of a service on the tags at the start of a run and on its name


AZURE = Limits(**MATRIX.dialect("azure").enforced_limits)


def start(store: Store, limits: Limits, tags: dict[str, str], name: str = "named") -> RunData:
    return store.create_run("0", "ann", 5, [RunTag(*tag) for tag in tags.items()], name, limits=limits).data


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({f"t{i}": "x" for i in range(60)}, "Tags, Limit=50, Size=61"),  # the name is a tag too
        ({f"t{i}": "x" for i in range(50)}, "Tags, Limit=50, Size=51"),
        ({"t": "x" * 1_500}, "Tags/Value, Limit=1000, Size=1500"),
        ({"t" * 101: "x"}, "Tags/Key, Limit=100, Size=101"),
    ],
)
def test_a_run_cannot_start_with_tags_beyond_the_limits_of_a_service(tags: dict[str, str], what: str) -> None:
    store = Store()

    error = refusal(lambda: start(store, AZURE, tags))

    assert INVALID_PARAMETER_VALUE == error.error_code
    assert f"A field of the entity is over the size limit. FieldName={what}." in str(error)
    assert 0 == store.runs.size


def test_a_run_may_start_with_the_most_tags_that_a_service_takes() -> None:
    tags = {f"t{i}": "x" * 1_000 for i in range(49)}

    assert {**tags, "mlflow.runName": "named"} == start(Store(), AZURE, tags).tags


def test_tags_at_the_start_of_a_run_are_neither_checked_nor_cut_by_mlflow() -> None:
    tags = {f"t{i}": "x" for i in range(60)} | {"long": "x" * 10_000, "k" * 300: "x"}

    assert {**tags, "mlflow.runName": "named"} == start(Store(), Limits(), tags).tags


def test_a_new_name_is_a_tag_within_the_limits_of_a_service() -> None:
    store = Store()
    run_id = a_run(store)

    error = refusal(lambda: store.update_run_info(run_id, 3, 9, "n" * 1_001, limits=AZURE))

    assert INVALID_PARAMETER_VALUE == error.error_code
    assert "FieldName=Tags/Value, Limit=1000, Size=1001." in str(error)
    info = store.get_run(run_id).info
    assert ("named", "RUNNING", None) == (info.run_name, info.status, info.end_time)
    assert "n" * 1_000 == store.update_run_info(run_id, None, None, "n" * 1_000, limits=AZURE).run_name
    assert "n" * 9_000 == store.update_run_info(run_id, None, None, "n" * 9_000).run_name


def test_a_new_name_counts_as_one_more_tag_only_for_a_run_without_a_name_tag() -> None:
    store = Store()
    run_id = a_run(store)
    store.log_batch(run_id, [], [], [RunTag(f"t{i}", "x") for i in range(49)], limits=AZURE)

    assert "other" == store.update_run_info(run_id, None, None, "other", limits=AZURE).run_name
    store.delete_tag(run_id, "mlflow.runName")
    store.set_tag(run_id, RunTag("t49", "x"), limits=AZURE)
    error = refusal(lambda: store.update_run_info(run_id, None, None, "third", limits=AZURE))
    assert "FieldName=Tags, Limit=50, Size=51." in str(error)


# --- clones


def filled_store() -> tuple[Store, str]:
    store = Store(seed=3)
    run_id = a_run(store)
    metrics = [Metric("m", float(i), i, i) for i in range(3)]
    store.log_batch(run_id, metrics, [Param("p", "x")], [RunTag("t", "y")])
    store.log_inputs(run_id, [DatasetInput(Dataset("d", "1", "local", "f"), [])])
    store.artifacts.put(run_id, "a.txt", b"first")
    return store, run_id


def change_everything(store: Store, run_id: str) -> None:
    store.log_batch(run_id, [Metric("m", 9.0, 9, 9), Metric("n", 1.0, 1, 1)], [Param("q", "x")], [RunTag("t", "z")])
    store.log_inputs(run_id, [DatasetInput(Dataset("e", "1", "local", "f"), [])])
    store.artifacts.put(run_id, "a.txt", b"second")
    store.artifacts.put(run_id, "b.txt", b"new")
    store.update_run_info(run_id, 3, 99, "renamed")
    store.set_experiment_tag("0", ExperimentTag("a", "b"))
    store.create_experiment("another")
    for start_time in (1, 5, 9):
        a_run(store, start_time=start_time)
    store.rename_experiment("0", "Renamed")


def contents(store: Store, run_id: str) -> str:
    parts = (
        [store.experiments.experiment_at(row) for row in store.experiments.default_order()],
        [store.runs.run_at(row) for row in store.runs.default_order()],
        [store.get_metric_history(run_id, key) for key in "mn"],
        [array.tolist() for array in store.history(run_id, "m")],
        [store.artifacts.read(run_id, file.path) for file in store.artifacts.list(run_id)],
        store.get_experiment_by_name("Default"),
        store.runs.strings["artifact_uri"].codes.tolist(),
    )
    return repr(parts)


@pytest.mark.parametrize("changes_the_clone", [True, False])
def test_a_clone_and_its_original_do_not_see_each_others_writes(changes_the_clone: bool) -> None:
    original, run_id = filled_store()
    clone = original.clone()
    changed, kept = (clone, original) if changes_the_clone else (original, clone)
    expected = contents(kept, run_id)

    change_everything(changed, run_id)

    assert expected == contents(kept, run_id)
    assert expected != contents(changed, run_id)


def test_both_sides_of_a_clone_can_be_written_to() -> None:
    original, run_id = filled_store()
    clone, untouched = original.clone(), original.clone()

    for store in (original, clone):
        store.clock = lambda: 7
        change_everything(store, run_id)

    assert re.sub(r"[0-9a-f]{32}", "", contents(original, run_id)) == re.sub(
        r"[0-9a-f]{32}", "", contents(clone, run_id)
    )
    assert 1 == untouched.runs.size


def test_orders_of_clones_go_on_apart() -> None:
    original = Store(seed=1)
    first = a_run(original, start_time=1)
    clone = original.clone()

    older = [a_run(original, start_time=2), a_run(original, start_time=3)]
    newer = [a_run(clone, start_time=9)]

    assert [*reversed(older), first] == [original.runs.ids[row] for row in original.runs.default_order()]
    assert [*newer, first] == [clone.runs.ids[row] for row in clone.runs.default_order()]


def test_a_clone_of_a_clone_is_complete() -> None:
    original, run_id = filled_store()

    assert contents(original, run_id) == contents(original.clone().clone(), run_id)


def test_a_clone_goes_on_with_the_seed_and_the_clock() -> None:
    original = Store(seed=1, clock=lambda: 77)
    clone = original.clone()

    assert a_run(original) == a_run(clone)
    assert 77 == clone.get_experiment("0").creation_time
    assert 78 == clone.get_experiment(clone.create_experiment("e")).creation_time


# --- threads


def test_many_threads_lose_nothing() -> None:
    store = Store()
    shared = a_run(store)
    problems: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(60):
                run_id = a_run(store, start_time=i % 7)
                store.log_batch(run_id, [Metric("m", 1.0, i, i)], [Param(f"p{i}", "x")], [RunTag("t", str(i))])
                store.log_metric(shared, Metric("shared", float(number), i, number))
                store.set_tag(shared, RunTag(f"t{number}", str(i)))
                assert store.runs.size >= i
                assert store.get_run(run_id).data.params == {f"p{i}": "x"}
                store.clone()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == problems
    assert 1 + 8 * 60 == store.runs.size == len(set(store.runs.ids))
    assert 8 * 60 == len(store.get_metric_history(shared, "shared"))
    assert {f"t{number}": "59" for number in range(8)} == {
        key: value for key, value in store.get_run(shared).data.tags.items() if key != "mlflow.runName"
    }


# --- ids, names, versions


def test_ids_are_those_of_mlflow_or_guids() -> None:
    plain, dashed = Store(), Store(guid_ids=True)

    assert re.fullmatch(r"[0-9a-f]{32}", a_run(plain))
    assert 4 == uuid.UUID(a_run(plain)).version
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", a_run(dashed))
    assert (["0"], 36) == (plain.experiments.ids, len(dashed.experiments.ids[0]))
    assert ("1", 36) == (plain.create_experiment("e"), len(dashed.create_experiment("e")))


@pytest.mark.parametrize("name", ["0", "", None, 0])
def test_the_default_experiment_is_found_by_zero_among_guids_too(name: Any) -> None:
    store = Store(guid_ids=True)

    assert "Default" == store.get_experiment(name).name
    assert store.default_experiment_id == store.create_run(name, "ann", 5, [], None).info.experiment_id


def test_an_unknown_guid_is_missing_and_not_malformed() -> None:
    store = Store(guid_ids=True)

    assert RESOURCE_DOES_NOT_EXIST == refusal(lambda: store.get_experiment("abc")).error_code


def test_a_seed_repeats_ids_and_names_and_no_seed_does_not() -> None:
    seeded = [Store(seed=7).create_run("0", "ann", 5, [], None) for _ in range(2)]
    unseeded = [Store().create_run("0", "ann", 5, [], None).info.run_id for _ in range(2)]

    assert seeded[0] == seeded[1]
    assert unseeded[0] != unseeded[1]


def test_made_up_names_are_as_short_as_those_of_mlflow() -> None:
    store = Store(seed=1)

    names = {store.create_run("0", "ann", i, [], None).info.run_name for i in range(500)}

    assert all(re.fullmatch(r"[a-z]+-[a-z]+-\d{1,3}", name or "") and len(name or "") <= 20 for name in names)
    assert len(names) > 400


def test_every_write_raises_the_version_and_no_read_does() -> None:
    store = Store()
    run_id = a_run(store)
    version = store.version

    store.get_run(run_id)
    store.get_metric_history(run_id, "m")
    unchanged = store.version
    for write in (
        lambda: store.log_metric(run_id, Metric("m", 1.0, 1, 1)),
        lambda: store.log_param(run_id, Param("p", "x")),
        lambda: store.set_tag(run_id, RunTag("t", "x")),
        lambda: store.delete_tag(run_id, "t"),
        lambda: store.log_batch(run_id, [], [], [RunTag("t", "x")]),
        lambda: store.log_inputs(run_id, []),
        lambda: store.update_run_info(run_id, 3, None, None),
        lambda: store.delete_run(run_id),
        lambda: store.restore_run(run_id),
        lambda: store.create_experiment("e"),
        lambda: store.rename_experiment("1", "f"),
        lambda: store.set_experiment_tag("1", ExperimentTag("a", "b")),
        lambda: store.delete_experiment_tag("1", "a"),
        lambda: store.delete_experiment("1"),
        lambda: store.restore_experiment("1"),
    ):
        before = store.version
        write()
        assert before < store.version

    assert version == unchanged


# --- histories


def test_arrays_of_a_history_are_snapshots() -> None:
    store = Store()
    run_id = a_run(store)
    store.log_batch(run_id, [Metric("m", float(i), i, i) for i in range(3)], [], [])

    arrays = store.history(run_id, "m")
    store.log_batch(run_id, [Metric("m", 9.0, 0, 0), Metric("m", 9.0, 9, 9)], [], [])

    assert [[0.0, 1.0, 2.0], [0, 1, 2], [0, 1, 2]] == [array.tolist() for array in arrays]
    assert [0.0, 9.0, 1.0, 2.0, 9.0] == store.history(run_id, "m")[0].tolist()
    with pytest.raises(ValueError, match="read-only"):
        arrays[0][0] = 5


@pytest.mark.parametrize("count", [0, 1, 2])
def test_short_and_missing_histories_are_arrays_too(count: int) -> None:
    store = Store()
    run_id = a_run(store)
    for i in range(count):
        store.log_metric(run_id, Metric("m", float(i), i, i))

    values, timestamps, steps = store.history(run_id, "m")

    assert (list(range(count)),) * 3 == (values.tolist(), timestamps.tolist(), steps.tolist())
    assert ("float64", "int64", "int64") == (values.dtype.name, timestamps.dtype.name, steps.dtype.name)
    assert 0 == len(store.history("nope", "m")[0])


POINTS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, -1.0, math.nan]), st.integers(0, 2), st.integers(-1, 1)), max_size=12
)


@given(POINTS)
def test_points_added_together_make_the_history_of_points_added_one_by_one(points: list[Any]) -> None:
    one_by_one = History(None)
    for point in points:
        one_by_one.add(*point)

    values, timestamps, steps = (np.array([point[i] for point in points]) for i in range(3))
    together = history_of(None, values.astype(float), timestamps.astype(int), steps.astype(int))

    assert repr([*zip(one_by_one.values, one_by_one.timestamps, one_by_one.steps, strict=True)]) == repr(
        [*zip(together.values, together.timestamps, together.steps, strict=True)]
    )
    if len(together):
        place = latest_of(together)
        found = (together.steps[place], together.timestamps[place])
        assert found == max((step, timestamp) for _, timestamp, step in points)


def test_a_long_history_takes_less_than_32_bytes_a_point() -> None:
    history = History(None)

    for i in range(10_000):
        history.add(float(i), i, i)

    parts = (history.values, history.timestamps, history.steps)
    assert 32 * 10_000 > sum(part.buffer_info()[1] * part.itemsize for part in parts)
    assert 32 * 10_000 > sum(part.__sizeof__() for part in parts)


# --- batches and limits


def test_a_batch_that_fails_leaves_nothing_behind() -> None:
    store = Store()
    run_id = a_run(store)
    store.log_param(run_id, Param("p", "x"))
    expected, version = repr(store.get_run(run_id)), store.version

    for batch in (
        ([Metric("m", 1.0, 1, 1)], [Param("q", "x"), Param("p", "changed")], [RunTag("t", "x")]),
        ([Metric("m", 1.0, 1, 1), Metric("n", 1.0, 1, 2**63)], [Param("q", "x")], []),
        ([Metric("m", 1.0, 1, 1)], [Param("q", "x")], [RunTag("@", "x")]),
    ):
        refusal(lambda batch=batch: store.log_batch(run_id, *batch))

    assert (expected, version) == (repr(store.get_run(run_id)), store.version)


def test_a_service_that_limits_params_says_so_in_its_own_words() -> None:
    store = Store()
    run_id = a_run(store)
    for first in (0, 100):
        store.log_batch(run_id, [], [Param(f"p{i}", "x") for i in range(first, first + 100)], [], limits=SERVICE)

    error = refusal(lambda: store.log_batch(run_id, [], [Param(f"q{i}", "x") for i in range(10)], [], limits=SERVICE))
    store.log_param(run_id, Param("p0", "x"), limits=SERVICE)

    assert INVALID_PARAMETER_VALUE == error.error_code
    assert (
        "A field of the entity is over the size limit. FieldName=Parameters, Limit=200, Size=210. "
        "See https://aka.ms/azure-machine-learning-limits for service limits documentation."
    ) == error.message
    assert "Size=201" in refusal(lambda: store.log_param(run_id, Param("q", "x"), limits=SERVICE)).message


def test_a_service_that_limits_values_of_a_metric_says_so_in_its_own_words() -> None:
    store = Store()
    run_id = a_run(store)
    many = [Metric("m", float(i), i, i) for i in range(699)]

    error = refusal(lambda: store.log_batch(run_id, many, [], [], limits=SERVICE))
    store.log_batch(run_id, [*many[:250], *(Metric("n", 1.0, i, i) for i in range(250))], [], [], limits=SERVICE)

    assert INVALID_PARAMETER_VALUE == error.error_code
    assert "FieldName=MetricV2Dto.Value/Count, Limit=250, Size=699." in error.message
    assert 250 == len(store.get_metric_history(run_id, "m"))


def test_a_value_that_is_cut_is_logged_as_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    run_id = a_run(store)

    with caplog.at_level(logging.WARNING, "mlquery.store"):
        store.log_param(run_id, Param("p", "x" * 7000))

    assert 6000 == len(store.get_run(run_id).data.params["p"])
    expected = (
        f"Param value '{'x' * 100}...' (7000 characters) is truncated to 6000 characters to meet the length limit."
    )
    assert [expected] == [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    "call",
    [
        lambda store, run_id: store.set_tag(run_id, UNTYPED.RunTag("t", None)),
        lambda store, run_id: store.set_tag(run_id, UNTYPED.RunTag("t", 5)),
        lambda store, run_id: store.log_param(run_id, UNTYPED.Param("p", 5)),
        lambda store, run_id: store.log_param(run_id, UNTYPED.Param(5, "x")),
        lambda store, run_id: store.log_metric(run_id, UNTYPED.Metric(5, 1.0, 1, 1)),
        lambda store, run_id: store.log_metric(run_id, UNTYPED.Metric("m", 1j, 1, 1)),
        lambda store, run_id: store.log_metric(run_id, Metric("m", 10**400, 1, 1)),
        lambda store, run_id: store.log_metric(run_id, UNTYPED.Metric("m", 1.0, 1, 1.5)),
        lambda store, run_id: store.log_metric(run_id, UNTYPED.Metric("m", 1.0, math.nan, 1)),
        lambda store, run_id: store.create_run("0", "ann", 5, [UNTYPED.RunTag("t", None)], None),
        lambda store, run_id: store.set_experiment_tag("0", UNTYPED.ExperimentTag("t", None)),
    ],
)
def test_values_of_wrong_types_are_refused_where_mlflow_stores_them_or_breaks(call: Any) -> None:
    store = Store()
    run_id = a_run(store)

    assert INVALID_PARAMETER_VALUE == refusal(lambda: call(store, run_id)).error_code
    assert ({}, {}) == (store.get_run(run_id).data.metrics, store.get_run(run_id).data.params)


def test_a_param_that_is_none_is_refused_with_the_code_of_mlflows_database() -> None:
    store = Store()
    run_id = a_run(store)

    assert BAD_REQUEST == refusal(lambda: store.log_param(run_id, UNTYPED.Param("p", None))).error_code
    assert {} == store.get_run(run_id).data.params


# --- loading


def test_loaded_experiments_take_the_place_of_the_default_one() -> None:
    store = Store()

    store.load_experiment("5", "five", artifact_location="s3://x", tags={"a": "b"}, creation_time=1, last_update_time=2)
    store.load_experiment("7", "gone", lifecycle_stage="deleted")

    assert ["5", "7"] == store.experiments.ids
    assert ("s3://x", {"a": "b"}, 1, 2) == (
        store.get_experiment("5").artifact_location,
        store.get_experiment("5").tags,
        store.get_experiment("5").creation_time,
        store.get_experiment("5").last_update_time,
    )
    assert "deleted" == store.get_experiment("7").lifecycle_stage
    assert store.get_experiment("7").creation_time is None
    assert "8" == store.create_experiment("next")
    assert RESOURCE_DOES_NOT_EXIST == refusal(lambda: store.get_experiment("0")).error_code


@pytest.mark.parametrize("about", [("0", "other"), ("9", "Default")])
def test_what_is_loaded_twice_is_refused(about: tuple[str, str]) -> None:
    store = Store()
    store.load_experiment("0", "Default")
    store.load_run("r", "0")

    assert RESOURCE_ALREADY_EXISTS == refusal(lambda: store.load_experiment(*about)).error_code
    assert RESOURCE_ALREADY_EXISTS == refusal(lambda: store.load_run("r", "0")).error_code


def test_a_loaded_run_is_as_it_was() -> None:
    store = Store()
    inputs = [DatasetInput(Dataset("d", "1", "local", "f"), [InputTag("k", "v")])]

    store.load_run(
        "r",
        "0",
        user_id="ann",
        status="FAILED",
        start_time=3,
        end_time=4,
        lifecycle_stage="deleted",
        artifact_uri="s3://elsewhere/r",
        run_name="name",
        metrics={"m": (2.0, 9, 9), "nan": (math.nan, 1, 1)},
        params={"p": "x"},
        tags={"t": "y"},
        inputs=inputs,
    )
    store.load_history("r", "m", [1.0, 2.0], [5, 9], [5, 9])

    run = store.get_run("r")
    assert ("ann", "FAILED", 3, 4) == (run.info.user_id, run.info.status, run.info.start_time, run.info.end_time)
    assert ("deleted", "s3://elsewhere/r", "name") == (
        run.info.lifecycle_stage,
        run.info.artifact_uri,
        run.info.run_name,
    )
    assert ({"p": "x"}, {"t": "y"}, inputs) == (
        run.data.params,
        run.data.tags,
        run.inputs and run.inputs.dataset_inputs,
    )
    assert repr({"m": 2.0, "nan": math.nan}) == repr(run.data.metrics)
    assert [1.0, 2.0] == store.history("r", "m")[0].tolist()
    assert ["s3://elsewhere/r"] == store.runs.strings["artifact_uri"].table
    assert repr([run]) == repr(store.runs.runs_at([0]))


def test_a_loaded_run_may_lack_what_a_database_may_lack() -> None:
    store = Store()

    store.load_run("r", "0", user_id=None)

    info = store.get_run("r").info
    assert [None] * 4 == [info.user_id, info.start_time, info.end_time, info.run_name]
    assert info == store.runs.runs_at([0])[0].info
    assert [-1] == store.runs.strings["user_id"].codes.tolist()


def test_loaded_histories_come_in_any_order_and_in_parts() -> None:
    store = Store()
    store.load_run("r", "0")
    draw = random.Random(1)
    points = [(float(i), 100 + i, i // 2) for i in range(20)]
    draw.shuffle(points)

    for part in (points[:7], points[5:], []):
        store.load_history("r", "m", *([point[i] for point in part] for i in range(3)))

    assert sorted(points, key=lambda point: point[1]) == [
        (m.value, m.timestamp, m.step) for m in store.get_metric_history("r", "m")
    ]
    assert {"m": 19.0} == store.get_run("r").data.metrics


def test_a_latest_value_that_was_loaded_stays_the_latest_of_equals() -> None:
    store = Store()
    store.load_run("r", "0", metrics={"m": (math.nan, 1, 1)})

    store.load_history("r", "m", [0.0, math.nan], [1, 1], [1, 1])

    assert math.isnan(store.get_run("r").data.metrics["m"])
    assert 2 == len(store.get_metric_history("r", "m"))


def test_inputs_can_be_loaded_afterwards() -> None:
    store = Store()
    store.load_run("r", "0")

    store.load_inputs("r", [DatasetInput(Dataset("d", "1", "local", "f"), [])])

    assert ["d"] == [found.dataset.name for found in store.runs.inputs[0]]


# --- artifacts


def test_artifacts_are_listed_a_directory_at_a_time() -> None:
    store = Store()
    run_id = a_run(store)
    for path in ("b.txt", "dir/c.bin", "dir/deep/d", "a"):
        store.artifacts.put(run_id, path, path.encode())

    assert [FileInfo("a", False, 1), FileInfo("b.txt", False, 5), FileInfo("dir", True, None)] == store.artifacts.list(
        run_id
    )
    assert [FileInfo("dir/c.bin", False, 9), FileInfo("dir/deep", True, None)] == store.artifacts.list(run_id, "dir/")
    assert [] == store.artifacts.list(run_id, "b.txt")
    assert [] == store.artifacts.list(run_id, "none")
    assert b"dir/deep/d" == store.artifacts.read(run_id, "dir/deep/../deep/d")


@pytest.mark.parametrize("path", ["", ".", "..", "../x", "/x", "a/b", "dir"])
def test_artifacts_stay_inside_their_run(path: str) -> None:
    store = Store()
    run_id = a_run(store)
    store.artifacts.put(run_id, "a", b"")
    store.artifacts.put(run_id, "dir/x", b"")

    assert INVALID_PARAMETER_VALUE == refusal(lambda: store.artifacts.put(run_id, path, b"")).error_code


def test_missing_artifacts_and_runs_are_errors() -> None:
    store = Store()
    run_id = a_run(store)

    for call in (
        lambda: store.artifacts.read(run_id, "none"),
        lambda: store.artifacts.read("nope", "none"),
        lambda: store.artifacts.list("nope"),
        lambda: store.artifacts.put("nope", "a", b""),
    ):
        assert RESOURCE_DOES_NOT_EXIST == refusal(call).error_code


# --- locations

ROOTS = st.sampled_from(
    ["", "/", "/a/b", "/a/b/", "rel", "s3://b", "s3://b/", "s3://b/x", "dbfs:/", "mem:", "file:///x", "s3://b/x?q=1#f"]
)


@pytest.mark.slow
@given(ROOTS)
@example("mlquery-artifacts:")
def test_locations_are_appended_as_by_mlflow(root: str) -> None:
    assert append_to_uri_path(root, "7") == experiment_location(root, "7")
    assert append_to_uri_path(root, "r", "artifacts") == run_location(root, "r")
