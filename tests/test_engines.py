"""The columnar engine finds what the reference engine finds, for every plan; and both keep the laws."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import lru_cache
from itertools import product
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mlquery.engine import columnar, masks, reference
from mlquery.entities import Metric, Param, RunTag, ViewType
from mlquery.errors import QueryError
from mlquery.language.plan import FieldRef, Kind, Op, Plan, Predicate
from mlquery.language.semantics import COMPARISONS, string_test
from mlquery.query.search import check, plan_of, search_experiments, search_runs
from mlquery.store import Store
from tests.support import random_data, random_queries

VIEWS = st.sampled_from([ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL])
LIMITS = st.sampled_from([None, 1, 2, 5, 17])
EXPERIMENTS = st.sampled_from([None, frozenset("0123456"), frozenset("12"), frozenset()])
SMALL = [random_data.new_store(seed, runs) for seed, runs in [(1, 0), (2, 1), (3, 12), (4, 40)]]
LARGE = [random_data.new_store(5, 1500, rare_keys=200), random_data.new_store(6, 700, rare_keys=3)]
EVERYTHING = [str(n) for n in range(7)]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw the plan of a query in the largest language."""
    filter_string = draw(random_queries.EXTENDED_FILTERS)
    plan = plan_of(filter_string, _without_duplicates(draw), dialect="extended", view_type=draw(VIEWS))
    return attrs.evolve(plan, experiment_ids=draw(EXPERIMENTS))


def _without_duplicates(draw: Callable[[st.SearchStrategy[list[str]]], list[str]]) -> list[str]:
    order_by = draw(random_queries.EXTENDED_ORDERS)
    return order_by if check("", order_by, dialect="extended") else order_by[:1]


@pytest.mark.slow
@settings(max_examples=400)
@given(store=st.sampled_from(SMALL), plan=plans(), limit=LIMITS)
def test_both_engines_find_the_same_rows_in_the_same_order(store: Store, plan: Plan, limit: int | None) -> None:
    """Small stores: every awkward value, ties, missing keys."""
    expected = list(reference.rows(store, plan, limit))

    assert expected == columnar.rows(store, plan, limit).tolist()


@pytest.mark.slow
@settings(max_examples=60)
@given(store=st.sampled_from(LARGE), plan=plans(), limit=LIMITS)
def test_both_engines_agree_on_stores_with_sparse_keys_and_early_stops(
    store: Store, plan: Plan, limit: int | None
) -> None:
    """Stores large enough for sparse columns, growth and pages that end early."""
    expected = list(reference.rows(store, plan, limit))

    assert expected == columnar.rows(store, plan, limit).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("op", [Op.EQ, Op.NE, Op.GT, Op.GE, Op.LT, Op.LE, Op.IN, Op.NOT_IN])
@pytest.mark.parametrize("nan", [None, 0.0, 1.0])
def test_both_engines_take_nan_for_the_number_that_the_plan_says(op: Op, nan: float | None) -> None:
    """Older releases of MLflow took it for 0."""
    stores = [store for store in SMALL + LARGE if store.runs.size]
    for store, value in product(stores, (-1.0, 0.0, 0.5, 1.0)):
        listed = (value, 1e300) if op in (Op.IN, Op.NOT_IN) else value
        where = Predicate(FieldRef(Kind.METRIC, "loss"), op, listed, nan)
        plan = attrs.evolve(plan_of(), where=where, experiment_ids=None)

        expected = list(reference.rows(store, plan, None))

        assert expected == columnar.rows(store, plan, None).tolist()


@pytest.mark.slow
@settings(max_examples=100)
@given(
    size=st.integers(2000, 60_000),
    share=st.sampled_from([0, 0.001, 0.02, 0.3, 1]),
    clustered=st.booleans(),
    limit=st.integers(1, 300),
)
def test_a_page_found_in_chunks_is_the_beginning_of_all_that_pass(
    size: int, share: float, clustered: bool, limit: int
) -> None:
    base = np.arange(size)[::-1]
    passes = base < share * size if clustered else np.random.default_rng(size).random(size) < share
    expected = base[passes[base]][:limit]

    found = columnar._first_in_chunks(base, lambda rows: passes[rows], limit)

    assert expected.tolist() == found.tolist()


@pytest.mark.slow
@settings(max_examples=100)
@given(store=st.sampled_from([*SMALL[2:], LARGE[1]]), data=st.data(), limit=LIMITS)
def test_both_engines_find_listed_runs_in_the_same_order(store: Store, data: st.DataObject, limit: int | None) -> None:
    """Run ids are looked up, not compared, so they are asked for in lists, with other clauses and in other orders."""
    ids = data.draw(st.lists(st.sampled_from([*store.runs.ids, "nobody"]), min_size=1, max_size=30))
    other = data.draw(
        st.sampled_from(["", " AND metrics.acc > 0", " AND tags.team != 'a'", f" AND run_id = '{ids[0]}'"])
    )
    listed = ", ".join(f"'{run_id}'" for run_id in ids)

    plan = plan_of(f"run_id IN ({listed}){other}", _without_duplicates(data.draw), dialect="extended", view_type=3)

    assert list(reference.rows(store, plan, limit)) == columnar.rows(store, plan, limit).tolist()


