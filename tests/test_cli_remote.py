"""The command line on a server: the lines of a loaded database, explanations without rows, refusals in one sentence."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator

import pytest

import mlquery
from mlquery.cli import main
from mlquery.resources import example_database
from mlquery.server.testing import running_server
from mlquery.store import Store
from tests.support.fault_proxy import fault_proxy

SWEEP = str(example_database())
QUERIES = [
    (),
    ("metrics.accuracy > 0.5 AND params.model = 'mlp'", "--order-by", "metrics.accuracy DESC", "--max-results", "7"),
    ("tags.framework LIKE 'sk%' OR status = 'FAILED'", "--order-by", "params.learning_rate"),
    ("max(metrics.loss) > 0.1 AND count(metrics.loss) > 1", "--order-by", "first(metrics.loss)"),
    ("metrics.none > 1",),
    ("NOT params.model = 'mlp'", "--experiment", "five_models"),
]


@pytest.fixture(scope="module", params=["oss", "azure"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the URL of a server with the example runs."""
    with running_server(mlquery.load(SWEEP), request.param) as server:
        yield server.url


def outcome(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    return code, *capsys.readouterr()


@pytest.mark.parametrize("query", QUERIES)
def test_a_server_gives_the_table_of_the_loaded_runs(
    url: str, query: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = outcome(capsys, "search", *query, "--from", SWEEP, "--load", "--dialect", "extended")

    assert loaded == outcome(capsys, "search", *query, "--from", url)
    assert 0 == loaded[0]


def test_a_comparison_is_that_of_the_loaded_runs(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    for asked in (
        ("params.model = 'mlp' OR params.model = 'adaboost'", "--group-by", "model", "--ignore", "seed"),
        ("random_forest-seed1", "random_forest-seed2", "--baseline", "random_forest-seed2", "--value", "mean"),
        ("4480abec", "f81594f2c9864796b87208c7e0e5b025", "--format", "json"),
    ):
        loaded = outcome(capsys, "compare", *asked, "--from", SWEEP, "--dialect", "extended")
        assert loaded == outcome(capsys, "compare", *asked, "--from", url)


def test_runs_that_are_named_are_searched_for_once(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    def asked(*words: str) -> tuple[Counter[str], tuple[int, str, str]]:
        paths = Counter[str]()

        def choose(_: str, path: str) -> str:
            paths[path.partition("?")[0].rpartition("2.0/mlflow/")[2]] += 1
            return "pass"

        with fault_proxy(url, choose) as watched:
            return paths, outcome(capsys, "compare", *words, "--from", watched)

    by_name, (code, _, _) = asked("random_forest-seed1", "random_forest-seed2", "random_forest-seed3")
    # No server has IN for names.
    assert (0, 1, 3) == (code, by_name["experiments/search"], by_name["runs/search"])
    by_id, (code, compared, _) = asked("f81594f2c9864796b87208c7e0e5b025", "f81594f2c9864796b87208c7e0e5b025")
    assert (0, 0, 0) == (code, by_id["experiments/search"], by_id["runs/search"])
    assert "adaboost-seed3" in compared


def test_an_id_need_not_be_hexadecimal(capsys: pytest.CaptureFixture[str]) -> None:
    store = Store()
    store.load_experiment("1", "jobs")
    for number in range(2):
        store.load_run(f"willing_raisin_{number}", "1", start_time=number)

    with running_server(store, "azure") as server:
        code, out, _ = outcome(
            capsys, "compare", "willing_raisin_0", "willing_raisin_1", "--from", server.url, "--format", "csv"
        )

    assert 0 == code
    assert ["willing_raisin_0", "willing_raisin_1"] == [line.partition(",")[0] for line in out.splitlines()[1:]]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("it's", 'the run "it\'s" is none of the runs'),
        ('it\'s "x"', "both kinds of quotes; instead of the name of a run: its id"),
        ("a\\", "backslash at its end"),
    ],
)
def test_any_name_of_a_baseline_is_looked_for(
    url: str, name: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = outcome(capsys, "compare", "metrics.auc > 0.9", "--baseline", name, "--from", url)

    assert 2 == code
    assert re.search(sentence, error)
    assert 1 == error.count("\n")


def test_aggregates_are_those_of_the_loaded_runs(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("count(), mean(max(metrics.accuracy))", "--by", "params.model", "--filter", "metrics.auc > 0.9")

    assert outcome(capsys, "aggregate", *asked, "--from", SWEEP) == outcome(capsys, "aggregate", *asked, "--from", url)


def test_runs_are_streamed_as_lines(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    query = ("metrics.auc > 0.9", "--from", url)
    _, lines, _ = outcome(capsys, "search", *query, "--format", "jsonl")
    _, listed, _ = outcome(capsys, "search", *query, "--format", "json")

    assert json.loads(listed) == [json.loads(line) for line in lines.splitlines()]
    assert 20 < len(lines.splitlines())


def test_an_explanation_asks_for_no_runs(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = outcome(capsys, "search", "metrics.auc > 0.9 OR metrics.auc < 0.1", "--from", url, "--explain")

    assert 0 == code
    assert "asks\n          metrics.auc > 0.9\n          metrics.auc < 0.1\n" in out
    assert "run_id  " not in out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--max-pages", "1"), "takes more than 1 page of http://127.0.0.1:"),
        (("--server-dialect", "azur"), "unknown dialect 'azur'; did you mean 'azure'?"),
        (("--server-dialect", "none.toml"), "none.toml cannot be read"),
        (("--engine", "duckdb"), "--engine reads files and tables; a server answers by itself"),
        (("--experiment", "none"), "has no experiment named 'none'"),
    ],
)
def test_a_refusal_is_one_sentence(
    url: str, options: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    query = ("search", "params.model = 'mlp' OR metrics.auc > 0.99", "--from", url)

    code, out, err = outcome(capsys, *query, *options)

    assert (2, "", 1) == (code, out, len(err.splitlines()))
    assert sentence in err


def test_what_is_about_servers_is_refused_elsewhere(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    here = outcome(capsys, "search", "--from", SWEEP, "--server-dialect", "oss")
    checked = outcome(capsys, "check", "metrics.a > 1", "--from", url)
    served = outcome(capsys, "serve", "--from", url)

    assert (2, "mlquery: --server-dialect is about servers; what is here takes every dialect\n") == here[::2]
    assert "a server is not loaded for the keys of its runs" in checked[2]
    assert "a server is not loaded but asked where it is; instead: --in-place" in served[2]
