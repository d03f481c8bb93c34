"""Every conformance case gives the expected answer in every dialect, on both engines."""

from __future__ import annotations

import pytest

from mlquery.conformance import Outcome, run
from mlquery.conformance.inprocess import ENGINES, Sessions, result_of
from mlquery.conformance.suite import Suite
from mlquery.language.matrix import MATRIX
from tests.support.suite import SUITE

pytestmark = pytest.mark.xdist_group("conformance cases")  # all cases are run once


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return run(MATRIX.dialects, suite=SUITE)


@pytest.mark.parametrize("dialect", MATRIX.dialects)
@pytest.mark.parametrize("topic", SUITE.topics)
def test_every_case_of_a_topic_gives_the_expected_answer_on_both_engines(
    outcomes: list[Outcome], topic: str, dialect: str
) -> None:
    asked = [o for o in outcomes if o.case.topic == topic and o.dialect == dialect]

    assert {"reference", "columnar"} == {o.engine for o in asked}
    assert [] == [str(o) for o in asked if not o.passed]


def test_a_run_asks_every_case_in_every_dialect_on_every_engine(outcomes: list[Outcome]) -> None:
    expected = {(c.id, d, e) for c in SUITE.cases for d in MATRIX.dialects for e in ENGINES}

    assert expected == {(o.case.id, o.dialect, o.engine) for o in outcomes}
    assert len(expected) == len(outcomes)


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
