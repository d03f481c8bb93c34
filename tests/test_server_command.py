"""`mlquery serve` as a process of its own: what it says, how soon it answers, what it loads, how it ends."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlquery.cli import main
from mlquery.resources import example_database
from tests.support.http_calls import Api

pytestmark = pytest.mark.slow

SWEEP = example_database()


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Start the command on a free port; give the process, the line that it prints, and the URL in it."""
    command = [sys.executable, "-m", "mlquery", "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline().rstrip()
            yield process, line, line.rpartition(" on ")[2]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(10)


def test_it_says_what_it_serves_and_where() -> None:
    with serving() as (_, line, url):
        assert f"mlquery serves an empty store in dialect oss on {url}" == line
        assert url.startswith("http://127.0.0.1:")


def test_starting_and_loading_imports_nothing_heavy() -> None:
    heavy = {"mlflow", "pandas", "pyarrow", "sklearn"}
    code = (
        "import sys; from mlquery.cli import serving; serving.load(sys.argv[1], into=serving.new_store('oss'));"
        "print(*sys.modules)"
    )

    command = [sys.executable, "-c", code, str(SWEEP)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert set() == heavy & {name.partition(".")[0] for name in loaded}


def test_a_loaded_database_is_read_and_written_in_memory_only(tmp_path: Path) -> None:
    copy = Path(shutil.copy(SWEEP, tmp_path / "sweep.db"))
    before = copy.read_bytes()
    with serving("--from", str(copy)) as (_, line, url):
        api = Api(url)
        best = {"experiment_ids": ["2"], "filter": "metrics.auc > 0.99", "order_by": ["metrics.auc DESC"]}
        (first, *_) = api.post("runs/search", best).json["runs"]
        run_id = first["info"]["run_id"]
        written = api.post("runs/set-tag", {"run_id": run_id, "key": "seen", "value": "yes"}).status
        tags = api.get("runs/get", run_id=run_id).json["run"]["data"]["tags"]
        created = api.post("experiments/create", {"name": "new"}).json["experiment_id"]
        location = api.get("experiments/get", experiment_id=created).json["experiment"]["artifact_location"]
        api.close()

    assert line.startswith(f"mlquery serves 70 runs of 5 experiments from {copy} in dialect oss on ")
    assert (200, True) == (written, {"key": "seen", "value": "yes"} in tags)
    assert f"mlflow-artifacts:/{created}" == location
    assert (before, [copy]) == (copy.read_bytes(), list(tmp_path.iterdir()))


def test_the_token_and_the_dialect_are_options() -> None:
    with serving("--token", "t", "--dialect", "azure") as (_, _, url):
        api = Api(url)
        without = api.post("runs/search", {})
        search = b'{"experiment_ids": ["0"], "filter": "tags.a LIKE \'b\'"}'
        with_token = api.send(
            "POST", "runs/search", search, {"Content-Type": "application/json", "Authorization": "Bearer t"}
        )
        api.close()

    assert (401, "UNAUTHENTICATED") == (without.status, without.json["error_code"])
    assert "Operator 'LIKE' not supported for key type 'Tag'." == with_token.json["Error"]["Message"]


def test_sizes_are_options() -> None:
    with serving("--max-body", "1", "--max-artifact", "2") as (_, _, url):
        api = Api(url)
        body = api.post("runs/search", {"filter": " " * 1_100_000})
        small = api.send("PUT", "/api/2.0/mlflow-artifacts/artifacts/a", b"0" * 1_900_000)
        large = api.send("PUT", "/api/2.0/mlflow-artifacts/artifacts/a", b"0" * 2_100_000)
        api.close()

    assert (413, 200, 413) == (body.status, small.status, large.status)


def test_an_interrupt_ends_it_without_a_traceback() -> None:
    with serving() as (process, _, _):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)

    assert ("", "") == (out, err)
    assert process.returncode in (130, -signal.SIGINT)


@pytest.mark.parametrize("way", ["file", "environment"])
def test_the_token_may_come_from_where_no_list_of_processes_shows_it(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    if way == "environment":
        monkeypatch.setenv("MLQUERY_TOKEN", "s3cret")
    with serving(*(("--token-file", str(tmp_path / "token")) if way == "file" else ())) as (process, _, url):
        api = Api(url)
        replies = [
            api.send("GET", "experiments/get?experiment_id=0", None, {"Authorization": f"Bearer {token}"}).status
            for token in ("s3cret", "other")
        ]
        api.close()
        shown = process.args

    assert [200, 401] == replies
    assert "s3cret" not in str(shown)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--token", "a", "--token-file", "b"], "are two tokens"),
        (["--token-file", "no such file"], "no such file"),
        (["--token-file", "empty"], "empty holds no token"),
        (["--token", ""], "--token holds no token"),
        (["--cors-allowed-origins", "*"], "* is no origin; instead: http://localhost:3000"),
        (["--cors-allowed-origins", "http://a.example,localhost:3000"], "localhost:3000 is no origin"),
    ],
)
def test_a_token_or_an_origin_that_means_nothing_is_named(
    arguments: list[str],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_text(" \n")

    assert 2 == main(["serve", "--port", "0", *arguments])
    assert problem in capsys.readouterr().err


def test_pages_of_other_origins_are_let_in_by_an_option() -> None:
    with serving("--cors-allowed-origins", "http://localhost:3000/, https://a.example") as (_, _, url):
        api = Api(url)
        statuses = [
            api.send("POST", "/mlquery/reset", b"", {"Origin": origin}).status
            for origin in ("http://localhost:3000", "https://a.example", "http://localhost:3001")
        ]
        api.close()

    assert [200, 200, 403] == statuses


def test_whoever_serves_to_the_network_without_a_token_is_warned() -> None:
    with serving("--host", "0.0.0.0") as (process, line, _):
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)

    assert " on http://0.0.0.0:" in line
    assert "warning: anyone who can reach this address can read and write; instead: --token-file\n" == err


def test_a_port_that_is_taken_is_said_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code = main(["serve", "--port", str(taken.getsockname()[1])])

    out, err = capsys.readouterr()
    assert (2, "") == (code, out)
    assert err.startswith("mlquery: ")
    assert 1 == err.count("\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--from", "nowhere.db"],
        ["--from", "README.md"],
        ["--dialect", "none"],
        ["--host", "no such host"],
    ],
)
def test_what_cannot_be_served_is_said_in_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    code = main(["serve", "--port", "0", *arguments])

    out, err = capsys.readouterr()
    assert (2, "", 1) == (code, out, err.count("\n"))


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_misuse(capsys: pytest.CaptureFixture[str], port: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--port", port])

    assert 2 == ended.value.code
    assert f"'{port}' is not a port" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['uvicorn'] = None; from mlquery.cli import main; sys.exit(main(['serve']))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (2, "mlquery: serve needs uvicorn: pip install 'mlquery[server]'\n") == (done.returncode, done.stderr)
