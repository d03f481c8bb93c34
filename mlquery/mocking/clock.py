"""A clock that a test can set: turns the time of another clock, or a time that was set, into milliseconds UTC."""

from __future__ import annotations

from collections.abc import Callable

from mlquery.store.times import is_given, now


class Clock:
    """Returns the time in ms UTC; it follows another clock until `set` stops it, and `tick` moves it.

    Args:
        source: The clock that it follows, by default the system's; or a time in ms UTC at which it stands still.

    Attributes:
        era: Another object after each `set`: what happens first in an era gets the time that was set, even if that has
            been given before; what follows gets the milliseconds after it, as if the calls took their time.
    """

    def __init__(self, source: Callable[[], int] | int | None = None) -> None:
        self._source = source if callable(source) else now
        self._stopped_at: int | None = None
        self._ahead = 0
        self.era = object()
        if source is not None and not callable(source):
            self.set(source)

    def __call__(self) -> int:
        """Return the time in ms UTC."""
        return self._source() + self._ahead if self._stopped_at is None else self._stopped_at

    def __repr__(self) -> str:
        return f"<Clock: {self()} ms{'' if self._stopped_at is None else ', stopped'}>"

    @property
    def is_given(self) -> bool:
        """Whether it shows the time of the system, which a test has replaced."""
        return self._stopped_at is None and is_given(self._source)

    def set(self, ms: int) -> None:
        """Stop the clock at a time in ms UTC."""
        self._stopped_at = _whole(ms)
        self.era = object()

    def tick(self, ms: int = 1) -> None:
        """Move the clock on by some milliseconds; one that is running keeps running from there."""
        if self._stopped_at is None:
            self._ahead += _whole(ms)
        else:
            self._stopped_at += _whole(ms)

    def copy(self) -> Clock:
        """Return a clock that shows the same time and is moved on its own."""
        new = Clock(self._source)
        new._stopped_at, new._ahead, new.era = self._stopped_at, self._ahead, self.era
        return new


def _whole(ms: int) -> int:
    if isinstance(ms, bool) or not isinstance(ms, int):
        raise TypeError(f"a time is a whole number of milliseconds since 1970, not {ms!r}")
    return ms
