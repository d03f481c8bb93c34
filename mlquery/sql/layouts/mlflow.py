"""MLflow's own database as a layout: where its fields are, and how what was found is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import attrs

from mlquery.language.plan import Plan
from mlquery.registry import Registry
from mlquery.sql.layouts.first_table import first_table
from mlquery.sql.layouts.mlflow_pages import Pages
from mlquery.sql.layouts.mlflow_registry import read_registry
from mlquery.sql.layouts.mlflow_revisions import recognized
from mlquery.sql.layouts.mlflow_schema import SchemaFields
from mlquery.sql.query import DatasetUse, History
from mlquery.sql.session import Engine, Session, read
from mlquery.store import Store


@attrs.frozen(kw_only=True)
class MlflowTables(SchemaFields):
    """MLflow's tables in one database.

    Attributes:
        pages: Reads from it.
    """

    pages: Pages

    def for_plan(self, plan: Plan, session: Session) -> Self:
        """Return the layout that says what a search best begins with."""
        return attrs.evolve(self, first=first_table(plan, self, session))

    def load_runs(self, session: Session, found: Sequence[tuple[Any, ...]]) -> Store:
        """Return a store with some runs in the order given, and their experiments; unknown runs are left out."""
        return self.pages.runs(session, [row[0] for row in found])

    def load_experiments(self, session: Session, ids: Sequence[str]) -> Store:
        """Return a store with some experiments in the order given; unknown ones are left out."""
        return self.pages.experiments(session, ids)

    def load_models(self, session: Session, experiment_ids: Iterable[str]) -> Store:
        """Return a store with the logged models of some experiments, and these experiments."""
        return self.pages.models(session, experiment_ids)

    def load_registry(self, session: Session) -> Registry:
        """Return all registered models and their versions."""
        return read_registry(session)

    def load_points(
        self, session: Session, run_ids: Sequence[str], keys: Sequence[str] | None
    ) -> dict[tuple[str, str], History]:
        """Return all points of some runs and metrics, by run id and key; without keys, of all metrics."""
        return self.pages.points(session, run_ids, keys)

    def load_datasets(self, session: Session, experiment_ids: Sequence[str]) -> list[DatasetUse]:
        """Return which datasets the runs of some experiments read, each once for each context; 1,000 at most."""
        return self.pages.datasets(session, experiment_ids)


def mlflow_tables(engine: Engine) -> MlflowTables:
    """Return the layout of an MLflow database.

    Raises:
        SourceUnavailableError: it does not answer, is not MLflow's, or of a release that is not supported.
    """
    schema = read(engine, lambda session: recognized(session, engine.name))
    return MlflowTables(has_integer_ids=schema.has_integer_ids, pages=Pages(schema, engine.name))
