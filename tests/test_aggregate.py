"""Aggregates of groups of runs: what pandas computes by hand on the frame of the same runs, and mistakes by name."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mlquery
from mlquery import Client, QueryError, QueryWarning, Store, aggregate, search_frame
from mlquery.language.matrix import MATRIX
from tests.support import random_data

FUNCTIONS = ["count", "min", "max", "mean", "median", "std", "sum"]
STORE = random_data.new_store(7, 300)
EXPERIMENTS = [str(number) for number in range(7)]
FIELDS = ["metrics.acc", "metrics.`val loss`", "max(metrics.loss)", "argmin(metrics.acc)", "duration"]
GROUPS = ["params.model", "tags.team", "status", "metrics.acc", "user_id", "count(metrics.loss)", "params.nowhere"]


def field_of(store: Store, name: str, filter_string: str = "") -> Any:
    """Return the values of a field of all active runs, in pandas' default types, by a frame or run by run."""
    column = name.replace("`", "")
    if "(" in name or name.startswith(("metrics.", "params.", "tags.")):
        return searched(store, name if "(" in name else column, filter_string)
    runs = mlquery.Client(store).search_runs(EXPERIMENTS, filter_string, max_results=50_000)
    if name == "duration":
        ends = [run.info.end_time for run in runs]
        starts = [run.info.start_time for run in runs]
        return pd.Series(ends, dtype="Int64") - pd.Series(starts, dtype="Int64")
    return pd.Series([getattr(run.info, name) for run in runs], dtype="str")


def searched(store: Store, column: str, filter_string: str) -> Any:
    frame = search_frame(store, EXPERIMENTS, filter_string, columns=[column], dialect="extended")
    return frame[column]


def finite(values: Any) -> Any:
    return values.to_numpy(np.float64, na_value=np.nan)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("field", FIELDS)
def test_an_aggregate_is_what_pandas_computes_on_each_group(function: str, field: str) -> None:
    found = aggregate(STORE, f"{function}({field})", ["params.model"], experiment_ids=EXPERIMENTS)

    values, groups = finite(field_of(STORE, field)), field_of(STORE, "params.model")
    with np.errstate(all="ignore"):
        expected = pd.DataFrame({"group": groups, "value": values}).groupby("group", dropna=False)["value"]
        assert np.allclose(finite(found[f"{function}({field})"]), getattr(expected, function)(), equal_nan=True)
    assert list(found["params.model"].fillna("missing")) == [*sorted(set(groups.dropna())), "missing"]


@pytest.mark.parametrize("seed", range(20))
def test_random_groups_have_the_runs_that_agree_in_all_fields(seed: int) -> None:
    rng = random.Random(seed)
    by = rng.sample(GROUPS, rng.randrange(1, 4))
    filter_string = rng.choice(["", "metrics.acc > 0", "tags.team != 'a'", "params.model IS NULL"])

    found = aggregate(STORE, "count()", by, filter_string, experiment_ids=EXPERIMENTS)

    runs = zip(*(keys(field_of(STORE, name, filter_string)) for name in by), strict=True)
    groups = zip(*(keys(found[name]) for name in by), strict=True)
    assert Counter(runs) == dict(zip(groups, found["count()"].tolist(), strict=True))


def keys(values: Any) -> list[str]:
    """Return values as strings; NaN and missing values, and zeros of both signs, are alike."""
    return [
        "missing" if is_missing else str(value or 0) for value, is_missing in zip(values, values.isna(), strict=True)
    ]


def runs_of(*runs: tuple[str | None, list[float]]) -> Store:
    """Return a store of runs with a model and values of `auc` at steps 0, 1, 2…, started and ended in order."""
    store = Store()
    for start, (model, values) in enumerate(runs):
        run_id = f"{start:032x}"
        params = {} if model is None else {"model": model}
        store.load_run(run_id, "0", start_time=start, end_time=start * 3, params=params)
        if values:
            store.load_history(run_id, "auc", np.array(values), np.arange(len(values)), np.arange(len(values)))
    return store


SMALL = runs_of(("b", [0.5, 0.7, 0.6]), ("a", [0.9]), ("b", [0.3, math.nan]), (None, [0.2]), ("a", []))


