"""Everything global in MLflow: reset while a mock is active, restored when it ends.

It is given the time, and the URI to which everything leads; nothing else of a mock is needed here. Private names of
MLflow are used in this module, `tracer` and `autologging` only; where a release has lost one, the import fails at once.

**Source**: the modules of MLflow 2.16, 2.22, 3.1, 3.5, 3.9, 3.15 and 3.17 that are named below.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any, Final, cast

import attrs
import mlflow.tracking._model_registry.utils as registries
import mlflow.tracking._tracking_service.utils as trackers
import mlflow.tracking.fluent as fluent
import mlflow.utils.time as mlflow_time

from mlquery.mlflow_plugin import register
from mlquery.mlflow_plugin.releases import require
from mlquery.mlflow_plugin.schemes import SCHEME, SERVER_VARIABLES, URI, URI_VARIABLES
from mlquery.mlflow_plugin.times import NotedTime
from mlquery.mocking.autologging import Autologging
from mlquery.mocking.tracer import Tracer

_EXPERIMENT: Final = (fluent, "_active_experiment_id")
# Each thread has these for itself, except in MLflow 2.16, where the process has two variables; MLflow 2 has no models.
PER_THREAD: Final[tuple[Any, ...]] = tuple(
    getattr(fluent, name)
    for name in ("_active_run_stack", "_last_active_run_id", "_last_logged_model_id", "_ACTIVE_MODEL_CONTEXT")
    if hasattr(getattr(fluent, name, None), "thread_local")
)
SHARED: Final[dict[str, Callable[[], Any]]] = (
    {} if PER_THREAD else {"_active_run_stack": list, "_last_active_run_id": lambda: None}
)

require(trackers, "_tracking_uri", "_resolve_tracking_uri", "_tracking_store_registry", "_artifact_repos_cache")
require(registries, "_registry_uri", "_resolve_registry_uri", "_get_store_registry")
require(type(trackers._tracking_store_registry), "_get_store_with_resolved_uri")
require(fluent, "_active_experiment_id", "_active_run_stack", "_last_active_run_id", "run_id_to_system_metrics_monitor")
require(mlflow_time, "time")


@attrs.define(eq=False)
class Globals:
    """What was global in MLflow at one moment; `restore` makes it so again."""

    names: list[tuple[ModuleType, str, Any]]
    per_thread: list[dict[str, Any]]
    environment: dict[str, str]
    repositories: dict[str, Any]
    redirections: list[tuple[Any, Any]]
    autologging: Autologging
    tracer: Tracer

    def restore(self) -> None:
        """Make everything as it was, whatever has happened since."""
        for module, name, value in self.names:
            setattr(module, name, value)
        for variable, held in zip(PER_THREAD, self.per_thread, strict=True):
            vars(variable).update(held)
        put_redirections(self.redirections)
        _restore_environment(self.environment)
        trackers._artifact_repos_cache.clear()
        trackers._artifact_repos_cache.update(self.repositories)
        self.autologging.restore()
        self.tracer.restore()


def isolated(
    time: Callable[[], int], passthrough: tuple[str, ...], experiment_id: str | None, environment: bool
) -> Globals:
    """Give MLflow a state as of a new process whose tracking URI is the mock's, and return the state it had.

    Args:
        time: What the time is, in ms UTC.
        passthrough: How the tracking URIs begin that keep their meaning.
        experiment_id: The experiment that is active, None for the default one.
        environment: Whether the environment names the mock in place of the server, for all who read it.
    """
    before = present()
    for module, name, value in (
        (trackers, "_tracking_uri", URI),
        (registries, "_registry_uri", None),
        (*_EXPERIMENT, experiment_id),
        (mlflow_time, "time", NotedTime(time)),
    ):
        setattr(module, name, value)
    for variable in PER_THREAD:
        vars(variable).update(vars(type(variable)(variable.default_factory, variable.reset_in_subprocess)))
    for name, new in SHARED.items():
        setattr(fluent, name, new())
    for name in SERVER_VARIABLES if environment else SERVER_VARIABLES - URI_VARIABLES:
        os.environ.pop(name, None)
    if environment:
        os.environ["MLFLOW_TRACKING_URI"] = URI
    os.environ["MLFLOW_ENABLE_ASYNC_TRACE_LOGGING"] = "false"  # no trace arrives after the mock has ended
    if experiment_id is not None:
        os.environ["MLFLOW_EXPERIMENT_ID"] = experiment_id
    redirect((f"{SCHEME}:", *passthrough))
    before.tracer.remove()
    return before


def running_monitor_of(run_id: str) -> Any:
    """Return the monitor that logs system metrics of a run and let MLflow forget it; None if there is none."""
    return fluent.run_id_to_system_metrics_monitor.pop(run_id, None)


def active_experiment_id(state: Globals | None) -> str | None:
    """Return the experiment that is active in a state, by default the present one; None if none was set."""
    if state is None:
        return cast(str | None, fluent._active_experiment_id)
    return cast(str | None, _value_in(state, *_EXPERIMENT))


def tracking_uri_of(state: Globals) -> str:
    """Return the tracking URI that was set in a state, or MLflow's default with the folder in which that lies."""
    (uri,) = (value for module, name, value in state.names if (module, name) == (trackers, "_tracking_uri"))
    found = uri or state.environment.get("MLFLOW_TRACKING_URI")
    if found:
        return str(found)
    default = getattr(trackers, "_get_default_tracking_uri", lambda: "./mlruns")()
    return f"{default} in {os.getcwd()}"


