"""Errors and diagnostics: what is wrong with a query or a call, where, and how to fix it.

`QueryError` is about a query; `StoreError` is about data (no such run, over a limit), with MLflow's code and wording.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import attrs

Code = Literal["syntax", "unknown-field", "wrong-type", "unsupported", "bad-page-token"]
Severity = Literal["error", "warning", "note"]
Stage = Literal["reading", "ordering", "comparing", "paging", "running"]
"""When a search meets an error: reading the filter, ordering, comparing, paging, or running in the database."""

INVALID_PARAMETER_VALUE = "INVALID_PARAMETER_VALUE"
RESOURCE_DOES_NOT_EXIST = "RESOURCE_DOES_NOT_EXIST"
RESOURCE_ALREADY_EXISTS = "RESOURCE_ALREADY_EXISTS"
RESOURCE_CONFLICT = "RESOURCE_CONFLICT"
INVALID_STATE = "INVALID_STATE"
INTERNAL_ERROR = "INTERNAL_ERROR"
BAD_REQUEST = "BAD_REQUEST"
NOT_IMPLEMENTED = "NOT_IMPLEMENTED"


@attrs.frozen
class Span:
    """A half-open range of code points inside one argument."""

    start: int
    stop: int


@attrs.frozen
class Diagnostic:
    """An error in a query, or a warning or a note about a query that is accepted.

    `argument` names the argument ("filter_string", "order_by[1]"), `source` is its value and `span` the affected part
    of it. `feature` is the row of the support matrix that decided, `suggestion` what to write instead.
    `service_message` is the message of the emulated service; `verbatim` says whether that wording was observed. `stage`
    is when a search meets the error: of several, the first one gives the code. `rule` is the code of its rule
    in `mlquery lint`, such as "MLQ101"; the string of an error, which services get too, does not show it.
    """

    code: Code
    message: str
    argument: str = "filter_string"
    source: str = ""
    span: Span = Span(0, 0)
    severity: Severity = "error"
    dialect: str | None = None
    feature: str | None = None
    suggestion: str | None = None
    error_code: str = INVALID_PARAMETER_VALUE
    service_message: str | None = None
    verbatim: bool = False
    stage: Stage = "reading"
    rule: str | None = None

    def __str__(self) -> str:
        """Render the diagnostic with the part of the query that it is about underlined."""
        feature = f"  [{self.feature}]" if self.feature else ""
        rule = f"  [{self.rule}]" if self.rule and self.severity != "error" else ""
        lines = [f"{self.argument}: {_shown(self.message)}{feature}{rule}", *_underlined(self.source, self.span)]
        if self.suggestion:
            lines.append(f"  instead: {_shown(self.suggestion)}")
        return "\n".join(lines)


def _shown(message: str, width: int = 500) -> str:
    """Return a message on one line of bounded length, with dots for characters that cannot be printed."""
    dotted = "".join(c if c.isprintable() else "\N{MIDDLE DOT}" for c in message[:width])
    return f"{dotted}…" if len(message) > width else dotted


def _underlined(source: str, span: Span, width: int = 100) -> list[str]:
    """Return the part of `source` around `span`, shortened to one line, and a line of carets below it."""
    if not source:
        return []
    first = max(0, span.start - width // 2)
    window = source[first : first + width]
    stop = min(span.stop, first + len(window))
    lead, tail = "…" if first else "", "…" if first + width < len(source) else ""
    carets = "^" * max(1, stop - span.start)
    return [f"    {lead}{_shown(window)}{tail}", f"    {' ' * (len(lead) + span.start - first)}{carets}"]


class QueryError(ValueError):
    """A query that the dialect refuses; `diagnostics` has all errors found."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__(*diagnostics)
        self.diagnostics: tuple[Diagnostic, ...] = diagnostics

    def __str__(self) -> str:
        """Render all diagnostics, one block each."""
        return "\n".join(str(d) for d in self.diagnostics)

    @property
    def code(self) -> Code:
        """Return the code of the first error."""
        return self.diagnostics[0].code

    @property
    def error_code(self) -> str:
        """Return the MLflow error code that a server would return."""
        return self.diagnostics[0].error_code

    @property
    def message(self) -> str:
        """Return the rendered diagnostics, under the name that `MlflowException` uses."""
        return str(self)


class QueryWarning(UserWarning):
    """A query that is accepted although no source says that the dialect supports it, or that is probably a mistake."""


class MockWarning(UserWarning):
    """A test that left something behind in a mock: a run that is still active, a fault that never occurred."""


class ServerForbiddenError(RuntimeError):
    """A call that would reach a server other than mlquery's in a test session that forbids it."""


class StoreError(Exception):
    """A call that the store refuses, with MLflow's error code and wording.

    Source: `mlflow.exceptions.MlflowException`, whose `message` and `error_code` attributes have the same names.
    """

    def __init__(self, message: str, error_code: str = INTERNAL_ERROR, feature: str | None = None) -> None:
        super().__init__(message, error_code, feature)
        self.message = message
        self.error_code = error_code
        self.feature = feature

    def __str__(self) -> str:
        """Return the message alone."""
        return self.message


def invalid_parameter(message: str, **details: Any) -> StoreError:
    """Return the error MLflow raises for a bad argument."""
    return StoreError(message, INVALID_PARAMETER_VALUE, **details)


class ModelFolderError(StoreError, ValueError):
    """A folder on disk that the client of a service does not upload; the service is not asked."""

    def __init__(self, message: str, error_code: str = INVALID_PARAMETER_VALUE, feature: str | None = None) -> None:
        super().__init__(message, error_code, feature)


_CODES: Final = {403: "PERMISSION_DENIED", 404: "ENDPOINT_NOT_FOUND"}


class MissingEndpointError(StoreError):
    """A call for which the service has no endpoint.

    It returns an HTTP status; `path` is the endpoint that MLflow's client calls. The body of the service is empty; here
    it says what to do instead, where that is known.

    **Source** of the wording: `mlflow.utils.rest_utils.verify_rest_response` of MLflow 3.17.
    """

    def __init__(self, path: str, status: int, body: str = "") -> None:
        message = f"API request to endpoint {path} failed with error code {status} != 200. Response body: '{body}'"
        super().__init__(message, _CODES.get(status, INTERNAL_ERROR))
        self.path = path
        self.status = status
        self.body = body

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to make the error again in another process."""
        return type(self), (self.path, self.status, self.body)
