"""Turns what a backend refuses into MLflow's exceptions, as a local store or as a service raises them.

A local store raises `MlflowException` with the message. A service answers with a body that MLflow's client wraps into
`RestException`; see `mlquery.backend.error_bodies`. Either way the exception's `__cause__` is the original, with its
diagnostics, and a note under the traceback says what the wording of a service rests on.

**Source**: `mlflow.exceptions` of MLflow 3.17.
"""

from __future__ import annotations

from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, ErrorCode

from mlquery.backend import Backend
from mlquery.backend.error_bodies import error_body, wording
from mlquery.errors import NOT_IMPLEMENTED, MissingEndpointError, QueryError, StoreError
from mlquery.mlflow_plugin import shown


def as_mlflow(error: QueryError | StoreError, backend: Backend | None = None) -> MlflowException:
    """Return the exception with which MLflow's client reports an error of a backend, or of none for a local store."""
    explain = backend and backend.explain_missing
    hint = explain(error) if explain and isinstance(error, StoreError) else ""
    if backend is None or not backend.dialect.service or _is_not_worded_by_service(error):
        return MlflowException(shown.wording(error) + hint, _number(error.error_code))
    message, is_verbatim = wording(error)
    component = backend.dialect.service["component"]
    answer = RestException(error_body(message + hint, error.error_code, component, backend.clock()))
    origin = "was seen in an answer of the service" if is_verbatim else "is inferred: no answer of the service is known"
    answer.add_note(f"{error}\n(mlquery: this wording {origin})")
    return answer


def _is_not_worded_by_service(error: QueryError | StoreError) -> bool:
    """Tell whether an error is an empty answer, or about a call that only this package does not answer."""
    return isinstance(error, MissingEndpointError) or error.error_code == NOT_IMPLEMENTED


def _number(error_code: str) -> int:
    return int(ErrorCode.Value(error_code)) if error_code in ErrorCode.keys() else int(INTERNAL_ERROR)  # noqa: SIM118
