"""`Client`: the calls of `mlflow.MlflowClient`, answered by a backend in memory or on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlquery.backend import Backend
from mlquery.client.models import LoggedModelCalls, RegistryCalls
from mlquery.client.tracking import TrackingCalls
from mlquery.language.matrix import Dialect
from mlquery.registry import Registry
from mlquery.store import Store

if TYPE_CHECKING:
    from mlquery.comparison import Comparison


class Client(TrackingCalls, LoggedModelCalls, RegistryCalls):
    """Answers the calls of `mlflow.MlflowClient` from a store, in one dialect.

    Names, arguments, defaults and return shapes are those of MLflow 3.17; times are integer milliseconds UTC. Calls
    about data raise StoreError with MLflow's error codes, searches raise QueryError. Objects of MLflow (`Metric`,
    `Param`, `RunTag`, `DatasetInput`) are taken as well as those of `mlquery.entities`.

    Args:
        store: Experiments, runs, logged models and artifacts; a new, empty store by default.
        dialect: A dialect of the support matrix.
        registry: Registered models; by default those in the store, which all its clients share.

    Attributes:
        backend: What answers the calls; it has the same store, registry and dialect.

    **Source**: `mlflow.MlflowClient` of MLflow 3.17; the matrix for what a dialect changes.
    """

    def __init__(
        self, store: Store | None = None, dialect: str | Dialect = "oss", *, registry: Registry | None = None
    ) -> None:
        self.backend = Backend(store, registry, dialect)

    def __repr__(self) -> str:
        return f"<Client: dialect={self.dialect!r}, store={self.store!r}>"

    @property
    def store(self) -> Store:
        """Return the store."""
        return self.backend.store

    @property
    def dialect(self) -> str:
        """Return the name of the dialect."""
        return self.backend.dialect.name

    @property
    def tracking_uri(self) -> str:
        """Name what answers; there is nothing to connect to."""
        return f"mlquery:{self.dialect}"

    def compare_runs(
        self,
        runs: Any,
        value: str | Mapping[str, str] = "last",
        baseline: str | None = None,
        group_by: Iterable[str] | None = None,
        ignore: Iterable[str] = (),
        *,
        experiment_ids: Sequence[str] | None = None,
        directions: Mapping[str, str] | None = None,
        order_by: Sequence[str] | None = None,
        max_runs: int | None = 10_000,
    ) -> Comparison:
        """Put runs side by side: those of a filter in the dialect of the client, of ids, or of a page.

        Args, returns and raises: as of `mlquery.compare`.
        """
        from mlquery.comparison import compare

        self.store.faults.before("search_runs")
        return compare(
            runs,
            *(value, baseline, group_by, ignore),
            source=self,
            experiment_ids=experiment_ids,
            directions=directions,
            order_by=order_by,
            max_runs=max_runs,
            on_warning=self.backend.on_warning,
        )
