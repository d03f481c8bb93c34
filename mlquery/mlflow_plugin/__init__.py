"""MLflow's plugin points: what `import mlflow` finds when mlquery is installed.

Each function is the builder behind one entry point and imports the room it builds from when it is first called, so that
an `import mlflow` that uses another store pays nothing. Where the installed MLflow is too old or too new for that room,
they raise an ImportError that says so.

**Source** of names and arguments: `mlflow.tracking.registry.StoreRegistry` and
`mlflow.store.artifact.artifact_repository_registry` of MLflow 2.16 to 3.17.
"""

from __future__ import annotations

from typing import Any

from mlquery.mlflow_plugin.releases import supported_mlflow
from mlquery.mlflow_plugin.schemes import ARTIFACT_SCHEME, SCHEME


def tracking_store(store_uri: str, artifact_uri: str | None = None) -> Any:
    """Return the tracking store of a URI such as "mlquery://team"; `artifact_uri` is not needed."""
    with supported_mlflow():
        from mlquery.mlflow_plugin.tracking import TrackingStore

    return TrackingStore(store_uri, artifact_uri)  # type: ignore[abstract]  # the rest is refused, see tracking


def registry_store(store_uri: str, tracking_uri: str | None = None) -> Any:
    """Return the model registry of a URI such as "mlquery://team"."""
    with supported_mlflow():
        from mlquery.mlflow_plugin.registry import RegistryStore

    return RegistryStore(store_uri, tracking_uri)


def artifact_repository(artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> Any:
    """Return the repository of an artifact location such as "mlquery-artifacts:0/<run id>/artifacts"."""
    with supported_mlflow():
        from mlquery.mlflow_plugin.artifacts import StoreArtifactRepository

    return StoreArtifactRepository(artifact_uri, tracking_uri, registry_uri)


def register() -> None:
    """Make MLflow know the schemes where mlquery is used from a checkout, without its entry points; else do nothing."""
    with supported_mlflow():
        from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry
        from mlflow.tracking._model_registry.utils import _get_store_registry
        from mlflow.tracking._tracking_service.utils import _tracking_store_registry

    _tracking_store_registry._registry.setdefault(SCHEME, tracking_store)
    _get_store_registry()._registry.setdefault(SCHEME, registry_store)
    _artifact_repository_registry._registry.setdefault(ARTIFACT_SCHEME, artifact_repository)
