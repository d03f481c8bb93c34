"""Has MLflow end the active run before the stores on disk are closed, when the process ends.

**Source**: `mlflow.tracking.fluent._safe_end_run` of MLflow 3.17, in whose place this is called.
"""

from __future__ import annotations

import atexit
from contextlib import suppress
from typing import Any

import mlflow.tracking.fluent as mlflow_fluent
from mlflow.tracking._tracking_service.utils import _get_store

from mlquery.backend.exits import call_before_stores_close, status_at_exit
from mlquery.mlflow_plugin.calls import backend_of
from mlquery.mlflow_plugin.schemes import SCHEME


def end_active_run_at_exit() -> None:
    """Call MLflow's own hook at the end of the process before what was registered so far."""
    own_hook: Any = getattr(mlflow_fluent, "_safe_end_run", None)
    if own_hook is not None:
        atexit.unregister(own_hook)
        call_before_stores_close(_end_active_run)


def _end_active_run() -> None:
    """End the innermost active run of the main thread; as in MLflow, an error at the end is none."""
    with suppress(Exception):
        if mlflow_fluent.active_run() is None:
            return
        uri = str(getattr(_get_store(), "uri", ""))
        is_ours = uri.startswith(f"{SCHEME}:")
        mlflow_fluent.end_run(*([status_at_exit(backend_of(uri))] if is_ours else []))
