"""Find two clauses of a conjunction that nothing fulfils together. Independent of any data."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import attrs

from mlquery.errors import Span
from mlquery.language.diagnostics import Diagnostics
from mlquery.language.fields import Target
from mlquery.language.functions import find_operand
from mlquery.language.literals import OPERATORS
from mlquery.language.plan import FieldRef, Kind
from mlquery.language.suspicious_values import Finding
from mlquery.language.syntax import And, Comparison, Expression, Group, Number, String

_MOST_CLAUSES = 50
_SINGLE = ("=", "==")
_BELOW, _ABOVE = ("<", "<="), (">", ">=")


@attrs.frozen
class _Test:
    """One comparison with one value, as a number where the field is one."""

    field: FieldRef
    op: str
    value: str | float
    span: Span
    written: str


def contradictions(node: And, place: Diagnostics) -> Iterator[Finding]:
    """Yield the findings about clauses that exclude an earlier one; about each clause at most once."""
    tests = [test for operand in node.operands for test in _tests(operand, place)][:_MOST_CLAUSES]
    reported: set[Span] = set()
    for first, second in combinations(tests, 2):
        if first.field == second.field and second.span not in reported and _excludes(first, second):
            reported.add(second.span)
            message = f"nothing matches both this and {first.written}"
            yield Finding("MLQ108", message, second.span)


def _tests(node: Expression, place: Diagnostics) -> Iterator[_Test]:
    if isinstance(node, Group):
        yield from _tests(node.operand, place)
    if not isinstance(node, Comparison) or not isinstance(node.value, String | Number):
        return
    target = find_operand(node.name, "filter", place)
    # A run has several datasets, so two of its clauses may be about different ones.
    if target is None or target.ref.kind is Kind.DATASET or node.op not in OPERATORS[target.type]:
        return
    value = _value(node.value, target, place)
    if value is not None:
        yield _Test(target.ref, node.op, value, node.span, place.source[node.span.start : node.span.stop])


def _value(value: String | Number, target: Target, place: Diagnostics) -> str | float | None:
    if target.type == "string":
        folds = target.key == "status" and place.dialect.behaves("status.any-case")
        return value.value.upper() if folds else value.value
    try:
        return float(value.value)
    except ValueError:
        return None


def _excludes(first: _Test, second: _Test) -> bool:
    if first.op in _SINGLE and second.op in _SINGLE:
        return first.value != second.value
    for one, other in ((first, second), (second, first)):
        if isinstance(one.value, str) or isinstance(other.value, str):
            continue
        is_above = one.op in (*_ABOVE, *_SINGLE)
        is_below = other.op in (*_BELOW, *_SINGLE)
        if is_above and is_below and _is_empty(one, other):
            return True
    return False


def _is_empty(low: _Test, high: _Test) -> bool:
    """Tell whether no number is at least `low` and at most `high`, or strictly so where an operator says it."""
    assert not isinstance(low.value, str)
    assert not isinstance(high.value, str)
    is_strict = low.op == ">" or high.op == "<"
    return low.value > high.value or (is_strict and low.value == high.value)
