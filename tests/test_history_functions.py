"""Functions of the history of a metric: one meaning in both engines, in frames and in a plain Python loop of this file.

With `MLQUERY_HISTORY_QUERIES=100000` that many random queries are asked; without, a few hundred.
"""

from __future__ import annotations

import math
import operator
import os
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest

import mlquery
from mlquery.engine import columnar, reference
from mlquery.entities import Metric
from mlquery.errors import QueryError, StoreError
from mlquery.language.plan import FieldRef, Kind
from mlquery.language.semantics import mean
from mlquery.query.search import check, plan_of, search_rows, search_runs
from mlquery.store import Store

QUERIES = int(os.environ.get("MLQUERY_HISTORY_QUERIES", "300"))
LARGEST = 1.7976931348623157e308
VALUES = [0.0, -0.0, 0.1, 0.2, 0.3, 1.0, -1.0, 2.5, 1e300, LARGEST, -LARGEST, 5e-324, math.nan, math.nan, math.inf]
STEPS = [-(2**63), -1, 0, 0, 1, 1, 2, 3, 2**53, 2**53 + 1, 2**63 - 1]
KEYS = ["loss", "val loss", "a.max-min"]
LITERALS = ["0", "-0.0", "0.1", "0.2", "0.25", "1", "-1", "2", "2.5", "3", "1e300", "1e999", f"{2**53}", f"{2**53 + 1}"]
LITERALS += [f"{2**63 - 1}", f"{-(2**63)}", f"{2**63}", "1.7976931348623157e308", "-1e999", "9007199254740993.0"]
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
FUNCTIONS = ["max", "min", "mean", "first", "last", "count", "argmax", "argmin", "at"]


# ---- A plain Python loop ---------------------------------------------------------------------------------------------


class P(NamedTuple):
    step: int
    time: int
    value: float

    @property
    def rank(self) -> tuple[int, int, float, bool]:
        return self.step, self.time, 0.0 if self.value != self.value else self.value, self.value == self.value


def plain(function: str, points: list[P], step: int | None) -> float | int | None:
    """Return what a function is of points in the order in which they were logged; None if it is missing."""
    kept: list[P] = []
    for point in points:
        if all(point.rank != other.rank for other in kept):
            kept.append(point)
    if not kept:
        return None
    if function == "count":
        return len(kept)
    if function in ("first", "last", "at"):
        return plain_value(function, kept, step)
    finite = [point for point in kept if point.value == point.value]
    if not finite:
        return None if function.startswith("arg") else math.nan
    if function == "mean":
        total = sum((Fraction(point.value) for point in finite), Fraction(0))
        return float(total) / len(finite) if abs(total) <= Fraction(LARGEST) else float(total / len(finite))
    best = max(point.value for point in finite) if function.endswith("max") else min(point.value for point in finite)
    return best if function in ("max", "min") else min(point.step for point in finite if point.value == best)


def plain_value(function: str, kept: list[P], step: int | None) -> float | None:
    """Return the value of one of the points; of equal ones the latest is the one that was logged first."""
    latest = kept[0]
    for point in kept:
        if point.rank[:3] > latest.rank[:3]:
            latest = point
    if function == "first":
        return min(kept, key=lambda point: point.rank).value
    if function == "last" or step == latest.step:
        return latest.value
    here = [point for point in kept if point.step == step]
    return max(here, key=lambda point: point.rank).value if here else None


def number(literal: str) -> float | int:
    return int(literal) if literal.lstrip("-").isdigit() else float(literal)


class Clause(NamedTuple):
    """A comparison in several forms: as written, and as a test of a value, which may be missing."""

    text: str
    function: str
    key: str
    step: int | None
    holds: Callable[[float | int | None], bool]


def call(rng: random.Random) -> tuple[str, str, str, int | None]:
    function, key, step = rng.choice(FUNCTIONS), rng.choice([*KEYS, KEYS[0]]), None
    field = (
        rng.choice(["metrics", "metric"]) + "." + (key if key.isalnum() else rng.choice(["`{}`", '"{}"']).format(key))
    )
    word = rng.choice([function, function, function.upper(), function.title()])
    gap = rng.choice(["", "", " "])
    if function == "at":
        step = rng.choice([*STEPS, 7])
        return f"{word}{gap}({field}{gap},{gap}{step})", function, key, step
    return f"{word}({gap}{field}{gap})", function, key, step


