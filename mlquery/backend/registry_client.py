"""The model registry as a client of one dialect sees it: calls that the dialect does not have are refused.

Names, arguments and defaults are those of `mlflow.MlflowClient`, whose own few checks are left to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlquery.entities import PagedList
from mlquery.entities.registry import ModelVersion, RegisteredModel
from mlquery.errors import Diagnostic
from mlquery.language.matrix import MATRIX, Dialect
from mlquery.query.registry import search_model_versions, search_registered_models
from mlquery.query.search import OnWarning, warn_caller
from mlquery.registry.model_versions import no_model
from mlquery.registry.registry import Registry
from mlquery.registry.sources import FindModel

_MODEL, _VERSION = "registered_model", "model_version"


class RegistryClient:
    """Answers the registry's calls of `mlflow.MlflowClient` from memory, in one dialect.

    Calls about data raise StoreError with MLflow's error codes, searches raise QueryError.

    Args:
        registry: What to work on; a new, empty registry by default.
        dialect: A dialect of the support matrix.
        find_model: Finds a logged model by its id, for versions that are made of one.
        on_warning: What is done with warnings.
    """

    def __init__(
        self,
        registry: Registry | None = None,
        dialect: str | Dialect = "oss",
        find_model: FindModel = no_model,
        on_warning: OnWarning = warn_caller,
    ) -> None:
        self._column = MATRIX.dialect(dialect)
        self.dialect = self._column.name
        self.registry = Registry() if registry is None else registry
        self._find_model, self._heed = find_model, on_warning
        self._any_case = self._column.behaves("registry.stage.any-case")

    def __repr__(self) -> str:
        return f"<RegistryClient: dialect={self.dialect!r}, registry={self.registry!r}>"

    def _require(self, call: str, entity: str) -> None:
        """Refuse a call that the dialect does not support; warn of one that no source speaks of."""
        verdict = self._column.require_call(call, entity)
        if verdict is not None and verdict.state == "silent":
            message = f"no source says that {self.dialect} supports {call}"
            self._heed([Diagnostic("unsupported", message, call, severity="warning", feature=verdict.feature.id)])

    # Registered models

    def create_registered_model(
        self, name: str, tags: Mapping[str, Any] | None = None, description: str | None = None
    ) -> RegisteredModel:
        """Create a model without versions and return it."""
        return self.registry.create_registered_model(name, tags, description)

    def get_registered_model(self, name: str) -> RegisteredModel:
        """Return a model."""
        return self.registry.get_registered_model(name)

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = 100,
        order_by: Sequence[str] | None = None,
        page_token: str | bytes | None = None,
    ) -> PagedList[RegisteredModel]:
        """Return one page of the models that a filter finds."""
        return search_registered_models(
            self.registry, filter_string, max_results, order_by, page_token, dialect=self._column, on_warning=self._heed
        )

    def update_registered_model(self, name: str, description: str | None = None) -> RegisteredModel:
        """Set the description of a model and return the model."""
        return self.registry.update_registered_model(name, description)

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Give a model and all its versions another name and return the model."""
        self._require("rename_registered_model", _MODEL)
        return self.registry.rename_registered_model(name, new_name)

    def delete_registered_model(self, name: str) -> None:
        """Delete a model with all its versions for good."""
        self._require("delete_registered_model", _MODEL)
        self.registry.delete_registered_model(name)

    def set_registered_model_tag(self, name: str, key: str, value: Any) -> None:
        """Set a tag of a model."""
        self.registry.set_registered_model_tag(name, key, value)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a tag of a model."""
        self.registry.delete_registered_model_tag(name, key)

    def set_registered_model_alias(self, name: str, alias: str, version: str | int) -> None:
        """Let an alias mean a version."""
        self._require("set_registered_model_alias", _MODEL)
        self.registry.set_registered_model_alias(name, alias, version)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Delete an alias."""
        self._require("delete_registered_model_alias", _MODEL)
        self.registry.delete_registered_model_alias(name, alias)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias means."""
        self._require("get_model_version_by_alias", _MODEL)
        return self.registry.get_model_version_by_alias(name, alias)

    # Versions

    def create_model_version(
        self,
        name: str,
        source: str | None,
        run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        model_id: str | None = None,
    ) -> ModelVersion:
        """Create the next version of a model and return it."""
        return self.registry.create_model_version(
            name, source, run_id, tags, run_link, description, model_id, find_model=self._find_model
        )

    def get_model_version(self, name: str, version: str | int) -> ModelVersion:
        """Return a version."""
        return self.registry.get_model_version(name, version)

    def get_model_version_download_uri(self, name: str, version: str | int) -> str | None:
        """Return where the files of a version are."""
        return self.registry.get_model_version_download_uri(name, version)

    def get_latest_versions(self, name: str, stages: Iterable[str] | None = None) -> list[ModelVersion]:
        """Return the newest version of each stage, or of each of some stages."""
        return self.registry.get_latest_versions(name, stages, any_case=self._any_case)

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = 10_000,
        order_by: Sequence[str] | None = None,
        page_token: str | bytes | None = None,
    ) -> PagedList[ModelVersion]:
        """Return one page of the versions that a filter finds."""
        return search_model_versions(
            self.registry, filter_string, max_results, order_by, page_token, dialect=self._column, on_warning=self._heed
        )

    def update_model_version(self, name: str, version: str | int, description: str | None = None) -> ModelVersion:
        """Set the description of a version and return the version."""
        self._require("update_model_version", _VERSION)
        return self.registry.update_model_version(name, version, description)

    def transition_model_version_stage(
        self, name: str, version: str | int, stage: str, archive_existing_versions: bool = False
    ) -> ModelVersion:
        """Move a version to a stage and return it."""
        self._require("transition_model_version_stage", _VERSION)
        return self.registry.transition_model_version_stage(
            name, version, stage, archive_existing_versions, any_case=self._any_case
        )

    def delete_model_version(self, name: str, version: str | int) -> None:
        """Delete a version and its aliases."""
        self._require("delete_model_version", _VERSION)
        self.registry.delete_model_version(name, version)

    def set_model_version_tag(self, name: str, version: str | int, key: str, value: Any) -> None:
        """Set a tag of a version."""
        self._require("set_model_version_tag", _VERSION)
        self.registry.set_model_version_tag(name, version, key, value)

    def delete_model_version_tag(self, name: str, version: str | int, key: str) -> None:
        """Delete a tag of a version."""
        self._require("delete_model_version_tag", _VERSION)
        self.registry.delete_model_version_tag(name, version, key)
