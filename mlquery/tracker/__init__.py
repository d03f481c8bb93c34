"""The local offline tracker: a store that is kept on disk, filled from other MLflow stores and sent on to them.

This module names what is public and loads each part at its first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlquery.tracker.durable import DurableStore
    from mlquery.tracker.errors import JournalError
    from mlquery.tracker.exporting import export
    from mlquery.tracker.opening import open
    from mlquery.tracker.pulling import Pulled, pull
    from mlquery.tracker.pushing import DoesNotFit, plan_push, push
    from mlquery.tracker.repairing import repair

__all__ = [
    "DoesNotFit",
    "DurableStore",
    "JournalError",
    "Pulled",
    "export",
    "open",
    "plan_push",
    "pull",
    "push",
    "repair",
]

_HOMES = {
    "DoesNotFit": "pushing",
    "DurableStore": "durable",
    "JournalError": "errors",
    "Pulled": "pulling",
    "export": "exporting",
    "open": "opening",
    "plan_push": "pushing",
    "pull": "pulling",
    "push": "pushing",
    "repair": "repairing",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module at the first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"mlquery.tracker.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
