"""The service over a database of others, which is searched where it is and only read.

Reads are answered through a source: what it returns is a small store, and a `Backend` over that makes of it what it
makes of any store. Writes are refused by name, and so are artifacts, which no database holds; these are found among the
calls of `Backend`, so that none is missing silently when it grows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mlquery.backend.backend import Backend
from mlquery.backend.logged_models import LoggedModels, ReadModel
from mlquery.backend.logging import DatasetSummary
from mlquery.backend.reading import read_found_runs, read_model, read_run
from mlquery.backend.registered_models import RegisteredModels
from mlquery.backend.runs import ReadRuns
from mlquery.backend.service import CALLS, Answering, call
from mlquery.entities import Experiment, Metric, PagedList, ViewType
from mlquery.errors import NOT_IMPLEMENTED, StoreError
from mlquery.language.matrix import Dialect
from mlquery.query import in_place
from mlquery.query.in_place import RunSearch
from mlquery.query.logged_models import ReadFilter, read_filter
from mlquery.query.reading import OnWarning, warn_caller
from mlquery.query.sources import Source
from mlquery.store import Store
from mlquery.store.faults import Faults
from mlquery.store.times import now

if TYPE_CHECKING:
    from mlquery.query.dataframe import DataFrame

PERMISSION_DENIED: Final = "PERMISSION_DENIED"
_READS: Final = ("get_", "search_", "list_", "download_", "filter_")
_MODELS_PATH: Final = "/api/2.0/mlflow/logged-models"


class InPlaceBackend(Answering):
    """Has the calls of `Backend`, answered by a database as it is now. Any number of threads may use it.

    Args:
        source: The database, files or tables that are searched.
        dialect: A dialect of the support matrix.
        on_warning: What is done with the warnings of a call; by default they are issued as `QueryWarning`.

    Calls raise as those of `Backend`, and besides these `NotAskableError` for a query that the source cannot answer
    exactly, `SourceUnavailableError` where it cannot be read, and `StoreError` with PERMISSION_DENIED for a write.
    """

    is_in_place = True

    def __init__(self, source: Source, dialect: str | Dialect = "oss", on_warning: OnWarning = warn_caller) -> None:
        super().__init__(dialect, on_warning)
        self.source = source
        self._faults = Faults()

    def __repr__(self) -> str:
        return f"<InPlaceBackend: dialect={self.dialect.name!r}, source={self.source.name!r}>"

    @property
    def faults(self) -> Faults:
        """Return the faults that a test has asked for."""
        return self._faults

    @property
    def clock(self) -> Callable[[], int]:
        """Return what tells the time in ms UTC."""
        return now

    @property
    def store(self) -> Store:
        """Refuse: nothing is in memory.

        Raises:
            StoreError: NOT_IMPLEMENTED.
        """
        message = f"{self.source.name} is searched in place, and what was asked for needs all of it in memory"
        raise StoreError(f"{message}; instead: load it (load() of the client, or --load)", NOT_IMPLEMENTED)

    # Runs

    @call
    def get_run(self, run_id: str, *, read: ReadRuns[Any] = read_run) -> Any:
        """Return a run with everything that is known of it; `read` makes the result."""
        return self._over(self.source.runs([run_id])).get_run(run_id, read=read)

    @call
    def search_runs(
        self,
        experiment_ids: Iterable[str | int],
        filter_string: str | None = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int | None = 1000,
        order_by: Sequence[str] | None = None,
        page_token: str | bytes | None = None,
        *,
        read: ReadRuns[Any] = read_found_runs,
    ) -> PagedList[Any]:
        """Return one page of the runs that match a filter, in order; `read` makes the results."""
        search = self._search(experiment_ids, filter_string, run_view_type, max_results, order_by)
        page, token = in_place.search_runs(self.source, search, page_token)
        return PagedList(read(page.store, page.rows), token)

    def search_frame(self, *query: Any, **options: Any) -> DataFrame:
        """Return the runs that match a filter as a DataFrame; arguments as of `mlquery.search_frame`."""
        from mlquery.query.dataframe import search_frame

        self.faults.before("search_runs")
        named: dict[str, Any] = {"dialect": self.dialect, "on_warning": self.on_warning} | options
        frame: DataFrame = search_frame(self.source, *query, **named)
        return frame

    def count_runs(self, experiment_ids: Iterable[str | int], filter_string: str | None, run_view_type: int) -> int:
        """Return how many runs match a filter; it is the call `search_runs` without its results."""
        self.faults.before("search_runs")
        return in_place.count_runs(self.source, self._search(experiment_ids, filter_string, run_view_type))

    # Experiments

    @call
    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment."""
        return self._over(self.source.experiments(ids=_spellings([experiment_id]))).get_experiment(experiment_id)

    @call
    def get_experiment_by_name(self, experiment_name: str) -> Experiment | None:
        """Return an experiment, or None if no experiment has that name."""
        found = self.source.experiments(names=[experiment_name])
        return self._over(found).get_experiment_by_name(experiment_name)

    @call
    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int | None = 1000,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | bytes | None = None,
    ) -> PagedList[Experiment]:
        """Return one page of the experiments that match a filter."""
        query = (view_type, max_results, filter_string, order_by, page_token)
        page, token = in_place.search_experiments(self.source, *query, dialect=self.dialect, on_warning=self.on_warning)
        return PagedList([page.store.experiments.experiment_at(row) for row in page.rows], token)

    @call
    def filter_active_experiment_ids(self, experiment_ids: Iterable[str]) -> list[str]:
        """Return those of the ids that belong to active experiments."""
        ids = list(experiment_ids)
        return self._over(self.source.experiments(ids=_spellings(ids))).filter_active_experiment_ids(ids)

    # What runs log

    @call
    def search_datasets(self, experiment_ids: Iterable[str]) -> list[DatasetSummary]:
        """Return the datasets of experiments, each once for every context; MLflow's UI asks for them."""
        return self.source.datasets(list(experiment_ids))

    @call
    def get_metric_history(
        self, run_id: str, metric_key: str, max_results: int | None = None, page_token: str | None = None
    ) -> PagedList[Metric]:
        """Return the points of a metric by timestamp, step and value, a page of them or all."""
        return self._with_points([run_id], metric_key).get_metric_history(run_id, metric_key, max_results, page_token)

    @call
    def get_metric_history_bulk(
        self, run_ids: Iterable[str], metric_key: str, max_results: int | None
    ) -> list[tuple[str, Metric]]:
        """Return the points of a metric of many runs with their runs, by run id, timestamp, step and value."""
        ids = list(run_ids)
        return self._with_points(ids, metric_key).get_metric_history_bulk(ids, metric_key, max_results)

    @call
    def get_max_step_for_metric(self, run_id: str, metric_key: str) -> int:
        """Return the largest step of a metric, 0 if it has no points."""
        return self._with_points([run_id], metric_key).get_max_step_for_metric(run_id, metric_key)

    @call
    def get_metric_history_bulk_interval_from_steps(
        self, run_id: str, metric_key: str, steps: Iterable[int], max_results: int
    ) -> list[Metric]:
        """Return the points at some steps of a metric, by step, timestamp and value."""
        asked = self._with_points([run_id], metric_key)
        return asked.get_metric_history_bulk_interval_from_steps(run_id, metric_key, steps, max_results)

    @call
    def get_metric_history_bulk_interval(
        self, run_ids: Iterable[str], metric_key: str, max_results: int, start_step: int | None, end_step: int | None
    ) -> list[tuple[str, Metric]]:
        """Return at most `max_results` points of each run, spread evenly by step, the first and the last among them."""
        ids = list(run_ids)
        asked = self._with_points(ids, metric_key)
        return asked.get_metric_history_bulk_interval(ids, metric_key, max_results, start_step, end_step)

    # Logged models

    @call
    def get_logged_model(self, model_id: str, allow_deleted: bool = False, *, read: ReadModel = read_model) -> Any:
        """Return a model."""
        self.require_endpoint("logged_models", f"{_MODELS_PATH}/{model_id}")
        ids = in_place.experiment_ids(self.source, self.dialect, ViewType.ALL)
        return self._over(self.source.models(ids)).get_logged_model(model_id, allow_deleted, read=read)

    @call
    def search_logged_models(
        self,
        experiment_ids: Sequence[str],
        filter_string: str | None = None,
        datasets: Sequence[Mapping[str, Any]] | None = None,
        max_results: int | None = None,
        order_by: Sequence[Mapping[str, Any]] | None = None,
        page_token: str | None = None,
        *,
        read_filter: ReadFilter = read_filter,
        read: ReadModel = read_model,
    ) -> PagedList[Any]:
        """Return one page of the models that match a filter, by default the newest first."""
        self.require_endpoint("logged_models", f"{_MODELS_PATH}/search")
        query = (experiment_ids, filter_string, datasets, max_results, order_by, page_token)
        found = self._over(self.source.models(list(map(str, experiment_ids))))
        return found.search_logged_models(*query, read_filter=read_filter, read=read)

    def drop_trace(self) -> None:
        """Refuse a trace, which would be a write."""
        self.require_endpoint("traces", "/api/3.0/mlflow/traces")
        raise _read_only("start_trace", self.source)

    def _search(self, *query: Any) -> RunSearch:
        return RunSearch(*query, dialect=self.dialect, on_warning=self.on_warning)

    def _over(self, store: Store) -> Backend:
        """Return what answers in the same way over what a source has returned."""
        return Backend(store, None, self.dialect, self.on_warning)

    def _with_points(self, run_ids: Sequence[str], key: str) -> Backend:
        """Return what answers over runs that have nothing but the points of a metric."""
        store = Store()
        for (run_id, _), points in self.source.histories(list(dict.fromkeys(run_ids)), [key]).items():
            store.load_run(run_id, store.default_experiment_id)
            store.load_history(run_id, key, *points)
        return self._over(store)


