"""Every conformance case gives the expected answer in every dialect, on both engines."""

from __future__ import annotations

from functools import cache

import pytest

from mlquery.conformance import Outcome, run
from mlquery.conformance.inprocess import ENGINES, Sessions, result_of
from mlquery.conformance.suite import Suite
from mlquery.language.matrix import MATRIX
from tests.support.suite import SUITE

pytestmark = pytest.mark.xdist_group("conformance cases")  # the cases of a dialect are run once


# The columns of releases and of a service to the letter repeat most of what the others say.
DIALECTS = [pytest.param(name, marks=[pytest.mark.slow] if ":" in name else []) for name in MATRIX.dialects]


@cache
def outcomes_of(dialect: str) -> list[Outcome]:
    return run([dialect], suite=SUITE)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("topic", SUITE.topics)
def test_every_case_of_a_topic_gives_the_expected_answer_on_both_engines(topic: str, dialect: str) -> None:
    asked = [o for o in outcomes_of(dialect) if o.case.topic == topic]

    assert {"reference", "columnar"} == {o.engine for o in asked}
    assert [] == [str(o) for o in asked if not o.passed]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_run_asks_every_case_on_every_engine(dialect: str) -> None:
    outcomes = outcomes_of(dialect)

    expected = {(c.id, dialect, e) for c in SUITE.cases for e in ENGINES}
    assert expected == {(o.case.id, o.dialect, o.engine) for o in outcomes}
    assert len(expected) == len(outcomes)


def test_a_run_that_names_no_dialects_asks_those_of_today() -> None:
    outcomes = run(suite=few_cases())

    assert {"oss", "azure", "azure:documented", "extended"} == {o.dialect for o in outcomes}


def test_a_run_may_be_of_some_dialects_and_engines() -> None:
    small = few_cases()

    outcomes = run(["azure"], ["reference"], suite=small)

    assert [("azure", "reference")] * len(small.cases) == [(o.dialect, o.engine) for o in outcomes]


@pytest.mark.parametrize(
    ("dialects", "engines", "message"),
    [
        (["mysql"], None, r"unknown dialect 'mysql'\. Known dialects: oss, azure, .*"),
        (None, ["turbo"], r"unknown engine 'turbo'; use reference or columnar"),
    ],
)
def test_a_run_of_something_unknown_is_refused(
    dialects: list[str] | None, engines: list[str] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(dialects, engines, suite=few_cases())


def few_cases() -> Suite:
    return Suite(SUITE.cases[:3], SUITE.stores, SUITE.topics, SUITE.dialects)


def test_a_case_that_calls_something_works_on_a_store_of_its_own() -> None:
    case = next(case for case in SUITE.cases if case.id == "lifecycle.delete-run")
    sessions = Sessions(SUITE.stores)
    first = sessions.session(case, MATRIX.dialect("oss"), "columnar")
    second = sessions.session(case, MATRIX.dialect("oss"), "columnar")

    result_of(case, first)

    assert "deleted" == first.client.get_run(first.ids["run.active"]).info.lifecycle_stage
    assert "active" == second.client.get_run(second.ids["run.active"]).info.lifecycle_stage