def clause(rng: random.Random) -> Clause:
    text, function, key, step = call(rng)
    kind = rng.choice(["compare", "compare", "compare", "null", "list", "between"])
    first, second = rng.choice(LITERALS), rng.choice(LITERALS)
    low, high = number(first), number(second)
    if kind == "null":
        is_null = rng.random() < 0.5
        holds: Callable[[Any], bool] = lambda value: (value is None) is is_null  # noqa: E731
        return Clause(f"{text} IS {'' if is_null else 'NOT '}NULL", function, key, step, holds)
    if kind == "list":
        is_in = rng.random() < 0.5
        holds = lambda value: value is not None and (value in (low, high)) is is_in  # noqa: E731
        return Clause(f"{text} {'' if is_in else 'NOT '}IN ({first}, {second})", function, key, step, holds)
    if kind == "between":
        holds = lambda value: value is not None and low <= value <= high  # noqa: E731
        return Clause(f"{text} BETWEEN {first} AND {second}", function, key, step, holds)
    op = rng.choice(list(COMPARE))
    holds = lambda value: value is not None and COMPARE[op](value, low)  # noqa: E731
    return Clause(f"{text} {op} {first}", function, key, step, holds)


History = dict[str, list[P]]


def new_store(seed: int, runs: int) -> tuple[Store, dict[str, History]]:
    """Return a store, and what was logged to it, by run and key in that order."""
    rng, store = random.Random(seed), Store(seed=seed)
    logged: dict[str, History] = {}
    for start in range(runs):
        run_id = store.create_run("0", "", start, [], "").info.run_id
        logged[run_id] = {key: [] for key in KEYS}
        for key in rng.sample(KEYS, rng.randrange(len(KEYS) + 1)):
            for _ in range(rng.choice([1, 1, 2, 3, 5, 20])):
                point = P(rng.choice(STEPS), rng.randrange(3), rng.choice(VALUES))
                store.log_metric(run_id, Metric(key, point.value, point.time, point.step))
                logged[run_id][key].append(point._replace(value=min(point.value, LARGEST)))
    return store, logged


STORES = [new_store(seed, runs) for seed, runs in [(1, 1), (2, 6), (3, 25), (4, 60)]]


def same(one: float | int | None, other: float | int | None) -> bool:
    return one == other or (one is not None and other is not None and one != one and other != other)


def asked(rng: random.Random, logged: dict[str, History]) -> tuple[str, list[str], list[str]]:
    """Return a random filter and order, and the runs that a plain loop finds, in order."""
    first, second = clause(rng), clause(rng)
    join = rng.choice(["", " AND ", " OR "])
    negated = rng.random() < 0.2
    text = f"{first.text}{join}{second.text}" if join else first.text
    order_text, function, key, step = call(rng)
    descending = rng.random() < 0.5

    found: list[str] = []
    for run_id, history in logged.items():
        held = [one.holds(plain(one.function, history[one.key], one.step)) for one in (first, second)]
        holds = held[0] if not join else all(held) if join == " AND " else any(held)
        if holds is not negated:
            found.insert(0, run_id)  # the newest run first
    values = {run_id: plain(function, logged[run_id][key], step) for run_id in found}
    numbers = [run_id for run_id in found if values[run_id] is not None and values[run_id] == values[run_id]]
    numbers.sort(key=lambda run_id: values[run_id], reverse=descending)  # type: ignore[arg-type, return-value]
    nan = [run_id for run_id in found if values[run_id] is not None and values[run_id] != values[run_id]]
    missing = [run_id for run_id in found if values[run_id] is None]
    written = f"NOT ({text})" if negated else text
    return written, [order_text + (" DESC" if descending else "")], numbers + nan + missing


@pytest.mark.slow
def test_both_engines_find_what_a_plain_loop_finds() -> None:
    rng = random.Random(os.environ.get("MLQUERY_HISTORY_SEED", "histories"))
    for number_of_query in range(QUERIES):
        store, logged = STORES[number_of_query % len(STORES)]
        text, order_by, expected = asked(rng, logged)
        found = []
        for engine in (columnar.rows, reference.rows):
            rows, _ = search_rows(store, ["0"], text, 1, 1000, order_by, dialect="extended", engine=engine)
            found.append([store.runs.ids[row] for row in rows])

        assert [expected, expected] == found, (text, order_by)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_column_has_the_values_of_a_plain_loop_to_the_bit(function: str) -> None:
    for store, logged in STORES:
        for key in KEYS:
            for step in [None] if function != "at" else STEPS:
                name = f"{function}(metrics.`{key}`{'' if step is None else f', {step}'})"
                frame = mlquery.search_frame(store, ["0"], columns=["run_id", name], dialect="extended")
                cells = zip(frame["run_id"], frame[name].isna(), frame[name], strict=True)
                expected = {run_id: plain(function, history[key], step) for run_id, history in logged.items()}

                assert logged.keys() == set(frame["run_id"])
                for run_id, is_missing, value in cells:
                    wanted = expected[run_id]
                    assert is_missing if wanted is None or wanted != wanted else same(wanted, value), (name, run_id)


