"""Turns diagnostics into what the page underlines and explains, with the filter to use instead where there is one.

What is wrong with a query is decided by its dialect; here it is only shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mlquery.errors import Diagnostic
from mlquery.language.matrix import MATRIX, Dialect
from mlquery.query.search import check

_FILTER: Final = "filter_string"


def written(diagnostic: Diagnostic, filter_string: str, dialect: Dialect) -> dict[str, Any]:
    """Return a diagnostic; `fixed` is the whole filter to use instead if the suggestion makes the dialect accept it."""
    return {
        "message": diagnostic.message,
        "argument": diagnostic.argument,
        "start": diagnostic.span.start,
        "stop": diagnostic.span.stop,
        "severity": diagnostic.severity,
        "feature": diagnostic.feature,
        "instead": diagnostic.suggestion,
        "fixed": _fixed(diagnostic, filter_string, dialect),
        "text": str(diagnostic),
    }


def verdicts(filter_string: str, order_by: Sequence[str], but: Dialect) -> dict[str, list[dict[str, Any]]]:
    """Return what each main dialect but one says of a query, apart from advice; nothing where it accepts it."""
    dialects = [MATRIX.dialects[name] for name in MATRIX.main_dialects if name != but.name]
    return {
        dialect.name: [
            written(one, filter_string, dialect)
            for one in check(filter_string, order_by, dialect=dialect).diagnostics
            if one.severity == "error" or one.feature is not None
        ]
        for dialect in dialects
    }


def advice_of(filter_string: str, order_by: Sequence[str], dialect: Dialect) -> list[Diagnostic]:
    """Return the warnings about a query that no search issues: that it matches nothing, or means something else."""
    found = check(filter_string, order_by, dialect=dialect).diagnostics
    return [one for one in found if one.severity == "warning" and one.feature is None]


def _fixed(diagnostic: Diagnostic, filter_string: str, dialect: Dialect) -> str | None:
    """Return the filter with the suggestion in place of what the diagnostic is about, if that is wrong no more."""
    instead, span = diagnostic.suggestion, diagnostic.span
    if instead is None or diagnostic.argument != _FILTER or span.start == span.stop:
        return None
    changed = filter_string[: span.start] + instead + filter_string[span.stop :]
    others = _errors(filter_string, dialect) - {diagnostic.message}
    is_fixed = changed != filter_string and _errors(changed, dialect) <= others
    return changed if is_fixed else None


def _errors(filter_string: str, dialect: Dialect) -> set[str]:
    found = check(filter_string, dialect=dialect).diagnostics
    return {one.message for one in found if one.severity == "error"}
