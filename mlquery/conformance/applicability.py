"""Decides by running mlquery itself which cases apply to a target, and computes the values expected there.

A store of the suite is created under the conditions of the target: with prefixed names, beside two more copies that
belong to others, with a clock that cannot be set. A case applies if mlquery then gives the result that its dialect
declares. Otherwise it is skipped, and the single condition that changes the result is the reason.
"""

from __future__ import annotations

import attrs

from mlquery.conformance.execution import Result, Session, ids_of, outcome_disagreements
from mlquery.conformance.inprocess import LOCAL, PREFIX, Clock, Conditions, Sessions, result_of
from mlquery.conformance.namespacing import NamespacedClient, NamespacedSession
from mlquery.conformance.suite import Case
from mlquery.language.matrix import Dialect

_REASONS = (
    (Conditions(clock="advancing"), "depends on times, and the clock of the target cannot be set"),
    (Conditions(clock="standing"), "depends on the order of times that may be equal"),
    (Conditions(is_prefixed=True), "depends on the default experiment, or on names without a prefix"),
    (Conditions(is_prefixed=True, is_shared=True), "depends on an otherwise empty server"),
    (Conditions(is_prefixed=True, has_one_user=True), "depends on users, which the service sets itself"),
)


@attrs.define
class Applicability:
    """Decides which cases apply, on sessions of mlquery; cases without calls share a store."""

    sessions: Sessions

    def reason_to_skip(self, case: Case, dialect: Dialect, conditions: Conditions) -> str | None:
        """Return why a case does not apply under conditions, None if it does."""
        if conditions == LOCAL:
            return None
        clocks: tuple[Clock, ...] = ("advancing", "standing") if case.calls else ("advancing",)
        if all(self._works(case, dialect, attrs.evolve(conditions, clock=clock)) for clock in clocks):
            return None
        if not self._works(case, dialect, LOCAL):
            return None  # mlquery fails it without conditions too, so that these are not the reason
        reasons = [(alone, why) for alone, why in _REASONS if conditions.includes(alone)]
        broken = (why for alone, why in reasons if not self._works(case, dialect, alone))
        return f"the result {next(broken, 'depends on what the target cannot store')}"

    def result(self, case: Case, dialect: Dialect, conditions: Conditions) -> tuple[Result, Session]:
        """Return the result of mlquery under conditions, and the session in the state after the case."""
        session = self.session(case, dialect, conditions)
        return result_of(case, session), session

    def _works(self, case: Case, dialect: Dialect, conditions: Conditions) -> bool:
        expected = conditions.expected(case, dialect)
        try:
            result, session = self.result(case, dialect, conditions)
            return not outcome_disagreements(case, expected, result, session.ids)
        except Exception:  # a name that is missing, a write to what belongs to others
            return False

    def session(self, case: Case, dialect: Dialect, conditions: Conditions) -> Session:
        """Return a session with the store of a case under conditions; a case with calls gets a copy of the store."""
        inner = self.sessions.session(case, dialect, "columnar", conditions)
        if not conditions.is_prefixed:
            return inner
        experiments, models, runs = (
            list(ids_of(kind, inner.ids).values()) for kind in ("experiment", "registered_model", "run")
        )
        client = NamespacedClient(inner.client, PREFIX, None, experiments, models, set(runs))
        return NamespacedSession(inner, client, inner.ids)
