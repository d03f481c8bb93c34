"""The command line: what it prints, on which stream, and the exit code it ends with."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlquery import Store, aggregate, load
from mlquery.cli import main
from mlquery.cli.aggregates import FORMATS
from mlquery.client import Client
from mlquery.resources import example_database
from mlquery.tables.runs import runs_table

SWEEP = str(example_database())
TUNED = "metrics.accuracy > 0.9 AND params.model = 'gradient_boosting'"


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "mlquery", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code = main(arguments)
    out, err = capsys.readouterr()
    assert (0, "") == (code, err)
    return out


def failed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    assert out == ""
    return code, err


def found_by_mlflow(tmp_path: Path, **query: Any) -> Any:
    """Return what MLflow's client finds in a copy of the example database; opening it may migrate the copy."""
    import mlflow
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    copy = shutil.copy(SWEEP, tmp_path / "sweep.db")
    store = SqlAlchemyStore(f"sqlite:///{copy}", str(tmp_path / "artifacts"))
    experiments = [e.experiment_id for e in store.search_experiments()]
    try:
        client = mlflow.MlflowClient(f"sqlite:///{copy}")
        return client.search_runs(experiments, **query)
    finally:
        store.engine.dispose()


# --- search ----------------------------------------------------------------------------------------------------------


def test_search_prints_the_runs_that_mlflows_own_client_finds(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    order = ["metrics.accuracy DESC", "params.learning_rate"]
    theirs = found_by_mlflow(tmp_path, filter_string=TUNED, order_by=order)

    table = printed(capsys, "search", TUNED, "--from", SWEEP, "--order-by", order[0], "--order-by", order[1])

    rows = [line.split()[0] for line in table.splitlines()[1:-1]]
    assert [r.info.run_id for r in theirs] == rows
    assert len(rows) > 3


def test_the_table_shows_the_fields_of_the_query_before_all_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")

    table = printed(capsys, "search", TUNED, "--from", SWEEP, "--max-results", "2")

    header, *rows, footer = table.splitlines()
    assert ["run_id", "run_name", "status", "start_time", "metrics.accuracy", "params.model"] == header.split()[:6]
    assert 2 == len(rows)
    assert footer.startswith("(2 runs")


def test_csv_is_the_data_frame_of_search_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "search", TUNED, "--from", SWEEP, "--format", "csv", "--experiment", "my_experiment")

    rows = list(csv.DictReader(io.StringIO(text)))
    assert ["run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time"] == list(rows[0])[:6]
    assert {"gradient_boosting"} == {row["params.model"] for row in rows}
    assert all(float(row["metrics.accuracy"]) > 0.9 for row in rows)


def test_json_is_valid_json_even_where_a_metric_is_not_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "search", "run_name = 'one-class fold'", "--from", SWEEP, "--format", "json")

    (found,) = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert "one-class fold" == found["info"]["run_name"]
    assert "NaN" == found["data"]["metrics"]["auc"]


def test_all_pages_are_printed_unless_a_number_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    everything = printed(capsys, "search", "--from", SWEEP, "--format", "csv").splitlines()
    five = printed(capsys, "search", "--from", SWEEP, "--format", "csv", "--max-results", "5").splitlines()

    assert 5 == len(five) - 1
    assert [line.split(",")[0] for line in everything[:6]] == [line.split(",")[0] for line in five]


def test_deleted_runs_are_looked_for_in_deleted_experiments_too(capsys: pytest.CaptureFixture[str]) -> None:
    def experiments(view: str) -> set[str]:
        text = printed(capsys, "search", "--from", SWEEP, "--format", "csv", "--view", view)
        return {row["experiment_id"] for row in csv.DictReader(io.StringIO(text))}

    assert {"2", "3", "4"} == experiments("active")
    assert {"1", "2"} == experiments("deleted")
    assert {"1", "2", "3", "4"} == experiments("all")


def test_experiments_are_chosen_by_name_and_by_id(capsys: pytest.CaptureFixture[str]) -> None:
    by_name = printed(capsys, "search", "--from", SWEEP, "--experiment", "neural_networks", "--format", "json")
    by_id = printed(capsys, "search", "--from", SWEEP, "--experiment-id", "3", "--format", "json")

    assert by_name == by_id
    assert {"3"} == {run["info"]["experiment_id"] for run in json.loads(by_id)}


