"""`connect`: a client of a database, tables, a cluster or a server, which is searched where it is and only read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

from mlquery.backend.in_place import InPlaceBackend
from mlquery.client.client import Client
from mlquery.entities import ViewType
from mlquery.language.matrix import MATRIX, Dialect
from mlquery.query import in_place
from mlquery.query.explain import Explanation, explain
from mlquery.query.loading import loaded
from mlquery.query.search import check
from mlquery.query.sources import Source
from mlquery.remote.opening import open_anywhere
from mlquery.remote.requests import MAX_PAGES, WORKERS
from mlquery.store import Store

if TYPE_CHECKING:
    from mlquery.query.dataframe import DataFrame

_SHOWN_RESULTS = 1000


def connect(
    uri_or_session: Any,
    layout: str | None = None,
    dialect: str | Dialect | None = None,
    *,
    server_dialect: str | Dialect | None = None,
    max_pages: int = MAX_PAGES,
    workers: int = WORKERS,
) -> InPlaceClient:
    """Return a client that searches a database, tables, a cluster or a server as it is; nothing is written.

    A server need not know the dialect: it is asked for what it understands, and the rest is decided here.

    Args:
        uri_or_session: `sqlite:///mlflow.db`, `postgresql://…` or `mysql://…` for MLflow's own database, with a driver
            (`postgresql+psycopg2://…`) if one likes; `parquet:FOLDER` for what `mlquery export` writes; `spark:CATALOG.
            SCHEMA` or `databricks://…?http_path=…` for the tables of Databricks; the path of a database or folder; a
            SparkSession; an engine of SQLAlchemy. A server: `http://…`, `https://…`, `azureml://…`, `databricks` or any
            other tracking URI of MLflow, whose client takes credentials from the environment as ever.
        layout: How the tables are laid out, "mlflow", "databricks" or "wide"; by default it is recognised.
        dialect: The dialect of filters, orders and columns; by default the one that mlquery defines.
        server_dialect: Which filters a server takes: a dialect of the support matrix, or the path of a column that
            `mlquery conformance --record` wrote. By default it is recognised by the address, by what `mlquery serve`
            says of itself, or by the version that MLflow's server tells.
        max_pages: The most requests that one search of a server may take; one that needs more is refused.
        workers: The most requests to a server at a time.

    Raises:
        SourceUnavailableError: There is no such database, or it does not answer.
        StoreError: The address means nothing, or the server is not recognised.
    """
    column = MATRIX.local_dialect if dialect is None else MATRIX.dialect(dialect)
    options: dict[str, Any] = {"server_dialect": server_dialect, "max_pages": max_pages, "workers": workers}
    return InPlaceClient(open_anywhere(uri_or_session, layout, **options), column)


class InPlaceClient(Client):
    """A client whose searches are answered by a database or a server as it is now; it only reads.

    Every search, `get_run`, experiments, metric histories and frames have the arguments and answers of `Client` and of
    the functions of `mlquery`. Writes raise StoreError with the code PERMISSION_DENIED. A query that the database
    cannot answer exactly raises QueryError or StoreError with the reason, one that takes too many requests to a server
    `TooManyPagesError`; no answer is ever approximate or in part. In a `with` block, connections are closed at its end.

    Args:
        source: What is searched.
        dialect: A dialect of the support matrix.
    """

    def __init__(self, source: Source, dialect: str | Dialect = "oss") -> None:
        backend: Any = InPlaceBackend(source, dialect)
        self.backend = backend

    def __repr__(self) -> str:
        return f"<InPlaceClient: dialect={self.dialect!r}, source={self.source.name!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def source(self) -> Source:
        """Return what is searched."""
        source: Source = self._in_place.source
        return source

    @property
    def store(self) -> Store:
        """Refuse: nothing is in memory.

        Raises:
            StoreError: NOT_IMPLEMENTED.
        """
        return self._in_place.store

    def close(self) -> None:
        """Close all connections."""
        self.source.close()

    def load(self) -> Store:
        """Return a new store in memory with everything that is searched here, as it is now.

        Experiments, runs, their data, all points of metrics and logged models are read; registered models and artifacts
        are not.

        Raises:
            SourceUnavailableError: It cannot be read.
        """
        return loaded(self.source)

    def search_frame(
        self,
        experiment_ids: Sequence[str] | None = None,
        filter_string: str = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int | None = 100_000,
        order_by: list[str] | None = None,
        *,
        columns: Sequence[str] | None = None,
        output_format: str = "pandas",
    ) -> Any:
        """Search runs and return one row per run.

        Args, returns and raises: as of `mlquery.search_frame`; without `experiment_ids`, all are searched. With
        `columns`, only these are read.
        """
        ids = self._ids(experiment_ids, run_view_type)
        query = (ids, filter_string, run_view_type, max_results, order_by)
        return self._in_place.search_frame(*query, columns=columns, output_format=output_format)

    def count_runs(
        self,
        experiment_ids: Sequence[str] | None = None,
        filter_string: str = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
    ) -> int:
        """Return how many runs a filter finds, without reading them; without `experiment_ids`, among all."""
        ids = self._ids(experiment_ids, run_view_type)
        return self._in_place.count_runs(ids, filter_string, run_view_type)

    def aggregate(
        self,
        aggregates: str,
        by: Sequence[str] = (),
        filter_string: str = "",
        *,
        experiment_ids: Sequence[str] | None = None,
        run_view_type: int = ViewType.ACTIVE_ONLY,
    ) -> DataFrame:
        """Return one row per group of runs, with aggregates of their fields; only these fields are read.

        Args, returns and raises: as of `mlquery.aggregate`.
        """
        from mlquery.query.aggregate import aggregate

        options: dict[str, Any] = {"experiment_ids": experiment_ids, "run_view_type": run_view_type}
        return aggregate(self, aggregates, by, filter_string, dialect=self.backend.dialect, **options)

    def history_frame(
        self,
        run_ids: Sequence[str],
        keys: Sequence[str],
        steps: tuple[int | None, int | None] = (None, None),
        max_points: int | None = None,
    ) -> DataFrame:
        """Return the points of many runs and metrics; args, returns and raises as of `mlquery.history_frame`."""
        from mlquery.query.dataframe import history_frame

        return history_frame(self, run_ids, keys, steps, max_points)

    def explain(
        self,
        filter_string: str = "",
        order_by: Sequence[str] | None = None,
        *,
        experiment_ids: Sequence[str] | None = None,
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int | None = _SHOWN_RESULTS,
    ) -> Explanation:
        """Return what a query means and how the first page of runs is found.

        That is the statement and how the engine runs it, or what a server is asked, what is decided here, and how many
        pages that takes at most.

        Raises:
            NotAskableError: The query cannot be answered exactly in place.
        """
        dialect = self.backend.dialect
        meaning = explain(filter_string, order_by, dialect=dialect, view_type=run_view_type)
        if not check(filter_string, order_by, dialect=dialect, view_type=run_view_type):
            return meaning
        ids = self._ids(experiment_ids, run_view_type)
        search = in_place.RunSearch(ids, filter_string, run_view_type, max_results, order_by, dialect=dialect)
        return Explanation("\n".join([meaning, *in_place.explained(self.source, search)]))

    @property
    def _in_place(self) -> InPlaceBackend:
        backend: Any = self.backend
        found: InPlaceBackend = backend
        return found

    def _ids(self, experiment_ids: Iterable[str] | None, run_view_type: int) -> Iterable[str]:
        if experiment_ids is not None:
            return experiment_ids
        return in_place.experiment_ids(self.source, self.backend.dialect, run_view_type)
