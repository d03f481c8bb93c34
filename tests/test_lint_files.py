"""`mlquery lint` on files and notebooks: what it reads, prints and writes, and that its fixes change nothing else."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import nbformat
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlquery.cli import main
from mlquery.language.matrix import MATRIX
from mlquery.language.rules import rules
from mlquery.lint.documents import Document, document_of
from mlquery.lint.fixing import fixed
from mlquery.lint.linting import Linted, Options, lint
from mlquery.lint.notebooks import python_of

TRAPS: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "traps.toml").read_text(encoding="utf-8"))["trap"]
HEAD = "import mlflow\nfrom mlflow import MlflowClient\nclient = MlflowClient()\n"
BAD = f"{HEAD}client.search_runs(['1'], \"status = 'Finished'\")\n"
GOOD = BAD.replace("Finished", "FINISHED")
BROKEN = "import mlflow\nmlflow.search_runs((\n"


def lint_with(*dialects: str) -> Any:
    options = Options(tuple(map(MATRIX.dialect, dialects or ["oss"])))
    return lambda document: lint(Path("program"), document, options)


def fix(document: Document, *dialects: str) -> tuple[Linted, int]:
    run = lint_with(*dialects)
    return fixed(run(document), run)


def program(text: str) -> Document:
    return document_of(text, is_notebook=False)


def notebook(*cells: str, **settings_of_writing: Any) -> str:
    """Return a notebook with code cells as nbformat writes it, an output and a text between them."""
    new: Any = nbformat.v4
    written = [new.new_markdown_cell("mlflow.search_runs(filter_string='status =')")]
    written += [new.new_code_cell(cell, outputs=[new.new_output("stream", text="é\n")]) for cell in cells]
    text: str = new.writes(new.new_notebook(cells=written), **settings_of_writing)
    return text


FIXES = [
    ("status = 'Finished'", "status = 'FINISHED'"),
    ("metrics.a > 1 and attributes.status != 'failed '", "metrics.a > 1 and attributes.status != 'FAILED'"),
    ("metrics.a > '0.5' AND start_time < '1700000000000'", "metrics.a > 0.5 AND start_time < 1700000000000"),
    ("params.a = 5 AND tags.b = 1.50", "params.a = '5' AND tags.b = '1.50'"),
    ("params.model = tree", "params.model = 'tree'"),
    ("tags.a = 'O''Neil'", 'tags.a = "O\'Neil"'),
    ("tags.a = 'O\\'Neil'", 'tags.a = "O\'Neil"'),
    ("params.a == 'x' AND metrics.b <> 1", "params.a = 'x' AND metrics.b != 1"),
    ("metrics.a > 1, params.b = 'x'", "metrics.a > 1 AND params.b = 'x'"),
    ("metrics.a > 1&&params.b = 'x'", "metrics.a > 1 AND params.b = 'x'"),
    ("metrics.a > 1 params.b = 'x'", "metrics.a > 1 AND params.b = 'x'"),
    ("metrics.a > 1AND params.b = 'x'", "metrics.a > 1 AND params.b = 'x'"),
    ("Metrics.a > 1 AND attributes.Status = 'FINISHED'", "metrics.a > 1 AND status = 'FINISHED'"),
    ("start_time > 1700000000", "start_time > 1700000000000"),
    ("tags.a LIKE '*b*'", "tags.a LIKE '%b%'"),
]
UNFIXED = [
    "params.a = params.b",
    "params.lr > '0.1'",
    "start_time > yesterday",
    "status = 'done'",
    "tags.a = 'O''Neil said \"no\"'",
    "metrics.a > 1 OR metrics.b > 1",
    "params.a = 'x' AND params.a = 'y'",
    "tags.mlflow.runname = 'x'",
]


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\")


LITERALS: dict[str, Callable[[str], str]] = {
    "plain": repr,
    "formatted": lambda text: f"f{text!r}",
    "long": lambda text: f'"""{escaped(text)} """',
    "long and formatted": lambda text: f"f'''{escaped(text)} '''",
    "joined": lambda text: f"('' \n  '''{escaped(text)} ''')",
    "raw": lambda text: f'r"""{text} """',
}


@pytest.mark.parametrize("literal", LITERALS)
@pytest.mark.parametrize(("written", "right"), FIXES)
def test_a_certain_fix_is_applied_in_any_literal(written: str, right: str, literal: str) -> None:
    text = f"{HEAD}client.search_runs(['1'], {LITERALS[literal](written)})  # é\n"
    before = lint_with()(program(text))
    after, count = fix(program(text))

    names: dict[str, Any] = {}
    call = after.document.text.rpartition("search_runs")[2].partition("  # é")[0]
    exec(f"arguments = (lambda *a: a){call}", names)
    if literal == "raw" and '"' in right:
        assert written == names["arguments"][1].strip()  # no quote can be written there with certainty
    else:
        assert right == names["arguments"][1].strip()
    assert len(before.findings) - len(after.findings) == count
    assert 0 == fix(after.document)[1]


@pytest.mark.parametrize("written", UNFIXED)
def test_what_is_not_certain_is_left_alone(written: str) -> None:
    text = f"{HEAD}client.search_runs(['1'], {written!r})\n"
    after, count = fix(program(text))

    assert (text, 0) == (after.document.text, count)
    assert after.findings


def test_nothing_but_the_fix_changes_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    bytes_before = ("\ufeff# é\r\n" + BAD.replace("\n", "\r\n") + "x = 'status = \\'Finished\\''\t \r\n\f").encode()
    path.write_bytes(bytes_before)

    assert 0 == main(["lint", "--fix", str(path)])
    assert bytes_before.replace(b"Finished'\")", b"FINISHED'\")") == path.read_bytes()


def test_a_file_in_another_encoding_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_bytes(f"# -*- coding: latin-1 -*-\n# é\n{BAD}".encode("latin-1"))

    main(["lint", "--fix", str(path)])
    assert f"# -*- coding: latin-1 -*-\n# é\n{GOOD}".encode("latin-1") == path.read_bytes()


def test_what_the_encoding_of_a_file_lacks_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    text = f"# coding: latin-1\n{HEAD}client.search_runs(['1'], \"tags.a = 'O''Neil \\u20ac'\")\n"
    path.write_text(text, encoding="latin-1")

    assert 1 == main(["lint", "--fix", str(path)])
    assert text == path.read_text(encoding="latin-1")


def test_a_value_that_other_code_may_use_is_not_changed() -> None:
    text = f"{HEAD}STATUS = 'Finished'\nclient.search_runs(['1'], f\"status = '{{STATUS}}'\")\n"

    assert text == fix(program(text))[0].document.text


def test_a_filter_in_a_constant_is_fixed_there() -> None:
    calls = "client.search_runs(['1'], FILTER)\nclient.search_runs(['2'], FILTER)\n"
    text = f"{HEAD}FILTER = \"status = 'Finished'\"\n{calls}"

    assert text.replace("Finished", "FINISHED") == fix(program(text))[0].document.text


@pytest.mark.parametrize("trap", TRAPS, ids=[f"{number}-{trap['code']}" for number, trap in enumerate(TRAPS, 1)])
def test_the_fix_of_a_trap_leaves_nothing_and_is_done_once(trap: dict[str, Any]) -> None:
    dialect = trap.get("dialect", "oss")
    after, count = fix(program(HEAD + trap["program"].replace("«", "")), dialect)

    assert count == 1 - len(after.findings)
    again, no_more = fix(after.document, dialect)
    assert (after.document.text, 0) == (again.document.text, no_more)
    if not rules()[trap["code"]].fixable:
        assert 0 == count


CLAUSES = st.sampled_from([written for written, _ in FIXES] + UNFIXED)
JOINTS = st.sampled_from([" AND ", " and ", " ", ", ", " && ", "AND "])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(CLAUSES, JOINTS), min_size=1, max_size=3), st.sampled_from(sorted(LITERALS)), st.booleans())
def test_fixes_never_add_a_finding_and_are_done_once(
    clauses: list[tuple[str, str]], literal: str, is_notebook: bool
) -> None:
    written = "".join(clause + joint for clause, joint in clauses).removesuffix(clauses[-1][1])
    text = f"{HEAD}client.search_runs(['1'], {LITERALS[literal](written)})\n"
    document = document_of(notebook(text), is_notebook=True) if is_notebook else program(text)
    before = lint_with("oss", "azure")(document)
    after, count = fix(document, "oss", "azure")

    assert len(after.findings) == len(before.findings) - count
    assert 0 == fix(after.document, "oss", "azure")[1]
    assert (after.document.text == document.text) == (count == 0)


@pytest.mark.parametrize("is_ascii", [True, False])
def test_nothing_but_the_fix_changes_in_a_notebook(is_ascii: bool, tmp_path: Path) -> None:
    cells = (
        f"%pip install mlflow\n# é 😀\n{BAD}",
        "filter = \"params.a == 'é'\"",
        "mlflow.search_runs(filter_string=filter)",
    )
    text = notebook(*cells, ensure_ascii=is_ascii)
    path = tmp_path / "a.ipynb"
    path.write_text(text, encoding="utf-8")

    assert 0 == main(["lint", "--fix", str(path)])
    assert text.replace("Finished", "FINISHED").replace("==", "=") == path.read_text(encoding="utf-8")
    nbformat.validate(json.loads(path.read_text(encoding="utf-8")))


def test_a_notebook_is_one_program_and_places_are_those_of_cells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(
        notebook(
            HEAD,
            "!ls \\\n  -l\nx = %time 1\n%%",
            "%%bash\nmlflow",
            "\nclient.search_runs(['1'], \"status = 'Finished'\")",
        )
    )

    assert 1 == main(["lint", str(path)])
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(f"{path}:cell 5:2:37: MLQ101 ")
    assert [
        "    client.search_runs(['1'], \"status = 'Finished'\")",
        f"    {' ' * 36}^^^^^^^^^^",
        "  instead: 'FINISHED'",
    ] == told[1:4]


def test_a_notebook_of_format_3_is_read() -> None:
    cell = {"cell_type": "code", "input": [BAD], "language": "python", "outputs": []}
    text = json.dumps({"nbformat": 3, "worksheets": [{"cells": [cell]}], "metadata": {}})

    assert ["MLQ101"] == [one.rule.code for one in lint_with()(document_of(text, is_notebook=True)).findings]


@pytest.mark.parametrize(
    ("cell", "python"),
    [
        ("%matplotlib inline\nx = 1", "0                 \nx = 1"),
        ("if a:\n    !pip install b\n", "if a:\n    0             \n"),
        ("files = !ls -l\n", "files = 0     \n"),
        ("%%time\nx = 1", "0     \nx = 1"),
        ("%%bash\nls", "      \n  "),
        ('x = """\n%s\n"""', 'x = """\n%s\n"""'),
        ("mlflow.search_runs?", "0                  "),
        ("this is no python", "                 "),
    ],
)
def test_what_is_no_python_in_a_cell_is_taken_out_in_place(cell: str, python: str) -> None:
    assert python == python_of(cell)


def test_folders_are_searched_without_those_of_tools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("", "a/b", ".venv/lib", "node_modules/x", ".git", "a/.hidden", "site-packages"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "p.py").write_text(BAD)
    (tmp_path / "p.txt").write_text(BAD)

    assert 1 == main(["lint", str(tmp_path)])
    assert "2 findings in 2 searches; 2 fixable with --fix" == capsys.readouterr().out.splitlines()[-1]
    assert 1 == main(["lint", str(tmp_path / ".git" / "p.py")])


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.py", BROKEN.encode(), "it is not Python in line 2: "),
        ("a.py", b"import mlflow\n# search_runs\nx = '\xff'\n", "its text cannot be decoded"),
        ("a.py", b"import mlflow # search_runs\0", "it "),
        ("a.ipynb", b"{", "it is not a notebook: its JSON cannot be read"),
        ("a.ipynb", b"[]", "it is not a notebook: its JSON cannot be read"),
        ("a.ipynb", b'{"cells": [{"cell_type": "code", "source": [1]}]}', "it is not a notebook"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_of_in_one_sentence_and_the_others_go_on(
    name: str, data: bytes, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(data)
    (tmp_path / "z.py").write_text(BAD)

    assert 2 == main(["lint", str(tmp_path)])
    out, err = capsys.readouterr()
    assert f"mlquery: {tmp_path / name}: {told}" in err
    assert 1 == err.count("\n")
    assert "MLQ101" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "nowhere does not exist"),
        ([".", "--select", "MLQ999"], "there is no rule MLQ999; rules are MLQ001, "),
        ([".", "--dialect", "azur"], "unknown dialect 'azur'; did you mean 'azure'?"),
    ],
)
def test_misuse_is_told_in_one_sentence(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert 2 == main(["lint", *arguments])
    assert f"mlquery: {told}" in capsys.readouterr().err


def test_nothing_found_is_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_text(GOOD)

    assert 0 == main(["lint", str(tmp_path)])
    assert "0 findings in 1 search\n" == capsys.readouterr().out


def test_json_has_every_finding_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_text(BAD)

    main(["lint", "--format", "json", str(tmp_path)])
    (finding,) = json.loads(capsys.readouterr().out)
    assert {"code": "MLQ101", "name": "status", "severity": "warning", "line": 4, "column": 37, "cell": None} == {
        key: finding[key] for key in ("code", "name", "severity", "line", "column", "cell")
    }
    assert (4, 47, ["oss"], "'FINISHED'", True) == tuple(
        finding[key] for key in ("end_line", "end_column", "dialects", "instead", "is_fixable")
    )


def test_github_gets_a_command_for_each_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a,b.py").write_text(BAD.replace("Finished", "100%"))
    (tmp_path / "c.ipynb").write_text(notebook(HEAD + "client.list_experiments()"))

    main(["lint", "--format", "github", str(tmp_path)])
    warning, error = capsys.readouterr().out.splitlines()
    place = f"::warning file={tmp_path.as_posix()}/a%2Cb.py,line=4,endLine=4,title=MLQ101,col=37,endColumn=43::"
    assert warning.startswith(f"{place}no run has the status '100%25'; there are ")
    place = f"::error file={tmp_path.as_posix()}/c.ipynb,title=MLQ010::cell 2: "
    assert f"{place}MLflow 2.0 removed list_experiments; instead: search_experiments" == error


TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
REGION = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **{name: {"type": "integer", "minimum": 1} for name in ("startLine", "startColumn", "endLine", "endColumn")},
        **{name: {"type": "integer", "minimum": 0} for name in ("charOffset", "charLength")},
    },
}
ARTIFACT = {"type": "object", "required": ["uri"], "properties": {"uri": {"type": "string"}}}
REPLACEMENT = {
    "type": "object",
    "required": ["deletedRegion"],
    "properties": {"deletedRegion": REGION, "insertedContent": TEXT},
}
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "required": ["name"],
                                "properties": {
                                    "rules": {
                                        "items": {
                                            "required": ["id"],
                                            "properties": {
                                                "shortDescription": TEXT,
                                                "help": TEXT,
                                                "helpUri": {"type": "string", "format": "uri"},
                                                "defaultConfiguration": {
                                                    "properties": {
                                                        "level": {"enum": ["none", "note", "warning", "error"]}
                                                    }
                                                },
                                            },
                                        }
                                    }
                                },
                            }
                        },
                    },
                    "results": {
                        "items": {
                            "required": ["message"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": -1},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": TEXT,
                                "locations": {
                                    "items": {
                                        "properties": {
                                            "physicalLocation": {
                                                "properties": {"artifactLocation": ARTIFACT, "region": REGION}
                                            }
                                        }
                                    }
                                },
                                "fixes": {
                                    "items": {
                                        "required": ["artifactChanges"],
                                        "properties": {
                                            "description": TEXT,
                                            "artifactChanges": {
                                                "minItems": 1,
                                                "items": {
                                                    "required": ["artifactLocation", "replacements"],
                                                    "properties": {
                                                        "artifactLocation": ARTIFACT,
                                                        "replacements": {"minItems": 1, "items": REPLACEMENT},
                                                    },
                                                },
                                            },
                                        },
                                    }
                                },
                            },
                        }
                    },
                },
            },
        },
    },
}
"""What the specification of SARIF 2.1.0 says of the properties that are used."""


@pytest.mark.parametrize("name", ["a b.py", "a.ipynb"])
def test_sarif_has_the_rules_the_places_and_the_fixes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = notebook(f"# é\n{BAD}") if name.endswith("ipynb") else BAD
    Path(name).write_text(text, encoding="utf-8")

    main(["lint", "--format", "sarif"])
    log = json.loads(capsys.readouterr().out)
    jsonschema.validate(log, SARIF)
    (run,) = log["runs"]
    (result,) = run["results"]
    driver = run["tool"]["driver"]
    assert list(rules()) == [rule["id"] for rule in driver["rules"]]
    assert result["ruleId"] == driver["rules"][result["ruleIndex"]]["id"] == "MLQ101"
    place = result["locations"][0]["physicalLocation"]
    assert name.replace(" ", "%20") == place["artifactLocation"]["uri"]
    assert "Finished" in text.splitlines()[place["region"]["startLine"] - 1]
    (replacement,) = result["fixes"][0]["artifactChanges"][0]["replacements"]
    start, length = replacement["deletedRegion"]["charOffset"], replacement["deletedRegion"]["charLength"]
    changed = text[:start] + replacement["insertedContent"]["text"] + text[start + length :]
    assert text.replace("Finished", "FINISHED") == changed


def test_every_format_of_nothing_is_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for form, told in (("json", "[]\n"), ("github", "")):
        assert 0 == main(["lint", "--format", form, str(tmp_path)])
        assert told == capsys.readouterr().out


def test_the_hook_of_pre_commit_is_the_command(tmp_path: Path) -> None:
    (hook,) = yaml.safe_load((Path(__file__).parents[1] / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    (tmp_path / "a.py").write_text(BAD)

    assert ("mlquery-lint", "python", ["python", "jupyter"]) == (hook["id"], hook["language"], hook["types_or"])
    program, *arguments = hook["entry"].split()
    assert "mlquery" == program
    assert 1 == main([*arguments, str(tmp_path / "a.py")])
    assert 0 == main([*arguments, str(tmp_path / "a.py"), "--ignore", "MLQ101"])


def test_check_reads_the_keys_of_a_source(capsys: pytest.CaptureFixture[str]) -> None:
    database = str(Path(__file__).parents[1] / "examples" / "sweep.db")

    assert 0 == main(["check", "metrics.AUC > 0.5", "--from", database])
    assert "[MLQ103]" in capsys.readouterr().out
    assert 0 == main(["explain", "metrics.nothing > 0.5", "--from", database])
    assert "[MLQ112]" in capsys.readouterr().out
    assert 2 == main(["check", "metrics.AUC > 0.5", "--from", __file__])
