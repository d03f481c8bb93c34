"""Turns what the store and the searches refuse into MLflow's exceptions, as a local store or as a service raises them.

A local store raises `MlflowException` with the message. A service answers with a body that MLflow's client wraps into
`RestException`; that body is made here. Either way the exception's `__cause__` is the original, with its diagnostics,
and a note under the traceback tells what a service's wording rests on.

**Source** of the body: the answers of Azure Machine Learning quoted in public issues, 2023 to 2025.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, Final

from mlflow.exceptions import MlflowException, RestException, get_error_code
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, NOT_IMPLEMENTED, ErrorCode

from mlquery.errors import QueryError, StoreError
from mlquery.language.matrix import Dialect

_OVER_LIMIT: Final = "A field of the entity is over the size limit."
_EMPTY_FIELDS: Final = (
    *("Severity", "MessageFormat", "MessageParameters", "ReferenceCode", "DetailsUri", "Target"),
    *("InnerError", "DebugInfo", "AdditionalInfo"),
)


def as_mlflow(error: QueryError | StoreError, dialect: Dialect, time: int) -> MlflowException:
    """Return the exception with which MLflow's client reports an error; `time` in ms UTC."""
    if not dialect.service:
        return MlflowException(error.message, _number(error.error_code))
    message, is_verbatim = _wording(error)
    answer = RestException(_body(message, error.error_code, dialect.service["component"], time))
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


def _wording(error: QueryError | StoreError) -> tuple[str, bool]:
    """Return what the service says, and whether it was seen to say so."""
    if isinstance(error, StoreError):
        return error.message, error.message.startswith(_OVER_LIMIT)
    first = error.diagnostics[0]
    return first.service_message or first.message, first.verbatim and first.service_message is not None


def _body(message: str, error_code: str, component: str, time: int) -> dict[str, Any]:
    code = "ValidationError" if message.startswith(_OVER_LIMIT) else "UserError"
    empty = dict.fromkeys(_EMPTY_FIELDS)
    operation = uuid.uuid4().hex
    return {
        "Error": {"Code": code, "Message": message, **empty, "Details": []},
        "Correlation": {"operation": operation, "request": operation[:16]},
        "Environment": "mlquery",
        "Location": "memory",
        "Time": datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="microseconds"),
        "ComponentName": component,
        "statusCode": 400,
        "error_code": error_code,
    }
