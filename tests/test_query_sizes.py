"""Queries of any size: read in time that grows with their length alone, or refused with what may be sent at most."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

import mlquery
from mlquery import Client, QueryError
from mlquery.errors import StoreError

FILTERS: dict[str, Callable[[int], str]] = {
    "a long string": lambda n: f"tags.a = '{'x' * n}'",
    "quotes in a string": lambda n: "tags.a = '" + "''" * (n // 2) + "'",
    "backslashes": lambda n: "tags.a = '" + "\\" * n + "'",
    "a quote that is never closed": lambda n: "tags.a = '" + "x" * n,
    "backticks": lambda n: "`" * n,
    "a long key": lambda n: f"metrics.`{'x' * n}` > 1",
    "a number and a letter": lambda n: f"metrics.a > {'1' * n}x",
    "one word": lambda n: "x" * n,
    "lists without IN": lambda n: " AND ".join(["tags.m = ('a','b')"] * (n // 25)),
    "clauses": lambda n: " AND ".join(["metrics.m > 0"] * (n // 20)),
    "clauses in parentheses": lambda n: " AND ".join(["(metrics.m > 0)"] * (n // 24)),
    "clauses and a mistake": lambda n: " AND ".join(["metrics.m > 0"] * (n // 20)) + " x",
}


def steps_of(filter_string: str, order_by: list[str] | None = None) -> int:
    """Return how many functions are called to read a query for the first time."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        mlquery.check(filter_string, order_by, dialect="extended")
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_that_is_four_times_as_long_takes_about_four_times_the_steps(name: str) -> None:
    make = FILTERS[name]
    mlquery.check(make(100), dialect="extended")  # imports what it needs

    short, long = (steps_of(make(n)) for n in (10_000, 40_000))

    assert long < 8 * short + 1000


@pytest.mark.parametrize("name", ["a long string", "a quote that is never closed", "a long key"])
def test_a_long_filter_takes_little_more_memory_than_its_characters(name: str) -> None:
    text = FILTERS[name](200_000)
    mlquery.check(FILTERS[name](100), dialect="extended")
    tracemalloc.start()
    try:
        mlquery.check(text, dialect="extended")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("entry", ["metrics.m{}", "max(metrics.m{})", "metrics m{}", "tags.`{}` DESC"])
def test_an_order_of_five_times_as_many_fields_takes_about_five_times_the_steps(entry: str) -> None:
    few, many = ([entry.format(i) for i in range(n)] for n in (200, 1000))
    steps_of("", few[:10])

    assert steps_of("", many) < 10 * steps_of("", few) + 1000


ENTITIES: dict[str, Callable[[Client, Any, Any], Any]] = {
    "runs": lambda client, text, order: client.search_runs(["0"], text, order_by=order),
    "experiments": lambda client, text, order: client.search_experiments(filter_string=text, order_by=order),
    "registered models": lambda client, text, order: client.search_registered_models(text, order_by=order),
    "model versions": lambda client, text, order: client.search_model_versions(text, order_by=order),
}


@pytest.mark.parametrize("dialect", ["oss", "azure", "extended"])
@pytest.mark.parametrize("entity", ENTITIES)
def test_a_query_that_is_too_large_is_refused_with_the_code_of_mlflow_and_the_limit(entity: str, dialect: str) -> None:
    client = Client(dialect=dialect)
    search = ENTITIES[entity]

    with pytest.raises(QueryError, match="more than 250,000 characters") as long:
        search(client, f"name = '{'x' * 10_000_000}'", None)
    with pytest.raises(QueryError, match=r"order_by has 10,000 entries, and at most 1,000 are read") as many:
        search(client, "", ["name"] * 10_000)
    with pytest.raises(QueryError, match=r"order_by has more than 250,000 characters") as wide:
        search(client, "", ["x" * 2_000_000])

    assert {"INVALID_PARAMETER_VALUE"} == {found.value.error_code for found in (long, many, wide)}
    assert max(len(str(found.value)) for found in (long, many, wide)) < 1000


def test_a_search_of_logged_models_that_is_too_large_is_refused_too() -> None:
    client = Client()

    with pytest.raises(StoreError, match="Invalid filter string: the filter has more than 250,000") as long:
        client.search_logged_models(["0"], filter_string="name = '" + "x" * 10_000_000 + "'")
    with pytest.raises(StoreError, match=r"order_by has 10,000 entries, and at most 1,000 are read"):
        client.search_logged_models(["0"], order_by=[{"field_name": "name"}] * 10_000)

    assert len(str(long.value)) < 2000


def test_as_many_ids_as_mlflow_takes_are_found() -> None:
    ids = ",".join(f"'{i:032x}'" for i in range(4_990))

    assert mlquery.check(f"run_id IN ({ids})")
