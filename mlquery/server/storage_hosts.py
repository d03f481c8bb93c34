"""Refuses artifact locations that would make a server connect to a host that a request names.

**Source**: `mlflow.store.artifact.host_policy` of MLflow 3.17, for a server whose artifacts are at no other host.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from mlquery.errors import invalid_parameter

_HOST_SCHEMES: Final = frozenset(
    {"ftp", "sftp", "hdfs", "viewfs", "http", "https", "mlflow-artifacts", "r2", "b2", "abfss"}
)


def require_no_host(uri: str, field: str) -> None:
    """Refuse a location at a host of its own.

    Raises:
        StoreError: INVALID_PARAMETER_VALUE about the field of the request.
    """
    parsed = urlsplit(uri)
    if parsed.scheme in _HOST_SCHEMES and (parsed.netloc or parsed.scheme != "mlflow-artifacts"):
        raise invalid_parameter(
            f"'{field}' cannot use the '{parsed.scheme}' scheme: the '{parsed.scheme}' scheme addresses a host other "
            "than the tracking server's configured artifact storage, so the server would connect to the host named in "
            "the URI. Set the MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES environment variable on the server to "
            "allow it."
        )
