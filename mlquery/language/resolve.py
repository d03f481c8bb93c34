"""Turn a syntax tree and a dialect into a `Plan`, or report everything that is wrong with it. Independent of any data.

Every part of the query becomes a `Use`, which is checked against the support matrix. The result is canonical and typed:
aliases are resolved, numbers are numbers, times are integer milliseconds UTC, and the order is total.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from mlquery.errors import INTERNAL_ERROR, Diagnostic, QueryError, Span
from mlquery.language.diagnostics import Diagnostics
from mlquery.language.features import Use
from mlquery.language.fields import Target
from mlquery.language.functions import find_operand
from mlquery.language.literals import NULL_OPS, predicate_for
from mlquery.language.matrix import Dialect
from mlquery.language.orders import ORDERINGS
from mlquery.language.plan import All, AnyOf, Entity, FieldRef, Kind, Negation, Plan, SortKey, Where
from mlquery.language.precedence import by_precedence
from mlquery.language.prompts import ALL_MODELS, WITH_PROMPTS, apart_from_prompts
from mlquery.language.syntax import And, Call, Comparison, Expression, Group, Not, Or, OrderTerm, comparisons

_STAGES = {"ACTIVE_ONLY": ("active",), "DELETED_ONLY": ("deleted",), "ALL": ("active", "deleted")}


@attrs.frozen
class Query:
    """A parsed search. `order_strings` are the entries of order_by as written, `view` is the name of a view type.

    An entry of `order` that could not be parsed is None.
    """

    entity: Entity
    where: Expression
    filter_string: str = ""
    order: tuple[OrderTerm | None, ...] = ()
    order_strings: tuple[str, ...] = ()
    view: str = "ACTIVE_ONLY"
    experiment_ids: frozenset[str] | None = None


@attrs.frozen
class Resolved:
    """A plan and the warnings about its query."""

    plan: Plan
    warnings: tuple[Diagnostic, ...] = ()


def resolve(query: Query, dialect: Dialect, problems: Iterable[Diagnostic] = ()) -> Resolved:
    """Return the plan of a query in a dialect.

    Args:
        query: What could be parsed of a search.
        dialect: A column of the support matrix.
        problems: The errors about what could not be parsed.

    Raises:
        QueryError: with all errors of the query, in the order in which a search meets them.
    """
    diagnostics = Diagnostics(dialect, query.entity, errors=list(problems))
    in_filter = diagnostics.for_argument("filter_string", query.filter_string)
    query = _without_refused_calls(query, in_filter)
    where = _where(query.where, in_filter)
    _require_few_clauses(query, in_filter)
    stages = frozenset(_STAGES[query.view])
    if query.entity in WITH_PROMPTS:
        is_apart = dialect.behaves("registry.prompts-apart")
        where, stages = apart_from_prompts(where) if is_apart else (where, ALL_MODELS)
    order = _order(query, diagnostics)
    diagnostics.check(Use(query.entity.value, "view", key=query.view), Span(0, 0))
    if diagnostics.errors:
        raise QueryError(*by_precedence(query.entity, diagnostics.errors))
    plan = Plan(query.entity, where, order, stages, query.experiment_ids)
    return Resolved(plan, tuple(diagnostics.warnings))


def _without_refused_calls(query: Query, diagnostics: Diagnostics) -> Query:
    """Return a query without its filter if calls in it are refused, whose errors are added.

    A service that knows no calls refuses such a string before it looks at any clause.
    """
    aside = attrs.evolve(diagnostics, warnings=[])
    calls = [clause.name for clause in comparisons(query.where) if isinstance(clause.name, Call)]
    targets = [find_operand(call, "filter", aside) for call in calls]
    return attrs.evolve(query, where=And(())) if None in targets else query


def _where(node: Expression, diagnostics: Diagnostics) -> Where:
    match node:
        case Comparison():
            return _predicate(node, diagnostics)
        case And(operands):
            if len(operands) > 1:
                diagnostics.check(_join(diagnostics, "AND"), node.span)
            return All(tuple(_where(o, diagnostics) for o in operands))
        case Or(operands):
            for span in node.spans or (node.span,):
                diagnostics.check(_join(diagnostics, "OR"), span)
            return AnyOf(tuple(_where(o, diagnostics) for o in operands))
        case Not(operand):
            diagnostics.check(_join(diagnostics, "NOT"), node.word)
            return Negation(_where(operand, diagnostics))
        case Group(operand):
            diagnostics.check(_join(diagnostics, "()"), node.span)
            return _where(operand, diagnostics)


def _join(diagnostics: Diagnostics, op: str) -> Use:
    return Use(diagnostics.entity.value, "join", op=op)


def _predicate(node: Comparison, diagnostics: Diagnostics) -> Where:
    """Return the predicate of a clause; if the clause is not valid, add an error and return a placeholder."""
    before = len(diagnostics.errors)
    target = find_operand(node.name, "filter", diagnostics)
    if target is not None:
        return predicate_for(node, target, diagnostics)
    _put_operator_first(node, diagnostics, before)
    return All()


def _put_operator_first(node: Comparison, diagnostics: Diagnostics, before: int) -> None:
    """Add the error about an operator that the dialect refuses, before those about an unknown field."""
    use = Use(diagnostics.entity.value, "filter", op=node.op)
    verdict = diagnostics.dialect.verdict(use)
    if verdict is not None and verdict.state == "no" and verdict.cell.error_code:
        unknown = diagnostics.errors[before:]
        del diagnostics.errors[before:]
        diagnostics.check(use, node.span)
        diagnostics.errors += unknown


def _require_few_clauses(query: Query, diagnostics: Diagnostics) -> None:
    """Refuse more clauses than the dialect's database supports: it joins tables for fields outside the searched row."""
    limits = diagnostics.dialect.query_limits.get(query.entity.value)
    if not limits:
        return
    ignored = Diagnostics(diagnostics.dialect, query.entity)
    clauses = list(comparisons(query.where))
    joined = [_tables(find_operand(c.name, "filter", ignored)) for c in clauses if c.op not in NULL_OPS]
    ordered = [_tables(find_operand(term.name, "order", ignored)) for term in query.order if term is not None]
    elsewhere = sum(map(bool, joined))
    counts = {
        "joined_tables": (sum(joined) + sum(ordered), "joins, for metrics, params, tags, names and datasets"),
        "tag_clauses": (elsewhere, "clauses about tags"),
        "attribute_clauses": (len(clauses) - elsewhere, "clauses about attributes"),
    }
    for name, most in limits.items():
        count, things = counts[name]
        if count > most:
            diagnostics.too_large(f"{count} {things}, and the database supports at most {most}")


