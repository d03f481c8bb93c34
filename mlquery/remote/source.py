"""Runs and experiments on a server that takes MLflow's REST API, asked with plans, as `mlquery.sql.source` is.

The server is asked what it understands; the rest is decided here. Each search counts its requests and refuses, rather
than answer in part, when they would be too many. Runs that the server adds or changes during a search may be in the
answer in either state; a run that was there throughout is never missing.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Final

import attrs

from mlquery.comparison.loading import put_experiment, put_logged_model, put_run
from mlquery.engine import columnar
from mlquery.engine.reference import values_of
from mlquery.entities import ViewType
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, QueryWarning, StoreError
from mlquery.language.matrix import Dialect
from mlquery.language.plan import Entity, FieldRef, Kind, Plan, SortKey
from mlquery.pushdown.requests import RUN_ID, START_TIME, queries_of, view_of
from mlquery.query.page_tokens import all_pages
from mlquery.remote.dialects import dialect_of_server
from mlquery.remote.explaining import explained
from mlquery.remote.found import FoundRuns
from mlquery.remote.mlflow_client import client_of
from mlquery.remote.names import target_name
from mlquery.remote.points import PointReader, Points
from mlquery.remote.requests import MAX_PAGES, WORKERS, Budget, Progress, Requests
from mlquery.remote.search import Found, Search
from mlquery.remote.sorting import position_of, sort_values, values_at
from mlquery.sql.errors import NotAskableError
from mlquery.sql.ordering import Position
from mlquery.sql.source import Page
from mlquery.store import Store

_PAGE: Final = 1000
_NEWEST_FIRST: Final = (SortKey(START_TIME, descending=True), SortKey(RUN_ID))
_MODELS_MISSING: Final = ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "NOT_FOUND")


class RemoteSource:
    """What a server holds.

    Any number of threads may use it.

    Args:
        uri: The tracking URI of the server.
        server_dialect: Which filters it takes: a dialect, its name, or the path of a column that `mlquery conformance
            --record` wrote. By default it is recognised.
        max_pages: The most requests of one search.
        workers: The most requests at a time.

    Raises:
        StoreError: The server cannot be reached or is not recognised, or MLflow is not installed.
    """

    def __init__(
        self,
        uri: str,
        server_dialect: str | Dialect | None = None,
        max_pages: int = MAX_PAGES,
        workers: int = WORKERS,
    ) -> None:
        self.name = target_name(uri)
        self.max_pages, self.workers = max_pages, workers
        self.client = client_of(uri)
        self.server_dialect = dialect_of_server(uri, server_dialect, self.client)
        self.showing: Callable[[], AbstractContextManager[Progress]] = lambda: nullcontext(lambda *_: None)
        self.last_cost = Budget(max_pages)
        self._points = PointReader(self.client)
        self._last: tuple[Plan, FoundRuns, Sequence[int]] | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<RemoteSource: {self.name}, server_dialect={self.server_dialect.name!r}>"

    @property
    def counts(self) -> bool:
        """Tell whether runs are counted without being read: no server does that."""
        return False

    def page(self, plan: Plan, limit: int | None, after: Position | None = None) -> Page:
        """Return what a plan finds, with the data of it; arguments as of `mlquery.sql.source.Source.page`.

        Raises:
            TooManyPagesError: it takes more requests than allowed.
            StoreError: a request failed, after MLflow's client has tried again as often as its environment says.
            NotAskableError: the server cannot be asked for runs in these lifecycle stages.
        """
        if plan.entity is Entity.EXPERIMENT:
            return self._page_of_experiments(plan, limit, after)
        plan, found, answer = self._found(plan, limit, after)
        rows = answer.rows if limit is None else answer.rows[:limit]
        if limit is None or (len(answer.rows) <= limit and not answer.may_follow):
            return Page(found.store, rows, None)
        end = after if not rows else position_of(sort_values(found.store, rows[-1], plan.order))
        return Page(found.store, rows, end)

    def ids(self, plan: Plan, limit: int | None = None, after: Position | None = None) -> list[str]:
        """Return the ids of what a plan finds, in its order; arguments and errors as of `page`."""
        page = self.page(plan, limit, after)
        table = page.store.runs if plan.entity is Entity.RUN else page.store.experiments
        return [table.ids[row] for row in page.rows]

    def count(self, plan: Plan) -> int:
        """Return how many entities a plan finds, all of which are read; errors as of `page`."""
        return len(self.page(plan, None).rows)

    def values(self, plan: Plan, fields: Sequence[FieldRef], limit: int | None = None) -> list[tuple[Any, ...]]:
        """Return the id and the values of fields of the runs that a plan finds; a missing value is None."""
        _, found, answer = self._found(plan, limit, None)
        wanted = answer.rows if limit is None else answer.rows[:limit]
        found.load_points(wanted, {field.key for field in fields if field.kind is Kind.HISTORY})
        return [(found.store.runs.ids[row], *_values(found.store, row, fields)) for row in wanted]

    def lazy(self, plan: Plan, fields: Mapping[str, FieldRef], limit: int | None = None) -> Any:
        """Refuse: a server has no lazy frames."""
        raise NotAskableError("a lazy frame", "only Spark has such frames")

    def runs(self, run_ids: Sequence[str]) -> Store:
        """Return a store with some runs in the order given; unknown runs are left out. Errors as of `page`."""
        requests, store = self._requests(len(run_ids)), Store()
        for run in requests.each(partial(_one, requests, self.client.get_run), list(dict.fromkeys(run_ids))):
            if run is not None:
                put_run(store, run)
        return store

    def experiments(self, ids: Sequence[str] = (), names: Sequence[str] = ()) -> Store:
        """Return a store with some experiments, by id or by name and in any stage; unknown ones are left out."""
        requests, store = self._requests(len(ids) + len(names)), Store()
        found = requests.each(partial(_one, requests, self.client.get_experiment), list(dict.fromkeys(ids)))
        found += requests.each(partial(_one, requests, self.client.get_experiment_by_name), list(dict.fromkeys(names)))
        for experiment in found:
            if experiment is not None:
                put_experiment(store, experiment)
        return store

    def histories(self, run_ids: Sequence[str], keys: Sequence[str] | None = None) -> dict[tuple[str, str], Points]:
        """Return all points of some runs and metrics, by run id and key; without keys, of all metrics."""
        requests = self._requests(self.max_pages)
        if keys is None:
            runs = requests.each(partial(_one, requests, self.client.get_run), list(dict.fromkeys(run_ids)))
            having: dict[str, list[str]] = {}
            for run in runs:
                for key in () if run is None else run.data.metrics:
                    having.setdefault(key, []).append(run.info.run_id)
        else:
            having = {key: list(run_ids) for key in keys}
        found = {key: self._points.read(requests, ids, key) for key, ids in having.items()}
        return {(run_id, key): points for key, by_run in found.items() for run_id, points in by_run.items()}

    def datasets(self, experiment_ids: Sequence[str]) -> list[Any]:
        """Refuse: MLflow's client has no call that lists the datasets of experiments."""
        raise NotAskableError("the datasets of experiments", "MLflow's client has no call for them")

    def models(self, experiment_ids: Sequence[str]) -> Store:
        """Return a store with the logged models of some experiments; none where the server has no logged models."""
        store, requests = Store(), self._requests(self.max_pages)
        search = getattr(self.client, "search_logged_models", None)
        if search is None or not experiment_ids:
            return store
        try:
            query = partial(requests.send, search, experiment_ids=list(experiment_ids))
            for found in all_pages(query, _PAGE):
                put_logged_model(store, found)
        except StoreError as error:
            if error.error_code not in _MODELS_MISSING:
                raise
        return store

    def registry(self) -> Any:
        """Refuse: registered models are not searched on servers."""
        raise NotAskableError("registered models", "on a server only runs, experiments and logged models are searched")

    def explained(self, plan: Plan, limit: int | None) -> list[str]:
        """Return the lines that say what the server is asked, what is decided here, and how many pages that takes."""
        plan = self._planned(plan, self._requests(self.max_pages))
        return explained(plan, queries_of(plan, self.server_dialect), limit, self)

    def close(self) -> None:
        """Forget what was read; there is no connection."""
        self._last = None

    # Runs

    def _found(self, plan: Plan, limit: int | None, after: Position | None) -> tuple[Plan, FoundRuns, Found]:
        """Return a complete plan, the runs that were read, and what it finds of them after a position."""
        with self.showing() as show:
            return self._found_by(self._requests(self.max_pages, show), plan, limit, after)

    def _found_by(
        self, requests: Requests, plan: Plan, limit: int | None, after: Position | None
    ) -> tuple[Plan, FoundRuns, Found]:
        plan = self._planned(plan, requests)
        position = None if after is None else values_at(after)
        if position is not None and (kept := self._kept(plan)) is not None:
            found, rows = kept
        else:
            found, rows = FoundRuns(plan, requests, self._points), None
        search = Search(
            plan, queries_of(plan, self.server_dialect), self.server_dialect, requests, found, limit, position
        )
        if rows is not None:
            return plan, found, Found(search.wanted(rows), may_follow=False, is_complete=True)
        answer = self._answer(search, requests)
        if answer.is_complete:
            with self._lock:
                self._last = (plan, found, answer.rows if position is None else found.rows())
        return plan, found, answer

    def _answer(self, search: Search, requests: Requests) -> Found:
        """Return what a search finds; unknown experiments hold no runs, even where a server objects."""
        try:
            return search.run()
        except StoreError as error:
            if error.error_code != RESOURCE_DOES_NOT_EXIST:
                raise
            known = set(self._all_experiments(requests).experiments.ids)
            if known.issuperset(search.experiment_ids):
                raise
            search.experiment_ids = [name for name in search.experiment_ids if name in known]
            return search.run()

    def _kept(self, plan: Plan) -> tuple[FoundRuns, Sequence[int]] | None:
        """Return all that a plan found when its first page was asked for, so that its pages are those of one answer."""
        with self._lock:
            last = self._last
        return last[1:] if last is not None and last[0] == plan else None

    def _planned(self, plan: Plan, requests: Requests) -> Plan:
        """Return a plan of runs with a total order and the experiments that are searched."""
        self._require_view(plan)
        if plan.experiment_ids is None:
            ids = self._all_experiments(requests).experiments.ids
            plan = attrs.evolve(plan, experiment_ids=frozenset(ids))
        return plan if plan.order else attrs.evolve(plan, order=_NEWEST_FIRST)

    def _require_view(self, plan: Plan) -> None:
        name, state = view_of(plan, self.server_dialect)
        if state == "no":
            raise NotAskableError(f"the view type {name}", f"the server ({self.server_dialect.name}) does not take it")
        if state == "silent":
            problem = f"no source says whether {self.server_dialect.name} takes the view type {name}"
            warnings.warn(f"{problem}: deleted runs may be missing", QueryWarning, stacklevel=2)

    def _requests(self, pages: int, progress: Progress = lambda *_: None) -> Requests:
        self.last_cost = Budget(max(pages, 1), progress=progress)
        return Requests(self.client, self.name, self.last_cost, self.workers)

    # Experiments

    def _page_of_experiments(self, plan: Plan, limit: int | None, after: Position | None) -> Page:
        store = self._all_experiments(self._requests(self.max_pages))
        rows = [int(row) for row in columnar.rows(store, plan)]
        if after is not None:
            ids = [store.experiments.ids[row] for row in rows]
            rows = rows[ids.index(str(after.values[0])) + 1 :] if after.values[0] in ids else []
        if limit is None or len(rows) <= limit:
            return Page(store, rows, None)
        return Page(store, rows[:limit], Position((store.experiments.ids[rows[limit - 1]],)) if limit else after)

    def _all_experiments(self, requests: Requests) -> Store:
        store = Store()
        search = partial(requests.send, self.client.search_experiments, view_type=ViewType.ALL)
        for experiment in all_pages(search, _PAGE):
            put_experiment(store, experiment)
        return store


def _one(requests: Requests, get: Any, name: str) -> Any:
    """Return what a call gets, None if there is no such thing."""
    try:
        return requests.send(get, name)
    except StoreError as error:
        if error.error_code != RESOURCE_DOES_NOT_EXIST:
            raise
        return None


def _values(store: Store, row: int, fields: Iterable[FieldRef]) -> list[Any]:
    run = store.runs.run_at(row)
    found = (values_of(run, field, store) for field in fields)
    return [each[0] if each else None for each in found]
