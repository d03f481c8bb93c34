"""Runs side by side: whatever they are given as, the same frames come out, and nothing is lost or mixed up."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlquery
from mlquery import Client, Store
from mlquery.comparison.values import LARGER_IS_BETTER, SMALLER_IS_BETTER, direction_of
from mlquery.engine.history_values import Point, history_value
from mlquery.entities import Run, RunData, RunInfo
from mlquery.language.plan import FieldRef, Function, Kind
from mlquery.query.histories import downsample
from tests.support.compared_runs import EXPERIMENT, HOSTILE, run_id, seeds_of, store_of

LOSS = [(0.9, 1000, 0), (0.5, 2000, 1), (math.nan, 3000, 2), (0.2, 4000, 3), (0.4, 6000, 4)]
TREE = "mlflow.parentRunId"


@pytest.fixture
def store() -> Store:
    """Three runs: two of one model, and one with less of everything."""
    return store_of(
        [
            {"params": {"lr": "0.1", "model": "mlp"}, "metrics": {"loss": LOSS, "auc": 0.8}, "tags": {"team": "a"}},
            {"params": {"lr": "0.2", "model": "mlp"}, "metrics": {"loss": LOSS[:2], "auc": 0.9}, "tags": {"team": "a"}},
            {"params": {"model": "mlp"}, "metrics": {"loss": math.nan}, "end_time": None, "status": "RUNNING"},
        ]
    )


def values_of(compared: Any, field: str) -> list[Any]:
    """Return what the runs have of a field, None where it is missing and "NaN" for NaN."""
    kind, _, key = field.partition(".")
    row = compared.table["value"].loc[(kind, key)].tolist()
    return ["NaN" if isinstance(cell, float) and math.isnan(cell) else cell for cell in row]


# --- what runs are given as ------------------------------------------------------------------------------------------


def mlflow_run(run: Run) -> Any:
    """Return a run of MLflow's own."""
    from mlflow import entities

    info = entities.RunInfo(
        run.info.run_id,
        run.info.experiment_id,
        run.info.user_id,
        run.info.status,
        run.info.start_time,
        run.info.end_time,
        run.info.lifecycle_stage,
        artifact_uri=run.info.artifact_uri,
        run_name=run.info.run_name,
    )
    metrics = [entities.Metric(key, value, 4000, 3) for key, value in run.data.metrics.items()]
    params = [entities.Param(key, value) for key, value in run.data.params.items()]
    tags = [entities.RunTag(key, value) for key, value in run.data.tags.items()]
    return entities.Run(info, entities.RunData(metrics, params, tags))


def test_runs_are_a_filter_ids_a_page_entities_or_a_comparison(store: Store) -> None:
    client = Client(store)
    page = client.search_runs([EXPERIMENT])
    expected = mlquery.compare("", source=store).to_frame()

    for runs, source in (
        ("attributes.run_id != 'x'", store),
        ([run_id(0), run_id(1), run_id(2), run_id(1)], store),
        (pd.Series([run_id(0), run_id(1), run_id(2)]), client),
        (page, store),
        (page, None),
        (list(map(mlflow_run, page)), None),
        (mlquery.compare("", source=store), None),
        ([run_id(0), run_id(1), run_id(2)], mlquery.compare("", source=store)),
    ):
        pd.testing.assert_frame_equal(expected, mlquery.compare(runs, source=source).to_frame())
    pd.testing.assert_frame_equal(expected, client.compare_runs("").to_frame())


def test_runs_of_a_frame_are_those_of_the_frame(store: Store) -> None:
    frame = mlquery.search_frame(store, [EXPERIMENT])
    expected = mlquery.compare("", source=store)

    found = mlquery.compare(frame)

    assert expected.run_ids == found.run_ids
    for field in ("params.lr", "params.model", "metrics.auc", "attributes.status", "attributes.start_time"):
        assert values_of(expected, field) == values_of(found, field)
    assert [0.4, 0.5, None] == values_of(found, "metrics.loss")  # a frame cannot tell NaN from nothing
    pd.testing.assert_frame_equal(expected.to_frame(), mlquery.compare(frame, source=store).to_frame())


