"""What answers plans where the runs are: a database, tables, a cluster or a server. Its answers are small stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from mlquery.language.plan import FieldRef, Plan
from mlquery.registry import Registry
from mlquery.sql.ordering import Position
from mlquery.sql.query import DatasetUse, History
from mlquery.sql.source import Page
from mlquery.store import Store


@runtime_checkable
class Source(Protocol):
    """What holds runs and experiments; see `mlquery.sql.source.Source` for arguments and answers.

    Every call raises `SourceUnavailableError` or another `StoreError` where nobody answers, and `NotAskableError` where
    the question cannot be answered exactly.
    """

    @property
    def name(self) -> str:
        """Return what it is connected to, without a password."""

    @property
    def counts(self) -> bool:
        """Tell whether runs are counted without being read."""

    def page(self, plan: Plan, limit: int | None, after: Position | None = None) -> Page:
        """Return what a plan finds, with the data of it."""

    def ids(self, plan: Plan, limit: int | None = None, after: Position | None = None) -> list[str]:
        """Return the ids of what a plan finds, in its order."""

    def count(self, plan: Plan) -> int:
        """Return how many entities a plan finds."""

    def values(self, plan: Plan, fields: Sequence[FieldRef], limit: int | None = None) -> list[tuple[Any, ...]]:
        """Return the id and the values of fields of what a plan finds."""

    def lazy(self, plan: Plan, fields: Mapping[str, FieldRef], limit: int | None = None) -> Any:
        """Return what `values` would, as a frame that is computed when it is asked for."""

    def runs(self, run_ids: Sequence[str]) -> Store:
        """Return a store with some runs in the order given; unknown runs are left out."""

    def experiments(self, ids: Sequence[str] = (), names: Sequence[str] = ()) -> Store:
        """Return a store with some experiments, by id or by name and in any stage."""

    def histories(self, run_ids: Sequence[str], keys: Sequence[str] | None = None) -> dict[tuple[str, str], History]:
        """Return all points of some runs and metrics, by run id and key; without keys, of all metrics."""

    def datasets(self, experiment_ids: Sequence[str]) -> list[DatasetUse]:
        """Return which datasets the runs of some experiments read."""

    def models(self, experiment_ids: Sequence[str]) -> Store:
        """Return a store with the logged models of some experiments."""

    def registry(self) -> Registry:
        """Return all registered models and their versions."""

    def explained(self, plan: Plan, limit: int | None) -> list[str]:
        """Return the lines that say how the first page is found."""

    def close(self) -> None:
        """Close all connections."""
