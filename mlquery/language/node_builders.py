"""Turn a match of one of the language's regular expressions into a node of the syntax tree."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mlquery.errors import Span
from mlquery.language.syntax import And, Expression, Name, Number, String


def name_of(match: re.Match[str]) -> Name:
    """Return the name in a match of `tokens.NAME` or of an expression that contains it."""
    prefix, quoted, key, bare, bare_quoted = match.group("prefix", "quoted", "key", "bare", "bare_quoted")
    in_quotes = quoted or bare_quoted
    written = _without_quotes(in_quotes) if in_quotes else key or bare
    return Name(prefix, written, in_quotes is not None, Span(*match.span("name")))


def _without_quotes(quoted: str) -> str:
    inner = quoted[1:-1]
    is_backticked_again = quoted[0] != "`" and len(inner) > 1 and inner[0] == inner[-1] == "`"
    return inner[1:-1] if is_backticked_again else inner


def literal_of(match: re.Match[str], group: str | int = 0) -> String | Number:
    """Return the string or the number that a match, or a group of it, consists of."""
    written, span = match[group], Span(*match.span(group))
    return String(written[1:-1], span) if written[0] in "'\"" else Number(written, span)


def conjunction_of(operands: Sequence[Expression]) -> Expression:
    """Return the conjunction of operands; that of a single operand is the operand."""
    return operands[0] if len(operands) == 1 else And(tuple(operands), covering(operands))


def covering(operands: Sequence[Expression]) -> Span:
    """Return the span from the first operand to the last."""
    return Span(operands[0].span.start, operands[-1].span.stop)