# ---- What the functions mean, one by one ----------------------------------------------------------------------------


def one_run(*points: tuple[float, int, int]) -> Store:
    """Return a store with one run that logged these values, times and steps of `m`, in this order."""
    store = Store()
    run_id = store.create_run("0", "", 0, [], "").info.run_id
    for value, time, step in points:
        store.log_metric(run_id, Metric("m", value, time, step))
    return store


def value_of(store: Store, operand: str) -> Any:
    """Return the value in both engines: of the column, after each engine said that the run has that value."""
    (value,) = mlquery.search_frame(store, ["0"], columns=[operand], dialect="extended")[operand].tolist()
    for engine in (columnar.rows, reference.rows):
        text = f"{operand} IS NULL OR {operand} != 0" if str(value) in ("nan", "<NA>") else f"{operand} = {value!r}"
        assert len(search_runs(store, ["0"], text, dialect="extended", engine=engine)) == 1
    return value


def test_points_are_ordered_by_step_then_time_then_value() -> None:
    store = one_run((5.0, 9, 2), (1.0, 7, 3), (2.0, 8, 3), (4.0, 1, 1), (3.0, 1, 1), (9.0, 8, 2))

    found = {word: value_of(store, f"{word}(metrics.m)") for word in ("first", "last", "count")}

    assert {"first": 3.0, "last": 2.0, "count": 6} == found
    assert [4.0, 5.0, 2.0] == [value_of(store, f"at(metrics.m, {step})") for step in (1, 2, 3)]


def test_nan_is_left_out_unless_there_is_nothing_else_and_counted() -> None:
    mixed, only = one_run((math.nan, 0, 0), (1.0, 0, 1), (3.0, 0, 2), (math.nan, 0, 3)), one_run((math.nan, 0, 0))

    assert [3.0, 1.0, 2.0, 4] == [value_of(mixed, f"{word}(metrics.m)") for word in ("max", "min", "mean", "count")]
    assert [2, 1] == [value_of(mixed, f"{word}(metrics.m)") for word in ("argmax", "argmin")]
    assert all(math.isnan(value_of(only, f"{word}(metrics.m)")) for word in ("max", "min", "mean", "first", "last"))
    assert "<NA>" == str(value_of(only, "argmax(metrics.m)"))
    assert 1 == value_of(only, "count(metrics.m)")


def test_a_metric_without_a_number_is_nan_and_not_missing() -> None:
    store = one_run((math.nan, 0, 0), (math.nan, 0, 1))

    found = {text: len(search_runs(store, ["0"], text, dialect="extended")) for text in NAN_FILTERS}

    assert NAN_FILTERS == found


NAN_FILTERS = {
    "max(metrics.m) IS NULL": 0,
    "max(metrics.m) IS NOT NULL": 1,
    "max(metrics.m) != 1": 1,
    "max(metrics.m) < 1 OR max(metrics.m) >= 1": 0,
    "argmax(metrics.m) IS NULL": 1,
    "max(metrics.other) IS NULL": 1,
    "count(metrics.other) IS NULL": 1,
    "count(metrics.other) = 0": 0,
    "at(metrics.m, 5) IS NULL": 1,
}


def test_argmax_is_the_first_step_of_the_maximum_whenever_it_was_logged() -> None:
    store = one_run((2.0, 0, 7), (1.0, 1, 1), (2.0, 2, 3), (2.0, 3, 5))

    assert [3, 1] == [value_of(store, f"{word}(metrics.m)") for word in ("argmax", "argmin")]


def test_steps_of_64_bits_are_compared_exactly() -> None:
    store = one_run((1.0, 0, 2**53 + 1), (0.0, 0, 2**53))

    assert 2**53 + 1 == value_of(store, "argmax(metrics.m)")
    assert not search_runs(store, ["0"], f"argmax(metrics.m) IN ({2**53}, {2**53}.0)", dialect="extended")
    assert 1.0 == value_of(store, f"at(metrics.m, {2**53 + 1})")


