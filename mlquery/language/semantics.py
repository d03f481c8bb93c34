"""What comparisons mean: LIKE, ILIKE, RLIKE, lists, NaN. Both engines use these tests, which take single values."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from fractions import Fraction

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
    """Return the test of a string. Missing strings, which pass only IS NULL, are not tested here."""
    if op in _POSITIVE:
        positive = string_test(_POSITIVE[op], value)
        return lambda string: not positive(string)
    match op:
        case Op.EQ:
            return lambda string: string == value
        case Op.NE:
            return lambda string: string != value
        case Op.IN:
            return frozenset(value).__contains__  # type: ignore[arg-type]
        case Op.LIKE | Op.ILIKE:
            return _like(str(value), folds_case=op is Op.ILIKE)
        case Op.RLIKE:
            return search_test(str(value))
    raise AssertionError(f"{op} does not compare strings")


def number_test(op: Op, value: Value, nan: float | None = None) -> NumberTest:
    """Return the test of a number. Missing numbers are not tested here.

    NaN differs from everything and passes only != and NOT IN, unless it is compared as the number `nan`.
    """
    if nan is not None:
        test = number_test(op, value)
        return lambda number: test(number if number == number else nan)
    if op is Op.IN or op is Op.NOT_IN:
        numbers, is_in = frozenset(value), op is Op.IN  # type: ignore[arg-type]
        return lambda number: (number in numbers) is is_in
    compare = COMPARISONS[op]
    return lambda number: compare(number, value)  # type: ignore[arg-type]


def _like(pattern: str, folds_case: bool) -> StringTest:
    """Return the test for LIKE: `%` matches any characters, `_` any one character, line breaks included; no escapes.

    LIKE is case-sensitive; ILIKE ignores the case of the letters A-Z only. Both end at a NUL, as SQLite does.
    Every part between two `%` is matched at its first occurrence, without backtracking, so the time is linear.

    Source: MLflow 3.17 on SQLite (`PRAGMA case_sensitive_like`, `lower(a) LIKE lower(b)`).
    """
    parts = [".".join(map(re.escape, part.split("_"))) for part in _until_nul(pattern).split("%")]
    if len(parts) == 1:
        expression = parts[0]
    else:
        middle = "".join(f"(?>.*?{part})" for part in parts[1:-1] if part)
        expression = f"{parts[0]}{middle}.*{parts[-1]}"
    flags = re.DOTALL | (re.IGNORECASE | re.ASCII if folds_case else re.NOFLAG)
    compiled = re.compile(expression, flags)
    return lambda string: compiled.fullmatch(_until_nul(string)) is not None


def _until_nul(string: str) -> str:
    return string.partition("\0")[0] if "\0" in string else string


def mean(values: Sequence[float]) -> float:
    """Return the mean of at least one number: the exactly rounded sum, divided by the number of them.

    It does not depend on their order. Where the sum is beyond the largest double, the mean is rounded exactly.
    """
    try:
        return math.fsum(values) / len(values) + 0.0
    except (OverflowError, ValueError):  # of numbers that are too large or of infinity
        infinite = [value for value in values if math.isinf(value)]
        return sum(infinite) if infinite else _mean_of_large(sum(map(Fraction, values)), len(values))


def _mean_of_large(total: Fraction | int, count: int) -> float:
    try:
        return float(total) / count
    except OverflowError:
        return float(total / count)


def id_rank(identifier: str) -> tuple[int, int, str]:
    """Return the sort key of an experiment id: integers by value, then other ids as strings."""
    is_number = identifier.isdecimal()
    return (0, int(identifier), "") if is_number else (1, 0, identifier)