def test_nothing_found_is_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert "(0 runs)\n" == printed(capsys, "search", "metrics.auc > 2", "--from", SWEEP)
    assert "[]\n" == printed(capsys, "search", "metrics.auc > 2", "--from", SWEEP, "--format", "json")


def test_a_refused_search_underlines_the_text_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = failed(capsys, "search", "attributes.duration > 5", "--from", SWEEP)

    assert 1 == code
    assert "    attributes.duration > 5\n    ^^^^^^^^^^^^^^^^^^^" in shown


def test_a_warning_goes_to_standard_error_and_the_rows_to_standard_output() -> None:
    done = run("search", "attributes.creation_time > '1655703168'", "--from", SWEEP, "--dialect", "azure")

    assert 0 == done.returncode
    assert done.stderr.startswith(b"warning: ")
    assert b"run_id" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "no/such.db"),
        ("--from", "README.md"),
        ("--from", "tests"),
        ("--from", SWEEP, "--experiment", "no such"),
        ("--from", SWEEP, "--experiment-id", "99"),
        ("--from", SWEEP, "--dialect", "klingon"),
    ],
)
def test_a_source_or_name_that_does_not_exist_is_one_sentence_and_ends_with_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[1])

    code, shown = failed(capsys, "search", *arguments)

    assert 2 == code
    assert shown.startswith("mlquery: ")
    assert 1 == len(shown.splitlines())


@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 4096, b"SQLite format 3\x00" + b"\x00\xff" * 4096])
def test_a_damaged_database_is_one_sentence_and_ends_with_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes
) -> None:
    source = tmp_path / "damaged.db"
    source.write_bytes(content)

    code, shown = failed(capsys, "search", "--from", str(source))

    assert 2 == code
    assert "damaged.db" in shown
    assert 1 == len(shown.splitlines())


def test_a_database_cut_short_is_one_sentence_and_ends_with_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    whole = Path(SWEEP).read_bytes()
    source = tmp_path / "cut.db"
    source.write_bytes(whole[: len(whole) // 2])

    code, shown = failed(capsys, "search", "--from", str(source))

    assert 2 == code
    assert 1 == len(shown.splitlines())


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("frobnicate",),
        ("search", "metrics.a > 1"),
        ("search", "--from", SWEEP, "--view", "some"),
        ("search", "--from", SWEEP, "--max-results", "0"),
        ("search", "--from", SWEEP, "--max-results", "-1"),
        ("search", "--from", SWEEP, "--max-results", "٣"),
        ("matrix", "--format", "table"),
    ],
)
def test_misuse_shows_the_usage_and_ends_with_2(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert 2 == ended.value.code
    assert capsys.readouterr().err.startswith("usage: mlquery")


def test_the_table_shows_functions_of_histories_that_the_query_names(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    query = ("max(metrics.auc) > 0.99 AND at(metrics.auc, 3) IS NULL", "--order-by", "argmax(metrics.auc) DESC")

    table = printed(capsys, "search", *query, "--from", SWEEP, "--dialect", "extended", "--max-results", "3")

    header, *rows, _ = table.splitlines()
    assert all(f"{name}(metrics.auc" in header for name in ("max", "at", "argmax"))
    steps = [int(row[header.index("argmax") :].split()[0]) for row in rows]
    assert steps == sorted(steps, reverse=True)


# --- aggregate -------------------------------------------------------------------------------------------------------

AGGREGATES = ("aggregate", "count(), mean(metrics.auc), max(argmax(metrics.auc)), min(start_time)", "--from", SWEEP)


def by_model() -> list[list[Any]]:
    """Return model, number of runs and mean of each group of the example, in order, from all runs."""
    groups: dict[str, list[float]] = {}
    client = Client(load(SWEEP))
    for found in client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=1000):
        groups.setdefault(found.data.params.get("model", ""), []).append(found.data.metrics.get("auc", math.nan))
    named = sorted(groups.items(), key=lambda group: (not group[0], group[0]))
    known = [(name, len(values), [v for v in values if v == v]) for name, values in named]
    return [[name, size, sum(values) / len(values) if values else None] for name, size, values in known]


def test_aggregate_prints_a_group_a_line_in_four_formats(capsys: pytest.CaptureFixture[str]) -> None:
    table, text, records, markdown = (
        printed(capsys, *AGGREGATES, "--by", "params.model", "--format", name)
        for name in ("table", "csv", "json", "md")
    )

    expected = by_model()
    header, *lines, footer = table.splitlines()
    assert ["params.model", "count()", "mean(metrics.auc)"] == header.split()[:3]
    assert f"({len(expected)} groups)" == footer
    assert [str(size) for _, size, _ in expected] == [
        line.split()[name != ""] for (name, *_), line in zip(expected, lines, strict=True)
    ]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(name, str(size)) for name, size, _ in expected] == [(row["params.model"], row["count()"]) for row in rows]
    for (name, size, mean), record in zip(expected, json.loads(records), strict=True):
        assert (name or None, size) == (record["params.model"], record["count()"])
        assert mean is record["mean(metrics.auc)"] or abs(mean - record["mean(metrics.auc)"]) < 1e-12
    assert ["| --- | --: | --: | --: | --: |"] == markdown.splitlines()[1:2]
    assert len(expected) + 2 == len(markdown.splitlines())


