"""The local offline tracker: a store that is kept on disk, filled from other MLflow stores and sent on to them.

This module names what is public and loads each part at its first use.
"""

from __future__ import annotations

from mlquery.tracker.durable import DurableStore
from mlquery.tracker.errors import JournalError
from mlquery.tracker.opening import open
from mlquery.tracker.pulling import Pulled, pull
from mlquery.tracker.pushing import DoesNotFit, plan_push, push
from mlquery.tracker.repairing import repair

__all__ = ["DoesNotFit", "DurableStore", "JournalError", "Pulled", "open", "plan_push", "pull", "push", "repair"]