def test_a_frame_of_mlflows_own_is_read(store: Store) -> None:
    frame = pd.DataFrame(
        {
            "run_id": ["a", "b"],
            "experiment_id": ["7", "7"],
            "status": ["FINISHED", "FAILED"],
            "start_time": pd.to_datetime([1_700_000_000_123, 1_700_000_001_000], unit="ms", utc=True),
            "end_time": [pd.Timestamp(1_700_000_002_000, unit="ms", tz="UTC"), pd.NaT],
            "metrics.auc": [0.5, np.nan],
            "params.lr": ["0.1", None],
            "tags.mlflow.runName": ["one", "two"],
            "mine": [1, 2],
        }
    )

    found = mlquery.compare(frame).to_frame()

    assert ["one", "two"] == found["run_name"].tolist()
    assert [1877, pd.NA] == found["duration"].tolist()
    assert frame["start_time"].tolist() == found["start_time"].tolist()
    assert "mine" not in found


class MlflowsClient:
    """A client with MLflow's calls and nothing else, as `mlflow.MlflowClient` has them; counts calls."""

    def __init__(self, store: Store) -> None:
        self._client, self.calls = Client(store), 0

    def __getattr__(self, name: str) -> Any:
        if name not in dir(Client) or name in ("store", "backend", "dialect", "compare_runs"):
            raise AttributeError(name)
        self.calls += 1
        return getattr(self._client, name)


@pytest.mark.parametrize("runs", ["", [run_id(0), run_id(1), run_id(2)]], ids=["filter", "ids"])
def test_a_client_with_mlflows_calls_is_a_source_with_histories(store: Store, runs: Any) -> None:
    found = mlquery.compare(runs, {"loss": "min"}, source=MlflowsClient(store))
    expected = mlquery.compare(runs, {"loss": "min"}, source=store)

    assert [0.2, 0.5, "NaN"] == values_of(found, "metrics.loss")
    pd.testing.assert_frame_equal(expected.to_frame(), found.to_frame())
    pd.testing.assert_frame_equal(expected.curves("loss"), found.curves("loss"))


def test_a_client_is_asked_for_points_only_when_they_are_needed(store: Store) -> None:
    client = MlflowsClient(store)
    found = mlquery.compare("", source=client)
    before = client.calls

    found.curves("loss")
    first = client.calls - before
    found.bands("loss")

    assert (3, 3) == (first, client.calls - before)


@pytest.mark.slow
def test_mlflows_own_client_is_a_source(tmp_path: Any) -> None:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.create_experiment("e", artifact_location=str(tmp_path))
    for value in (0.5, 0.25):
        run = client.create_run(experiment)
        client.log_param(run.info.run_id, "lr", value)
        for step in range(3):
            client.log_metric(run.info.run_id, "loss", value / (step + 1), timestamp=step, step=step)
        model = client.create_logged_model(experiment, "net", source_run_id=run.info.run_id, params={})
    client.create_registered_model("best")
    client.create_model_version("best", model.artifact_location, run.info.run_id)

    found = mlquery.compare("", "max", source=client)

    assert {0.5, 0.25} == set(found.to_frame()["metrics.loss"])
    assert [3, 3] == found.curves("loss").groupby("run_id", observed=True).size().tolist()
    assert ["logged", "logged", "version"] == found.models["kind"].tolist()


