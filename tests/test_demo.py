"""The demonstration runs all of the page's query examples, and shows what the library answers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from mlquery import demo, fluent
from mlquery.language.matrix import MATRIX

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lines() -> Iterator[list[str]]:
    yield list(demo.report())
    fluent.use()


def answers(lines: list[str], call: str) -> dict[str, str]:
    """Return the first line of each dialect's answer to a call."""
    start = lines.index(call) + 1
    found: dict[str, str] = {}
    for line in lines[start:]:
        if not line.startswith("  "):
            break
        names, text = line[2:12].strip(), line[14:]
        found |= {name: text for name in names.split(", ") if name}
    return found


def calls_with(piece: str) -> list[str]:
    return [call for calls in demo.QUERIES.values() for call in calls if piece in call]


@pytest.mark.parametrize(
    "piece",
    [
        "search_experiments()",
        "view_type=ViewType.ALL",
        "get_experiment_by_name(",
        "get_experiment('2')",
        "experiment_id IN (",
        "creation_time > 1655703168",
        "tags.framework = 'torch'",
        "experiment_names=",
        "experiment_ids=",
        "search_all_experiments=True",
        "order_by=['attributes.start_time DESC'])",
        "max_results=1, order_by=['attributes.start_time DESC']",
        "order_by=['attributes.duration DESC']",
        ".sort_values('metrics.accuracy', ascending=False)",
        "params.num_boost_round='100'",
        "metrics.auc>0.8",
        "tags.framework='torch'",
        "attributes.user_id = 'John Smith'",
        "attributes.status = 'Failed'",
        "attributes.creation_time > '1655703168'",
        "attributes.duration > '360000'",
        "attributes.run_id IN (",
        "output_format='list'",
        ".data.params",
        ".data.metrics",
        "get_metric_history(",
        "list_artifacts(",
        "tags.mlflow.parentRunId=",
    ],
)
def test_every_example_of_the_page_is_there_and_answered_in_both_dialects(lines: list[str], piece: str) -> None:
    shown = [answers(lines, call) for call in calls_with(piece)]

    assert len(shown) > 0
    assert all({"oss", "azure"} == set(answer) for answer in shown)


@pytest.mark.parametrize(
    "piece",
    ["experiment_names=", "metrics.auc>0.8", "'attributes.duration DESC'", "attributes.status = 'Failed'", "user_id"],
)
def test_azure_finds_runs_with_the_examples_of_its_own_page(lines: list[str], piece: str) -> None:
    (call,) = calls_with(piece)

    assert re.match(r"[1-9]\d* runs?: ", answers(lines, call)["azure"])


@pytest.mark.parametrize(
    ("piece", "feature"),
    [
        ("order_by=['metrics.accuracy DESC']", "order.metric"),
        ("order_by=['params.model']", "order.param"),
        ("order_by=['tags.framework']", "order.tag"),
        ("validation_0-logloss", "filter.metric.escaped"),
        ("tags.framework != 'torch'", "compare.text.equality"),
        ("rename_experiment", "experiment.rename"),
    ],
)
def test_what_the_matrix_denies_is_refused_by_azure_with_the_line_that_decides_and_done_by_oss(
    lines: list[str], piece: str, feature: str
) -> None:
    (call,) = calls_with(piece)

    answer = answers(lines, call)

    assert answer["azure"].startswith("refused: ")
    assert not answer["oss"].startswith("refused")
    assert f"{MATRIX.feature(feature).title} [{feature}]: " in answer["azure"]


def test_both_dialects_refuse_or(lines: list[str]) -> None:
    (call,) = calls_with(" OR ")

    assert all(answer.startswith("refused: ") for answer in answers(lines, call).values())


def test_a_query_that_runs_with_a_doubt_says_so(lines: list[str]) -> None:
    (call,) = calls_with("attributes.creation_time > '1655703168'")
    start = lines.index(call)

    assert any("warning: " in line for line in lines[start : start + 5])


def test_the_demonstration_is_short(lines: list[str]) -> None:
    assert len(lines) < 150
    assert all(len(line) < 170 for line in lines)
