"""Raises the warnings of an mlquery server, which come in an HTTP header that nobody reads, as Python warnings.

MLflow's plugin points hand out requests and never see an answer. One function of MLflow sees every answer of a tracking
server and a registry, whichever client asks, Microsoft's among them; it is wrapped when MLflow loads its plugins, which
is before its first request. Answers without the header of an mlquery server pass as ever.

**Source**: `mlflow.utils.rest_utils.verify_rest_response` and `mlflow.tracking.request_header.registry` of MLflow 2.16
to 3.18.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import wraps
from typing import Any, Final

from mlflow.tracking.request_header.abstract_request_header_provider import RequestHeaderProvider
from mlflow.utils import rest_utils

_WARNING: Final = re.compile(r'\b299 mlquery "((?:[^"\\]|\\.)*)"')


class ServerWarnings(RequestHeaderProvider):
    """Adds no header to requests; MLflow makes one before its first request."""

    def __init__(self) -> None:
        raise_server_warnings()

    def in_context(self) -> bool:
        """Say that there is nothing to add."""
        return False

    def request_headers(self) -> dict[str, str]:
        """Return nothing."""
        return {}


def raise_server_warnings() -> None:
    """Let MLflow's client issue a `QueryWarning` for each warning in an answer, from now on."""
    verify = rest_utils.verify_rest_response
    if getattr(verify, "raises_server_warnings", False):
        return

    @wraps(verify)
    def verify_and_warn(response: Any, *args: Any, **kwargs: Any) -> Any:
        headers = getattr(response, "headers", None)  # a test may have put anything in the place of an answer
        header = headers.get("Warning") if isinstance(headers, Mapping) else None
        if isinstance(header, str) and "299 mlquery" in header:
            _warn(header)
        return verify(response, *args, **kwargs)

    verify_and_warn.raises_server_warnings = True  # type: ignore[attr-defined]
    rest_utils.verify_rest_response = verify_and_warn


def warnings_in(header: str) -> Iterator[str]:
    """Yield the messages in the header `Warning` that come from an mlquery server."""
    return (re.sub(r"\\(.)", r"\1", quoted) for quoted in _WARNING.findall(header))


def _warn(header: str) -> None:
    from mlquery.query.reading import warn_outside  # few answers need it

    for message in warnings_in(header):
        warn_outside(message)
