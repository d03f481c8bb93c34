"""Turns Python values into literals of a filter: strings, numbers, times and lists. Independent of fields and dialects.

A value that no literal means exactly is refused: booleans, NaN, infinity, times without a zone, strings that no quotes
can enclose.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from numbers import Integral, Real
from typing import SupportsFloat, SupportsIndex

from mlquery.language.render import render
from mlquery.language.syntax import Items, Number, String

Value = str | float | datetime | SupportsIndex | SupportsFloat
"""A string, a number or a time. Scalars of NumPy and pandas are among them; booleans are refused."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LONGEST_SHOWN = 60


def quote(value: Value | Iterable[Value]) -> str:
    """Return a value as it is written in a filter: a string in quotes, a number, a time in ms UTC, or a list.

    For filters that are written as f-strings: `f"params.model = {mlquery.quote(name)}"`. Quotes inside a string are not
    doubled, because MLflow and Azure read doubled quotes as two; a string gets the quotes that are not in it.

    Args:
        value: A string, a number, a `datetime` with a time zone, which is cut to milliseconds as MLflow stores times,
            or a list of strings and numbers for `IN`. Scalars of NumPy and pandas will do.

    Raises:
        TypeError: it is another kind of value, such as a boolean or None.
        ValueError: no literal means it: a string with both kinds of quotes or a backslash at its end, NaN, infinity, a
            time without a time zone, an empty list.
    """
    return render(literal_of(value) if _is_scalar(value) else items_of(value, "quote"))


def literal_of(value: object) -> String | Number:
    """Return the literal of a string, a number or a time.

    Raises:
        TypeError: it is another kind of value.
        ValueError: no literal means it.
    """
    if isinstance(value, str):
        return _string(str.__str__(value))
    if isinstance(value, datetime):
        return Number(str(_milliseconds(value)))
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        raise TypeError(f"a filter has no booleans; params and tags are strings: write {str(value)!r}")
    if isinstance(value, Integral):
        return Number(_digits(int(value)))
    if isinstance(value, Real):
        return Number(_decimal(float(value)))
    raise TypeError(_unsupported(value))


def items_of(values: object, caller: str) -> Items:
    """Return the list of some values for IN; `caller` is the function that takes them.

    Raises:
        TypeError: they are no list, or not all of them are strings, numbers or times.
        ValueError: there are none, or no list can have one of them.
    """
    if _is_scalar(values) or not isinstance(values, Iterable):
        raise TypeError(f"{caller}() takes a list of values, such as {caller}([{_shown(values)}])")
    items = tuple(literal_of(value) for value in values)
    if not items:
        raise ValueError(f"{caller}() takes at least one value; MLflow has no empty lists")
    for item in items:
        _require_writable(Items((item,)), item.value, "a list has no line breaks, no backslashes")
    return Items(items)


def step_of(value: object) -> Number:
    """Return the literal of a step.

    Raises:
        TypeError: it is not an integer.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"a step is an integer, not {_shown(value)}")
    return Number(_digits(int(value)))


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | bytes | datetime | Real) or not isinstance(value, Iterable)


def _string(value: str) -> String:
    literal = String(value)
    _require_writable(literal, value, "no string has a backslash at its end or before a quote")
    return literal


def _require_writable(literal: String | Items, value: str, rule: str) -> None:
    try:
        render(literal).encode()
    except UnicodeEncodeError:
        raise ValueError(f"the string {_shown(value)} cannot be written in a filter: it has half a character") from None
    except ValueError:
        message = f"the string {_shown(value)} cannot be written in a filter: {rule}, or both kinds of quotes"
        raise ValueError(message) from None


def _milliseconds(time: datetime) -> int:
    if time != time:  # pandas' NaT
        raise ValueError("a filter has no missing times; use isnull()")
    if time.utcoffset() is None:
        raise ValueError(
            f"the time {time} has no time zone; instead: {type(time).__name__}(…, tzinfo=timezone.utc) or .astimezone()"
        )
    return (time - _EPOCH) // _MILLISECOND


def _digits(number: int) -> str:
    try:
        return str(number)
    except ValueError:  # Python writes at most a few thousand digits
        raise ValueError("the number has too many digits") from None


def _decimal(number: float) -> str:
    if number != number:
        raise ValueError("a filter has no NaN; NaN differs from every number")
    if number in (float("inf"), float("-inf")):
        raise ValueError("a filter has no infinity; compare with a large number instead")
    return repr(number).replace("e+", "e")


def _unsupported(value: object) -> str:
    if value is None:
        return "nothing is compared with None; instead: isnull() or notnull(), IS NULL or IS NOT NULL"
    if isinstance(value, date):
        return f"{value} is a date; instead: a datetime with a time zone"
    kind = type(value).__name__
    return f"a filter has strings, numbers and times, and {_shown(value)} is none of them but a {kind}"


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[: _LONGEST_SHOWN - 1]}…"
