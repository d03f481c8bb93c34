"""`mlquery.F` builds filters: the string is read as the tree that was built, and finds what the expression means.

`MLQUERY_BUILDING=100000 python -m pytest -q tests/test_building.py` builds that many random filters of each kind.
"""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, assert_type

import attrs
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import mlquery
from mlquery import F
from mlquery.entities import Run
from mlquery.errors import QueryError
from mlquery.language.building import Condition, Ordering
from mlquery.language.matrix import MATRIX
from mlquery.language.plan import Entity
from mlquery.query.search import check, search_runs
from mlquery.readers import load
from mlquery.store import Store
from tests.support import random_data
from tests.support.installed_mlflow import INSTALLED
from tests.support.random_conditions import (
    COMPARISONS,
    CONDITIONS,
    MEANT,
    MEANT_CONJUNCTIONS,
    ORDERINGS,
    STRINGS,
    VALUES,
    Meant,
)

BUILT = int(os.environ.get("MLQUERY_BUILDING", "0"))
_AT_ONCE = 10
DIALECTS = [name for name, dialect in MATRIX.dialects.items() if not dialect.is_local]
EXPERIMENTS = [*"0123456"]


def examples(few: int, at_once: int = 1) -> settings:
    """Return the settings of a test that draws `at_once` filters at a time."""
    most = max(BUILT // at_once, 1) if BUILT else few
    phases = (Phase.generate,) if BUILT else tuple(Phase)
    return settings(
        max_examples=most, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=phases
    )


def several(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(strategy, min_size=_AT_ONCE, max_size=_AT_ONCE)


@pytest.mark.slow
@examples(few=60, at_once=_AT_ONCE)
@given(several(CONDITIONS))
def test_the_string_of_a_condition_is_read_as_its_tree(conditions: list[Condition]) -> None:
    for condition in conditions:
        assert condition.tree == mlquery.parse_filter(str(condition))


@pytest.mark.slow
@examples(few=15, at_once=_AT_ONCE)
@given(several(ORDERINGS))
def test_the_string_of_an_ordering_is_read_as_its_term(orderings: list[Ordering]) -> None:
    for ordering in orderings:
        assert ordering.term == mlquery.parse_order_by(str(ordering))


@pytest.mark.slow
@examples(few=15, at_once=_AT_ONCE)
@given(several(VALUES))
def test_a_quoted_value_is_that_of_the_condition(values: list[Any]) -> None:
    for value in values:
        assert str(F.params.a == value) == f"params.a = {mlquery.quote(value)}"


@attrs.frozen
class Pair:
    """The same random runs in MLflow's store and in one of mlquery's."""

    theirs: Any
    ours: Store
    runs: tuple[Run, ...]

    def found(self, meant: Meant) -> set[str]:
        """Return the ids of the runs that a condition means."""
        return {run.info.run_id for run in self.runs if meant.holds(run)}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder: Path = tmp_path_factory.mktemp("building")
    theirs = random_data.new_mlflow_store(folder)
    random_data.fill(theirs, seed=3, runs=60)
    ours = load(folder / "mlflow.db")
    return Pair(theirs, ours, tuple(search_runs(ours, EXPERIMENTS)))


@pytest.fixture(scope="module")
def quoting(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return an empty store of MLflow."""
    return random_data.new_mlflow_store(tmp_path_factory.mktemp("quoting"))


def ids(runs: Any) -> set[str]:
    return {run.info.run_id for run in runs}


@pytest.mark.slow
@examples(few=200)
@given(meant=MEANT)
def test_a_condition_finds_the_runs_that_the_expression_means(pair: Pair, meant: Meant) -> None:
    assert pair.found(meant) == ids(search_runs(pair.ours, EXPERIMENTS, str(meant.condition), dialect="extended"))


@pytest.mark.slow
@examples(few=300)
@given(meant=MEANT_CONJUNCTIONS)
def test_mlflow_finds_with_the_string_for_it_what_the_expression_means(pair: Pair, meant: Meant) -> None:
    try:
        written = meant.condition.to_string("oss")
    except QueryError:
        return

    assert pair.found(meant) == ids(pair.theirs.search_runs(EXPERIMENTS, written, 1))


ENTITIES = st.sampled_from(["run", "run", *(entity.value for entity in Entity)])


@pytest.mark.slow
@examples(few=300)
@given(
    condition=st.one_of(CONDITIONS, COMPARISONS, MEANT_CONJUNCTIONS.map(lambda meant: meant.condition)),
    name=st.sampled_from(DIALECTS),
    entity=ENTITIES,
)
def test_a_string_for_a_dialect_is_accepted_there_or_refused_as_its_check_refuses(
    condition: Condition, name: str, entity: str
) -> None:
    try:
        written = condition.to_string(name, entity=entity)
    except QueryError as error:
        refused, written = error.diagnostics, None
    if written is None:
        assert not check(str(condition), dialect=name, entity=entity)
        assert [one for one in refused if one.severity == "error" and one.source]
    else:
        assert check(written, dialect=name, entity=entity)
        assert check(str(condition), dialect="extended", entity=entity)


@pytest.mark.slow
@examples(few=200)
@given(meant=MEANT_CONJUNCTIONS, name=st.sampled_from(DIALECTS))
def test_a_string_for_a_dialect_means_what_the_expression_means(pair: Pair, meant: Meant, name: str) -> None:
    """In the local dialect, since others differ in NaN, in the case of a status and in what they leave out of lists."""
    try:
        written = meant.condition.to_string(name)
    except QueryError:
        return

    assert pair.found(meant) == ids(search_runs(pair.ours, EXPERIMENTS, written, dialect="extended"))


G: Any = F  # for what mypy refuses, too
NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("condition", "written"),
    [
        (F.metrics["val loss"] > 0.8, "metrics.`val loss` > 0.8"),
        (F.metrics.auc >= 1, "metrics.auc >= 1"),
        (0.5 > F.metrics.auc, "metrics.auc < 0.5"),
        (np.float64(0.5) <= F.metrics.auc, "metrics.auc >= 0.5"),
        (F.metrics.auc != np.int64(2), "metrics.auc != 2"),
        (F.metrics.auc < np.float32(0.1), "metrics.auc < 0.10000000149011612"),
        (F.metrics.auc > 1e300, "metrics.auc > 1e300"),
        (F.metrics.auc == -5e-324, "metrics.auc = -5e-324"),
        (F.params.model == "it's", 'params.model = "it\'s"'),
        (F.params.model == np.str_("a"), "params.model = 'a'"),
        (F.params.model.isin(["a", 'b"']), "params.model IN ('a', 'b\"')"),
        (F.params.model.isin(pd.Series(["a", "b"])), "params.model IN ('a', 'b')"),
        (F.params.model.notin(("a",)), "params.model NOT IN ('a')"),
        (F.tags["mlflow.runName"].like("a%"), "tags.mlflow.runName LIKE 'a%'"),
        (F.tags["a`b"].notlike("a%"), "tags.\"a`b\" NOT LIKE 'a%'"),
        (F.tags.a.ilike("a%") & F.tags.a.notilike("b"), "tags.a ILIKE 'a%' AND tags.a NOT ILIKE 'b'"),
        (F.tags.a.rlike("a+") & F.tags.a.notrlike("b"), "tags.a RLIKE 'a+' AND tags.a NOT RLIKE 'b'"),
        (F.tags["from"] == "a", "tags.`from` = 'a'"),
        (F.dataset.name == "train", "dataset.name = 'train'"),
        (F.datasets.digest == "d", "datasets.digest = 'd'"),
        (F.attributes.run_id == "r", "attributes.run_id = 'r'"),
        (F["Run name"] == "r", "`Run name` = 'r'"),
        (F.status == "FINISHED", "status = 'FINISHED'"),
        (F.start_time >= NEW_YEAR, "start_time >= 1704067200000"),
        (F.start_time >= NEW_YEAR.astimezone(timezone(timedelta(hours=-5))), "start_time >= 1704067200000"),
        (F.start_time < NEW_YEAR + timedelta(microseconds=1999), "start_time < 1704067200001"),
        (F.end_time == pd.Timestamp(NEW_YEAR), "end_time = 1704067200000"),
        (F.metrics.a.between(0, 1), "metrics.a BETWEEN 0 AND 1"),
        (F.metrics.a.isnull() | F.metrics.b.notnull(), "metrics.a IS NULL OR metrics.b IS NOT NULL"),
        (F.metrics.a.isna() | F.metrics.b.notna(), "metrics.a IS NULL OR metrics.b IS NOT NULL"),
        (F.metrics.loss.max() > 1, "max(metrics.loss) > 1"),
        (F.metrics.loss.at(-7) > 1, "at(metrics.loss, -7) > 1"),
        (F.metrics["a b"].argmin() > 1, "argmin(metrics.`a b`) > 1"),
        ((F.a == 1) & (F.b == 2) & ((F.c == 3) & (F.d == 4)), "a = 1 AND b = 2 AND c = 3 AND d = 4"),
        ((F.a == 1) | ((F.b == 2) | (F.c == 3)), "a = 1 OR b = 2 OR c = 3"),
        (((F.a == 1) | (F.b == 2)) & (F.c == 3), "(a = 1 OR b = 2) AND c = 3"),
        ((F.a == 1) | (F.b == 2) & (F.c == 3), "a = 1 OR b = 2 AND c = 3"),
        (~(F.a == 1) & (F.b == 2), "NOT a = 1 AND b = 2"),
        (~((F.a == 1) & (F.b == 2)), "NOT (a = 1 AND b = 2)"),
        (~~((F.a == 1) | (F.b == 2)) & (F.c == 3), "(a = 1 OR b = 2) AND c = 3"),
    ],
)
def test_the_string_of_an_expression(condition: Condition, written: str) -> None:
    assert written == str(condition)
    assert condition.tree == mlquery.parse_filter(written)


@pytest.mark.parametrize(
    ("ordering", "written"),
    [
        (F.metrics.auc.desc(), "metrics.auc DESC"),
        (F.start_time.asc(), "start_time"),
        (F.params["my key"].desc(), "params.`my key` DESC"),
        (F.metrics.loss.min().asc(), "min(metrics.loss)"),
    ],
)
def test_the_string_of_an_entry_of_order_by(ordering: Ordering, written: str) -> None:
    assert written == str(ordering)


SPELLINGS = [
    (F.metrics.a.between(0, 1), "oss", "metrics.a >= 0 AND metrics.a <= 1"),
    (F.params.a.isin(["x"]), "oss", "params.a = 'x'"),
    (F.params.a.notin(["x", "y"]), "oss", "params.a != 'x' AND params.a != 'y'"),
    (F.run_id.notin(["x", "y"]), "oss", "run_id NOT IN ('x', 'y')"),
    (~F.params.a.isnull(), "oss", "params.a IS NOT NULL"),
    (~(F.params.a.isnull() | F.tags.b.isnull()), "oss", "params.a IS NOT NULL AND tags.b IS NOT NULL"),
    (F.metrics.a.last() > 1, "oss", "metrics.a > 1"),
    (F.metrics.a > 1, "azure", "metrics.a > 1"),
    (F.start_time > NEW_YEAR, "azure", "start_time > '1704067200000'"),
    (F.start_time > NEW_YEAR, "azure:documented", "start_time > '1704067200000'"),
    (F.start_time.between(1, NEW_YEAR), "azure", "start_time >= '1' AND start_time <= '1704067200000'"),
    (F.start_time.notin([1, 2]), "azure", "start_time != '1' AND start_time != '2'"),
    (F.metrics.a.between(0, 1), "extended", "metrics.a BETWEEN 0 AND 1"),
]


@pytest.mark.parametrize(("condition", "dialect", "written"), SPELLINGS)
def test_a_dialect_gets_another_spelling_where_it_needs_one(condition: Condition, dialect: str, written: str) -> None:
    assert written == condition.to_string(dialect)


REFUSED = [
    ((F.params.a == "x") | (F.params.b == "y"), "oss", "join.or"),
    (~(F.params.a == "x"), "oss", "join.not"),
    (F.params.a.isin(["x", "y"]), "oss", "in.field"),
    (F.metrics.loss.max() > 1, "oss", "history.max"),
    (F.metrics["val loss"] > 1, "azure", "filter.metric.escaped"),
    (F.tags.a != "x", "azure", "compare.text.equality"),
]


@pytest.mark.parametrize(("condition", "dialect", "feature"), REFUSED)
def test_what_a_dialect_cannot_say_is_refused_with_its_row_of_the_matrix(
    condition: Condition, dialect: str, feature: str
) -> None:
    with pytest.raises(QueryError) as refused:
        condition.to_string(dialect)

    assert [feature] == [one.feature for one in refused.value.diagnostics]


def test_a_comparison_without_a_meaning_gets_none_by_quotes() -> None:
    with pytest.raises(QueryError, match=r"params\.depth is a string: quote the value"):
        (F.params.depth == 4).to_string("oss")


def test_an_order_is_written_for_a_dialect_or_refused() -> None:
    assert F.metrics.a.last().desc().to_string("oss") == "metrics.a DESC"
    assert F.start_time.desc().to_string("azure") == "start_time DESC"
    with pytest.raises(QueryError, match="order runs by metrics"):
        F.metrics.a.desc().to_string("azure")


def test_what_is_searched_decides_on_the_fields() -> None:
    condition = F.name.like("churn%") & (F.tags.team == "risk")

    assert condition.to_string("oss", entity="registered_model") == "name LIKE 'churn%' AND tags.team = 'risk'"
    assert F.name.asc().to_string("oss", entity="experiment") == "name"
    with pytest.raises(QueryError, match="runs have no attribute 'name'"):
        condition.to_string("oss")
    with pytest.raises(ValueError, match="unknown dialect 'azur'"):
        condition.to_string("azur")


@pytest.mark.slow
@examples(few=5, at_once=_AT_ONCE)
@given(values=several(STRINGS))
def test_mlflow_finds_a_string_that_was_quoted(quoting: Any, values: list[str]) -> None:
    """As the value of a tag, in a store of which each run has another one."""
    from mlflow.entities import RunTag

    runs = {value: quoting.create_run("0", "u", 0, [RunTag("value", value)], "r").info.run_id for value in set(values)}
    for value in values:
        written = (F.tags.value == value).to_string("oss")

        assert runs[value] in ids(quoting.search_runs(["0"], written, 1))
        assert all(run.data.tags["value"] == value for run in quoting.search_runs(["0"], written, 1))
        if value.isprintable():
            assert runs[value] in ids(quoting.search_runs(["0"], f"tags.value = {mlquery.quote(value)}", 1))


@pytest.mark.slow
@examples(few=100)
@given(condition=COMPARISONS)
def test_mlflow_reads_every_comparison_that_is_written_for_it(quoting: Any, condition: Condition) -> None:
    """Of any key and value, most of which no run has."""
    try:
        written = condition.to_string(INSTALLED)
    except QueryError:
        return

    assert ids(quoting.search_runs(["0"], written, 1)) is not None


def test_mlflows_client_takes_the_strings(pair: Pair) -> None:
    condition, order = F.metrics.acc.between(0, 1) & F.tags.team.notnull(), F.metrics.acc.desc().to_string()

    theirs = pair.theirs.search_runs(EXPERIMENTS, condition.to_string(), 1, order_by=[order])

    ours = search_runs(pair.ours, EXPERIMENTS, str(condition), 1, None, [order], dialect="extended")
    assert [run.info.run_id for run in ours] == [run.info.run_id for run in theirs]
    assert len(ours) > 0


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a", "'a'"),
        ("it's", '"it\'s"'),
        ("a\\b\n", "'a\\b\n'"),
        (5, "5"),
        (-0.5, "-0.5"),
        (np.int64(7), "7"),
        (NEW_YEAR, "1704067200000"),
        (["a", "b"], "('a', 'b')"),
        ((1, 2.5), "(1, 2.5)"),
        (np.array([1, 2]), "(1, 2)"),
    ],
)
def test_a_quoted_value(value: Any, written: str) -> None:
    assert written == mlquery.quote(value)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ('it\'s "x"', ValueError, r"the string 'it\\'s \"x\"' cannot be written in a filter: .* both kinds of quotes"),
        ("a\\", ValueError, r"cannot be written in a filter: no string has a backslash at its end"),
        ("\ud800", ValueError, "half a character"),
        (["a\nb"], ValueError, "a list has no line breaks"),
        ([], ValueError, "at least one value"),
        (float("nan"), ValueError, "no NaN"),
        (np.float32("-inf"), ValueError, "no infinity"),
        (datetime(2024, 1, 1), ValueError, "no time zone"),
        (pd.NaT, ValueError, "no missing times"),
        pytest.param(10**5000, ValueError, "too many digits", id="5000 digits"),
        (True, TypeError, "no booleans; params and tags are strings: write 'True'"),
        (np.bool_(False), TypeError, "no booleans"),
        (None, TypeError, "nothing is compared with None"),
        (date(2024, 1, 1), TypeError, "2024-01-01 is a date"),
        (b"a", TypeError, "b'a' is none of them but a bytes"),
        ([["a"]], TypeError, "is none of them but a list"),
    ],
)
def test_a_value_that_no_literal_means_is_refused(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mlquery.quote(value)
    if not isinstance(value, list):
        with pytest.raises(error, match=message):
            F.params.a == value  # noqa: B015


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: (G.a == 1) and (G.b == 2), TypeError, "a condition is neither true nor false"),
        (lambda: not (G.a > 1), TypeError, "a condition is neither true nor false"),
        (lambda: 0 < G.metrics.a < 1, TypeError, "a condition is neither true nor false"),
        (lambda: G.params.a in ["x", "y"], TypeError, r"instead of and, or, not, in and a < b < c: .*isin\(\)"),
        (lambda: bool(G.metrics.a), TypeError, "a field is neither true nor false"),
        (lambda: G.metrics.a > 1 & G.metrics.b > 2, TypeError, "compare metrics.b before joining it, in parentheses"),
        (lambda: ~G.metrics.a, TypeError, "compare metrics.a before negating it"),
        (lambda: (G.a == 1) & True, TypeError, "unsupported operand"),
        (lambda: (G.a == 1) | "b = 2", TypeError, "unsupported operand"),
        (lambda: G.metrics.a > G.metrics.b, TypeError, "and not metrics.a with metrics.b"),
        (lambda: G.params.a.like(5), TypeError, "a pattern is a string, not 5"),
        (lambda: G.params.a.isin("abc"), TypeError, r"isin\(\) takes a list of values, such as isin\(\['abc'\]\)"),
        (lambda: G.metrics.a.at(1.5), TypeError, "a step is an integer, not 1.5"),
        (lambda: G.metrics.a.max().min(), TypeError, r"functions do not nest: min\(\) of max\(metrics.a\)"),
        (lambda: G.tags.mlflow.runName, AttributeError, r"is written F.tags\['mlflow.runName'\]"),
        (lambda: G.param.a, AttributeError, "instead: F.params"),
        (lambda: G.metrics[1], TypeError, "a key is a string, not 1"),
        (lambda: G.metrics["`'\""], ValueError, "no kind of quotes can enclose it"),
        (lambda: G.metrics["it's"].desc(), ValueError, "cannot be written in order_by"),
        (lambda: {G.metrics.a}, TypeError, "unhashable"),
    ],
)
def test_a_mistake_is_answered_with_what_to_write(
    build: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build()


def test_what_is_built_has_types_for_a_checker() -> None:
    assert_type(F.metrics.auc > 0.8, Condition)
    assert_type(F.params["my key"] == "a", Condition)
    assert_type((F.metrics.auc.max() > np.float64(1)) & ~F.status.isin(["FAILED"]), Condition)
    assert_type(F.metrics.auc.desc(), Ordering)
    assert_type(mlquery.quote(["a"]), str)


def test_conditions_are_values() -> None:
    condition = (F.metrics["a b"].max() > 1) & F.params.a.isin(["x"])

    assert condition == pickle.loads(pickle.dumps(condition)) == copy.deepcopy(condition)
    assert hash(condition) == hash((F.metrics["a b"].max() > 1) & F.params.a.isin(["x"]))
    assert str(pickle.loads(pickle.dumps(F)).metrics.a) == "metrics.a"
    assert str(copy.deepcopy(F.metrics.a)) == "metrics.a"
    assert repr(condition) == "<Condition: max(metrics.`a b`) > 1 AND params.a IN ('x')>"
    assert repr(F.metrics.a) == "<Field: metrics.a>"
    assert repr(F.metrics.a.desc()) == "<Ordering: metrics.a DESC>"


def test_looking_for_the_methods_of_a_notebook_finds_none() -> None:
    for built in (F, F.metrics, F.metrics.a):
        assert not hasattr(built, "_repr_html_")
        assert not hasattr(built, "__array_interface__")


def test_a_deep_and_a_wide_condition_are_written_in_a_moment() -> None:
    deep = F.params.a == "x"
    for number in range(15):
        deep = ~(deep | F.params.a.isnull()) if number % 2 else ~(deep & F.params.b.notnull())
    wide = F.metrics.a.notin(range(50))

    assert deep.tree == mlquery.parse_filter(str(deep))
    with pytest.raises(QueryError):
        deep.to_string("oss")
    assert wide.to_string("oss").count(" AND ") == 49


def test_a_search_that_gets_a_condition_says_how_to_write_it() -> None:
    client, store = mlquery.Client(Store()), Store()
    searches: list[Callable[..., Any]] = [client.search_runs, lambda *query: mlquery.count_runs(store, *query)]
    for search in searches:
        with pytest.raises(QueryError, match=r"a filter must be a string, not Condition\n  instead: str\(\) of it"):
            search(["0"], F.metrics.a > 1)
    with pytest.raises(QueryError, match=r"order_by must be a string, not Ordering\n  instead: str\(\) of it"):
        client.search_runs(["0"], order_by=[G.metrics.a.desc()])


def test_a_condition_that_is_too_long_for_a_search_is_not_written() -> None:
    with pytest.raises(QueryError, match=r"the filter has more than 250,000 characters"):
        F.run_id.isin([f"{number:032x}" for number in range(8_000)]).to_string("oss")
