"""mlquery as a session of the suite: a store per dialect, contents and conditions, searched with one engine."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs

from mlquery import entities
from mlquery.client import Client
from mlquery.conformance.execution import Result, Session, id_of, run_case
from mlquery.conformance.fixtures import FIRST_TIME, put
from mlquery.conformance.namespacing import NamespacedClient, without
from mlquery.conformance.suite import Case, Expectation, Problem, StoreContents
from mlquery.engine import columnar, reference
from mlquery.entities import ViewType
from mlquery.errors import QueryError, QueryWarning, StoreError
from mlquery.language.matrix import Dialect
from mlquery.language.plan import Plan
from mlquery.registry import Registry
from mlquery.sql.errors import NotAskableError, SourceUnavailableError
from mlquery.store import Store

Rows = Callable[[Store, Plan, int | None], Any]
"""Returns the rows of a store that a plan finds, in its order, the first so many or all."""
ENGINES: dict[str, Rows] = {"reference": reference.rows, "columnar": columnar.rows}
"""The engines in memory."""
PREFIX = "mlquery-"
"""The prefix of names in a store under conditions that demand one."""

_BEFORE, _AFTER = "a-", "z-"  # prefixes of others, which come before and after ours in the order of names
_USER = "the caller"
_FEATURE = re.compile(r"\[([\w.-]+)\]$")

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


@attrs.define
class InProcess:
    """The client of a dialect on a store and a registry of mlquery, and the engine that searches the store."""

    client: Any
    engine: Rows
    ids: dict[str, str]
    entities: Any = entities

    def page(self, case: Case, filter_string: str, ids: list[str], token: str | None) -> tuple[list[str], str | None]:
        """Return the ids on one page, and the token of the next one."""
        query = (getattr(ViewType, case.view), case.max_results)
        backend = self.client.backend
        match case.entity:
            case "run":
                found = backend.search_runs(ids, filter_string, *query, case.order_by, token, engine=self.engine)
            case "experiment":
                found = backend.search_experiments(*query, filter_string, case.order_by, token, engine=self.engine)
            case _:
                search = getattr(self.client, f"search_{case.entity}s")
                found = search(filter_string, case.max_results, case.order_by, token)
        return [id_of(each) for each in found], found.token

    def problems(self, error: Exception) -> tuple[Problem, ...]:
        """Return the diagnostics of a refused query, or the error code of a refused call."""
        match error:
            case QueryError():
                return tuple(
                    Problem(d.error_code, d.code, d.feature, d.argument, (d.span.start, d.span.stop))
                    for d in error.diagnostics
                )
            case NotAskableError() | SourceUnavailableError():
                raise error  # says nothing about the query
            case StoreError():
                return (Problem(error.error_code, feature=error.feature),)
        raise error


def result_of(case: Case, session: Session) -> Result:
    """Return what a session answers, warnings included."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = run_case(case, session)
    return attrs.evolve(found, warns=tuple(dict.fromkeys(_warned_of(w.message) for w in caught)))


def _warned_of(warning: Warning | str) -> str:
    first_line = str(warning).partition("\n")[0]
    match = _FEATURE.search(first_line)
    return match[1] if isinstance(warning, QueryWarning) and match else first_line


@attrs.define
class Sessions:
    """Makes sessions. The contents of a store are put in once for all dialects that write alike."""

    stores: Mapping[str, StoreContents]
    engines: Mapping[str, Rows] = attrs.field(factory=lambda: ENGINES)
    _built: dict[Any, tuple[Store, Registry, dict[str, str]]] = attrs.field(factory=dict)

    def session(self, case: Case, dialect: Dialect, engine: str, conditions: Conditions = LOCAL) -> InProcess:
        """Return a session with the store of a case; a case that calls anything gets a copy of its own."""
        key = store_key(case, dialect, conditions)
        if key not in self._built:
            self._built[key] = _build(self.stores[case.store], dialect, conditions)
        store, registry, ids = self._built[key]
        if case.calls:
            store, registry = store.clone(), registry.clone()
        return InProcess(Client(store, dialect, registry=registry), self.engines[engine], dict(ids))


def store_key(case: Case, dialect: Dialect, conditions: Conditions = LOCAL) -> tuple[Any, ...]:
    """Return what the contents of the store of a case depend on."""
    return (case.store, conditions, *map(dialect.behaves, ("id.guid", "tag.rootRunId")))


def _build(contents: StoreContents, dialect: Dialect, conditions: Conditions) -> tuple[Store, Registry, dict[str, str]]:
    clock = _SuiteClock(conditions.clock)
    store, registry = Store(clock=clock, seed=1, guid_ids=dialect.behaves("id.guid")), Registry(clock)
    client = Client(store, dialect, registry=registry)
    client.backend.user = None  # each run belongs to the user in its tags, even if the service sets another
    held = tuple(table for table in contents.experiments if table["id"] not in conditions.missing)
    contents = attrs.evolve(contents, experiments=held)
    with warnings.catch_warnings():
        # A restored experiment is part of some contents; that no source speaks of it is no matter here.
        warnings.simplefilter("ignore", QueryWarning)
        if not conditions.is_prefixed:
            return store, registry, put(contents, client, entities, clock.set)
        user = _USER if conditions.has_one_user else None
        created = {
            prefix: put(contents, NamespacedClient(client, prefix, user), entities, clock.set)
            for prefix in ((_BEFORE, PREFIX, _AFTER) if conditions.is_shared else (PREFIX,))
        }
    return store, registry, created[PREFIX]


class _SuiteClock:
    """A clock whose times all count as given, equal ones too: what a case expects is measured under such a clock."""

    def __init__(self, kind: Clock) -> None:
        self._is_settable = kind == "settable"
        self._times = itertools.count(FIRST_TIME, 1 if kind == "advancing" else 0)

    @property
    def era(self) -> object:
        """Return another object at each look; see `mlquery.store.times`."""
        return object()

    def __call__(self) -> int:
        """Return the time in ms UTC."""
        return next(self._times)

    def set(self, milliseconds: int) -> None:
        """Set the clock, if it can be set."""
        if self._is_settable:
            self._times = itertools.count(milliseconds, 0)