@pytest.mark.slow
@settings(max_examples=150)
@given(
    st.sampled_from(SMALL),
    random_queries.filters(random_queries.EXPERIMENT_CLAUSES),
    random_queries.EXPERIMENT_ORDERS,
    VIEWS,
)
def test_both_engines_find_the_same_experiments(
    store: Store, filter_string: str, order_by: list[str], view: int
) -> None:
    """Experiments: missing times sort first, ids sort as numbers."""
    plan = plan_of(filter_string, order_by, entity="experiment", view_type=view)

    assert list(reference.rows(store, plan)) == columnar.rows(store, plan).tolist()


def _ids(store: Store, filter_string: str, **arguments: Any) -> list[str]:
    return [run.info.run_id for run in search_runs(store, EVERYTHING, filter_string, **arguments)]


STORES = st.sampled_from(SMALL)
OSS_CLAUSES = random_queries.RUN_CLAUSES
OSS_FILTERS = random_queries.filters(OSS_CLAUSES)


@pytest.mark.slow
@settings(max_examples=150)
@given(STORES, OSS_FILTERS, random_queries.RUN_ORDERS, st.integers(1, 9))
def test_all_pages_together_are_the_result(
    store: Store, filter_string: str, order_by: list[str], max_results: int
) -> None:
    """No run is lost, repeated or moved by paging."""
    if not check(filter_string, order_by):
        return
    pages, token = [], None
    while True:
        page = search_runs(store, EVERYTHING, filter_string, 3, max_results, order_by, token)
        pages.append([run.info.run_id for run in page])
        token = page.token
        if token is None:
            break

    assert _ids(store, filter_string, run_view_type=3, order_by=order_by) == [i for page in pages for i in page]
    assert all(len(page) == max_results for page in pages[:-1])


@pytest.mark.slow
@settings(max_examples=150)
@given(STORES, OSS_CLAUSES, OSS_CLAUSES)
def test_and_commutes_and_never_adds_rows(store: Store, one: str, other: str) -> None:
    """`a AND b` is `b AND a`, and finds nothing that `a` does not."""
    both = _ids(store, f"{one} AND {other}")

    assert both == _ids(store, f"{other} AND {one}")
    assert set(both) <= set(_ids(store, one))


@pytest.mark.slow
@settings(max_examples=150)
@given(STORES, OSS_FILTERS, random_queries.RUN_ORDERS)
def test_what_oss_accepts_means_the_same_in_extended(store: Store, filter_string: str, order_by: list[str]) -> None:
    """`extended` is a superset of `oss`."""
    if check(filter_string, order_by, dialect="oss"):
        assert _ids(store, filter_string, order_by=order_by) == _ids(
            store, filter_string, order_by=order_by, dialect="extended"
        )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::mlquery.errors.QueryWarning")
@settings(max_examples=150)
@given(STORES, OSS_FILTERS.filter(lambda text: "status" not in text))
def test_what_oss_and_azure_accept_finds_the_same_rows(store: Store, filter_string: str) -> None:
    """Without order_by and without statuses, whose order and case flags of the matrix change."""
    if check(filter_string, dialect="oss") and check(filter_string, dialect="azure"):
        assert set(_ids(store, filter_string)) == set(_ids(store, filter_string, dialect="azure"))


@pytest.mark.slow
@settings(max_examples=150)
@given(STORES, random_queries.EXTENDED_CLAUSES)
def test_not_is_the_complement(store: Store, clause: str) -> None:
    """`extended` has two truth values: what a clause leaves out, its NOT finds."""
    found = _ids(store, clause, dialect="extended")

    negated = _ids(store, f"NOT {clause}", dialect="extended")

    assert sorted(found + negated) == sorted(_ids(store, ""))


