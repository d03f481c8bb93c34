"""The body in which a service sends an error, and what it says in it; a local store raises its errors as they are.

**Source**: the answers of Azure Machine Learning quoted in public issues, 2023 to 2025.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, Final

from mlquery.errors import QueryError

_OVER_LIMIT: Final = "A field of the entity is over the size limit."
ARTIFACT_IS_THERE: Final = "Resource Conflict: ArtifactId"
"""How the service begins its refusal to replace a file, which the path follows."""
_EMPTY_FIELDS: Final = (
    *("Severity", "MessageFormat", "MessageParameters", "ReferenceCode", "DetailsUri", "Target"),
    *("InnerError", "DebugInfo", "AdditionalInfo"),
)


_STATUSES: Final = {
    "CUSTOMER_UNAUTHORIZED": 401,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "ENDPOINT_NOT_FOUND": 404,
    "NOT_FOUND": 404,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "RESOURCE_CONFLICT": 409,
    "NOT_IMPLEMENTED": 501,
}


def http_status(error_code: str) -> int:
    """Return the HTTP status with which a server answers an error of MLflow's, never 500.

    **Source**: `mlflow.exceptions` of MLflow 3.17.
    """
    return _STATUSES.get(error_code, 400)


def wording(error: Any) -> tuple[str, bool]:
    """Return what the service says about an error, and whether it was seen to say so; else the words are our own."""
    if not isinstance(error, QueryError):
        return error.message, error.message.startswith((_OVER_LIMIT, ARTIFACT_IS_THERE))
    first = error.diagnostics[0]
    return first.service_message or first.message, first.verbatim and first.service_message is not None


def error_body(
    message: str, error_code: str, component: str, time: int, status: int | None = None, is_validation: bool = False
) -> dict[str, Any]:
    """Return the body of an error.

    Args:
        message: What the service says.
        error_code: MLflow's code of the error.
        component: The part of the service that answers.
        time: The time in ms UTC.
        status: The HTTP status, where it is not that of the error code.
        is_validation: Whether the request itself was malformed; values over a limit count as such anyway.
    """
    code = "ValidationError" if is_validation or message.startswith(_OVER_LIMIT) else "UserError"
    return {
        "Error": {"Code": code, "Message": message, **dict.fromkeys(_EMPTY_FIELDS), "Details": []},
        **_origin(component, time),
        "statusCode": http_status(error_code) if status is None else status,
        "error_code": error_code,
    }


def history_error_body(message: str, time: int) -> dict[str, Any]:
    """Return the body of an error of the run history, whose names begin in lower case.

    **Source**: `ErrorResponse` in `azureml.mlflow._restclient.run_artifact` of azureml-mlflow 1.60.

    Args:
        message: What the service says.
        time: The time in ms UTC.
    """
    origin = {f"{name[0].lower()}{name[1:]}": value for name, value in _origin("run-history", time).items()}
    return {"error": {"code": "UserError", "message": message, "details": []}, **origin}


def _origin(component: str, time: int) -> dict[str, Any]:
    """Return what every error says of the answer and of who gives it."""
    operation = uuid.uuid4().hex
    return {
        "Correlation": {"operation": operation, "request": operation[:16]},
        "Environment": "mlquery",
        "Location": "memory",
        "Time": datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="microseconds"),
        "ComponentName": component,
    }
