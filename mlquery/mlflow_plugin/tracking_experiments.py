"""The tracking store's calls about experiments.

**Source** of names, arguments and answers: `mlflow.store.tracking.abstract_store.AbstractStore` of MLflow 3.17.
"""

from __future__ import annotations

from collections.abc import Sequence

import mlflow.entities as theirs
from mlflow.store.entities.paged_list import PagedList

from mlquery.entities import ExperimentTag, ViewType
from mlquery.mlflow_plugin import convert
from mlquery.mlflow_plugin.tracking_calls import Calls, on_warning, require_call, served
from mlquery.mlflow_plugin.uris import State
from mlquery.query.search import search_experiments


class ExperimentCalls(Calls):
    """Calls about experiments."""

    @served
    def create_experiment(
        self,
        state: State,
        name: str,
        artifact_location: str | None = None,
        tags: Sequence[theirs.ExperimentTag] | None = None,
    ) -> str:
        """Create an experiment and return its id."""
        own_tags = [ExperimentTag(tag.key, tag.value) for tag in tags or ()]
        return state.store.create_experiment(name, artifact_location, own_tags, limits=state.limits)

    @served
    def get_experiment(self, state: State, experiment_id: str) -> theirs.Experiment:
        """Return an experiment."""
        return convert.experiment(state.store.get_experiment(experiment_id))

    @served
    def get_experiment_by_name(self, state: State, experiment_name: str) -> theirs.Experiment | None:
        """Return an experiment, or None if no experiment has that name."""
        found = state.store.get_experiment_by_name(experiment_name)
        return None if found is None else convert.experiment(found)

    @served
    def search_experiments(
        self,
        state: State,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        filter_string: str | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[theirs.Experiment]:
        """Return one page of the experiments that a filter finds."""
        given = (view_type, max_results, filter_string, order_by, page_token)
        found = search_experiments(state.store, *given, dialect=state.column, on_warning=on_warning)
        return PagedList(list(map(convert.experiment, found)), found.token)

    @served
    def delete_experiment(self, state: State, experiment_id: str) -> None:
        """Archive an experiment and its runs."""
        require_call(state, "delete_experiment", "experiment")
        state.store.delete_experiment(experiment_id)

    @served
    def restore_experiment(self, state: State, experiment_id: str) -> None:
        """Bring an archived experiment and its runs back."""
        require_call(state, "restore_experiment", "experiment")
        state.store.restore_experiment(experiment_id)

    @served
    def rename_experiment(self, state: State, experiment_id: str, new_name: str) -> None:
        """Rename an experiment."""
        require_call(state, "rename_experiment", "experiment")
        state.store.rename_experiment(experiment_id, new_name, limits=state.limits)

    @served
    def set_experiment_tag(self, state: State, experiment_id: str, tag: theirs.ExperimentTag) -> None:
        """Set a tag of an experiment."""
        state.store.set_experiment_tag(experiment_id, ExperimentTag(tag.key, tag.value), limits=state.limits)

    @served
    def delete_experiment_tag(self, state: State, experiment_id: str, key: str) -> None:
        """Delete a tag of an experiment."""
        state.store.delete_experiment_tag(experiment_id, key)

    @served
    def filter_active_experiment_ids(self, state: State, experiment_ids: list[str]) -> list[str]:
        """Return those of the ids that are of active experiments."""
        experiments = state.store.experiments
        with state.store.lock:
            rows = {experiment_id: experiments.row_of.get(str(experiment_id)) for experiment_id in experiment_ids}
            return [name for name, row in rows.items() if row is not None and experiments.is_active(row)]
