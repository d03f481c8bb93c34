"""Reads fields of everything that a plan finds, and orders runs by what no system computes: exactly rounded means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cmp_to_key
from typing import Any

import attrs

from mlquery.language.plan import FieldRef, Function, Plan, SortKey
from mlquery.sql import compiling
from mlquery.sql.conditions import LARGEST
from mlquery.sql.ordering import Position, keys_of
from mlquery.sql.query import Layout
from mlquery.sql.rewriting import means_of, prepared
from mlquery.sql.session import Session

Row = tuple[Any, ...]


def values(plan: Plan, fields: Sequence[FieldRef], limit: int | None, layout: Layout, session: Session) -> list[Row]:
    """Return the id and the values of fields of what a plan finds, the first `limit` or all, in its order.

    A missing value is None, NaN is NaN, infinities are the largest numbers.

    Raises:
        NotAskableError: a field or the plan cannot be answered exactly.
        SourceUnavailableError: the system does not answer.
    """
    if is_ordered_by_mean(plan):
        keys = [key.field for key in keys_of(plan)]
        rows = _sorted(_read(_without_means(plan), [*keys, *fields], layout, session), plan)
        return [(row[0], *row[1 + len(keys) :]) for row in rows[:limit]]
    return _read(plan, fields, layout, session, limit)


def is_mean(field: FieldRef) -> bool:
    """Tell whether a field is computed here."""
    return field.function is Function.MEAN


def is_ordered_by_mean(plan: Plan) -> bool:
    """Tell whether a plan orders by what is computed here."""
    return any(is_mean(key.field) for key in plan.order)


def ordered_here(
    plan: Plan, limit: int | None, after: Position | None, layout: Layout, session: Session
) -> tuple[list[Row], Position | None]:
    """Return id and locators of a page that is ordered by a mean, and where it ends; arguments as of `Source.page`."""
    keys = [key.field for key in keys_of(plan)]
    rows = _sorted(_read(_without_means(plan), keys, layout, session), plan)
    if after is not None:
        compare, last = _comparison(plan), ("", *after.values)
        rows = [row for row in rows if compare(row, last) > 0]
    found = [(row[0],) for row in rows[:limit]]
    if limit is None or len(rows) <= limit:
        return found, None
    return found, Position(rows[limit - 1][1 : 1 + len(keys)]) if limit else after


def _without_means(plan: Plan) -> Plan:
    return attrs.evolve(plan, order=tuple(key for key in plan.order if key.field.function is not Function.MEAN))


def _read(
    plan: Plan, fields: Sequence[FieldRef], layout: Layout, session: Session, limit: int | None = None
) -> list[Row]:
    asked = [field for field in fields if field.function is not Function.MEAN]
    plan, for_plan = prepared(plan, layout, session)
    rows = session.rows(compiling.values(plan, asked, for_plan, session.dialect, limit))
    columns = {field: [_value(row[1 + 2 * n], row[2 + 2 * n]) for row in rows] for n, field in enumerate(asked)}
    ids = [str(row[0]) for row in rows]
    for field in fields:
        if field.function is Function.MEAN:
            means = means_of(field, plan, layout, session)
            columns[field] = list(map(means.get, ids))
    return list(zip(ids, *(columns[field] for field in fields), strict=True))


def _value(value: Any, is_nan: Any) -> Any:
    """Return a value as MLflow's client has it."""
    if is_nan:
        return math.nan
    if isinstance(value, float) and math.isinf(value):
        return math.copysign(LARGEST, value)
    return value


def _sorted(rows: list[Row], plan: Plan) -> list[Row]:
    return sorted(rows, key=cmp_to_key(_comparison(plan)))


def _comparison(plan: Plan) -> Any:
    """Return the order of rows that begin with their id and then have the values of the keys of a plan."""
    keys = tuple(keys_of(plan))

    def compare(row: Row, other: Row) -> int:
        for key, value, against in zip(keys, row[1:], other[1:], strict=False):
            found = _compared(value, against, key)
            if found:
                return found
        return 0

    return compare


def _compared(value: Any, other: Any, key: SortKey) -> int:
    ranks = _rank(value, key), _rank(other, key)
    if ranks[0] != ranks[1]:
        return -1 if ranks[0] < ranks[1] else 1
    if ranks[0] != 0 or value == other:
        return 0
    return -1 if (value < other) is not key.descending else 1


def _rank(value: Any, key: SortKey) -> int:
    """Return the place of values, NaN and missing ones in an order."""
    if value is None:
        return -1 if key.missing_is_least and not key.descending else 2
    return 1 if value != value else 0
