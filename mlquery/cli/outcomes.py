"""Defines how a command ends: the exit codes, and the error of a command that is used wrongly."""

from __future__ import annotations

from typing import Final

ACCEPTED: Final = 0
REFUSED: Final = 1
MISUSE: Final = 2


class UsageError(Exception):
    """A command that cannot be carried out; the message is one sentence."""
