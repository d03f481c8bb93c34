"""Turns a condition into a few AND queries of a server that together find every run that it holds for.

A test becomes the clauses that mean the same there, or clauses that more runs pass, or none. ORs become several
queries. No answer is known here: what is found is tested again by whoever asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import product
from math import prod
from typing import Any, Final

import attrs

from mlquery.language.matrix import Dialect
from mlquery.language.plan import All, AnyOf, FieldRef, Kind, Negation, Op, Predicate, Where
from mlquery.pushdown.clauses import Clause, accepted, clause
from mlquery.pushdown.conditions import OPPOSITES, normalised
from mlquery.pushdown.entailment import Test, covers, entails, is_always_there, is_number

MOST_QUERIES: Final = 6
"""The most queries that one search is turned into; each costs at least one request."""

Branch = tuple[Clause, ...]
_Shape = Sequence[Sequence[tuple[Op, Any]]]


@attrs.frozen
class Cover:
    """AND queries that together find all runs of a condition, and no others if `is_exact`."""

    branches: tuple[Branch, ...]
    is_exact: bool = False


_EVERYTHING: Final = Cover(((),))


def cover_of(where: Where, dialect: Dialect, orders_by_metrics: bool = False) -> Cover:
    """Return the AND queries to ask a server in a dialect about a condition: none if no run can pass."""
    found = _cover(normalised(where), dialect)
    branches = tuple(_accepted(_joinable(branch, orders_by_metrics), dialect) for branch in found.branches)
    return Cover(_distinct(branches), found.is_exact and branches == found.branches)


def presence(field: FieldRef, dialect: Dialect) -> tuple[Branch, ...] | None:
    """Return the queries that together find exactly the runs that have a field; None where they cannot be asked for."""
    found = _of_test(Test(Predicate(field, Op.IS_NOT_NULL, None)), dialect)
    return found.branches if found is not None and found.is_exact else None


def unasked(where: Where, cover: Cover, dialect: Dialect) -> list[Test]:
    """Return the tests of a condition that a server does not decide alone: those that are left to whoever asked."""
    sent = {found.predicate.field for branch in cover.branches for found in branch}
    return [test for test in _tests(normalised(where)) if not _is_decided(test, sent, dialect)]


def _is_decided(test: Test, sent: Set[FieldRef], dialect: Dialect) -> bool:
    found = _of_test(test, dialect)
    return found is not None and found.is_exact and test.predicate.field in sent


def _tests(where: Where) -> Iterator[Test]:
    match where:
        case Predicate():
            yield Test(where)
        case Negation(Predicate() as predicate):
            yield Test(predicate, is_negated=True)
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from _tests(part)


def _cover(where: Where, dialect: Dialect) -> Cover:
    match where:
        case All(parts):
            return _joined([_cover(part, dialect) for part in parts])
        case AnyOf(parts):
            return _united([_cover(part, dialect) for part in parts])
    (test,) = _tests(where)
    return _of_test(test, dialect) or _EVERYTHING


def _joined(covers_of_parts: Sequence[Cover]) -> Cover:
    """Return the cover of a conjunction: the product of its parts', the largest widened if it is large."""
    parts = sorted(covers_of_parts, key=lambda part: len(part.branches))
    while prod(len(part.branches) for part in parts) > MOST_QUERIES:
        parts[-1] = _widened(parts[-1])
        parts.sort(key=lambda part: len(part.branches))
    branches = tuple(tuple(dict.fromkeys(sum(chosen, ()))) for chosen in product(*(part.branches for part in parts)))
    return Cover(_distinct(map(_shortened, branches)), all(part.is_exact for part in parts))


def _united(covers_of_parts: Sequence[Cover]) -> Cover:
    branches = _distinct(branch for part in covers_of_parts for branch in part.branches)
    found = Cover(branches, all(part.is_exact for part in covers_of_parts))
    return _widened(found) if len(branches) > MOST_QUERIES else found


def _widened(cover: Cover) -> Cover:
    """Return one query that finds what several do and more: the clauses that follow from each of them."""
    known = list(dict.fromkeys(found for branch in cover.branches for found in branch))
    common = [found for found in known if all(_follows(found, branch) for branch in cover.branches)]
    return Cover((_shortened(tuple(common)),))


def _distinct(branches: Iterable[Branch]) -> tuple[Branch, ...]:
    """Return queries without those that find nothing that another one does not."""
    kept: list[Branch] = []
    for branch in dict.fromkeys(branches):
        if any(_contains(other, branch) for other in kept):
            continue
        kept = [other for other in kept if not _contains(branch, other)]
        kept.append(branch)
    return tuple(kept)


