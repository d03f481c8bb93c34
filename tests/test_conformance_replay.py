"""What the suite says of a release of MLflow is what the one that is installed answers, case by case.

Rows, order, acceptance and error codes are compared.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import pytest

from conformance.replay import Replay, replaying
from mlquery.conformance.suite import Expectation
from tests.support.installed_mlflow import INSTALLED
from tests.support.suite import SUITE

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("conformance replay")]  # the stores of the suite are made once


_ROOT: Final = Path(__file__).parents[1]
# The cases in which an older release differs from its column on purpose, for the release that is installed.
_LISTED: Final = {
    case
    for one in tomllib.loads((_ROOT / "conformance" / "differences.toml").read_text("utf-8"))["older"]
    if INSTALLED.name in one["dialects"]
    for case in one["cases"]
}


@pytest.fixture(scope="module")
def replay() -> Iterator[Replay]:
    with replaying(SUITE, INSTALLED.name) as replay:
        yield replay


@pytest.mark.parametrize("topic", SUITE.topics)
def test_mlflow_answers_every_case_of_a_topic_as_the_suite_says(replay: Replay, topic: str) -> None:
    cases = [case for case in SUITE.cases if case.topic == topic]

    disagreeing = {case.id: found for case in cases if (found := replay.disagreements(case))}

    assert len(cases) > 0
    assert _LISTED & {case.id for case in cases} == set(disagreeing)


def test_the_replay_notices_rows_and_refusals_that_are_wrong(replay: Replay) -> None:
    cases = {case.id: case for case in SUITE.cases}
    found, refused = cases["page-runs.metric"], cases["page-runs.or"]
    wrong = Expectation(rows=("first",))

    assert 1 == len(replay.disagreements(attrs.evolve(found, expect={INSTALLED.name: wrong})))
    assert 1 == len(replay.disagreements(attrs.evolve(refused, expect={INSTALLED.name: wrong})))
    assert 1 == len(replay.disagreements(attrs.evolve(found, expect=dict(refused.expect))))
