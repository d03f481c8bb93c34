"""Answers here what no system answers exactly: regular expressions and exactly rounded means, as lists of what passes.

`RLIKE` becomes `IN` with those distinct strings of the field that match; a comparison with `mean()` becomes a list of
runs. Both are read in the session that then runs the plan, so that they are of the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs

from mlquery.engine.history_values import Point, history_value
from mlquery.language.plan import All, AnyOf, FieldRef, Function, Kind, Negation, Op, Plan, Predicate, Where
from mlquery.language.plan import predicates as predicates_of
from mlquery.language.semantics import number_test, string_test
from mlquery.sql import compiling
from mlquery.sql.query import Layout
from mlquery.sql.session import Session

_LISTS: Final = {Op.RLIKE: Op.IN, Op.NOT_RLIKE: Op.NOT_IN}
_RUN_ID: Final = FieldRef(Kind.ATTRIBUTE, "run_id")


def is_askable(plan: Plan) -> bool:
    """Tell whether a plan can be compiled as it is."""
    return not any(_is_decided_here(predicate) for predicate in predicates_of(plan.where))


def rewritten(plan: Plan, layout: Layout, session: Session) -> Plan:
    """Return a plan that finds the same rows in the state that a session sees, and can be compiled.

    Raises:
        NotAskableError: a field of the plan cannot be read.
        SourceUnavailableError: the system does not answer.
    """
    if is_askable(plan):
        return plan
    return attrs.evolve(plan, where=_rewritten(plan.where, plan, layout, session))


def prepared(plan: Plan, layout: Layout, session: Session) -> tuple[Plan, Layout]:
    """Return a plan as `rewritten` does, and the layout as it is best asked for it; errors as of `rewritten`."""
    plan = rewritten(plan, layout, session)
    for_plan: Callable[[Plan, Session], Layout] | None = getattr(layout, "for_plan", None)
    return plan, layout if for_plan is None else for_plan(plan, session)


def _rewritten(where: Where, plan: Plan, layout: Layout, session: Session) -> Where:
    match where:
        case All(parts):
            return All(tuple(_rewritten(part, plan, layout, session) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(_rewritten(part, plan, layout, session) for part in parts))
        case Negation(part):
            return Negation(_rewritten(part, plan, layout, session))
        case Predicate() if _is_decided_here(where):
            is_mean = where.field.function is Function.MEAN
            return _mean_test(where, plan, layout, session) if is_mean else _matches(where, plan, layout, session)
    return where


def _is_decided_here(predicate: Predicate) -> bool:
    return predicate.op in _LISTS or predicate.field.function is Function.MEAN


def _matches(predicate: Predicate, plan: Plan, layout: Layout, session: Session) -> Predicate:
    statement = compiling.distinct(plan, predicate.field, layout, session.dialect)
    passes = string_test(Op.RLIKE, predicate.value)
    strings = tuple(string for (string,) in session.rows(statement) if passes(string))
    return Predicate(predicate.field, _LISTS[predicate.op], strings)


def _mean_test(predicate: Predicate, plan: Plan, layout: Layout, session: Session) -> Predicate:
    """Return the test of the mean as a list of runs; a run has a mean if it has the metric."""
    metric = FieldRef(Kind.METRIC, predicate.field.key)
    if predicate.op in (Op.IS_NULL, Op.IS_NOT_NULL):
        return Predicate(metric, predicate.op, None)
    passes = number_test(predicate.op, predicate.value, predicate.nan)
    means = means_of(predicate.field, plan, layout, session)
    return Predicate(_RUN_ID, Op.IN, tuple(run_id for run_id, mean in means.items() if passes(mean)))


def means_of(field: FieldRef, plan: Plan, layout: Layout, session: Session) -> dict[str, float]:
    """Return the exactly rounded means of a metric, by the runs in the view of a plan that have it."""
    metric = Predicate(FieldRef(Kind.METRIC, field.key), Op.IS_NOT_NULL, None)
    candidates = attrs.evolve(plan, where=metric, order=())
    page = compiling.page(candidates, layout, session.dialect, None, None)
    run_ids = [row[0] for row in session.rows(page.statement)]
    found = layout.load_points(session, run_ids, [field.key])
    return {run_id: _mean(field, *found[run_id, field.key]) for run_id in run_ids if (run_id, field.key) in found}


def _mean(field: FieldRef, values: Sequence[float], timestamps: Sequence[int], steps: Sequence[int]) -> float:
    points = list(
        map(Point, *(list(map(kind, column)) for kind, column in ((int, steps), (int, timestamps), (float, values))))
    )
    mean = history_value(field, points, 0.0)
    assert mean is not None
    return mean
