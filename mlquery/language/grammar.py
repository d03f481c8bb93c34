"""The grammar of a filter, composed of pyparsing's elements: the only module that imports pyparsing.

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
from mlquery.language.syntax import Comparison, Expression, Group, Items, Literal, Name, Not, Number, Or, Range, String

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


def _build() -> pp.ParserElement:
    """Compose the grammar of a filter; the names are those of the railroad diagram."""
    name = _token(lexical.NAME, "name", _name)
    string, number = _token(lexical.STRING, "string", _literal), _token(lexical.NUMBER, "number", _literal)
    literal = (string | number).set_name("literal")
    conjunction_word = _token(lexical.AND, "AND", _unchanged).suppress()
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
    plain_comparison = (name + plain).set_name("plain comparison").add_parse_action(_comparison)
    comparison = (name + (plain | others)).set_name("comparison").add_parse_action(_comparison)
    whitespace = pp.Regex(r"\s*").set_name("whitespace").suppress()
    disjunction, factor = pp.Forward(), pp.Forward()
    disjunction.set_name("disjunction")
    factor.set_name("factor")
    group = _token(r"\(\s*", "(", _unchanged) + disjunction + _token(r"\s*\)", ")", _unchanged)
    negation = _token(lexical.NOT, "NOT", _unchanged) + factor
    factor <<= comparison | negation.add_parse_action(_not) | group.add_parse_action(_group)
    more = conjunction_word + factor | whitespace + plain_comparison
    conjunction = (factor + pp.ZeroOrMore(more)).set_name("conjunction").add_parse_action(_and)
    alternatives = conjunction + pp.ZeroOrMore(_token(lexical.OR, "OR", _operator) + conjunction)
    disjunction <<= alternatives.add_parse_action(_or)
    padding = pp.Opt(conjunction_word) + whitespace
    grammar: pp.ParserElement = (padding + disjunction + padding + pp.StringEnd()).set_name("filter")
    grammar.leave_whitespace().parse_with_tabs()
    grammar.streamline()
    return grammar


GRAMMAR = _build()


def tree_of(source: str) -> Expression | None:
    """Return the syntax tree of a filter, None if it is not valid. Deep nesting raises RecursionError."""
    try:
        tree: Expression = GRAMMAR.parse_string(source)[0]
    except pp.ParseBaseException:
        return None
    return tree