@pytest.mark.parametrize(
    ("runs", "source", "message"),
    [
        ("", None, "filters need a source"),
        (["a"], None, "run ids need a source"),
        (["a"], Store(), "there is no run with the id 'a'"),
        (list("abcdef"), Store(), "there is no run with the id 'a', 'b', 'c' and 3 more"),
        ([1], Store(), "a run is given by its id, which is a string, not int"),
        ("", 3, "int is not a source"),
        ({"a": 1}, Store(), "runs must be a filter, ids, or runs, not dict"),
        (pd.DataFrame({"a": [1]}), None, "needs the column run_id"),
    ],
    ids=str,
)
def test_runs_that_cannot_be_found_are_refused(runs: Any, source: Any, message: str) -> None:
    with pytest.raises(mlquery.StoreError, match=message):
        mlquery.compare(runs, source=source)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"value": "bst"}, "did you mean 'best'"),
        ({"value": "step:"}, "'step:100'"),
        ({"value": {"loss": "lowest"}}, "not 'lowest'"),
        ({"directions": {"loss": "up"}}, "the direction of 'loss' is 'min' or 'max', not 'up'"),
        ({"baseline": "nobody"}, "the baseline 'nobody' is none of the runs"),
        ({"baseline": "0000"}, "the baseline '0000' may be one of 3 runs"),
        ({"group_by": "model"}, "group_by must be a list of fields, such as group_by=\\['model'\\]"),
        ({"ignore": "seed"}, "ignore must be a list of fields"),
        ({"max_runs": 2}, "3 runs were found, more than max_runs=2"),
    ],
    ids=str,
)
def test_arguments_that_mean_nothing_are_refused(store: Store, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(mlquery.StoreError, match=message):
        mlquery.compare("", source=store, **arguments)


def test_a_field_to_group_by_that_no_run_has_is_refused(store: Store) -> None:
    compared = mlquery.compare("", source=store, group_by=["modle"])

    with pytest.raises(mlquery.StoreError, match="none of the runs has the field 'modle'; did you mean 'model'"):
        _ = compared.groups


def test_a_filter_obeys_the_dialect() -> None:
    store = store_of([{"params": {"lr": "0.1"}}])
    refused = "params.lr = '0.1' OR params.lr = '0.2'"

    with pytest.raises(mlquery.QueryError):
        mlquery.compare(refused, source=store)
    assert 1 == len(mlquery.compare(refused, source=store, dialect="extended"))
    assert 1 == len(Client(store, "extended").compare_runs(refused))
    assert "extended" == mlquery.compare("", source=Client(store, "extended")).dialect


def test_what_needs_histories_is_refused_where_there_are_none(store: Store) -> None:
    page = Client(store).search_runs([EXPERIMENT])

    with pytest.raises(mlquery.StoreError, match="have the last value of 'auc' only"):
        mlquery.compare(page, "max")
    with pytest.raises(mlquery.StoreError, match="have the last value of 'loss' only"):
        mlquery.compare(page).curves("loss")


def test_a_fault_of_the_service_meets_a_comparison(store: Store) -> None:
    client = Client(store)
    store.faults.fail_next("search_runs", mlquery.StoreError("busy"))

    with pytest.raises(mlquery.StoreError):
        client.compare_runs("")


def test_no_runs_are_an_empty_comparison() -> None:
    compared = mlquery.compare([], source=Store())

    assert 0 == len(compared)
    for frame in (compared.diff, compared.to_frame(), compared.groups, compared.tests, compared.tree, compared.models):
        assert 0 == len(frame)
    assert "<p" in compared._repr_html_()


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "loss"),
    [
        ("last", [0.4, 0.5, "NaN"]),
        ("best", [0.2, 0.5, "NaN"]),
        ("min", [0.2, 0.5, "NaN"]),
        ("max", [0.9, 0.9, "NaN"]),
        ("mean", [0.5, 0.7, "NaN"]),
        ("step:1", [0.5, 0.5, None]),
        ("step:2", ["NaN", None, None]),
        ("step:99999999999999999999"[:24], [None, None, None]),
        ({"auc": "max"}, [0.4, 0.5, "NaN"]),
        ({"loss": "max"}, [0.9, 0.9, "NaN"]),
    ],
    ids=str,
)
def test_metrics_are_compared_by_the_chosen_value(store: Store, value: Any, loss: list[Any]) -> None:
    assert loss == values_of(mlquery.compare("", value, source=store), "metrics.loss")


