"""Decides whether a test of a field holds wherever another one does, by trying every state that could tell them apart.

A number is told from another by the numbers in the tests, so those, their neighbours, NaN and the infinities are all
that has to be tried. A string is one of the strings in the tests, or another one that passes any of their patterns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Final

import attrs

from mlquery.language.plan import FieldRef, Kind, Op, Predicate
from mlquery.language.semantics import number_test, string_test

_ALWAYS_THERE: Final = frozenset({"run_id", "status", "start_time"})
"""The attributes that every run of a server has. **Source**: `RunInfo` in `service.proto` of MLflow 3.17."""
_NUMBERS: Final = frozenset({"start_time", "end_time", "duration"})
_POSITIVE: Final = {Op.NOT_LIKE: Op.LIKE, Op.NOT_ILIKE: Op.ILIKE, Op.NOT_RLIKE: Op.RLIKE}
_PATTERNS: Final = frozenset({Op.LIKE, Op.ILIKE, Op.RLIKE})

_Pattern = tuple[Op, object]
Branch = Sequence[Predicate]
"""Tests that hold together."""


@attrs.frozen
class Test:
    """A predicate, or what is not true of it."""

    predicate: Predicate
    is_negated: bool = False


def is_number(field: FieldRef) -> bool:
    """Tell whether the values of a field are numbers."""
    return field.kind in (Kind.METRIC, Kind.HISTORY) or (field.kind is Kind.ATTRIBUTE and field.key in _NUMBERS)


def is_always_there(field: FieldRef) -> bool:
    """Tell whether every run of a server has a field."""
    return field.kind is Kind.ATTRIBUTE and field.key in _ALWAYS_THERE


def covers(test: Test, branches: Sequence[Branch]) -> tuple[bool, bool]:
    """Return whether one of the branches holds wherever a test does, and whether the test holds wherever one does.

    All are about one field.
    """
    predicates = [test.predicate, *(predicate for branch in branches for predicate in branch)]
    if test.predicate.field.kind is Kind.DATASET:  # of several values, each test may be passed by another one
        is_same = not test.is_negated and [[test.predicate]] == [list(branch) for branch in branches]
        return is_same, is_same
    is_superset = is_subset = True
    for state in _states(test.predicate.field, predicates):
        wanted = state.passes(test.predicate) is not test.is_negated
        found = any(all(map(state.passes, branch)) for branch in branches)
        is_superset &= found or not wanted
        is_subset &= wanted or not found
    return is_superset, is_subset


def entails(premises: Iterable[Predicate], conclusion: Predicate) -> bool:
    """Tell whether a test holds wherever all of some others do; those of other fields say nothing about it."""
    known = [premise for premise in premises if premise.field == conclusion.field]
    if conclusion in known:
        return True
    if not known or conclusion.field.kind is Kind.DATASET:
        return False
    states = _states(conclusion.field, [*known, conclusion])
    return all(state.passes(conclusion) for state in states if all(map(state.passes, known)))


@attrs.frozen
class _State:
    """What a field of a run may hold: nothing, a value, or any other string that passes some patterns."""

    value: str | float | None = None
    passed: frozenset[_Pattern] | None = None

    def passes(self, predicate: Predicate) -> bool:
        op, value = predicate.op, predicate.value
        is_there = self.value is not None or self.passed is not None
        if op in (Op.IS_NULL, Op.IS_NOT_NULL) or not is_there:
            return (op is Op.IS_NOT_NULL) if is_there else (op is Op.IS_NULL)
        if isinstance(self.value, str):
            return string_test(op, value)(self.value)
        if self.value is not None:
            return number_test(op, value, predicate.nan)(self.value)
        if op in (Op.EQ, Op.NE, Op.IN, Op.NOT_IN):
            return op in (Op.NE, Op.NOT_IN)
        pattern = (_POSITIVE.get(op, op), value)
        is_passed = _takes_all(pattern) or pattern in (self.passed or ())
        return is_passed is (op in _PATTERNS)


def _takes_all(pattern: _Pattern) -> bool:
    op, value = pattern
    return op in (Op.LIKE, Op.ILIKE) and bool(value) and not str(value).strip("%")


def _states(field: FieldRef, predicates: Sequence[Predicate]) -> Iterator[_State]:
    if not is_always_there(field):
        yield _State()
    if is_number(field):
        yield from map(_State, _numbers(field, predicates))
        return
    for string in dict.fromkeys(_literals(predicates, apart_from=_PATTERNS)):
        yield _State(str(string))
    patterns = list(dict.fromkeys((_POSITIVE.get(p.op, p.op), p.value) for p in predicates if _is_pattern(p)))
    for chosen in product((False, True), repeat=len(patterns)):
        passed = [pattern for pattern, is_passed in zip(patterns, chosen, strict=True) if is_passed]
        if all(wide in passed for wide in patterns if any(_is_wider(wide, narrow) for narrow in passed)):
            yield _State(passed=frozenset(passed))


def _is_wider(wide: _Pattern, narrow: _Pattern) -> bool:
    """Tell whether a pattern is another one with `_` in place of some characters."""
    pairs = zip(str(wide[1]), str(narrow[1]), strict=False)
    is_alike = all(left == right or (left == "_" and right != "%") for left, right in pairs)
    return wide[0] == narrow[0] and len(str(wide[1])) == len(str(narrow[1])) and wide[0] is not Op.RLIKE and is_alike


def _numbers(field: FieldRef, predicates: Sequence[Predicate]) -> list[float]:
    known = {0.0, math.inf, -math.inf, *(float(value) for value in _literals(predicates))}
    known |= {math.nextafter(value, end) for value in known for end in (math.inf, -math.inf)}
    return [*known, math.nan] if field.kind in (Kind.METRIC, Kind.HISTORY) else list(known)


def _is_pattern(predicate: Predicate) -> bool:
    return _POSITIVE.get(predicate.op, predicate.op) in _PATTERNS


def _literals(predicates: Iterable[Predicate], apart_from: Iterable[Op] = ()) -> Iterator[str | float]:
    for predicate in predicates:
        if predicate.value is not None and _POSITIVE.get(predicate.op, predicate.op) not in apart_from:
            yield from predicate.value if isinstance(predicate.value, tuple) else (predicate.value,)
