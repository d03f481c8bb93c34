"""MLflow's plugin points: what `import mlflow` finds when mlquery is installed.

The builders behind the entry points are in `builders`, which is imported when MLflow asks for one of them.

**Source** of names and arguments: `mlflow.tracking.registry.StoreRegistry` and
`mlflow.store.artifact.artifact_repository_registry` of MLflow 2.16 to 3.17.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from mlquery.mlflow_plugin.releases import supported_mlflow
from mlquery.mlflow_plugin.schemes import ARTIFACT_SCHEME, SCHEME

_BUILDERS: Final = ("artifact_repository", "registry_store", "request_header_provider", "tracking_store")


def register() -> None:
    """Make MLflow know the schemes where mlquery is used from a checkout, without its entry points; else do nothing."""
    with supported_mlflow():
        from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry
        from mlflow.tracking._model_registry.utils import _get_store_registry
        from mlflow.tracking._tracking_service.utils import _tracking_store_registry

    from mlquery.mlflow_plugin.builders import (
        artifact_repository,
        registry_store,
        request_header_provider,
        tracking_store,
    )

    _tracking_store_registry._registry.setdefault(SCHEME, tracking_store)
    _get_store_registry()._registry.setdefault(SCHEME, registry_store)
    _artifact_repository_registry._registry.setdefault(ARTIFACT_SCHEME, artifact_repository)
    request_header_provider()


def __getattr__(name: str) -> Any:
    if name not in _BUILDERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("mlquery.mlflow_plugin.builders"), name)
