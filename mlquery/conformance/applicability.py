"""Decides by running mlquery itself which cases apply to a target, and computes the values expected there.

A store of the suite is created under the conditions of the target: with prefixed names, beside two more copies that
belong to others, with a clock that cannot be set. A case applies if mlquery then gives the result that its dialect
declares. Otherwise it is skipped, and the single condition that changes the result is the reason.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any, Literal

import attrs

from mlquery import entities
from mlquery.conformance.execution import Result, Session, outcome_disagreements, run_case
from mlquery.conformance.fixtures import FIRST_TIME, put
from mlquery.conformance.inprocess import ENGINES, FixtureClient, InProcess
from mlquery.conformance.namespacing import NamespacedClient, NamespacedSession, without
from mlquery.conformance.suite import Case, Expectation, Suite
from mlquery.language.matrix import Dialect
from mlquery.registry import Registry
from mlquery.store import Store

Clock = Literal["settable", "advancing", "standing"]


@attrs.frozen
class Conditions:
    """How a target differs from a new store of the suite.

    Attributes:
        clock: "settable", "advancing", or "standing" if successive calls may get the same time.
        is_prefixed: Whether names have a prefix, and the default experiment belongs to others.
        is_shared: Whether others have experiments and models on the target.
        has_one_user: Whether all runs belong to the caller.
        missing: The experiments that the target refuses to create.
    """

    clock: Clock = "settable"
    is_prefixed: bool = False
    is_shared: bool = False
    has_one_user: bool = False
    missing: tuple[str, ...] = ()

    def includes(self, other: Conditions) -> bool:
        """Tell whether these conditions restrict a case at least as much as others."""
        flags = ("is_prefixed", "is_shared", "has_one_user")
        has_clock = self.clock != "settable" or other.clock == "settable"
        return has_clock and all(getattr(self, flag) or not getattr(other, flag) for flag in flags)

    def expected(self, case: Case, dialect: Dialect) -> Expectation:
        """Return the result that a dialect declares for a case, under these conditions."""
        missing = {*self.missing, "Default"} if self.is_prefixed else self.missing
        return without(case, case.expect[dialect.name], missing)


LOCAL = Conditions()
REMOTE = Conditions("advancing", True, True)
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

    suite: Suite
    _built: dict[Any, tuple[Store, Registry, dict[str, str], list[str]]] = attrs.field(factory=dict)
    _reasons: dict[Any, str | None] = attrs.field(factory=dict)

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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run_case(case, session), session

    def _works(self, case: Case, dialect: Dialect, conditions: Conditions) -> bool:
        expected = conditions.expected(case, dialect)
        try:
            result, session = self.result(case, dialect, conditions)
            return not outcome_disagreements(case, expected, result, session.ids)
        except Exception:  # a name that is missing, a write to what belongs to others
            return False

    def session(self, case: Case, dialect: Dialect, conditions: Conditions) -> Session:
        """Return a session with the store of a case under conditions; a case with calls gets a copy of the store."""
        key = (case.store, conditions, *map(dialect.behaves, ("id.guid", "tag.rootRunId")))
        if key not in self._built:
            self._built[key] = self._build(case.store, dialect, conditions)
        store, registry, ids, models = self._built[key]
        if case.calls:
            store, registry = store.clone(), registry.clone()
        inner = InProcess(store, registry, dialect, ENGINES["columnar"], dict(ids))
        if not conditions.is_prefixed:
            return inner
        client = NamespacedClient(inner.client, _OURS, experiments=_ids_of("experiment", ids), models=list(models))
        client.runs.update(_ids_of("run", ids))
        return NamespacedSession(inner, client, inner.ids)

    def _build(
        self, name: str, dialect: Dialect, conditions: Conditions
    ) -> tuple[Store, Registry, dict[str, str], list[str]]:
        now, set_clock = _clock(conditions.clock)
        store = Store(clock=now, seed=1, guid_ids=dialect.behaves("id.guid"))
        registry = Registry(now)
        client, contents = FixtureClient(store, dialect, registry=registry), self.suite.stores[name]
        held = tuple(table for table in contents.experiments if table["id"] not in conditions.missing)
        contents = attrs.evolve(contents, experiments=held)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not conditions.is_prefixed:
                return store, registry, put(contents, client, entities, set_clock), []
            ids: dict[str, str] = {}
            models: list[str] = []
            for prefix in (_BEFORE, _OURS, _AFTER) if conditions.is_shared else (_OURS,):
                namespaced = NamespacedClient(client, prefix, _USER if conditions.has_one_user else None)
                created = put(contents, namespaced, entities, set_clock)
                if prefix == _OURS:
                    ids, models = created, namespaced.models
        return store, registry, ids, models


_BEFORE, _OURS, _AFTER = "a-", "mlquery-", "z-"
_USER = "the caller"


def _ids_of(kind: str, ids: dict[str, str]) -> list[str]:
    return [identifier for key, identifier in ids.items() if key.startswith(f"{kind}.")]


def _clock(kind: Clock) -> tuple[Callable[[], int], Callable[[int], None]]:
    """Return a clock, and the function that sets it, which has no effect unless the clock is settable."""
    time = [FIRST_TIME]
    if kind == "settable":
        return lambda: time[0], lambda milliseconds: time.__setitem__(0, milliseconds)
    steps = itertools.count(FIRST_TIME, 1 if kind == "advancing" else 0)
    return lambda: next(steps), lambda _: None
