"""Functions of all points of a metric in SQL, one aggregate or look-up per run over the points of a layout.

What they mean is specified in `mlquery.engine.history_values`. The mean is the exactly rounded one, which no system
computes: it is made here, see `rewriting`.
"""

from __future__ import annotations

from typing import Final

from mlquery.language.plan import FieldRef, Function, Kind
from mlquery.sql.errors import field_error
from mlquery.sql.expressions import Value, ValueKind
from mlquery.sql.query import Points, Query

_EXTREMES: Final = {Function.MAX: "MAX", Function.MIN: "MIN", Function.ARGMAX: "MAX", Function.ARGMIN: "MIN"}


def history_value(field: FieldRef, run_id: str, query: Query) -> Value:
    """Return the value of a field of the kind HISTORY of the run that an expression says.

    Raises:
        NotAskableError: the layout has no histories, or the function has no exact form in SQL.
    """
    points = query.layout.points(query.dialect)
    match field.function:
        case Function.COUNT:
            return _count(field, points, run_id, query)
        case Function.MAX | Function.MIN:
            return _extreme(field, points, run_id, query)
        case Function.ARGMAX | Function.ARGMIN:
            return _step_of_extreme(field, points, run_id, query)
        case Function.FIRST:
            return _first(field, points, run_id, query)
        case Function.AT:
            return _at(field, points, run_id, query)
    raise field_error(field, "the exactly rounded mean has no form in SQL")


def _of_metric(field: FieldRef, points: Points, query: Query) -> str:
    return query.dialect.has_key(points.key, query.bind(field.key))


def _not_nan(points: Points) -> str:
    return "" if points.value.nan is None else f" AND NOT {points.value.nan}"


def _count(field: FieldRef, points: Points, run_id: str, query: Query) -> Value:
    grouped = (
        f"SELECT {points.run_id} AS run_id, COUNT(*) AS value FROM {points.table} WHERE {{}} GROUP BY {points.run_id}"
    )
    alias = _joined(field, grouped.format(_of_metric(field, points, query)), run_id, query)
    return Value(f"{alias}.value", ValueKind.INTEGER)


def _extreme(field: FieldRef, points: Points, run_id: str, query: Query) -> Value:
    """Return the greatest or least value that is not NaN; NaN where there is no other."""
    assert field.function is not None
    is_nan = points.value.nan or "(1 = 0)"
    number = f"CASE WHEN {is_nan} THEN NULL ELSE {points.value.sql} END"
    selected = f"SELECT {points.run_id} AS run_id, {_EXTREMES[field.function]}({number}) AS value, COUNT(*) AS size"
    grouped = f"{selected} FROM {points.table} WHERE {_of_metric(field, points, query)} GROUP BY {points.run_id}"
    alias = _joined(field, grouped, run_id, query)
    value = f"CASE WHEN {alias}.size > 0 THEN COALESCE({alias}.value, 0) + 0.0 END"
    has_infinities = points.value.has_infinities
    return Value(value, ValueKind.DOUBLE, f"({alias}.size > 0 AND {alias}.value IS NULL)", has_infinities)


def _step_of_extreme(field: FieldRef, points: Points, run_id: str, query: Query) -> Value:
    """Return the first step with the greatest or least value; missing where all values are NaN."""
    assert field.function is not None
    order = "DESC" if field.function is Function.ARGMAX else "ASC"
    number = f"{points.value.sql} {order}, {points.step} ASC"
    wanted = f"{_of_metric(field, points, query)}{_not_nan(points)}"
    alias = _joined(field, _ranked(points, [points.step], number, wanted), run_id, query)
    return Value(f"{alias}.c0", ValueKind.INTEGER)


def _first(field: FieldRef, points: Points, run_id: str, query: Query) -> Value:
    return _chosen(field, points, run_id, _of_metric(field, points, query), order_of_points(points, "ASC"), query)


def _at(field: FieldRef, points: Points, run_id: str, query: Query) -> Value:
    """Return the latest value at a step; at the last step of a run that is the value of the metric itself."""
    metric = query.field(FieldRef(Kind.METRIC, field.key))
    wanted = f"{_of_metric(field, points, query)} AND {points.step} = {query.bind(field.step)}"
    at_step = _chosen(field, points, run_id, wanted, order_of_points(points, "DESC"), query)
    last = f"SELECT {points.run_id} AS run_id, MAX({points.step}) AS value FROM {points.table} WHERE "
    last += f"{_of_metric(field, points, query)} GROUP BY {points.run_id}"
    alias = _joined(field, last, run_id, query)
    is_last = f"{alias}.value = {query.bind(field.step)}"
    value = f"CASE WHEN {is_last} THEN {metric.sql} ELSE {at_step.sql} END"
    nan = None
    if metric.nan is not None and at_step.nan is not None:
        nan = f"CASE WHEN {is_last} THEN {metric.nan} ELSE {at_step.nan} END"
    return Value(value, ValueKind.DOUBLE, nan, metric.has_infinities)


def order_of_points(points: Points, direction: str) -> str:
    """Return the order of points from the first to the latest: NaN counts as 0, and comes before it."""
    value = points.value
    number = value.sql if value.nan is None else f"CASE WHEN {value.nan} THEN 0.0 ELSE {value.sql} END"
    is_nan = "" if value.nan is None else f", CASE WHEN {value.nan} THEN 0 ELSE 1 END {direction}"
    return f"{points.step} {direction}, {points.timestamp} {direction}, {number} {direction}{is_nan}"


def _chosen(field: FieldRef, points: Points, run_id: str, wanted: str, order: str, query: Query) -> Value:
    """Return the value of the first point of each run in an order."""
    is_nan = "NULL" if points.value.nan is None else f"CASE WHEN {points.value.nan} THEN 1 ELSE 0 END"
    alias = _joined(field, _ranked(points, [points.value.sql, is_nan], order, wanted), run_id, query)
    nan = None if points.value.nan is None else f"{alias}.c1 = 1"
    return Value(f"{alias}.c0", ValueKind.DOUBLE, nan, points.value.has_infinities)


def _ranked(points: Points, columns: list[str], order: str, wanted: str) -> str:
    selected = ", ".join(f"{column} AS c{place}" for place, column in enumerate(columns))
    number = f"ROW_NUMBER() OVER (PARTITION BY {points.run_id} ORDER BY {order}) AS place"
    inner = f"SELECT {points.run_id} AS run_id, {selected}, {number} FROM {points.table} WHERE {wanted}"
    return f"SELECT * FROM ({inner}) ranked WHERE place = 1"


def _joined(field: FieldRef, relation: str, run_id: str, query: Query) -> str:
    return query.join(field, lambda alias: f"({relation}) {alias} ON {alias}.run_id = {run_id}")
