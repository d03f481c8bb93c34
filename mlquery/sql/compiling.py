"""Turns a plan into one statement: ids and what they are ordered by, their number, or fields of all rows found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from mlquery.language.plan import Entity, FieldRef, Kind, Op, Plan, Predicate
from mlquery.sql.conditions import condition, required_fields
from mlquery.sql.dialects import SqlDialect
from mlquery.sql.expressions import Value, ValueKind
from mlquery.sql.ordering import Position, Term, follows, order_by, terms
from mlquery.sql.query import Layout, Query
from mlquery.sql.statement import Statement

_ALL_STAGES: Final = frozenset({"active", "deleted"})
_NAME: Final = FieldRef(Kind.ATTRIBUTE, "name")


@attrs.frozen
class Page:
    """The statement for one page of a search: it selects the id, the locators of the layout and what orders the rows.

    Attributes:
        statement: What to run.
        terms: What the rows are ordered by, the last of the selected columns.
    """

    statement: Statement
    terms: tuple[Term, ...]


def page(
    plan: Plan,
    layout: Layout,
    dialect: SqlDialect,
    limit: int | None,
    after: Position | None = None,
    *,
    has_ids: bool = True,
) -> Page:
    """Return the statement that finds the ids of a page, in order.

    Args:
        plan: The search.
        layout: Where its fields are.
        dialect: How the system says things.
        limit: The most rows; None for all.
        after: Where the page before ends; None for the first page.
        has_ids: Whether ids are selected and ordered by; else only the locators tell the rows of the first page.

    Raises:
        NotAskableError: the layout or the dialect cannot answer it exactly.
    """
    query = _query(plan, layout, dialect)
    conditions = _conditions(plan, query)
    ordered = terms(plan, query)
    if after is not None:
        conditions.append(follows(ordered, after, query))
    ids = [layout.table(plan.entity)[1]]
    if not has_ids:
        ids, ordered = [], ordered[:-1]
    selected = [*ids, *layout.locators(plan.entity), *(term.value.sql for term in ordered)]
    return Page(_statement(query, selected, conditions, order_by(ordered, query), limit), ordered)


def count(plan: Plan, layout: Layout, dialect: SqlDialect) -> Statement:
    """Return the statement that counts the rows of a plan.

    Raises:
        NotAskableError: the layout or the dialect cannot answer it exactly.
    """
    query = _query(plan, layout, dialect)
    conditions = _conditions(plan, query)
    return Statement(_text(query, ["COUNT(*)"], conditions), query.parameters.values)


def values(
    plan: Plan, fields: Sequence[FieldRef], layout: Layout, dialect: SqlDialect, limit: int | None = None
) -> Statement:
    """Return the statement for the id and fields of the first rows of a plan, by default all, in order.

    Each field takes two columns: its value, and whether it is NaN.

    Raises:
        NotAskableError: the layout or the dialect cannot answer it exactly.
    """
    query = _query(plan, layout, dialect)
    conditions = _conditions(plan, query)
    ordered = terms(plan, query)
    found = [query.field(field) for field in fields]
    _, identifier = layout.table(plan.entity)
    selected = [identifier, *(column for value in found for column in (value.sql, _is_nan(value)))]
    return _statement(query, selected, conditions, order_by(ordered, query), limit)


def distinct(plan: Plan, field: FieldRef, layout: Layout, dialect: SqlDialect) -> Statement:
    """Return the statement for the distinct strings of a field, or of one of datasets, in the view of a plan.

    Raises:
        NotAskableError: the layout lacks the field.
    """
    query = Query(plan.entity, layout, dialect, frozenset({field}))
    if field.kind is Kind.DATASET:
        table, _ = layout.table(plan.entity)
        relation, string = layout.dataset_field(field.key, query)
        lines = [f"FROM {table}, {relation}"]
    else:
        string = query.field(field).sql
        lines = [*query.relation(), "WHERE (1 = 1)"]
    conditions = [*_in_view(plan, query), f"{string} IS NOT NULL"]
    # Grouped by code points: DISTINCT would take for one what a collation takes for equal.
    lines = [f"SELECT MIN({string})", *lines, *(f"  AND {one}" for one in conditions)]
    return Statement("\n".join([*lines, f"GROUP BY {dialect.compared(string)}"]), query.parameters.values)


def experiments_named(names: Sequence[str], layout: Layout, dialect: SqlDialect) -> Statement:
    """Return the statement for the ids of experiments with some names, in any stage."""
    plan = Plan(Entity.EXPERIMENT, Predicate(_NAME, Op.IN, tuple(names)), stages=_ALL_STAGES)
    return page(plan, layout, dialect, None, None).statement


def _query(plan: Plan, layout: Layout, dialect: SqlDialect) -> Query:
    return Query(plan.entity, layout, dialect, required_fields(plan.where))


def _conditions(plan: Plan, query: Query) -> list[str]:
    return [*_in_view(plan, query), condition(plan.where, query)]


def _in_view(plan: Plan, query: Query) -> list[str]:
    found = []
    if plan.experiment_ids is not None:
        found.append(query.layout.in_experiments(sorted(plan.experiment_ids), query))
    if not plan.stages >= _ALL_STAGES:
        stage = query.layout.stage(plan.entity)
        condition = query.listed(stage.sql, sorted(plan.stages), ValueKind.STRING)
        # Said so and not with COALESCE, of which no statistics tell how many rows it keeps.
        is_missing = f"({condition} OR {stage.sql} IS NULL)"
        found.append(is_missing if "active" in plan.stages and not stage.is_always_there else condition)
    return found


def _is_nan(value: Value) -> str:
    return "NULL" if value.nan is None else f"CASE WHEN {value.nan} THEN 1 ELSE 0 END"


def _statement(
    query: Query, selected: Sequence[str], conditions: Sequence[str], order: str, limit: int | None
) -> Statement:
    lines = [_text(query, selected, conditions), f"ORDER BY {order}"]
    if limit is not None:
        lines.append(f"LIMIT {query.bind(limit)}")
    return Statement("\n".join(lines), query.parameters.values)


def _text(query: Query, selected: Sequence[str], conditions: Sequence[str]) -> str:
    lines = [f"SELECT {', '.join(selected)}", *query.relation()]
    if conditions:
        lines.append("WHERE " + "\n  AND ".join(conditions))
    return "\n".join(lines)
