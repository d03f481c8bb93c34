"""`mlquery lint` finds every planted trap where it stands, and says nothing about what may be right."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlquery.language.matrix import MATRIX
from mlquery.language.rules import Rule, rules
from mlquery.lint.documents import UnreadableError, document_of
from mlquery.lint.linting import Linted, Options, lint
from mlquery.lint.string_literals import Quoting, characters_of

TRAPS: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "traps.toml").read_text(encoding="utf-8"))["trap"]
HEAD = "import mlflow\nfrom mlflow import MlflowClient\nclient = MlflowClient()\n"
MARK = "«"


def linted(program: str, *dialects: str, **options: Any) -> Linted:
    chosen = tuple(map(MATRIX.dialect, dialects or ["oss"]))
    return lint(Path("program.py"), document_of(program, is_notebook=False), Options(chosen, **options))


def codes(program: str, *dialects: str, **options: Any) -> list[str]:
    return [finding.rule.code for finding in linted(HEAD + program, *dialects, **options).findings]


def test_there_are_at_least_forty_traps_for_every_error_and_warning_of_mlflow_and_azure() -> None:
    planted = {trap["code"] for trap in TRAPS}

    assert len(TRAPS) >= 40
    assert {"MLQ111", "MLQ112"} == {code for code, rule in rules().items() if rule.severity != "note"} - planted


@pytest.mark.parametrize("trap", TRAPS, ids=[f"{number}-{trap['code']}" for number, trap in enumerate(TRAPS, 1)])
def test_a_planted_trap_is_found_where_it_stands_and_nothing_else(trap: dict[str, Any]) -> None:
    marked = HEAD + trap["program"]
    found = linted(marked.replace(MARK, ""), trap.get("dialect", "oss"))

    assert [(trap["code"], marked.index(MARK))] == [(one.rule.code, one.start) for one in found.findings]


@pytest.mark.parametrize("rule", [rule for rule in rules().values() if rule.bad], ids=lambda rule: rule.code)
def test_the_bad_example_of_a_rule_has_exactly_its_finding_and_the_good_one_has_none(rule: Rule) -> None:
    assert [rule.code] == codes(rule.bad, rule.dialect, is_strict=True)
    assert [] == codes(rule.good, rule.dialect, is_strict=True)


RIGHT = [
    "mlflow.search_runs()",
    "mlflow.search_runs(filter_string=\"status = 'FINISHED' AND metrics.auc > 0.9\", order_by=['metrics.auc DESC'])",
    "client.search_runs(['1'], f\"tags.mlflow.parentRunId = '{run.info.run_id}'\")",
    "client.search_runs(['1'], f\"metrics.{name} > {least} AND params.model = '{model}'\")",
    "client.search_runs(['1'], f'params.lr = {lr!r} AND start_time > {since}')",
    "client.search_runs(['1'], f'start_time > {since!r}')",
    "client.search_runs(['1'], f\"status = '{status}'\")",
    "client.search_runs(['1'], f'attributes.{name} = 1')",
    "client.search_runs(['1'], f'{name} > 1')",
    "client.search_runs(['1'], f\"run_id IN ({', '.join(ids)})\")",
    "client.search_runs(['1'], query)",
    "client.search_runs(['1'], build('status = Finished'))",
    "client.search_runs(['1'], 'status = ' + status)",
    "client.search_runs(['1'], ' AND '.join(clauses))",
    "client.search_runs(*arguments)",
    "client.search_runs(['1'], filter_string=None, order_by=None)",
    "client.search_runs(['1'], \"start_time > 0 AND end_time < 1800000000000\")",
    "client.search_runs(['1'], \"params.a = 'it''s' \".replace(\"''\", 'x'))",
    "client.search_runs(['1'], 'tags.a = \"it\\'\\'s\"')",
    "client.search_runs(['1'], \"metrics.a > 0.1 AND metrics.a < 0.2 AND dataset.name = 'a' AND dataset.name = 'b'\")",
    "client.search_runs(['1'], f\"metrics.{a} > 1 AND metrics.{b} < 0\")",
    "client.search_runs(['1'], f\"params.a = '{one}' AND params.a = '{other}'\")",
    "client.search_runs(['1'], \"params.a LIKE '%*%'\")",
    "mlflow.search_runs(max_results=100_000)",
    "mlflow.search_registered_models(max_results=5000)",
    "client.search_model_versions(\"name = 'a'\", max_results=200_000)",
    "mlflow.search_logged_models(filter_string=\"params.n = '3'\", order_by=[{'field_name': 'metrics.a'}])",
    "service.search_registered_models('risk model')",
    "most = most\nclient.search_runs(['1'], max_results=most)\nmlflow.log_param('a', most)",
    "service.search_runs(order_by='name')",
    "service.search_runs(['1'], order_by=['age'], max_results=10**9)",
    "service.search_runs('risk', \"status = 'FINISHED'\", order_by='start_time')",
    "service.list_experiments()",
    "sagemaker.list_experiments()",
    "if hasattr(client, 'list_experiments'):\n    client.list_experiments()",
    "filter = \"status = 'Finished'\"\nfilter = f(filter)\nclient.search_runs(['1'], filter)",
    "text = 'a'\nfor text in texts:\n    client.search_runs(['1'], text)",
    "def f(text=\"status = 'Finished'\"):\n    client.search_runs(['1'], text)",
    "def f(author: int):\n    client.search_runs(['1'], f\"params.n = '{author}'\")",
    "def f(name):\n    assert name.isalnum()\n    client.search_model_versions(f\"name = '{name}'\")",
    "def f(name):\n    client.search_model_versions(f\"name = '{escaped(name)}'\")",
    "mlflow.log_metrics({'Auc': 1, 'auc': 1})\nmlflow.search_runs(['1'], 'metrics.Auc > 0')",
    "mlflow.log_param('lr', '1e-3')\nmlflow.search_runs(['1'], \"params.lr = '1e-3'\")",
    "mlflow.log_param('lr', lr)\nmlflow.search_runs(['1'], \"params.lr = '1e-3'\", order_by=['params.lr'])",
]


@pytest.mark.parametrize("program", RIGHT)
def test_nothing_is_said_about_what_is_right_or_not_known(program: str) -> None:
    assert [] == codes(program, "oss")


def test_a_program_that_does_not_import_mlflow_has_no_searches() -> None:
    program = "# mlflow\nclient.search_runs(['1'], 'status =')\n"

    assert 0 == linted(program).calls
    assert ["MLQ001"] == [one.rule.code for one in linted(f"import mlquery\n{program}").findings]


@pytest.mark.parametrize(
    "program",
    [
        'import mlflow as m\nm.search_runs(filter_string=«"status = x")',
        "from mlflow import search_runs as find\nfind(['1'], «\"status = x\")",
        "from mlflow.tracking import MlflowClient as C\nC().search_runs(['1'], «\"status = x\")",
        "import mlflow.tracking\nmlflow.tracking.MlflowClient().search_runs(['1'], «\"status = x\")",
        'import mlflow\ndef f(c: mlflow.MlflowClient):\n    c.search_experiments(1, 10, «"name = x")',
        "from mlquery import fluent\nfluent.search_runs(['1'], «'status = x')",
        "import mlquery\nwith mlquery.Client() as c:\n    c.search_runs(['1'], «'status = x')",
        "import mlflow\nmlflow.search_model_versions(10, «'name = x')",
        "import mlflow\nmlflow.MlflowClient().search_model_versions(«'name = x', 10)",
        "import mlflow\nasync def f():\n    return [r for r in self.tracking.client.search_runs(['1'], «'status = x')]",
        "import mlflow\nf = lambda: mlflow.search_runs(filter_string=(«'status '\n 'NOT NULL'))",
    ],
)
def test_a_search_is_found_however_it_is_called(program: str) -> None:
    found = linted(program.replace(MARK, ""))

    assert 1 == len(found.findings), found
    assert program.index(MARK) < found.findings[0].start < len(program)


def test_a_finding_in_two_dialects_is_reported_once_with_both() -> None:
    (found,) = linted(HEAD + "client.search_runs(['1'], 'metrics.a > 1 OR metrics.b > 1')", "oss", "azure").findings

    assert ("oss", "azure") == found.dialects


@pytest.mark.parametrize("comment", ["# noqa", "# noqa: MLQ101", "# noqa: E501, MLQ101", "#NOQA:MLQ101 why"])
def test_a_comment_silences_a_finding(comment: str) -> None:
    assert [] == codes(f"client.search_runs(['1'], \"status = 'Finished'\")  {comment}")
    assert [] == codes(f"client.search_runs(\n    ['1'],\n    \"status = 'Finished'\",\n)  {comment}")
    assert ["MLQ101"] == codes(f"{comment}\nclient.search_runs(['1'], \"status = 'Finished'\")")


def test_a_comment_with_another_code_silences_nothing() -> None:
    assert ["MLQ101"] == codes("client.search_runs(['1'], \"status = 'Finished'\")  # noqa: MLQ102, E501")


def test_rules_are_selected_and_ignored_by_the_beginning_of_their_codes() -> None:
    program = "client.search_runs(['1'], \"status = 'Finished' AND params.a != 'b'\", order_by='a')"

    assert ["MLQ101", "MLQ011"] == codes(program)
    assert ["MLQ101", "MLQ202", "MLQ011"] == codes(program, is_strict=True)
    assert ["MLQ202"] == codes(program, select=("MLQ2",))
    assert ["MLQ011"] == codes(program, ignore=("MLQ1",))


def test_a_program_that_cannot_be_parsed_is_refused_in_one_sentence() -> None:
    with pytest.raises(UnreadableError, match=r"^it is not Python in line 2: "):
        linted("import mlflow\nmlflow.search_runs((\n")


def test_a_sum_of_many_strings_is_one_filter() -> None:
    many = " + ".join(["'start_time > 0 AND '"] * 900)

    assert ["MLQ101"] == codes(f"client.search_runs(['1'], {many} + \"status = 'Finished'\")")


@pytest.mark.parametrize(
    "deep", ["[" * 150 + "]" * 150, "a" + ".b" * 3000 + " = 1", "f(" * 150 + ")" * 150, "-" * 3000 + "1"]
)
def test_a_program_that_is_nested_deeply_is_linted_or_refused(deep: str) -> None:
    program = f"{HEAD}client.search_runs(['1'], \"status = 'Finished'\")\n{deep}\n"
    told = codes_or_refusal(program)

    assert told == ["MLQ101"] or re.fullmatch(r"it (is not Python|is nested|cannot be parsed).*", told[0])


def codes_or_refusal(program: str) -> list[str]:
    try:
        return [finding.rule.code for finding in linted(program, "oss", "azure", is_strict=True).findings]
    except UnreadableError as error:
        return [str(error)]


def test_columns_count_characters_and_lines_end_as_python_says() -> None:
    program = (
        "import mlflow\r\nprint('é\f'); mlflow.search_runs(filter_string=\"tags.é = 'ü' AND status = 'Finished'\")\r"
    )
    found = linted(program)

    (finding,) = found.findings
    assert "'Finished'" == program[finding.start : finding.stop]
    place = found.document.position(finding.start)
    assert 2 == place.line
    assert "'Finished'" == found.document.line_at(finding.start)[place.column - 1 :][:10]


STRINGS = st.lists(st.text(st.sampled_from("aé'\"\\{}\n\r\t%$𝛼"), max_size=12), min_size=1, max_size=3)


@given(STRINGS)
def test_every_character_of_a_literal_is_found_where_it_is_written(strings: list[str]) -> None:
    written = " ".join(map(repr, strings))
    found = characters_of(written, 0, len(written))

    assert found is not None
    assert "".join(strings) == "".join(character.value or "" for character in found)
    for character in found:
        quote = character.quoting.quote
        assert character.value == ast.literal_eval(f"{quote}{written[character.start : character.stop]}{quote}")


@given(STRINGS, st.sampled_from(["'", '"', "'''", '"""']), st.booleans())
def test_what_a_literal_is_to_contain_is_written_so_that_it_does(strings: list[str], quote: str, is_raw: bool) -> None:
    text = "".join(strings).replace("\n", "").replace("\r", "")
    for prefix in ("", "f"):
        written = Quoting(quote, is_raw, bool(prefix)).written(text)
        if written is not None:
            literal = f"{prefix}{'r' if is_raw else ''}{quote}{written}{quote}"
            assert text == eval(literal)


SOURCES = st.lists(
    st.sampled_from(
        [
            *("mlflow", "client", ".search_runs", ".search_experiments", "(", ")", "[", "]", ",", "=", "filter_string"),
            *("order_by", "f", '"', "'", "{", "}", "x", "status = ", "'Finished'", "\\", "\n", " ", "+", "%", "# noqa"),
            *("metrics.a > 1", " AND ", "def f(x):", "    ", "lambda x:", ":", "é", "\0", "'''", "import mlflow\n"),
        ]
    ),
    max_size=30,
)


@given(SOURCES)
def test_no_source_is_too_strange_to_be_linted_or_refused(words: list[str]) -> None:
    assert all("\n" not in told for told in codes_or_refusal(HEAD + "".join(words)))


@given(st.text(max_size=40))
def test_no_filter_is_too_strange(filter_string: str) -> None:
    if "\0" not in filter_string and filter_string.isprintable():
        found = linted(
            f"{HEAD}client.search_runs(['1'], {filter_string!r}, order_by=[{filter_string!r}])", "oss", "azure"
        )
        assert 1 == found.calls
