"""What every call of a service has in common: faults come first, and the dialect may refuse it or warn of it.

A service is a store and a registry that answer in one dialect. Its calls are methods under `call` or `call_about`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

from mlquery.errors import Diagnostic, MissingEndpointError, StoreError
from mlquery.language.matrix import MATRIX, Dialect
from mlquery.query.reading import OnWarning, warn_caller
from mlquery.registry import Registry
from mlquery.store import Store
from mlquery.store.faults import Faults
from mlquery.store.limits import Limits

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Answering")
Method = Callable[Concatenate[S, P], R]

CALLS: Final[set[str]] = set()
"""The names of all calls of the service."""


def registry_of(store: Store) -> Registry:
    """Return the registry that keeps its models in a store, so that all services of the store share them."""
    return Registry(store.clock, store)


@cache
def limits_of(dialect: Dialect) -> Limits:
    """Return how long and how many the values of a write may be in a dialect."""
    return Limits(**dialect.enforced_limits)


class Answering:
    """What every service knows of the dialect in which it answers, wherever its data are.

    Attributes:
        dialect: The column of the support matrix.
        on_warning: What is done with the warnings of a call.
        limits: How long and how many the values of a write may be.
        user: The display name that the service writes in place of the user whom a caller names; None to keep that.
        missing: The families of calls that the endpoint of the dialect lacks, and the HTTP status it answers with.
        explain_missing: What a mock adds to the message about something that is not there.
        dropped_traces: How many traces were sent, none of which is kept.
        is_in_place: Whether the data stay in a database of others, which is searched there and only read.
    """

    explain_missing: Callable[[StoreError], str] | None = None
    is_in_place = False

    def __init__(self, dialect: str | Dialect, on_warning: OnWarning) -> None:
        self.dialect = MATRIX.dialect(dialect)
        self.on_warning = on_warning
        self.limits = limits_of(self.dialect)
        self.missing: Mapping[str, int] = self.dialect.service.get("missing", {})
        self.user: str | None = self.dialect.service.get("user")
        self.dropped_traces = 0

    @property
    def faults(self) -> Faults:
        """Return the faults that a test has asked for."""
        raise NotImplementedError

    @property
    def clock(self) -> Callable[[], int]:
        """Return what tells the time in ms UTC."""
        raise NotImplementedError

    def require_endpoint(self, family: str, path: str) -> None:
        """Refuse a call of a family that the endpoint of the dialect lacks.

        Raises:
            MissingEndpointError: with the HTTP status, the path, and what to do instead.
        """
        status = self.missing.get(family)
        if status is None:
            return
        instead = self.dialect.service.get("instead", {}).get(family)
        body = f"{self.dialect.name} has no {family.replace('_', ' ')}; instead: {instead}" if instead else ""
        raise MissingEndpointError(path, status, body)

    def require_call(self, call: str, entity: str) -> None:
        """Refuse a call that the dialect does not support; warn of one that no source speaks of.

        Raises:
            StoreError: the dialect does not support the call.
        """
        verdict = self.dialect.require_call(call, entity)
        if verdict is not None and verdict.state == "silent":
            message = f"no source says that {self.dialect.name} supports {call}"
            self.on_warning([Diagnostic("unsupported", message, call, severity="warning", feature=verdict.feature.id)])


class Service(Answering):
    """A store and a registry behind the calls of one dialect.

    Args:
        store: Experiments, runs, models and artifacts; by default new and empty, with the ids of the dialect.
        registry: Registered models; by default those in the store, which all its services share.
        dialect: A dialect of the support matrix.
        on_warning: What is done with the warnings of a call; by default they are issued as `QueryWarning`.
    """

    def __init__(
        self,
        store: Store | None = None,
        registry: Registry | None = None,
        dialect: str | Dialect = "oss",
        on_warning: OnWarning = warn_caller,
    ) -> None:
        super().__init__(dialect, on_warning)
        self.store = Store(guid_ids=self.dialect.behaves("id.guid")) if store is None else store
        self._registry = registry

    @property
    def faults(self) -> Faults:
        """Return the faults that a test has asked for."""
        return self.store.faults

    @property
    def clock(self) -> Callable[[], int]:
        """Return what tells the time in ms UTC."""
        return self.store.clock

    @property
    def registry(self) -> Registry:
        """Return the registered models."""
        if self._registry is None:
            self._registry = registry_of(self.store)
        return self._registry

    @property
    def registry_searched(self) -> Registry:
        """Return what searches of registered models see: those of now, or of some time ago where searches trail."""
        searched = self.store.searched
        trails = searched is not self.store and self.registry.is_kept_in(self.store)
        return registry_of(searched) if trails else self.registry


def call(method: Method[S, P, R]) -> Method[S, P, R]:
    """Make a method a call of the service: it meets the faults that a test has asked for under its name."""
    name = method.__name__

    @wraps(method)
    def served(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        faults = self.faults
        if faults.is_set:
            faults.before(name)
        return method(self, *args, **kwargs)

    CALLS.add(name)
    return served


def call_about(entity: str) -> Callable[[Method[S, P, R]], Method[S, P, R]]:
    """Make a method a call that the support matrix decides on, under its name and for one kind of entity."""

    def decorate(method: Method[S, P, R]) -> Method[S, P, R]:
        name = method.__name__

        @wraps(method)
        def decided(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            self.require_call(name, entity)
            return method(self, *args, **kwargs)

        return call(decided)

    return decorate
