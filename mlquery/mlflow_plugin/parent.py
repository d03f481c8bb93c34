"""Lets all of MLflow, in a process that a test has started, lead to the store of that test.

Every tracking and registry URI does from then on, whether it was set before or is set later, but those that name a
store of this package (`mlquery://NAME`) and those that the mock of the test lets through. The time is that of the mock.

**Source**: `get_store` of `mlflow.tracking._tracking_service.registry` and `mlflow.tracking._model_registry.registry`,
`mlflow.utils.time`, of MLflow 3.17.
"""

from __future__ import annotations

from typing import Any, Final

from mlquery.backend.remote import RemoteBackend, parent_backend
from mlquery.errors import StoreError
from mlquery.mlflow_plugin import uris
from mlquery.mlflow_plugin.schemes import SCHEME

URI: Final = f"{SCHEME}://"


def join() -> RemoteBackend | None:
    """Let MLflow, which is imported, work on the store of the test that has started this process, if one has."""
    backend = parent_backend()
    if backend is not None:
        remote: Any = backend
        uris.put_private(remote)
        _redirect(backend)
        _follow_clock(backend)
    return backend


def _redirect(backend: RemoteBackend) -> None:
    from mlflow.tracking._model_registry.registry import ModelRegistryStoreRegistry
    from mlflow.tracking._tracking_service.registry import TrackingStoreRegistry

    def led(uri: str | None) -> str:
        if uri is not None and (uri.startswith(f"{SCHEME}:") or uri.startswith(_passthrough(backend))):
            return uri
        return URI

    get_tracking_store, get_registry_store = TrackingStoreRegistry.get_store, ModelRegistryStoreRegistry.get_store

    def tracking_store(self: Any, store_uri: str | None = None, artifact_uri: str | None = None) -> Any:
        from mlflow.tracking._tracking_service.utils import _resolve_tracking_uri

        if type(self) is not TrackingStoreRegistry:  # that of an MLflow server, which has a store of its own
            return get_tracking_store(self, store_uri, artifact_uri)
        return self._get_store_with_resolved_uri(led(_resolve_tracking_uri(store_uri)), artifact_uri)

    def registry_store(self: Any, store_uri: str | None = None, tracking_uri: str | None = None) -> Any:
        from mlflow.tracking._model_registry.utils import _resolve_registry_uri
        from mlflow.tracking._tracking_service.utils import _resolve_tracking_uri

        if type(self) is not ModelRegistryStoreRegistry:
            return get_registry_store(self, store_uri, tracking_uri)
        uri = led(_resolve_registry_uri(store_uri, tracking_uri))
        return self._get_store_with_resolved_uri(uri, led(_resolve_tracking_uri(tracking_uri)))

    for registry, get_store in (
        (TrackingStoreRegistry, tracking_store),
        (ModelRegistryStoreRegistry, registry_store),
    ):
        setattr(registry, "get_store", get_store)  # noqa: B010  # a method of MLflow


def _passthrough(backend: RemoteBackend) -> tuple[str, ...]:
    """Return how the URIs begin that the mock lets through."""
    from mlquery.mlflow_plugin.exceptions import as_mlflow

    try:
        prefixes: tuple[str, ...] = backend.request("passthrough")
    except StoreError as error:
        raise as_mlflow(error) from error
    return prefixes


def _follow_clock(backend: RemoteBackend) -> None:
    import mlflow.utils.time as mlflow_time

    from mlquery.mlflow_plugin.times import NotedTime

    setattr(mlflow_time, "time", NotedTime(lambda: _time(backend)))  # noqa: B010


def _time(backend: RemoteBackend) -> int:
    """Return the time of MLflow in the process of the test, in ms UTC."""
    from mlquery.mlflow_plugin.exceptions import as_mlflow

    try:
        seconds: float = backend.request("time")
    except StoreError as error:
        raise as_mlflow(error) from error
    return int(seconds * 1000)