POINTS = st.tuples(st.sampled_from([0.0, -0.0, 1.5, -2.0, 1e300, math.nan]), st.integers(0, 3), st.integers(-1, 2))


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(POINTS, min_size=1, max_size=8, unique_by=repr))
def test_values_are_those_of_the_functions_of_the_language(points: list[tuple[float, int, int]]) -> None:
    store = store_of([{"metrics": {"m": points}}])
    latest = store.get_run(run_id(0)).data.metrics["m"]
    specified = [Point(m.step, m.timestamp, m.value) for m in Client(store).get_metric_history(run_id(0), "m")]

    for value, function, step in (  # what "last" is, is tested with the store
        ("min", Function.MIN, None),
        ("max", Function.MAX, None),
        ("mean", Function.MEAN, None),
        ("step:1", Function.AT, 1),
        ("step:-1", Function.AT, -1),
    ):
        expected = history_value(FieldRef(Kind.HISTORY, "m", function, step), specified, latest)
        (found,) = values_of(mlquery.compare("", value, source=store), "metrics.m")
        assert ("NaN" if expected != expected else expected) == found


def test_best_of_a_metric_of_which_nobody_knows_what_is_better_is_refused() -> None:
    store = store_of([{"metrics": {"foo": [(1.0, 0, 0), (3.0, 1, 1), (2.0, 2, 2)], "loss": 1}}])

    with pytest.raises(mlquery.StoreError, match=r"best of 'foo' is not known; instead: directions=\{'foo': 'max'\}"):
        mlquery.compare("", "best", source=store)
    assert [3.0] == values_of(mlquery.compare("", "best", source=store, directions={"foo": "max"}), "metrics.foo")
    assert [1.0] == values_of(mlquery.compare("", "best", source=store, directions={"foo": "min"}), "metrics.foo")


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("loss", "min"),
        ("val_loss", "min"),
        ("eval/RMSE", "min"),
        ("meanAbsoluteError", "min"),
        ("validation_0-logloss", "min"),
        ("accuracy", "max"),
        ("roc_auc", "max"),
        ("f1_score", "max"),
        ("test.R2", "max"),
        ("losses", None),
        ("accuracy_loss", None),
        ("epoch", None),
        ("", None),
    ],
)
def test_names_of_metrics_say_what_is_better(metric: str, direction: str | None) -> None:
    assert direction == direction_of(metric, {})
    assert "max" == direction_of(metric, {metric: "max"})


def test_the_guide_lists_the_words_that_say_what_is_better() -> None:
    guide = (Path(__file__).resolve().parents[1] / "docs/guides/compare-runs.md").read_text(encoding="utf-8")

    for size, words in (("small", SMALLER_IS_BETTER), ("large", LARGER_IS_BETTER)):
        assert f"| {size} | {words.pattern.replace('|', ' ')} |" in guide


