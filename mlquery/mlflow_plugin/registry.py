"""The model registry that `mlflow.set_registry_uri("mlquery://…")` means: MLflow's calls as calls of a backend.

It holds URIs and nothing else, see `uris`. Prompts, webhooks and whatever else MLflow's registries can do is refused by
name: those methods are found in MLflow's classes, so that none is missing silently when MLflow grows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec

from mlflow.entities import model_registry as mlflow_entities
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry.abstract_store import AbstractStore
from mlflow.store.model_registry.rest_store import RestStore
from mlflow.tracking import MlflowClient

from mlquery import entities
from mlquery.backend import Backend
from mlquery.backend.registered_models import outside
from mlquery.entities.registry import ModelVersion, RegisteredModel
from mlquery.mlflow_plugin.calls import backend_of, other_methods, served
from mlquery.mlflow_plugin.exceptions import as_mlflow

P = ParamSpec("P")
Tags = Sequence[Any] | None


def _served(
    method: Callable[Concatenate[RegistryStore, Backend, P], Any],
) -> Callable[Concatenate[RegistryStore, P], Any]:
    """Make a call of the store out of a method that takes the backend; its answer becomes MLflow's entities."""

    @wraps(method)
    def converted(self: RegistryStore, backend: Backend, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        # A service sends numbers of versions as strings, MLflow's own store returns integers.
        return _converted(method(self, backend, *args, **kwargs), str if backend.dialect.service else int)

    return served(converted)


def _forwarded(call: Callable[..., Any]) -> Callable[..., Any]:
    """Make a call of the store out of a call of the backend that has the same arguments."""
    name = call.__name__

    @wraps(call)
    def method(self: RegistryStore, backend: Backend, /, *args: Any, **kwargs: Any) -> Any:
        return getattr(backend, name)(*args, **kwargs)

    return _served(method)


class RegistryStore(AbstractStore):
    """A model registry in memory.

    Args:
        store_uri: What to work on, "mlquery://NAME?dialect=azure" or less: the registry in the store of that URI.
        tracking_uri: Where logged models are found, for versions that are made of one.

    Raises:
        MlflowException: The URI means nothing.
    """

    def __init__(self, store_uri: str = "mlquery://", tracking_uri: str | None = None) -> None:
        super().__init__(store_uri, tracking_uri)
        self.uri, self.tracking_uri = store_uri, tracking_uri
        backend_of(store_uri)

    def __repr__(self) -> str:
        return f"<RegistryStore: {self.uri!r}>"

    # Registered models

    @_served
    def create_registered_model(
        self,
        backend: Backend,
        name: str,
        tags: Tags = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> RegisteredModel:
        """Create a model without versions and return it; there are no deployment jobs."""
        return backend.create_registered_model(name, _by_key(tags), description)

    @_served
    def update_registered_model(
        self, backend: Backend, name: str, description: str | None, deployment_job_id: str | None = None
    ) -> RegisteredModel:
        """Set the description of a model and return the model; there are no deployment jobs."""
        return backend.update_registered_model(name, description)

    @_served
    def set_registered_model_tag(self, backend: Backend, name: str, tag: mlflow_entities.RegisteredModelTag) -> None:
        """Set a tag of a model."""
        backend.set_registered_model_tag(name, tag.key, tag.value)

    get_registered_model = _forwarded(Backend.get_registered_model)
    search_registered_models = _forwarded(Backend.search_registered_models)
    rename_registered_model = _forwarded(Backend.rename_registered_model)
    delete_registered_model = _forwarded(Backend.delete_registered_model)
    delete_registered_model_tag = _forwarded(Backend.delete_registered_model_tag)
    set_registered_model_alias = _forwarded(Backend.set_registered_model_alias)
    delete_registered_model_alias = _forwarded(Backend.delete_registered_model_alias)
    get_model_version_by_alias = _forwarded(Backend.get_model_version_by_alias)

    # Versions

    @_served
    def create_model_version(
        self,
        backend: Backend,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Tags = None,
        run_link: str | None = None,
        description: str | None = None,
        local_model_path: str | None = None,
        model_id: str | None = None,
    ) -> ModelVersion:
        """Create the next version of a model and return it; its files stay where they are."""
        given = (name, source, run_id, _by_key(tags), run_link, description, model_id)
        return backend.create_model_version(*given, find_model=self._find_model)

    @_served
    def set_model_version_tag(
        self, backend: Backend, name: str, version: str, tag: mlflow_entities.ModelVersionTag
    ) -> None:
        """Set a tag of a version."""
        backend.set_model_version_tag(name, version, tag.key, tag.value)

    get_model_version = _forwarded(Backend.get_model_version)
    get_model_version_download_uri = _forwarded(Backend.get_model_version_download_uri)
    get_latest_versions = _forwarded(Backend.get_latest_versions)
    search_model_versions = _forwarded(Backend.search_model_versions)
    update_model_version = _forwarded(Backend.update_model_version)
    transition_model_version_stage = _forwarded(Backend.transition_model_version_stage)
    delete_model_version = _forwarded(Backend.delete_model_version)
    delete_model_version_tag = _forwarded(Backend.delete_model_version_tag)

    def _find_model(self, model_id: str) -> Any:
        """Return a logged model of the tracking store."""
        return MlflowClient(self.tracking_uri).get_logged_model(model_id)

    def _await_model_version_creation(self, mv: mlflow_entities.ModelVersion, await_creation_for: float) -> None:
        """Do nothing: a version is ready when it is created."""


def _by_key(tags: Tags) -> dict[str, Any]:
    return {tag.key: tag.value for tag in tags or ()}


def _converted(found: Any, version_type: Callable[[int], Any]) -> Any:
    """Return MLflow's entities for those of this package; `version_type` is the type of a version's number."""
    match found:
        case RegisteredModel():
            return _model(found, version_type)
        case ModelVersion():
            return _version(found, version_type)
        case entities.PagedList():
            return PagedList([_converted(item, version_type) for item in found], found.token)
        case list():
            return [_converted(item, version_type) for item in found]
    return found


def _model(found: RegisteredModel, version_type: Callable[[int], Any]) -> mlflow_entities.RegisteredModel:
    return mlflow_entities.RegisteredModel(
        found.name,
        found.creation_timestamp,
        found.last_updated_timestamp,
        found.description,
        [_version(version, version_type) for version in found.latest_versions],
        [mlflow_entities.RegisteredModelTag(key, value) for key, value in found.tags.items()],
        [mlflow_entities.RegisteredModelAlias(alias, version_type(number)) for alias, number in found.aliases.items()],
    )


def _version(found: ModelVersion, version_type: Callable[[int], Any]) -> mlflow_entities.ModelVersion:
    return mlflow_entities.ModelVersion(
        found.name,
        version_type(found.version),
        found.creation_timestamp,
        found.last_updated_timestamp,
        found.description,
        found.user_id,
        found.current_stage,
        found.source,
        found.run_id,
        found.status,
        found.status_message,
        [mlflow_entities.ModelVersionTag(key, value) for key, value in found.tags.items()],
        found.run_link,
        list(found.aliases),
    )


# Of MLflow's own methods these need nothing but the calls above, or say what a store does not have.
_INHERITED: Final = frozenset(("copy_model_version", "supports_workspaces"))


def _refusal(name: str) -> Callable[..., Any]:
    subject = next((f"{word}s" for word in ("prompt", "webhook") if word in name), "other entities")

    def refuse(self: RegistryStore, *args: Any, **kwargs: Any) -> Any:
        raise as_mlflow(outside(subject, name, "its model registry does"))

    refuse.__name__ = name
    refuse.__doc__ = f"Refuse: this registry does not keep {subject}."
    return refuse


REFUSED: Final = tuple(
    name for name in other_methods(RegistryStore, AbstractStore, RestStore) if name not in _INHERITED
)
for _name in REFUSED:
    setattr(RegistryStore, _name, _refusal(_name))