class WritesAndSearches(RuleBasedStateMachine):
    """Search after every kind of write: no write may leave a column, an order or a plan stale."""

    @initialize(seed=st.integers(0, 3))
    def start(self, seed: int) -> None:
        """Begin with a few runs."""
        self.store = random_data.new_store(seed, 3)
        self.store.load_experiment("50", "mine")
        self.taken: list[tuple[Any, dict[str, Any]]] = []

    def _active(self, draw_index: int) -> str | None:
        runs = search_runs(self.store, ["50"])
        return runs[draw_index % len(runs)].info.run_id if runs else None

    @rule(start_time=st.sampled_from(random_data.TIMES), team=st.sampled_from(random_data.TEXTS))
    def create_run(self, start_time: int, team: str) -> None:
        """Add a run, in or out of order."""
        self.store.create_run("50", "ann", start_time, [RunTag("team", team)], "run")

    @rule(
        n=st.integers(0, 9),
        key=st.sampled_from(random_data.METRIC_KEYS),
        value=st.sampled_from(random_data.METRIC_VALUES),
        step=st.integers(0, 2),
    )
    def log_metric(self, n: int, key: str, value: float, step: int) -> None:
        """Log a point."""
        if (run_id := self._active(n)) is not None:
            self.store.log_metric(run_id, Metric(key, value, 0, step))

    @rule(n=st.integers(0, 9), key=st.sampled_from(["lr", "new"]))
    def log_param(self, n: int, key: str) -> None:
        """Log a param that never changes."""
        if (run_id := self._active(n)) is not None:
            self.store.log_param(run_id, Param(key, f"a{key}"))

    @rule(n=st.integers(0, 9), key=st.sampled_from(random_data.TAG_KEYS), value=st.sampled_from(random_data.TEXTS))
    def set_tag(self, n: int, key: str, value: str) -> None:
        """Set or change a tag."""
        if (run_id := self._active(n)) is not None:
            self.store.set_tag(run_id, RunTag(key, value))

    @rule(n=st.integers(0, 9))
    def delete_tag(self, n: int) -> None:
        """Delete a tag that is there."""
        run_id = self._active(n)
        if run_id is not None and "team" in self.store.get_run(run_id).data.tags:
            self.store.delete_tag(run_id, "team")

    @rule(n=st.integers(0, 9), status=st.integers(1, 5), end_time=st.sampled_from(random_data.TIMES))
    def update_run(self, n: int, status: int, end_time: int) -> None:
        """End a run."""
        if (run_id := self._active(n)) is not None:
            self.store.update_run_info(run_id, status, end_time, None)

    @rule(n=st.integers(0, 9))
    def delete_run(self, n: int) -> None:
        """Delete a run."""
        if (run_id := self._active(n)) is not None:
            self.store.delete_run(run_id)

    @precondition(lambda self: self.store.runs.size)
    @rule(n=st.integers(0, 9))
    def take_run(self, n: int) -> None:
        """Keep an entity, to see later that it did not change."""
        run = self.store.runs.run_at(n % self.store.runs.size)
        self.taken.append((run, run.to_dictionary()))

    @rule()
    def continue_on_a_clone(self) -> None:
        """Continue with the copy."""
        self.store = self.store.clone()

    @rule(plan=plans(), limit=LIMITS)
    def search(self, plan: Plan, limit: int | None) -> None:
        """Ask both engines."""
        assert list(reference.rows(self.store, plan, limit)) == columnar.rows(self.store, plan, limit).tolist()

    @invariant()
    def entities_are_snapshots(self) -> None:
        """What was handed out stays as it was."""
        assert [as_taken for _, as_taken in self.taken] == [run.to_dictionary() for run, _ in self.taken] or any(
            "nan" in repr(as_taken) for _, as_taken in self.taken
        )


TestWritesAndSearches = pytest.mark.slow(WritesAndSearches.TestCase)
TestWritesAndSearches.settings = settings(max_examples=60, stateful_step_count=25)


NUMBER_FIELDS = [
    "metrics.acc",
    "metrics.`val loss`",
    "metrics.nowhere",
    "start_time",
    "end_time",
    "attributes.duration",
]
NUMBER_TESTS = [
    f"{op} {value}" for op in ("=", "!=", ">", ">=", "<", "<=") for value in ("0", "1", "-1", "0.5", "1700000000000")
]
TEXT_FIELDS = [
    "params.lr",
    "tags.team",
    "tags.nowhere",
    "status",
    "user_id",
    "run_name",
    "dataset.name",
    "dataset.context",
]
TEXT_TESTS = [
    f"{op} '{value}'"
    for op in ("=", "!=", "LIKE", "ILIKE", "NOT LIKE")
    for value in ("a", "Ann", "RUNNING", "%a%", "A_b")
]
LIST_TESTS = [f"{op} ('a', 'A', 'training', 'FAILED')" for op in ("IN", "NOT IN")]
NULL_TESTS = ["IS NULL", "IS NOT NULL"]
SYSTEMATIC_FILTERS = [
    *(f"{field} {test}" for field in NUMBER_FIELDS for test in NUMBER_TESTS + NULL_TESTS),
    *(f"{field} {test}" for field in TEXT_FIELDS for test in TEXT_TESTS + LIST_TESTS + NULL_TESTS),
    "",
]
SORTABLE = [f for f in NUMBER_FIELDS + TEXT_FIELDS if not f.startswith("dataset")]
SYSTEMATIC_ORDERS = [
    [],
    *([f"{field}{way}"] for field in SORTABLE for way in ("", " DESC")),
    ["tags.team", "metrics.acc DESC"],
]


