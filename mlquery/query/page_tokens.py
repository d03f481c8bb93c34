"""Divide a search into pages: validate `max_results`, read and write page tokens, go through all pages."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import attrs

from mlquery.entities import PagedList
from mlquery.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    Diagnostic,
    QueryError,
    Span,
    Stage,
    invalid_parameter,
)

_MAX_RESULTS_LIMIT = 50_000
_TOO_LARGE = 2**63
_EARLY: Final[tuple[str, Stage]] = (INVALID_PARAMETER_VALUE, "paging")
_LATE: Final[tuple[str, Stage]] = (INTERNAL_ERROR, "running")  # only the database finds an offset too large
T = TypeVar("T")
SortValue = str | int | float | None
"""A value that rows are ordered by, in a token."""


def require_max_results(max_results: int | None, none_is_all: bool = True, least: float = 1) -> None:
    """Refuse a number of results below `least` or above 50,000.

    Raises:
        StoreError: with code INVALID_PARAMETER_VALUE.

    Source: MLflow 3.17 `SqlAlchemyStore._validate_max_results_param`.
    """
    if max_results is None and none_is_all:
        return
    prefix = f"Invalid value {max_results} for parameter 'max_results' supplied. It must be"
    if max_results is None:
        raise invalid_parameter(f"{prefix} a positive integer")
    if isinstance(max_results, bool) or not isinstance(max_results, int):
        raise invalid_parameter(f"{prefix} a positive integer, not {type(max_results).__name__}")
    if max_results < least:
        raise invalid_parameter(f"{prefix} a positive integer")
    if max_results > _MAX_RESULTS_LIMIT:
        raise invalid_parameter(f"{prefix} at most {_MAX_RESULTS_LIMIT}")


@attrs.frozen
class PageToken:
    """Where a page begins, and which search it continues.

    `size` and `version` are those of the store when the first page was read: later pages leave out rows added since.
    MLflow's tokens have only an offset. Where the runs are searched in place, `after` is where the page before ends, ()
    where nothing follows, and `check` tells whether it is a place of this search.
    """

    offset: int
    size: int | None = None
    version: int | None = None
    after: tuple[SortValue, ...] | None = None
    check: int | None = None

    def __str__(self) -> str:
        """Return the token as an opaque string."""
        fields = attrs.asdict(self)
        if self.after is None:
            del fields["after"], fields["check"]
        return base64.b64encode(json.dumps(fields).encode()).decode()


_FIRST_PAGE = PageToken(0)


def read_token(page_token: str | bytes | None) -> PageToken:
    """Return the parsed page token; without a token, that of the first page.

    Raises:
        QueryError: it is not a page token (code "bad-page-token").

    Source: MLflow 3.17 `SearchUtils.parse_start_offset_from_page_token`.
    """
    if not page_token:
        return _FIRST_PAGE
    try:
        parsed = json.loads(base64.b64decode(page_token))
        size, version, check = (_integer(parsed.get(name)) for name in ("size", "version", "check"))
        found = PageToken(int(parsed["offset"]), size, version, _after(parsed.get("after")), check)
    except (binascii.Error, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        found = _FIRST_PAGE
    if not 1 <= found.offset < _TOO_LARGE:
        message = "not a valid page token; pass the token of the previous page unchanged"
        raise bad_page_token(page_token, message, _LATE if found.offset >= _TOO_LARGE else _EARLY)
    return found


def bad_page_token(
    page_token: str | bytes | None, message: str, code_and_stage: tuple[str, Stage] = _EARLY
) -> QueryError:
    """Return the error about a page token."""
    written = page_token if isinstance(page_token, str) else repr(page_token)
    code, stage = code_and_stage
    span = Span(0, len(written))
    return QueryError(Diagnostic("bad-page-token", message, "page_token", written, span, error_code=code, stage=stage))


def _after(found: object) -> tuple[SortValue, ...] | None:
    """Return the values in a token; raise ValueError if they are none."""
    if found is None:
        return None
    if isinstance(found, list) and not any(isinstance(one, bool) or not isinstance(one, SortValue) for one in found):
        return tuple(found)
    raise ValueError("no values of an order")


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def all_pages(search: Callable[..., PagedList[T]], size: int, most: int | None = None) -> Iterator[T]:
    """Yield what a search finds on all of its pages of at most `size` results, up to `most` results.

    Each page is searched when it is reached; `search` takes the arguments `max_results` and `page_token`.
    """
    found, token = 0, None
    while most is None or found < most:
        page = search(max_results=size if most is None else min(size, most - found), page_token=token)
        yield from page
        found, token = found + len(page), page.token
        if not token:
            return
