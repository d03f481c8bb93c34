"""The tracer of MLflow: remembered, removed while a mock is active, and restored.

A tracer that is there already sends its traces where the tracking URI led when it was made. Releases keep it in three
ways, and this module alone knows them: an object `provider` that swaps it, the same without the swap, and before that
two variables of the module.

**Source**: `mlflow.tracing.provider` of MLflow 2.16, 2.22, 3.1, 3.5, 3.9, 3.15 and 3.17.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import mlflow.tracing.provider as tracing
from opentelemetry import trace

from mlquery.mlflow_plugin.releases import require

_tracing: Final[Any] = tracing
_provider: Final[Any] = getattr(tracing, "provider", None)
if _provider is None:
    require(tracing, "_MLFLOW_TRACER_PROVIDER", "_MLFLOW_TRACER_PROVIDER_INITIALIZED")
_is_enabled: Final = getattr(tracing, "is_tracing_enabled", None) or _tracing._is_enabled
_USER_DESTINATION: Final = "_MLFLOW_TRACE_USER_DESTINATION"  # a variable of the module, later a registry that holds it
tracing_config: Final = import_module("mlflow.tracing.config") if find_spec("mlflow.tracing.config") else None


class Tracer:
    """The tracer, and what the user has set about traces, at the moment when this is made."""

    def __init__(self) -> None:
        self._raw, self._is_made = _raw(), _is_made()
        self._settings = [(holder, name, getattr(holder, name)) for holder, name in _settings()]

    def remove(self) -> None:
        """Let MLflow make a new tracer when it needs one; one that was switched off stays so."""
        if self._is_made and _is_enabled():
            _put(None)
            _set_made(False)

    def restore(self) -> None:
        """Make it as it was."""
        for holder, name, value in self._settings:
            setattr(holder, name, value)
        if _raw() is not self._raw:
            if hasattr(_provider, "_retire_current_batch_processors"):
                _provider._retire_current_batch_processors()
            _put(self._raw)
        _set_made(self._is_made)


def _raw() -> Any:
    """Return the tracer's provider, None before the first trace; OpenTelemetry's if MLflow is told to share it."""
    if _provider is None:
        return _tracing._MLFLOW_TRACER_PROVIDER
    is_own = _tracing.MLFLOW_USE_DEFAULT_TRACER_PROVIDER.get()
    return _provider._isolated_tracer_provider if is_own else trace._TRACER_PROVIDER


def _put(raw: Any) -> None:
    if _provider is None:
        _tracing._MLFLOW_TRACER_PROVIDER = raw
    elif hasattr(_provider, "_swap_raw"):
        _provider._swap_raw(raw)
    else:
        _provider.set(raw)


def _once() -> tuple[Any, str]:
    """Return what knows whether the tracer was made, and the name of the attribute that says so."""
    once = _tracing._MLFLOW_TRACER_PROVIDER_INITIALIZED if _provider is None else _provider.once
    return once, "_done" if hasattr(once, "_done") else "done"


def _is_made() -> bool:
    return bool(getattr(*_once()))


def _set_made(is_made: bool) -> None:
    setattr(*_once(), is_made)


def _settings() -> Iterator[tuple[Any, str]]:
    """Yield what holds a setting, and by which name."""
    if hasattr(tracing, _USER_DESTINATION):
        registry = getattr(tracing, _USER_DESTINATION)
        yield (registry, "_global_value") if hasattr(registry, "_global_value") else (tracing, _USER_DESTINATION)
    if tracing_config is not None:
        yield tracing_config, "_MLFLOW_TRACING_CONFIG"