@lru_cache
def _answers() -> list[tuple[Store, Plan, int | None, list[int]]]:
    """Return one query for every kind of test and order, and what the reference engine finds."""
    queries: list[tuple[Store, str, list[str], int | None]]
    queries = [(SMALL[-1], f, [], limit) for f in SYSTEMATIC_FILTERS for limit in (None, 3)]
    queries += [
        (store, "", o, limit) for o in SYSTEMATIC_ORDERS for store in (SMALL[-1], LARGE[1]) for limit in (None, 5)
    ]
    queries += [(LARGE[0], "metrics.acc > 0 AND tags.team != 'a'", [], limit) for limit in (1, 5, 17)]
    answers = []
    for store, filter_string, order_by, limit in queries:
        plan = plan_of(filter_string, order_by, dialect="extended", view_type=ViewType.ALL)
        answers.append((store, plan, limit, list(reference.rows(store, plan, limit))))
    return answers


def _disagrees() -> bool:
    """Tell whether the columnar engine answers any of them differently."""
    return any(columnar.rows(store, plan, limit).tolist() != rows for store, plan, limit, rows in _answers())


def _faulty(module: Any, name: str, fault: Any) -> tuple[Any, str, Any]:
    return (module, name, fault)


def _with(op: Op, compare: Any) -> dict[Op, Any]:
    return {**COMPARISONS, op: compare}


ORIGINAL = {name: getattr(columnar, name) for name in ("_first_in_chunks", "_place_missing", "_contenders", "_first")}
ORIGINAL_PASSING, ORIGINAL_RANKS = masks._passing_codes, columnar._metric_ranks
FAULTS = {
    "> is read as >=": _faulty(masks, "COMPARISONS", _with(Op.GT, operator.ge)),
    "<= is read as <": _faulty(masks, "COMPARISONS", _with(Op.LE, operator.lt)),
    "NaN equals itself": _faulty(masks, "COMPARISONS", _with(Op.EQ, lambda a, b: ~((a < b) | (a > b)))),
    "an absent metric differs": _faulty(masks, "ABSENT", 77),
    "LIKE folds case": _faulty(masks, "string_test", lambda op, v: string_test(Op.ILIKE if op is Op.LIKE else op, v)),
    "NOT IN is read as !=": _faulty(
        masks, "string_test", lambda op, v: string_test(Op.NE, v[0]) if op is Op.NOT_IN else string_test(op, v)
    ),
    "a missing string passes": _faulty(
        masks, "_passing_codes", lambda t, p: np.append(ORIGINAL_PASSING(t, p)[:-1], True)
    ),
    "missing values come first": _faulty(
        columnar,
        "_place_missing",
        lambda found, key, table: ORIGINAL["_place_missing"](found, key, table)[::-1],
    ),
    "a chunk loses a row": _faulty(
        columnar, "_first_in_chunks", lambda b, t, n: ORIGINAL["_first_in_chunks"](b[1:], t, n)
    ),
    "ties at the end of a page are cut": _faulty(
        columnar, "_contenders", lambda f, r, n: f[np.argpartition(r, n - 1)[:n]]
    ),
    "the page is one too short": _faulty(
        columnar, "_first", lambda b, t, n: ORIGINAL["_first"](b, t, n)[: None if n is None else n - 1]
    ),
    "tie-breakers are forgotten": _faulty(columnar, "_keys_beyond_default", lambda plan: list(plan.order)[:-2]),
    "descending is ignored": _faulty(columnar, "_metric_ranks", lambda c, d, n: ORIGINAL_RANKS(c, False, n)),
    "an unknown end is now": _faulty(masks, "MISSING", -1),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_seeded_fault_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The equality property is worth something: it fails for an engine with this fault."""
    _answers()
    module, name, replacement = FAULTS[fault]
    monkeypatch.setattr(module, name, replacement)

    assert _disagrees()


@pytest.mark.slow
def test_without_a_fault_the_engines_agree() -> None:
    """The other half of the test above."""
    assert not _disagrees()


def test_a_refused_query_never_reaches_an_engine() -> None:
    """A plan cannot fail, so whatever is wrong is said before."""

    def engine(*_: Any) -> Any:
        raise AssertionError("ran")

    with pytest.raises(QueryError, match=r"join\.or"):
        search_runs(SMALL[2], ["0"], "a = 1 OR b = 2", engine=engine)
    with pytest.raises(QueryError):
        search_experiments(SMALL[2], filter_string="tags.a > 'x'", engine=engine)
