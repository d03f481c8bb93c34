"""The builders behind MLflow's plugin points, imported when `import mlflow` looks for plugins.

Each imports the room it builds from when it is first called, so that an `import mlflow` that uses another store pays
nothing; where the installed MLflow is too old or too new for that room, it raises an ImportError that says so. In a
process that a test has started, this is also the moment to let all of MLflow lead to that test.

**Source** of names and arguments: `mlflow.tracking.registry.StoreRegistry` and
`mlflow.store.artifact.artifact_repository_registry` of MLflow 2.16 to 3.17.
"""

from __future__ import annotations

import os
from typing import Any

from mlquery.mlflow_plugin.releases import supported_mlflow
from mlquery.processes import PARENT_VARIABLE


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


def request_header_provider() -> Any:
    """Return what lets MLflow's client raise the warnings of a server; MLflow asks for it before its first request."""
    with supported_mlflow():
        from mlquery.mlflow_plugin.server_warnings import ServerWarnings

    return ServerWarnings()


if PARENT_VARIABLE in os.environ:
    from mlquery.mlflow_plugin.parent import join

    join()
