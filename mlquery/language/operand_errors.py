"""Find the first mistake in a field, a call or a list of aggregates. Independent of any dialect."""

from __future__ import annotations

import re
from typing import NamedTuple

from mlquery.language import tokens as lexical


def compiled(expression: str) -> re.Pattern[str]:
    """Return a case-insensitive regular expression."""
    return re.compile(expression, re.IGNORECASE | re.DOTALL)


WHITESPACE = compiled(r"\s*")
NAME = compiled(lexical.NAME)
FUNCTION = compiled(lexical.OPEN)
_COMMA = compiled(lexical.COMMA)
_CLOSE = compiled(lexical.CLOSE)
NUMBER = compiled(lexical.NUMBER)
LITERAL = compiled(f"{lexical.STRING}|{lexical.NUMBER}")
_QUOTES = re.compile("[`'\"]")
_FIELD_EXAMPLE = "a field, such as metrics.accuracy, params.`my key`, tags.team or start_time"


class Problem(NamedTuple):
    """What is wrong, where, what to write instead, and the rule that has a code of its own for it."""

    message: str
    start: int
    suggestion: str | None = None
    rule: str | None = None


def operand_problem(source: str) -> Problem:
    """Return what is wrong with a string that is neither a field nor a call."""
    if not source.strip():
        return Problem("the field is empty", 0, "params.model")
    stop = operand_end(source, 0)
    if isinstance(stop, Problem):
        return stop
    name = NAME.match(source)
    is_key = name is not None and not FUNCTION.match(source) and name["prefix"] is not None
    return bad_key(source, name) if name and is_key else Problem("expected nothing after the field", stop)


def aggregates_problem(source: str) -> Problem:
    """Return the first mistake in a list of aggregates."""
    position = skip_whitespace(source, 0)
    while True:
        stop = _aggregate(source, position)
        if isinstance(stop, Problem):
            return stop
        comma = _COMMA.match(source, stop)
        if comma is None:
            return Problem("expected a comma between two aggregates", skip_whitespace(source, stop), ",")
        position = comma.end()


def _aggregate(source: str, start: int) -> int | Problem:
    opening = FUNCTION.match(source, start)
    if opening is None:
        return Problem("expected a function over runs, such as count() or mean(metrics.accuracy)", start)
    if closing := _CLOSE.match(source, opening.end()):
        return closing.end()
    stop = operand_end(source, opening.end())
    if not isinstance(stop, Problem) and _COMMA.match(source, stop):
        stop = call_end(source, start)  # a function of a history, such as the value at a step
        message = "a function over runs takes one field or one function of a history"
        return stop if isinstance(stop, Problem) else Problem(message, start, f"mean({source[start:stop]})")
    return stop if isinstance(stop, Problem) else _closed(source, opening, stop)


def operand_end(source: str, start: int) -> int | Problem:
    """Return the end of the field or the call that begins here, or what is wrong with it."""
    if FUNCTION.match(source, start):
        return call_end(source, start)
    name = NAME.match(source, start)
    return no_field(source, start) if name is None else name.end()


def call_end(source: str, start: int) -> int | Problem:
    """Return the end of the call that begins here, or what is wrong with it."""
    opening = FUNCTION.match(source, start)
    assert opening is not None
    word, position = opening["function"], opening.end()
    if FUNCTION.match(source, position):
        return Problem("a function takes a metric, not another function", position)
    name = NAME.match(source, position)
    if name is None:
        return Problem("a function takes a metric", position, f"{word}(metrics.loss)")
    stop = name.end()
    if comma := _COMMA.match(source, stop):
        step = NUMBER.match(source, comma.end())
        if step is None:
            return Problem("the second argument is a step", comma.end(), f"{word}({name[0]}, 100)")
        stop = step.end()
    elif not _CLOSE.match(source, stop) and ")" in source[stop:]:
        return bad_key(source[: source.index(")", stop)], name)
    return _closed(source, opening, stop)


def _closed(source: str, opening: re.Match[str], stop: int) -> int | Problem:
    """Return where the call whose arguments end at `stop` ends."""
    closing = _CLOSE.match(source, stop)
    if closing:
        return closing.end()
    start = skip_whitespace(source, stop)
    if start < len(source):
        return Problem("expected the closing parenthesis of the function", start, ")")
    return Problem("this parenthesis is never closed", opening.start() + opening[0].index("("))


def no_field(source: str, start: int) -> Problem:
    """Return what stands where a field or a call was expected."""
    if start >= len(source):
        return Problem("expected a clause, but the filter ends here", _last_word(source))
    if LITERAL.match(source, start):
        return Problem(f"a comparison starts with {_FIELD_EXAMPLE}", start)
    return Problem(f"expected {_FIELD_EXAMPLE}", start)


def _last_word(source: str) -> int:
    """Return where the last AND, OR, NOT or parenthesis begins."""
    stripped = source.rstrip()
    lengths = [len(word) for word in ("AND", "OR", "NOT") if stripped[-3:].upper().endswith(word)]
    return len(stripped) - (lengths[0] if lengths else 1)


def bad_key(source: str, name: re.Match[str]) -> Problem:
    """Return what is wrong with a field at the end of `source` of which only a part could be read as a name."""
    prefix = name["prefix"] or name[0]
    key = source[name.start() + len(prefix) :].lstrip().removeprefix(".").strip()
    plain = _QUOTES.sub("", key)
    start = skip_whitespace(source, name.end())
    prefix = _QUOTES.sub("", prefix)
    if not plain.strip("."):
        return Problem("expected a key after the dot, without whitespace around the dot", start, f"{prefix}.`a key`")
    message = f"the key {key!r} needs backticks" if plain == key else "quotes must enclose the whole key"
    return Problem(message, start, f"{prefix}.`{plain}`")


def unclosed_quote(source: str) -> Problem | None:
    """Return the first quote that is never closed."""
    for piece in lexical.PIECE.finditer(source):
        if piece[0] in ("'", '"', "`"):
            return Problem(f"the quote {piece[0]} is never closed", piece.start())
    return None


def end_of(expression: re.Pattern[str], source: str, position: int) -> int:
    """Return the end of a match at a position, or the position if there is none."""
    match = expression.match(source, position)
    return match.end() if match else position


def skip_whitespace(source: str, position: int) -> int:
    """Return the first position that is no whitespace."""
    return end_of(WHITESPACE, source, position)
