"""Turns errors into an HTTP status and a JSON body: MLflow's, or the envelope that a service sends.

A request never causes a status of 500. MLflow's server sends it where its database fails on a value and for
INVALID_STATE and INTERNAL_ERROR; its client then sends the request again, for minutes, so here they are 400 with the
same error code.

**Source**: `mlflow.exceptions` of MLflow 3.17 for codes and statuses; answers of Azure Machine Learning quoted in
public issues, 2023 to 2025, for the envelope.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mlquery.backend.error_bodies import error_body, http_status, wording
from mlquery.errors import INVALID_PARAMETER_VALUE, MissingEndpointError, QueryError, StoreError

Answer = tuple[int, Any]
"""An HTTP status and a JSON value; a string is a body that is not JSON."""

_CLASSES: Final = {
    "BAD_REQUEST": "INVALID_PARAMETER_VALUE",
    "CUSTOMER_UNAUTHORIZED": "PERMISSION_DENIED",
    "ENDPOINT_NOT_FOUND": "RESOURCE_NOT_FOUND",
    "INTERNAL_ERROR": "CLIENT_INTERNAL_ERROR",
    "INVALID_PARAMETER_VALUE": "INVALID_PARAMETER_VALUE",
    "INVALID_STATE": "CLIENT_INTERNAL_ERROR",
    "NOT_FOUND": "RESOURCE_NOT_FOUND",
    "PERMISSION_DENIED": "PERMISSION_DENIED",
    "RESOURCE_ALREADY_EXISTS": "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_DOES_NOT_EXIST": "RESOURCE_NOT_FOUND",
}


class RequestError(Exception):
    """A request that is refused before any call is made; `status` where the code does not say it all."""

    def __init__(self, message: str, error_code: str = INVALID_PARAMETER_VALUE, status: int | None = None) -> None:
        super().__init__(message, error_code, status)
        self.message = message
        self.error_code = error_code
        self.status = status


class MalformedRequestError(RequestError):
    """A request whose fields do not fit their types, where the dialect does not read past that."""


Failure = QueryError | StoreError | RequestError
FAILURES: Final = (QueryError, StoreError, RequestError)
"""What a request can end with; anything else is unexpected."""


def answer_to(error: Failure, service: Mapping[str, Any], time: int) -> Answer:
    """Return the answer to a request that failed.

    Args:
        error: What went wrong.
        service: How the endpoint of the dialect answers; empty for the answers of MLflow's own server.
        time: The time in ms UTC.
    """
    if isinstance(error, MissingEndpointError):
        return error.status, error.body
    status = getattr(error, "status", None) or http_status(error.error_code)
    if service:
        message, _ = wording(error)
        is_malformed = isinstance(error, MalformedRequestError)
        return status, error_body(message, error.error_code, service["component"], time, status, is_malformed)
    return status, _plain(error)


def _plain(error: Failure) -> dict[str, Any]:
    body = {"error_code": error.error_code, "message": error.message}
    error_class = _CLASSES.get(error.error_code)
    if error_class is not None:
        body["sqlstate"] = "XXM00" if error_class == "CLIENT_INTERNAL_ERROR" else "KAM00"
        body["error_class"] = error_class
    return body