def active_runs(state: Globals | None) -> Iterator[Any]:
    """Yield the runs that are active in any thread in a state, by default the present one; the innermost first."""
    for stack in _stacks(state):
        yield from reversed(stack)


def _stacks(state: Globals | None) -> list[Any]:
    """Return the active runs of each thread."""
    if SHARED:
        module, name = fluent, "_active_run_stack"
        return [getattr(module, name) if state is None else _value_in(state, module, name)]
    held = vars(fluent._active_run_stack) if state is None else state.per_thread[0]
    (stacks,) = (value for name, value in held.items() if name.endswith("__global_thread_values"))
    return list(stacks.values())


def _value_in(state: Globals, wanted: ModuleType, wanted_name: str) -> Any:
    (found,) = (value for module, name, value in state.names if (module, name) == (wanted, wanted_name))
    return found


def present() -> Globals:
    """Return what is global in MLflow now."""
    names: list[tuple[ModuleType, str]] = [
        (trackers, "_tracking_uri"),
        (registries, "_registry_uri"),
        _EXPERIMENT,
        (mlflow_time, "time"),
        *((fluent, name) for name in SHARED),
    ]
    return Globals(
        names=[(module, name, getattr(module, name)) for module, name in names],
        per_thread=[vars(variable).copy() for variable in PER_THREAD],
        environment=dict(variables()),
        repositories=dict(trackers._artifact_repos_cache),
        redirections=redirections(),
        autologging=Autologging(),
        tracer=Tracer(),
    )


# Clients resolve their URI when they are made and ask for its store at each call; that question is answered here, so
# that a client which is older than the mock talks to the mock.


@cache
def _registries() -> tuple[Any, Any]:
    register()
    return trackers._tracking_store_registry, registries._get_store_registry()


def redirections() -> list[tuple[Any, Any]]:
    """Return the registries of stores, and what each answers with in place of its own method, None for nothing."""
    return [(registry, vars(registry).get("get_store")) for registry in _registries()]


def put_redirections(wanted: list[tuple[Any, Any]]) -> None:
    """Let registries answer as `redirections` has said."""
    for registry, get_store in wanted:
        vars(registry).pop("get_store", None)
        if get_store is not None:
            registry.get_store = get_store


def redirect(unchanged: tuple[str, ...]) -> None:
    """Let stores be found by URIs that begin in one of these ways, and by all others the mock's."""
    tracker, registry = _registries()

    @cache
    def led(uri: str | None) -> str:
        return uri if uri is not None and uri.startswith(unchanged) else URI

    def tracking_store(store_uri: str | None = None, artifact_uri: str | None = None) -> Any:
        uri = led(trackers._resolve_tracking_uri(store_uri))
        return tracker._get_store_with_resolved_uri(uri, artifact_uri)

    def registry_store(store_uri: str | None = None, tracking_uri: str | None = None) -> Any:
        uri = led(registries._resolve_registry_uri(store_uri, tracking_uri))
        return registry._get_store_with_resolved_uri(uri, led(trackers._resolve_tracking_uri(tracking_uri)))

    tracker.get_store, registry.get_store = tracking_store, registry_store


def resolved_uris() -> tuple[Callable[..., str], Callable[..., str]]:
    """Return what the registries make of the arguments with which they are asked for a store: its URI."""

    def tracking_uri(store_uri: str | None = None, *_: Any, **__: Any) -> str:
        return str(trackers._resolve_tracking_uri(store_uri))

    def registry_uri(store_uri: str | None = None, tracking_uri: str | None = None, **_: Any) -> str:
        return str(registries._resolve_registry_uri(store_uri, tracking_uri))

    return tracking_uri, registry_uri


def variables() -> Iterator[tuple[str, str]]:
    """Yield MLflow's variables of the environment and their values."""
    return ((name, value) for name, value in os.environ.items() if name.lstrip("_").startswith("MLFLOW_"))


def _restore_environment(before: dict[str, str]) -> None:
    now = dict(variables())
    for name in now.keys() - before.keys():
        del os.environ[name]
    os.environ.update({name: value for name, value in before.items() if now.get(name) != value})
