"""What a mock says about a careless test: sentences, and warnings that point at the code that uses the mock."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

from mlquery.errors import MockWarning

_INSIDE: Final = ("mlquery.mocking", "contextlib", "unittest")


def unused_faults(calls: list[str]) -> Iterator[str]:
    """Yield a sentence about the calls that were to fail and never came."""
    for call in dict.fromkeys(calls):
        yield f"{calls.count(call)} more calls of {call!r} were to fail, and none came"


def warn(report: str, about: Callable[..., Any] | None) -> None:
    """Warn of a report, at the function that is decorated or else at the caller."""
    code = getattr(about and inspect.unwrap(about), "__code__", None)
    if code is None:
        warnings.warn(report, MockWarning, stacklevel=_depth())
    else:
        warnings.warn_explicit(report, MockWarning, code.co_filename, code.co_firstlineno)


def _depth() -> int:
    """Return the `stacklevel` of a warning of the caller that points at the code that uses the mock."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_INSIDE):
        frame, depth = frame.f_back, depth + 1
    return depth
