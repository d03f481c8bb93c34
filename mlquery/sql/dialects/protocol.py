"""What is different from one system's SQL to the next, as far as a plan needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from mlquery.sql.expressions import ValueKind

UPPER: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LOWER: Final = UPPER.lower()
_TO_LOWER: Final = str.maketrans(UPPER, LOWER)


class SqlDialect(Protocol):
    """The forms of one system. Arguments and results are SQL expressions unless they are called values."""

    @property
    def name(self) -> str:
        """The name of the system in messages."""

    @property
    def before_look_ups(self) -> str:
        """The query that makes what follows in a transaction find rows by indexes; empty where none is needed."""

    def bind(self, name: str) -> str:
        """Return how a named parameter is written."""

    def quoted(self, name: str) -> str:
        """Return an identifier in quotes."""

    def compared(self, string: str) -> str:
        """Return a string for `=`, `<>` and `IN`, which then compare code points and nothing else."""

    def ordered(self, string: str) -> str:
        """Return a string for `ORDER BY`, `<` and `>`, which then go by code points."""

    def has_key(self, column: str, key: str) -> str:
        """Return the condition that a column of an index has exactly this string, found by the index."""

    def like(self, string: str, pattern: str) -> str:
        """Return the condition LIKE: case-sensitive, `%` and `_` match line breaks too, nothing escapes.

        The pattern is bound as `pattern` makes it.
        """

    def pattern(self, pattern: str) -> str:
        """Return the value to bind for a pattern."""

    def folded(self, string: str) -> str:
        """Return a string with the letters A to Z in lower case and all others as they are."""

    def is_nan(self, number: str) -> str:
        """Return the condition that a floating-point number is NaN."""

    def in_array(self, value: str, parameter: str, kind: ValueKind) -> str:
        """Return the condition that an array, bound as one parameter, has a value."""

    def array(self, values: Sequence[Any], kind: ValueKind) -> Any:
        """Return the value to bind for an array."""

    def milliseconds(self, timestamp: str) -> str:
        """Return the integer milliseconds of a timestamp since the Unix epoch, UTC."""

    def map_value(self, column: str, key: str) -> str:
        """Return the value of a key in a map of strings, NULL if there is none."""

    def as_string(self, value: str) -> str:
        """Return an integer as a string."""

    def is_digits(self, string: str) -> str:
        """Return the condition that a string is one or more of the digits 0 to 9."""

    def list_value(self, column: str, name: str, key: str, field: str) -> str:
        """Return a field of the structure in a list whose field `name` is a key, NULL if there is none."""

    def limited(self, count: str) -> str:
        """Return the clause that ends a statement after some rows."""

    def as_written(self, table: str) -> str:
        """Return what rows of a table are ordered by in the order of writing, nothing where that is not recorded."""

    def can_hold(self, string: str) -> bool:
        """Tell whether a string value can be in the system at all, and so be bound."""


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
