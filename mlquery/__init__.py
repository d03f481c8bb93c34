"""MLflow experiment and run queries in memory, in the dialect of open-source MLflow or of Azure Machine Learning.

This module names what is public and loads each part at its first use, so that `import mlquery` stays light.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlquery import fluent
    from mlquery.client import Client
    from mlquery.entities import (
        Dataset,
        DatasetInput,
        Experiment,
        ExperimentTag,
        FileInfo,
        InputTag,
        LifecycleStage,
        Metric,
        PagedList,
        Param,
        Run,
        RunData,
        RunInfo,
        RunInputs,
        RunStatus,
        RunTag,
        ViewType,
    )
    from mlquery.errors import Diagnostic, MockWarning, QueryError, QueryWarning, Span, StoreError
    from mlquery.explain import explain
    from mlquery.language.matrix import MATRIX
    from mlquery.language.parser import parse_filter, parse_order_by
    from mlquery.load import load
    from mlquery.mock import mock
    from mlquery.search import check
    from mlquery.store import Store
    from mlquery.tracker import open as open

__version__ = "0.1.0"

__all__ = [
    "MATRIX",
    "Client",
    "Dataset",
    "DatasetInput",
    "Diagnostic",
    "Experiment",
    "ExperimentTag",
    "FileInfo",
    "InputTag",
    "LifecycleStage",
    "Metric",
    "MockWarning",
    "PagedList",
    "Param",
    "QueryError",
    "QueryWarning",
    "Run",
    "RunData",
    "RunInfo",
    "RunInputs",
    "RunStatus",
    "RunTag",
    "Span",
    "Store",
    "StoreError",
    "ViewType",
    "check",
    "explain",
    "fluent",
    "load",
    "mock",
    "parse_filter",
    "parse_order_by",
]

# Where each public name is defined; whatever is not listed is an entity. `import *` leaves `open` out, or it would hide
# Python's own.
_HOMES = {
    "MATRIX": "mlquery.language.matrix",
    "Client": "mlquery.client",
    "Diagnostic": "mlquery.errors",
    "MockWarning": "mlquery.errors",
    "QueryError": "mlquery.errors",
    "QueryWarning": "mlquery.errors",
    "Span": "mlquery.errors",
    "Store": "mlquery.store",
    "StoreError": "mlquery.errors",
    "check": "mlquery.search",
    "explain": "mlquery.explain",
    "load": "mlquery.load",
    "open": "mlquery.tracker",
    "mock": "mlquery.mock",
    "parse_filter": "mlquery.language.parser",
    "parse_order_by": "mlquery.language.parser",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module at the first use."""
    if name not in __all__ and name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "fluent":
        return import_module("mlquery.fluent")
    value = getattr(import_module(_HOMES.get(name, "mlquery.entities")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


class _Facade(ModuleType):
    """Keeps `load` and `explain` functions; importing the modules of these names would put modules in their place."""

    def __setattr__(self, name: str, value: Any) -> None:
        is_in_the_way = isinstance(value, ModuleType) and name in _HOMES
        super().__setattr__(name, getattr(value, name) if is_in_the_way else value)


sys.modules[__name__].__class__ = _Facade
