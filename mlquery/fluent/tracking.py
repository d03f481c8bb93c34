"""`mlflow.tracking` on the store in use: the client under its MLflow name."""

from __future__ import annotations

from mlquery.client import Client
from mlquery.fluent.session import client

__all__ = ["MlflowClient"]


class MlflowClient(Client):
    """A client of the store that the fluent functions use at the moment it is made.

    Args:
        tracking_uri: Without meaning here; code that names a server runs unchanged.
        registry_uri: Without meaning here.
        workspace_store_uri: Without meaning here.
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        registry_uri: str | None = None,
        workspace_store_uri: str | None = None,
    ) -> None:
        self.backend = client().backend