def _spellings(experiment_ids: Iterable[str]) -> list[str]:
    """Return the ids under which experiments are looked up: as they are given, and as integers are written."""
    found: dict[str, None] = {}
    for given in experiment_ids:
        name = str(given or "0")  # as in the store
        found[name] = None
        if name.strip().lstrip("+-").isdecimal():
            found[str(int(name))] = None
    return list(found)


def _read_only(name: str, source: Source) -> StoreError:
    message = f"{name} is refused: {source.name} is searched in place, read-only"
    return StoreError(f"{message}; instead: write to the server that owns the database", PERMISSION_DENIED)


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(self: InPlaceBackend, *args: Any, **kwargs: Any) -> Any:
        if name in vars(LoggedModels):
            self.require_endpoint("logged_models", _MODELS_PATH)
        if not name.startswith(_READS):
            raise _read_only(name, self.source)
        message = f"{name} is refused: artifacts are not read in place, only what the database holds"
        raise StoreError(f"{message}; instead: ask the server that owns the database", NOT_IMPLEMENTED)

    refuse.__name__ = name
    refuse.__doc__ = f"Refuse to {'read' if name.startswith(_READS) else 'write'} in place."
    return call(refuse)


def _registry_read(name: str) -> Callable[..., Any]:
    """Return the call that reads the registry, of which all is read each time: it is small."""

    def answer(self: InPlaceBackend, *args: Any, **kwargs: Any) -> Any:
        backend = Backend(Store(), self.source.registry(), self.dialect, self.on_warning)
        return getattr(backend, name)(*args, **kwargs)

    answer.__name__ = name
    answer.__doc__ = getattr(Backend, name).__doc__
    return call(answer)


for _name in sorted(CALLS & vars(RegisteredModels).keys()):
    if _name.startswith(_READS):
        setattr(InPlaceBackend, _name, _registry_read(_name))

REFUSED: Final = tuple(sorted(CALLS - vars(InPlaceBackend).keys()))
"""The calls of `Backend` that are refused."""

for _name in REFUSED:
    setattr(InPlaceBackend, _name, _refusal(_name))
