"""A test double for MLflow's servers: while a mock is active, code that says `import mlflow` runs on a store in memory.

It turns what a test asks for into a backend and MLflow's global state into one that leads there, and back. How MLflow's
calls are answered is the business of `mlquery.mlflow_plugin`. MLflow itself is imported when a mock first starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mlquery.mocking.activation import Mock
from mlquery.mocking.clock import Clock
from mlquery.store import Store

__all__ = ["Clock", "Mock", "mock"]


def mock(
    dialect: str | None = None,
    seed: int | None = None,
    clock: Callable[[], int] | int | None = None,
    store: Store | Mock | None = None,
    *,
    clone: bool = True,
    passthrough: Iterable[str] = (),
    artifacts: str = "memory",
    environment: bool = True,
) -> Mock:
    """Return a mock: a context manager, a decorator of functions and test classes, or an object to `start` and `stop`.

    While it is active every tracking URI and registry URI leads to one store in memory, whether it was set before or is
    set now, in MLflow's global state or in a client; only URIs such as "mlquery://NAME" keep their meaning. When it
    ends, all that is global in MLflow is as it was: URIs, active runs and experiment, environment, autologging. A run
    that is left active is ended, with a `MockWarning` that names it.

    Args:
        dialect: The dialect in which the store answers: "oss" (the default), "azure", or another one of the support
            matrix. By default that of the mock whose store is given.
        seed: Makes ids and run names repeat.
        clock: The time in ms UTC at which `mock.clock` stands still, or a function that returns it; by default the
            clock of the store that is given, or the system's, which reads `time.time()` at each call.
        store: The contents at the start: a store, or a mock that has one; by default none. A store brings its
            registered models along, and the experiment that was active when the last mock on it ended.
        clone: Whether to work on a copy of that store, so that it can serve many tests.
        passthrough: Prefixes of tracking URIs that keep their meaning, such as "sqlite:".
        artifacts: "memory", or "tmp" for code that opens `run.info.artifact_uri` as a path: artifacts are then files in
            a temporary folder, which is removed when the mock ends; the store keeps their contents in memory.
        environment: Whether MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI name the mock as well. With False they are left
            alone; then child processes, and code that reads these variables itself, go to the real server.

    Raises:
        ImportError: MLflow is not installed.
        ValueError: There is no dialect of that name, or no such place for artifacts.
    """
    return Mock(
        dialect,
        seed,
        clock,
        store,
        clone=clone,
        passthrough=tuple(passthrough),
        artifacts=artifacts,
        environment=environment,
    )