def test_aggregate_takes_a_filter_a_dialect_and_experiments(capsys: pytest.CaptureFixture[str]) -> None:
    options = (
        "--filter",
        "metrics.accuracy > 0.9",
        "--dialect",
        "oss",
        "--experiment",
        "my_experiment",
        "--format",
        "csv",
    )

    found = printed(capsys, "aggregate", "count()", "--from", SWEEP, *options)

    runs = printed(
        capsys, "search", "metrics.accuracy > 0.9", "--from", SWEEP, "--experiment", "my_experiment", "--format", "csv"
    )
    assert ["count()", str(len(runs.splitlines()) - 1)] == found.split()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("maen(metrics.auc)", "--from", SWEEP), 1, "instead: mean(metrics.auc)"),
        (("count()", "--by", "params.my-key", "--from", SWEEP), 1, "instead: params.`my-key`"),
        (("mean(max(metrics.auc))", "--from", SWEEP, "--dialect", "azure"), 1, "[history.max]"),
        (("count()", "--from", "nowhere.db"), 2, "does not exist"),
        (("count()", "--from", SWEEP, "--dialect", "azur"), 2, "did you mean 'azure'?"),
        (("count()", "--from", SWEEP, "--experiment", "nope"), 2, "has no experiment named 'nope'"),
    ],
)
def test_a_mistake_in_aggregate_is_named(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, message: str
) -> None:
    found, error = failed(capsys, "aggregate", *arguments)

    assert found == code
    assert message in error


def test_aggregate_keeps_markdown_and_json_whole() -> None:
    store = Store()
    for number, name in enumerate(["a|b", "x\ny", "NaT"]):
        store.load_run(f"{number:032x}", "0", params={"p": name}, metrics={"m": (math.inf, 0, 0)})
    frame = aggregate(store, "max(metrics.m), mean(metrics.none)", ["params.p"])

    markdown, records = list(FORMATS["md"](frame)), json.loads("".join(FORMATS["json"](frame)))

    assert ["| NaT | inf |  |", "| a\\|b | inf |  |", "| x\u00b7y | inf |  |"] == markdown[2:]
    assert {"params.p": "NaT", "max(metrics.m)": "Infinity", "mean(metrics.none)": None} == records[0]


# --- check and explain -----------------------------------------------------------------------------------------------


def test_check_gives_a_verdict_per_dialect_and_ends_with_1_if_one_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["check", "--order-by", "metrics.loss ASC", "--dialect", "oss", "--dialect", "azure"])

    shown = capsys.readouterr().out
    assert 1 == code
    assert shown.startswith("oss: accepted\nazure: refused\norder_by[0]: ")
    assert "    metrics.loss ASC\n    ^^^^^^^^^^^^" in shown


def test_check_ends_with_0_if_all_dialects_accept(capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, "check", "metrics.auc > 0.8", "--dialect", "oss", "--dialect", "azure")

    assert "oss: accepted\nazure: accepted\n" == shown


