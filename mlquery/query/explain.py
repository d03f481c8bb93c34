"""Explain what a query means in a dialect: its fields, tests and order, and the warnings about it."""

from __future__ import annotations

from collections.abc import Sequence

from mlquery.language.matrix import MATRIX, Dialect
from mlquery.language.parser import parse_filter
from mlquery.language.plan import (
    All,
    AnyOf,
    Entity,
    FieldRef,
    Function,
    Kind,
    Negation,
    Op,
    Plan,
    Predicate,
    SortKey,
    Where,
)
from mlquery.language.render import render
from mlquery.query.search import check, plan_of
from mlquery.store import Store

_INDENT = "  "
_HISTORY: dict[Function | None, str] = {
    Function.MAX: "maximum",
    Function.MIN: "minimum",
    Function.MEAN: "mean",
    Function.FIRST: "first value",
    Function.COUNT: "number of points",
    Function.AT: "value at step {}",
    Function.ARGMAX: "first step with the maximum",
    Function.ARGMIN: "first step with the minimum",
}


class Explanation(str):
    """What a query means: a string of several lines, which notebooks show as they are."""

    def _repr_html_(self) -> str:
        from mlquery.entities.html import document, preformatted

        return document(preformatted(self))


def explain(
    filter_string: str | None = "",
    order_by: Sequence[str] | None = None,
    *,
    dialect: str | Dialect = "oss",
    entity: str = "run",
    view_type: int = 1,
    store: Store | None = None,
) -> Explanation:
    """Return what a query means in a dialect, or why it is refused, in several lines; `store` as in `check`."""
    chosen = MATRIX.dialect(dialect)
    verdict = check(filter_string, order_by, dialect=chosen, entity=entity, view_type=view_type, store=store)
    head = [f"dialect   {chosen.name} ({chosen.title})"]
    if not verdict:
        return Explanation("\n".join([*head, "refused", *map(str, verdict.diagnostics)]))
    plan = plan_of(filter_string, order_by, dialect=chosen, entity=entity, view_type=view_type)
    meaning = [*_written(filter_string or ""), *_meaning(plan, entity)]
    return Explanation("\n".join([*head, *meaning, *map(str, verdict.diagnostics)]))


def _written(filter_string: str) -> list[str]:
    try:
        return [f"reads     {render(parse_filter(filter_string)) or '(no filter)'}"]
    except ValueError:
        return [f"reads     {filter_string}"]


def _meaning(plan: Plan, entity: str) -> list[str]:
    stages = " and ".join(sorted(plan.stages)) or "no"
    where = _condition(plan.where)
    order = ", then ".join(map(_key, plan.order))
    return [f"finds     {stages} {Entity(entity).noun}s", *where, f"order     {order}"]


def _condition(where: Where, depth: int = 5) -> list[str]:
    indent = _INDENT * depth
    match where:
        case All(()):
            return []
        case All(parts):
            return [f"{indent}where all of", *(line for p in parts for line in _condition(p, depth + 1))]
        case AnyOf(parts):
            return [f"{indent}where any of", *(line for p in parts for line in _condition(p, depth + 1))]
        case Negation(part):
            return [f"{indent}except where", *_condition(part, depth + 1)]
        case Predicate():
            return [indent + _test(where)]


def _test(predicate: Predicate) -> str:
    field, op, value = _field(predicate.field), predicate.op, predicate.value
    if op in (Op.IS_NULL, Op.IS_NOT_NULL):
        return f"{field} is {'missing' if op is Op.IS_NULL else 'there'}"
    shown = f"({', '.join(map(repr, value))})" if isinstance(value, tuple) else repr(value)
    if predicate.nan is not None:
        return f"{field} {op.value} {shown} (NaN counts as {predicate.nan:g})"
    nan = "NaN too, " if _can_be_nan(predicate.field) else ""
    missing = f" ({nan}but not where it is missing)" if op in (Op.NE, Op.NOT_IN) else ""
    return f"{field} {op.value} {shown}{missing}"


def _field(field: FieldRef) -> str:
    match field.kind:
        case Kind.ATTRIBUTE:
            return field.key
        case Kind.METRIC:
            return f"latest value of metric {field.key!r}"
        case Kind.HISTORY:
            return f"{_HISTORY[field.function].format(field.step)} of metric {field.key!r}"
        case Kind.DATASET:
            return f"{field.key} of any dataset"
    return f"{field.kind.value} {field.key!r}"


def _can_be_nan(field: FieldRef) -> bool:
    is_history = field.function is not None and not field.function.is_integer
    return field.kind is Kind.METRIC or is_history


def _key(key: SortKey) -> str:
    return f"{_field(key.field)} {'descending' if key.descending else 'ascending'}"
