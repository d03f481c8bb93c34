"""The grammar of filters and calls, composed of pyparsing's elements: the only module that imports pyparsing.

`grammar/mlquery.lark` is the normative grammar; the regular expressions here are the same. Whitespace is never skipped
silently: every element says where it is allowed. Independent of any dialect, field names and data.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import pyparsing as pp

from mlquery.errors import Span
from mlquery.language import tokens as lexical
from mlquery.language.node_builders import conjunction_of, covering, literal_of, name_of
from mlquery.language.syntax import (
    Aggregate,
    Call,
    Comparison,
    Expression,
    Group,
    Items,
    Literal,
    Name,
    Not,
    Number,
    Operand,
    Or,
    OrderTerm,
    Range,
    String,
)

_ONE_ITEM = re.compile(lexical.ITEM, re.IGNORECASE)


class _Operator(NamedTuple):
    op: str
    written: str
    stop: int


def _token(pattern: str, name: str, action: Any) -> pp.ParserElement:
    element = pp.Regex(pattern, flags=re.IGNORECASE, as_match=True).set_name(name)
    return element.add_parse_action(action)


def _name(_source: str, _loc: int, tokens: pp.ParseResults) -> Name:
    return name_of(tokens[0])


def _call(_source: str, loc: int, tokens: pp.ParseResults) -> Call:
    opening, name, *step, closing = tokens
    function, word = _function(opening)
    return Call(function, name, step[0] if step else None, Span(loc, closing.end()), word)


def _aggregate(_source: str, loc: int, tokens: pp.ParseResults) -> Aggregate:
    opening, *operand, closing = tokens
    function, word = _function(opening)
    return Aggregate(function, operand[0] if operand else None, Span(loc, closing.end()), word)


def _function(opening: re.Match[str]) -> tuple[str, Span]:
    return opening["function"].lower(), Span(*opening.span("function"))


def _order_term(source: str, _loc: int, tokens: pp.ParseResults) -> OrderTerm:
    call, *direction = tokens
    descending = bool(direction) and direction[0]["direction"].upper() == "DESC"
    return OrderTerm(call, descending, Span(0, len(source)))


def _operator(_source: str, _loc: int, tokens: pp.ParseResults) -> _Operator:
    written = tokens[0].group("op")
    return _Operator(" ".join(written.upper().split()), written, tokens[0].end("op"))


def _literal(_source: str, _loc: int, tokens: pp.ParseResults) -> String | Number:
    return literal_of(tokens[0])


def _items(source: str, loc: int, tokens: pp.ParseResults) -> Items:
    stop = tokens[0].end()
    return Items(tuple(literal_of(m) for m in _ONE_ITEM.finditer(source, loc + 1, stop - 1)), Span(loc, stop))


def _range(_source: str, _loc: int, tokens: pp.ParseResults) -> Range:
    low, high = tokens[0], tokens[-1]
    return Range(low, high, Span(low.span.start, high.span.stop))


def _comparison(_source: str, _loc: int, tokens: pp.ParseResults) -> Comparison:
    name, operator, *rest = tokens
    value: Literal = rest[0] if rest else None
    stop = value.span.stop if value is not None else operator.stop
    return Comparison(name, operator.op, value, operator.written, Span(name.span.start, stop))


def _group(_source: str, loc: int, tokens: pp.ParseResults) -> Group:
    return Group(tokens[1], Span(loc, tokens[-1].end()))


def _not(_source: str, loc: int, tokens: pp.ParseResults) -> Not:
    operand = tokens[1]
    return Not(operand, Span(loc, operand.span.stop), Span(loc, loc + len("NOT")))


def _and(_source: str, _loc: int, tokens: pp.ParseResults) -> Expression:
    return conjunction_of(tuple(tokens))


def _or(_source: str, _loc: int, tokens: pp.ParseResults) -> Expression:
    operands: tuple[Expression, ...] = tuple(tokens[::2])
    words = tuple(Span(word.stop - len(word.written), word.stop) for word in tokens[1::2])
    return operands[0] if len(operands) == 1 else Or(operands, covering(operands), words)


def _unchanged(_source: str, _loc: int, tokens: pp.ParseResults) -> pp.ParseResults:
    return tokens


class _Start(NamedTuple):
    """What a whole string can be: a filter, an entry of order_by with a call, a field or call, a list of aggregates."""

    filter: pp.ParserElement
    order_by: pp.ParserElement
    operand: pp.ParserElement
    aggregates: pp.ParserElement


def _build() -> _Start:
    """Compose the grammar; the names are those of the railroad diagram."""
    name, number = _token(lexical.NAME, "name", _name), _token(lexical.NUMBER, "number", _literal)
    opening, closing = _token(lexical.OPEN, "function (", _unchanged), _token(lexical.CLOSE, ")", _unchanged)
    comma = _token(lexical.COMMA, ",", _unchanged).suppress()
    call = (opening + name + pp.Opt(comma + number) + closing).set_name("call").add_parse_action(_call)
    operand = (call | name).set_name("operand")
    direction = _token(lexical.ORDER_DIRECTION, "direction", _unchanged)
    order_term = (call + pp.Opt(direction)).add_parse_action(_order_term)
    aggregate = (opening + pp.Opt(operand) + closing).set_name("aggregate").add_parse_action(_aggregate)
    whitespace = _whitespace()
    aggregates = whitespace + aggregate + pp.ZeroOrMore(comma + aggregate) + whitespace
    return _Start(
        _whole(_filter(operand, number), "filter"),
        _whole(order_term, "order by a call"),
        _whole(operand, "one operand"),
        _whole(aggregates, "aggregates"),
    )


def _filter(operand: pp.ParserElement, number: pp.ParserElement) -> pp.ParserElement:
    """Compose the grammar of a filter."""
    literal = (_token(lexical.STRING, "string", _literal) | number).set_name("literal")
    comparison, plain_comparison = _comparisons(operand, literal)
    conjunction_word, whitespace = _token(lexical.AND, "AND", _unchanged).suppress(), _whitespace()
    disjunction, factor = pp.Forward(), pp.Forward()
    disjunction.set_name("disjunction")
    factor.set_name("factor")
    group = _token(r"\(\s*", "(", _unchanged) + disjunction + _token(lexical.CLOSE, ")", _unchanged)
    negation = _token(lexical.NOT, "NOT", _unchanged) + factor
    factor <<= comparison | negation.add_parse_action(_not) | group.add_parse_action(_group)
    more = conjunction_word + factor | whitespace + plain_comparison
    conjunction = (factor + pp.ZeroOrMore(more)).set_name("conjunction").add_parse_action(_and)
    alternatives = conjunction + pp.ZeroOrMore(_token(lexical.OR, "OR", _operator) + conjunction)
    disjunction <<= alternatives.add_parse_action(_or)
    padding = pp.Opt(conjunction_word) + whitespace
    return padding + disjunction + padding


def _comparisons(operand: pp.ParserElement, literal: pp.ParserElement) -> tuple[pp.ParserElement, pp.ParserElement]:
    """Compose the grammar of a comparison, and that of one that needs no AND before it."""
    between_and = _token(lexical.BETWEEN_AND, "AND", _unchanged).suppress()
    ends = (literal + between_and + literal).set_name("range").add_parse_action(_range)
    symbol = _token(lexical.SYMBOL, "= != > >= < <= == <>", _operator)
    like = _token(lexical.LIKE, "[NOT] LIKE ILIKE RLIKE", _operator)
    plain = (symbol | like).set_name("plain operator") + literal
    others = (
        _token(lexical.IN, "[NOT] IN", _operator) + _token(lexical.ITEMS, "list", _items)
        | _token(lexical.NULL, "IS [NOT] NULL", _operator)
        | _token(lexical.BETWEEN, "BETWEEN", _operator) + ends
    )
    comparison = (operand + (plain | others)).set_name("comparison").add_parse_action(_comparison)
    return comparison, (operand + plain).set_name("plain comparison").add_parse_action(_comparison)


def _whitespace() -> pp.ParserElement:
    return pp.Regex(r"\s*").set_name("whitespace").suppress()


def _whole(element: pp.ParserElement, name: str) -> pp.ParserElement:
    grammar: pp.ParserElement = (element + pp.StringEnd()).set_name(name)
    grammar.leave_whitespace().parse_with_tabs()
    grammar.streamline()
    return grammar


GRAMMAR = _build()


def tree_of(source: str) -> Expression | None:
    """Return the syntax tree of a filter, None if it is not valid. Deep nesting raises RecursionError."""
    tree: Expression | None = _first(GRAMMAR.filter, source)
    return tree


def order_term_of(source: str) -> OrderTerm | None:
    """Return the syntax tree of an entry of order_by that begins with a call, None if it is not valid."""
    term: OrderTerm | None = _first(GRAMMAR.order_by, source)
    return term


def operand_of(source: str) -> Operand | None:
    """Return the syntax tree of a field or a call, None if it is neither."""
    operand: Operand | None = _first(GRAMMAR.operand, source)
    return operand


def aggregates_of(source: str) -> tuple[Aggregate, ...] | None:
    """Return the syntax trees of a list of aggregates, None if it is not valid."""
    try:
        return tuple(GRAMMAR.aggregates.parse_string(source))
    except pp.ParseBaseException:
        return None


def _first(grammar: pp.ParserElement, source: str) -> Any:
    try:
        return grammar.parse_string(source)[0]
    except pp.ParseBaseException:
        return None
