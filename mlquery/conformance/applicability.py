"""Find out on mlquery itself whether a case can be asked on a target, and what every run then looks like.

The same contents are made under the conditions of the target: with prefixed names, with the contents made twice more by
somebody else, with a clock that nobody can set. A case that is then answered as its dialect says can be asked there.
One that is not is skipped, and the condition that alone breaks it is the reason.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any, Literal

import attrs

from mlquery import entities
from mlquery.conformance.execution import Answer, Session, ask, outcome_disagreements
from mlquery.conformance.fixtures import FIRST_TIME, put
from mlquery.conformance.inprocess import ENGINES, InProcess, client_of
from mlquery.conformance.namespacing import Guest, GuestClient, without
from mlquery.conformance.suite import Case, Expectation, Suite
from mlquery.language.matrix import Dialect
from mlquery.registry import Registry
from mlquery.store import Store

Clock = Literal["told", "ticking", "standing"]


@attrs.frozen
class Conditions:
    """What a target has in common with the suite's own stores.

    `clock` is "told" where it can be set, and "standing" where calls one after the other may get the same time.
    `is_prefixed` says that names have a prefix and the default experiment is not ours, `is_shared` that there are
    experiments and models of others, `has_one_user` that all runs belong to the caller. `missing` are the experiments
    that the target refuses to make.
    """

    clock: Clock = "told"
    is_prefixed: bool = False
    is_shared: bool = False
    has_one_user: bool = False
    missing: tuple[str, ...] = ()

    def includes(self, other: Conditions) -> bool:
        """Tell whether nothing holds under other conditions that does not hold under these."""
        flags = ("is_prefixed", "is_shared", "has_one_user")
        has_clock = self.clock != "told" or other.clock == "told"
        return has_clock and all(getattr(self, flag) or not getattr(other, flag) for flag in flags)

    def expected(self, case: Case, dialect: Dialect) -> Expectation:
        """Return what a dialect answers to a case under these conditions."""
        missing = {*self.missing, "Default"} if self.is_prefixed else self.missing
        return without(case, case.expect[dialect.name], missing)


OWN = Conditions()
FOREIGN = Conditions("ticking", True, True)
_REASONS = (
    (Conditions(clock="ticking"), "depends on times that only a server with a clock of its own could give"),
    (Conditions(clock="standing"), "depends on the order of times that may be equal"),
    (Conditions(is_prefixed=True), "depends on the default experiment, or on names without a prefix"),
    (Conditions(is_prefixed=True, is_shared=True), "depends on there being nothing else on the server"),
    (Conditions(is_prefixed=True, has_one_user=True), "depends on users, which the service writes itself"),
)


@attrs.define
class Rehearsals:
    """Sessions of mlquery under conditions; what is put into a store once serves all cases that call nothing."""

    suite: Suite
    _built: dict[Any, tuple[Store, Registry, dict[str, str], list[str]]] = attrs.field(factory=dict)
    _reasons: dict[Any, str | None] = attrs.field(factory=dict)

    def reason_against(self, case: Case, dialect: Dialect, conditions: Conditions) -> str | None:
        """Return why a case cannot be asked under conditions, None if it can."""
        if conditions == OWN:
            return None
        clocks: tuple[Clock, ...] = ("ticking", "standing") if case.calls else ("ticking",)
        if all(self._works(case, dialect, attrs.evolve(conditions, clock=clock)) for clock in clocks):
            return None
        if not self._works(case, dialect, OWN):
            return None  # mlquery does not answer it either way, so that the conditions are not to blame
        reasons = [(alone, why) for alone, why in _REASONS if conditions.includes(alone)]
        broken = (why for alone, why in reasons if not self._works(case, dialect, alone))
        return f"the answer {next(broken, 'depends on what the target cannot hold')}"

    def answer(self, case: Case, dialect: Dialect, conditions: Conditions) -> tuple[Answer, Session]:
        """Return what mlquery answers under conditions, and the session, in the state after the case."""
        session = self.session(case, dialect, conditions)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ask(case, session), session

    def _works(self, case: Case, dialect: Dialect, conditions: Conditions) -> bool:
        expected = conditions.expected(case, dialect)
        try:
            answer, session = self.answer(case, dialect, conditions)
            return not outcome_disagreements(case, expected, answer, session)
        except Exception:  # a name that is not there, a write to what is not ours
            return False

    def session(self, case: Case, dialect: Dialect, conditions: Conditions) -> Session:
        """Return a session with the store of a case under conditions; one that calls anything gets its own."""
        key = (case.store, conditions, *map(dialect.behaves, ("id.guid", "tag.rootRunId")))
        if key not in self._built:
            self._built[key] = self._build(case.store, dialect, conditions)
        store, registry, ids, models = self._built[key]
        if case.calls:
            store, registry = store.clone(), registry.clone()
        inner = InProcess(store, registry, dialect, ENGINES["columnar"], dict(ids))
        if not conditions.is_prefixed:
            return inner
        client = GuestClient(inner.client, _OURS, experiments=_of_kind("experiment", ids), models=list(models))
        client.runs.update(_of_kind("run", ids))
        return Guest(inner, client, inner.ids)

    def _build(
        self, name: str, dialect: Dialect, conditions: Conditions
    ) -> tuple[Store, Registry, dict[str, str], list[str]]:
        now, set_clock = _clock(conditions.clock)
        store = Store(clock=now, seed=1, guid_ids=dialect.behaves("id.guid"))
        registry = Registry(now)
        client, contents = client_of(store, registry, dialect), self.suite.stores[name]
        held = tuple(table for table in contents.experiments if table["id"] not in conditions.missing)
        contents = attrs.evolve(contents, experiments=held)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not conditions.is_prefixed:
                return store, registry, put(contents, client, entities, set_clock), []
            ids: dict[str, str] = {}
            models: list[str] = []
            for prefix in (_BEFORE, _OURS, _AFTER) if conditions.is_shared else (_OURS,):
                guest = GuestClient(client, prefix, _USER if conditions.has_one_user else None)
                made = put(contents, guest, entities, set_clock)
                if prefix == _OURS:
                    ids, models = made, guest.models
        return store, registry, ids, models


_BEFORE, _OURS, _AFTER = "a-", "mlquery-", "z-"
_USER = "the caller"


def _of_kind(kind: str, ids: dict[str, str]) -> list[str]:
    return [identifier for key, identifier in ids.items() if key.startswith(f"{kind}.")]


def _clock(kind: Clock) -> tuple[Callable[[], int], Callable[[int], None]]:
    """Return a clock, and what sets it, or only seems to."""
    time = [FIRST_TIME]
    if kind == "told":
        return lambda: time[0], lambda milliseconds: time.__setitem__(0, milliseconds)
    steps = itertools.count(FIRST_TIME, 1 if kind == "ticking" else 0)
    return lambda: next(steps), lambda _: None
