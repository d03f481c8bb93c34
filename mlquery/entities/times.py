"""Shows times to people."""

from __future__ import annotations

from datetime import UTC, datetime


def shown_time(milliseconds: int | None) -> str | None:
    """Return a time in ms UTC to the second, or its number beyond the range of `datetime`; None if it is missing."""
    if milliseconds is None:
        return None
    try:
        return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(milliseconds)
