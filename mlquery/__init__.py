"""MLflow experiment and run queries in memory, in the dialect of open-source MLflow or of Azure Machine Learning.

This module names what is public and loads each part at its first use, so that `import mlquery` stays light. Besides
these names `mlquery.fluent`, `mlquery.entities` and `mlquery.errors` are public; every other module is private.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlquery import entities, errors, fluent
    from mlquery.client import Client
    from mlquery.client.in_place import connect
    from mlquery.comparison import Comparison, compare
    from mlquery.durable.errors import DamagedJournalError, JournalError
    from mlquery.durable.opening import open as open
    from mlquery.entities import (
        Dataset,
        DatasetInput,
        Experiment,
        ExperimentTag,
        FileInfo,
        InputTag,
        LifecycleStage,
        LoggedModel,
        LoggedModelInput,
        LoggedModelOutput,
        LoggedModelStatus,
        Metric,
        ModelVersion,
        PagedList,
        Param,
        RegisteredModel,
        Run,
        RunData,
        RunInfo,
        RunInputs,
        RunOutputs,
        RunStatus,
        RunTag,
        ViewType,
    )
    from mlquery.errors import Diagnostic, MissingEndpointError, MockWarning, QueryError, QueryWarning, Span, StoreError
    from mlquery.language.building import F
    from mlquery.language.matrix import MATRIX, Dialect
    from mlquery.language.parser import parse_filter, parse_order_by
    from mlquery.language.python_values import quote
    from mlquery.mocking import mock
    from mlquery.query.aggregate import aggregate
    from mlquery.query.dataframe import history_frame, search_frame
    from mlquery.query.explain import explain
    from mlquery.query.search import check, count_runs
    from mlquery.readers import load
    from mlquery.readers.errors import SourceError
    from mlquery.registry import Registry
    from mlquery.remote.requests import TooManyPagesError
    from mlquery.store import Store
    from mlquery.sync.pulling import pull
    from mlquery.sync.pushing import LimitViolationError, push

__version__ = "0.1.0"

# `import *` leaves `open` out, or it would hide Python's own.
__all__ = [
    "MATRIX",
    "Client",
    "Comparison",
    "DamagedJournalError",
    "Dataset",
    "DatasetInput",
    "Diagnostic",
    "Dialect",
    "Experiment",
    "ExperimentTag",
    "F",
    "FileInfo",
    "InputTag",
    "JournalError",
    "LifecycleStage",
    "LimitViolationError",
    "LoggedModel",
    "LoggedModelInput",
    "LoggedModelOutput",
    "LoggedModelStatus",
    "Metric",
    "MissingEndpointError",
    "MockWarning",
    "ModelVersion",
    "PagedList",
    "Param",
    "QueryError",
    "QueryWarning",
    "RegisteredModel",
    "Registry",
    "Run",
    "RunData",
    "RunInfo",
    "RunInputs",
    "RunOutputs",
    "RunStatus",
    "RunTag",
    "SourceError",
    "Span",
    "Store",
    "StoreError",
    "TooManyPagesError",
    "ViewType",
    "__version__",
    "aggregate",
    "check",
    "compare",
    "connect",
    "count_runs",
    "entities",
    "errors",
    "explain",
    "fluent",
    "history_frame",
    "load",
    "mock",
    "parse_filter",
    "parse_order_by",
    "pull",
    "push",
    "quote",
    "search_frame",
]

# Where each public name is defined; whatever is not listed is an entity.
_HOMES = {
    "MATRIX": "mlquery.language.matrix",
    "Client": "mlquery.client",
    "Comparison": "mlquery.comparison",
    "DamagedJournalError": "mlquery.durable.errors",
    "Diagnostic": "mlquery.errors",
    "Dialect": "mlquery.language.matrix",
    "F": "mlquery.language.building",
    "JournalError": "mlquery.durable.errors",
    "LimitViolationError": "mlquery.sync.pushing",
    "MissingEndpointError": "mlquery.errors",
    "MockWarning": "mlquery.errors",
    "QueryError": "mlquery.errors",
    "QueryWarning": "mlquery.errors",
    "Registry": "mlquery.registry",
    "SourceError": "mlquery.readers.errors",
    "Span": "mlquery.errors",
    "Store": "mlquery.store",
    "StoreError": "mlquery.errors",
    "TooManyPagesError": "mlquery.remote.requests",
    "aggregate": "mlquery.query.aggregate",
    "check": "mlquery.query.search",
    "compare": "mlquery.comparison",
    "connect": "mlquery.client.in_place",
    "count_runs": "mlquery.query.search",
    "explain": "mlquery.query.explain",
    "history_frame": "mlquery.query.dataframe",
    "load": "mlquery.readers",
    "mock": "mlquery.mocking",
    "open": "mlquery.durable.opening",
    "parse_filter": "mlquery.language.parser",
    "parse_order_by": "mlquery.language.parser",
    "pull": "mlquery.sync.pulling",
    "push": "mlquery.sync.pushing",
    "quote": "mlquery.language.python_values",
    "search_frame": "mlquery.query.dataframe",
}
_MODULES = ("entities", "errors", "fluent")


def __getattr__(name: str) -> Any:
    """Load a public name from its module at the first use."""
    if name in _MODULES:
        return import_module(f"mlquery.{name}")
    if name not in __all__ and name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "mlquery.entities")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_HOMES})
