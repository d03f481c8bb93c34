"""mlquery as a session of the suite: a store per dialect and contents, searched with one engine."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import attrs

from mlquery import entities
from mlquery.backend.runs import USER
from mlquery.client import Client
from mlquery.conformance.execution import Result, run_case
from mlquery.conformance.fixtures import FIRST_TIME, put
from mlquery.conformance.suite import Case, Problem, StoreContents
from mlquery.engine import columnar, reference
from mlquery.entities import ViewType
from mlquery.errors import QueryError, QueryWarning, StoreError
from mlquery.language.matrix import Dialect
from mlquery.registry import Registry
from mlquery.store import Store

ENGINES: dict[str, Callable[..., Any]] = {"reference": reference.rows, "columnar": columnar.rows}
_VIEWS = {"ACTIVE_ONLY": ViewType.ACTIVE_ONLY, "DELETED_ONLY": ViewType.DELETED_ONLY, "ALL": ViewType.ALL}
_FEATURE = re.compile(r"\[([\w.-]+)\]$")


def client_of(store: Store, registry: Registry, dialect: Dialect) -> Any:
    """Return a client that follows a dialect."""
    return Client(store, dialect, registry=registry)


class FixtureClient(Client):
    """The client that creates fixtures: each run belongs to the user in its tags, even if the service sets another."""

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: dict[str, Any] | None = None,
        run_name: str | None = None,
    ) -> entities.Run:
        """Create a run as the user that its tags name."""
        if self.backend.user is not None:
            self.backend.user = (tags or {}).get(USER, "unknown")
        return super().create_run(experiment_id, start_time, tags, run_name)


@attrs.define
class InProcess:
    """A store and a registry of mlquery, the client of a dialect on them, and the engine that searches the store."""

    store: Store
    registry: Registry
    dialect: Dialect
    engine: Callable[..., Any]
    ids: dict[str, str]
    client: Any = attrs.field(init=False)
    entities: Any = entities

    def __attrs_post_init__(self) -> None:
        """Give the calls a client that follows the dialect."""
        self.client = client_of(self.store, self.registry, self.dialect)

    def page(self, case: Case, filter_string: str, ids: list[str], token: str | None) -> tuple[list[str], str | None]:
        """Return the ids on one page, and the token of the next one."""
        query: Any = (_VIEWS[case.view], case.max_results)
        backend = self.client.backend
        if case.entity == "run":
            runs = backend.search_runs(ids, filter_string, *query, case.order_by, token, engine=self.engine)
            return [run.info.run_id for run in runs], runs.token
        if case.entity == "registered_model":
            models = self.client.search_registered_models(filter_string, case.max_results, case.order_by, token)
            return [model.name for model in models], models.token
        if case.entity == "model_version":
            versions = self.client.search_model_versions(filter_string, case.max_results, case.order_by, token)
            return [f"{version.name}/{version.version}" for version in versions], versions.token
        found = backend.search_experiments(*query, filter_string, case.order_by, token, engine=self.engine)
        return [experiment.experiment_id for experiment in found], found.token

    def problems(self, error: Exception) -> tuple[Problem, ...]:
        """Return the diagnostics of a refused query, or the error code of a refused call."""
        match error:
            case QueryError():
                return tuple(
                    Problem(d.error_code, d.code, d.feature, d.argument, (d.span.start, d.span.stop))
                    for d in error.diagnostics
                )
            case StoreError():
                return (Problem(error.error_code, feature=error.feature),)
        raise error


def result_of(case: Case, session: InProcess) -> Result:
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

    stores: dict[str, StoreContents]
    _built: dict[Any, tuple[Store, Registry, dict[str, str]]] = attrs.field(factory=dict)

    def session(self, case: Case, dialect: Dialect, engine: str) -> InProcess:
        """Return a session with the store of a case; a case that calls anything gets a copy of its own."""
        key = (case.store, *map(dialect.behaves, ("id.guid", "tag.rootRunId")))
        if key not in self._built:
            self._built[key] = _build(self.stores[case.store], dialect)
        store, registry, ids = self._built[key]
        if case.calls:
            store, registry = store.clone(), registry.clone()
        return InProcess(store, registry, dialect, ENGINES[engine], dict(ids))


def _build(contents: StoreContents, dialect: Dialect) -> tuple[Store, Registry, dict[str, str]]:
    time = [FIRST_TIME]

    def set_clock(milliseconds: int) -> None:
        time[0] = milliseconds

    store = Store(clock=lambda: time[0], seed=1, guid_ids=dialect.behaves("id.guid"))
    registry = Registry(lambda: time[0])
    with warnings.catch_warnings():
        # A restored experiment is part of some contents; that no source speaks of it is no matter here.
        warnings.simplefilter("ignore", QueryWarning)
        ids = put(contents, FixtureClient(store, dialect, registry=registry), entities, set_clock)
    return store, registry, ids
