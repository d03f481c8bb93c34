"""The data of a report as its page asks for it: plain filters, order, windows of runs, runs, curves and models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlquery
from mlquery.comparison.page_data import comparison_data, curves_data, importance_data
from mlquery.comparison.report_data import report_data
from mlquery.entities import Metric, Param, RunTag
from mlquery.view.encoding import packed
from tests.support.node import MISSING, NODE, Node, PageError

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not NODE, reason=MISSING), pytest.mark.xdist_group("node")]

MODELS = ["forest", "linear", "Forest", "it's", 'a "b"', "100%", "a_b", ""]
FIELDS = {
    "metrics.auc": "number",
    "metric.`two words`": "number",
    'params."two words"': "string",
    "params.model": "string",
    "tags.team": "string",
    "attributes.status": "string",
    "run_name": "string",
    "start_time": "number",
}
STRINGS = st.sampled_from([*MODELS, "FINISHED", "RUNNING", "run 3", "f%", "%or%", "_orest"])
NUMBERS = st.sampled_from(["0", "0.5", "-1", "1e-1", "1000", ".25", "1000003"])


@st.composite
def comparisons(draw: st.DrawFn) -> str:
    field = draw(st.sampled_from(sorted(FIELDS)))
    if FIELDS[field] == "number":
        return f"{field} {draw(st.sampled_from(['<', '<=', '>', '>=', '=', '!=']))} {draw(NUMBERS)}"
    value = draw(STRINGS)
    quoted = f'"{value}"' if '"' not in value and "'" in value else f"'{value}'"
    return f"{field} {draw(st.sampled_from(['=', '!=', 'LIKE', 'ILIKE', 'like']))} {quoted}"


@pytest.fixture(scope="module")
def client() -> mlquery.Client:
    client = mlquery.Client()
    experiment = client.create_experiment("filters")
    for number in range(24):
        run_id = client.create_run(experiment, run_name=f"run {number % 9}", start_time=1000 + number).info.run_id
        points = [
            Metric("auc", (number % 5) / 4, 1, 0),
            Metric("two words", -1.0 if number % 2 else 1000.0, 1, 0),
            *[Metric("loss", 1 / (step + 1 + number), 10 * step, step) for step in range(number % 4 + 1)],
        ]
        params = [Param("model", MODELS[number % len(MODELS)]), Param("seed", str(number % 3))]
        client.log_batch(run_id, points[number % 2 :], params, [RunTag("team", "a_b")] if number % 3 else [])
        if number % 4:
            client.log_param(run_id, "two words", MODELS[number % 3])
        if number % 2:
            client.set_terminated(run_id, end_time=2000 + number)
    return client


@pytest.fixture(scope="module")
def comparison(client: mlquery.Client) -> mlquery.Comparison:
    return mlquery.compare("", source=client, ignore=["seed"])


@pytest.fixture(scope="module")
def content(comparison: mlquery.Comparison) -> str:
    return packed(report_data(comparison, "Filters", "1.0"))


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    running = Node()
    yield running
    running.close()


@given(clauses=st.lists(comparisons(), max_size=3))
def test_a_plain_filter_finds_what_the_dialect_finds(
    clauses: list[str], client: mlquery.Client, content: str, node: Node
) -> None:
    filter_string = " AND ".join(clauses)
    experiments = [each.experiment_id for each in client.search_experiments()]
    expected = {run.info.run_id for run in client.search_runs(experiments, filter_string)}

    found = node.call("embedded.js", "embeddedSource.runs", content, {"filter": filter_string})

    assert expected == set(found["ids"])
    assert len(expected) == found["total"]


@pytest.mark.parametrize(
    ("filter_string", "message", "marked"),
    [
        ("metrics.auc > 0.5 OR metrics.auc < 0.1", "does not have OR", "OR"),
        ("params.model IN ('a')", "does not have IN", "IN"),
        ("metrics.auc >", "A value is missing after >", ""),
        ("metrics.auc", "An operator is missing after metrics.auc", ""),
        ("metrics.auc > 0.5 AND", "A comparison is missing", ""),
        ("params.model = forest", "params.model is a string: quote the value", "forest"),
        ("metrics.auc = '1'", "metrics.auc is a number: its value has no quotes", "'1'"),
        ("params.model > 'a'", "params.model is a string: it is compared by =, !=, LIKE, ILIKE", ">"),
        ("metrics.nothing > 1", "None of the runs has metrics.nothing", "metrics.nothing"),
        ("colour.red = 1", "colour is none of metrics, params, tags and attributes", "colour.red"),
        ("metrics.auc > 1 ; x", 'does not have ";" here', ";"),
        ("not metrics.auc > 1", "does not have NOT", "not"),
        ("metrics.auc > 0.5 metrics.auc < 1", "does not have", "metrics.auc"),
    ],
)
def test_every_other_filter_is_refused_with_what_to_write_instead(
    filter_string: str, message: str, marked: str, content: str, node: Node
) -> None:
    (found,) = node.call("embedded.js", "embeddedSource.runs", content, {"filter": filter_string})["refused"]

    assert message in found["message"]
    assert marked == filter_string[found["start"] : found["stop"]]
    assert found["instead"]
    assert "^" in found["text"]


def test_runs_come_in_windows_in_an_order_with_missing_values_last(
    comparison: mlquery.Comparison, content: str, node: Node
) -> None:
    details = {"order": [["metrics.auc", True]], "offset": 20, "limit": 10, "columns": ["metrics.auc", "params.none"]}

    found = node.call("embedded.js", "embeddedSource.runs", content, details)

    frame = comparison.to_frame().sort_values("metrics.auc", ascending=False, kind="stable", na_position="last")
    assert frame["run_id"].tolist()[20:] == found["ids"]
    assert 24 == found["total"]
    assert [None] * 4 == found["columns"]["metrics.auc"]["values"]
    assert {"kind": "string", "table": [], "codes": [-1] * 4} == found["columns"]["params.none"]


def test_the_comparison_of_a_report_is_that_of_python(comparison: mlquery.Comparison, content: str, node: Node) -> None:
    found = node.call("embedded.js", "embeddedSource.compare", content, {"run_ids": list(comparison.run_ids)})

    assert comparison_data(comparison) == found


def test_numbers_of_all_runs_say_so_where_fewer_are_chosen(
    comparison: mlquery.Comparison, content: str, node: Node
) -> None:
    some = list(comparison.run_ids[3:7])

    found = node.call("embedded.js", "embeddedSource.compare", content, {"run_ids": [*some, "unknown"]})
    importance = node.call("embedded.js", "embeddedSource.importance", content, {"run_ids": some, "metric": "auc"})

    assert some == found["run_ids"]
    assert comparison_data(comparison)["groups"] == found["groups"]
    assert "of all 24 runs of the report, not of the 4 chosen ones" in found["warnings"][-1]
    assert importance_data(comparison, "auc")["rows"] == importance["rows"]
    assert importance["warning"].endswith("Importance is of all 24 runs of the report.")


@pytest.mark.parametrize("x", ["step", "time", "relative"])
def test_curves_of_a_report_are_those_of_python_but_for_rounding(
    x: str, comparison: mlquery.Comparison, content: str, node: Node
) -> None:
    expected = curves_data(comparison, "loss", x)
    details = {"run_ids": list(comparison.run_ids), "metric": "loss", "x": x}

    found = node.call("embedded.js", "embeddedSource.curves", content, details)

    assert [run["run_id"] for run in expected["runs"]] == [run["run_id"] for run in found["runs"]]
    for one, other in zip(expected["runs"], found["runs"], strict=True):
        assert one["y"] == pytest.approx(other["y"], abs=1e-4)
        assert one["x"] == pytest.approx(other["x"], abs=0.02)
    if x == "step":
        assert [band["group"] for band in expected["bands"]] == [band["group"] for band in found["bands"]]


def test_a_metric_with_one_point_for_each_run_is_drawn_as_points(
    comparison: mlquery.Comparison, content: str, node: Node
) -> None:
    details = {"run_ids": list(comparison.run_ids), "metric": "auc"}

    found = node.call("embedded.js", "embeddedSource.curves", content, details)

    assert 12 == len(found["runs"])
    assert {(0,)} == {tuple(run["x"]) for run in found["runs"]}


def test_everything_of_a_run_is_in_a_report(client: mlquery.Client, content: str, node: Node) -> None:
    run = client.search_runs(["1"], "attributes.status = 'FINISHED' AND params.`two words` = 'forest'")[0]

    found = node.call("embedded.js", "embeddedSource.run", content, run.info.run_id)

    assert run.data.params == found["params"]
    assert run.data.metrics == found["metrics"]
    assert run.data.tags == found["tags"]
    assert run.info.start_time == found["info"]["start_time"]
    assert "filters" == found["info"]["experiment_name"]
    with pytest.raises(PageError, match="this report has no run x"):
        node.call("embedded.js", "embeddedSource.run", content, "x")


def test_known_values_come_with_how_many_runs_have_them(content: str, node: Node) -> None:
    found = node.call("embedded.js", "embeddedSource.values", content, "params.seed")

    assert {"values": [["0", 8], ["1", 8], ["2", 8]], "total": 3} == found


def test_a_report_says_what_its_filters_are_and_what_was_rounded(content: str, node: Node) -> None:
    about = node.call("embedded.js", "embeddedSource.about", content)

    assert (False, "plain", "Filters", 24) == (about["live"], about["filter"], about["title"], about["runs"])
    assert "rounded" in about["note"]
    written = {field["name"]: field["written"] for field in about["fields"]}
    assert "params.`two words`" == written["params.two words"]
    assert "attributes.status" == written["status"]


def test_models_of_a_report_are_those_of_its_runs() -> None:
    client = mlquery.Client()
    run_id = client.create_run(client.create_experiment("models")).info.run_id
    client.store.create_logged_model("1", "net", run_id, params=[Param("depth", "3")])
    node = Node()
    data: Any = packed(report_data(mlquery.compare([run_id], source=client), "Models", "1.0"))

    found = node.call("embedded.js", "embeddedSource.models", data, {})
    node.close()

    assert ["net"] == found["columns"]["name"]["table"]
    assert ["3"] == found["columns"]["params.depth"]["table"]
