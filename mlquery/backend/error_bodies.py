"""The body in which a service sends an error, and what it says in it; a local store raises its errors as they are.

**Source**: the answers of Azure Machine Learning quoted in public issues, 2023 to 2025.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, Final

from mlquery.errors import QueryError

_OVER_LIMIT: Final = "A field of the entity is over the size limit."
_EMPTY_FIELDS: Final = (
    *("Severity", "MessageFormat", "MessageParameters", "ReferenceCode", "DetailsUri", "Target"),
    *("InnerError", "DebugInfo", "AdditionalInfo"),
)


def wording(error: Any) -> tuple[str, bool]:
    """Return what the service says about an error, and whether it was seen to say so; else the words are our own."""
    if not isinstance(error, QueryError):
        return error.message, error.message.startswith(_OVER_LIMIT)
    first = error.diagnostics[0]
    return first.service_message or first.message, first.verbatim and first.service_message is not None


def error_body(
    message: str, error_code: str, component: str, time: int, status: int = 400, is_validation: bool = False
) -> dict[str, Any]:
    """Return the body of an error.

    Args:
        message: What the service says.
        error_code: MLflow's code of the error.
        component: The part of the service that answers.
        time: The time in ms UTC.
        status: The HTTP status.
        is_validation: Whether the request itself was malformed; values over a limit count as such anyway.
    """
    code = "ValidationError" if is_validation or message.startswith(_OVER_LIMIT) else "UserError"
    operation = uuid.uuid4().hex
    return {
        "Error": {"Code": code, "Message": message, **dict.fromkeys(_EMPTY_FIELDS), "Details": []},
        "Correlation": {"operation": operation, "request": operation[:16]},
        "Environment": "mlquery",
        "Location": "memory",
        "Time": datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="microseconds"),
        "ComponentName": component,
        "statusCode": status,
        "error_code": error_code,
    }
