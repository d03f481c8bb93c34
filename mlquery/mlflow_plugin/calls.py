"""What the calls of MLflow's stores have in common here: they find the backend of a URI and translate its errors.

A method under `served` takes the backend after `self` and raises the errors of this package. `forwarded` makes a whole
method of a call of the backend that has the arguments which MLflow passes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from mlquery.backend import Backend
from mlquery.errors import ModelFolderError, QueryError, StoreError
from mlquery.mlflow_plugin.exceptions import as_mlflow
from mlquery.mlflow_plugin.times import taken
from mlquery.mlflow_plugin.uris import store_for

P = ParamSpec("P")
R = TypeVar("R")


class HasUri(Protocol):
    """A store of MLflow that knows nothing but its URI, see `uris`."""

    uri: str


S = TypeVar("S", bound=HasUri)


def backend_of(uri: str) -> Backend:
    """Return what a URI means now; raise MlflowException if it means nothing."""
    try:
        return store_for(uri)
    except StoreError as error:
        raise as_mlflow(error) from error


def served(method: Callable[Concatenate[S, Backend, P], R]) -> Callable[Concatenate[S, P], R]:
    """Make a call of MLflow's store out of a method that takes the backend."""

    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        backend = None
        try:
            backend = store_for(self.uri)
            return method(self, backend, *args, **kwargs)
        except ModelFolderError:
            raise  # of a client of the service, not of MLflow
        except (QueryError, StoreError) as error:
            raise as_mlflow(error, backend) from error

    del call.__wrapped__  # its signature has the backend in it
    return call


def forwarded(
    call: Callable[..., Any], convert: Callable[[Any], Any] | None = None, *, is_timed: bool = False, **fixed: Any
) -> Callable[..., Any]:
    """Make a call of MLflow's store out of a call of the backend.

    Args:
        call: A method of `Backend` whose arguments are those of MLflow's store.
        convert: Makes MLflow's entity of an answer that is not None.
        is_timed: Whether the call takes `now` as well, which MLflow's client reads itself.
        fixed: Arguments that MLflow does not know.
    """
    name = call.__name__  # looked up in each call: the backend may be one of another process

    @wraps(call)
    def method(self: HasUri, backend: Backend, /, *args: Any, **kwargs: Any) -> Any:
        if is_timed:
            kwargs["now"] = taken()
        answer = getattr(backend, name)(*args, **kwargs, **fixed)
        return answer if convert is None or answer is None else convert(answer)

    return served(method)


def other_methods(store: type, *classes: type) -> list[str]:
    """Return the public methods of MLflow's classes that a store here does not define, sorted."""
    return sorted({name for one in classes for name in dir(one) if not name.startswith("_")} - vars(store).keys())
