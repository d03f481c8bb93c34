"""How a field is said in SQL: an expression, the kind of its values, and how NaN is told from numbers."""

from __future__ import annotations

from enum import Enum

import attrs


class ValueKind(Enum):
    """What the values of a field are, and with that how they are compared."""

    STRING = "string"
    INTEGER = "integer"
    DOUBLE = "double"


@attrs.frozen
class Value:
    """An expression that is NULL where the field is missing.

    Attributes:
        sql: The expression. Of a number that is NaN it may be anything but NULL.
        kind: What its values are.
        nan: A condition that holds where the value is NaN; None if it never is.
        has_infinities: Whether infinities are stored as such. To queries they are the largest numbers, as in MLflow.
        is_always_there: Whether it is never missing.
    """

    sql: str
    kind: ValueKind
    nan: str | None = None
    has_infinities: bool = False
    is_always_there: bool = False


TRUE = "(1 = 1)"
FALSE = "(1 = 0)"
