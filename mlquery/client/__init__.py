"""The MLflow-shaped API without MLflow: `Client` has the methods of `MlflowClient` and answers from a `Store`."""

from mlquery.client.client import Client
from mlquery.client.values import RunOperations

__all__ = ["Client", "RunOperations"]
