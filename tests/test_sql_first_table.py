"""A search of MLflow's tables in SQLite begins where it is short; the runs found are the same wherever it begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import attrs
import pytest

from mlquery.conformance.engines import MIRRORS
from mlquery.engine import reference
from mlquery.language.plan import FieldRef, Kind
from mlquery.query.search import plan_of
from mlquery.sql.dialects.postgres import POSTGRES
from mlquery.sql.layouts.first_table import FirstTable, first_table
from mlquery.sql.session import Session, read
from mlquery.sql.source import Source
from mlquery.store import Store

RUNS, OTHERS = 60, 3


@pytest.fixture(scope="module")
def store() -> Store:
    """Return a store of runs with some keys in common, many of their own, and one that few of them have."""
    store = Store(seed=1)
    for experiment_id in "01":
        store.load_experiment(experiment_id, f"experiment {experiment_id}")
    for number in range(RUNS):
        few = {"few": (float(number), 0, 0)} if number < 3 else {}
        store.load_run(
            f"{number:032x}",
            "1" if number % 10 == 9 else "0",
            start_time=number,
            metrics={"loss": (number % 7, 0, 0), **few, **{f"m{number}.{n}": (0.5, 0, 0) for n in range(OTHERS)}},
            params={"opt": ("adam", "sgd")[number % 2], **{f"p{number}.{n}": "x" for n in range(2 * OTHERS)}},
            tags={"team": "a"} if number % 3 else {},
        )
    return store


@pytest.fixture(scope="module")
def source(store: Store) -> Iterator[Source]:
    with MIRRORS["sqlite"]() as mirror:
        yield mirror.source(store)


def chosen(source: Source, filter_string: str, experiment_id: str | None = None) -> FirstTable | None:
    ids = None if experiment_id is None else frozenset({experiment_id})
    plan = attrs.evolve(plan_of(filter_string), experiment_ids=ids)
    return read(source.engine, lambda session: first_table(plan, source.layout, session))


def whole(kind: Kind, key: str) -> FirstTable:
    return FirstTable(FieldRef(kind, key), is_read_whole=True)


def by_index(kind: Kind, key: str) -> FirstTable:
    return FirstTable(FieldRef(kind, key), is_read_whole=False)


@pytest.mark.parametrize(
    ("filter_string", "expected"),
    [
        ("metrics.loss > 3", whole(Kind.METRIC, "loss")),  # one row in four has the key: too many for look-ups
        ("metrics.few > 0", by_index(Kind.METRIC, "few")),
        ("metrics.loss > 3 AND metrics.few > 0", by_index(Kind.METRIC, "few")),
        ("params.opt = 'sgd' AND metrics.loss > 3", whole(Kind.METRIC, "loss")),  # the shorter table
        ("metrics.gone > 0", by_index(Kind.METRIC, "gone")),
        ("tags.team = 'a' AND metrics.loss > 3", whole(Kind.TAG, "team")),
        ("", None),
        ("attributes.status = 'FINISHED'", None),
        (f"attributes.run_id = '{5:032x}' AND metrics.loss > 3", None),  # found at once
        (f"attributes.run_id IN ('{5:032x}') AND metrics.loss > 3", None),
    ],
)
def test_a_search_begins_with_the_key_that_takes_the_least_to_find(
    filter_string: str, expected: FirstTable | None, source: Source
) -> None:
    assert expected == chosen(source, filter_string)


def test_a_search_of_few_runs_begins_with_them(source: Source) -> None:
    assert whole(Kind.METRIC, "loss") == chosen(source, "metrics.loss > 3", "0")
    assert FirstTable() == chosen(source, "metrics.loss > 3", "1")
    assert FirstTable() == chosen(source, "metrics.loss > 3", "99")
    assert by_index(Kind.METRIC, "few") == chosen(source, "metrics.few > 0", "0")


@pytest.mark.parametrize(
    "filter_string",
    [
        "metrics.loss > 3",
        "metrics.loss != 3 AND metrics.few > 0",
        "params.opt = 'sgd' AND metrics.loss > 3 AND tags.team LIKE 'a%'",
        "metrics.gone > 0",
        "metrics.few >= 0 AND params.opt != 'sgd'",
    ],
)
@pytest.mark.parametrize("experiment_id", [None, "0", "1"])
@pytest.mark.parametrize("order", ["metrics.few DESC", "metrics.loss", "params.opt DESC", "attributes.start_time"])
def test_the_runs_found_are_those_of_the_reference_page_by_page(
    filter_string: str, order: str, experiment_id: str | None, store: Store, source: Source
) -> None:
    ids = None if experiment_id is None else frozenset({experiment_id})
    plan = attrs.evolve(plan_of(filter_string, [order]), experiment_ids=ids)
    expected = [store.runs.ids[row] for row in reference.rows(store, plan)]
    found: list[str] = []
    after = None

    while True:
        page = source.page(plan, 4, after)
        found += [page.store.runs.ids[row] for row in page.rows]
        after = page.next
        if after is None:
            break

    assert expected == found == source.ids(plan)
    assert len(expected) == source.count(plan)


def test_the_statement_reads_tables_in_the_order_chosen(source: Source) -> None:
    plan = plan_of("params.opt = 'sgd' AND metrics.loss > 3", ["metrics.few"])

    lines = source.described(source.statement(plan, 10))

    assert ["SCAN j0", "SEARCH j1", "SEARCH r", "SEARCH j2"] == [line.partition(" USING")[0] for line in lines[:4]]
    plan = attrs.evolve(plan, experiment_ids=frozenset({"1"}))

    lines = source.described(source.statement(plan, 10))

    assert ["SCAN r", "SEARCH j0", "SEARCH j1", "SEARCH j2"] == [line.partition(" USING")[0] for line in lines[:4]]


def test_a_system_with_statistics_is_not_asked_for_sizes(source: Source) -> None:
    session = Session(POSTGRES, None, lambda *_: pytest.fail("it was asked"), nullcontext)

    assert first_table(plan_of("metrics.loss > 3"), source.layout, session) is None
