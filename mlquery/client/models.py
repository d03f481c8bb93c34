"""The calls of `MlflowClient` about logged models, registered models and their versions.

**Source** of arguments, defaults and checks: `mlflow.MlflowClient` of MLflow 3.17.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Final, Literal

from mlquery.backend import Backend
from mlquery.client import files
from mlquery.client.tracking import log_local
from mlquery.entities import FileInfo, PagedList, Param, RunTag
from mlquery.entities.logged_models import LoggedModel, LoggedModelStatus
from mlquery.entities.registry import STAGES, ModelVersion, RegisteredModel
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.language.prompts import PROMPT_TAG
from mlquery.registry.sources import parse_model_uri
from mlquery.registry.validation import LATEST

_WAIT: Final = 300
_MOST_MODELS: Final = 100
_MOST_VERSIONS: Final = 10_000


class LoggedModelCalls:
    """The calls of a client about logged models."""

    backend: Backend

    def create_logged_model(
        self,
        experiment_id: str,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        model_type: str | None = None,
    ) -> LoggedModel:
        """Create a pending model in an experiment and return it; the name is by default made up."""
        own_tags = [RunTag(key, str(value)) for key, value in (tags or {}).items()]
        own_params = [Param(key, str(value)) for key, value in (params or {}).items()]
        model: LoggedModel = self.backend.create_logged_model(
            experiment_id, name, source_run_id, own_tags, own_params, model_type
        )
        return model

    def log_model_params(self, model_id: str, params: dict[str, str]) -> None:
        """Add params to a model; a param that is logged cannot be changed."""
        self._require_model(model_id, "log parameters to a Registered Model Version, this is not supported.")
        self.backend.log_logged_model_params(model_id, [Param(key, str(value)) for key, value in params.items()])

    def finalize_logged_model(
        self, model_id: str, status: Literal["READY", "FAILED"] | LoggedModelStatus
    ) -> LoggedModel:
        """Say how the logging of a model ended, and return the model."""
        _require_id(model_id)
        model: LoggedModel = self.backend.finalize_logged_model(model_id, LoggedModelStatus(status).to_int())
        return model

    def get_logged_model(self, model_id: str) -> LoggedModel:
        """Return a model."""
        _require_id(model_id)
        model: LoggedModel = self.backend.get_logged_model(model_id)
        return model

    def delete_logged_model(self, model_id: str) -> None:
        """Delete a model."""
        _require_id(model_id)
        self.backend.delete_logged_model(model_id)

    def set_logged_model_tags(self, model_id: str, tags: dict[str, Any]) -> None:
        """Set tags of a model."""
        self._require_model(model_id, "set tags on a Registered Model Version, use `set_model_version_tag` instead.")
        self.backend.set_logged_model_tags(model_id, [RunTag(key, str(value)) for key, value in tags.items()])

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """Delete a tag of a model."""
        _require_id(model_id)
        self.backend.delete_logged_model_tag(model_id, key)

    def log_model_artifact(self, model_id: str, local_path: str, artifact_path: str | None = None) -> None:
        """Store a local file with a model, below the folder `artifact_path`."""
        self.get_logged_model(model_id)
        log_local(self.backend, model_id, local_path, artifact_path)

    def log_model_artifacts(self, model_id: str, local_dir: str, artifact_path: str | None = None) -> None:
        """Store the contents of a local folder with a model, below the folder `artifact_path`."""
        self.get_logged_model(model_id)
        files.require_plain(artifact_path)
        self.backend.log_artifacts(model_id, files.files_below(local_dir, artifact_path))

    def list_logged_model_artifacts(self, model_id: str, path: str | None = None) -> list[FileInfo]:
        """Return the files and folders in a folder of a model's artifacts, sorted by path."""
        self.get_logged_model(model_id)
        return self.backend.list_artifacts(model_id, files.folder_of(path))

    def search_logged_models(
        self,
        experiment_ids: list[str],
        filter_string: str | None = None,
        datasets: list[dict[str, Any]] | None = None,
        max_results: int | None = None,
        order_by: list[dict[str, Any]] | None = None,
        page_token: str | None = None,
    ) -> PagedList[LoggedModel]:
        """Return one page of the models that match a filter, by default the newest first."""
        if not isinstance(experiment_ids, list) or not all(isinstance(one, str) for one in experiment_ids):
            raise invalid_parameter(f"experiment_ids must be a list of strings, got {type(experiment_ids)}")
        return self.backend.search_logged_models(
            experiment_ids, filter_string, datasets, max_results, order_by, page_token
        )

    def _require_model(self, model_id: str, hint: str) -> None:
        """Raise INVALID_PARAMETER_VALUE if a model cannot be read, as MLflow's client does before it writes."""
        _require_id(model_id)
        try:
            self.backend.get_logged_model(model_id)
        except Exception as error:
            raise invalid_parameter(
                f"Failed to get logged model with ID {model_id}. You may not have access to the logged model, "
                f"or the logged model may have been deleted. If you are attempting to {hint}"
            ) from error