def test_runs_without_the_field_are_the_last_group() -> None:
    found = aggregate(SMALL, "count(), count(metrics.auc), mean(metrics.auc), mean(max(metrics.auc))", ["params.model"])

    assert ["a", "b", "-"] == found["params.model"].fillna("-").tolist()
    assert [2, 2, 1] == found["count()"].tolist()
    assert [1, 1, 1] == found["count(metrics.auc)"].tolist()
    assert [0.9, 0.6, 0.2] == found["mean(metrics.auc)"].tolist()
    assert [0.9, 0.5, 0.2] == found["mean(max(metrics.auc))"].tolist()


def test_without_fields_all_runs_are_one_group_even_if_there_are_none() -> None:
    text = "count(), mean(metrics.auc), max(argmax(metrics.auc)), min(start_time), sum(duration), count(params.model)"

    some, none = aggregate(SMALL, text), aggregate(SMALL, text, filter_string="params.model = 'c'")

    assert [[5, 4, 20.0]] == some[["count()", "count(params.model)", "sum(duration)"]].to_numpy().tolist()
    assert 1 == some["max(argmax(metrics.auc))"][0]
    assert [[0, 0, 0.0]] == none[["count()", "count(params.model)", "sum(duration)"]].to_numpy().tolist()
    assert none[["mean(metrics.auc)", "max(argmax(metrics.auc))", "min(start_time)"]].isna().all(axis=None)
    assert list(some.dtypes) == list(none.dtypes)
    assert ["int64", "float64", "Int64", "float64", "int64"] == [
        str(some[name].dtype) for name in (*list(some.columns)[:3], "sum(duration)", "count(params.model)")
    ]


def test_groups_of_no_runs_are_no_rows_of_the_same_types() -> None:
    some, none = (aggregate(SMALL, "count(), max(duration)", ["params.model"], text) for text in ("", "status = 'x'"))

    assert (3, 0) == (len(some), len(none))
    assert list(some.dtypes) == list(none.dtypes)


def test_times_are_aggregated_as_times() -> None:
    found = aggregate(SMALL, "min(start_time), max(end_time), mean(start_time), max(duration)")

    milliseconds = [found[name][0].value / 1e6 for name in list(found.columns)[:3]]
    assert ([0.0, 12.0, 2.0], 8) == (milliseconds, found["max(duration)"][0])
    assert {"UTC"} == {str(found[name][0].tz) for name in list(found.columns)[:3]}


def test_steps_are_aggregated_exactly() -> None:
    store = Store()
    store.load_run("a", "0")
    store.load_history("a", "m", np.array([1.0, 2.0]), np.array([0, 0]), np.array([0, 2**53 + 1]))

    assert 2**53 + 1 == aggregate(store, "max(argmax(metrics.m))")["max(argmax(metrics.m))"][0]


def test_a_column_is_called_as_it_is_written() -> None:
    found = aggregate(SMALL, " MEAN( metrics.`auc` ) ,count()", ["param.`model`", "params.model"])

    assert ["param.`model`", "params.model", "MEAN( metrics.`auc` )", "count()"] == list(found.columns)


def test_the_source_is_a_store_or_a_client() -> None:
    assert aggregate(SMALL, "count()").equals(aggregate(Client(SMALL, "azure"), "count()"))
    with pytest.raises(TypeError, match="must be a Store or a Client, not list"):
        aggregate([], "count()")


def test_experiments_and_views_are_chosen_as_in_a_search() -> None:
    store = Store()
    for name in ("a", "b"):
        experiment = store.create_experiment(name)
        for _ in range(2):
            run_id = store.create_run(experiment, "", 0, [], "").info.run_id
        store.delete_run(run_id)
    store.delete_experiment(experiment)

    def count(**options: Any) -> int:
        return int(aggregate(store, "count()", **options)["count()"][0])

    assert (1, 3, 4) == tuple(count(run_view_type=view) for view in (1, 2, 3))
    assert (1, 2) == tuple(count(experiment_ids=["1"], run_view_type=view) for view in (2, 3))


