"""Writes tests as clauses that a server accepts, and says what these mean there.

Each spelling is resolved in the column of the server, as a filter of its users would be: what the column refuses, or
what no source says of the server, is not asked of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import attrs

from mlquery.errors import Diagnostic, QueryError
from mlquery.language.matrix import Dialect
from mlquery.language.parser import parse_filter, parse_order_by
from mlquery.language.plan import Entity, FieldRef, Kind, Op, Predicate, SortKey
from mlquery.language.render import render
from mlquery.language.resolve import Query, Resolved, resolve
from mlquery.language.syntax import And, Comparison, Items, Literal, Name, Number, OrderTerm, String

_PREFIXES: Final = {Kind.METRIC: "metrics", Kind.PARAM: "params", Kind.TAG: "tags", Kind.DATASET: "dataset"}
_CACHED: Final = 4096


@attrs.frozen
class Clause:
    """A clause as it is sent, and the test that the server makes of it."""

    written: str
    predicate: Predicate


@lru_cache(_CACHED)
def clause(field: FieldRef, op: Op, value: object, dialect: Dialect) -> Clause | None:
    """Return a clause about a field that a dialect accepts and means by the same field; None if there is none."""
    for name in _names(field, "filter", dialect):
        for literal in _literals(value):
            found = _clause(name, op, literal, dialect)
            if found is not None and found.predicate.field == field:
                return found
    return None


def accepted(clauses: Sequence[Clause], dialect: Dialect) -> bool:
    """Tell whether a dialect accepts some clauses joined with AND: some have limits on the size of a query."""
    return _resolved(filter_of(clauses), dialect) is not None


def filter_of(clauses: Sequence[Clause]) -> str:
    """Return clauses joined with AND."""
    return " AND ".join(found.written for found in clauses)


def order_entry(key: SortKey, dialect: Dialect) -> str | None:
    """Return an entry of order_by that a dialect accepts and means by the same key; None if there is none."""
    for name in _names(key.field, "order", dialect):
        try:
            entry = render(OrderTerm(name, key.descending))
            entry = entry if key.descending else f"{entry} ASC"
            query = Query(Entity.RUN, And(()), order=(parse_order_by(entry),), order_strings=(entry,))
            found = resolve(query, dialect)
        except (QueryError, ValueError):
            continue
        if _is_known(found) and found.plan.order[0] == key:
            return entry
    return None


def _clause(name: Name, op: Op, literal: Literal, dialect: Dialect) -> Clause | None:
    try:
        written = render(Comparison(name, op.value, literal))
    except ValueError:  # no quotes can enclose it
        return None
    found = _resolved(written, dialect)
    if found is None or not isinstance(found.plan.where, Predicate):
        return None
    return Clause(written, found.plan.where)


def _resolved(written: str, dialect: Dialect) -> Resolved | None:
    try:
        found = resolve(Query(Entity.RUN, parse_filter(written), written), dialect)
    except QueryError:
        return None
    return found if _is_known(found) else None


def _is_known(found: Resolved) -> bool:
    """Tell whether sources say that a query is supported."""
    return not any(map(_is_of_no_source, found.warnings))


def _is_of_no_source(warning: Diagnostic) -> bool:
    return warning.code == "unsupported"


def _names(field: FieldRef, clause_of: str, dialect: Dialect) -> Iterator[Name]:
    if field.kind is Kind.ATTRIBUTE:
        known = (f for f in dialect.fields if f.entity == Entity.RUN.value and clause_of in f.clauses)
        for found in known:
            if (found.stored_as or found.key) == field.key and found.stored_as is None:
                yield Name("attributes", found.key)
                yield Name(None, found.key)
    elif field.kind in _PREFIXES:
        prefix = _PREFIXES[field.kind]
        yield Name(prefix, field.key)
        yield Name(prefix, field.key, quoted=True)


def _literals(value: object) -> Iterator[Literal]:
    """Yield how a value may be written; a number in quotes too, which is how some services take it."""
    match value:
        case None:
            yield None
        case str():
            yield String(value)
        case tuple():
            items = [_number(item) if isinstance(item, int | float) else String(str(item)) for item in value]
            if items and None not in items:
                yield Items(tuple(item for item in items if item is not None))
        case int() | float():
            if (number := _number(value)) is not None:
                yield number
                yield String(number.value)


def _number(value: float) -> Number | None:
    """Return a number as it is written in a filter, where an exponent has no plus; None for infinity and NaN."""
    if not math.isfinite(value):
        return None
    return Number(repr(value).replace("e+", "e"))