@pytest.mark.slow
def test_comparing_loads_no_pandas_and_no_statistics_until_a_frame_is_asked_for() -> None:
    code = (
        "import sys, mlquery; c = mlquery.Client(); c.create_run('0'); q = c.compare_runs('');"
        "q.grouping.labels; q.run_names; print({'pandas', 'scipy', 'sklearn'} & set(sys.modules));"
        "q.table; q.curves; print({'scipy', 'sklearn'} & set(sys.modules))"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "set()\nset()\n" == shown


# --- frames ----------------------------------------------------------------------------------------------------------


def test_the_table_says_what_differs_and_what_is_the_same(store: Store) -> None:
    compared = mlquery.compare("", source=store)
    differs = {key for (_, key), one in compared.table["differs"].items() if one}

    assert {"run_name", "status", "start_time", "end_time", "duration", "lr", "loss", "auc", "team"} == differs
    assert differs == set(compared.diff.index.get_level_values("key"))
    assert {"attributes", "params", "metrics", "tags"} == set(compared.table.index.get_level_values("kind"))
    assert [0.8, 0.9, None] == values_of(compared, "metrics.auc")
    assert [5000 - 1000, 5000 - 999, None] == values_of(compared, "attributes.duration")


def test_nan_is_the_same_as_nan_and_not_the_same_as_nothing() -> None:
    same = mlquery.compare("", source=store_of([{"metrics": {"m": math.nan}}] * 2))
    other = mlquery.compare("", source=store_of([{"metrics": {"m": math.nan}}, {}]))

    assert not same.table["differs"]["metrics", "m"]
    assert other.table["differs"]["metrics", "m"]


def test_metrics_have_differences_from_the_baseline(store: Store) -> None:
    table = mlquery.compare("", source=store, baseline="run 1").table

    assert pytest.approx([-0.1, 0.0, math.nan], nan_ok=True) == table["delta"].loc[("metrics", "auc")].tolist()
    assert pytest.approx([-0.1 / 0.9, 0.0, math.nan], nan_ok=True) == table["relative"].loc["metrics", "auc"].tolist()
    assert table["delta"].loc["params"].isna().to_numpy().all()
    assert "delta" not in mlquery.compare("", source=store).table


def test_a_relative_difference_is_of_the_size_of_the_baseline_and_missing_for_zero() -> None:
    store = store_of([{"metrics": {"a": -2.0, "b": 0.0}}, {"metrics": {"a": -1.0, "b": 1.0}}])
    relative = mlquery.compare("", source=store, baseline="run 0").table["relative"][run_id(1)]

    assert 0.5 == relative["metrics", "a"]
    assert math.isnan(relative["metrics", "b"])


def test_one_row_per_run_has_the_dtypes_of_a_search(store: Store) -> None:
    frame = mlquery.compare("", source=store).to_frame()
    searched = mlquery.search_frame(store, [EXPERIMENT])

    for name in searched.columns.difference(["artifact_uri", "start_time", "end_time", "tags.team"]):
        pd.testing.assert_series_equal(searched[name], frame[name])
    assert searched["start_time"].tolist() == frame["start_time"].tolist()
    assert "Int64" == str(frame["duration"].dtype)


def test_frames_are_the_callers_own(store: Store) -> None:
    compared = mlquery.compare("", source=store)
    table = compared.table
    table[("value", run_id(0))] = None
    groups = compared.groups
    groups["n"] = 99

    assert [0.8, 0.9, None] == values_of(compared, "metrics.auc")
    assert 99 not in compared.groups["n"].tolist()


def test_a_comparison_does_not_change_with_its_store(store: Store) -> None:
    compared = mlquery.compare("", source=store)
    Client(store).log_metric(run_id(0), "auc", 0.1, step=9)
    Client(store).log_param(run_id(2), "lr", "7")

    assert [0.8, 0.9, None] == values_of(compared, "metrics.auc")
    assert ["0.1", "0.2", None] == values_of(compared, "params.lr")


def test_a_comparison_is_frozen_and_short_in_print(store: Store) -> None:
    compared = mlquery.compare("", source=store, baseline="run 0")

    with pytest.raises(AttributeError):
        compared.value = "max"  # type: ignore[misc]
    assert f"<Comparison: 3 runs, value='last', baseline='{run_id(0)}'>" == repr(compared)


# --- groups ----------------------------------------------------------------------------------------------------------


def test_runs_that_agree_in_all_params_but_those_to_ignore_are_a_group() -> None:
    store = seeds_of({"a": [1, 2], "b": [3]})

    assert ("model=a", "model=b") == mlquery.compare("", source=store, ignore=["seed"]).grouping.labels
    assert ("model=a", "model=b") == mlquery.compare("", source=store, ignore=["params.seed"]).grouping.labels
    by_seed = mlquery.compare("", source=store, group_by=["params.seed"]).grouping
    assert (("seed=0", "seed=1"), [0, 1, 0]) == (by_seed.labels, by_seed.codes.tolist())
    assert ("all runs",) == mlquery.compare("", source=store, group_by=["status"]).grouping.labels
    assert ("all runs",) == mlquery.compare("", source=store, group_by=[]).grouping.labels


def test_ignoring_what_no_run_has_is_a_warning(store: Store) -> None:
    compared = mlquery.compare("", source=store, ignore=["sead"])

    assert ("none of the runs has the field 'sead', which is to be ignored",) == compared.warnings[:1]


STRINGS = st.sampled_from([*HOSTILE, "", " ", "a", "a=b", "a, b", 'a"b', "no a", "params.a", "tags.a", "1", "1.0"])


@pytest.mark.slow
@given(st.lists(st.dictionaries(STRINGS.filter(bool), STRINGS, max_size=3), min_size=1, max_size=5))
def test_groups_are_told_apart_by_their_names(params: list[dict[str, str]]) -> None:
    compared = mlquery.compare("", source=store_of({"params": one} for one in params))
    labels = [compared.grouping.labels[code] for code in compared.grouping.codes.tolist()]

    for one, label in zip(params, labels, strict=True):
        assert [one == other for other in params] == [label == other for other in labels]


# --- curves ----------------------------------------------------------------------------------------------------------


def test_curves_are_the_points_by_step_time_or_time_since_the_first(store: Store) -> None:
    compared = mlquery.compare("", source=store, ignore=["lr"])

    by_step, by_time, relative = (compared.curves("loss", x) for x in ("step", "time", "relative"))

    assert ["run_id", "group", "x", "y"] == by_step.columns.tolist()
    assert [0, 1, 2, 3, 4, 0, 1, 0] == by_step["x"].tolist()
    assert pd.to_datetime([1000, 2000, 3000, 4000, 6000], unit="ms", utc=True).tolist() == by_time["x"].tolist()[:5]
    assert [0.0, 1.0, 2.0, 3.0, 5.0, 0.0, 1.0, 0.0] == relative["x"].tolist()
    assert [0.9, 0.5, 0.2, 0.4] == by_step["y"].dropna().tolist()[:4]
    assert [run_id(0)] * 5 + [run_id(1)] * 2 + [run_id(2)] == by_step["run_id"].tolist()


def test_of_points_at_one_step_the_one_logged_last_is_drawn() -> None:
    store = store_of([{"metrics": {"m": [(1.0, 10, 5), (2.0, 30, 5), (3.0, 20, 5), (4.0, 40, 1)]}}])

    curve = mlquery.compare("", source=store).curves("m")

    assert [(1, 4.0), (5, 2.0)] == list(zip(curve["x"], curve["y"], strict=True))


def test_a_long_curve_keeps_its_extremes() -> None:
    values = np.random.default_rng(0).normal(size=5000).cumsum()
    store = store_of([{}])
    store.load_history(run_id(0), "m", values, np.arange(5000), np.arange(5000))

    curve = mlquery.compare("", source=store).curves("m", points=100)

    places = downsample(values, 100)
    assert places.tolist() == curve["x"].tolist()
    assert values[places].tolist() == curve["y"].tolist()
    assert (values.min(), values.max()) == (curve["y"].min(), curve["y"].max())


NUMBERS = st.floats(-1e3, 1e3) | st.just(math.nan)


@pytest.mark.slow
@given(st.lists(NUMBERS, min_size=1, max_size=30), st.sampled_from([0.1, 0.5, 0.6, 0.9, 0.99]))
def test_smoothing_is_the_average_that_tensorboard_draws(values: list[float], weight: float) -> None:
    store = store_of([{"metrics": {"m": [(value, step, step) for step, value in enumerate(values)]}}])

    found = mlquery.compare("", source=store).curves("m", smoothing=weight)["y"].tolist()

    last, count, expected = 0.0, 0, []
    for value in values:
        if not math.isnan(value):
            last, count = last * weight + (1 - weight) * value, count + 1
        expected.append(value if math.isnan(value) else last / (1 - weight**count))
    assert pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True) == found


