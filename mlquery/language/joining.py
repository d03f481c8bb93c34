"""Joins syntax trees by AND, OR and NOT as the parser reads them: with parentheses where the grammar needs them."""

from __future__ import annotations

from collections.abc import Iterable

from mlquery.language.syntax import And, Comparison, Expression, Group, Not, Or


def all_of(parts: Iterable[Expression]) -> Expression:
    """Return that all parts hold; a conjunction among them is taken apart, a disjunction gets parentheses."""
    operands: list[Expression] = []
    for part in parts:
        match part:
            case And(inner):
                operands += inner
            case Or():
                operands.append(Group(part))
            case _:
                operands.append(part)
    return operands[0] if len(operands) == 1 else And(tuple(operands))


def any_of(parts: Iterable[Expression]) -> Expression:
    """Return that at least one part holds; a disjunction among them is taken apart. There is at least one part."""
    operands: list[Expression] = []
    for part in parts:
        operands += part.operands if isinstance(part, Or) else (part,)
    return operands[0] if len(operands) == 1 else Or(tuple(operands))


def negated(part: Expression) -> Expression:
    """Return that a part does not hold, which is two-valued: twice negated, it is the part."""
    match part:
        case Not(Group(inner)) | Not(inner):
            return inner
        case And() | Or():
            return Not(Group(part))
        case Comparison() | Group():
            return Not(part)
