"""Programs that speak JSON lines run the cases, and whatever a program does instead of answering is told and ends."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import pytest

import mlquery
from mlquery.cli import main
from mlquery.conformance.protocol import ProtocolError, disagreements_with, read_reply, run_message
from mlquery.conformance.report import KnownDeviation, Row
from mlquery.conformance.stdio import run_program
from mlquery.conformance.subprocess_client import BrokenProgramError, Program
from mlquery.conformance.suite import Suite
from mlquery.resources import data_path
from tests.support.suite import SUITE
from tests.test_conformance_schema import complaint

pytestmark = pytest.mark.slow

CASES = {case.id: case for case in SUITE.cases}
SAMPLE = f"{sys.executable} {data_path('conformance', 'stdio_sample.py')}"

# A program that answers to `start` and `dialect` and does {here} when it is to run something.
PROGRAM = """
import json, os, signal, subprocess, sys, time
for number, line in enumerate(sys.stdin):
    message = json.loads(line)
    def say(**answer):
        print(json.dumps(answer), flush=True)
    if message["cmd"] == "start":
        say(version=1, name="odd")
    elif message["cmd"] == "dialect":
        say(ok=message["dialect"] == "oss")
    elif message["cmd"] == "run":
        seq = message["seq"]
        def answer(**what):
            say(seq=seq, **what)
        {here}
    else:
        break
