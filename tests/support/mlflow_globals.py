"""What is global in MLflow, as one value: two are equal where MLflow is in the same state."""

from __future__ import annotations

import os
from typing import Any

import mlflow
import mlflow.tracing.config as tracing_config
import mlflow.tracing.provider as tracing
import mlflow.tracking._model_registry.utils as registries
import mlflow.tracking._tracking_service.utils as trackers
import mlflow.tracking.fluent as mlflow_fluent
import mlflow.utils.time as mlflow_time
from mlflow.utils.autologging_utils import AUTOLOGGING_INTEGRATIONS
from mlflow.utils.import_hooks import _post_import_hooks

from mlquery.fluent import session
from mlquery.mlflow_plugin import uris


def fingerprint() -> dict[str, Any]:
    """Return the state of MLflow as the present thread sees it."""
    active_run, last_run = mlflow.active_run(), mlflow_fluent._last_active_run_id.get()
    return {
        "tracking": trackers._tracking_uri,
        "registry": registries._registry_uri,
        "uris": (mlflow.get_tracking_uri(), mlflow.get_registry_uri()),
        "experiment": mlflow_fluent._active_experiment_id,
        "runs": [run.info.run_id for run in mlflow_fluent._active_run_stack.get()],
        "active run": active_run and active_run.info.run_id,
        "last run": last_run,
        "last model": mlflow_fluent._last_logged_model_id.get(),
        "active model": mlflow.get_active_model_id(),
        "environment": {name: value for name, value in os.environ.items() if "MLFLOW" in name},
        "time": vars(mlflow_time)["time"],
        "stores": [
            vars(registry).get("get_store")
            for registry in (trackers._tracking_store_registry, registries._get_store_registry())
        ],
        "repositories": dict(trackers._artifact_repos_cache),
        "autologging": {name: settings for name, settings in AUTOLOGGING_INTEGRATIONS.items() if settings},
        "import hooks": {module: list(hooks) for module, hooks in _post_import_hooks.items() if hooks},
        "tracing": (tracing.provider.once._done, tracing.provider.get()),
        "tracing settings": (tracing_config.get_config(), tracing._MLFLOW_TRACE_USER_DESTINATION._global_value),
        "private store": uris._private,
        "fluent": session._session,
    }