def test_check_asks_about_experiments_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert "oss: accepted\n" == printed(capsys, "check", "name LIKE 'a%'", "--entity", "experiment")
    assert 1 == main(["check", "metrics.auc > 0.8", "--entity", "experiment"])


def test_explain_says_what_a_query_means(capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, "explain", "metric.auc > 0.8", "--order-by", "start_time")

    assert "auc" in shown
    assert "start_time" in shown


def test_explain_refuses_what_the_dialect_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["explain", "metrics.auc > 0.8 OR metrics.auc < 0.1"])

    shown = capsys.readouterr().out
    assert 1 == code
    assert "refused" in shown
    assert "OR" in shown


# --- standard input --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("text", [b"", b"\n", b"metrics.auc > 0.8", b"metrics.auc > 0.8\n", b"metrics.auc > 0.8\r\n"])
def test_a_dash_reads_the_filter_from_standard_input(text: bytes) -> None:
    done = run("check", "-", stdin=text)

    assert (0, b"oss: accepted\n", b"") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("text", [b"\x00", b"\xff\xfe\x80", b" ", bytes(range(256)), b"(" * 5000, b"'" * 100_000])
def test_garbage_on_standard_input_is_refused_without_a_traceback(text: bytes) -> None:
    done = run("check", "-", stdin=text)

    assert 1 == done.returncode
    assert done.stdout.startswith(b"oss: refused\nfilter_string: ")
    assert b"" == done.stderr


def test_standard_input_that_is_closed_is_misuse(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)

    code, message = failed(capsys, "check", "-")

    assert (2, "mlquery: the filter '-' is read from standard input, which is closed\n") == (code, message)


def test_an_argument_that_is_no_text_is_refused_without_a_traceback() -> None:
    done = subprocess.run(
        [sys.executable.encode(), b"-m", b"mlquery", b"check", b"params.a = '\xff'"], capture_output=True, check=False
    )

    assert 1 == done.returncode
    assert b"Traceback" not in done.stderr


# --- the matrix and the program --------------------------------------------------------------------------------------


def test_the_matrix_comes_in_three_formats(capsys: pytest.CaptureFixture[str]) -> None:
    markdown = printed(capsys, "matrix").splitlines()
    rows = list(csv.DictReader(io.StringIO(printed(capsys, "matrix", "--format", "csv"))))
    data = json.loads(printed(capsys, "matrix", "--format", "json"))

    assert any(line.startswith("|") and "azure" in line for line in markdown)
    assert len(rows) > 15
    assert data


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m mlquery search --from {SWEEP} --format json | head -c 1; echo ${{PIPESTATUS[0]}}"

    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)

    assert (b"[0\n", b"") == (done.stdout, done.stderr)


def test_the_module_is_the_same_program() -> None:
    import mlquery

    done = run("--version")

    assert (0, f"mlquery {mlquery.__version__}\n") == (done.returncode, done.stdout.decode())


# --- the table -------------------------------------------------------------------------------------------------------


def client_with(**tags: str) -> Client:
    client = Client()
    run = client.create_run("0", start_time=0, run_name="a")
    for key, value in tags.items():
        client.set_tag(run.info.run_id, key, value)
    return client


def test_columns_that_do_not_fit_are_counted_and_left_out() -> None:
    runs = client_with(long="x" * 30, short="y").search_runs(["0"])

    *lines, footer = runs_table(runs, (), width=100)

    assert all(len(line) <= 100 for line in lines)
    assert "more column" in footer


def test_the_table_stays_one_line_per_run_whatever_a_value_holds() -> None:
    runs = client_with(note="first\nsecond\x1b[31m", long="x" * 300).search_runs(["0"])

    header, row, _ = runs_table(runs, ["tags.note", "tags.long"], width=300)

    assert "first·second·[31m" in row
    assert "x" * 39 + "…" in row
    assert "tags.note" in header
    assert row.isprintable()


def test_a_time_that_no_calendar_holds_is_shown_as_the_number_it_is() -> None:
    client = Client()
    client.create_run("0", start_time=2**62)

    _, row, _ = runs_table(client.search_runs(["0"]), (), width=200)

    assert str(2**62) in row