def test_the_dialect_is_that_of_the_filter_and_of_functions() -> None:
    assert "extended" == MATRIX.local_dialect.name
    assert 2 == aggregate(SMALL, "count()", filter_string="max(metrics.auc) > 0.6 OR duration < 0")["count()"][0]
    for options in ({"aggregates": "max(max(metrics.auc))"}, {"by": ["max(metrics.auc)"]}):
        query: dict[str, Any] = {"aggregates": "count()", **options}
        with pytest.raises(QueryError, match=r"oss does not support this: .*\[history.max\]"):
            aggregate(SMALL, **query, dialect="oss")


def test_warnings_are_those_of_the_filter() -> None:
    with pytest.warns(QueryWarning, match="looks like seconds"):
        aggregate(SMALL, "count()", filter_string="start_time < '1000'", dialect="azure")


@pytest.mark.parametrize(
    ("call", "message", "instead", "part"),
    [
        (("maen(metrics.auc)",), "unknown function 'maen'; functions over runs are count", "mean(metrics.auc)", "maen"),
        (("first(metrics.auc)",), "of the history of one run", "mean(first(metrics.auc))", "first"),
        (("at(metrics.auc, 3)",), "takes one field or one function", "mean(at(metrics.auc, 3))", "at"),
        (("count(), mean()",), "mean() takes a field", "mean(metrics.auc)", "mean()"),
        (("mean(params.model)",), "is a string, which mean() cannot", "count(params.model)", "mean(params.model)"),
        (("std(start_time)",), "is a time, which std() cannot", "count(start_time)", "std(start_time)"),
        (("mean(max(params.x))",), "params.x is none", "params.x", "params.x"),
        (("mean(max(min(metrics.x)))",), "not another function", None, "min"),
        (("count() mean(metrics.auc)",), "expected a comma between two", ",", "mean"),
        (("",), "expected a function over runs", None, ""),
        (("metrics.auc",), "expected a function over runs", None, "metrics.auc"),
        (("mean(metrics.auc",), "this parenthesis is never closed", None, "("),
        (("count(), count()",), "count() is there twice", None, ""),
        (("count(datasets.name)",), "a run may have several values of datasets.name", ..., "datasets.name"),
        (("count()", ["datasets.name"]), "a run may have several values of datasets.name", ..., "datasets.name"),
        (("count()", ["params.a", "params.a"]), "params.a is there twice", None, ""),
        (("count()", ["params.my-key"]), "the key 'my-key' needs backticks", "params.`my-key`", "-key"),
        (("count()", ["params.a b"]), "the key 'a b' needs backticks", "params.`a b`", "b"),
        (("count()", ["modle"]), "runs have no attribute 'modle'", None, "modle"),
        (("count()", ["params.a DESC"]), "needs backticks", "params.`a DESC`", "DESC"),
        (("count()", [""]), "the field is empty", "params.model", ""),
        (("count()", "params.model"), "by must be a list of strings", "by=['params.model']", ""),
        ((["count()"],), "aggregates must be a string", None, ""),
        (("count()", [], "metrics.x <"), "the comparison has no value", None, ""),
    ],
)
def test_a_mistake_is_named_where_it_is(call: tuple[Any, ...], message: str, instead: Any, part: str) -> None:
    with pytest.raises(QueryError) as refused:
        aggregate(SMALL, *call)

    (found,) = refused.value.diagnostics
    assert message in found.message
    assert instead in (..., found.suggestion)
    assert part == found.source[found.span.start : found.span.stop]


def test_aggregating_leaves_strings_that_look_missing_alone() -> None:
    store = runs_of(("nan", []), ("NaT", []), ("<NA>", []), ("None", []), ("", []), (None, []))

    found = aggregate(store, "count()", ["params.model"])

    assert ["", "<NA>", "NaT", "None", "nan"] == found["params.model"].tolist()[:-1]
    assert found["params.model"].isna().tolist() == [False] * 5 + [True]


def test_a_group_of_functions_is_a_group_too() -> None:
    found = aggregate(SMALL, "count()", ["argmax(metrics.auc)"])

    assert ["0", "1", "missing"] == keys(found["argmax(metrics.auc)"])
    assert [3, 1, 1] == found["count()"].tolist()
