"""Explain why a string is not a valid filter, order_by entry or field, and what to write instead.

The string is read again from the left, clause by clause, up to the first mistake. Independent of any dialect.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mlquery.errors import Diagnostic, Span, Stage
from mlquery.language import tokens as lexical
from mlquery.language.literals import LIST_WITHOUT_IN


def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.IGNORECASE | re.DOTALL)


_WHITESPACE = _compiled(r"\s*")
_NAME = _compiled(lexical.NAME)
_ORDER_NAME = _compiled(lexical.ORDER_NAME)
_PLAIN = _compiled("|".join(re.sub(r"\?P<op>", "?:", p) for p in (lexical.SYMBOL, lexical.LIKE)))
_IN = _compiled(lexical.IN)
_NULL = _compiled(lexical.NULL)
_BETWEEN = _compiled(lexical.BETWEEN)
_BETWEEN_AND = _compiled(lexical.BETWEEN_AND)
_OPERATORS = (_PLAIN, _IN, _NULL, _BETWEEN)
_FUNCTION = _compiled(lexical.OPEN)
_COMMA = _compiled(lexical.COMMA)
_CLOSE = _compiled(lexical.CLOSE)
_ITEM = _compiled(lexical.ITEM)
_ITEMS = _compiled(lexical.ITEMS)
_GAP = _compiled(lexical.GAP)
_LITERAL = _compiled(f"{lexical.STRING}|{lexical.NUMBER}")
_NUMBER = _compiled(lexical.NUMBER)
_AND = _compiled(lexical.AND)
_OR = _compiled(lexical.OR)
_NOT = _compiled(lexical.NOT)
_DIRECTION = _compiled(r"\s+(?:ASC|DESC)$")
_WORD = _compiled(r"[^\s()',;\"`]+|.")
_NAN = _compiled(r"[-+]?(?:nan|inf|infinity)")
_LOOSE_NUMBER = _compiled(r"[-+]?[\d._]+(?:e[-+]?\d+)?")
_TOUCHING = _compiled(r"(?P<number>-?[\d.]+(?:e-?\d+)?)(?P<word>AND|OR)(?!\w)")
_JOINT = _compiled(r"(?<!\w)(?:AND|OR)(?!\w)")
_QUOTES = re.compile("[`'\"]")
_LONGEST_KEY = 100
_FIELD_EXAMPLE = "a field, such as metrics.accuracy, params.`my key`, tags.team or start_time"
_OTHER_OPERATORS = {"=>": ">=", "=<": "<=", "===": "=", "!==": "!=", "~": "LIKE", "=~": "LIKE", ":": "="}


class _Problem(NamedTuple):
    message: str
    start: int
    suggestion: str | None = None


def filter_error(source: str, argument: str) -> Diagnostic:
    """Return the diagnostic for a filter that the parser could not read."""
    return _diagnostic(source, argument, _unclosed_quote(source) or _first_problem(source))


def order_error(source: str, argument: str) -> Diagnostic:
    """Return the diagnostic for an order_by entry that the parser could not read."""
    return _diagnostic(source, argument, _order_problem(source))


def operand_error(source: str, argument: str) -> Diagnostic:
    """Return the diagnostic for a string that is neither a field nor a call."""
    return _diagnostic(source, argument, _unclosed_quote(source) or _operand_problem(source))


def aggregates_error(source: str, argument: str) -> Diagnostic:
    """Return the diagnostic for a list of aggregates that the parser could not read."""
    return _diagnostic(source, argument, _unclosed_quote(source) or _aggregates_problem(source))


def _diagnostic(source: str, argument: str, problem: _Problem) -> Diagnostic:
    word = _WORD.match(source, problem.start)
    stop = word.end() if word else len(source)
    span = Span(min(problem.start, len(source)), stop)
    stage: Stage = "ordering" if argument.startswith("order_by") else "reading"
    return Diagnostic("syntax", problem.message, argument, source, span, suggestion=problem.suggestion, stage=stage)


def _order_problem(source: str) -> _Problem:
    start = _skip_whitespace(source, 0)
    name = _NAME.match(source, start)
    if not source.strip():
        return _Problem("an order_by entry is empty", 0, "metrics.accuracy DESC")
    if start or source != source.rstrip():
        return _Problem("whitespace before or after the entry", 0 if start else len(source.rstrip()), source.strip())
    if _FUNCTION.match(source, start):
        stop = _call(source, start)
        return stop if isinstance(stop, _Problem) else _no_direction(source, 0, stop)
    if name is None:
        return _no_field(source, start)
    if source[name.end() : name.end() + 1] == ".":
        return _bad_key(_DIRECTION.sub("", source), name)
    if name["quoted"] or name["bare_quoted"]:
        return _order_key_problem(source, name)
    if "," in source[name.end() :]:
        return _Problem(
            "an entry orders by one field only", source.index(",", name.end()), "order_by=['a', 'b'], one string each"
        )
    if name["prefix"] and not source[name.end()].isspace():
        return _bad_key(_DIRECTION.sub("", source), name)
    return _no_direction(source, *name.span())


def _no_direction(source: str, start: int, stop: int) -> _Problem:
    return _Problem("expected ASC or DESC", _skip_whitespace(source, stop), f"{source[start:stop]} DESC")


def _operand_problem(source: str) -> _Problem:
    if not source.strip():
        return _Problem("the field is empty", 0, "params.model")
    stop = _operand(source, 0)
    if isinstance(stop, _Problem):
        return stop
    name = _NAME.match(source)
    is_key = name is not None and not _FUNCTION.match(source) and name["prefix"] is not None
    return _bad_key(source, name) if name and is_key else _Problem("expected nothing after the field", stop)


def _aggregates_problem(source: str) -> _Problem:
    position = _skip_whitespace(source, 0)
    while True:
        stop = _aggregate(source, position)
        if isinstance(stop, _Problem):
            return stop
        comma = _COMMA.match(source, stop)
        if comma is None:
            return _Problem("expected a comma between two aggregates", _skip_whitespace(source, stop), ",")
        position = comma.end()


def _aggregate(source: str, start: int) -> int | _Problem:
    opening = _FUNCTION.match(source, start)
    if opening is None:
        return _Problem("expected a function over runs, such as count() or mean(metrics.accuracy)", start)
    if closing := _CLOSE.match(source, opening.end()):
        return closing.end()
    stop = _operand(source, opening.end())
    return stop if isinstance(stop, _Problem) else _closed(source, opening, stop)


def _order_key_problem(source: str, name: re.Match[str]) -> _Problem:
    start = name.start("quoted" if name["quoted"] else "bare_quoted")
    otherwise = f"sort the returned DataFrame by {name[0]}"
    if not _ORDER_NAME.fullmatch(name[0]):
        return _Problem("a key in order_by cannot contain quotes, backticks or backslashes", start, otherwise)
    if _DIRECTION.fullmatch(source, name.end()):
        return _Problem("a key before ASC or DESC cannot end with whitespace", start, otherwise)
    return _Problem("expected whitespace and then ASC or DESC", _skip_whitespace(source, name.end()), f"{name[0]} DESC")


def _unclosed_quote(source: str) -> _Problem | None:
    for piece in lexical.PIECE.finditer(source):
        if piece[0] in ("'", '"', "`"):
            return _Problem(f"the quote {piece[0]} is never closed", piece.start())
    return None


def _first_problem(source: str) -> _Problem:
    """Read clauses and the words that join them, keeping track of open parentheses."""
    if not source.strip():
        return _Problem("the filter is only whitespace; the empty string matches everything", 0)
    opened: list[int] = []
    position = _end(_AND, source, 0)
    while True:
        position = _open(source, position, opened)
        after_clause = _clause(source, position)
        if isinstance(after_clause, _Problem):
            return after_clause
        after_joint = _joint(source, _close(source, after_clause, opened), opened)
        if isinstance(after_joint, _Problem):
            return after_joint
        position = after_joint


def _open(source: str, position: int, opened: list[int]) -> int:
    """Return where the next clause begins, after any NOT and opening parenthesis."""
    while True:
        position = _skip_whitespace(source, position)
        if source.startswith("(", position):
            opened.append(position)
            position += 1
        elif (negation := _NOT.match(source, position)) and not _NAME.match(source, position):
            position = negation.end()
        else:
            return position


def _close(source: str, position: int, opened: list[int]) -> int:
    """Return the position after the closing parentheses that match open ones."""
    while opened and source.startswith(")", _skip_whitespace(source, position)):
        opened.pop()
        position = _skip_whitespace(source, position) + 1
    return position


def _clause(source: str, start: int) -> int | _Problem:
    """Return the end of the clause that begins here, or what is wrong with it."""
    stop = _operand(source, start)
    if isinstance(stop, _Problem):
        return stop
    if operator := _PLAIN.match(source, stop):
        return _value(source, operator.end())
    if listed := _IN.match(source, stop):
        return _list(source, listed.end())
    if null := _NULL.match(source, stop):
        return null.end()
    if between := _BETWEEN.match(source, stop):
        return _range(source, source[start:stop], between)
    return _no_operator(source, start, stop)


def _operand(source: str, start: int) -> int | _Problem:
    """Return the end of the field or the call that begins here, or what is wrong with it."""
    if _FUNCTION.match(source, start):
        return _call(source, start)
    name = _NAME.match(source, start)
    return _no_field(source, start) if name is None else name.end()


def _call(source: str, start: int) -> int | _Problem:
    """Return the end of the call that begins here, or what is wrong with it."""
    opening = _FUNCTION.match(source, start)
    assert opening is not None
    word, position = opening["function"], opening.end()
    if _FUNCTION.match(source, position):
        return _Problem("a function takes a metric, not another function", position)
    name = _NAME.match(source, position)
    if name is None:
        return _Problem("a function takes a metric", position, f"{word}(metrics.loss)")
    stop = name.end()
    if comma := _COMMA.match(source, stop):
        step = _NUMBER.match(source, comma.end())
        if step is None:
            return _Problem("the second argument is a step", comma.end(), f"{word}({name[0]}, 100)")
        stop = step.end()
    elif not _CLOSE.match(source, stop) and ")" in source[stop:]:
        return _bad_key(source[: source.index(")", stop)], name)
    return _closed(source, opening, stop)


def _closed(source: str, opening: re.Match[str], stop: int) -> int | _Problem:
    """Return where the call whose arguments end at `stop` ends."""
    closing = _CLOSE.match(source, stop)
    if closing:
        return closing.end()
    start = _skip_whitespace(source, stop)
    if start < len(source):
        return _Problem("expected the closing parenthesis of the function", start, ")")
    return _Problem("this parenthesis is never closed", opening.start() + opening[0].index("("))


def _no_field(source: str, start: int) -> _Problem:
    if start >= len(source):
        return _Problem("expected a clause, but the filter ends here", _last_word(source))
    if _LITERAL.match(source, start):
        return _Problem(f"a comparison starts with {_FIELD_EXAMPLE}", start)
    return _Problem(f"expected {_FIELD_EXAMPLE}", start)


def _last_word(source: str) -> int:
    """Return where the last AND, OR, NOT or parenthesis begins."""
    stripped = source.rstrip()
    lengths = [len(word) for word in ("AND", "OR", "NOT") if stripped[-3:].upper().endswith(word)]
    return len(stripped) - (lengths[0] if lengths else 1)


def _no_operator(source: str, start_of_operand: int, stop_of_operand: int) -> _Problem:
    start = _skip_whitespace(source, stop_of_operand)
    word = _WORD.match(source, start)
    if word and word[0] in _OTHER_OPERATORS:
        return _Problem(f"{word[0]} is not an operator", start, _OTHER_OPERATORS[word[0]])
    if word and word[0].upper() == "IS":
        return _Problem("expected IS NULL or IS NOT NULL, with one space between NOT and NULL", start, "IS NOT NULL")
    name, stop = _NAME.match(source, start_of_operand), _end_of_key(source, stop_of_operand)
    is_name = name is not None and name.end() == stop_of_operand
    if name and is_name and stop is not None and (name["prefix"] or source.startswith(".", start)):
        return _bad_key(source[:stop], name)
    return _Problem("expected an operator: = != > >= < <= LIKE ILIKE IN, IS NULL", start)


def _end_of_key(source: str, start: int) -> int | None:
    """Return where the next operator begins, if everything before it could be meant as part of the key."""
    for position in range(start, min(len(source), start + _LONGEST_KEY)):
        if any(operator.match(source, position) for operator in _OPERATORS):
            return position
        if _JOINT.match(source, position):
            return None
    return None


def _bad_key(source: str, name: re.Match[str]) -> _Problem:
    """Return what is wrong with a field at the end of `source` of which only a part could be read as a name."""
    prefix = name["prefix"] or name[0]
    key = source[name.start() + len(prefix) :].lstrip().removeprefix(".").strip()
    plain = _QUOTES.sub("", key)
    start = _skip_whitespace(source, name.end())
    prefix = _QUOTES.sub("", prefix)
    if not plain.strip("."):
        return _Problem("expected a key after the dot, without whitespace around the dot", start, f"{prefix}.`a key`")
    message = f"the key {key!r} needs backticks" if plain == key else "quotes must enclose the whole key"
    return _Problem(message, start, f"{prefix}.`{plain}`")


def _value(source: str, start: int) -> int | _Problem:
    if literal := _LITERAL.match(source, start):
        return literal.end()
    word = _WORD.match(source, start)
    if word is None:
        return _Problem("the comparison has no value", start)
    if touching := _TOUCHING.match(source, start):
        suggestion = f"{touching['number']} {touching['word']}"
        return _Problem("expected whitespace between the number and the word", start, suggestion)
    if _NAN.fullmatch(word[0]):
        return _Problem(f"{word[0]} is not supported as a number in a filter", start)
    if word[0].upper() == "NULL":
        return _Problem("NULL is not a value", start, "IS NULL")
    if word[0] == "(":
        return _Problem(LIST_WITHOUT_IN, start, f"IN {source[start : start + 30]}")
    if word[0][0] in "<>=~!),;`&|":
        return _Problem("expected a quoted string or a number", start)
    digits = word[0].lower().replace("_", "").replace("+", "").replace(".e", "e")
    if _LOOSE_NUMBER.fullmatch(word[0]) and _NUMBER.fullmatch(digits):
        return _Problem("numbers cannot contain underscores or plus signs", start, digits)
    return _Problem("expected a quoted string or a decimal number", start, f"'{word[0]}'")


def _list(source: str, start: int) -> int | _Problem:
    """Return the end of the list that begins here, or its first mistake."""
    if listed := _ITEMS.match(source, start):
        return listed.end()
    if not source.startswith("(", start):
        return _Problem("IN takes a list of values in parentheses", start, "IN ('a', 'b')")
    position = _end(_GAP, source, start + 1)
    while item := _ITEM.match(source, position):
        position = _end(_GAP, source, item.end())
        if not source.startswith(",", position):
            break
        position = _end(_GAP, source, position + 1)
    if _LITERAL.match(source, position) and item:
        message = "expected a comma; enclose a string that contains a quote in the other kind of quotes"
        return _Problem(message, position, "IN ('a', \"it's\")")
    if _LITERAL.match(source, position):
        message = "a string in a list cannot contain backslashes or line breaks"
        return _Problem(message, position, "one search with = for each such string")
    return _Problem("a list contains quoted strings or numbers, separated by commas", start, "IN ('a', 'b')")


def _range(source: str, operand: str, between: re.Match[str]) -> int | _Problem:
    low = _LITERAL.match(source, between.end())
    conjunction = low and _BETWEEN_AND.match(source, low.end())
    high = conjunction and _LITERAL.match(source, conjunction.end())
    if high:
        return high.end()
    return _Problem("BETWEEN takes two numbers", between.start("op"), f"{operand} BETWEEN 1 AND 2")


def _joint(source: str, position: int, opened: list[int]) -> int | _Problem:
    """Return where the clause after a complete one begins, or what is wrong between them."""
    start = _skip_whitespace(source, position)
    if start == len(source) and opened:
        return _Problem("this parenthesis is never closed", opened[-1])
    if conjunction := _AND.match(source, position):
        is_last = conjunction.end() == len(source)
        return _Problem("this parenthesis is never closed", opened[-1]) if is_last and opened else conjunction.end()
    if alternative := _OR.match(source, position):
        return alternative.end()
    stop = _operand(source, start)
    following = None if isinstance(stop, _Problem) else stop
    if following is not None and _PLAIN.match(source, following):
        return start
    return _not_joined(source, start, following)


def _not_joined(source: str, start: int, following: int | None) -> _Problem:
    rest = source[start : start + 1]
    if rest == ";":
        return _Problem("a filter does not end with a semicolon", start)
    if rest in ("&", ","):
        return _Problem("clauses are joined with AND", start, "AND")
    if rest == "|":
        return _Problem("alternatives are joined with OR, in the extended dialect", start, "OR")
    if rest == ")":
        return _Problem("this parenthesis was never opened", start)
    if following is not None and any(operator.match(source, following) for operator in _OPERATORS):
        operand = source[start:following]
        return _Problem("a clause with IN, IS NULL or BETWEEN needs AND before it", start, f"AND {operand}")
    if following is not None or rest == "(" or _NOT.match(source, start):
        return _Problem("expected AND between two clauses", start, "AND")
    return _Problem("expected AND or the end of the filter", start)


def _end(expression: re.Pattern[str], source: str, position: int) -> int:
    match = expression.match(source, position)
    return match.end() if match else position


def _skip_whitespace(source: str, position: int) -> int:
    return _end(_WHITESPACE, source, position)
