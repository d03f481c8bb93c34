"""Turns what the store and the searches refuse into MLflow's exceptions, as a local store or as a service raises them.

A local store raises `MlflowException` with the message. A service answers with a body that MLflow's client wraps into
`RestException`; see `envelope`. Either way the exception's `__cause__` is the original, with its diagnostics,
and a note under the traceback tells what a service's wording rests on.

**Source**: `mlflow.exceptions` of MLflow 3.17.
"""

from __future__ import annotations

from mlflow.exceptions import MlflowException, RestException, get_error_code
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, NOT_IMPLEMENTED, ErrorCode

from mlquery.backend.error_bodies import error_body, wording
from mlquery.errors import QueryError, StoreError
from mlquery.language.matrix import Dialect


def as_mlflow(error: QueryError | StoreError, dialect: Dialect, time: int) -> MlflowException:
    """Return the exception with which MLflow's client reports an error; `time` in ms UTC."""
    if not dialect.service:
        return MlflowException(error.message, _number(error.error_code))
    message, is_verbatim = wording(error)
    answer = RestException(error_body(message, error.error_code, dialect.service["component"], time))
    origin = "was seen in an answer of the service" if is_verbatim else "is inferred: no answer of the service is known"
    answer.add_note(f"{error}\n(mlquery: this wording {origin})")
    return answer


def not_there(path: str, status: int) -> MlflowException:
    """Return the exception that MLflow's client makes of an empty answer with an HTTP status, such as 404.

    **Source**: `mlflow.utils.rest_utils.verify_rest_response` of MLflow 3.17.
    """
    message = f"API request to endpoint {path} failed with error code {status} != 200. Response body: ''"
    return MlflowException(message, get_error_code(status))


def not_kept(call: str, what: str) -> MlflowException:
    """Return the exception for a call that a store of this package does not serve in any dialect."""
    message = (
        f"mlquery does not keep {what}: '{call}' is outside of what its tracking store does "
        "(experiments, runs, metrics, params, tags, dataset inputs, logged models and artifacts)."
    )
    return MlflowException(message, NOT_IMPLEMENTED)


def _number(error_code: str) -> int:
    return int(ErrorCode.Value(error_code)) if error_code in ErrorCode.keys() else int(INTERNAL_ERROR)  # noqa: SIM118
