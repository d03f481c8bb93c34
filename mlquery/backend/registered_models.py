"""The service's calls about registered models and their versions.

Names, arguments and defaults are those of `mlflow.MlflowClient`, whose own few checks are left to the client.

**Source**: `mlflow.store.model_registry.abstract_store.AbstractStore` of MLflow 3.17.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mlquery.backend.model_folders import folder_of, upload
from mlquery.backend.service import Service, call, call_about
from mlquery.entities import PagedList
from mlquery.entities.registry import ModelVersion, RegisteredModel
from mlquery.errors import NOT_IMPLEMENTED, StoreError
from mlquery.language.plan import Entity
from mlquery.language.prompts import PROMPT_TAG
from mlquery.query.registry import search_registry
from mlquery.registry.sources import FindModel

_MODEL: Final = "registered_model"
_VERSION: Final = "model_version"


ON_SQLITE: Final = (
    "A test that needs it runs on MLflow's own store: mlflow.set_tracking_uri('sqlite:///mlflow.db') in a temporary "
    "folder, inside of a mock with mlquery.mock(passthrough=('sqlite:',))"
)


def not_kept(what: str, instead: str) -> StoreError:
    """Return the error about something that a service of this package does not keep in any dialect."""
    return StoreError(f"mlquery does not keep {what}: {instead}", NOT_IMPLEMENTED)


def outside(what: str, call: str, served: str) -> StoreError:
    """Return the error about a call of MLflow's stores that no service of this package has, with the way out.

    Args:
        what: What the call is about.
        call: Its name.
        served: What does without the call.
    """
    return not_kept(what, f"'{call}' is outside of what {served}. {ON_SQLITE}")


class RegisteredModels(Service):
    """Calls about registered models and their versions."""

    def find_model(self, model_id: str) -> Any:
        """Return a logged model by its id, for versions that are made of one."""
        self.require_endpoint("logged_models", f"/api/2.0/mlflow/logged-models/{model_id}")
        return self.store.get_logged_model(model_id)

    @call
    def create_registered_model(
        self, name: str, tags: Mapping[str, Any] | None = None, description: str | None = None
    ) -> RegisteredModel:
        """Create a model without versions and return it."""
        _require_no_prompt(tags)
        return self.registry.create_registered_model(name, tags, description)

    @call
    def get_registered_model(self, name: str) -> RegisteredModel:
        """Return a model."""
        return self.registry.get_registered_model(name)

    @call
    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = 100,
        order_by: Sequence[str] | None = None,
        page_token: str | bytes | None = None,
    ) -> PagedList[RegisteredModel]:
        """Return one page of the models that match a filter."""
        query = (Entity.REGISTERED_MODEL, filter_string, max_results, order_by, page_token)
        return search_registry(
            self.registry_searched.models(), *query, dialect=self.dialect, on_warning=self.on_warning
        )

    @call
    def update_registered_model(self, name: str, description: str | None = None) -> RegisteredModel:
        """Set the description of a model and return the model."""
        return self.registry.update_registered_model(name, description)

    @call_about(_MODEL)
    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Give a model and all its versions another name and return the model."""
        return self.registry.rename_registered_model(name, new_name)

    @call_about(_MODEL)
    def delete_registered_model(self, name: str) -> None:
        """Delete a model with all its versions for good."""
        self.registry.delete_registered_model(name)

    @call
    def set_registered_model_tag(self, name: str, key: str, value: Any) -> None:
        """Set a tag of a model."""
        self.registry.set_registered_model_tag(name, key, value)

    @call
    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a tag of a model."""
        self.registry.delete_registered_model_tag(name, key)

    @call_about(_MODEL)
    def set_registered_model_alias(self, name: str, alias: str, version: str | int) -> None:
        """Let an alias mean a version."""
        self.registry.set_registered_model_alias(name, alias, version)

    @call_about(_MODEL)
    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Delete an alias."""
        self.registry.delete_registered_model_alias(name, alias)

    @call_about(_MODEL)
    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias means."""
        return self.registry.get_model_version_by_alias(name, alias)

    # Versions

    @call
    def create_model_version(
        self,
        name: str,
        source: str | None,
        run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        model_id: str | None = None,
        *,
        find_model: FindModel | None = None,
        reads_disk: bool = True,
    ) -> ModelVersion:
        """Create the next version of a model and return it; its files stay where they are.

        Only from a folder `file://…` may they be uploaded, where the client of the service does that.

        Args:
            name: A registered model.
            source: Where the files are.
            run_id: The run that created them.
            tags: Tags of the version.
            run_link: A link to the run.
            description: The description of the version.
            model_id: The logged model that it is.
            find_model: Finds a logged model by its id; by default those of the store.
            reads_disk: Whether the disk is that of the caller.

        Raises:
            ModelFolderError: a folder that should be uploaded holds no model, or a run is named as well.
        """
        _require_no_prompt(tags)
        if reads_disk and self.dialect.service.get("uploads_models"):
            folder = folder_of(source, run_id)
            source = source if folder is None else upload(self.store, folder)
        given = (name, source, run_id, tags, run_link, description, model_id)
        return self.registry.create_model_version(*given, find_model=find_model or self.find_model)

    @call
    def get_model_version(self, name: str, version: str | int) -> ModelVersion:
        """Return a version."""
        return self.registry.get_model_version(name, version)

    @call
    def get_model_version_download_uri(self, name: str, version: str | int) -> str | None:
        """Return where the files of a version are."""
        return self.registry.get_model_version_download_uri(name, version)

    @call
    def get_latest_versions(self, name: str, stages: Iterable[str] | None = None) -> list[ModelVersion]:
        """Return the newest version of each stage, or of each of some stages."""
        return self.registry.get_latest_versions(name, stages, any_case=self._takes_any_case)

    @call
    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = 10_000,
        order_by: Sequence[str] | None = None,
        page_token: str | bytes | None = None,
    ) -> PagedList[ModelVersion]:
        """Return one page of the versions that match a filter."""
        query = (Entity.MODEL_VERSION, filter_string, max_results, order_by, page_token)
        return search_registry(
            self.registry_searched.versions(), *query, dialect=self.dialect, on_warning=self.on_warning
        )

    @call_about(_VERSION)
    def update_model_version(self, name: str, version: str | int, description: str | None = None) -> ModelVersion:
        """Set the description of a version and return the version."""
        return self.registry.update_model_version(name, version, description)

    @call_about(_VERSION)
    def transition_model_version_stage(
        self, name: str, version: str | int, stage: str, archive_existing_versions: bool = False
    ) -> ModelVersion:
        """Move a version to a stage and return it."""
        given = (name, version, stage, archive_existing_versions)
        return self.registry.transition_model_version_stage(*given, any_case=self._takes_any_case)

    @call_about(_VERSION)
    def delete_model_version(self, name: str, version: str | int) -> None:
        """Delete a version and its aliases."""
        self.registry.delete_model_version(name, version)

    @call_about(_VERSION)
    def set_model_version_tag(self, name: str, version: str | int, key: str, value: Any) -> None:
        """Set a tag of a version."""
        self.registry.set_model_version_tag(name, version, key, value)

    @call_about(_VERSION)
    def delete_model_version_tag(self, name: str, version: str | int, key: str) -> None:
        """Delete a tag of a version."""
        self.registry.delete_model_version_tag(name, version, key)

    @property
    def _takes_any_case(self) -> bool:
        return self.dialect.behaves("registry.stage.any-case")


def _require_no_prompt(tags: Mapping[str, Any] | None) -> None:
    """Refuse the tags of a prompt, which MLflow keeps as a registered model."""
    if PROMPT_TAG in (tags or ()):
        instead = f"the tag '{PROMPT_TAG}' is outside of what its model registry does. {ON_SQLITE}"
        raise not_kept("prompts", instead)
