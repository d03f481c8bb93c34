"""Explain why a string is not a valid filter, order_by entry or field, and what to write instead.

The string is read again from the left, clause by clause, up to the first mistake. Independent of any dialect.
"""

from __future__ import annotations

import re
from typing import Any

from mlquery.errors import Diagnostic, Span, Stage
from mlquery.language import tokens as lexical
from mlquery.language.literals import LIST_WITHOUT_IN
from mlquery.language.operand_errors import (
    FUNCTION,
    LITERAL,
    NAME,
    NUMBER,
    Problem,
    aggregates_problem,
    bad_key,
    call_end,
    compiled,
    end_of,
    no_field,
    operand_end,
    operand_problem,
    skip_whitespace,
    unclosed_quote,
)

_ORDER_NAME = compiled(lexical.ORDER_NAME)
_PLAIN = compiled("|".join(re.sub(r"\?P<op>", "?:", p) for p in (lexical.SYMBOL, lexical.LIKE)))
_IN = compiled(lexical.IN)
_NULL = compiled(lexical.NULL)
_BETWEEN = compiled(lexical.BETWEEN)
_BETWEEN_AND = compiled(lexical.BETWEEN_AND)
_OPERATORS = (_PLAIN, _IN, _NULL, _BETWEEN)
_ITEM = compiled(lexical.ITEM)
_ITEMS = compiled(lexical.ITEMS)
_GAP = compiled(lexical.GAP)
_AND = compiled(lexical.AND)
_OR = compiled(lexical.OR)
_NOT = compiled(lexical.NOT)
_DIRECTION = compiled(r"\s+(?:ASC|DESC)$")
_WORD = compiled(r"[^\s()',;\"`]+|.")
_NAN = compiled(r"[-+]?(?:nan|inf|infinity)")
_LOOSE_NUMBER = compiled(r"[-+]?[\d._]+(?:e[-+]?\d+)?")
_NO_VALUE = compiled(rf"{lexical.RESERVED}|(?:metric|param|parameter|tag|attribute|attr|run|dataset)s?\.|.*['\"`]")
_TOUCHING = compiled(r"(?P<number>-?[\d.]+(?:e-?\d+)?)(?P<word>AND|OR)(?!\w)")
_JOINT = compiled(r"(?<!\w)(?:AND|OR)(?!\w)")
_LONGEST_KEY = 100
_OTHER_OPERATORS = {"=>": ">=", "=<": "<=", "===": "=", "!==": "!=", "~": "LIKE", "=~": "LIKE", ":": "="}


def filter_error(source: str, argument: str) -> Diagnostic:
    """Return the diagnostic for a filter that the parser could not read."""
    return _diagnostic(source, argument, unclosed_quote(source) or _first_problem(source))


def order_error(source: str, argument: str) -> Diagnostic:
    """Return the diagnostic for an order_by entry that the parser could not read."""
    return _diagnostic(source, argument, _order_problem(source))


def operand_error(source: str, argument: str) -> Diagnostic:
    """Return the diagnostic for a string that is neither a field nor a call."""
    return _diagnostic(source, argument, unclosed_quote(source) or operand_problem(source))


def aggregates_error(source: str, argument: str) -> Diagnostic:
    """Return the diagnostic for a list of aggregates that the parser could not read."""
    return _diagnostic(source, argument, unclosed_quote(source) or aggregates_problem(source))


def _diagnostic(source: str, argument: str, problem: Problem) -> Diagnostic:
    word = _WORD.match(source, problem.start)
    stop = word.end() if word else len(source)
    span = Span(min(problem.start, len(source)), stop)
    stage: Stage = "ordering" if argument.startswith("order_by") else "reading"
    details: dict[str, Any] = {"suggestion": problem.suggestion, "stage": stage, "rule": problem.rule}
    return Diagnostic("syntax", problem.message, argument, source, span, **details)


