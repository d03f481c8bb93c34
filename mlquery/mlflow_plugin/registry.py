"""The model registry that `mlflow.set_registry_uri("mlquery://…")` means: MLflow's calls, answered from memory.

It holds URIs and nothing else, see `uris`; the registry of a URI is made when it is first asked for. Prompts, webhooks
and whatever else MLflow's registries can do is refused by name: those methods are found in MLflow's classes, so that
none is missing silently when MLflow grows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec

from mlflow.entities import model_registry as theirs
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import NOT_IMPLEMENTED
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry.abstract_store import AbstractStore
from mlflow.store.model_registry.rest_store import RestStore
from mlflow.tracking import MlflowClient

from mlquery.backend.registry_client import RegistryClient
from mlquery.entities import PagedList as OurPagedList
from mlquery.entities.registry import ModelVersion, RegisteredModel
from mlquery.errors import QueryError, StoreError
from mlquery.language.matrix import DEFAULT_DIALECT, MATRIX
from mlquery.language.prompts import PROMPT_TAG
from mlquery.mlflow_plugin.errors import as_mlflow
from mlquery.mlflow_plugin.tracking_calls import on_warning
from mlquery.mlflow_plugin.uris import State, store_for
from mlquery.registry import Registry

P = ParamSpec("P")
Tags = Sequence[Any] | None
_LOOKS: Final = ("get_", "search_")  # how the names of calls begin that write nothing


def registry_of(state: State, call: str = "") -> Registry:
    """Return the registry of a state, made now if there is none yet; it keeps the time of the state's store.

    A store on disk has none: whoever looks there, as MLflow's UI does on the page of a run, finds nothing.

    Raises:
        MlflowException: the call would write to a store on disk, where registered models would be lost.
    """
    is_on_disk = hasattr(state.store, "close")
    if is_on_disk and not call.startswith(_LOOKS):
        raise _not_kept("registered models on disk", "set a registry in memory: mlflow.set_registry_uri('mlquery://')")
    if state.registry is None:
        with state.store.lock:
            state.registry = state.registry or Registry()
    registry: Registry = state.registry
    registry.clock = state.store.clock
    return registry


def _served(
    method: Callable[Concatenate[RegistryStore, RegistryClient, P], Any],
) -> Callable[Concatenate[RegistryStore, P], Any]:
    """Make a call of the store out of a method that takes a client and returns our values; see `tracking_calls`."""
    name = method.__name__

    @wraps(method)
    def call(self: RegistryStore, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        state = self.state
        try:
            state.faults.before(name)
            client = RegistryClient(registry_of(state, name), state.column, self.find_model, on_warning)
            # A service sends numbers of versions as texts, MLflow's own store returns numbers.
            return _theirs(method(self, client, *args, **kwargs), str if state.column.service else int)
        except (QueryError, StoreError) as error:
            raise as_mlflow(error, state.column, state.store.clock()) from error

    del call.__wrapped__  # its signature has the client in it
    return call


class RegistryStore(AbstractStore):
    """A model registry in memory.

    Args:
        store_uri: What to work on, "mlquery://NAME?dialect=azure" or less: the registry beside the runs of that URI.
        tracking_uri: Where logged models are found, for versions that are made of one.
    """

    def __init__(self, store_uri: str = "mlquery://", tracking_uri: str | None = None) -> None:
        super().__init__(store_uri, tracking_uri)
        self.uri, self.tracking_uri = store_uri, tracking_uri
        assert self.state

    def __repr__(self) -> str:
        return f"<RegistryStore: {self.uri!r}>"

    @property
    def state(self) -> State:
        """Return what the URI means now; raise MlflowException if it means nothing."""
        try:
            return store_for(self.uri)
        except StoreError as error:
            raise as_mlflow(error, MATRIX.dialect(DEFAULT_DIALECT), 0) from error

    def find_model(self, model_id: str) -> Any:
        """Return a logged model of the tracking store."""
        return MlflowClient(self.tracking_uri).get_logged_model(model_id)

    @_served
    def create_registered_model(
        self,
        client: RegistryClient,
        name: str,
        tags: Tags = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> RegisteredModel:
        """Create a model without versions and return it; there are no deployment jobs."""
        return client.create_registered_model(name, _dict(tags), description)

    @_served
    def update_registered_model(
        self, client: RegistryClient, name: str, description: str | None, deployment_job_id: str | None = None
    ) -> RegisteredModel:
        """Set the description of a model and return the model; there are no deployment jobs."""
        return client.update_registered_model(name, description)

    @_served
    def rename_registered_model(self, client: RegistryClient, name: str, new_name: str) -> RegisteredModel:
        """Give a model and all its versions another name and return the model."""
        return client.rename_registered_model(name, new_name)

    @_served
    def delete_registered_model(self, client: RegistryClient, name: str) -> None:
        """Delete a model with all its versions for good."""
        client.delete_registered_model(name)

    @_served
    def get_registered_model(self, client: RegistryClient, name: str) -> RegisteredModel:
        """Return a model."""
        return client.get_registered_model(name)

    @_served
    def search_registered_models(
        self,
        client: RegistryClient,
        filter_string: str | None = None,
        max_results: int = 100,
        order_by: list[str] | None = None,
        page_token: str | bytes | None = None,
    ) -> OurPagedList[RegisteredModel]:
        """Return one page of the models that a filter finds."""
        return client.search_registered_models(filter_string, max_results, order_by, page_token)

    @_served
    def set_registered_model_tag(self, client: RegistryClient, name: str, tag: theirs.RegisteredModelTag) -> None:
        """Set a tag of a model."""
        client.set_registered_model_tag(name, tag.key, tag.value)

    @_served
    def delete_registered_model_tag(self, client: RegistryClient, name: str, key: str) -> None:
        """Delete a tag of a model."""
        client.delete_registered_model_tag(name, key)

    @_served
    def set_registered_model_alias(self, client: RegistryClient, name: str, alias: str, version: str) -> None:
        """Let an alias mean a version."""
        client.set_registered_model_alias(name, alias, version)

    @_served
    def delete_registered_model_alias(self, client: RegistryClient, name: str, alias: str) -> None:
        """Delete an alias."""
        client.delete_registered_model_alias(name, alias)

    @_served
    def get_model_version_by_alias(self, client: RegistryClient, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias means."""
        return client.get_model_version_by_alias(name, alias)

    @_served
    def create_model_version(
        self,
        client: RegistryClient,
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
        return client.create_model_version(name, source, run_id, _dict(tags), run_link, description, model_id)

    @_served
    def get_model_version(self, client: RegistryClient, name: str, version: str) -> ModelVersion:
        """Return a version."""
        return client.get_model_version(name, version)

    @_served
    def get_model_version_download_uri(self, client: RegistryClient, name: str, version: str) -> str | None:
        """Return where the files of a version are."""
        return client.get_model_version_download_uri(name, version)

    @_served
    def get_latest_versions(
        self, client: RegistryClient, name: str, stages: list[str] | None = None
    ) -> list[ModelVersion]:
        """Return the newest version of each stage, or of each of some stages."""
        return client.get_latest_versions(name, stages)

    @_served
    def search_model_versions(
        self,
        client: RegistryClient,
        filter_string: str | None = None,
        max_results: int = 10_000,
        order_by: list[str] | None = None,
        page_token: str | bytes | None = None,
    ) -> OurPagedList[ModelVersion]:
        """Return one page of the versions that a filter finds."""
        return client.search_model_versions(filter_string, max_results, order_by, page_token)

    @_served
    def update_model_version(
        self, client: RegistryClient, name: str, version: str, description: str | None = None
    ) -> ModelVersion:
        """Set the description of a version and return the version."""
        return client.update_model_version(name, version, description)

    @_served
    def transition_model_version_stage(
        self, client: RegistryClient, name: str, version: str, stage: str, archive_existing_versions: bool
    ) -> ModelVersion:
        """Move a version to a stage and return it."""
        return client.transition_model_version_stage(name, version, stage, archive_existing_versions)

    @_served
    def delete_model_version(self, client: RegistryClient, name: str, version: str) -> None:
        """Delete a version and its aliases."""
        client.delete_model_version(name, version)

    @_served
    def set_model_version_tag(
        self, client: RegistryClient, name: str, version: str, tag: theirs.ModelVersionTag
    ) -> None:
        """Set a tag of a version."""
        client.set_model_version_tag(name, version, tag.key, tag.value)

    @_served
    def delete_model_version_tag(self, client: RegistryClient, name: str, version: str, key: str) -> None:
        """Delete a tag of a version."""
        client.delete_model_version_tag(name, version, key)

    def _await_model_version_creation(self, mv: theirs.ModelVersion, await_creation_for: float) -> None:
        """Do nothing: a version is ready when it is there."""


def _not_kept(what: str, advice: str) -> MlflowException:
    return MlflowException(f"mlquery does not keep {what}: {advice}", NOT_IMPLEMENTED)


def _dict(tags: Tags) -> dict[str, Any]:
    """Return tags by key; raise MlflowException for those of a prompt, which MLflow keeps as a registered model."""
    found = {tag.key: tag.value for tag in tags or ()}
    if PROMPT_TAG in found:
        raise _not_kept("prompts", f"the tag '{PROMPT_TAG}' is outside of what its model registry does")
    return found


def _theirs(found: Any, written: Callable[[int], Any]) -> Any:
    """Return what MLflow returns in place of our value; `written` makes a number of a version what it shall be."""
    match found:
        case RegisteredModel():
            return _model(found, written)
        case ModelVersion():
            return _version(found, written)
        case OurPagedList():
            return PagedList([_theirs(item, written) for item in found], found.token)
        case list():
            return [_theirs(item, written) for item in found]
    return found


def _model(found: RegisteredModel, written: Callable[[int], Any]) -> theirs.RegisteredModel:
    return theirs.RegisteredModel(
        found.name,
        found.creation_timestamp,
        found.last_updated_timestamp,
        found.description,
        [_version(version, written) for version in found.latest_versions],
        [theirs.RegisteredModelTag(key, value) for key, value in found.tags.items()],
        [theirs.RegisteredModelAlias(alias, written(number)) for alias, number in found.aliases.items()],
    )


def _version(found: ModelVersion, written: Callable[[int], Any]) -> theirs.ModelVersion:
    return theirs.ModelVersion(
        found.name,
        written(found.version),
        found.creation_timestamp,
        found.last_updated_timestamp,
        found.description,
        found.user_id,
        found.current_stage,
        found.source,
        found.run_id,
        found.status,
        found.status_message,
        [theirs.ModelVersionTag(key, value) for key, value in found.tags.items()],
        found.run_link,
        list(found.aliases),
    )


# Of MLflow's own methods these need nothing but the calls above, or say what a store does not have.
_INHERITED: Final = frozenset(("copy_model_version", "supports_workspaces"))


def _others() -> Iterator[str]:
    """Yield every method of MLflow's registries that this one does not have."""
    for name in sorted({*dir(AbstractStore), *dir(RestStore)}):
        if not name.startswith("_") and name not in _INHERITED and name not in vars(RegistryStore):
            yield name


def _refusal(name: str) -> Callable[..., Any]:
    subject = next((f"{word}s" for word in ("prompt", "webhook") if word in name), "what this call is about")

    def refuse(self: RegistryStore, *args: Any, **kwargs: Any) -> Any:
        raise _not_kept(subject, f"'{name}' is outside of what its model registry does")

    refuse.__name__ = name
    refuse.__doc__ = f"Refuse: this registry does not keep {subject}."
    return refuse


REFUSED: Final = tuple(_others())
for _name in REFUSED:
    setattr(RegistryStore, _name, _refusal(_name))
