"""Turns the condition of a plan into an SQL condition that holds for exactly the same rows.

SQL has three truth values and a plan two. A comparison of a missing value is unknown, which counts as false everywhere
but below a NOT: there it is made false first.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any, Final

from mlquery.language.plan import All, AnyOf, FieldRef, Kind, Negation, Op, Predicate, Where
from mlquery.language.semantics import COMPARISONS
from mlquery.sql.dialects.protocol import fold
from mlquery.sql.errors import field_error
from mlquery.sql.expressions import FALSE, TRUE, Value, ValueKind
from mlquery.sql.query import Query

LARGEST: Final = sys.float_info.max
_SQL: Final = {Op.EQ: "=", Op.NE: "<>", Op.GT: ">", Op.GE: ">=", Op.LT: "<", Op.LE: "<="}
_POSITIVE: Final = {Op.NOT_LIKE: Op.LIKE, Op.NOT_ILIKE: Op.ILIKE}
_LISTS: Final = (Op.IN, Op.NOT_IN)


def condition(where: Where, query: Query) -> str:
    """Return the condition for the rows of a query.

    Raises:
        NotAskableError: the layout or the dialect has no exact form of a part of it.
    """
    match where:
        case All(()):
            return TRUE
        case All(parts):
            return _joined([condition(part, query) for part in parts], "AND")
        case AnyOf(parts):
            return _joined([condition(part, query) for part in parts], "OR") if parts else FALSE
        case Negation(part):
            return f"(NOT COALESCE({condition(part, query)}, {FALSE}))"
        case Predicate():
            return _predicate(where, query)


def required_fields(where: Where) -> frozenset[FieldRef]:
    """Return fields that every row has for which a condition holds."""
    tests = (test for test in required_tests(where) if test.op is not Op.IS_NULL)
    return frozenset(test.field for test in tests if test.field.kind is not Kind.DATASET)


def required_tests(where: Where) -> tuple[Predicate, ...]:
    """Return tests that every row passes for which a condition holds."""
    parts = where.parts if isinstance(where, All) else (where,)
    return tuple(part for part in parts if isinstance(part, Predicate))


def _joined(parts: Sequence[str], word: str) -> str:
    """Return parts joined by a word, as a balanced tree: systems limit how deep an expression may be."""
    if len(parts) <= 8:
        return f"({f' {word} '.join(parts)})"
    half = len(parts) // 2
    return f"({_joined(parts[:half], word)} {word} {_joined(parts[half:], word)})"


def _predicate(predicate: Predicate, query: Query) -> str:
    if predicate.field.kind is Kind.DATASET:
        return _dataset(predicate, query)
    value = query.field(predicate.field)
    if predicate.op is Op.IS_NULL:
        return f"({value.sql} IS NULL)"
    if predicate.op is Op.IS_NOT_NULL:
        return f"({value.sql} IS NOT NULL)"
    match value.kind:
        case ValueKind.STRING:
            return _string(value.sql, predicate, query)
        case ValueKind.INTEGER:
            return _integer(value.sql, predicate, query)
        case ValueKind.DOUBLE:
            return _double(value, predicate, query)


def _dataset(predicate: Predicate, query: Query) -> str:
    """Return the condition that any dataset of a run passes a test."""
    relation, column = query.layout.dataset_field(predicate.field.key, query)
    if predicate.op in (Op.IS_NULL, Op.IS_NOT_NULL):
        exists = f"EXISTS (SELECT 1 FROM {relation} AND {column} IS NOT NULL)"
        return f"(NOT {exists})" if predicate.op is Op.IS_NULL else exists
    return f"EXISTS (SELECT 1 FROM {relation} AND {_string(column, predicate, query)})"


# Strings


def _string(string: str, predicate: Predicate, query: Query) -> str:
    op, value = predicate.op, predicate.value
    if op in _POSITIVE:
        return f"(NOT {_like(string, _POSITIVE[op], str(value), query)})"
    match op:
        case Op.LIKE | Op.ILIKE:
            return _like(string, op, str(value), query)
        case Op.EQ | Op.NE:
            return _equal(string, op, str(value), query)
        case Op.IN | Op.NOT_IN:
            return _listed(string, op, value, query)
    raise field_error(predicate.field, f"{query.dialect.name} has no {op.value} that means the same")


def _equal(string: str, op: Op, value: str, query: Query) -> str:
    if not query.dialect.can_hold(value):
        return _constant(string, op is Op.NE)
    dialect = query.dialect
    if op is Op.EQ:
        return f"({dialect.has_key(string, query.bind(value))})"
    return f"({dialect.compared(string)} <> {dialect.compared(query.bind(value))})"


def _listed(string: str, op: Op, value: Any, query: Query) -> str:
    strings = [one for one in value if query.dialect.can_hold(one)]
    if not strings:
        return _constant(string, op is Op.NOT_IN)
    dialect = query.dialect
    found = query.listed(dialect.compared(string), strings, ValueKind.STRING)
    return found if op is Op.IN else f"(NOT {found})"


def _like(string: str, op: Op, pattern: str, query: Query) -> str:
    """Return the test for LIKE or ILIKE, whose patterns end at a NUL."""
    pattern, dialect = pattern.partition("\0")[0], query.dialect
    if not dialect.can_hold(pattern):
        return _constant(string, False)
    if op is Op.ILIKE:
        return f"({dialect.like(dialect.folded(string), query.bind(dialect.pattern(fold(pattern))))})"
    return f"({dialect.like(string, query.bind(dialect.pattern(pattern)))})"


def _constant(expression: str, holds: bool) -> str:
    """Return a test that each value passes, or none; missing ones never do."""
    return f"({expression} IS NOT NULL)" if holds else FALSE


# Numbers


def _integer(integer: str, predicate: Predicate, query: Query) -> str:
    """Return the test of an integer, which is compared exactly with fractions and with numbers beyond 64 bits."""
    op, value = predicate.op, predicate.value
    if op in _LISTS:
        listed: Any = value
        integers = [int(one) for one in listed if one == one and _fits(one) and one == int(one)]
        if not integers:
            return _constant(integer, op is Op.NOT_IN)
        found = query.listed(integer, integers, ValueKind.INTEGER)
        return found if op is Op.IN else f"(NOT {found})"
    number: Any = value
    if not _fits(number):
        return _constant(integer, COMPARISONS[op](0, number))
    if number != math.floor(number):
        if op in (Op.EQ, Op.NE):
            return _constant(integer, op is Op.NE)
        op = Op.GT if op in (Op.GT, Op.GE) else Op.LE  # between two integers only the direction matters
    return f"({integer} {_SQL[op]} {query.bind(math.floor(number))})"


def _fits(number: int | float) -> bool:
    """Tell whether a number is in the range of 64 bits."""
    return -(2**63) <= number < 2**63


def _double(value: Value, predicate: Predicate, query: Query) -> str:
    """Return the test of a floating-point number; NaN passes only `!=` and NOT IN unless it counts as a number."""
    number, is_nan = value.sql, value.nan
    if is_nan is not None and predicate.nan is not None:
        number, is_nan = f"CASE WHEN {is_nan} THEN {query.bind(float(predicate.nan))} ELSE {number} END", None
    test = _number(number, value.has_infinities, predicate, query)
    if is_nan is None:
        return test
    if predicate.op in (Op.NE, Op.NOT_IN):
        return f"({test} OR {is_nan})"
    return f"({test} AND NOT {is_nan})"


def _number(number: str, has_infinities: bool, predicate: Predicate, query: Query) -> str:
    op, wanted = predicate.op, predicate.value
    limits: Any = wanted if op in _LISTS else (wanted,)
    if has_infinities and any(abs(one) == LARGEST for one in limits):
        number = clamped(number)
    if op in _LISTS:
        numbers = [float(one) for one in limits if math.isfinite(one)]
        if not numbers:
            return _constant(number, op is Op.NOT_IN)
        found = query.listed(number, numbers, ValueKind.DOUBLE)
        return found if op is Op.IN else f"(NOT {found})"
    limit = limits[0]
    if not math.isfinite(limit):  # no value is beyond the largest numbers
        return _constant(number, COMPARISONS[op](0.0, limit))
    return f"({number} {_SQL[op]} {query.bind(float(limit))})"


def clamped(number: str) -> str:
    """Return a number with the largest ones in place of infinities; what it makes of NaN does not matter.

    Elsewhere infinities may stay: they compare with all smaller numbers as the largest ones do.
    """
    cases = f"WHEN {number} > {LARGEST!r} THEN {LARGEST!r} WHEN {number} < -{LARGEST!r} THEN -{LARGEST!r}"
    return f"CASE {cases} ELSE {number} END"
