"""How the URIs of this package begin, and the environment variables that name the server which they replace.

**Source** of the variables: `mlflow.environment_variables` of MLflow 3.17.
"""

from __future__ import annotations

from typing import Final

SCHEME: Final = "mlquery"
ARTIFACT_SCHEME: Final = "mlquery-artifacts"
URI: Final = f"{SCHEME}://"
"""The private store of the process, or what a mock has put in its place."""
IN_PLACE: Final = f"{SCHEME}:in-place"
"""The URI of what is searched in place."""
IN_PLACE_VARIABLE: Final = "MLQUERY_IN_PLACE"
"""The environment variable that names it."""
UI_VARIABLE: Final = "MLQUERY_UI"
"""The environment variable that is set where MLflow's UI shows a store."""

URI_VARIABLES: Final = frozenset(("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"))
SERVER_VARIABLES: Final = URI_VARIABLES | {
    *("MLFLOW_TRACING_DESTINATION", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID"),
    *("MLFLOW_ACTIVE_MODEL_ID", "_MLFLOW_ACTIVE_MODEL_ID"),
}
"""What names a server, or something on it."""
