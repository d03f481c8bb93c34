"""`mlquery compare`: tables, CSV, JSON, Markdown and a report, from whatever `mlquery pull` accepts."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mlquery
from mlquery.cli import main
from mlquery.resources import example_database
from mlquery.server.testing import running_server
from mlquery.sync.reading import read_source
from tests.support.compared_runs import HOSTILE, run_id, seeds_of, store_of

SWEEP = str(example_database())
FIVE = ("params.seed != ''", "--from", SWEEP, "--group-by", "model", "--ignore", "seed")
BASELINE = ("--baseline", "logistic_regression-seed1")


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["compare", *arguments])
    return code, *capsys.readouterr()


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code, out, err = ran(capsys, *arguments)
    assert (0, "") == (code, err)
    return out


def test_what_differs_is_a_table_that_fits(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "100")

    lines = printed(capsys, *FIVE, *BASELINE).splitlines()

    assert "20 runs, 11 fields that differ, 9 the same; 18 more runs with --format csv:" == lines[0]
    assert lines[1].split() == ["field", "logistic_regression-seed1", "(baseline)", "random_forest-seed4"]
    assert max(map(len, lines[1:13])) <= 100
    assert "\x1b" not in "".join(lines)


def test_groups_are_ranked_and_tested(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    lines = printed(capsys, *FIVE, *BASELINE).splitlines()

    start = lines.index("accuracy by group, higher is better:")
    models = [line.split()[0].removeprefix("model=") for line in lines[start + 2 : start + 7]]

    assert ["random_forest", "gradient_boosting", "adaboost", "mlp", "logistic_regression"] == models
    assert lines[start + 1].split()[-5:] == ["its", "interval", "p", "(Holm)", "effect"]
    assert lines[start + 6].endswith("baseline")
    assert "loss by group, lower is better:" in lines


def test_the_same_numbers_come_out_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, *FIVE, *BASELINE, "--value", "best", "--format", "json"))
    store = mlquery.load(SWEEP)
    expected = mlquery.compare(
        "params.seed != ''",
        "best",
        "logistic_regression-seed1",
        ["model"],
        ["seed"],
        source=store,
    )

    assert expected.groups["mean"].tolist() == [row["mean"] for row in found["groups"]]
    assert expected.tests["p_holm"].tolist() == [row["p_holm"] for row in found["tests"]]
    assert list(expected.run_ids) == [run["run_id"] for run in found["runs"]]
    assert expected.baseline == found["baseline"]
    assert {"params.model", "metrics.accuracy"} < set(found["differs"])
    assert [] == found["warnings"]


def test_csv_has_all_runs_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(printed(capsys, *FIVE, "--format", "csv"))))

    assert 20 == len(rows)
    assert {"run_id", "duration", "params.model", "metrics.auc", "tags.framework"} < set(rows[0])


def test_markdown_shows_names_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile_on_disk(tmp_path)

    out = printed(capsys, "--from", str(tmp_path / "runs"), "--format", "md")

    rows = [line for line in out.splitlines() if line.startswith("| ")]
    assert 1 == len({row.replace("\\|", "").count("|") for row in rows})
    assert "<script>" not in out
    assert "&lt;script&gt;" in out


def hostile_on_disk(folder: Path) -> None:
    names = [name for name in HOSTILE if "\ud800" not in name]
    memory = store_of({"name": name, "tags": {name[:200]: name, "same": "a"}} for name in names)
    with mlquery.open(folder / "runs") as store:
        store.load_experiment("1", "compared")
        for row, one in enumerate(memory.runs.ids):
            run = memory.runs.run_at(row)
            store.load_run(one, "1", run_name=run.info.run_name, tags=run.data.tags, start_time=row)


@pytest.mark.parametrize("style", ["table", "csv", "json", "md"])
def test_hostile_names_are_printed_on_their_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], style: str
) -> None:
    hostile_on_disk(tmp_path)

    out = printed(capsys, "--from", str(tmp_path / "runs"), "--format", style)

    if style in ("table", "md"):
        assert "\0" not in out
        assert "\u202e" not in out
    else:
        assert "<script>alert(1)</script>" in out


def test_runs_are_ids_their_beginnings_or_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with mlquery.open(tmp_path / "runs") as store:
        store.load_experiment("1", "e")
        for one in ("abcd1" + "0" * 27, "abcd2" + "0" * 27, "f" * 32):
            store.load_run(one, "1", run_name=f"run-{one[:5]}", start_time=1)
    source = ("--from", str(tmp_path / "runs"), "--format", "csv")

    rows = list(csv.DictReader(io.StringIO(printed(capsys, "abcd1", "run-fffff", "abcd2" + "0" * 27, *source))))
    code, _, err = ran(capsys, "abcd", *source)

    assert ["abcd1", "fffff", "abcd2"] == [row["run_id"][:5] for row in rows]
    assert (2, True) == (code, err.startswith("mlquery: the run 'abcd' may be one of 2 runs"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nobody", "--from", SWEEP), "the run 'nobody' is none of the runs"),
        (("a > 1", "b > 2", "--from", SWEEP), "runs are given as one filter or as ids; instead: quote the filter"),
        (("--from", SWEEP, "--value", "best", "--value", "loss=min"), "--value is one value for all metrics"),
        (("--from", SWEEP, "--value", "bset"), "did you mean 'best'"),
        (("--from", SWEEP, "--direction", "loss"), "--direction takes METRIC=…"),
        (("--from", SWEEP, "--group-by", "modle"), "did you mean 'model'"),
        (("--from", SWEEP, "--experiment", "none"), "has no experiment named 'none'"),
        (("--from", "nowhere.db"), "nowhere.db"),
        (("--from", SWEEP, "--dialect", "azur"), "azur"),
    ],
    ids=str,
)
def test_a_command_that_cannot_be_carried_out_says_why(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = ran(capsys, *arguments)

    assert (2, "") == (code, out)
    assert message in err


def test_a_filter_that_the_dialect_refuses_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "metrics.auc <> 1", "--from", SWEEP, "--dialect", "azure")

    assert (1, "") == (code, out)
    assert "^" in err


def test_too_few_runs_are_a_warning_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(
        capsys,
        "mlp-seed1",
        "mlp-seed2",
        "adaboost-seed1",
        "--from",
        SWEEP,
        *("--ignore", "seed", "--baseline", "mlp-seed1"),
    )

    assert 0 == code
    assert "warning: no p-value for 4 of 4 tests: a test needs at least 4 runs" in err
    assert "warning" not in out


@pytest.mark.slow
def test_a_report_is_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.html"

    out = printed(capsys, "mlp-seed1", "mlp-seed2", "--from", SWEEP, "-o", str(path), "--title", "Two <seeds>")

    assert f"{path}: 2 runs\n" == out
    content = path.read_text(encoding="utf-8")
    assert "<title>Two &lt;seeds&gt;</title>" in content
    assert "http-equiv" in content


def in_terminal(*arguments: str, columns: int = 100, **environment: str) -> str:
    """Return what a command prints to a terminal."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    without = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    command = [sys.executable, "-m", "mlquery", "compare", *arguments]
    with subprocess.Popen(
        command, stdout=theirs, stderr=subprocess.DEVNULL, env=without | {"TERM": "xterm-256color"} | environment
    ) as child:
        os.close(theirs)
        parts = []
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            parts.append(part)
        child.wait()
    os.close(ours)
    assert 0 == child.returncode
    return b"".join(parts).decode()


