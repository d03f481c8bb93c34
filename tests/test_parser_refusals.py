"""For any string, the parser returns a tree or raises one QueryError whose span lies inside the string."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlquery
from mlquery.errors import INTERNAL_ERROR, INVALID_PARAMETER_VALUE, QueryError
from mlquery.language.parser import parse_filter, parse_order_by
from mlquery.language.syntax import And, Comparison, Name, String
from tests.support.random_syntax import ORDER_SPELLINGS, SETTINGS, SPELLINGS, damaged

MEGABYTE = 1_000_000
PARSERS: list[tuple[Callable[..., Any], str]] = [(parse_filter, "filter_string"), (parse_order_by, "order_by[3]")]
_BYTES = st.binary(max_size=60).flatmap(
    lambda raw: st.sampled_from([raw.decode("latin-1"), raw.decode("utf-8", "surrogateescape"), repr(raw)])
)
_STRINGS = st.one_of(
    st.text(st.characters(), max_size=40),
    st.text("\ud800\udfff\0'\"`().=a1 \n", max_size=20),
    st.text("ab1.'\"`()<>=!-e, \t", max_size=30),
    _BYTES,
)


def refusal(parse: Callable[..., Any], text: str, argument: str) -> QueryError | None:
    """Return the error that a string raises, if any; any other exception fails the test."""
    try:
        parse(text, argument)
    except QueryError as error:
        return error
    return None


def comparison(text: str) -> Comparison:
    """Return the tree of a filter that is one comparison."""
    tree = parse_filter(text)
    assert isinstance(tree, Comparison)
    return tree


def compared_string(text: str) -> str:
    """Return the string that a filter of one comparison compares with."""
    value = comparison(text).value
    assert isinstance(value, String)
    return value.value


def operands(text: str) -> int:
    """Return how many operands a filter has that is joined by AND."""
    tree = parse_filter(text)
    assert isinstance(tree, And)
    return len(tree.operands)


def assert_points_into(error: QueryError, text: str, argument: str) -> None:
    """Check that an error names its argument and points into its text, and that it can be shown and sent on."""
    (diagnostic,) = error.diagnostics
    assert (argument, text, "syntax", "error") == (
        diagnostic.argument,
        diagnostic.source,
        diagnostic.code,
        diagnostic.severity,
    )
    assert 0 <= diagnostic.span.start <= diagnostic.span.stop <= len(text)
    assert diagnostic.message
    assert str(error).startswith(f"{argument}: ")
    assert error.diagnostics == pickle.loads(pickle.dumps(error)).diagnostics


@pytest.mark.slow
@pytest.mark.parametrize(("parse", "argument"), PARSERS)
def test_any_text_is_read_or_refused_at_a_place_inside_it(parse: Callable[..., Any], argument: str) -> None:
    @SETTINGS
    @given(_STRINGS)
    def check(text: str) -> None:
        error = refusal(parse, text, argument)

        if error is not None:
            assert_points_into(error, text, argument)

    check()


@pytest.mark.slow
@SETTINGS
@given(damaged(SPELLINGS))
def test_a_damaged_filter_is_read_or_refused_at_a_place_inside_it(text: str) -> None:
    error = refusal(parse_filter, text, "filter_string")

    if error is not None:
        assert_points_into(error, text, "filter_string")


@pytest.mark.slow
@SETTINGS
@given(damaged(SPELLINGS))
def test_the_reason_of_a_refusal_is_found(text: str) -> None:
    """Reading the string again finds a mistake before its end."""
    error = refusal(parse_filter, text, "filter_string")

    if error is not None:
        (diagnostic,) = error.diagnostics
        assert diagnostic.message != "expected AND or the end of the filter" or diagnostic.span.start < len(text)


@pytest.mark.slow
@SETTINGS
@given(damaged(ORDER_SPELLINGS))
def test_a_damaged_order_is_read_or_refused_at_a_place_inside_it(text: str) -> None:
    error = refusal(parse_order_by, text, "order_by[0]")

    if error is not None:
        assert_points_into(error, text, "order_by[0]")


@pytest.mark.parametrize("text", ["tags.a = '\ud83d'", "tags.`\udc00` = 'x'", "tags.a IN ('\udfff')"])
def test_half_a_surrogate_pair_is_refused_where_it_stands(text: str) -> None:
    error = refusal(parse_filter, text, "filter_string")

    assert error is not None
    (diagnostic,) = error.diagnostics
    assert INTERNAL_ERROR == error.error_code
    assert not text[diagnostic.span.start : diagnostic.span.stop].isprintable()
    assert 1 == diagnostic.span.stop - diagnostic.span.start


def test_half_a_surrogate_pair_in_an_order_is_refused() -> None:
    error = refusal(parse_order_by, "tags.`\ud800` DESC", "order_by[0]")

    assert error is not None
    assert INTERNAL_ERROR == error.error_code


def test_a_nul_is_a_character_of_a_string() -> None:
    assert "a\0b" == compared_string("tags.a = 'a\0b'")


@pytest.mark.parametrize("value", ["\ud800", "\0", "\u202e", "\x1b[31m", "x" * MEGABYTE])
def test_an_error_can_be_printed_whatever_it_quotes(value: str) -> None:
    error = refusal(parse_filter, f"tags.a = {value}", "filter_string")

    assert error is not None
    assert all(line.isprintable() and len(line) < 1000 for line in str(error).splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["oss", "azure", "azure:documented", "extended"])
def test_no_filter_makes_a_check_fail(dialect: str) -> None:
    """Whatever the parser reads, the rest of the language can judge; long numbers and odd regular expressions too."""

    @SETTINGS
    @given(st.one_of(damaged(SPELLINGS), known_field_comparisons()), st.sampled_from(["run", "experiment"]))
    def check(text: str, entity: str) -> None:
        verdict = mlquery.check(text, dialect=dialect, entity=entity)

        assert verdict.accepted == all(d.severity != "error" for d in verdict.diagnostics)
        assert all(0 <= d.span.start <= d.span.stop <= len(text) for d in verdict.diagnostics)

    check()


FIELDS = ["metrics.a", "params.a", "start_time", "attributes.status", "dataset.name", "experiment_id", "creation_time"]
VALUES = [
    "9" * 5000,
    "-" + "0" * 5000,
    "1e99999",
    "٣",
    "'" + "9" * 5000 + "'",
    "'٣'",
    "'('",
    "'" + "(" * 3000 + "'",
    "''",
]


def known_field_comparisons() -> st.SearchStrategy[str]:
    """Draw comparisons of fields that exist with values that are hard to convert."""
    ops = st.sampled_from(["=", ">", "LIKE", "RLIKE"])
    plain = st.tuples(st.sampled_from(FIELDS), ops, st.sampled_from(VALUES)).map(" ".join)
    listed = st.tuples(st.sampled_from(FIELDS), st.sampled_from(VALUES)).map("{0[0]} IN ({0[1]})".format)
    return st.one_of(plain, listed)


@pytest.mark.parametrize(
    ("text", "where", "suggestion"),
    [
        ("params.a = tree", "tree", "'tree'"),
        ("metrics.a > 1 AND metrics.b => 2", "=>", ">="),
        ("tags.a ~ 'x'", "~", "LIKE"),
        ("metrics.a > 1, metrics.b > 2", ",", "AND"),
        ("tags.a = 'x' && tags.b = 'y'", "&&", "AND"),
        ("tags.a = 'x' || tags.b = 'y'", "||", "OR"),
        ("tags.a = 'x' tags.b IS NULL", "tags.b", "AND tags.b"),
        ("tags.a = 'x' NOT tags.b = 'y'", "NOT", "AND"),
        ("tags.my key = 'x'", "key", "tags.`my key`"),
        ("tags.my-key = 'x'", "-key", "tags.`my-key`"),
        ("tags.a..b = 'x'", "..b", "tags.`a..b`"),
        ("tags. a = 'x'", ".", "tags.`a`"),
        ("metrics.from = 1", ".from", "metrics.`from`"),
        ("parameters.5x = 'a'", ".5x", "parameters.`5x`"),
        ("metrics.a = +1", "+1", "1"),
        ("metrics.a = 1e+5", "1e+5", "1e5"),
        ("metrics.a = 1AND metrics.b = 2", "1AND", "1 AND"),
        ("metrics.a = (1, 2)", "(", "IN (1, 2)"),
        ("metrics.a = NULL", "NULL", "IS NULL"),
        ("tags.a IS NOT  NULL", "IS", "IS NOT NULL"),
        ("metrics.a BETWEEN 1 OR 2", "BETWEEN", "metrics.a BETWEEN 1 AND 2"),
        ("tags.a IN 'x'", "'", "IN ('a', 'b')"),
        ("tags.a IN (x, 'y')", "(", "IN ('a', 'b')"),
        ("tags.a IN ('it''s')", "'", "IN ('a', \"it's\")"),
        (
            "tags.a IN ('x', 'C:\\y')",
            "'",
            "one search with = for each such string",
        ),
        ('tags.s"tage" IS NULL', '"', "tags.`stage`"),
        ("metrics.max() > 1", "(", "metrics.`max()`"),
        ("metrics.a desc > 1", "desc", "metrics.`a desc`"),
        ("tags.a contains 'x'", "contains", None),
        ("1 < metrics.a", "1", None),
        ("metrics.a = nan", "nan", None),
        ("metrics.a > 1;", ";", None),
        ("metrics.a > 1 AND (metrics.b > 2 AND metrics.c)", ")", None),
        ("metrics.a > 1 AND (metrics.b > 2", "(", None),
        ("metrics.a > 1)", ")", None),
        ("NOT (metrics.a > 1 OR ())", ")", None),
        ("metrics.a > 1 AND NOT", "NOT", None),
        ("metrics.a > 1 OR", "OR", None),
        ("metrics.a >", "", None),
        ("tags.a = 'x", "'", None),
    ],
)
def test_a_mistake_is_shown_where_it_is_with_what_to_write_instead(
    text: str, where: str, suggestion: str | None
) -> None:
    error = refusal(parse_filter, text, "filter_string")

    assert error is not None
    (diagnostic,) = error.diagnostics
    pointed_at = text[diagnostic.span.start : diagnostic.span.stop]
    assert (where, suggestion) == (pointed_at, diagnostic.suggestion)


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("metrics.my-key DESC", "metrics.`my-key`"),
        ("metrics.a DOWN", "metrics.a DESC"),
        (" metrics.a ", "metrics.a"),
        ("", "metrics.accuracy DESC"),
        ("metrics.a, metrics.b", "order_by=['a', 'b'], one string each"),
        ("tags. a", "tags.`a`"),
        ("tags.`it's` DESC", "sort the returned DataFrame by tags.`it's`"),
        ("tags.`a ` DESC", "sort the returned DataFrame by tags.`a `"),
        ("tags.`a`DESC", "tags.`a` DESC"),
        ("`tags`.`a` DESC", "tags.`a`"),
        ('tags.a "desc"', "tags.a DESC"),
    ],
)
def test_a_mistake_in_an_order_comes_with_what_to_write_instead(text: str, suggestion: str) -> None:
    error = refusal(parse_order_by, text, "order_by[0]")

    assert error is not None
    assert suggestion == error.diagnostics[0].suggestion


BLOCKS = {
    "whitespace": " ",
    "line breaks": "\r\n",
    "nulls": "\0",
    "quotes": "'",
    "double quotes": '"',
    "backticks": "`",
    "mixed quotes": "'\"`",
    "escaped quotes": "\\'",
    "twice escaped quotes": "\\\\''",
    "parentheses": "(",
    "closing parentheses": ")",
    "pairs of parentheses": "()",
    "spaced parentheses": "( ",
    "nots": "NOT ",
    "nots and parentheses": "NOT (",
    "ands": "AND ",
    "ors": " OR ",
    "operators": "=",
    "spaced operators": "= ",
    "dots": ".",
    "dotted keys": "a.",
    "digits": "1",
    "signs": "-",
    "exponents": "1e",
    "commas": ",",
    "list items": "'a',",
    "words": "metrics ",
    "keys": "metrics.a ",
    "clauses": "metrics.a = 1 AND ",
    "clauses without AND": "metrics.a=1 ",
    "alternatives": "metrics.a = 1 OR ",
    "lists": "a IN ('x') AND ",
    "comments": "/* -- # ",
    "dollars": "$$",
    "surrogates": "\ud800",
    "letters": "a",
    "accents": "é",
    "combining marks": "\u0301",
}
STARTS = ["", "metrics.a = ", "metrics.a IN (", "tags.a = 'x", "tags.`", "NOT "]


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("start", STARTS)
def test_long_runs_of_one_thing_are_read_or_refused(start: str, block: str) -> None:
    for length in (40, 10_000):
        assert_read_or_refused(start + BLOCKS[block] * (length // len(BLOCKS[block])))


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS)
def test_a_megabyte_of_one_thing_is_read_or_refused(block: str) -> None:
    for start in ("", "tags.a = "):
        assert_read_or_refused(start + BLOCKS[block] * (MEGABYTE // len(BLOCKS[block])))


def assert_read_or_refused(text: str) -> None:
    for parse, argument in PARSERS:
        error = refusal(parse, text, argument)
        if error is not None:
            assert_points_into(error, text, argument)


@pytest.mark.slow
@pytest.mark.parametrize(
    "end", ["AND NOT", "OR", "AND (", "b", "AND tags.b.", "AND tags.b c", "IS", "tags.b IS NULL", ";"]
)
@pytest.mark.parametrize("clause", ["tags.a = '{}'", "tags.`{}` = 'x'", "tags.{} = 'x'", "tags.a.{}- = 'x'"])
def test_a_mistake_after_a_megabyte_is_found(clause: str, end: str) -> None:
    text = f"{clause.format('x' * MEGABYTE)} {end}"

    error = refusal(parse_filter, text, "filter_string")

    assert error is not None
    assert_points_into(error, text, "filter_string")


@pytest.mark.parametrize("seed", range(3))
def test_a_megabyte_of_garbage_is_refused(seed: int) -> None:
    text = random.Random(seed).randbytes(MEGABYTE).decode("latin-1")

    errors = [refusal(parse, text, argument) for parse, argument in PARSERS]

    assert [INVALID_PARAMETER_VALUE] * 2 == [error.error_code for error in errors if error is not None]


@pytest.mark.slow
def test_a_megabyte_of_text_in_quotes_is_read() -> None:
    value = "x" * MEGABYTE

    assert value == compared_string(f"tags.a = '{value}'")


@pytest.mark.slow
def test_a_megabyte_of_key_is_read() -> None:
    key = "x" * MEGABYTE

    names = [comparison(f"tags.`{key}` = ''").name, parse_order_by(f"tags.{key} DESC").name]
    assert [key] * 2 == [name.key for name in names if isinstance(name, Name)]


def test_a_thousand_clauses_are_read() -> None:
    text = " AND ".join(f"metrics.a{i} > {i}" for i in range(1000))

    assert 1000 == operands(text)


def test_ten_thousand_clauses_are_too_many() -> None:
    error = refusal(parse_filter, " AND ".join(["metrics.a = 1"] * 10_000), "filter_string")

    assert error is not None
    assert "more than 10,000 tokens" in str(error)


@pytest.mark.parametrize(
    ("opening", "closing"), [("(", ")"), ("NOT ", ""), ("NOT (", ")"), ("( ", " )"), ("not not\n(", ")")]
)
def test_nesting_is_read_up_to_a_limit_that_the_error_names(opening: str, closing: str) -> None:
    def nested(depth: int) -> str:
        return opening * depth + "metrics.a = 1" + closing * depth

    errors = [refusal(parse_filter, nested(depth), "filter_string") for depth in (16, 33, 200, 1_000)]

    assert errors[0] is None
    assert [True] * 3 == ["nested more than 32 levels deep" in str(error) for error in errors[1:]]


def test_parentheses_and_words_in_quotes_do_not_count_as_nesting() -> None:
    text = "tags.`((((((((((((((((((((((((((((((((((((((((((` = '" + "NOT (" * 100 + "'"

    assert "NOT (" * 100 == compared_string(text)


@pytest.mark.slow
def test_many_groups_beside_each_other_do_not_count_as_nesting() -> None:
    text = " AND ".join(["NOT (metrics.a = 1)"] * 200)

    assert 200 == operands(text)


FILTERS = ["metrics.a = 1", "(" * 32 + "metrics.a = 1" + ")" * 32, "NOT " * 32 + "metrics.a = 1", "metrics.a", "'" * 9]


@pytest.mark.slow
@pytest.mark.parametrize("text", FILTERS)
def test_a_nearly_exhausted_stack_gives_a_query_error(text: str) -> None:
    """Called with any number of frames left, but for the handful that the error itself needs."""

    def call_with_frames_left(frames: int) -> QueryError | None:
        return refusal(parse_filter, text, "filter_string") if frames == 0 else call_with_frames_left(frames - 1)

    depth_reached = 0

    def depth_of_stack() -> int:
        nonlocal depth_reached
        try:
            depth_reached += 1
            return depth_of_stack()
        except RecursionError:
            return depth_reached

    available = depth_of_stack()
    for frames_left in [*range(12, 60), *range(60, 600, 7)]:
        error = call_with_frames_left(available - frames_left)
        if error is not None:
            assert_points_into(error, text, "filter_string")