@pytest.mark.parametrize(("dialect", "field"), [("oss:3.1", "start_time"), ("extended", "argmax(metrics.m)")])
def test_an_integer_of_many_digits_is_compared(dialect: str, field: str) -> None:
    store, many = one_run((1.0, 0, 5)), "1" + "0" * 400

    found = [
        len(search_runs(store, ["0"], f"{field} {op} {many}", dialect=dialect, engine=engine))
        for engine in (columnar.rows, reference.rows)
        for op in ("<", ">")
    ]

    assert [1, 0, 1, 0] == found


def test_the_last_value_is_the_metric_itself() -> None:
    by_last = plan_of("last(metrics.m) > 1", ["LAST(metrics.m) DESC"], dialect="extended")

    assert plan_of("metrics.m > 1", ["metrics.m DESC"], dialect="extended") == by_last
    assert not check("", ["last(metrics.m)", "metrics.m"], dialect="extended")


def test_a_mean_is_the_exactly_rounded_sum_over_the_number_of_points() -> None:
    values = [0.1] * 10

    assert 0.1 == mean(values) != sum(values) / 10
    assert LARGEST == mean([LARGEST] * 3)
    assert [1e308 / 3] * 3 == [mean(order) for order in LARGE_SUMS]
    assert math.inf == mean([LARGEST, LARGEST, math.inf])
    assert math.isnan(mean([math.inf, -math.inf]))
    assert "0.0" == str(mean([-0.0, -0.0]))


LARGE_SUMS = [[1e308, 1e308, -1e308], [1e308, -1e308, 1e308], [-1e308, 1e308, 1e308]]


def test_histories_are_read_again_after_a_write() -> None:
    store = one_run((1.0, 0, 0), (2.0, 0, 1))
    run_id = store.runs.ids[0]

    before = value_of(store, "max(metrics.m)")
    store.log_metric(run_id, Metric("m", 5.0, 0, 0))
    other = store.clone()
    other.log_metric(run_id, Metric("m", 7.0, 0, 0))

    assert (2.0, 5.0, 7.0) == (before, value_of(store, "max(metrics.m)"), value_of(other, "max(metrics.m)"))


def test_many_points_are_reduced_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlquery.engine.histories._POINTS_AT_A_TIME", 7)
    store, logged = new_store(9, 30)

    frame = mlquery.search_frame(store, ["0"], columns=["run_id", "count(metrics.loss)"], dialect="extended")

    counts = [plain("count", logged[run_id]["loss"], None) for run_id in frame["run_id"]]
    assert counts == [None if str(count) == "<NA>" else count for count in frame["count(metrics.loss)"]]


# ---- What is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message", "instead", "part"),
    [
        ("maxx(metrics.loss) < 1", "unknown function 'maxx'; functions of a metric", "max(metrics.loss)", "maxx"),
        ("median(metrics.a) < 1", "unknown function 'median'", "mean(metrics.a)", "median"),
        ("max(params.x) = 'a'", "and params.x is none", "params.x", "params.x"),
        ("max(tags.`a b`) = 'a'", "and tags.`a b` is none", "tags.`a b`", "tags.`a b`"),
        ("max(duration) > 1", "and duration is none", "duration", "duration"),
        ("max(loss) < 1", "and loss is none", "max(metrics.loss)", "loss"),
        ("max(metrics.a, 3) = 1", "takes a metric and nothing else", "max(metrics.a)", "3"),
        ("at(metrics.a) = 1", "at() takes a metric and a step", "at(metrics.a, 100)", "at(metrics.a)"),
        ("at(metrics.a, 1.5) = 1", "a step is an integer, not 1.5", None, "1.5"),
        ("at(metrics.a, 1e3) = 1", "a step is an integer, not 1e3", None, "1e3"),
        (f"at(metrics.a, {2**63}) = 1", "does not fit into 64 bits", None, str(2**63)),
        (f"at(metrics.a, -{'9' * 5000}) = 1", "does not fit into 64 bits", None, f"-{'9' * 5000}"),
        ("max(min(metrics.a)) = 1", "a function takes a metric, not another function", None, "min"),
        ("max() = 1", "a function takes a metric", "max(metrics.loss)", ")"),
        ("at(metrics.a, 'x') = 1", "the second argument is a step", "at(metrics.a, 100)", "'"),
        ("max(metrics.a-b) = 1", "the key 'a-b' needs backticks", "metrics.`a-b`", "-b"),
        ("max(metrics.a = 1", "expected the closing parenthesis", ")", "="),
        ("max(metrics.a", "this parenthesis is never closed", None, "("),
        ("max(metrics.a) LIKE 'x'", "is a number, which LIKE cannot compare", None, "max(metrics.a) LIKE 'x'"),
        ("max(metrics.a) = '1'", "write the value without quotes", "1", "'1'"),
    ],
)
def test_a_mistake_is_named_where_it_is(text: str, message: str, instead: str | None, part: str) -> None:
    (found,) = check(text, dialect="extended").diagnostics

    assert message in found.message
    assert (instead, part) == (found.suggestion, text[found.span.start : found.span.stop])


