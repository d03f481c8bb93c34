"""Cut a search into pages: check `max_results`, read and write page tokens. Knows no queries and no rows."""

from __future__ import annotations

import base64
import binascii
import json

from mlquery.errors import Diagnostic, QueryError, Span, StoreError, invalid_parameter

MAX_RESULTS_LIMIT = 50_000


def require_max_results(max_results: int | None, none_is_all: bool = True) -> None:
    """Refuse a number of results that is not between 1 and 50,000.

    Raises:
        StoreError: with code INVALID_PARAMETER_VALUE.

    Source: MLflow 3.17 `SqlAlchemyStore._validate_max_results_param`.
    """
    prefix = f"Invalid value {max_results} for parameter 'max_results' supplied. It must be"
    if max_results is None:
        if not none_is_all:
            raise invalid_parameter(f"{prefix} a positive integer")
    elif isinstance(max_results, bool) or not isinstance(max_results, int):
        raise _not_an_integer(max_results, prefix)
    elif max_results < 1:
        raise invalid_parameter(f"{prefix} a positive integer")
    elif max_results > MAX_RESULTS_LIMIT:
        raise invalid_parameter(f"{prefix} at most {MAX_RESULTS_LIMIT}")


def _not_an_integer(max_results: object, prefix: str) -> StoreError:
    return invalid_parameter(f"{prefix} a positive integer, not {type(max_results).__name__}")


def token_for(offset: int) -> str:
    """Return the page token of the page that begins at a row of the result."""
    return base64.b64encode(json.dumps({"offset": offset}).encode()).decode()


def offset_of(page_token: str | bytes | None) -> int:
    """Return where the page of a token begins; no token is the first page.

    Raises:
        QueryError: the text is not a page token (code "bad-page-token").

    Source: MLflow 3.17 `SearchUtils.parse_start_offset_from_page_token`.
    """
    if not page_token:
        return 0
    try:
        parsed = json.loads(base64.b64decode(page_token))
        offset = int(parsed["offset"])
    except (binascii.Error, ValueError, TypeError, KeyError, RecursionError):
        offset = 0
    if offset < 1:
        text = page_token if isinstance(page_token, str) else repr(page_token)
        message = "not a page token; pass on the token of the page before, unchanged"
        raise QueryError(Diagnostic("bad-page-token", message, "page_token", text, Span(0, len(text))))
    return offset
