"""What comparisons mean: LIKE, ILIKE, RLIKE, lists, NaN. Both engines use these, so conformance cases pin them.

Knows single values only; neither text of queries nor stores.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from mlquery.language.linear_regex import search_test
from mlquery.language.plan import Op, Value

StringTest = Callable[[str], bool]
NumberTest = Callable[[float], bool]

COMPARISONS: dict[Op, Callable[[float, float], bool]] = {
    Op.EQ: operator.eq,
    Op.NE: operator.ne,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
    Op.LT: operator.lt,
    Op.LE: operator.le,
}
_POSITIVE = {Op.NOT_LIKE: Op.LIKE, Op.NOT_ILIKE: Op.ILIKE, Op.NOT_RLIKE: Op.RLIKE, Op.NOT_IN: Op.IN}


def string_test(op: Op, value: Value) -> StringTest:
    """Return the test that a present text must pass. A missing text passes only IS NULL, which is not asked here."""
    if op in _POSITIVE:
        positive = string_test(_POSITIVE[op], value)
        return lambda text: not positive(text)
    match op:
        case Op.EQ:
            return lambda text: text == value
        case Op.NE:
            return lambda text: text != value
        case Op.IN:
            return frozenset(value).__contains__  # type: ignore[arg-type]
        case Op.LIKE | Op.ILIKE:
            return like(str(value), folds_case=op is Op.ILIKE)
        case Op.RLIKE:
            return search_test(str(value))
    raise AssertionError(f"{op} does not compare texts")


def number_test(op: Op, value: Value, nan: float | None = None) -> NumberTest:
    """Return the test that a present number must pass.

    NaN differs from everything and passes != and NOT IN alone, unless it is to be compared as the number `nan`.
    """
    if nan is not None:
        test = number_test(op, value)
        return lambda number: test(number if number == number else nan)
    if op is Op.IN or op is Op.NOT_IN:
        numbers, is_in = frozenset(value), op is Op.IN  # type: ignore[arg-type]
        return lambda number: (number in numbers) is is_in
    compare = COMPARISONS[op]
    return lambda number: compare(number, value)  # type: ignore[arg-type]


def like(pattern: str, folds_case: bool) -> StringTest:
    """Return the test for LIKE: `%` is any text, line breaks included, `_` any one character; nothing escapes them.

    LIKE minds case; ILIKE folds the letters A-Z and no others. Both end at a NUL, as SQLite does.
    Every part between two `%` is taken at its first place and never moved, so the time is linear in the text.

    Source: MLflow 3.17 on SQLite (`PRAGMA case_sensitive_like`, `lower(a) LIKE lower(b)`).
    """
    parts = [_one_part(part) for part in _until_nul(pattern).split("%")]
    if len(parts) == 1:
        expression = parts[0]
    else:
        middle = "".join(f"(?>.*?{part})" for part in parts[1:-1] if part)
        expression = f"{parts[0]}{middle}.*{parts[-1]}"
    flags = re.DOTALL | (re.IGNORECASE | re.ASCII if folds_case else re.NOFLAG)
    compiled = re.compile(expression, flags)
    return lambda text: compiled.fullmatch(_until_nul(text)) is not None


def _one_part(part: str) -> str:
    return ".".join(map(re.escape, part.split("_")))


def _until_nul(text: str) -> str:
    return text.partition("\0")[0] if "\0" in text else text


def id_rank(identifier: str) -> tuple[int, int, str]:
    """Return the sort rank of an experiment id: whole numbers by value, then other ids by text."""
    is_number = identifier.isdecimal()
    return (0, int(identifier), "") if is_number else (1, 0, identifier)
