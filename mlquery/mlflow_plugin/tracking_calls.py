"""What every call of the tracking store has in common: it finds the state of its URI, meets faults, translates errors.

A method marked `served` is written as if state and errors were ordinary: it takes the state after `self` and raises the
errors of this package.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from mlflow.store.tracking.abstract_store import AbstractStore

from mlquery.errors import Diagnostic, QueryError, QueryWarning, StoreError
from mlquery.language.matrix import DEFAULT_DIALECT, MATRIX
from mlquery.mlflow_plugin.errors import as_mlflow, not_there
from mlquery.mlflow_plugin.uris import State, store_for

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Calls")


class Calls(AbstractStore):
    """A store that holds nothing but a URI."""

    uri: str

    @property
    def state(self) -> State:
        """Return what the URI means now; raise MlflowException if it means nothing."""
        try:
            return store_for(self.uri)
        except StoreError as error:
            raise as_mlflow(error, MATRIX.dialect(DEFAULT_DIALECT), 0) from error

    def require_uri(self) -> None:
        """Raise MlflowException if the URI means nothing."""
        assert self.state


def served(method: Callable[Concatenate[S, State, P], R]) -> Callable[Concatenate[S, P], R]:
    """Make a call of the store out of a method that takes the state."""
    name = method.__name__

    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        state = self.state
        try:
            state.faults.before(name)
            return method(self, state, *args, **kwargs)
        except (QueryError, StoreError) as error:
            raise as_mlflow(error, state.column, state.store.clock()) from error

    del call.__wrapped__  # its signature has the state in it
    return call


def require_call(state: State, call: str, entity: str) -> None:
    """Refuse a call that the dialect does not support; warn of one that no source speaks of."""
    verdict = state.column.require_call(call, entity)
    if verdict is not None and verdict.state == "silent":
        _warn(f"no source says that {state.dialect} supports {call}  [{verdict.feature.id}]")


def on_warning(found: Iterable[Diagnostic]) -> None:
    """Issue the warnings of a query that runs."""
    for diagnostic in found:
        _warn(str(diagnostic))


def _warn(message: str) -> None:
    """Issue a warning at the first caller outside MLflow and this package: that is where the call is written."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("mlquery", "mlflow"):
        level, frame = level + 1, frame.f_back
    warnings.warn(QueryWarning(message), stacklevel=level)


def require_endpoint(state: State, family: str, path: str) -> None:
    """Answer as the service does where it has no endpoint for a family of calls.

    Raises:
        MlflowException: with the HTTP status of the dialect.
    """
    status = state.column.service.get("missing", {}).get(family)
    if status is not None:
        raise not_there(path, status)
