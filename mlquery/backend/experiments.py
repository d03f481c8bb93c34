"""The service's calls about experiments.

**Source** of names and arguments: `mlflow.store.tracking.abstract_store.AbstractStore` of MLflow 3.17.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mlquery.backend.service import Service, call, call_about
from mlquery.engine import columnar
from mlquery.entities import Experiment, ExperimentTag, PagedList, ViewType
from mlquery.query.reading import FINDS_SLASHES
from mlquery.query.search import Engine, search_experiments
from mlquery.store.validation import check_experiment_tag


class Experiments(Service):
    """Calls about experiments."""

    @call
    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: Iterable[ExperimentTag] | None = None
    ) -> str:
        """Create an experiment and return its id; a tag whose value is None is left out, as for runs."""
        own_tags = [ExperimentTag(tag.key, tag.value) for tag in tags or () if tag.value is not None]
        # A service does not know the working directory. No source says what it makes of a relative location.
        is_local = not self.dialect.service
        return self.store.create_experiment(
            name, artifact_location, own_tags, limits=self.limits, resolves_location=is_local
        )

    @call
    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment."""
        return self.store.get_experiment(experiment_id)

    @call
    def get_experiment_by_name(self, experiment_name: str) -> Experiment | None:
        """Return an experiment, or None if no experiment has that name or the service does not find it."""
        found = self.store.searched.get_experiment_by_name(experiment_name)
        if found is not None and "/" in found.name and not self.dialect.behaves(FINDS_SLASHES):
            return None
        return found

    @call
    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int | None = 1000,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | bytes | None = None,
        *,
        engine: Engine = columnar.rows,
    ) -> PagedList[Experiment]:
        """Return one page of the experiments that match a filter."""
        query = (view_type, max_results, filter_string, order_by, page_token)
        store = self.store.searched
        return search_experiments(store, *query, dialect=self.dialect, engine=engine, on_warning=self.on_warning)

    @call_about("experiment")
    def delete_experiment(self, experiment_id: str) -> None:
        """Archive an experiment and its runs."""
        self.store.delete_experiment(experiment_id)

    @call_about("experiment")
    def restore_experiment(self, experiment_id: str) -> None:
        """Bring an archived experiment and its runs back."""
        self.store.restore_experiment(experiment_id)

    @call_about("experiment")
    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """Rename an experiment."""
        self.store.rename_experiment(experiment_id, new_name, limits=self.limits)

    @call
    def set_experiment_tag(self, experiment_id: str, tag: ExperimentTag) -> None:
        """Set a tag of an experiment; one that is None is taken away, as for runs."""
        value: Any = tag.value  # MLflow's own entities may hold None
        if value is None:
            check_experiment_tag(ExperimentTag(tag.key, ""), self.limits)
            with self.store.lock:
                if tag.key in self.store.get_experiment(experiment_id).tags:
                    self.store.delete_experiment_tag(experiment_id, tag.key)
            return
        self.store.set_experiment_tag(experiment_id, ExperimentTag(tag.key, tag.value), limits=self.limits)

    @call
    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Delete a tag of an experiment."""
        self.store.delete_experiment_tag(experiment_id, key)

    @call
    def filter_active_experiment_ids(self, experiment_ids: Iterable[str]) -> list[str]:
        """Return those of the ids that belong to active experiments."""
        experiments = self.store.experiments
        with self.store.lock:
            rows = {name: experiments.row_of.get(str(name)) for name in experiment_ids}
            return [name for name, row in rows.items() if row is not None and experiments.is_active(row)]
