"""Turn a query into warnings and notes about what a dialect accepts and understands otherwise than it looks.

This is about queries as written: it needs the syntax tree with its spans. It refuses nothing, and what refuses a query
says nothing here. Independent of any data, except for the keys that are known to be logged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import attrs

from mlquery.errors import Diagnostic, Severity, Span
from mlquery.language.contradictions import contradictions
from mlquery.language.diagnostics import Diagnostics
from mlquery.language.features import closest
from mlquery.language.fields import Target, label_of
from mlquery.language.functions import find_operand
from mlquery.language.keys import SYSTEM_TAGS, KnownKeys
from mlquery.language.literals import OPERATORS
from mlquery.language.matrix import Dialect
from mlquery.language.plan import Entity, Kind
from mlquery.language.rules import rules
from mlquery.language.suspicious_values import Finding, suspicious_values
from mlquery.language.syntax import And, Call, Comparison, Expression, Group, Not, Operand, Or, OrderTerm

_NAMES_OF_KINDS = {Kind.METRIC: "metric", Kind.PARAM: "param", Kind.TAG: "tag"}
_NEGATIVE = ("!=", "<>", "NOT IN", "NOT LIKE", "NOT ILIKE", "NOT RLIKE")


@attrs.frozen
class Written:
    """A query as written: its syntax trees, with None for what could not be parsed, and its strings."""

    entity: Entity
    where: Expression
    filter_string: str
    order: tuple[OrderTerm | None, ...] = ()
    order_strings: tuple[str, ...] = ()


def advice(query: Written, dialect: Dialect, keys: KnownKeys) -> tuple[Diagnostic, ...]:
    """Return the warnings and notes about a query, from left to right."""
    in_filter = Diagnostics(dialect, query.entity, "filter_string", query.filter_string)  # whose errors nobody reads
    found = list(_of_filter(query.where, in_filter, keys))
    diagnostics = [_diagnostic(one, in_filter) for one in sorted(found, key=lambda one: one.span.start)]
    for index, (term, written) in enumerate(zip(query.order, query.order_strings, strict=True)):
        if term is not None:
            of_entry = in_filter.for_argument(f"order_by[{index}]", written)
            diagnostics += [_diagnostic(one, of_entry) for one in _of_order(term, of_entry, keys)]
    return tuple(diagnostics)


def _diagnostic(found: Finding, place: Diagnostics) -> Diagnostic:
    severity: Severity = rules()[found.rule].severity
    return Diagnostic(
        *("wrong-type", found.message, place.argument, place.source, found.span, severity),
        dialect=place.dialect.name,
        suggestion=found.suggestion,
        rule=found.rule,
    )


def _of_filter(node: Expression, place: Diagnostics, keys: KnownKeys) -> Iterator[Finding]:
    match node:
        case Comparison():
            yield from _of_clause(node, place, keys)
        case Not(operand) | Group(operand):
            yield from _of_filter(operand, place, keys)
        case And(operands):
            yield from _missing_ands(operands, place)
            yield from contradictions(node, place)
            for operand in operands:
                yield from _of_filter(operand, place, keys)
        case Or(operands):
            for operand in operands:
                yield from _of_filter(operand, place, keys)


def _missing_ands(operands: Sequence[Expression], place: Diagnostics) -> Iterator[Finding]:
    for before, after in pairwise(operands):
        if "AND" not in place.source[before.span.stop : after.span.start].upper():
            first = place.source[after.span.start :].split(maxsplit=1)[0]
            message = "there is no AND between these two clauses, and MLflow reads one"
            yield Finding("MLQ110", message, Span(after.span.start, after.span.start + len(first)), "AND")


def _of_clause(node: Comparison, place: Diagnostics, keys: KnownKeys) -> Iterator[Finding]:
    target = find_operand(node.name, "filter", place)
    if target is None or node.op not in OPERATORS[target.type]:
        return
    yield from _of_key(node.name, target, keys)
    yield from suspicious_values(node, target, place.source, place.dialect, keys)
    kind = _NAMES_OF_KINDS.get(target.ref.kind)
    if kind is not None and target.kind is not Kind.ATTRIBUTE and node.op in _NEGATIVE:
        message = f"{node.op} does not find {place.entity.noun}s without the {kind} {target.ref.key!r}"
        yield Finding("MLQ202", message, node.span)


def _of_key(operand: Operand, target: Target, keys: KnownKeys) -> Iterator[Finding]:
    """Yield the finding about a key that nothing logs."""
    kind, name = _NAMES_OF_KINDS.get(target.ref.kind), operand.name if isinstance(operand, Call) else operand
    if kind is None or target.kind is Kind.ATTRIBUTE or target.entity is not Entity.RUN:
        return
    logged = keys.of(target.ref.kind)
    known = logged | SYSTEM_TAGS if target.ref.kind is Kind.TAG else logged
    if name.key in known:
        return
    otherwise = sorted(key for key in known if key.lower() == name.key.lower())
    if otherwise:
        right = label_of(attrs.evolve(name, key=otherwise[0]))
        message = f"keys are case-sensitive: there is a {kind} {otherwise[0]!r}, and no {name.key!r} is known"
        yield Finding("MLQ103", message, name.span, right)
    elif keys.is_complete:
        close = closest(name.key, logged)
        right_key = None if close is None else label_of(attrs.evolve(name, key=close))
        yield Finding("MLQ112", f"no run of the store has a {kind} {name.key!r}", name.span, right_key)


def _of_order(term: OrderTerm, place: Diagnostics, keys: KnownKeys) -> Iterator[Finding]:
    target = find_operand(term.name, "order", place)
    if target is None:
        return
    yield from _of_key(term.name, target, keys)
    if target.kind is Kind.PARAM:
        is_numeric = target.ref.key in keys.numeric_params
        what = "and this one is logged as a number" if is_numeric else "numbers too"
        message = f"params are sorted as strings, {what}: '10' comes before '9'"
        yield Finding("MLQ107" if is_numeric else "MLQ204", message, term.name.span)