def _tables(target: Target | None) -> int:
    """Return how many tables a clause about a field joins.

    Source: MLflow 3.17 `_get_sqlalchemy_filter_clauses`; SQLite joins at most 64 tables.
    """
    if target is None or target.ref.kind is Kind.ATTRIBUTE:
        return 0
    if target.ref.kind is Kind.DATASET:
        return 3 if target.key == "context" else 2
    return 1


def _order(query: Query, diagnostics: Diagnostics) -> tuple[SortKey, ...]:
    keys: list[SortKey] = []
    fields: set[FieldRef] = set()
    ordering = ORDERINGS[query.entity]
    for index, (term, written) in enumerate(zip(query.order, query.order_strings, strict=True)):
        if term is None:
            continue
        of_entry = diagnostics.for_argument(f"order_by[{index}]", written)
        target = find_operand(term.name, "order", of_entry)
        if target is None:
            continue
        of_entry.check(target.use("order", spelling=target.spelling or _spelling(term)), term.span, target.label)
        key = SortKey(target.ref, term.descending, ordering.missing_is_least)
        if ordering.refuses_repeats and target.ref in fields:
            of_entry.error("unsupported", f"{written!r} orders by a field twice", term.span, error_code=INTERNAL_ERROR)
        keys.append(key)
        fields.add(target.ref)
    return (*keys, *ordering.completion(keys, diagnostics.dialect))


def _spelling(term: OrderTerm) -> str | None:
    """Return the spelling of an entry if it matters: MLflow reads a quoted name only before a direction."""
    return "no direction" if term.name.span.stop == term.span.stop else None
