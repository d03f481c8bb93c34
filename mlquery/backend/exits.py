"""Ends the run that is active when the process ends, before the stores on disk are closed.

Python calls what is registered for its end in the opposite order; a store is registered when it is opened.

**Source**: `mlflow.tracking.fluent._safe_end_run` of MLflow 3.17: it ends the innermost active run of the main thread
as FINISHED. That a store on disk has FAILED after an uncaught exception is a difference, listed in
`conformance/differences.toml`.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable

from mlquery.backend.backend import Backend


def call_before_stores_close(call: Callable[[], object]) -> None:
    """Have a function called when the process ends, before the stores are closed that are open now."""
    atexit.unregister(call)
    atexit.register(call)


def status_at_exit(backend: Backend) -> str:
    """Return the status of a run that is active when the process ends."""
    is_script = not hasattr(sys, "ps1")  # a session at a prompt goes on after an exception
    has_failed = is_script and getattr(sys, "last_value", None) is not None
    return "FAILED" if has_failed and backend.store.is_on_disk else "FINISHED"
