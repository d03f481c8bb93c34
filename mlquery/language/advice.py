"""Say what is wrong with text that is not a query, and what to write instead; the parser has refused it already."""

from __future__ import annotations

import re
from typing import NamedTuple

from mlquery.errors import Diagnostic, Span
from mlquery.language import tokens as lexical

_BLANKS = re.compile(r"\s*")
_NAME = re.compile(lexical.NAME, re.IGNORECASE)
_OPERATOR = re.compile("|".join(re.sub(r"\?P<op>", "?:", p) for p in (lexical.SYMBOL, lexical.LIKE)), re.IGNORECASE)
_IN = re.compile(lexical.IN, re.IGNORECASE)
_NULL = re.compile(lexical.NULL, re.IGNORECASE)
_BETWEEN = re.compile(lexical.BETWEEN, re.IGNORECASE)
_ITEMS = re.compile(lexical.ITEMS, re.IGNORECASE)
_SPECIAL = re.compile(r"[-/#$@:+*%^]")
_LITERAL = re.compile(f"{lexical.TEXT}|{lexical.NUMBER}", re.IGNORECASE)
_WORD = re.compile(r"[^\s()',;\"`]+|.", re.DOTALL)
_NAN = re.compile(r"[-+]?(?:nan|inf|infinity)", re.IGNORECASE)
_FIELD_EXAMPLE = "a field, such as metrics.accuracy, params.`my key`, tags.team or start_time"


class _Finding(NamedTuple):
    message: str
    start: int
    suggestion: str | None = None


def filter_advice(text: str, position: int, argument: str) -> Diagnostic:
    """Return the diagnostic for a filter that the parser could read up to `position` at most."""
    finding = _unclosed_quote(text) or _clause(text, _clause_start(text, position))
    return _diagnostic(text, argument, finding)


def order_advice(text: str, argument: str) -> Diagnostic:
    """Return the diagnostic for an order_by entry that is not a field with an optional direction."""
    return _diagnostic(text, argument, _order_finding(text))


def _diagnostic(text: str, argument: str, finding: _Finding) -> Diagnostic:
    word = _WORD.match(text, finding.start)
    stop = word.end() if word else len(text)
    span = Span(min(finding.start, len(text)), stop)
    return Diagnostic("syntax", finding.message, argument, text, span, suggestion=finding.suggestion)


def _order_finding(text: str) -> _Finding:
    start = _skip_blanks(text, 0)
    name = _NAME.match(text, start)
    if not text.strip():
        return _Finding("an order_by entry is empty", 0, "metrics.accuracy DESC")
    if start or text != text.rstrip():
        return _Finding("blanks before or after the entry", 0 if start else len(text.rstrip()), text.strip())
    if name is None:
        return _Finding(f"expected {_FIELD_EXAMPLE}", start)
    if "," in text[name.end() :]:
        return _Finding(
            "one entry orders by one field", text.index(",", name.end()), "order_by=['a', 'b'], one string each"
        )
    return _Finding("expected ASC or DESC", _skip_blanks(text, name.end()), f"{name[0]} DESC")


def _unclosed_quote(text: str) -> _Finding | None:
    for piece in lexical.PIECE.finditer(text):
        if piece[0] in ("'", '"', "`"):
            return _Finding(f"the quote {piece[0]} is never closed", piece.start())
    return None


def _clause_start(text: str, position: int) -> int:
    """Return where the clause around `position` begins: behind the last AND, OR, NOT or parenthesis before it."""
    start, is_between = 0, False
    for piece in lexical.PIECE.finditer(text):
        word = piece[0].upper()
        if piece.start() >= position:
            break
        joins = word in ("AND", "OR") and not is_between
        if joins or (word in ("NOT", "(") and not text[start : piece.start()].strip()):
            start = piece.end()
        is_between = word == "BETWEEN" or (is_between and word != "AND")
    return start


def _clause(text: str, before: int) -> _Finding:
    """Return what is wrong with the clause that begins at `before`."""
    start = _skip_blanks(text, before)
    if not text.strip():
        return _Finding("the filter holds blanks only; the empty string finds everything", 0)
    if start == len(text):
        return _Finding("the filter ends where a clause should follow", start)
    name = _NAME.match(text, start)
    return _after_name(text, name) if name else _Finding(f"expected {_FIELD_EXAMPLE}", start)


def _after_name(text: str, name: re.Match[str]) -> _Finding:
    start = _skip_blanks(text, name.end())
    if text[start : start + 1] == ".":
        return _Finding("a field has no blanks and no empty parts around its dots", start, "params.key, params.`a key`")
    if _SPECIAL.match(text, name.end()):
        return _Finding("a key with such a character needs backticks", start, f"{name['prefix'] or name[0]}.`my-key`")
    if operator := _OPERATOR.match(text, name.end()):
        return _value(text, operator.end())
    if listed := _IN.match(text, name.end()):
        return _list(text, listed.end())
    if null := _NULL.match(text, name.end()):
        return _joint(text, null.end())
    if _BETWEEN.match(text, name.end()):
        return _Finding("BETWEEN takes two numbers", start, f"{name[0]} BETWEEN 1 AND 2")
    return _Finding("expected an operator: = != > >= < <= LIKE ILIKE IN, IS NULL", start)


def _value(text: str, start: int) -> _Finding:
    word = _WORD.match(text, start)
    if word is None:
        return _Finding("the comparison has no value", start)
    if literal := _LITERAL.match(text, start):
        return _joint(text, literal.end())
    if _NAN.fullmatch(word[0]):
        return _Finding(f"{word[0]} is not a number that a filter can hold", start)
    if word[0][0] in "(<>=~!":
        return _Finding("expected a quoted text or a number", start)
    return _Finding("text values stand in quotes, numbers are plain decimals", start, f"'{word[0]}'")


def _list(text: str, start: int) -> _Finding:
    if listed := _ITEMS.match(text, start):
        return _joint(text, listed.end())
    message = "IN takes a list of quoted texts in parentheses, without backslashes or line breaks"
    return _Finding(message, start, "IN ('a', 'b')")


def _joint(text: str, before: int) -> _Finding:
    """Return what is wrong with the text that follows a complete clause."""
    start = _skip_blanks(text, before)
    rest = text[start : start + 3]
    if rest.startswith(";"):
        return _Finding("a filter does not end in a semicolon", start)
    if rest.startswith(("&", ",")):
        return _Finding("clauses are joined with AND", start, "AND")
    if rest.startswith("|"):
        return _Finding("alternatives are joined with OR, in the extended dialect", start, "OR")
    if rest.startswith(")"):
        return _Finding("this parenthesis was never opened", start)
    if not rest:
        return _Finding("a parenthesis is never closed", max(0, text.find("(")))
    if name := _NAME.match(text, start):
        return _after_name(text, name) if "." in name[0] else _Finding("expected AND between two clauses", start, "AND")
    return _Finding("expected AND or the end of the filter", start)


def _skip_blanks(text: str, position: int) -> int:
    blanks = _BLANKS.match(text, position)
    return blanks.end() if blanks else position
