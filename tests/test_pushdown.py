"""What a server is asked finds every run of a search, and no other where it is said to be exact."""

from __future__ import annotations

import attrs
import pytest

from mlquery.engine import columnar
from mlquery.language.matrix import MATRIX
from mlquery.language.plan import FieldRef, Kind, Op, Plan, Predicate
from mlquery.pushdown import entailment
from mlquery.pushdown.clauses import filter_of
from mlquery.pushdown.covers import MOST_QUERIES
from mlquery.pushdown.entailment import covers, entails
from mlquery.pushdown.requests import queries_of
from mlquery.query.search import plan_of
from tests.support import served_runs
from tests.support.random_trees import Trees

STORE = served_runs.served_store(5, 150)
DIALECTS = ["oss", "azure", "oss:3.17", "oss:2.14", "oss:2.9", "azure:documented"]


def asked(filter_string: str, dialect: str, order_by: list[str] | None = None) -> list[str]:
    plan = plan_of(filter_string, order_by, dialect="extended")
    return [filter_of(branch) for branch in queries_of(plan, MATRIX.dialect(dialect)).cover.branches]


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
def test_queries_together_find_what_a_plan_finds_and_more_only_if_they_are_not_exact(dialect: str) -> None:
    trees, column = Trees(7, 400), MATRIX.dialect(dialect)
    exact = 0
    for _ in range(300):
        plan = trees.search().plan
        queries = queries_of(plan, column)
        found = {row for branch in queries.cover.branches for row in rows_of(filter_of(branch), plan, dialect)}
        wanted = set(columnar.rows(STORE, plan).tolist())
        assert wanted <= found, plan
        assert len(queries.cover.branches) <= MOST_QUERIES
        if queries.cover.is_exact:
            exact += 1
            assert wanted == found, plan
    assert exact > 40  # else the test says little


def rows_of(filter_string: str, plan: Plan, dialect: str) -> list[int]:
    """Return what a server finds for a filter, in the experiments and the view of a plan."""
    where = plan_of(filter_string, dialect=dialect).where
    rows: list[int] = columnar.rows(STORE, attrs.evolve(plan, where=where, order=())).tolist()
    return rows


@pytest.mark.parametrize(
    ("filter_string", "dialect", "expected"),
    [
        ("", "oss", [""]),
        ("metrics.a > 1 AND params.b = 'c'", "azure", ["metrics.a > 1.0 AND params.b = 'c'"]),
        ("metrics.a > 1 OR metrics.a > 2", "oss", ["metrics.a > 1.0"]),
        ("metrics.a BETWEEN 1 AND 2", "azure", ["metrics.a >= 1.0 AND metrics.a <= 2.0"]),
        ("status IN ('FAILED', 'KILLED')", "azure", ["attributes.status = 'FAILED'", "attributes.status = 'KILLED'"]),
        ("run_id = 'a' OR run_id = 'b'", "oss", ["attributes.run_id IN ('a', 'b')"]),
        ("tags.team != 'x' AND metrics.a > 1", "azure", ["metrics.a > 1.0"]),  # one clause does not stop the others
        ("NOT start_time > 5", "azure", ["attributes.start_time <= '5'"]),  # no run lacks it
        ("NOT metrics.a > 5", "oss", [""]),  # some runs lack it
        ("NOT params.a = 'x'", "oss", ["params.a != 'x'", "params.a IS NULL"]),
        ("params.a RLIKE '^x'", "oss:2.9", ["params.a LIKE '%'"]),
        ("max(metrics.a) > 1", "azure", ["metrics.a != 0", "metrics.a = 0"]),
        ("status = 'Finished'", "azure", [""]),  # the service folds case, which the language does not
        ("metrics.a != 0", "oss:2.9", [""]),  # NaN, which differs from 0, is stored as 0 there
        ("dataset.name = 'd' AND status != 'a'", "oss", ["dataset.name = 'd' AND attributes.status != 'a'"]),
        ("dataset.name = 'd' AND params.a = 'x'", "oss", ["params.a = 'x'"]),  # which MLflow 2 fails to join
        ("params.a LIKE 'x\\_%'", "oss", ["params.a LIKE 'x__%'"]),  # an escape for some databases
    ],
)
def test_what_a_server_is_asked(filter_string: str, dialect: str, expected: list[str]) -> None:
    assert expected == asked(filter_string, dialect)


def test_a_disjunction_of_many_is_asked_as_what_all_have_in_common() -> None:
    many = " OR ".join(f"(metrics.a > {number} AND params.p = '{number}')" for number in range(1, 10))

    assert ["metrics.a > 1.0"] == asked(many, "azure")


@pytest.mark.parametrize(
    ("order_by", "dialect", "expected"),
    [
        (["metrics.a DESC"], "oss", ("metrics.a DESC", "attributes.start_time DESC", "attributes.run_id ASC")),
        (["metrics.a DESC"], "azure", ()),
        (["params.a"], "oss", ()),  # strings are ordered by the collation of a database, which nobody tells
        (["metrics.a", "params.b"], "oss", ("metrics.a ASC",)),
        ([], "azure", ("attributes.start_time DESC", "attributes.run_id ASC")),
    ],
)
def test_a_server_orders_by_numbers_times_and_ids(order_by: list[str], dialect: str, expected: tuple[str, ...]) -> None:
    plan = plan_of("", order_by, dialect="extended")

    assert expected == queries_of(plan, MATRIX.dialect(dialect)).order.entries


A, P = FieldRef(Kind.METRIC, "a"), FieldRef(Kind.PARAM, "p")


def test_a_test_of_a_number_is_told_from_another_by_their_neighbours_and_nan() -> None:
    above = entailment.Test(Predicate(A, Op.GT, 1.0))

    assert (True, True) == covers(above, [[Predicate(A, Op.GT, 1.0)]])
    assert (True, False) == covers(above, [[Predicate(A, Op.GE, 1.0)]])
    assert (False, True) == covers(entailment.Test(Predicate(A, Op.GE, 1.0)), [[Predicate(A, Op.GT, 1.0)]])
    assert (True, False) == covers(entailment.Test(Predicate(A, Op.LT, 1.0)), [[Predicate(A, Op.LT, 1.0, nan=0.0)]])
    assert (False, True) == covers(entailment.Test(Predicate(A, Op.NE, 0.0)), [[Predicate(A, Op.NE, 0.0, nan=0.0)]])


def test_strings_are_told_apart_by_the_literals_and_any_other_string() -> None:
    assert entails([Predicate(P, Op.EQ, "ab")], Predicate(P, Op.LIKE, "a%"))
    assert entails([Predicate(P, Op.IN, ("a", "b"))], Predicate(P, Op.NE, "c"))
    assert entails([Predicate(P, Op.RLIKE, "x")], Predicate(P, Op.IS_NOT_NULL, None))
    assert not entails([Predicate(P, Op.LIKE, "a%")], Predicate(P, Op.LIKE, "ab%"))
    assert not entails([Predicate(P, Op.NE, "a")], Predicate(P, Op.EQ, "b"))
    assert not entails([Predicate(A, Op.GT, 1.0)], Predicate(P, Op.IS_NOT_NULL, None))
