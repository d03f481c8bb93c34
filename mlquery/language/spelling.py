"""Writes a syntax tree as a string that a dialect accepts, in another spelling of the same meaning where it needs one.

What a dialect accepts is asked of it: each spelling is read and resolved as a search would do it.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from mlquery.errors import Diagnostic, QueryError
from mlquery.language.features import Use
from mlquery.language.joining import all_of, any_of, negated
from mlquery.language.matrix import MATRIX, Dialect
from mlquery.language.parser import parse_filter, parse_order_by
from mlquery.language.plan import Entity, Function
from mlquery.language.render import render
from mlquery.language.resolve import Query, resolve
from mlquery.language.sizes import filter_problem
from mlquery.language.syntax import (
    And,
    Call,
    Comparison,
    Expression,
    Group,
    Items,
    Literal,
    Not,
    Number,
    Or,
    OrderTerm,
    Range,
    String,
)

_NULL_OPPOSITES = {"IS NULL": "IS NOT NULL", "IS NOT NULL": "IS NULL"}
_REFUSED = 1_000_000
"""A refused spelling is worse than one with any number of warnings."""


def filter_for(tree: Expression, dialect: str | Dialect, entity: str) -> str:
    """Return a filter as a string that a dialect accepts for what is searched.

    Raises:
        QueryError: the dialect accepts no spelling of it; with the errors of the best one.
        ValueError: there is no such dialect or entity, or the tree cannot be written.
    """
    target = _Target(MATRIX.dialect(dialect), Entity(entity))
    best = tree if target.cost(tree) == 0 else target.respelled(tree)
    return target.accepted(best)


def order_for(term: OrderTerm, dialect: str | Dialect, entity: str) -> str:
    """Return an entry of order_by as a string that a dialect accepts for what is searched; raises as `filter_for`."""
    target = _Target(MATRIX.dialect(dialect), Entity(entity))
    written = render(term)
    try:
        target.resolve_order(written)
    except QueryError:
        plain = _without_last(term)
        if plain is None:
            raise
        written = render(plain)
        target.resolve_order(written)
    return written


@attrs.frozen
class _Target:
    """The dialect that a string is for, and what it searches."""

    dialect: Dialect
    entity: Entity

    def accepted(self, tree: Expression) -> str:
        """Return the string of a tree; raises QueryError where the dialect refuses it."""
        written = render(tree)
        problem = filter_problem(written)
        if problem is not None:
            raise QueryError(Diagnostic("syntax", problem, dialect=self.dialect.name))
        self._warnings(written)
        return written

    def resolve_order(self, written: str) -> None:
        """Raise QueryError where the dialect refuses an entry of order_by."""
        term = parse_order_by(written)
        resolve(Query(self.entity, And(()), order=(term,), order_strings=(written,)), self.dialect)

    def cost(self, tree: Expression) -> int:
        """Return how bad a spelling is: 0 where it is accepted without a warning."""
        try:
            return self._warnings(render(tree))
        except QueryError as error:
            return _REFUSED * len(error.diagnostics)

    def _warnings(self, written: str) -> int:
        return len(resolve(Query(self.entity, parse_filter(written), written), self.dialect).warnings)

    def respelled(self, node: Expression) -> Expression:
        """Return the best spelling of a tree: of each of its comparisons, and without needless negations."""
        match node:
            case And(operands):
                return all_of(map(self.respelled, operands))
            case Or(operands):
                return any_of(map(self.respelled, operands))
            case Group(operand):
                return self.respelled(operand)
            case Not(operand):
                opposite = None if self._has_not() else _opposite(operand)
                return negated(self.respelled(operand)) if opposite is None else self.respelled(opposite)
            case Comparison():
                return min((node, *_alternatives(node)), key=self.cost) if _has_meaning(node, self.entity) else node

    def _has_not(self) -> bool:
        return self.dialect.supports(Use(self.entity.value, "join", op="NOT"))


def _has_meaning(node: Comparison, entity: Entity) -> bool:
    """Tell whether a comparison means anything; what does not is no other spelling of something that does."""
    return _Target(MATRIX.local_dialect, entity).cost(node) < _REFUSED


def _opposite(operand: Expression) -> Expression | None:
    """Return the opposite of an expression without NOT before it; None if no expression means exactly the opposite."""
    match operand:
        case Comparison(_, op) if op in _NULL_OPPOSITES:
            return attrs.evolve(operand, op=_NULL_OPPOSITES[op], written=_NULL_OPPOSITES[op])
        case Group(Or(operands)):
            return all_of(map(negated, operands))
    return None


def _alternatives(node: Comparison) -> Iterator[Comparison | And]:
    """Yield other spellings of a comparison with the same meaning."""
    for spelling in (node, _without_last_call(node)):
        if spelling is None:
            continue
        if spelling is not node:
            yield spelling
        yield from _simpler(spelling)
        if isinstance(spelling.value, Number | String | Range | Items):
            yield attrs.evolve(spelling, value=_quoted(spelling.value))


def _simpler(node: Comparison) -> Iterator[Comparison | And]:
    """Yield spellings of a comparison with a range or a list that have neither."""
    match node:
        case Comparison(name, "BETWEEN", Range(low, high)):
            for lowest, highest in ((low, high), (_quoted_one(low), _quoted_one(high))):
                yield And((Comparison(name, ">=", lowest, ">="), Comparison(name, "<=", highest, "<=")))
        case Comparison(name, "IN", Items((item,))):
            yield from _with_quotes_too(Comparison(name, "=", item, "="))
        case Comparison(name, "NOT IN", Items((item,))):
            yield from _with_quotes_too(Comparison(name, "!=", item, "!="))
        case Comparison(name, "NOT IN", Items(items)):
            for parts in (items, tuple(map(_quoted_one, items))):
                yield And(tuple(Comparison(name, "!=", part, "!=") for part in parts))


def _with_quotes_too(node: Comparison) -> Iterator[Comparison]:
    yield node
    yield attrs.evolve(node, value=_quoted(node.value))


def _quoted(value: Literal) -> Literal:
    match value:
        case Number():
            return _quoted_one(value)
        case Items(items):
            return Items(tuple(map(_quoted_one, items)))
        case Range(low, high):
            return Range(_quoted_one(low), _quoted_one(high))
    return value


def _quoted_one(value: Number | String) -> Number | String:
    """Return a number in quotes, which only numeric attributes may have: a dialect refuses it elsewhere."""
    return String(value.value)


def _without_last_call(node: Comparison) -> Comparison | None:
    call = node.name
    return attrs.evolve(node, name=call.name) if isinstance(call, Call) and _is_last(call) else None


def _without_last(term: OrderTerm) -> OrderTerm | None:
    call = term.name
    return attrs.evolve(term, name=call.name) if isinstance(call, Call) and _is_last(call) else None


def _is_last(call: Call) -> bool:
    """Tell whether a call is the metric itself."""
    return call.function == Function.LAST.value and call.step is None