def _contains(wide: Branch, narrow: Branch) -> bool:
    return all(_follows(found, narrow) for found in wide)


def _follows(found: Clause, branch: Branch) -> bool:
    return entails((other.predicate for other in branch), found.predicate)


def _shortened(branch: Branch) -> Branch:
    """Return a query without clauses that follow from its others."""
    kept = list(branch)
    for found in branch:
        others = tuple(other for other in kept if other is not found)
        if _follows(found, others):
            kept.remove(found)
    return tuple(kept)


def _joinable(branch: Branch, orders_by_metrics: bool) -> Branch:
    """Return a query without its clauses about datasets, unless it joins no other table.

    **Source**: `SqlAlchemyStore.search_runs` of MLflow 2.22 fails to join datasets with metrics, params or tags.
    """
    kinds = {found.predicate.field.kind for found in branch}
    if not orders_by_metrics and not kinds & {Kind.METRIC, Kind.PARAM, Kind.TAG}:
        return branch
    return tuple(found for found in branch if found.predicate.field.kind is not Kind.DATASET)


def _accepted(branch: Branch, dialect: Dialect) -> Branch:
    """Return as much of a query as the dialect takes at once."""
    while branch and not accepted(branch, dialect):
        branch = branch[:-1]
    return branch


def _of_test(test: Test, dialect: Dialect) -> Cover | None:
    """Return the cover of one test: exact with few queries, else one query that finds more; None if there is none."""
    if test.predicate.field.kind is Kind.HISTORY:
        return _of_history(test, dialect)
    wider: Cover | None = None
    for shape in _shapes(test):
        found = _asked(test, shape, dialect)
        if found is not None and found.is_exact:
            return found
        if found is not None and len(found.branches) == 1:
            wider = wider or found
    return wider


def _asked(test: Test, shape: _Shape, dialect: Dialect) -> Cover | None:
    if len(shape) > MOST_QUERIES:
        return None
    written = [[clause(test.predicate.field, op, value, dialect) for op, value in branch] for branch in shape]
    branches = [tuple(found for found in branch if found is not None) for branch in written]
    if any(None in branch for branch in written):
        return None
    is_superset, is_subset = covers(test, [[found.predicate for found in branch] for branch in branches])
    return Cover(tuple(branches), is_subset) if is_superset else None


def _of_history(test: Test, dialect: Dialect) -> Cover | None:
    """Return the cover of a test of all points of a metric: what passes one has the metric."""
    if test.is_negated or test.predicate.op is Op.IS_NULL:
        return None
    metric = FieldRef(Kind.METRIC, test.predicate.field.key)
    found = _of_test(Test(Predicate(metric, Op.IS_NOT_NULL, None)), dialect)
    return None if found is None else Cover(found.branches)


def _shapes(test: Test) -> Iterator[_Shape]:
    """Yield queries about a field, each of clauses given by operator and value, that might be asked for a test."""
    predicate = test.predicate
    op, value = predicate.op, predicate.value
    is_there, is_missing = [[(Op.IS_NOT_NULL, None)]], [(Op.IS_NULL, None)]
    if predicate.field.kind is Kind.DATASET:
        yield [[(op, value)]]
        return
    if test.is_negated:
        opposites = list(_alike(OPPOSITES[op], value))
        if is_always_there(predicate.field):
            yield from opposites
        yield from ([*shape, is_missing] for shape in opposites)
        return
    yield from _alike(op, value)
    if op is Op.IS_NULL or is_always_there(predicate.field):
        return
    yield is_there
    if is_number(predicate.field):
        yield [[(Op.NE, 0)], [(Op.EQ, 0)]]  # where NaN differs from every number
        yield [[(Op.GE, 0)], [(Op.LT, 0)]]  # where NaN counts as 0
    else:
        yield [[(Op.LIKE, "%")]]


def _alike(op: Op, value: Any) -> Iterator[_Shape]:
    """Yield other ways to say what an operator does, and a wider one for lists of numbers and awkward strings."""
    if op in (Op.LIKE, Op.ILIKE) and "\\" in value:  # an escape on some databases, and a character on others
        yield [[(op, value.replace("\\", "_"))]]
        return
    yield [[(op, value)]]
    match op:
        case Op.IN:
            yield [[(Op.EQ, item)] for item in value]
            if not any(isinstance(item, str) for item in value):
                yield [[(Op.GE, min(value)), (Op.LE, max(value))]]
        case Op.NOT_IN:
            yield [[(Op.NE, item) for item in value]]
        case Op.EQ if isinstance(value, str) and not value.isalnum():
            yield [[(Op.LIKE, "".join(c if c.isalnum() else "_" for c in value))]]
