"""Modules of the first release that have moved: their names are still found there, with a warning, for one release."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any


def names_of(old: str, new: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module `old` whose contents are now in `new`."""

    def __getattr__(name: str) -> Any:
        try:
            value = getattr(import_module(new), name)
        except AttributeError:
            raise AttributeError(f"module {old!r} has no attribute {name!r}") from None
        home = "mlquery" if name in import_module("mlquery").__all__ else new
        if not name.startswith("__"):
            message = f"{old}.{name} has moved and will be gone in the next release: from {home} import {name}"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
        return value

    return __getattr__