"""
RIGHT = {"pages": [["c", "b", "a"]]}


def few(*ids: str) -> Suite:
    return attrs.evolve(SUITE, cases=tuple(CASES[each] for each in ids))


def written(folder: Path, text: str) -> str:
    """Return the command line of a program with this text."""
    path = folder / "program.py"
    path.write_text(text, encoding="utf-8")
    return f"{sys.executable} {path}"


def told_by(folder: Path, here: str, *ids: str, timeout: float = 10.0) -> list[Row]:
    """Return what becomes of cases that are asked a program which does something when it is to run one."""
    suite = few(*(ids or ("metric-compare.greater",)))
    (report,) = run_program(written(folder, PROGRAM.replace("{here}", here)), ["oss"], suite=suite, timeout=timeout)
    return list(report.rows)


@pytest.mark.parametrize("dialect", SUITE.dialects)
def test_the_sample_answers_as_expected(dialect: str) -> None:
    # Every tenth case, and all that call something, behave as in mlquery itself.
    cases = tuple(case for number, case in enumerate(SUITE.cases) if case.calls or number % 10 == 0)

    (report,) = run_program(SAMPLE, [dialect], suite=attrs.evolve(SUITE, cases=cases), includes_silent=True)

    assert ("mlquery", mlquery.__version__, dialect) == (report.product, report.version, report.dialect)
    assert report.passed
    assert len(cases) == report.totals["pass"] + report.totals["refused-as-declared"]


def test_there_is_a_report_for_each_dialect_that_the_program_names_and_the_suite_knows(tmp_path: Path) -> None:
    introduction = {"version": 1, "name": "odd", "dialects": ["azure", "klingon", "oss"], "tweaks": ["no registry"]}
    here = PROGRAM.replace('say(version=1, name="odd")', f"say(**{introduction!r})").replace(
        "{here}", "answer(skipped='x')"
    )
    done: list[tuple[int, int]] = []

    reports = run_program(
        f"{written(tmp_path, here)} --token=secret",
        suite=few("metric-compare.greater"),
        progress=lambda *numbers: done.append(numbers),
    )

    assert ["azure", "oss"] == [report.dialect for report in reports]
    assert {(KnownDeviation("no registry", "reported by the program"),)} == {
        report.known_deviations for report in reports
    }
    assert {f"stdio: {Path(sys.executable).name} program.py"} == {report.target for report in reports}
    assert [(1, 2), (2, 2)] == done


def test_cases_of_which_no_source_speaks_are_asked_on_demand() -> None:
    suite = few("lifecycle.delete-run-view")

    (quiet,), (bold,) = (run_program(SAMPLE, ["azure"], suite=suite, includes_silent=asked) for asked in (False, True))

    assert ("no source says what azure does here: view.deleted",) == quiet.rows[0].details
    assert "skipped" == quiet.rows[0].outcome
    assert "pass" == bold.rows[0].outcome


def test_what_is_asked_fits_the_schema_and_gives_no_answer_away() -> None:
    for case in SUITE.cases[::5]:
        message = json.loads(json.dumps(run_message(1, case, SUITE.stores[case.store]), allow_nan=False))

        assert "" == complaint("stdio", message)
        assert not {"expect", "source", "cites", "fails"} & {*message["case"], *message["case"]["search"]}


def test_what_the_sample_says_fits_the_schema() -> None:
    program = Program(shlex.split(SAMPLE))
    asked = [CASES[each] for each in ("page-data.history", "lifecycle.rename", "paging.two", "registry-calls.rename")]

    try:
        said = [program.request({"cmd": "start", "version": 1}, 20.0)]
        said += [program.request({"cmd": "dialect", "dialect": "azure"}, 20.0)]
        said += [program.request(run_message(5, case, SUITE.stores[case.store]), 20.0) for case in asked]
    finally:
        program.kill()

    assert [] == [wrong for message in said if (wrong := complaint("stdio", message))]


BROKEN = [
    ("ends", "sys.exit(3)", "the program exited with code 3"),
    ("says why it ends", "sys.exit('no disk')", "code 1; its last error output: no disk"),
    ("is killed", "os.kill(os.getpid(), signal.SIGKILL)", "the program was killed by signal 9"),
    ("is silent", "time.sleep(60)", "no reply in 0.5 s"),
    ("closes its output", "os.close(1); time.sleep(60)", "the program closed its output"),
    ("greets", "print('hello', flush=True)", "a line that is not JSON: 'hello'"),
    ("sends a list", "print('[1]', flush=True)", "a line that is not a JSON object: '[1]'"),
    ("sends NaN", "print('{\"seq\": NaN}', flush=True)", "a line that is not JSON"),
    ("nests", "print('[' * 100_000, flush=True)", "a line that is not JSON: '[["),
    ("sends half a line", "print('{\"seq\"', end='', flush=True); sys.exit()", "an incomplete line: '{\"seq\"'"),
    ("sends no text", "os.write(1, bytes([255, 254, 10]))", "a line that is not JSON"),
    ("never ends a line", "[os.write(1, b'x' * 2**20) for _ in range(10**9)]", "an incomplete line: 'xxx"),
    ("babbles", "[print('la') for _ in range(10**9)]", "a line that is not JSON: 'la'"),
    ("drips", "[(os.write(1, b' '), time.sleep(0.1)) for _ in range(10**9)]", "no reply in 0.5 s"),
    ("answers another question", "say(seq=77, pages=[])", "the reply is to seq 77, not to 1"),
    ("answers no question", "say(pages=[])", "the reply is to seq None, not to 1"),
]


@pytest.mark.parametrize(("here", "reason"), [pytest.param(*rest, id=name) for name, *rest in BROKEN])
def test_a_program_that_does_not_answer_is_told_with_the_reason(here: str, reason: str, tmp_path: Path) -> None:
    timeout = 0.5 if "0.5" in reason else 10.0

    (told,) = told_by(tmp_path, here, timeout=timeout)

    assert "errored" == told.outcome
    assert reason in told.details[0]


UNFIT = [
    ("no answer", {}, "the reply has none of pages, error, skipped, errored, not one"),
    ("two answers", {"pages": [], "skipped": "x"}, "the reply has pages and skipped"),
    ("rows in no page", {"pages": ["a"]}, "a page is 'a', not a list"),
    ("a row that is no text", {"pages": [[1]]}, "a part of a page is 1, not a str"),
    ("an error without a code", {"error": {}}, "error_code is None, not a str"),
    ("an error that is a text", {"error": "BAD"}, "error is 'BAD', not a dict"),
    ("further problems that are a text", {"error": {"error_code": "A"}, "also": "x"}, "also is 'x', not a list"),
    ("a reason that is none", {"skipped": True}, "skipped is True, not a str"),
    ("ids in a list", {"pages": [], "ids": []}, "ids is [], not a dict"),
    ("an id that is a number", {"pages": [], "ids": {"a": 1}}, "the id of a is 1, not a str"),
    ("warnings that are a text", {"pages": [], "warns": "x"}, "warns is 'x', not a list"),
    ("calls that are a text", {"pages": [], "calls": "x"}, "calls is 'x', not a list"),
]


@pytest.mark.parametrize(("answer", "reason"), [pytest.param(*rest, id=name) for name, *rest in UNFIT])
def test_an_answer_of_a_wrong_shape_is_told_and_the_program_goes_on(
    answer: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    here = f"answer(**({answer!r} if seq == 1 else {RIGHT!r}))"

    first, second = told_by(tmp_path, here, "metric-compare.greater", "order.metric")

    assert "errored" == first.outcome
    assert reason in first.details[0]
    assert "errored" != second.outcome


def test_a_program_that_broke_is_started_again_for_the_next_case(tmp_path: Path) -> None:
    mark = tmp_path / "broke"
    here = f"answer(skipped='fine') if os.path.exists({str(mark)!r}) else (open({str(mark)!r}, 'w'), sys.exit(1))"

    first, second = told_by(tmp_path, here, "metric-compare.greater", "order.metric")

    assert ("errored", "skipped") == (first.outcome, second.outcome)


def test_a_program_that_breaks_again_and_again_is_asked_no_more(tmp_path: Path) -> None:
    ids = [case.id for case in SUITE.cases[:300]]

    told = told_by(tmp_path, "sys.exit(1)", *ids)

    assert 300 == len(told)
    assert {"errored"} == {each.outcome for each in told}
    assert ("not run: the program failed 5 times in a row",) == told[5].details == told[-1].details


def test_an_answer_too_many_breaks_the_next_case_and_not_the_one_behind_it(tmp_path: Path) -> None:
    here = "answer(skipped='x'); seq == 1 and answer(skipped='once more')"

    told = told_by(tmp_path, here, "metric-compare.greater", "order.metric", "metric-compare.less")

    assert ["skipped", "errored", "skipped"] == [each.outcome for each in told]
    assert ("the reply is to seq 1, not to 2",) == told[1].details


def test_a_program_that_reads_nothing_is_not_waited_for_longer_than_said(tmp_path: Path) -> None:
    start = time.monotonic()

    with pytest.raises(BrokenProgramError, match=r"no reply in 0\.3 s"):
        run_program(written(tmp_path, "import time; time.sleep(60)"), ["oss"], suite=SUITE, timeout=0.3)

    assert 5 > time.monotonic() - start


def test_a_message_larger_than_a_pipe_is_not_waited_for_either(tmp_path: Path) -> None:
    introduce = 'print(input() and \'{"version": 1, "name": "deaf"}\', flush=True)'
    speak = "print(input() and '{\"ok\": true}', flush=True)"
    command = written(tmp_path, f"import time\n{introduce}\n{speak}\ntime.sleep(60)\n")

    case = attrs.evolve(CASES["metric-compare.greater"], filter="a" * 10**6)
    (report,) = run_program(command, ["oss"], suite=attrs.evolve(SUITE, cases=(case,)), timeout=0.5)

    assert ("no reply in 0.5 s",) == report.rows[0].details


def test_a_program_may_write_to_its_standard_error_as_much_as_it_likes(tmp_path: Path) -> None:
    here = f"print('x' * 10**6, file=sys.stderr); answer(**{RIGHT!r})"

    (told,) = told_by(tmp_path, here)

    assert "errored" != told.outcome


def test_a_program_that_stays_after_stop_is_ended_and_so_is_what_it_started(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    child = f"import time\nwhile True: open({str(beat)!r}, 'w').write(str(time.time())); time.sleep(0.02)"
    here = f"subprocess.Popen([sys.executable, '-c', {child!r}]); answer(skipped='x'); time.sleep(60)"

    told_by(tmp_path, here, timeout=1.0)

    before = beat.read_text() if beat.exists() else None
    time.sleep(0.3)
    assert before == (beat.read_text() if beat.exists() else None)


def test_a_case_may_be_skipped_or_go_wrong_with_a_reason(tmp_path: Path) -> None:
    here = "answer(skipped='no registry') if seq == 1 else answer(errored='Traceback: …')"

    first, second = told_by(tmp_path, here, "metric-compare.greater", "order.metric")

    assert ("skipped", ("no registry",)) == (first.outcome, first.details)
    assert ("errored", ("Traceback: …",)) == (second.outcome, second.details)


def test_a_dialect_that_the_program_does_not_speak_is_skipped(tmp_path: Path) -> None:
    command = written(tmp_path, PROGRAM.replace("{here}", "answer(skipped='x')"))

    azure, oss = run_program(command, ["azure", "oss"], suite=few("metric-compare.greater"))

    assert ("the program does not support azure",) == azure.rows[0].details
    assert ("x",) == oss.rows[0].details


NO_PROGRAM = [
    ("there is none", "/nowhere/none", "the program cannot be started: .*No such file"),
    ("nothing is named", "", "the program cannot be started"),
    ("a quote is open", "python 'x", "is not a valid command line: No closing quotation"),
    (
        "it fails",
        f"{sys.executable} -c 'import nothing_at_all'",
        "exited with code 1; .*No module named 'nothing_at_all'",
    ),
    ("it is newer", f"""{sys.executable} -c 'print("{{\\"version\\": 2}}")'""", "speaks version 2 of the protocol"),
    ("it has no list", f"""{sys.executable} -c 'print("{{\\"version\\": 1, \\"dialects\\": 5}}")'""", "dialects is 5"),
]


@pytest.mark.parametrize(("command", "reason"), [pytest.param(*rest, id=name) for name, *rest in NO_PROGRAM])
def test_a_program_that_does_not_introduce_itself_is_no_implementation(command: str, reason: str) -> None:
    with pytest.raises(BrokenProgramError, match=reason):
        run_program(command, suite=SUITE, timeout=10.0)


def compared(case_id: str, dialect: str = "oss", **message: Any) -> list[str]:
    case = CASES[case_id]
    return disagreements_with(read_reply(message, case), case, case.expect[dialect])


def test_rows_and_their_order_are_compared() -> None:
    assert [] == compared("paging.two", pages=[["r1", "r2"], ["r3", "r4"], ["r5", "r6"], ["r7"]])
    assert ["expected pages"] == [
        found[:14] for found in compared("paging.two", pages=[["r2", "r1"], ["r3", "r4"], ["r5", "r6"], ["r7"]])
    ]


def test_of_an_error_the_details_that_are_told_are_compared() -> None:
    expected = CASES["lifecycle.rename"].expect["azure"].problems[0]

    assert [] == compared("lifecycle.rename", "azure", error={"error_code": expected.error_code})
    assert ["expected error INVALID_PARAMETER_VALUE, not INTERNAL_ERROR "] == compared(
        "lifecycle.rename", "azure", error={"error_code": "INTERNAL_ERROR"}
    )
    assert [f"expected feature {expected.feature}, not join.or"] == compared(
        "lifecycle.rename", "azure", error={"error_code": expected.error_code, "feature": "join.or"}
    )


def test_rows_that_only_ids_put_in_order_need_the_ids() -> None:
    rows = [["gamma", "quoted"]]

    assert [] == compared("experiment-times.created-greater", pages=rows, ids={"gamma": "3", "quoted": "21"})
    assert compared("experiment-times.created-greater", pages=rows, ids={"gamma": "21", "quoted": "3"})
    with pytest.raises(ProtocolError, match="lacks the ids of quoted"):
        compared("experiment-times.created-greater", pages=rows, ids={"gamma": "3"})


def test_warnings_are_compared_where_an_implementation_has_them() -> None:
    pages = [["r1", "r2"], ["r3", "r4"], ["r5", "r6"], ["r7"]]

    assert [] == compared("paging.two", "azure", pages=pages)
    assert [] == compared("paging.two", "azure", pages=pages, warns=["attribute.other"])
    assert ["expected warnings of ['attribute.other'], not []"] == compared(
        "paging.two", "azure", pages=pages, warns=[]
    )


def test_what_calls_return_and_how_they_fail_is_compared() -> None:
    history, batch = CASES["page-data.history"], CASES["writing.batch-all-or-nothing"]

    assert [] == compared(history.id, pages=[["rising"]], calls=[{"returned": [9.0, 5.0, 1.0]}])
    assert ["get_metric_history returned [9]"] == compared(history.id, pages=[["rising"]], calls=[{"returned": [9]}])
    assert ["get_metric_history returned None"] == compared(history.id, pages=[["rising"]])
    assert ["log_batch did not fail with INVALID_PARAMETER_VALUE, but succeeded"] == compared(batch.id, pages=[[]])


def test_the_command_asks_a_program_and_fails_when_a_case_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = written(tmp_path, PROGRAM.replace("{here}", "answer(pages=[['z']])"))

    codes = [
        main(["conformance", "--stdio", program, "--dialect", "oss", "--case", "two-valued"])
        for program in (SAMPLE, wrong)
    ]

    printed = capsys.readouterr().out
    assert [0, 1] == codes
    assert "mlquery 0" in printed
    assert "at stdio: " in printed
    assert "FAIL  two-valued." in printed


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--stdio", "/nowhere/none"], "the program cannot be started"),
        (["--stdio", SAMPLE, "--target", "sqlite:///a.db"], "--stdio excludes --target"),
        (["--stdio", SAMPLE, "--case", "none"], "unknown case or topic 'none'"),
    ],
)
def test_a_program_that_cannot_be_asked_is_misuse(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["conformance", *arguments])

    assert 2 == code
    assert reason in capsys.readouterr().err


def test_a_page_is_written_for_what_a_program_answers(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["conformance", "--stdio", SAMPLE, "--dialect", "oss", "--case", "ties", "--format", "html"])

    assert 0 == code
    assert capsys.readouterr().out.startswith("<!doctype html>")