def _order_problem(source: str) -> Problem:
    start = skip_whitespace(source, 0)
    name = NAME.match(source, start)
    if not source.strip():
        return Problem("an order_by entry is empty", 0, "metrics.accuracy DESC")
    if start or source != source.rstrip():
        return Problem("whitespace before or after the entry", 0 if start else len(source.rstrip()), source.strip())
    if FUNCTION.match(source, start):
        stop = call_end(source, start)
        return stop if isinstance(stop, Problem) else _no_direction(source, 0, stop)
    if name is None:
        return no_field(source, start)
    if source[name.end() : name.end() + 1] == ".":
        return bad_key(_DIRECTION.sub("", source), name)
    if name["quoted"] or name["bare_quoted"]:
        return _order_key_problem(source, name)
    if "," in source[name.end() :]:
        return Problem(
            "an entry orders by one field only", source.index(",", name.end()), "order_by=['a', 'b'], one string each"
        )
    if name["prefix"] and not source[name.end()].isspace():
        return bad_key(_DIRECTION.sub("", source), name)
    return _no_direction(source, *name.span())


def _no_direction(source: str, start: int, stop: int) -> Problem:
    return Problem("expected ASC or DESC", skip_whitespace(source, stop), f"{source[start:stop]} DESC")


def _order_key_problem(source: str, name: re.Match[str]) -> Problem:
    start = name.start("quoted" if name["quoted"] else "bare_quoted")
    otherwise = f"sort the returned DataFrame by {name[0]}"
    if not _ORDER_NAME.fullmatch(name[0]):
        return Problem("a key in order_by cannot contain quotes, backticks or backslashes", start, otherwise)
    if _DIRECTION.fullmatch(source, name.end()):
        return Problem("a key before ASC or DESC cannot end with whitespace", start, otherwise)
    return Problem("expected whitespace and then ASC or DESC", skip_whitespace(source, name.end()), f"{name[0]} DESC")


def _first_problem(source: str) -> Problem:
    """Read clauses and the words that join them, keeping track of open parentheses."""
    if not source.strip():
        return Problem("the filter is only whitespace; the empty string matches everything", 0)
    opened: list[int] = []
    position = end_of(_AND, source, 0)
    while True:
        position = _open(source, position, opened)
        after_clause = _clause(source, position)
        if isinstance(after_clause, Problem):
            return after_clause
        after_joint = _joint(source, _close(source, after_clause, opened), opened)
        if isinstance(after_joint, Problem):
            return after_joint
        position = after_joint


def _open(source: str, position: int, opened: list[int]) -> int:
    """Return where the next clause begins, after any NOT and opening parenthesis."""
    while True:
        position = skip_whitespace(source, position)
        if source.startswith("(", position):
            opened.append(position)
            position += 1
        elif (negation := _NOT.match(source, position)) and not NAME.match(source, position):
            position = negation.end()
        else:
            return position


def _close(source: str, position: int, opened: list[int]) -> int:
    """Return the position after the closing parentheses that match open ones."""
    while opened and source.startswith(")", skip_whitespace(source, position)):
        opened.pop()
        position = skip_whitespace(source, position) + 1
    return position


def _clause(source: str, start: int) -> int | Problem:
    """Return the end of the clause that begins here, or what is wrong with it."""
    stop = operand_end(source, start)
    if isinstance(stop, Problem):
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


def _no_operator(source: str, start_of_operand: int, stop_of_operand: int) -> Problem:
    start = skip_whitespace(source, stop_of_operand)
    word = _WORD.match(source, start)
    if word and word[0] in _OTHER_OPERATORS:
        return Problem(f"{word[0]} is not an operator", start, _OTHER_OPERATORS[word[0]])
    if word and word[0].upper() == "IS":
        return Problem("expected IS NULL or IS NOT NULL, with one space between NOT and NULL", start, "IS NOT NULL")
    name, stop = NAME.match(source, start_of_operand), _end_of_key(source, stop_of_operand)
    is_name = name is not None and name.end() == stop_of_operand
    if name and is_name and stop is not None and (name["prefix"] or source.startswith(".", start)):
        return bad_key(source[:stop], name)
    return Problem("expected an operator: = != > >= < <= LIKE ILIKE IN, IS NULL", start)


def _end_of_key(source: str, start: int) -> int | None:
    """Return where the next operator begins, if everything before it could be meant as part of the key."""
    for position in range(start, min(len(source), start + _LONGEST_KEY)):
        if any(operator.match(source, position) for operator in _OPERATORS):
            return position
        if _JOINT.match(source, position):
            return None
    return None