def test_zeros_before_a_step_do_not_count() -> None:
    plan = plan_of(f"at(metrics.a, -{'0' * 5000}7) = 1", dialect="extended")

    assert FieldRef(Kind.HISTORY, "a", plan.where.field.function, -7) == plan.where.field  # type: ignore[union-attr]


@pytest.mark.parametrize("entity", ["experiment", "registered_model", "model_version"])
@pytest.mark.parametrize("dialect", ["oss", "azure", "extended"])
def test_searches_of_what_has_no_metrics_refuse_functions_by_name(entity: str, dialect: str) -> None:
    for query in [("max(tags.a) = 'x'", None), ("", ["max(tags.a)"])]:
        (found,) = check(*query, dialect=dialect, entity=entity).diagnostics

        assert f"max() is about the history of a metric, which {entity.replace('_', ' ')}s do not have" == found.message


def test_a_search_of_logged_models_refuses_functions_by_name() -> None:
    client = mlquery.Client()

    with pytest.raises(StoreError, match=r"max\(\) is about the history of a metric of a run"):
        client.search_logged_models(["0"], "max(metrics.a) < 1")


@pytest.mark.parametrize("dialect", ["azure", "azure:documented"])
@pytest.mark.parametrize("text", ["max(metrics.a) < 1", "params.b > 1 AND max(metrics.a) IN (1)", "foo(metrics.a) = 1"])
def test_a_service_refuses_functions_as_any_filter_that_it_cannot_read(dialect: str, text: str) -> None:
    wording = check("metrics.a ! 1", dialect=dialect).diagnostics[0].service_message
    assert wording is not None

    found = check(text, dialect=dialect).diagnostics

    assert [wording.replace("metrics.a ! 1", text)] == [diagnostic.service_message for diagnostic in found]
    assert {"INVALID_PARAMETER_VALUE"} == {diagnostic.error_code for diagnostic in found}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["maxx(metrics.a)"], r"columns\[0\]: unknown function 'maxx'"),
        (["run_id", "max(metrics.a"], r"columns\[1\]: this parenthesis is never closed"),
        (["max(params.a)"], r"columns\[0\]: max\(\) is about the history of a metric, and params.a is none"),
    ],
)
def test_a_mistake_in_a_column_is_named_where_it_is(columns: list[str], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        mlquery.search_frame(Store(), ["0"], columns=columns, dialect="extended")


def test_a_dialect_without_functions_has_none_in_columns() -> None:
    with pytest.raises(QueryError, match=r"columns\[0\]: oss does not support this: .*\[history.max\]"):
        mlquery.search_frame(Store(), ["0"], columns=["max(metrics.a)"])


def test_a_metric_whose_key_looks_like_a_call_is_a_column_as_before() -> None:
    store = Store()
    store.load_run("a", "0", metrics={"max(a": (1.0, 0, 0)})

    frame = mlquery.search_frame(store, ["0"], columns=["metrics.max(a", "max(metrics.`max(a`)"], dialect="extended")

    assert [[1.0, 1.0]] == frame.to_numpy().tolist()


def test_columns_of_steps_are_integers_and_may_be_missing() -> None:
    store = one_run((1.0, 0, 2**62 + 1))
    store.create_run("0", "", 1, [], "")

    frame = mlquery.search_frame(store, ["0"], columns=["argmax(metrics.m)", "max(metrics.m)"], dialect="extended")

    assert ["Int64", "float64"] == [str(dtype) for dtype in frame.dtypes]
    assert ["<NA>", str(2**62 + 1)] == list(map(str, frame["argmax(metrics.m)"]))
    assert np.isnan(frame["max(metrics.m)"][0])
