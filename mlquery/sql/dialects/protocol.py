"""What is different from one system's SQL to the next, as far as a plan needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from mlquery.sql.expressions import ValueKind

UPPER: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LOWER: Final = UPPER.lower()
_TO_LOWER: Final = str.maketrans(UPPER, LOWER)


@attrs.frozen
class SqlDialect:
    """The forms of one system: those of the standard, but for what the module of the system says otherwise.

    Arguments and results are SQL expressions unless they are called values.

    Attributes:
        name: The name of the system in messages.
        before_look_ups: The query that makes what follows in a transaction find rows by indexes; empty where none is
            needed.
        joins_as_written: Whether it reads tables in the order of a CROSS JOIN, and may be told that order, because it
            has no statistics to find a better one.
    """

    name: str
    before_look_ups: str = ""
    joins_as_written: bool = False

    def bind(self, name: str) -> str:
        """Return how a named parameter is written."""
        return f":{name}"

    def quoted(self, name: str) -> str:
        """Return an identifier in quotes."""
        doubled = name.replace('"', '""')
        return f'"{doubled}"'

    def compared(self, string: str) -> str:
        """Return a string for `=`, `<>` and `IN`, which then compare code points and nothing else."""
        return string

    def ordered(self, string: str) -> str:
        """Return a string for `ORDER BY`, `<` and `>`, which then go by code points."""
        return string

    def has_key(self, column: str, key: str) -> str:
        """Return the condition that a column of an index has exactly this string, found by the index."""
        return f"{column} = {key}"

    def without_index(self, column: str) -> str:
        """Return a column whose index is not used."""
        raise AssertionError(f"no layout asks this of {self.name}")

    def like(self, string: str, pattern: str) -> str:
        """Return the condition LIKE: case-sensitive, `%` and `_` match line breaks too, nothing escapes.

        The pattern is bound as `pattern` makes it.
        """
        return f"{string} LIKE {pattern}"

    def pattern(self, pattern: str) -> str:
        """Return the value to bind for a pattern."""
        return pattern

    def folded(self, string: str) -> str:
        """Return a string with the letters A to Z in lower case and all others as they are."""
        return f"translate({string}, '{UPPER}', '{LOWER}')"

    def is_nan(self, number: str) -> str:
        """Return the condition that a floating-point number is NaN."""
        raise AssertionError(f"no layout asks this of {self.name}")

    def in_array(self, value: str, parameter: str, kind: ValueKind) -> str:
        """Return the condition that an array, bound as one parameter, has a value."""
        raise AssertionError(f"no layout asks this of {self.name}")

    def array(self, values: Sequence[Any], kind: ValueKind) -> Any:
        """Return the value to bind for an array."""
        return list(values)

    def milliseconds(self, timestamp: str) -> str:
        """Return the integer milliseconds of a timestamp since the Unix epoch, UTC."""
        raise AssertionError(f"no layout asks this of {self.name}")

    def map_value(self, column: str, key: str) -> str:
        """Return the value of a key in a map of strings, NULL if there is none."""
        raise AssertionError(f"no layout asks this of {self.name}")

    def as_string(self, value: str) -> str:
        """Return an integer as a string."""
        raise AssertionError(f"no layout asks this of {self.name}")

    def is_digits(self, string: str) -> str:
        """Return the condition that a string is one or more of the digits 0 to 9."""
        raise AssertionError(f"no layout asks this of {self.name}")

    def list_value(self, column: str, name: str, key: str, field: str) -> str:
        """Return a field of the structure in a list whose field `name` is a key, NULL if there is none."""
        raise AssertionError(f"no layout asks this of {self.name}")

    def as_written(self, table: str) -> str:
        """Return what rows of a table are ordered by in the order of writing, nothing where that is not recorded."""
        return ""

    def can_hold(self, string: str) -> bool:
        """Tell whether a string value can be in the system at all, and so be bound."""
        return is_encodable(string)


def fold(string: str) -> str:
    """Return a string value with the letters A to Z in lower case and all others as they are."""
    return string.translate(_TO_LOWER)


def is_encodable(string: str) -> bool:
    """Tell whether a string value is text: UTF-8 has no lone surrogates."""
    try:
        string.encode()
    except UnicodeEncodeError:
        return False
    return True
