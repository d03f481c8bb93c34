"""Rewrites the condition of a plan so that negations stand before single tests only.

A negated test is not the opposite test: what is missing passes it. No server is known here.
"""

from __future__ import annotations

from mlquery.language.plan import All, AnyOf, FieldRef, Kind, Negation, Op, Predicate, Where

_LISTED = {Op.EQ: Op.IN, Op.NE: Op.NOT_IN}
OPPOSITES = {
    Op.EQ: Op.NE,
    Op.GT: Op.LE,
    Op.GE: Op.LT,
    Op.LIKE: Op.NOT_LIKE,
    Op.ILIKE: Op.NOT_ILIKE,
    Op.RLIKE: Op.NOT_RLIKE,
    Op.IN: Op.NOT_IN,
    Op.IS_NULL: Op.IS_NOT_NULL,
}
OPPOSITES |= {opposite: op for op, opposite in OPPOSITES.items()}


def normalised(where: Where, is_negated: bool = False) -> Where:
    """Return an equivalent condition of `All`, `AnyOf`, tests and negated tests, without nesting of one kind."""
    match where:
        case Predicate(field, op, value):
            if not is_negated:
                return where
            if op in (Op.IS_NULL, Op.IS_NOT_NULL):
                return Predicate(field, OPPOSITES[op], value)
            return Negation(where)
        case Negation(part):
            return normalised(part, not is_negated)
        case All(parts) | AnyOf(parts):
            inner = [normalised(part, is_negated) for part in parts]
            return _all(inner) if isinstance(where, All) is not is_negated else _any(inner)


def without_histories(where: Where, assumed: bool) -> Where:
    """Return a normalised condition in which each test of a history, negated or not, is taken for true or for false."""
    match where:
        case Predicate(field) | Negation(Predicate(field)):
            if field.kind is not Kind.HISTORY:
                return where
            return All() if assumed else AnyOf(())
        case All(parts):
            return All(tuple(without_histories(part, assumed) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(without_histories(part, assumed) for part in parts))
    return where


def _all(parts: list[Where]) -> Where:
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, All) else (part,))]
    return flat[0] if len(flat) == 1 else All(tuple(flat))


def _any(parts: list[Where]) -> Where:
    """Return a disjunction, in which equalities with one string field are one list."""
    listed: dict[FieldRef, list[str]] = {}
    others: list[Where] = []
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, AnyOf) else (part,))]
    for single in flat:
        match single:
            case Predicate(field, Op.EQ, str(value)):
                listed.setdefault(field, []).append(value)
            case Predicate(field, Op.IN, tuple(values)) if values and isinstance(values[0], str):
                listed.setdefault(field, []).extend(map(str, values))
            case _:
                others.append(single)
    for field, strings in listed.items():
        values = tuple(dict.fromkeys(strings))
        is_one = len(values) == 1
        others.append(Predicate(field, Op.EQ if is_one else Op.IN, values[0] if is_one else values))
    return others[0] if len(others) == 1 else AnyOf(tuple(others))
