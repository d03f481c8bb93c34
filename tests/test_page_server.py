"""The page over HTTP: its policy, who may ask it, what it answers about runs, and the command that opens it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlquery.cli import main
from mlquery.query.dataframe import search_frame
from mlquery.readers import load
from mlquery.resources import example_database
from mlquery.server.security import Security
from mlquery.server.testing import running_server
from mlquery.store import Store
from tests.support.http_calls import JSON, Api

pytestmark = pytest.mark.slow

SWEEP = example_database()
ACTIVE = ["0", "2", "3", "4"]
TOKEN = "open-sesame"


@pytest.fixture(scope="module")
def store() -> Store:
    return load(SWEEP)


@pytest.fixture(scope="module")
def api(store: Store) -> Iterator[Api]:
    with running_server(store) as server:
        api = Api(server.url)
        yield api
        api.close()


@pytest.fixture(scope="module")
def azure(store: Store) -> Iterator[Api]:
    with running_server(store, "azure") as server:
        api = Api(server.url)
        yield api
        api.close()


def ask(api: Api, question: str, **details: Any) -> Any:
    reply = api.post(f"/mlquery/page/{question}", details)
    assert 200 == reply.status, reply.content
    return reply.json


def strings(column: dict[str, Any]) -> list[str | None]:
    return [None if code < 0 else column["table"][code] for code in column["codes"]]


# --- what is sent ---------------------------------------------------------------------------------------------------


def test_the_page_allows_only_its_own_scripts_and_styles_and_is_shown_in_no_frame(api: Api) -> None:
    reply = api.get("/")
    policy = reply.headers["content-security-policy"]

    assert reply.headers["content-type"].startswith("text/html")
    for rule in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"):
        assert f"{rule};" in f"{policy};"
    assert "unsafe" not in policy
    assert b"<style" not in reply.content
    assert b"style=" not in reply.content


def test_assets_are_sent_once_and_then_only_when_they_change(api: Api) -> None:
    for name in ("app.js", "app.css", "LICENSES.txt"):
        first = api.get(f"/mlquery/assets/{name}")
        again = api.send("GET", f"/mlquery/assets/{name}", None, {"If-None-Match": first.headers["etag"]})

        assert (200, 304, b"") == (first.status, again.status, again.content)
        assert "nosniff" == first.headers["x-content-type-options"]


@pytest.mark.parametrize("path", ["/mlquery/assets/none.js", "/mlquery/assets/../page.py", "/mlquery/page/none"])
def test_what_the_page_does_not_have_is_a_json_404(path: str, api: Api) -> None:
    reply = api.get(path)

    assert (404, "ENDPOINT_NOT_FOUND") == (reply.status, reply.json["error_code"])


# --- who may ask ----------------------------------------------------------------------------------------------------


def test_with_a_token_the_page_is_open_and_its_data_is_not(store: Store) -> None:
    with running_server(store, security=Security(token=TOKEN)) as server:
        api = Api(server.url)
        bearing = {**JSON, "Authorization": f"Bearer {TOKEN}"}
        replies = [api.get("/"), api.get("/mlquery/assets/app.css"), api.get("/mlquery/page/about")]
        known = api.send("POST", "/mlquery/page/about", b"{}", bearing)
        api.close()

    assert [200, 200, 401] == [reply.status for reply in replies]
    assert 200 == known.status


def test_the_page_is_sent_to_no_other_name_than_the_loopback(api: Api) -> None:
    for path in ("/", "/mlquery/assets/app.js", "/mlquery/page/about"):
        assert 403 == api.send("GET", path, None, {"Host": "evil.example"}).status


def test_the_page_asks_under_any_name_of_a_server_beyond_the_loopback(store: Store) -> None:
    with running_server(store, security=Security(is_loopback=False)) as server:
        api = Api(server.url)
        headers = {**JSON, "Host": "ml.example", "Origin": "http://ml.example"}
        asked = api.send("POST", "/mlquery/page/about", b"{}", headers)
        changed = api.send("POST", "experiments/create", b'{"name": "x"}', headers)
        api.close()

    assert 200 == asked.status
    assert 403 == changed.status
    assert "access-control-allow-origin" not in asked.headers


# --- what it answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "details", "message"),
    [
        ("runs", {"filte": "x"}, "runs has no filte, only experiments, filter"),
        ("runs", {"limit": -1}, "limit of runs is not valid"),
        ("runs", {"limit": True}, "limit of runs is not valid"),
        ("runs", {"order": ["metrics.auc"]}, "order of runs is not valid"),
        ("runs", {"view": "gone"}, "view of runs is not valid"),
        ("runs", {"columns": ["nothing"]}, "nothing"),
        ("run", {}, "run must have run_id"),
        ("run", {"run_id": "nobody"}, "nobody"),
        ("compare", {"run_ids": ["nobody"]}, "nobody"),
        ("compare", {"run_ids": [], "value": "worst"}, "worst"),
    ],
)
def test_a_question_that_is_not_valid_is_refused_with_the_reason(
    question: str, details: dict[str, Any], message: str, api: Api
) -> None:
    reply = api.post(f"/mlquery/page/{question}", details)

    assert reply.status in (400, 404)
    assert message in reply.json["message"]


def test_what_is_no_json_object_is_refused(api: Api) -> None:
    for body in (b"[]", b"{", b"7"):
        assert 400 == api.send("POST", "/mlquery/page/runs", body, JSON).status


def test_about_tells_experiments_fields_and_the_words_of_the_dialect(api: Api, azure: Api) -> None:
    about, other = ask(api, "about"), ask(azure, "about")
    fields = {field["name"]: field for field in about["fields"]}

    assert {"0", "1", "2", "3", "4"} == {experiment["id"] for experiment in about["experiments"]}
    assert "metrics.`validation_0-logloss`" == fields["metrics.validation_0-logloss"]["written"]
    assert ("number", "string", "time") == tuple(
        fields[name]["kind"] for name in ("metrics.auc", "params.model", "start_time")
    )
    assert "!=" in about["language"]["operators"]["tag"]
    assert "!=" not in other["language"]["operators"]["tag"]
    assert ["AND"] == other["language"]["joins"]


def test_windows_of_runs_are_those_of_the_data_frame(store: Store, api: Api) -> None:
    query = {"filter": "metrics.auc > 0.5 AND params.model LIKE 'm%'", "order": [["metrics.auc", True]]}
    expected = search_frame(store, ACTIVE, query["filter"], order_by=["metrics.auc DESC"])  # type: ignore[arg-type]
    columns = ["run_name", "metrics.auc", "params.model", "start_time", "params.none"]

    found: list[str] = []
    for offset in range(0, 30, 7):
        answer = ask(api, "runs", **query, offset=offset, limit=7, columns=columns)
        found += answer["ids"]
        values = answer["columns"]["metrics.auc"]["values"]
        assert expected["metrics.auc"].tolist()[offset : offset + 7] == values
        assert expected["params.model"].tolist()[offset : offset + 7] == strings(answer["columns"]["params.model"])
        assert {-1} >= set(answer["columns"]["params.none"]["codes"])
        assert len(expected) == answer["total"]

    assert expected["run_id"].tolist()[:30] == found[:30]


def test_deleted_runs_and_chosen_experiments_are_windows_too(api: Api) -> None:
    deleted = ask(api, "runs", view="deleted", columns=["experiment_id"])
    chosen = ask(api, "runs", experiments=["3"], columns=["experiment_id"])

    assert deleted["total"] > 0
    assert {"3"} == set(strings(chosen["columns"]["experiment_id"]))


def test_a_refusal_says_where_what_instead_and_what_other_dialects_say(azure: Api) -> None:
    answer = ask(azure, "runs", filter="metrics.auc > '0.9' AND tags.team != 'risk'")

    number, tags = answer["refused"]
    assert (14, 19) == (number["start"], number["stop"])
    assert "metrics.auc > 0.9 AND tags.team != 'risk'" == number["fixed"]
    assert "^^^^^" in number["text"]
    assert "filter the returned DataFrame" in tags["instead"]
    assert tags["fixed"] is None
    assert {"oss", "azure:documented", "extended"} == set(answer["dialects"])
    assert ["metrics.auc is a number: write the value without quotes"] == [
        one["message"] for one in answer["dialects"]["oss"]
    ]


def test_an_order_that_the_dialect_refuses_is_told_apart_from_the_filter(azure: Api) -> None:
    answer = ask(azure, "runs", filter="metrics.auc > 0.9", order=[["metrics.auc", True]])

    assert ["order_by[0]"] == [one["argument"] for one in answer["refused"]]
    assert [] == answer["dialects"]["extended"]


def test_known_values_are_offered_the_most_frequent_first(api: Api) -> None:
    answer = ask(api, "values", field="params.model")
    counts = [count for _, count in answer["values"]]

    assert "gradient_boosting" == answer["values"][0][0]
    assert sorted(counts, reverse=True) == counts
    assert len(counts) == answer["total"]
    assert {"values": [], "total": 0} == ask(api, "values", field="metrics.auc")


def test_a_run_is_shown_with_everything_and_its_artifacts(store: Store, api: Api) -> None:
    run_id = ask(api, "runs", filter="metrics.auc > 0.9", limit=1)["ids"][0]
    api.send("PUT", f"/api/2.0/mlflow-artifacts/artifacts{artifact_path(store, run_id)}/plots/roc.png", b"12345")

    run = ask(api, "run", run_id=run_id)

    expected = store.get_run(run_id)
    assert expected.data.params == run["params"]
    assert set(expected.data.metrics) == set(run["metrics"])
    assert {"path": "plots", "is_dir": True, "size": None} in run["artifacts"]


def artifact_path(store: Store, run_id: str) -> str:
    uri = store.get_run(run_id).info.artifact_uri or ""
    return "/" + uri.partition(":")[2].lstrip("/")


def test_numbers_that_json_lacks_are_strings_and_missing_ones_are_null() -> None:
    store = Store(seed=1)
    for value in (float("nan"), float("inf"), 0.5, None):
        run = store.create_run("0", "anyone", 1, [], None)
        if value is not None:
            store.log_metric(run.info.run_id, metric("m", value))
    with running_server(store) as server:
        api = Api(server.url)
        answer = ask(api, "runs", columns=["metrics.m"])
        api.close()

    assert {"NaN", 0.5, None} < set(answer["columns"]["metrics.m"]["values"])


def metric(key: str, value: float) -> Any:
    from mlquery.entities import Metric

    return Metric(key, value, 1, 0)


# --- the command ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def viewing(*arguments: str) -> Iterator[str]:
    """Start the command; give the line that it prints."""
    command = [sys.executable, "-m", "mlquery", "view", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().rstrip()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(10)


def test_view_serves_the_page_of_a_source_and_prints_where() -> None:
    with viewing(str(SWEEP), "--no-browser", "--dialect", "azure") as line:
        api = Api(line.partition(" on ")[2].partition(" ")[0])
        about = ask(api, "about")
        page = api.get("/")
        api.close()

    assert line.startswith(f"mlquery shows {about['runs']} runs of {SWEEP} on http://127.0.0.1:")
    assert "azure" == about["dialect"]
    assert 200 == page.status


def test_view_opens_the_page_in_a_browser(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("mlquery.cli.serving.serve_socket", lambda service, security, listening, announce: announce())

    assert 0 == main(["view", str(SWEEP)])

    (url,) = opened
    assert url in capsys.readouterr().out


def test_view_reads_stores_on_disk_and_says_in_one_sentence_what_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "runs.mlq"
    assert 0 == main(["pull", "--store", str(target), str(SWEEP)])
    with viewing(str(target), "--no-browser") as line:
        api = Api(line.partition(" on ")[2].partition(" ")[0])
        assert ask(api, "runs", columns=["metrics.auc"])["total"] > 0
        api.close()

    capsys.readouterr()
    assert 2 == main(["view", str(tmp_path / "nothing"), "--no-browser"])
    assert "does not exist" in capsys.readouterr().err


def test_answers_are_json_of_bounded_size(api: Api) -> None:
    answer = ask(api, "runs", columns=["run_name", "metrics.auc"], limit=10)

    assert 10 == len(answer["ids"])
    assert len(json.dumps(answer)) < 5000