def _value(source: str, start: int) -> int | Problem:
    if literal := LITERAL.match(source, start):
        return literal.end()
    word = _WORD.match(source, start)
    if word is None:
        return Problem("the comparison has no value", start)
    if touching := _TOUCHING.match(source, start):
        suggestion = f"{touching['number']} {touching['word']}"
        rule = "MLQ008" if touching["word"].upper() == "AND" else None
        return Problem("expected whitespace between the number and the word", start, suggestion, rule)
    if _NAN.fullmatch(word[0]):
        return Problem(f"{word[0]} is not supported as a number in a filter", start)
    if word[0].upper() == "NULL":
        return Problem("NULL is not a value", start, "IS NULL")
    if word[0] == "(":
        return Problem(LIST_WITHOUT_IN, start, f"IN {source[start : start + 30]}")
    if word[0][0] in "<>=~!),;`&|":
        return Problem("expected a quoted string or a number", start)
    digits = word[0].lower().replace("_", "").replace("+", "").replace(".e", "e")
    if _LOOSE_NUMBER.fullmatch(word[0]) and NUMBER.fullmatch(digits):
        return Problem("numbers cannot contain underscores or plus signs", start, digits)
    rule = None if _NO_VALUE.match(word[0]) else "MLQ006"
    return Problem("expected a quoted string or a decimal number", start, f"'{word[0]}'", rule)


def _list(source: str, start: int) -> int | Problem:
    """Return the end of the list that begins here, or its first mistake."""
    if listed := _ITEMS.match(source, start):
        return listed.end()
    if not source.startswith("(", start):
        return Problem("IN takes a list of values in parentheses", start, "IN ('a', 'b')")
    position = end_of(_GAP, source, start + 1)
    while item := _ITEM.match(source, position):
        position = end_of(_GAP, source, item.end())
        if not source.startswith(",", position):
            break
        position = end_of(_GAP, source, position + 1)
    if LITERAL.match(source, position) and item:
        message = "expected a comma; enclose a string that contains a quote in the other kind of quotes"
        return Problem(message, position, "IN ('a', \"it's\")")
    if LITERAL.match(source, position):
        message = "a string in a list cannot contain backslashes or line breaks"
        return Problem(message, position, "one search with = for each such string")
    return Problem("a list contains quoted strings or numbers, separated by commas", start, "IN ('a', 'b')")


def _range(source: str, operand: str, between: re.Match[str]) -> int | Problem:
    low = LITERAL.match(source, between.end())
    conjunction = low and _BETWEEN_AND.match(source, low.end())
    high = conjunction and LITERAL.match(source, conjunction.end())
    if high:
        return high.end()
    return Problem("BETWEEN takes two numbers", between.start("op"), f"{operand} BETWEEN 1 AND 2")


def _joint(source: str, position: int, opened: list[int]) -> int | Problem:
    """Return where the clause after a complete one begins, or what is wrong between them."""
    start = skip_whitespace(source, position)
    if start == len(source) and opened:
        return Problem("this parenthesis is never closed", opened[-1])
    if conjunction := _AND.match(source, position):
        is_last = conjunction.end() == len(source)
        return Problem("this parenthesis is never closed", opened[-1]) if is_last and opened else conjunction.end()
    if alternative := _OR.match(source, position):
        return alternative.end()
    stop = operand_end(source, start)
    following = None if isinstance(stop, Problem) else stop
    if following is not None and _PLAIN.match(source, following):
        return start
    return _not_joined(source, start, following)


def _not_joined(source: str, start: int, following: int | None) -> Problem:
    rest = source[start : start + 1]
    if rest == ";":
        return Problem("a filter does not end with a semicolon", start)
    if rest in ("&", ","):
        return Problem("clauses are joined with AND", start, "AND", "MLQ008")
    if rest == "|":
        return Problem("alternatives are joined with OR, in the extended dialect", start, "OR")
    if rest == ")":
        return Problem("this parenthesis was never opened", start)
    if following is not None and any(operator.match(source, following) for operator in _OPERATORS):
        operand = source[start:following]
        return Problem("a clause with IN, IS NULL or BETWEEN needs AND before it", start, f"AND {operand}", "MLQ008")
    if following is not None or rest == "(" or _NOT.match(source, start):
        return Problem("expected AND between two clauses", start, "AND", "MLQ008")
    return Problem("expected AND or the end of the filter", start)
