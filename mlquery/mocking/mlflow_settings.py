"""What fixtures and tests set in MLflow, as values by kind and name that can be compared and put back one by one.

A mock that inherits these settings begins with `inherited`; `mlflow_state` is for those that begin anew. Only the
thread that asks is seen: what other threads have set stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, cast

import attrs
import mlflow.tracking._model_registry.utils as registries
import mlflow.tracking._tracking_service.utils as trackers
import mlflow.tracking.fluent as fluent
import mlflow.utils.time as mlflow_time

from mlquery.mlflow_plugin.schemes import SCHEME
from mlquery.mlflow_plugin.times import NotedTime
from mlquery.mocking.autologging import autologging_settings, put_autologging_setting
from mlquery.mocking.mlflow_state import PER_THREAD, SHARED, Globals, present, redirect, variables
from mlquery.mocking.tracer import tracing_config

Settings = dict[tuple[str, str], Any]

_SET: Final[dict[str, ModuleType]] = {
    "_tracking_uri": trackers,
    "_registry_uri": registries,
    "_active_experiment_id": fluent,
    **dict.fromkeys(SHARED, fluent),
    **({"_MLFLOW_TRACING_CONFIG": tracing_config} if tracing_config else {}),
}


def settings() -> Settings:
    """Return what is set now, in all MLflow and in this thread; runs that are active are in it."""
    found: Settings = {("name", name): _own(getattr(module, name)) for name, module in _SET.items()}
    found.update({("environment", name): value for name, value in variables()})
    for place, variable in enumerate(PER_THREAD):
        found["thread", str(place)] = _own(variable.get())
    return found | autologging_settings()


def difference(before: Settings, after: Settings) -> Settings:
    """Return what differs in `after`, None for what is no longer there."""
    return {key: after.get(key) for key in before | after if before.get(key) != after.get(key)}


def put(changes: Settings) -> None:
    """Make settings what they are in `changes`; the others stay."""
    for (kind, name), value in changes.items():
        if kind == "name":
            setattr(_SET[name], name, _own(value))
        elif kind == "thread":
            PER_THREAD[int(name)].set(_own(value))
        elif kind != "environment":
            put_autologging_setting(kind, name, value)
        elif value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def experiment_and_runs(changes: Settings) -> tuple[str | None, list[str]]:
    """Return the active experiment and the active runs that settings speak of."""
    runs = changes.get(("thread", "0")) or changes.get(("name", "_active_run_stack")) or []
    return changes.get(("name", "_active_experiment_id")), [run.info.run_id for run in runs]


def _values(variable: Any) -> dict[int, Any]:
    """Return the values of a variable by thread, as MLflow holds them."""
    (values,) = (value for name, value in vars(variable).items() if name.endswith("__global_thread_values"))
    return cast(dict[int, Any], values)


def _own(value: Any) -> Any:
    return value[:] if isinstance(value, list) else value


def _threads() -> list[frozenset[int]]:
    return [frozenset(_values(variable)) for variable in PER_THREAD]


@attrs.define(eq=False)
class Inherited(Globals):
    """What was global in MLflow when a mock started that inherits it."""

    settings: Settings
    threads: list[frozenset[int]]

    @classmethod
    def captured(cls) -> Inherited:
        """Return what is global in MLflow now."""
        return cls(settings=settings(), threads=_threads(), **attrs.asdict(present(), recurse=False))

    def restore(self) -> None:
        """Make everything as it was; threads that were there before keep what they have."""
        super().restore()
        for variable, before in zip(PER_THREAD, self.threads, strict=True):
            values = _values(variable)
            for thread in values.keys() - before:
                del values[thread]
        put(difference(settings(), self.settings))


def inherited(time: Callable[[], int], passthrough: tuple[str, ...]) -> Inherited:
    """Let MLflow go on as it is but for the time, and return the state it had.

    Args:
        time: What the time is, in ms UTC.
        passthrough: How the tracking URIs begin that keep their meaning.
    """
    before = Inherited.captured()
    put({key: value for key, value in before.settings.items() if isinstance(value, list)})  # lists of its own
    setattr(mlflow_time, "time", NotedTime(time))  # noqa: B010  # a module there
    redirect((f"{SCHEME}:", *passthrough))
    return before


def captured_like(state: Globals) -> Globals:
    """Return what is global in MLflow now, to be restored in the way of another state."""
    return Inherited.captured() if isinstance(state, Inherited) else present()
