"""`mlquery conformance --target`: reports in each format, exit codes, and what is said when something is missing."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mlquery.cli import main
from mlquery.conformance.jsonl import read_jsonl
from mlquery.language.matrix import MATRIX
from mlquery.server.testing import running_server

pytestmark = pytest.mark.slow

TIES = ["--case", "ties", "refused-or"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_server() as server:
        yield server.url


def test_the_table_counts_each_topic_and_names_the_product(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["conformance", "--target", url, "--product", "mlquery 0.1", *TIES])

    lines = capsys.readouterr().out.splitlines()
    assert 0 == code
    assert f"mlquery 0.1 at {url}, in dialect oss" == lines[0]
    assert ["topic", "pass", "fail", "refused-as-declared", "skipped", "errored"] == lines[1].split()
    assert ["all", "ties", "refused-or"] == sorted((line.split()[0] for line in lines[2:5]), key=len)


def test_json_lines_are_read_back(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["conformance", "--target", url, "--format", "jsonl", *TIES])

    (report,) = read_jsonl(capsys.readouterr().out.splitlines())
    assert 0 == code
    assert url == report.target
    assert report.passed


def test_json_has_the_totals(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["conformance", "--target", url, "--format", "json", "--case", "ties"])

    (report,) = json.loads(capsys.readouterr().out)
    assert len(report["rows"]) == report["totals"]["pass"]


def test_junit_has_a_failure_for_each_case_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with running_server(dialect="azure") as server:
        asked = ("--dialect", "oss", "--format", "junit", "--case", "ties")
        code = main(["conformance", "--target", server.tracking_uri, *asked])

    suite = ElementTree.fromstring(capsys.readouterr().out.encode())[0]
    failures = [case for case in suite.iter("testcase") if case.find("failure") is not None]
    assert 1 == code
    assert str(len(failures)) == suite.get("failures")
    assert 5 < len(failures) < 20


def test_markdown_tells_every_failure_with_the_query(capsys: pytest.CaptureFixture[str]) -> None:
    with running_server(dialect="azure") as server:
        asked = ("--dialect", "oss", "--format", "markdown", "--case", "ties.metric")
        main(["conformance", "--target", server.tracking_uri, *asked])

    printed = capsys.readouterr().out
    assert "- **ties.metric** (fail)" in printed
    assert "order\\_by: metrics.score" in printed
    assert "expected error nothing, not INVALID\\_PARAMETER\\_VALUE" in printed


def test_the_address_of_a_workspace_says_the_dialect(capsys: pytest.CaptureFixture[str]) -> None:
    with running_server(dialect="azure") as server:
        code = main(["conformance", "--target", server.tracking_uri, "--case", "ties.metric"])

    assert 0 == code
    assert "in dialect azure" in capsys.readouterr().out


def test_the_page_holds_the_report(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["conformance", "--target", url, "--format", "html", "--case", "ties.metric"])

    assert "ties.metric" in capsys.readouterr().out


def test_a_column_is_recorded(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(
        ["conformance", "--target", url, "--record", str(tmp_path / "column.toml"), "--case", "refused-or", "ties"]
    )

    column = tomllib.loads((tmp_path / "column.toml").read_text("utf-8"))
    assert 0 == code
    assert "no" == column["cells"]["join.or"]
    assert "yes" == column["cells"]["order.metric"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--case", "nothing"], "unknown case or topic 'nothing'"),
        (["--record", "x.toml"], "need a --target"),
        (["--known-deviations", "x.toml"], "need a --target"),
        (["--target", "sqlite:///nowhere.db"], "nowhere.db does not exist; instead: sqlite: without a path"),
        (
            ["--target", "http://127.0.0.1:9", "--record", "x", "--dialect", "oss", "--dialect", "azure"],
            "needs exactly one --dialect",
        ),
        (["--target", "http://127.0.0.1:9", "--known-deviations", "nowhere.toml"], "nowhere.toml"),
        (["--target", "http://127.0.0.1:9"], "127.0.0.1:9"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["conformance", *arguments])

    said = capsys.readouterr()
    assert 2 == code
    assert "" == said.out
    assert words in said.err
    assert 1 == len(said.err.splitlines())


def test_the_old_name_of_the_known_deviations_still_works(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "deviations.toml"
    path.write_text("[[leave_out]]\ncases = ['ties']\nreason = 'no order'\n", "utf-8")
    arguments = ["conformance", "--target", url, "--case", "ties.metric", "refused-or", "--format", "jsonl"]
    outputs = []

    for option in ("--tweaks", "--known-deviations"):
        assert 0 == main([*arguments, option, str(path)])
        outputs.append(capsys.readouterr())

    old, new = ([report.known_deviations for report in read_jsonl(said.out.splitlines())] for said in outputs)
    assert 1 == len(new[0])
    assert old == new
    assert ("mlquery: --tweaks is deprecated; instead: --known-deviations\n", "") == (outputs[0].err, outputs[1].err)


def test_without_mlflow_a_target_is_misuse_and_the_suite_itself_runs() -> None:
    code = "import sys; sys.modules['mlflow'] = None; from mlquery.cli import main; sys.exit(main(sys.argv[1:]))"
    python = [sys.executable, "-c", code, "conformance"]

    target = subprocess.run([*python, "--target", "sqlite:"], capture_output=True, text=True, check=False)
    itself = subprocess.run(
        [*python, "--case", "ties", "--format", "jsonl"], capture_output=True, text=True, check=False
    )

    assert (2, "") == (target.returncode, target.stdout)
    assert "mlquery: --target needs mlflow: pip install 'mlquery[mlflow]'\n" == target.stderr
    assert 0 == itself.returncode
    reports = read_jsonl(itself.stdout.splitlines())
    assert {"oss", "azure"} < {report.dialect for report in reports} <= set(MATRIX.dialects)