def test_a_band_is_what_the_runs_of_a_group_do_together() -> None:
    store = store_of(
        {
            "params": {"seed": str(seed)},
            "metrics": {"m": [(float(seed + step), step, step) for step in range(3 + seed)]},
        }
        for seed in range(3)
    )

    bands = mlquery.compare("", source=store, ignore=["seed"]).bands("m")

    assert [0, 1, 2, 3, 4] == bands["x"].tolist()
    assert [3, 3, 3, 2, 1] == bands["n"].tolist()
    assert [1.0, 2.0, 3.0, 4.5, 6.0] == bands["mean"].tolist()
    assert pytest.approx([1.0, 1.0, 1.0, math.sqrt(0.5), math.nan], nan_ok=True) == bands["std"].tolist()
    assert pytest.approx([0.0, 1.0, 2.0, 4.5 - math.sqrt(0.5), math.nan], nan_ok=True) == bands["low"].tolist()
    assert [(0.0, 2.0), (1.0, 3.0)] == list(zip(bands["min"], bands["max"], strict=True))[:2]


def test_bands_meet_between_the_points_of_runs_that_log_at_other_steps() -> None:
    store = store_of(
        [
            {"params": {"seed": "1"}, "metrics": {"m": [(0.0, 0, 0), (10.0, 1, 10)]}},
            {"params": {"seed": "2"}, "metrics": {"m": [(4.0, 0, 5), (math.nan, 1, 6), (8.0, 2, 7)]}},
        ]
    )

    bands = mlquery.compare("", source=store, ignore=["seed"]).bands("m").set_index("x")

    assert {0: 1, 5: 2, 7: 2, 10: 1} == bands["n"].to_dict()
    assert {0: 0.0, 5: 4.5, 7: 7.5, 10: 10.0} == bands["mean"].to_dict()