def _require_id(model_id: str) -> None:
    if not model_id:
        raise invalid_parameter(f"`model_id` must be a non-empty string, but got {model_id!r}")


class RegistryCalls:
    """The calls of a client about registered models and their versions."""

    backend: Backend

    # Registered models

    def create_registered_model(
        self,
        name: str,
        tags: dict[str, Any] | None = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> RegisteredModel:
        """Create a model without versions and return it; there are no deployment jobs."""
        return self.backend.create_registered_model(name, _own_tags(tags), description)

    def get_registered_model(self, name: str) -> RegisteredModel:
        """Return a model."""
        return self.backend.get_registered_model(name)

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = _MOST_MODELS,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[RegisteredModel]:
        """Return one page of the models that match a filter, by default sorted by name."""
        return self.backend.search_registered_models(filter_string, max_results, order_by, page_token)

    def update_registered_model(
        self, name: str, description: str | None = None, deployment_job_id: str | None = None
    ) -> RegisteredModel:
        """Set the description of a model and return the model; there are no deployment jobs."""
        self._require_registered(name)
        return self.backend.update_registered_model(name, description)

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Give a model and all its versions another name and return the model."""
        if isinstance(new_name, str) and not new_name.strip():
            raise StoreError("The name must not be an empty string.")
        self._require_registered(name)
        return self.backend.rename_registered_model(name, new_name)

    def delete_registered_model(self, name: str) -> None:
        """Delete a model with all its versions for good."""
        self._require_registered(name)
        self.backend.delete_registered_model(name)

    def set_registered_model_tag(self, name: str, key: str, value: Any) -> None:
        """Set a tag of a model; the value is stored as a string."""
        self._require_registered(name)
        self.backend.set_registered_model_tag(name, key, str(value))

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a tag of a model."""
        self._require_registered(name)
        self.backend.delete_registered_model_tag(name, key)

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Let an alias mean a version."""
        self._require_registered(name)
        self.backend.set_registered_model_alias(name, alias, version)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Delete an alias."""
        self._require_registered(name)
        self.backend.delete_registered_model_alias(name, alias)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias means."""
        return self.backend.get_model_version_by_alias(name, alias)

    def get_latest_versions(self, name: str, stages: list[str] | None = None) -> list[ModelVersion]:
        """Return the newest version of each stage, or of each of some stages."""
        self._require_registered(name)
        return self.backend.get_latest_versions(name, stages)

    # Versions

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: dict[str, Any] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        await_creation_for: int = _WAIT,
        model_id: str | None = None,
    ) -> ModelVersion:
        """Create the next version of a model and return it; it is ready at once."""
        return self.backend.create_model_version(name, source, run_id, _own_tags(tags), run_link, description, model_id)

    def copy_model_version(self, src_model_uri: str, dst_name: str) -> ModelVersion:
        """Make a version of another model, created if it is missing, of a version given as "models:/name/1".

        Raises:
            StoreError: the source is not a version that exists.
        """
        if not src_model_uri.startswith("models:"):
            raise StoreError(
                f"Unsupported source model URI: '{src_model_uri}'. The `copy_model_version` API only copies models "
                "stored in the 'models:/' scheme."
            )
        try:
            found = self._version_of(src_model_uri)
        except StoreError as error:
            raise StoreError(
                f"Failed to fetch model version from source model URI: '{src_model_uri}'. Error: {error}"
            ) from error
        try:
            self.backend.create_registered_model(dst_name)
        except StoreError as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source, tags = f"models:/{found.name}/{found.version}", dict(found.tags)
        return self.backend.create_model_version(
            dst_name, source, found.run_id, tags, found.run_link, found.description
        )

    def get_model_version(self, name: str, version: str) -> ModelVersion:
        """Return a version."""
        return self.backend.get_model_version(name, version)

    def get_model_version_download_uri(self, name: str, version: str) -> str | None:
        """Return where the files of a version are."""
        self._require_registered(name)
        return self.backend.get_model_version_download_uri(name, version)

    def get_model_version_stages(self, name: str, version: str) -> list[str]:
        """Return all stages that a version can be in."""
        return list(STAGES)

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = _MOST_VERSIONS,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[ModelVersion]:
        """Return one page of the versions that match a filter, by default those that changed last first."""
        return self.backend.search_model_versions(filter_string, max_results, order_by, page_token)

    def update_model_version(self, name: str, version: str, description: str | None = None) -> ModelVersion:
        """Set the description of a version and return the version."""
        if description is None:
            raise StoreError("Attempting to update model version with no new field values.")
        self._require_registered(name)
        return self.backend.update_model_version(name, version, description)

    def transition_model_version_stage(
        self, name: str, version: str, stage: str, archive_existing_versions: bool = False
    ) -> ModelVersion:
        """Move a version to a stage and return it."""
        if isinstance(stage, str) and not stage.strip():
            raise StoreError("The stage must not be an empty string.")
        self._require_registered(name)
        return self.backend.transition_model_version_stage(name, version, stage, archive_existing_versions)

    def delete_model_version(self, name: str, version: str) -> None:
        """Delete a version and its aliases."""
        self._require_registered(name)
        self.backend.delete_model_version(name, version)

    def set_model_version_tag(
        self,
        name: str,
        version: str | None = None,
        key: str | None = None,
        value: Any = None,
        stage: str | None = None,
    ) -> None:
        """Set a tag of a version, or of the newest version of a stage; the value is stored as a string."""
        number = self._number("set_model_version_tag", name, version, stage)
        self.backend.set_model_version_tag(name, number, key or "", str(value))

    def delete_model_version_tag(
        self, name: str, version: str | None = None, key: str | None = None, stage: str | None = None
    ) -> None:
        """Delete a tag of a version, or of the newest version of a stage."""
        number = self._number("delete_model_version_tag", name, version, stage)
        self.backend.delete_model_version_tag(name, number, key or "")

    def _require_registered(self, name: str) -> None:
        """Raise RESOURCE_DOES_NOT_EXIST if there is no such model, as MLflow's client does before it goes on."""
        self.backend.get_registered_model(name)

    def _number(self, call: str, name: str, version: str | int | None, stage: str | None) -> str | int:
        """Return the version that is meant; exactly one of version and stage is given."""
        if version and stage:
            raise invalid_parameter("version and stage cannot be set together")
        if not (version or stage):
            raise invalid_parameter("version or stage must be set")
        self._require_registered(name)
        if not stage:
            return version  # type: ignore[return-value]  # not both are missing
        message = f"The `stage` parameter of the `{call}` API is deprecated. Model registry stages will be removed."
        warnings.warn(message, FutureWarning, stacklevel=3)
        latest = self.get_latest_versions(name, [stage])
        if not latest:
            raise StoreError(f"Could not find any model version for {stage} stage")
        return latest[0].version

    def _version_of(self, model_uri: str) -> ModelVersion:
        """Return the version that a URI names by number, stage, alias or "latest"."""
        uri = parse_model_uri(model_uri)
        if uri.alias is not None:
            return self.backend.get_model_version_by_alias(uri.name, uri.alias)
        if uri.suffix is None:
            raise StoreError(f"'{model_uri}' names a logged model, not a version of a registered one")
        if uri.suffix.isdigit():
            return self.backend.get_model_version(uri.name, uri.suffix)
        latest = self.backend.get_latest_versions(uri.name, None if uri.suffix.lower() == LATEST else [uri.suffix])
        if not latest:
            message = f"No versions of model with name '{uri.name}' and stage '{uri.suffix}' found"
            raise StoreError(message, RESOURCE_DOES_NOT_EXIST)
        return max(latest, key=lambda found: found.version)


def _own_tags(tags: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return tags with their values as strings; refuse those of a prompt."""
    if PROMPT_TAG in (tags or ()):
        raise invalid_parameter("Prompts cannot be registered as models.")
    return None if tags is None else {key: str(value) for key, value in tags.items()}
