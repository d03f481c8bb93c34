"""The normative grammar and the parser accept the same strings: derived ones, damaged ones and any others."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlquery.errors import QueryError
from mlquery.language import tokens
from mlquery.language.parser import parse_aggregates, parse_filter, parse_operand, parse_order_by
from tests.support.random_syntax import (
    AGGREGATE_SPELLINGS,
    OPERAND_SPELLINGS,
    ORDER_SPELLINGS,
    SETTINGS,
    SPELLINGS,
    STARTS,
    damaged,
    derived_filters,
    derived_orders,
    is_in_grammar,
    lark_parser,
    loosely_derived_filters,
)

_CHARACTERS = st.characters(exclude_categories=["Cs"])  # lone surrogates are the parser's own affair


READERS: dict[str, Callable[[str], Any]] = {
    "filter": parse_filter,
    "order_by": parse_order_by,
    "operand": partial(parse_operand, argument="columns[0]"),
    "aggregates": parse_aggregates,
}


def is_read(text: str, start: str) -> bool:
    """Tell whether the parser accepts a string."""
    try:
        READERS[start](text)
    except QueryError:
        return False
    return True


@pytest.mark.slow
@SETTINGS
@given(derived_filters())
def test_the_parser_reads_every_filter_that_the_grammar_derives(text: str) -> None:
    assert (True, True) == (is_in_grammar(text, "filter"), is_read(text, "filter"))


@pytest.mark.slow
@SETTINGS
@given(derived_orders())
def test_the_parser_reads_every_order_that_the_grammar_derives(text: str) -> None:
    assert (True, True) == (is_in_grammar(text, "order_by"), is_read(text, "order_by"))


@pytest.mark.slow
@SETTINGS
@given(loosely_derived_filters())
def test_pieces_of_filters_that_touch_get_the_same_verdict(text: str) -> None:
    assert is_in_grammar(text, "filter") == is_read(text, "filter")


@pytest.mark.slow
@SETTINGS
@given(SPELLINGS)
def test_the_grammar_derives_every_spelling_of_a_tree(text: str) -> None:
    assert is_in_grammar(text, "filter")


@pytest.mark.slow
@SETTINGS
@given(damaged(SPELLINGS))
def test_damaged_filters_get_the_same_verdict(text: str) -> None:
    assert is_in_grammar(text, "filter") == is_read(text, "filter")


@pytest.mark.slow
@SETTINGS
@given(damaged(ORDER_SPELLINGS))
def test_damaged_orders_get_the_same_verdict(text: str) -> None:
    assert is_in_grammar(text, "order_by") == is_read(text, "order_by")


@pytest.mark.slow
@SETTINGS
@given(OPERAND_SPELLINGS, damaged(OPERAND_SPELLINGS))
def test_fields_and_calls_get_the_same_verdict_damaged_or_not(text: str, other: str) -> None:
    assert (True, True) == (is_in_grammar(text, "operand"), is_read(text, "operand"))
    assert is_in_grammar(other, "operand") == is_read(other, "operand")


@pytest.mark.slow
@SETTINGS
@given(AGGREGATE_SPELLINGS, damaged(AGGREGATE_SPELLINGS))
def test_aggregates_get_the_same_verdict_damaged_or_not(text: str, other: str) -> None:
    assert (True, True) == (is_in_grammar(text, "aggregates"), is_read(text, "aggregates"))
    assert is_in_grammar(other, "aggregates") == is_read(other, "aggregates")


@pytest.mark.slow
@pytest.mark.parametrize("start", STARTS)
def test_any_text_gets_the_same_verdict(start: str) -> None:
    @SETTINGS
    @given(st.text(_CHARACTERS, max_size=12))
    def compare(text: str) -> None:
        assert is_in_grammar(text, start) == is_read(text, start)

    compare()


@pytest.mark.parametrize(
    ("text", "is_filter"),
    [
        ("", True),
        (" and AND ", True),
        (" ", False),
        ("and metrics.a = 1 and", True),
        ("metrics.a = 1 params.b = 'x'", True),
        ("metrics.a = 1 params.b IS NULL", False),
        ("metrics.a = 1 NOT params.b = 'x'", False),
        ("and.x = 1", True),
        ("metrics.a = 1 AND AND.x = 1", True),
        ("or.x = 1 and not.y = 2", True),
        ("metrics.from = 1", False),
        ("metrics.from_ = 1", True),
        ("metrics.`from` = 1", True),
        ("metrics.5x = 1", True),
        ("metrics.12x = 1", False),
        ("params.5x = 1", True),
        ("parameters.5x = 1", False),
        ("Parameter.5x = 1", False),
        ("parameters.`5x` = 1", True),
        ("metrics.1e5 = 1", False),
        ("'a' = 1", False),
        ('"a" = 1', True),
        ("a BETWEEN 1 AND 2 AND b BETWEEN 3 AND 4", True),
        ("a BETWEEN 1 AND AND 2", False),
        ("a = 1OR b = 2", False),
        ("a = 'x'OR(b = 2)", True),
        ("a = = 1", False),
        ("a IN ()", False),
        ("a IN ('x',)", True),
        ("a IN ('x',,)", False),
        ("a IN ('\\')", False),
        ("a = '\\'", True),
        ("a = '\\\\'", True),
        ("a = 1e+3", False),
        ("a = 'it''s'", True),
        ("(and a = 1)", False),
        ("a IS NOT NULL", True),
        ("a IS NOT  NULL", False),
        ("max(metrics.a) = 1", True),
        ("MAX (\tmetrics.`a b` )= 1", True),
        ("at(metrics.a, -3) IN (1)", True),
        ("at(metrics.a , 1.5 )IS NULL", True),
        ("max(metrics.a) = 1min(metrics.a) = 1", False),
        ("a = 'x'min(metrics.a) = 1", True),
        ("a = 1 min(metrics.a) IS NULL", False),
        ("max() = 1", False),
        ("max(min(metrics.a)) = 1", False),
        ("max(metrics.a, 'b') = 1", False),
        ("max(metrics.a, 1, 2) = 1", False),
        ("metrics.max(a) = 1", False),
        ("m\u00e9(metrics.a) = 1", False),
        ("\u017f(metrics.a) = 1", False),
        ("NOT (a) = 1", False),
        ("like(a) = 1", False),
        ("likes(a) = 1", True),
        ("case(a) = 1", True),
        ("NOT max(metrics.a) = 1 or(min(b) = 1)", True),
    ],
)
def test_the_corners_of_the_grammar(text: str, is_filter: bool) -> None:
    assert (is_filter, is_filter) == (is_in_grammar(text, "filter"), is_read(text, "filter"))


@pytest.mark.parametrize(
    ("text", "is_entry"),
    [
        ("metrics.a", True),
        ("metrics.a desc", True),
        ("metrics.`a b`\tASC", True),
        ("start_time", True),
        (" metrics.a", False),
        ("metrics.a ", False),
        ("metrics.a DESCENDING", False),
        ("metrics.`a`DESC", False),
        ("metrics.a, metrics.b", False),
        ("", False),
        ("null", False),
        ("null.x", True),
        ("tags.`a b` DESC", True),
        ("tags.'' DESC", True),
        ("tags.`it's` DESC", False),
        ("tags.`a``b` DESC", False),
        ("tags.'a\\b'", False),
        ("tags.` a` DESC", True),
        ("tags.`a `", True),
        ("tags.`a ` DESC", False),
        ("tags.'a\t'\nasc", False),
        ("'status'", False),
        ("max(metrics.a)", True),
        ("at(metrics.`it's`, 1) DESC", True),
        ("at( metrics.a,1 )\tasc", True),
        ("max(metrics.a)DESC", False),
        (" max(metrics.a)", False),
        ("max(metrics.a) ", False),
        ("max(metrics.a), b", False),
        ('"status"', True),
    ],
)
def test_the_corners_of_order_by(text: str, is_entry: bool) -> None:
    assert (is_entry, is_entry) == (is_in_grammar(text, "order_by"), is_read(text, "order_by"))


@pytest.mark.parametrize(
    ("terminal", "expression"),
    [
        ("PREFIX", tokens.PREFIX),
        ("FUNCTION", tokens.FUNCTION.replace("(?-i:", "(?:")),
        ("KEY", tokens.DOTTED),
        ("ATTRIBUTE", f"(?!{tokens.RESERVED}){tokens.SEGMENT}"),
        ("BACKTICKED", tokens.BACKTICKED),
        ("STRING", f"(?:{tokens.STRING})"),
        ("DOUBLE_QUOTED", tokens.DOUBLE_QUOTED),
        ("ORDER_BACKTICKED", f"`{tokens.ORDER_KEY}`"),
        ("ORDER_SINGLE_QUOTED", f"'{tokens.ORDER_KEY}'"),
        ("ORDER_DOUBLE_QUOTED", f'"{tokens.ORDER_KEY}"'),
        ("_ORDER_WHITESPACE", tokens.ORDER_WHITESPACE),
        ("NUMBER", tokens.NUMBER),
        ("SYMBOL", tokens.SYMBOL),
        ("LIKE", tokens.LIKE),
        ("IN", tokens.IN),
        ("NULL", tokens.NULL),
        ("BETWEEN", tokens.BETWEEN),
        ("_BETWEEN_AND", tokens.BETWEEN_AND),
        ("_OR", tokens.OR),
        ("_NOT", tokens.NOT),
    ],
)
def test_the_grammar_and_the_parser_hold_the_same_expression(terminal: str, expression: str) -> None:
    written = next(t.pattern.to_regexp() for t in lark_parser().terminals if t.name == terminal)

    assert _comparable(expression) == _comparable(written)


_RUNS = {
    "[^`]++|``": "``|[^`]",
    r"[^'\\]++|''|\\'|\\": r"''|\\'|[^']",
    r'[^"\\]++|""|\\"|\\': r'""|\\"|[^"]',
}


def _comparable(expression: str) -> str:
    """Remove intended differences: runs read at once, whitespace around operators, group names, groupings, flags."""
    for at_once, one_by_one in _RUNS.items():
        expression = expression.replace(at_once, one_by_one)
    plain = expression.removeprefix(r"\s*").removesuffix(r"\s*").replace(r"[\\]", r"\\")
    return re.sub(r"\(\?(?:P<op>|i:|:)|(?<!\\)[()]", "", plain)
