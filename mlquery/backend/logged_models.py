"""The service's calls about logged models, which a dialect may lack as a family.

**Source** of names, arguments and answers: `SqlAlchemyStore` of MLflow 3.18; issue 44896 of Azure/azure-sdk-for-python
for the service that has none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from mlquery.backend.reading import read_model
from mlquery.backend.service import Service, call
from mlquery.entities import Metric, PagedList
from mlquery.entities.tracking import KeyValue
from mlquery.query.logged_models import ModelRule, ReadFilter, read_filter, search_logged_models
from mlquery.store.model_table import StoredModel

_PATH: Final = "/api/2.0/mlflow/logged-models"
ReadModel = Callable[[StoredModel, list[Metric]], Any]
"""Makes a result of a model and the points that were logged for it."""


class LoggedModels(Service):
    """Calls about logged models; `read` makes their results."""

    @call
    def create_logged_model(
        self,
        experiment_id: str,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: Sequence[KeyValue] | None = None,
        params: Sequence[KeyValue] | None = None,
        model_type: str | None = None,
        *,
        new_name: Callable[[], str] | None = None,
        read: ReadModel = read_model,
    ) -> Any:
        """Create a pending model and return it; `new_name` makes a name as for runs."""
        self._require_models()
        if new_name and name is None and not self.store.is_seeded:
            name = new_name()
        with self.store.lock:
            model = self.store.create_logged_model(experiment_id, name, source_run_id, tags, params, model_type)
            return self._read(model, read)

    @call
    def get_logged_model(self, model_id: str, allow_deleted: bool = False, *, read: ReadModel = read_model) -> Any:
        """Return a model."""
        self._require_models(f"/{model_id}")
        with self.store.lock:
            return self._read(self.store.get_logged_model(model_id, allow_deleted), read)

    @call
    def finalize_logged_model(self, model_id: str, status: int, *, read: ReadModel = read_model) -> Any:
        """Set the status of a model, a number of `LoggedModelStatus`, and return the model."""
        self._require_models(f"/{model_id}")
        with self.store.lock:
            return self._read(self.store.finalize_logged_model(model_id, status), read)

    @call
    def delete_logged_model(self, model_id: str) -> None:
        """Mark a model as deleted."""
        self._require_models(f"/{model_id}")
        self.store.delete_logged_model(model_id)

    @call
    def log_logged_model_params(self, model_id: str, params: Sequence[KeyValue]) -> None:
        """Add params to a model."""
        self._require_models(f"/{model_id}/params")
        self.store.log_logged_model_params(model_id, params)

    @call
    def set_logged_model_tags(self, model_id: str, tags: Sequence[KeyValue]) -> None:
        """Set tags of a model."""
        self._require_models(f"/{model_id}/tags")
        self.store.set_logged_model_tags(model_id, tags)

    @call
    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """Delete a tag of a model."""
        self._require_models(f"/{model_id}/tags/{key}")
        self.store.delete_logged_model_tag(model_id, key)

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
        self._require_models("/search")
        query = (experiment_ids, filter_string, datasets, max_results, order_by, page_token)
        with self.store.lock:
            rule, models = ModelRule(**self.dialect.logged_models), self.store.searched.models
            found, token = search_logged_models(models, *query, read_filter, rule)
            return PagedList([read(model, models.metrics(model.model_id)) for model in found], token)

    def _read(self, model: StoredModel, read: ReadModel) -> Any:
        return read(model, self.store.models.metrics(model.model_id))

    def _require_models(self, path: str = "") -> None:
        self.require_endpoint("logged_models", _PATH + path)
