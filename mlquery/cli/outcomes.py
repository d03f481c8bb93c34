"""How a command ends: its exit codes, and the error of a request that makes no sense."""

from __future__ import annotations

from typing import Final

ACCEPTED: Final = 0
REFUSED: Final = 1
MISUSE: Final = 2


class UsageError(Exception):
    """A request that cannot be carried out; the message is one sentence."""
