"""The reader of `meta.yaml`: what it reads it reads as PyYAML does, and it refuses the rest."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlquery.readers.flatyaml import read_mapping

DUMPERS = [yaml.SafeDumper, getattr(yaml, "CSafeDumper", yaml.SafeDumper)]
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)
AWKWARD = st.text(st.sampled_from("ab '\"\\\n\t:#-?,[]{}&*!|>%@~\u2028\x85\r\u00e9\U0001f600 0123"), max_size=30)
LONG = st.lists(st.one_of(AWKWARD, st.sampled_from(["word", '"key": "value",', "it's", "x" * 90])), max_size=30)
VALUES = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), TEXT, AWKWARD, LONG.map(" ".join))
FIELDS = st.text("abc_", min_size=1, max_size=20)
TAG_KEYS = st.one_of(TEXT, AWKWARD, st.text("ab .-/", min_size=100, max_size=250)).filter(bool)
FILES = st.dictionaries(
    FIELDS, st.one_of(VALUES, st.dictionaries(TAG_KEYS, VALUES, max_size=3)), min_size=1, max_size=4
)


def written(data: dict[str, Any], dumper: Any) -> str:
    return str(yaml.dump(data, default_flow_style=False, allow_unicode=True, sort_keys=True, Dumper=dumper))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(FILES)
@example({"a": "x" * 100 + " y" * 60, "b": {"k" * 200: "it's\n\n here "}})
@example({"a": "1", "b": "null", "c": "yes", "d": "1:30", "e": "0x10", "f": "", "g": "~", "h": "2022-01-01"})
def test_everything_that_mlflows_writer_writes_reads_as_pyyaml_reads_it(data: dict[str, Any]) -> None:
    for dumper in DUMPERS:
        text = written(data, dumper)

        assert yaml.safe_load(text) == read_mapping(text)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(FILES, st.data())
def test_a_damaged_file_is_refused_with_its_line_or_read_as_pyyaml_reads_it(
    data: dict[str, Any], draw: st.DataObject
) -> None:
    text = written(data, yaml.SafeDumper)
    at = draw.draw(st.integers(0, len(text)))
    text = text[:at] + draw.draw(st.sampled_from(["", "'", '"', ":", "\n", " ", "-", "#", "\\", "{"])) + text[at + 1 :]

    try:
        found = read_mapping(text)
        expected = yaml.load(text, yaml.BaseLoader)
    except (ValueError, yaml.YAMLError) as error:
        refusal = error
    else:
        assert as_written(expected or {}) == as_written(found)
        return

    assert isinstance(refusal, yaml.YAMLError) or str(refusal).startswith("line ")


def as_written(value: Any) -> Any:
    """Make one of what PyYAML leaves as text (dates, `1:30`, nulls) and of what the reader makes of it."""
    if value in ([], {}):
        return "empty"
    if isinstance(value, dict):
        return {key: as_written(inner) for key, inner in value.items()}
    return "" if value in (None, "null", "~") else str(value)


@pytest.mark.parametrize(
    "text",
    [
        "a: &anchor b",
        "a: *alias",
        "a: !!python/object b",
        "a: |\n  block",
        "a: >\n  folded",
        "a: [1, 2]",
        "a: {b: c}",
        "a:\n  b:\n    c: d",
        "- a",
        "a: b: c",
        "a: 'open",
        'a: "open',
        'a: "\\q"',
        'a: "\\ud800"',
        'a: "\\U00110000"',
        "a: 1\na: 2",
        "a",
        "  a: 1",
        "a: 1\n  b: 2",
        "a: 'x' y",
        "? [a]\n: b",
        "a: 1\n b: 2",
        "%YAML 1.1",
        "\t- 1",
    ],
)
def test_a_shape_that_mlflow_does_not_write_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^line \d+: "):
        read_mapping(text)


def test_the_message_names_the_line() -> None:
    with pytest.raises(ValueError, match=r"^line 3: a quote that is not closed$"):
        read_mapping("a: 1\nb: 2\nc: 'x\n\n")


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "\ufeff"])
def test_an_empty_file_is_an_empty_mapping(text: str) -> None:
    assert {} == read_mapping(text)


def test_comments_and_blank_lines_written_by_hand_are_passed_over() -> None:
    text = "# top\na: 1 # one\n\n  # between\nb: 'x' # quoted\nc: # below\n  d: plain\n   words\n"

    assert {"a": 1, "b": "x", "c": {"d": "plain words"}} == read_mapping(text)
