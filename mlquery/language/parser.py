"""Turn the text of a filter or an order_by entry into a syntax tree. Knows no dialect, no field names and no data.

This is the only module that imports pyparsing. `grammar/mlquery.lark` is the normative grammar; the regular expressions
here are the same ones. Whitespace is never skipped silently: every element says where blanks may stand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyparsing as pp

from mlquery.errors import INTERNAL_ERROR, Diagnostic, QueryError, Span
from mlquery.language import tokens as lexical
from mlquery.language.syntax import (
    And,
    Comparison,
    Expression,
    Group,
    Items,
    Literal,
    Name,
    Not,
    Number,
    Or,
    OrderTerm,
    Range,
    Text,
)

MAX_TOKENS = 10_000
MAX_DEPTH = 32

_ORDER = re.compile(lexical.ORDER_BY, re.IGNORECASE)
_ONLY_AND = re.compile(lexical.AND, re.IGNORECASE)
_ONE_ITEM = re.compile(lexical.ITEM, re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Operator(NamedTuple):
    op: str
    written: str
    stop: int


def _token(pattern: str, name: str, action: Any) -> pp.ParserElement:
    element = pp.Regex(pattern, flags=re.IGNORECASE, as_match=True).set_name(name)
    return element.add_parse_action(action)


def _name_of(match: re.Match[str]) -> Name:
    prefix, quoted, key, bare, bare_quoted = match.group("prefix", "quoted", "key", "bare", "bare_quoted")
    in_quotes = quoted or bare_quoted
    written = _without_quotes(in_quotes) if in_quotes else key or bare
    return Name(prefix, written, in_quotes is not None, Span(*match.span("name")))


def _without_quotes(text: str) -> str:
    inner = text[1:-1]
    is_backticked_again = text[0] != "`" and len(inner) > 1 and inner[0] == inner[-1] == "`"
    return inner[1:-1] if is_backticked_again else inner


def _name(_text: str, _loc: int, tokens: pp.ParseResults) -> Name:
    return _name_of(tokens[0])


def _operator(_text: str, _loc: int, tokens: pp.ParseResults) -> _Operator:
    written = tokens[0].group("op")
    return _Operator(" ".join(written.upper().split()), written, tokens[0].end("op"))


def _text(_text: str, loc: int, tokens: pp.ParseResults) -> Text:
    return Text(tokens[0][0][1:-1], Span(loc, tokens[0].end()))


def _number(_text: str, loc: int, tokens: pp.ParseResults) -> Number:
    return Number(tokens[0][0], Span(loc, tokens[0].end()))


def _literal_of(match: re.Match[str]) -> Text | Number:
    span = Span(match.start(), match.end())
    return Text(match[0][1:-1], span) if match[0][0] in "'\"" else Number(match[0], span)


def _items(text: str, loc: int, tokens: pp.ParseResults) -> Items:
    stop = tokens[0].end()
    return Items(tuple(_literal_of(m) for m in _ONE_ITEM.finditer(text, loc + 1, stop - 1)), Span(loc, stop))


def _range(_text: str, _loc: int, tokens: pp.ParseResults) -> Range:
    low, high = tokens[0], tokens[-1]
    return Range(low, high, Span(low.span.start, high.span.stop))


def _comparison(_text: str, _loc: int, tokens: pp.ParseResults) -> Comparison:
    name, operator, *rest = tokens
    value: Literal = rest[0] if rest else None
    stop = value.span.stop if value is not None else operator.stop
    return Comparison(name, operator.op, value, operator.written, Span(name.span.start, stop))


def _group(_text: str, loc: int, tokens: pp.ParseResults) -> Group:
    return Group(tokens[1], Span(loc, tokens[-1].end()))


def _not(_text: str, loc: int, tokens: pp.ParseResults) -> Not:
    operand = tokens[1]
    return Not(operand, Span(loc, operand.span.stop), Span(loc, loc + len("NOT")))


def _and(_text: str, _loc: int, tokens: pp.ParseResults) -> Expression:
    operands = tuple(tokens)
    return operands[0] if len(operands) == 1 else And(operands, _covering(operands))


def _or(_text: str, _loc: int, tokens: pp.ParseResults) -> Expression:
    operands: tuple[Expression, ...] = tuple(tokens[::2])
    words = tuple(Span(word.stop - len(word.written), word.stop) for word in tokens[1::2])
    return operands[0] if len(operands) == 1 else Or(operands, _covering(operands), words)


def _covering(operands: Sequence[Expression]) -> Span:
    return Span(operands[0].span.start, operands[-1].span.stop)


def _unchanged(_text: str, _loc: int, tokens: pp.ParseResults) -> pp.ParseResults:
    return tokens


def _build() -> pp.ParserElement:
    """Compose the grammar of a filter; the names are those of the railroad diagram."""
    name = _token(lexical.NAME, "name", _name)
    text, number = _token(lexical.TEXT, "text", _text), _token(lexical.NUMBER, "number", _number)
    literal = (text | number).set_name("literal")
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
    blanks = pp.Regex(r"\s*").set_name("blanks").suppress()
    disjunction, factor = pp.Forward(), pp.Forward()
    disjunction.set_name("disjunction")
    factor.set_name("factor")
    group = _token(r"\(\s*", "(", _unchanged) + disjunction + _token(r"\s*\)", ")", _unchanged)
    negation = _token(lexical.NOT, "NOT", _unchanged) + factor
    factor <<= comparison | negation.add_parse_action(_not) | group.add_parse_action(_group)
    more = conjunction_word + factor | blanks + plain_comparison
    conjunction = (factor + pp.ZeroOrMore(more)).set_name("conjunction").add_parse_action(_and)
    alternatives = conjunction + pp.ZeroOrMore(_token(lexical.OR, "OR", _operator) + conjunction)
    disjunction <<= alternatives.add_parse_action(_or)
    padding = pp.Opt(conjunction_word) + blanks
    grammar: pp.ParserElement = (padding + disjunction + padding + pp.StringEnd()).set_name("filter")
    grammar.leave_whitespace().parse_with_tabs()
    grammar.streamline()
    return grammar


GRAMMAR = _build()


def parse_filter(text: str, argument: str = "filter_string") -> Expression:
    """Return the syntax tree of a filter; the empty filter and one of bare ANDs are the empty conjunction.

    Raises:
        QueryError: the text is not a filter (code "syntax"), with the span of the first piece that does not fit.

    Source: MLflow 3.17 `SearchUtils.parse_search_filter`, which also reads clauses without AND between them.
    """
    if not text or _ONLY_AND.fullmatch(text):
        return And((), Span(0, len(text)))
    _require_reasonable_size(text, argument)
    try:
        expression: Expression = GRAMMAR.parse_string(text)[0]
    except pp.ParseBaseException:
        from mlquery.language.advice import filter_advice  # only mistakes need its expressions compiled

        raise QueryError(filter_advice(text, argument)) from None
    except RecursionError:
        raise QueryError(_too_large(text, argument, "is nested too deeply")) from None
    _require_encodable(text, argument)
    return expression


def parse_order_by(text: str, argument: str = "order_by[0]") -> OrderTerm:
    """Return one entry of order_by.

    Raises:
        QueryError: the text is not a field with an optional ASC or DESC (code "syntax").

    Source: MLflow 3.17 `SearchUtils.parse_order_by_for_search_runs`.
    """
    match = _ORDER.fullmatch(text)
    if match is None:
        from mlquery.language.advice import order_advice

        raise QueryError(order_advice(text, argument))
    _require_encodable(text, argument)
    descending = (match["direction"] or "").upper() == "DESC"
    return OrderTerm(_name_of(match), descending, Span(0, len(text)))


def _require_reasonable_size(text: str, argument: str) -> None:
    """Refuse texts beyond MLflow's own token limit and nesting that would exhaust the stack, before parsing them."""
    if len(text) > MAX_TOKENS:
        for count, _ in enumerate(lexical.PIECE.finditer(text)):
            if count >= MAX_TOKENS:
                raise QueryError(_too_large(text, argument, f"has more than {MAX_TOKENS:,} tokens"))
    if text.count("(") > MAX_DEPTH or len(re.findall(r"\bNOT\b", text, re.IGNORECASE)) > MAX_DEPTH:
        _require_shallow(text, argument)


def _require_shallow(text: str, argument: str) -> None:
    depth = negations = 0
    for match in lexical.PIECE.finditer(text):
        word = match[0].upper()
        depth += (word == "(") - (word == ")")
        negations = negations + 1 if word == "NOT" else 0 if not word.isspace() and word != "(" else negations
        if depth > MAX_DEPTH or negations > MAX_DEPTH:
            raise QueryError(_too_large(text, argument, f"is nested more than {MAX_DEPTH} deep", match.start()))


def _too_large(text: str, argument: str, problem: str, position: int = 0) -> Diagnostic:
    span = Span(position, min(position + 1, len(text)))
    hint = "split the search into several smaller ones"
    return Diagnostic("syntax", f"the filter {problem}", argument, text, span, suggestion=hint)


def _require_encodable(text: str, argument: str) -> None:
    match = _SURROGATE.search(text)
    if match is not None:
        message = "the text holds half of a surrogate pair, which is not a character"
        span = Span(match.start(), match.end())
        raise QueryError(Diagnostic("syntax", message, argument, text, span, error_code=INTERNAL_ERROR))
