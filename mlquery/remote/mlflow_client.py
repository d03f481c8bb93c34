"""Opens MLflow's client of a tracking URI, and turns what its requests raise into one sentence.

MLflow is imported here at the first use. Credentials are those that MLflow takes from its environment.

**Source**: `mlflow.MlflowClient` of MLflow 3.17.
"""

from __future__ import annotations

import socket
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from mlquery.errors import RESOURCE_CONFLICT, StoreError, invalid_parameter
from mlquery.remote.names import target_name

_SECONDS: Final = 10.0
_NO_MLFLOW: Final = "MLflow is needed to talk to {}: pip install 'mlquery[mlflow]'"
_AZURE: Final = "MLflow needs a plugin to talk to {}: pip install azureml-mlflow"


def client_of(uri: str) -> Any:
    """Return MLflow's client of a tracking URI.

    Raises:
        StoreError: MLflow is not installed or does not support the URI, or the server cannot be reached.
    """
    name = target_name(uri)
    _require_reachable(uri)
    try:
        import mlflow
        from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException
    except ImportError:
        raise invalid_parameter(_NO_MLFLOW.format(name)) from None
    try:
        return mlflow.MlflowClient(uri)
    except UnsupportedModelRegistryStoreURIException:
        is_azure = uri.startswith("azureml:")
        message = _AZURE.format(name) if is_azure else f"MLflow has no tracking store for {name}"
        raise invalid_parameter(message) from None
    except Exception as error:
        raise call_error(name, error) from error


def _require_reachable(uri: str) -> None:
    """Raise if no server listens at an address: MLflow itself would retry for minutes."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        return
    if parts.scheme in getproxies() and not proxy_bypass(parts.hostname):
        return  # the connection goes to the proxy
    try:
        address = (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
        socket.create_connection(address, _SECONDS).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = f"{target_name(uri)} cannot be reached: {reason[:1].lower()}{reason[1:]}"
        raise StoreError(problem, "TEMPORARILY_UNAVAILABLE") from None


def call_error(name: str, error: Exception) -> StoreError:
    """Return the error about a failed request, in one sentence."""
    reason = str(error).strip().partition("\n")[0][:300] or type(error).__name__
    is_conflict = getattr(getattr(error, "response", None), "status_code", None) == 409  # of files, by requests itself
    code = RESOURCE_CONFLICT if is_conflict else getattr(error, "error_code", "INTERNAL_ERROR")
    return StoreError(f"request to {name} failed: {reason}", code)