@pytest.mark.slow
def test_a_terminal_gets_colors_unless_they_are_refused() -> None:
    arguments = ("mlp-seed1", "adaboost-seed1", "--from", SWEEP, "--baseline", "mlp-seed1")

    colored = in_terminal(*arguments)
    plain = [in_terminal(*arguments, "--no-color"), in_terminal(*arguments, NO_COLOR="1")]

    assert "\x1b[32m" in colored  # for the better
    assert "\x1b[31m" in colored  # for the worse
    assert all("\x1b[3" not in text for text in plain)
    assert "(+0.0175, +2.37 %)" in colored


@pytest.mark.slow
def test_a_table_fits_the_terminal() -> None:
    lines = in_terminal(*FIVE, *BASELINE, "--no-color", columns=90).splitlines()

    shown = [line for line in lines if "model=" in line or "metrics." in line]
    assert len(shown) > 20
    assert "…" not in "".join(shown)
    assert "2 more columns with --format json" in "".join(lines) or "3 more columns" in "".join(lines)


# --- sources ---------------------------------------------------------------------------------------------------------


def test_a_store_on_disk_is_read_and_closed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with mlquery.open(tmp_path / "runs", dialect="extended") as store:
        store.load_experiment("1", "e")
        store.load_run("a" * 32, "1", params={"lr": "1"}, start_time=1)

    found = printed(capsys, "params.lr = '1' OR params.lr = '2'", "--from", str(tmp_path / "runs"), "--format", "json")

    assert ["a" * 32] == [run["run_id"] for run in json.loads(found)["runs"]]
    with mlquery.open(tmp_path / "runs") as store:
        assert 1 == store.runs.size


@pytest.mark.slow
def test_a_server_is_copied_with_histories_models_and_nothing_of_other_experiments() -> None:
    memory = seeds_of({"a": [0.1, 0.2]})
    memory.load_experiment("2", "other")
    memory.load_run("f" * 32, "2")
    client = mlquery.Client(memory)
    for step in range(3):
        client.log_metric(run_id(0), "loss", 1 / (step + 1), timestamp=step, step=step)
    client.create_logged_model("1", "net", run_id(0), params={"n": "1"})
    steps: list[tuple[str, int, int]] = []

    with running_server(memory) as server:
        read = read_source(server.url, ["compared"], progress=lambda *step: steps.append(step))

    assert {run_id(0), run_id(1)} == set(read.runs.row_of)
    assert [1.0, 0.5, pytest.approx(1 / 3)] == read.history(run_id(0), "loss")[0].tolist()
    found = mlquery.compare("", "max", source=read)
    assert ["net"] == found.models["name"].tolist()
    assert ("runs", 2, 2) == steps[-1]


def test_a_source_that_has_no_such_experiment_is_refused() -> None:
    with pytest.raises(mlquery.StoreError, match="has no experiment named 'none'"):
        read_source(SWEEP, ["none"])
