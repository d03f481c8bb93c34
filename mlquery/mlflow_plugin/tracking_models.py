"""The tracking store's calls about logged models, what runs write among them.

**Source** of names, arguments and answers: `SqlAlchemyStore` of MLflow 3.17; issue 44896 of Azure/azure-sdk-for-python
for the service that has none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlflow.entities as theirs
from mlflow.entities.logged_model_output import LoggedModelOutput
from mlflow.store.entities.paged_list import PagedList

from mlquery.entities.logged_models import LoggedModel
from mlquery.mlflow_plugin import convert
from mlquery.mlflow_plugin.model_search import read_filter
from mlquery.mlflow_plugin.tracking_calls import Calls, require_endpoint, served
from mlquery.mlflow_plugin.uris import State
from mlquery.query.logged_models import search_logged_models

_PATH = "/api/2.0/mlflow/logged-models"


class ModelCalls(Calls):
    """Calls about logged models."""

    @served
    def create_logged_model(
        self,
        state: State,
        experiment_id: str,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: list[theirs.LoggedModelTag] | None = None,
        params: list[theirs.LoggedModelParameter] | None = None,
        model_type: str | None = None,
    ) -> theirs.LoggedModel:
        """Create a pending model and return it."""
        _require_models(state)
        model = state.store.create_logged_model(experiment_id, name, source_run_id, tags, params, model_type)
        return _theirs(state, model)

    @served
    def get_logged_model(self, state: State, model_id: str, allow_deleted: bool = False) -> theirs.LoggedModel:
        """Return a model."""
        _require_models(state, f"/{model_id}")
        return _theirs(state, state.store.get_logged_model(model_id, allow_deleted))

    @served
    def finalize_logged_model(
        self, state: State, model_id: str, status: theirs.LoggedModelStatus
    ) -> theirs.LoggedModel:
        """Set the status of a model and return the model."""
        _require_models(state, f"/{model_id}")
        return _theirs(state, state.store.finalize_logged_model(model_id, status.to_int()))

    @served
    def delete_logged_model(self, state: State, model_id: str) -> None:
        """Mark a model as deleted."""
        _require_models(state, f"/{model_id}")
        state.store.delete_logged_model(model_id)

    @served
    def log_logged_model_params(self, state: State, model_id: str, params: list[theirs.LoggedModelParameter]) -> None:
        """Add params to a model."""
        _require_models(state, f"/{model_id}/params")
        state.store.log_logged_model_params(model_id, params)

    @served
    def set_logged_model_tags(self, state: State, model_id: str, tags: list[theirs.LoggedModelTag]) -> None:
        """Set tags of a model."""
        _require_models(state, f"/{model_id}/tags")
        state.store.set_logged_model_tags(model_id, tags)

    @served
    def delete_logged_model_tag(self, state: State, model_id: str, key: str) -> None:
        """Delete a tag of a model."""
        _require_models(state, f"/{model_id}/tags/{key}")
        state.store.delete_logged_model_tag(model_id, key)

    @served
    def search_logged_models(
        self,
        state: State,
        experiment_ids: list[str],
        filter_string: str | None = None,
        datasets: list[dict[str, Any]] | None = None,
        max_results: int | None = None,
        order_by: list[dict[str, Any]] | None = None,
        page_token: str | None = None,
    ) -> PagedList[theirs.LoggedModel]:
        """Return one page of the models that a filter finds, by default the newest first."""
        _require_models(state, "/search")
        store = state.store
        with store.lock:
            found, token = search_logged_models(
                store.models, experiment_ids, filter_string, datasets, max_results, order_by, page_token, read_filter
            )
            return PagedList([_theirs(state, model) for model in found], token)

    @served
    def log_outputs(self, state: State, run_id: str, models: Sequence[LoggedModelOutput]) -> None:
        """Record the models that a run writes."""
        require_endpoint(state, "logged_models", "/api/2.0/mlflow/runs/outputs")
        state.store.log_outputs(run_id, [(model.model_id, model.step) for model in models])


def _theirs(state: State, model: LoggedModel) -> theirs.LoggedModel:
    with state.store.lock:
        return convert.logged_model(model, state.store.models.metrics(model.model_id))


def _require_models(state: State, path: str = "") -> None:
    require_endpoint(state, "logged_models", _PATH + path)
