"""Parse a filter, an order_by entry, a field or aggregates into syntax trees. Independent of dialect, fields and data.

Most filters are comparisons with strings or numbers, joined by AND, which are parsed here. Everything else is left to
`grammar`, which is imported only then. Both use the regular expressions of `tokens`.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from mlquery.errors import INTERNAL_ERROR, Diagnostic, QueryError, Span
from mlquery.language import tokens as lexical
from mlquery.language.node_builders import conjunction_of, literal_of, name_of
from mlquery.language.syntax import Aggregate, And, Comparison, Expression, Operand, OrderTerm

_MAX_TOKENS = 10_000
_MAX_DEPTH = 32
_CACHED, _LONGEST_CACHED = 64, 10_000

# Each token is as long as possible, as in the grammar, and never shortened to make the next one match.
_PLAIN = f"(?>{lexical.NAME})(?>{lexical.SYMBOL})(?P<literal>(?>{lexical.STRING}|{lexical.NUMBER}))"


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.IGNORECASE)


def parse_filter(source: str, argument: str = "filter_string") -> Expression:
    """Return the syntax tree of a filter; the empty filter and one of bare ANDs are the empty conjunction.

    Raises:
        QueryError: it is not a valid filter (code "syntax"), with the span of the first token that does not fit.

    Source: MLflow 3.17 `SearchUtils.parse_search_filter`, which also reads clauses without AND between them.
    """
    if not source or _compiled(lexical.AND).fullmatch(source):
        return And((), Span(0, len(source)))
    _require_reasonable_size(source, argument)
    expression = plain_conjunction(source) or _by_grammar(source, argument)
    _require_encodable(source, argument)
    return expression


def plain_conjunction(source: str) -> Expression | None:
    """Return the tree of comparisons with strings and numbers, joined by AND, as the grammar does; else None.

    This takes a tenth of the time of the grammar, and saves a new process the time of importing it.
    """
    comparison, joint = _compiled(_PLAIN), _compiled(lexical.AND)
    found: list[Comparison] = []
    start = 0
    while match := comparison.match(source, start):
        name, value = name_of(match), literal_of(match, "literal")
        span = Span(name.span.start, value.span.stop)
        found.append(Comparison(name, match["op"], value, match["op"], span))
        if match.end() == len(source):
            return conjunction_of(found)
        gap = joint.match(source, match.end())
        if gap is None:
            break
        start = gap.end()
    return None


@lru_cache(_CACHED)
def _tree(source: str) -> Expression | None:
    """Return what the grammar makes of a filter, which is often asked for several dialects in a row."""
    from mlquery.language.grammar import tree_of  # importing pyparsing takes longer than the rest of a search

    return tree_of(source)


def _by_grammar(source: str, argument: str) -> Expression:
    try:
        tree = _tree(source) if len(source) <= _LONGEST_CACHED else _tree.__wrapped__(source)
    except RecursionError:
        raise QueryError(_too_large(source, argument, "is nested too deeply")) from None
    if tree is None:
        from mlquery.language.syntax_errors import filter_error  # compiles its expressions, which only mistakes need

        raise QueryError(filter_error(source, argument))
    return tree


def parse_order_by(source: str, argument: str = "order_by[0]") -> OrderTerm:
    """Return the syntax tree of one entry of order_by.

    Raises:
        QueryError: it is not a field or a call with an optional ASC or DESC (code "syntax").

    Source: MLflow 3.17 `SearchUtils.parse_order_by_for_search_runs`.
    """
    match = _compiled(lexical.ORDER_BY).fullmatch(source)
    if match is None:
        return _order_by_call(source, argument)
    _require_encodable(source, argument)
    descending = (match["direction"] or "").upper() == "DESC"
    return OrderTerm(name_of(match), descending, Span(0, len(source)))


def _order_by_call(source: str, argument: str) -> OrderTerm:
    from mlquery.language.grammar import order_term_of
    from mlquery.language.syntax_errors import order_error

    term = order_term_of(source)
    if term is None:
        raise QueryError(order_error(source, argument))
    _require_encodable(source, argument)
    return term


def parse_operand(source: str, argument: str) -> Operand:
    """Return the syntax tree of a field, such as ``params.`my key` ``, or of a call, such as `max(metrics.loss)`.

    Raises:
        QueryError: it is neither (code "syntax").
    """
    from mlquery.language.grammar import operand_of
    from mlquery.language.syntax_errors import operand_error

    operand = operand_of(source)
    if operand is None:
        raise QueryError(operand_error(source, argument))
    _require_encodable(source, argument)
    return operand


def parse_aggregates(source: str, argument: str = "aggregates") -> tuple[Aggregate, ...]:
    """Return the syntax trees of aggregates that are separated by commas, such as `count(), mean(metrics.auc)`.

    Raises:
        QueryError: it is not a list of aggregates (code "syntax").
    """
    from mlquery.language.grammar import aggregates_of
    from mlquery.language.syntax_errors import aggregates_error

    aggregates = aggregates_of(source)
    if aggregates is None:
        raise QueryError(aggregates_error(source, argument))
    _require_encodable(source, argument)
    return aggregates


def _require_reasonable_size(source: str, argument: str) -> None:
    """Refuse filters beyond MLflow's token limit and nesting that would exhaust the stack, before parsing them."""
    if len(source) > _MAX_TOKENS:
        for count, _ in enumerate(lexical.PIECE.finditer(source)):
            if count >= _MAX_TOKENS:
                raise QueryError(_too_large(source, argument, f"has more than {_MAX_TOKENS:,} tokens"))
    if source.count("(") > _MAX_DEPTH or len(re.findall(r"\bNOT\b", source, re.IGNORECASE)) > _MAX_DEPTH:
        _require_shallow(source, argument)


def _require_shallow(source: str, argument: str) -> None:
    depth = negations = 0
    for match in lexical.PIECE.finditer(source):
        word = match[0].upper()
        depth += (word == "(") - (word == ")")
        negations = negations + 1 if word == "NOT" else 0 if not word.isspace() and word != "(" else negations
        if depth > _MAX_DEPTH or negations > _MAX_DEPTH:
            raise QueryError(
                _too_large(source, argument, f"is nested more than {_MAX_DEPTH} levels deep", match.start())
            )


def _too_large(source: str, argument: str, problem: str, position: int = 0) -> Diagnostic:
    span = Span(position, min(position + 1, len(source)))
    hint = "split the search into several smaller ones"
    return Diagnostic("syntax", f"the filter {problem}", argument, source, span, suggestion=hint)


def _require_encodable(source: str, argument: str) -> None:
    match = _compiled("[\ud800-\udfff]").search(source)
    if match is not None:
        message = "a lone surrogate is not a valid character"
        span = Span(match.start(), match.end())
        raise QueryError(
            Diagnostic("syntax", message, argument, source, span, error_code=INTERNAL_ERROR, stage="running")
        )
