"""Syntax trees are the same after being written and parsed again, and every span covers the part it is about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given

from mlquery.errors import Span
from mlquery.language.grammar import tree_of
from mlquery.language.parser import parse_aggregates, parse_filter, parse_operand, parse_order_by, plain_conjunction
from mlquery.language.render import render
from mlquery.language.syntax import (
    Aggregate,
    And,
    Call,
    Comparison,
    Expression,
    Group,
    Items,
    Name,
    Not,
    Number,
    Operand,
    Or,
    OrderTerm,
    Range,
    String,
)
from tests.support.random_syntax import (
    ORDER_TERMS,
    SETTINGS,
    TREES,
    spelled_aggregates,
    spelled_operands,
    spelled_order_terms,
    spelled_trees,
)


@pytest.mark.slow
@SETTINGS
@given(TREES)
def test_a_tree_written_and_read_is_the_same_tree(tree: Expression) -> None:
    assert tree == parse_filter(render(tree))


@pytest.mark.slow
@SETTINGS
@given(spelled_trees())
def test_every_spelling_of_a_tree_is_read_as_that_tree(pair: tuple[Expression, str]) -> None:
    tree, text = pair

    assert tree == parse_filter(text)


@pytest.mark.slow
@SETTINGS
@given(ORDER_TERMS)
def test_an_order_term_written_and_read_is_the_same_term(term: OrderTerm) -> None:
    assert term == parse_order_by(render(term))


@pytest.mark.slow
@SETTINGS
@given(spelled_order_terms())
def test_every_spelling_of_an_order_term_is_read_as_that_term(pair: tuple[OrderTerm, str]) -> None:
    term, text = pair

    assert term == parse_order_by(text)


@pytest.mark.slow
@SETTINGS
@given(spelled_operands())
def test_every_spelling_of_a_field_or_a_call_is_read_as_that(pair: tuple[Operand, str]) -> None:
    operand, text = pair

    read = parse_operand(text, "columns[0]")

    assert (operand, operand) == (read, parse_operand(render(operand), "columns[0]"))
    assert Span(0, len(text)) == read.span


@pytest.mark.slow
@SETTINGS
@given(spelled_aggregates())
def test_every_spelling_of_aggregates_is_read_as_those(pair: tuple[tuple[Aggregate, ...], str]) -> None:
    aggregates, text = pair

    read = parse_aggregates(text)

    assert aggregates == read == parse_aggregates(", ".join(map(render, aggregates)))
    assert list(read) == [one for part in read for one in parse_aggregates(text[slice_of(part.span)])]
    assert [one.function for one in read] == [text[slice_of(one.word)].lower() for one in read]


@pytest.mark.slow
@SETTINGS
@given(spelled_trees())
def test_the_span_of_every_part_covers_a_text_that_reads_as_that_part(pair: tuple[Expression, str]) -> None:
    _, text = pair
    tree = parse_filter(text)

    covered = [(node, text[node.span.start : node.span.stop]) for node in parts(tree)]

    assert [node for node, _ in covered] == [parse_filter(piece) for _, piece in covered]


@pytest.mark.slow
@SETTINGS
@given(spelled_trees())
def test_the_spans_of_names_literals_and_words_cover_them(pair: tuple[Expression, str]) -> None:
    _, text = pair

    for node in parts(parse_filter(text)):
        match node:
            case Comparison(name, op, value, written):
                assert parse_filter(f"{text[slice_of(name.span)]} IS NULL") == Comparison(name, "IS NULL", None)
                assert op == " ".join(written.upper().split())
                assert written in text[name.span.stop : node.span.stop]
                if value is not None:
                    assert is_written(value, text)
            case Or(_, _, spans):
                assert ["OR"] * (len(node.operands) - 1) == [text[slice_of(span)].upper() for span in spans]
            case Not(_, _, word):
                assert text[slice_of(word)].upper() == "NOT"


def parts(node: Expression) -> Iterator[Expression]:
    """Return the node and every expression inside it."""
    yield node
    match node:
        case And(operands) | Or(operands):
            for operand in operands:
                yield from parts(operand)
        case Not(operand) | Group(operand):
            yield from parts(operand)


def slice_of(span: Span) -> slice:
    return slice(span.start, span.stop)


def is_written(value: String | Number | Items | Range, source: str) -> bool:
    """Tell whether the span of a literal covers it: what stands in quotes is the value, the rest is as written."""
    text = source[slice_of(value.span)]
    match value:
        case String(inner):
            return text in (f"'{inner}'", f'"{inner}"')
        case Number(digits):
            return text == digits
        case Items(items):
            return text[0] + text[-1] == "()" and all(is_written(item, source) for item in items)
        case Range(low, high):
            covers_both = value.span == Span(low.span.start, high.span.stop)
            return covers_both and is_written(low, source) and is_written(high, source)


METRIC = Name("metrics", "a")
SPACED = Name("metrics", "a b", True)


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (And(()), ""),
        (Comparison(METRIC, "=", Number("1")), "metrics.a = 1"),
        (Comparison(Name("tags", "a b", True), "LIKE", String("it's")), 'tags.`a b` LIKE "it\'s"'),
        (Comparison(Name("tags", "a`b", True), "=", String("''")), "tags.\"a`b\" = ''''"),
        (Comparison(Name(None, "run name", True), "IS NULL", None), "`run name` IS NULL"),
        (Comparison(METRIC, "BETWEEN", Range(Number("1"), Number("2"))), "metrics.a BETWEEN 1 AND 2"),
        (Comparison(METRIC, "NOT IN", Items((Number("1"), String("it's")))), 'metrics.a NOT IN (1, "it\'s")'),
        (Comparison(Call("max", METRIC), "<", Number("1")), "max(metrics.a) < 1"),
        (Comparison(Call("at", SPACED, Number("-7")), "IS NULL", None), "at(metrics.`a b`, -7) IS NULL"),
        (Not(Group(Or((Comparison(METRIC, "==", Number("1")),) * 2))), "NOT (metrics.a == 1 OR metrics.a == 1)"),
    ],
)
def test_the_canonical_string_of_a_tree(tree: Expression, text: str) -> None:
    assert text == render(tree)


@pytest.mark.parametrize(
    "part",
    [
        Name("metrics", "a b"),
        Name(None, "like"),
        Name(None, "a.b"),
        Name("tags", "`'\"", True),
        String("'\""),
        String("\\"),
        String("\"\\''x"),
        Items((String("'\""),)),
        Items((String("a\\b"),)),
        Items((String("a\nb"),)),
        Call("max", Name("metrics", "a b")),
        OrderTerm(Name("tags", "it's", True)),
        OrderTerm(Name("tags", "a`b", True)),
        OrderTerm(Name("tags", "a\\b", True)),
        OrderTerm(Name("tags", "a ", True), descending=True),
    ],
)
def test_a_tree_that_no_string_has_is_not_written(part: Operand | String | Items | OrderTerm) -> None:
    with pytest.raises(ValueError, match=r"cannot be quoted|cannot be written without quotes"):
        render(part)


@pytest.mark.slow
@SETTINGS
@given(spelled_trees())
def test_what_is_read_without_the_grammar_is_what_the_grammar_reads(pair: tuple[Expression, str]) -> None:
    _, text = pair

    for cut in range(len(text)):  # every beginning and every end of it, most of which are no filters
        for piece in (text[cut:], text[:cut]):
            assert plain_conjunction(piece) in (None, tree_of(piece))


@pytest.mark.parametrize(
    "text",
    [
        "metrics.auc > 0.7",
        "params.opt = 'adam' AND metrics.auc>.5 and\ttags.`a b` != \"it''s\"",
        "a=1 AND b = -2e-3  AND AND c <> 'AND d = 1'",
        "attributes.\"start time\" >= 10 AND `x``y` == ''",
    ],
)
def test_comparisons_joined_by_and_are_read_without_the_grammar(text: str) -> None:
    expected = tree_of(text)

    assert expected is not None
    assert expected == plain_conjunction(text)


@pytest.mark.parametrize(
    "text",
    [
        *("a = 1 AND", " a = 1", "a = 1 ", "a = 1 b = 2", "a = 1 OR b = 2", "NOT a = 1", "(a = 1)", "a IS NULL"),
        *("a BETWEEN 1 AND 2", "a IN ('b')", "a LIKE 'b'", "a = 1ANDb = 2", "a = 'b", "a = b", "case = 1", "a == = 1"),
    ],
)
def test_anything_else_is_left_to_the_grammar(text: str) -> None:
    assert plain_conjunction(text) is None
