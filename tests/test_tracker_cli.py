"""The commands about stores on disk, as they are typed."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mlquery.cli import main
from mlquery.cli.plot import curve
from mlquery.durable.opening import open as open_store
from mlquery.durable.store import DurableStore
from mlquery.entities import Dataset, DatasetInput, Metric, Param, RunTag
from mlquery.mlflow_plugin import register, uris
from tests.support.mlflow_server import wait_until_healthy

register()


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("MLQUERY_STORE", raising=False)
    yield
    uris.reset()


@pytest.fixture
def run_id() -> str:
    """Make a store in `runs.mlq` and return the id of the run "good"; there is a run "bad" too."""
    with open_store("runs.mlq", "fast", clock=lambda: 0) as store:
        tags = [RunTag("team", "risk\nand more"), RunTag("mlflow.user", "ada")]
        good = store.create_run("0", "ada", 1_000, tags, "good").info.run_id
        points = [Metric("loss", math.exp(-step / 10), 1_000 + 100 * step, step) for step in range(40)]
        store.log_batch(good, [*points, Metric("odd", math.nan, 1, 0)], [Param("lr", "0.1")], [])
        store.log_inputs(good, [DatasetInput(Dataset("sales", "d1", "local", "{}"), [])])
        store.artifacts.put(good, "notes/a.txt", b"hello")
        model = store.create_logged_model("0", "net", good)
        store.log_outputs(good, [(model.model_id, 0)])
        store.update_run_info(good, 3, 61_000, None)
        bad = store.create_run("0", "bob", 2_000, [], "bad").info.run_id
        store.log_metric(bad, Metric("loss", 9.0, 3_000, 0))
        store.update_run_info(bad, 4, 3_000, None)
    return good


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[list[str], str]:
    """Run a command and return the lines it printed and what it complained about."""
    assert code == main(arguments)
    output = capsys.readouterr()
    return output.out.splitlines(), output.err


def test_open_makes_a_store_and_says_how_to_use_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines, _ = said(capsys, "open", "mine.mlq")

    assert f"{tmp_path}/mine.mlq: 1 experiment, 0 runs, oss" == lines[0]
    assert f"for MLflow: MLFLOW_TRACKING_URI=mlquery:///{tmp_path}/mine.mlq" == lines[2]
    assert (tmp_path / "mine.mlq" / "journal.db").exists()


def test_a_list_that_is_cut_says_so(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    cut, _ = said(capsys, "runs", "--max-results", "1")
    whole, _ = said(capsys, "runs", "--max-results", "2")

    assert "(the first 1 of 2; --max-results N shows more)" == cut[-1]
    assert whole[-1].startswith("(2 runs")


def test_runs_lists_what_a_filter_finds(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = said(capsys, "runs")
    found, _ = said(capsys, "runs", "metrics.loss < 1", "--experiment", "Default", "--format", "json")

    assert ["bad", "good"] == [line.split()[1] for line in lines[1:3]]
    assert [run_id] == [run["info"]["run_id"] for run in json.loads("\n".join(found))]
    assert "(1 run; 5 more columns with --format csv)" == said(capsys, "runs", "--max-results", "1")[0][2]


def test_the_store_is_the_one_of_the_option_or_the_environment(
    run_id: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "runs.mlq").rename(tmp_path / "moved.mlq")

    _, problem = said(capsys, "runs", code=2)
    by_option, _ = said(capsys, "runs", "--store", "moved.mlq")
    monkeypatch.setenv("MLQUERY_STORE", "moved.mlq")
    by_environment, _ = said(capsys, "runs")

    assert f"mlquery: the store '{tmp_path}/runs.mlq' does not exist\n" == problem
    assert by_option == by_environment


@pytest.mark.parametrize("name", ["good", "id", "prefix"])
def test_show_says_all_that_is_known_of_a_run(name: str, run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = said(capsys, "show", {"good": "good", "id": run_id, "prefix": run_id[:8]}[name])

    text = "\n".join(lines)
    assert [
        f"good  {run_id}",
        "FINISHED, experiment 'Default', by ada, 1970-01-01 00:00:01 to 1970-01-01 00:01:01 (60 s)",
    ] == (lines[:2])
    assert "loss    0.0202419  0.0202419    1      40         39" in text
    assert "odd           nan        nan  nan       1          0" in text
    assert "lr  0.1" in text
    assert "risk·and more" in text
    assert "read dataset sales (d1)" in lines
    assert "artifact notes/a.txt (5 bytes)" in lines
    assert any(line.startswith("wrote model m-") for line in lines)


def test_a_run_that_is_not_there_or_not_the_only_one_is_said(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    with open_store("runs.mlq") as store:
        other = store.create_run("0", "me", 1, [], "good").info.run_id

    _, several = said(capsys, "show", "good", code=2)
    _, nothing = said(capsys, "show", "nobody", code=2)

    assert "'good' may be one of 2 runs" in several
    assert run_id in several
    assert other in several
    assert "has no run 'nobody'" in nothing


def test_history_plots_a_metric(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = said(capsys, "history", "good", "loss")
    by_time, _ = said(capsys, "history", run_id, "loss", "--by", "time")

    assert "loss by step (40 points)" == lines[0]
    assert lines[1].startswith("      1 ┤")
    assert 18 == len(lines)
    assert all(len(line) <= 100 for line in lines)
    assert "loss by seconds since 1970-01-01 00:00:01 (40 points)" == by_time[0]
    assert by_time[-1].split() == ["0", "3.9"]


def test_history_prints_points_and_says_which_metrics_there_are(
    run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    points, _ = said(capsys, "history", "good", "loss", "--format", "csv")
    nan, _ = said(capsys, "history", "good", "odd", "--format", "json")
    _, problem = said(capsys, "history", "good", "accuracy", code=2)

    assert ["step,timestamp,value", "0,1000,1.0"] == points[:2]
    assert [{"step": 0, "timestamp": 1, "value": "NaN"}] == json.loads("\n".join(nan))
    assert "mlquery: the run has no metric 'accuracy'; it has: loss, odd\n" == problem
    assert ["(no finite values)"] == said(capsys, "history", "good", "odd")[0][1:]


def test_a_plot_has_the_curve_where_the_numbers_say() -> None:
    rising = list(curve([0, 1, 2, 3], [0, 1, 2, 3], 16, 4))
    broken = list(curve([0, 1, 2, 3], [0, 1, math.nan, 1], 16, 4))

    assert ["3 ┤          ⣀⠔⠊", "  │      ⢀⡠⠔⠉", "1 ┤   ⣀⠔⠊⠁", "0 ┤⡠⠔⠊"] == [
        line.replace("⠀", " ") for line in rising[:4]
    ]
    assert ["  └─────────────", "   0           3"] == rising[4:]
    assert "⠀⠀⠀⠀" in broken[0]
    assert ["1e+308", "0", "-1e+308"] == [line.split()[0] for line in curve([0, 1], [-1e308, 1e308], 40, 3)][:3]
    assert ["5", "5", "5"] == [line.split()[0] for line in curve([0, 1], [5, 5], 40, 3)][:3]


def test_tail_follows_a_run_until_it_ends(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    with open_store("runs.mlq", "fast") as store:
        live = store.create_run("0", "me", 100_000, [], "live").info.run_id
        store.log_metric(live, Metric("loss", 0.5, 101_000, 1))
        timer = threading.Timer(0.3, log_the_rest, (store, live))
        timer.start()

        lines, _ = said(capsys, "tail", "--interval", "0.05")

        timer.join()
    assert [
        "1970-01-01 00:01:41  loss = 0.5  (step 1)",
        "1970-01-01 00:01:42  loss = 0.25  (step 2)",
        "param lr = 0.1",
        "tag stage = last",
        "KILLED, 1970-01-01 00:01:40 to 1970-01-01 00:01:45 (5 s)",
    ] == lines


def log_the_rest(store: DurableStore, run_id: str) -> None:
    with store.transaction():
        store.log_metric(run_id, Metric("loss", 0.25, 102_000, 2))
        store.log_param(run_id, Param("lr", "0.1"))
        store.set_tag(run_id, RunTag("stage", "last"))
        store.update_run_info(run_id, 5, 105_000, None)


def test_pull_and_push_say_what_they_did(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    pulled, _ = said(capsys, "pull", "runs.mlq", "--store", "other.mlq", "--artifacts")
    planned, _ = said(capsys, "push", "mlquery://there", "--dry-run")
    pushed, _ = said(capsys, "push", "mlquery://there")
    again, _ = said(capsys, "push", "mlquery://there")
    shown, _ = said(capsys, "show", run_id)

    assert ["2 new runs, 0 changed, 0 up to date; 42 points, 1 model, 1 file"] == pulled
    assert ["to send: 2 new runs with 42 points and 1 file, 0 changed, 1 model; 0 up to date"] == planned
    assert ["2 new runs, 0 changed, 0 up to date; 42 points, 1 model, 1 file"] == pushed
    assert ["0 new runs, 0 changed, 2 up to date; 0 points, 0 models, 0 files"] == again
    (row,) = uris.store_for("mlquery://there").store.runs.strings["run_name"].codes[:1]
    assert row >= 0
    assert any(line.endswith(" on mlquery://there") for line in shown)


def test_push_lists_what_does_not_fit(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    with open_store("runs.mlq") as store:
        store.set_tag(run_id, RunTag("long", "x" * 2000))

    planned, listed = said(capsys, "push", "mlquery://there", "--dialect", "azure", "--dry-run", code=1)
    _, refused = said(capsys, "push", "mlquery://there", "--dialect", "azure", code=1)
    sent, _ = said(capsys, "push", "mlquery://there", "--dialect", "azure", "--leave-out", "--no-artifacts")

    line = f"exceeds a limit: run {run_id}: characters in tag 'long': 2000, at most 1000"
    assert line in listed.splitlines()
    assert line in refused.splitlines()
    assert "nothing was sent; instead: --leave-out sends the rest" in refused
    assert planned[0].startswith("to send: 2 new runs")
    assert ["2 new runs, 0 changed, 0 up to date; 42 points, 0 models, 0 files"] == sent


def test_export_writes_the_tables(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = said(capsys, "export", "--format", "csv", "--out", "tables", "--filter", "attributes.run_name = 'good'")

    assert [
        "tables/experiments_latest.csv: 1 row",
        "tables/runs_latest.csv: 1 row",
        "tables/run_metrics_history.csv: 41 rows",
    ] == lines


def test_repair_says_what_it_found(run_id: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    whole, _ = said(capsys, "repair")
    file = tmp_path / "runs.mlq" / "journal.db"
    file.write_bytes(file.read_bytes().replace(b'"good"', b'"oops"', 1))

    _, problem = said(capsys, "show", "good", code=2)
    planned, _ = said(capsys, "repair", "runs.mlq", "--dry-run")
    repaired, _ = said(capsys, "repair")
    _, unknown = said(capsys, "repair", "nowhere", code=2)

    assert ["the store is intact; nothing to repair"] == whole
    assert "'mlquery repair' saves what can be saved" in problem
    assert planned == repaired[:-1]
    assert "the store is damaged: entry 2 of its journal is not what was written" == repaired[0]
    assert repaired[1].endswith("lost: 1; of no use: 0")
    assert f"placeholder for lost data: run {run_id}" == repaired[2]
    assert f"repaired; the old files are in {tmp_path}/runs.mlq/damaged-1" == repaired[3]
    assert "does not exist" in unknown


def test_ui_starts_mlflow_on_the_store(
    run_id: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[Any] = []

    def execute(program: str, command: list[str], environment: dict[str, str]) -> None:
        started.append((program, command[1:], environment["MLFLOW_TRACKING_URI"]))
        raise SystemExit(0)  # what stands after it is never reached

    monkeypatch.setattr(os, "execve", execute)

    with pytest.raises(SystemExit):
        main(["ui", "--port", "5055"])

    uri = f"mlquery:///{tmp_path}/runs.mlq"
    options = ["--host", "127.0.0.1", "--port", "5055", "--workers", "1"]
    assert [(sys.executable, ["-m", "mlflow", "server", "--backend-store-uri", uri, *options], uri)] == started
    assert f"MLflow's UI on {uri}: http://127.0.0.1:5055\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        *(["runs"], ["show", "a"], ["push", "sqlite:///x.db"], ["ui"], ["repair"], ["export"], ["compact"]),
        *(["delete", "a"], ["restore", "a"], ["rename", "a", "b"], ["tag", "a", "b=c"], ["open", "--read-only"]),
    ],
)
def test_only_open_and_pull_make_a_store(
    command: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, complaint = said(capsys, *command, "--store", "typo.mlq", code=2)

    assert f"mlquery: the store '{tmp_path}/typo.mlq' does not exist\n" == complaint
    assert not Path("typo.mlq").exists()


@pytest.mark.slow
def test_the_pages_of_the_ui_find_what_they_ask_for(run_id: str) -> None:
    with store_ui() as url:
        page = asked(f"{url}/")
        runs = json.loads(asked(f"{url}/ajax-api/2.0/mlflow/runs/search", {"experiment_ids": ["0"]}))["runs"]
        datasets = json.loads(
            asked(f"{url}/ajax-api/2.0/mlflow/experiments/search-datasets", {"experiment_ids": ["0"]})
        )
        models = json.loads(asked(f"{url}/ajax-api/2.0/mlflow/model-versions/search?filter=run_id%3D%27{run_id}%27"))
        file = asked(f"{url}/get-artifact?run_uuid={run_id}&path=notes/a.txt")

    assert b"<title>MLflow</title>" in page
    assert ["bad", "good"] == [run["info"]["run_name"] for run in runs]
    assert {"dataset_summaries": [{"experiment_id": "0", "name": "sales", "digest": "d1"}]} == datasets
    assert {} == models
    assert b"hello" == file


@contextmanager
def store_ui() -> Iterator[str]:
    """Give the URL of the UI on the store `runs.mlq`."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "mlquery", "ui", "--port", str(port)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    with (
        Path("log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        try:
            wait_until_healthy(f"http://127.0.0.1:{port}", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # what it started too


def asked(url: str, content: dict[str, Any] | None = None) -> bytes:
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        body: bytes = answer.read()
    return body


@pytest.mark.slow
def test_a_follower_that_is_interrupted_leaves_without_a_traceback(run_id: str) -> None:
    with open_store("runs.mlq") as store:
        store.create_run("0", "me", 100_000, [], "live")
    command = [sys.executable, "-m", "mlquery", "tail", "live"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)

    assert (130, b"") == (process.returncode, errors)


def test_a_store_may_be_named_by_its_uri(
    run_id: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    by_path, _ = said(capsys, "runs")
    relative, _ = said(capsys, "runs", "--store", "mlquery:///runs.mlq")
    monkeypatch.setenv("MLQUERY_STORE", f"mlquery:///{tmp_path}/runs.mlq")
    absolute, _ = said(capsys, "runs")
    opened, _ = said(capsys, "open", "mlquery:///new.mlq")

    assert by_path == relative == absolute
    assert opened[0].startswith(f"{tmp_path}/new.mlq: ")
    with pytest.raises(SystemExit):
        main(["open", "mlquery://new.mlq"])
    assert "'mlquery://new.mlq' names no store on disk; write its path, or mlquery:///PATH" in capsys.readouterr().err
    assert ["new.mlq", "runs.mlq"] == sorted(os.listdir(tmp_path))


@pytest.mark.parametrize("command", [["show"], ["history"], ["tail"]])
def test_the_runs_whose_names_begin_so_are_listed(
    command: list[str], run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_store("runs.mlq") as store:
        experiment_id = store.create_experiment("second")
        store.create_run(experiment_id, "me", 5_000, [], "goodness")
        for number in range(25):
            store.create_run("0", "me", 6_000, [], f"many {number}")
    rest = ["loss"] if command == ["history"] else []

    _, begun = said(capsys, *command, "goo", *rest, code=2)
    _, many = said(capsys, *command, "many", *rest, code=2)
    _, nothing = said(capsys, *command, "oo", *rest, code=2)

    lines = begun.splitlines()
    assert lines[0].endswith("runs.mlq has no run 'goo'; the names of these begin so:")
    assert ["goodness", "RUNNING", "1970-01-01", "00:00:05", "second"] == lines[1].split()[1:]
    assert [run_id, "good", "FINISHED", "1970-01-01", "00:00:01", "Default"] == lines[2].split()
    assert 3 == len(lines)
    assert "  and 5 more" == many.splitlines()[-1]
    assert nothing.endswith("has no run 'oo'\n")


def test_a_list_of_runs_names_their_experiments(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    with open_store("runs.mlq") as store:
        store.create_run(store.create_experiment("second"), "me", 5_000, [], "third")

    lines, _ = said(capsys, "runs")
    filtered, _ = said(capsys, "runs", "metrics.loss < 1")

    assert lines[0].split()[:5] == ["run_id", "run_name", "status", "experiment", "start_time"]
    assert ["second", "Default", "Default"] == [line.split()[3] for line in lines[1:4]]
    assert filtered[0].split()[3:] == ["experiment", "metrics.loss", "start_time"]


def test_runs_and_experiments_are_deleted_and_restored(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    with open_store("runs.mlq") as store:
        store.create_run(store.create_experiment("second"), "me", 5_000, [], "third")

    deleted, _ = said(capsys, "delete", "good", "--experiment", "second")
    left, _ = said(capsys, "runs", "--format", "json")
    _, again = said(capsys, "delete", "good", code=2)
    _, nothing = said(capsys, "delete", code=2)
    _, unknown = said(capsys, "delete", "bad", "--experiment", "thrid", code=2)
    restored, _ = said(capsys, "restore", run_id[:8], "--experiment", "1")

    assert [
        "deleted experiment 'second' with its runs; 'mlquery restore --experiment 1' undoes it",
        f"deleted run 'good' ({run_id}); 'mlquery restore {run_id}' undoes it",
    ] == deleted
    assert ["bad"] == [run["info"]["run_name"] for run in json.loads("\n".join(left))]
    assert "has no active run 'good'" in again
    assert "nothing is named; instead: ids or names of runs, or --experiment NAME" in nothing
    assert "has no experiment 'thrid'; the active ones are: 'Default'" in unknown  # and "bad" stays
    assert ["restored experiment 'second' with its runs", f"restored run 'good' ({run_id})"] == restored
    with open_store("runs.mlq") as store:
        stages = [store.get_run(run).info.lifecycle_stage for run in store.runs.ids]
        assert ["active"] * 3 == stages


def test_runs_and_experiments_are_renamed(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    renamed, _ = said(capsys, "rename", "good", "better one")
    of_experiment, _ = said(capsys, "rename", "--experiment", "Default", "first tries")
    _, both = said(capsys, "rename", "better one", "x", "--experiment", "first tries", code=2)
    _, neither = said(capsys, "rename", "x", code=2)

    assert [f"run {run_id} is now 'better one'; it was 'good'"] == renamed
    assert ["experiment 0 is now 'first tries'; it was 'Default'"] == of_experiment
    assert both == neither
    assert "a run or an experiment must be named" in both
    lines, _ = said(capsys, "show", "better one")
    assert f"better one  {run_id}" == lines[0]
    assert "experiment 'first tries'" in lines[1]


def test_tags_are_set_and_removed(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    changed, _ = said(capsys, "tag", "good", "team=fraud=2", "new=", "--remove", "mlflow.user")
    of_experiment, _ = said(capsys, "tag", "--experiment", "Default", "owner=ada")
    removed, _ = said(capsys, "tag", "--experiment", "Default", "--remove", "owner")
    _, wrong = said(capsys, "tag", "good", "team", code=2)
    _, nothing = said(capsys, "tag", "good", code=2)
    _, unknown = said(capsys, "tag", "good", "team=lost", "--remove", "none", code=2)

    assert [
        "team is now 'fraud=2'; it was 'risk\\nand more'",
        "new is now ''",
        "mlflow.user is removed; it was 'ada'",
    ] == changed
    assert (["owner is now 'ada'"], ["owner is removed; it was 'ada'"]) == (of_experiment, removed)
    assert "mlquery: 'team' is not KEY=VALUE\n" == wrong
    assert "no tag is given; instead: KEY=VALUE, or --remove KEY" in nothing
    assert "none" in unknown
    with open_store("runs.mlq") as store:
        tags = store.get_run(run_id).data.tags
        assert {"team": "fraud=2", "new": "", "mlflow.runName": "good"} == tags  # a command does all or nothing


def test_compact_says_the_sizes(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    with open_store("runs.mlq", "fast") as store:
        for number in range(3000):
            store.set_tag(run_id, RunTag("round", str(number)))
    before, _ = said(capsys, "show", "good")

    lines, _ = said(capsys, "compact")
    after, _ = said(capsys, "show", "good")

    assert before == after
    first, second = (int(line.split()[0].replace(",", "")) for line in lines)
    assert first > 3000 > 100 > second
    assert "bytes before" in lines[0]
    assert "the journal no longer has what was overwritten" in lines[1]
    with open_store("runs.mlq"):
        _, busy = said(capsys, "compact", code=2)
    assert "is open somewhere: close it first" in busy


READ = """
import sys
import mlflow
from mlquery import mlflow_plugin
from mlquery.cli import main
from mlquery.mlflow_plugin import uris

mlflow_plugin.register()
store, out = sys.argv[1:]
for command in (
    ["open"],
    ["runs", "metrics.loss < 1"],
    ["show", "good"],
    ["history", "good", "loss"],
    ["tail", "good"],
    ["export", "--format", "csv", "--out", out],
    ["push", "mlquery://there", "--dry-run"],
    ["push", "mlquery://there"],
    ["repair", "--dry-run"],
    ["repair"],
    ["pull", store],
):
    print(command[0], main([*command, "--store", store]), flush=True)
mlflow.set_tracking_uri(f"mlquery:///{store}")
print(list(mlflow.search_runs(search_all_experiments=True, filter_string="metrics.loss < 1")["tags.team"]))
print(mlflow.artifacts.load_text(f"runs:/{mlflow.search_runs(['0']).iloc[1].run_id}/notes/a.txt"))
try:
    mlflow.start_run()
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
def test_what_only_reads_works_where_nothing_can_be_written(run_id: str, tmp_path: Path) -> None:
    path, out = tmp_path / "runs.mlq", tmp_path / "out"
    out.mkdir()
    for file in path.rglob("*"):
        file.chmod(0o555 if file.is_dir() else 0o444)
    path.chmod(0o555)
    before = sorted(path.iterdir())
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1]), "COLUMNS": "100"}
    # Root, too, is then held to the modes of files.
    without_rights = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []

    done = subprocess.run(
        [*without_rights, sys.executable, "-c", READ, str(path), str(out)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=out,
    )
    assert 0 == done.returncode, done.stderr

    path.chmod(0o755)
    assert sorted(path.iterdir()) == before
    codes = [line for line in done.stdout.splitlines() if re.fullmatch(r"\w+ \d", line)]
    ends = {"open": 0, "runs": 0, "show": 0, "history": 0, "tail": 0, "export": 0, "push": 0, "pull": 2}
    assert [f"{name} {code}" for name, code in ends.items() if name not in ("pull",)] == list(dict.fromkeys(codes))[:7]
    assert ["push 0", "push 0", "repair 0", "repair 2", "pull 2"] == codes[6:]
    assert "nothing can be written there: it is open for reading only" in done.stdout
    assert "to send: 2 new runs with 42 points and 1 file" in done.stdout
    assert "2 new runs, 0 changed" in done.stdout
    assert "warning: the store cannot record this push: pushed again, it is sent again" in done.stderr
    assert "['risk\\nand more']" in done.stdout
    assert "hello" in done.stdout
    assert "MlflowException: the store" in done.stdout.splitlines()[-1]
    assert "is open for reading only" in done.stdout.splitlines()[-1]