@pytest.mark.parametrize("x", ["step", "time", "relative"])
@pytest.mark.parametrize("points", [2, 3, 50])
def test_there_are_never_more_points_than_asked_for(x: str, points: int) -> None:
    store = store_of({"params": {"seed": str(n)}} for n in range(2))
    for number in range(2):
        line = np.arange(400) * (number + 1)
        store.load_history(run_id(number), "m", np.sin(line), line * 7, line)
    compared = mlquery.compare("", source=store, ignore=["seed"])

    curves, bands = compared.curves("m", x, points), compared.bands("m", x, points)

    assert curves.groupby("run_id", observed=True).size().max() <= points
    assert len(bands) <= points
    assert bands["x"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "los"}, "none of the runs has the field 'metrics.los'; did you mean 'metrics.loss'"),
        ({"x": "epoch"}, "x is one of 'step', 'time', 'relative', not 'epoch'"),
        ({"points": 1}, "points must be at least 2"),
        ({"smoothing": 1}, "smoothing must be at least 0 and less than 1"),
    ],
    ids=str,
)
def test_curves_that_cannot_be_drawn_are_refused(store: Store, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(mlquery.StoreError, match=message):
        mlquery.compare("", source=store).curves(**{"metric": "loss"} | arguments)


# --- best, tree and models -------------------------------------------------------------------------------------------


def test_the_best_runs_come_first_equals_share_a_rank_and_nan_is_last() -> None:
    store = store_of({"metrics": {"auc": value}} for value in (0.5, math.nan, 0.9, 0.5, 0.1))

    best = mlquery.compare("", source=store).best("auc")

    assert ["rank", "run_id", "run_name", "group", "value"] == best.columns.tolist()
    assert [2, 0, 3, 4, 1] == [int(one, 16) for one in best["run_id"]]
    assert [1, 2, 2, 4, pd.NA] == best["rank"].tolist()
    assert [4, 0, 3, 2, 1] == [int(one, 16) for one in mlquery.compare("", source=store).best("auc", "min")["run_id"]]


def test_the_best_of_what_nobody_knows_is_refused(store: Store) -> None:
    compared = mlquery.compare("", source=store, directions={"auc": "min"})

    assert run_id(0) == compared.best("auc")["run_id"][0]
    with pytest.raises(mlquery.StoreError, match="mode is 'min' or 'max', not 'up'"):
        compared.best("auc", "up")


def test_nested_runs_are_below_their_parents() -> None:
    parents = [None, run_id(0), run_id(1), run_id(0), "f" * 32, run_id(5), run_id(7), run_id(6), run_id(7)]
    store = store_of({"tags": {} if parent is None else {TREE: parent}} for parent in parents)

    tree = mlquery.compare("", source=store).tree

    assert ["run_id", "run_name", "parent_id", "depth"] == tree.columns.tolist()
    found = list(zip((int(one, 16) for one in tree["run_id"]), tree["depth"], strict=True))
    # 5 is its own parent, 6 and 7 are each other's.
    assert [(0, 0), (1, 1), (2, 2), (3, 1), (4, 0), (5, 0), (6, 0), (7, 0), (8, 1)] == found


@pytest.mark.slow
def test_a_tree_may_be_deep() -> None:
    store = store_of({"tags": {TREE: run_id(number - 1)} if number else {}} for number in range(3000))

    assert list(range(3000)) == mlquery.compare("", source=store).tree["depth"].tolist()


def test_models_of_runs_are_side_by_side() -> None:
    client = Client(Store(seed=1))
    experiment = client.create_experiment("e")
    runs = [client.create_run(experiment).info.run_id for _ in range(2)]
    models = [
        client.create_logged_model(experiment, f"net{n}", run, params={"n": str(n)}) for n, run in enumerate(runs)
    ]
    for number, (run, model) in enumerate(zip(runs, models, strict=True)):
        client.log_metric(run, "auc", number / 2, model_id=model.model_id)
        client.log_metric(run, "acc", 0.1, 1, 1, model_id=model.model_id, dataset_name="train", dataset_digest="1")
        client.log_metric(run, "acc", 0.2, 2, 2, model_id=model.model_id, dataset_name="test", dataset_digest="1")
        client.log_metric(run, "only on the run", 1.0)
    deleted = client.create_logged_model(experiment, "gone", runs[0])
    client.delete_logged_model(deleted.model_id)
    client.create_registered_model("best")
    client.create_model_version("best", f"models:/{models[1].model_id}", runs[1])
    client.create_model_version("best", "s3://elsewhere", runs[0])
    client.create_model_version("best", "s3://elsewhere", None)

    compared = client.compare_runs(runs)
    found = compared.models

    assert [models[0].model_id, models[1].model_id, "best/1", "best/2"] == found["id"].tolist()
    assert ["logged", "logged", "version", "version"] == found["kind"].tolist()
    assert [0.0, 0.5, 0.5, 0.0] == found["metrics.auc"].tolist()
    assert [0.1, 0.1, 0.1] == found["metrics.acc (train)"].tolist()[:3]
    assert ["0", "1", "1"] == found["params.n"].tolist()[:3]
    assert [runs[0], runs[1], runs[1], runs[0]] == found["run_id"].tolist()
    assert 1.0 == found["metrics.only on the run"].tolist()[3]
    assert compared.model_table["differs"]["params", "n"]
    assert [models[1].model_id, "best/1"] == client.compare_runs(runs[1:]).models["id"].tolist()


# --- hostile names ---------------------------------------------------------------------------------------------------


def hostile_store() -> Store:
    return store_of(
        {
            "name": name,
            "params": {name: f"{name}{number % 2}", "seed": str(number)},
            "metrics": {name: [(0.1, 1, 1), (0.2, 2, 2)], "acc": number},
            "tags": {name: name},
        }
        for number, name in enumerate([*HOSTILE, *HOSTILE])
    )


def test_hostile_names_come_out_as_they_are() -> None:
    compared = mlquery.compare("", "max", source=hostile_store(), ignore=["seed"])
    frame = compared.to_frame()

    for number, name in enumerate(one.replace("\ud800", "\\ud800") for one in HOSTILE):
        assert name == frame["run_name"][number]
        assert f"{name}{number % 2}" == frame[f"params.{name}"][number]
        assert 0.2 == frame[f"metrics.{name}"][number]
        assert [1, 2] == compared.curves(HOSTILE[number])["x"].tolist()[:2]
    assert len(HOSTILE) * 2 == len(compared.run_names)
    assert 2 * len(HOSTILE) == len(compared.tree)
    assert compared.groups["group"].nunique() == len(compared.grouping.labels)


def test_an_entity_without_a_status_or_times_is_compared() -> None:
    info = RunInfo("r", "1", "", "RUNNING", 0, None, "active")
    runs = [Run(info, RunData({"a": 1.0}, {}, {}))]

    assert [1.0] == mlquery.compare(runs).to_frame()["metrics.a"].tolist()
