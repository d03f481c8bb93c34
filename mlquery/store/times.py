"""Times that nobody gave: turns what a clock says into times that rise from call to call, however quick the calls are.

MLflow reads a clock of milliseconds in calls that take more than one, so that a run never starts in the millisecond of
the run before it, and never ends in that of its start. Here calls take microseconds, and a clock may stand still: a
time that has been given already is moved to the next one. The clock itself never runs ahead. What the times are of is
not known here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import BuiltinFunctionType

import attrs


def now() -> int:
    """Return the time in ms UTC, as MLflow makes it of `time.time()`, which a test may have replaced."""
    return int(time.time() * 1000)


def is_given(clock: Callable[[], int]) -> bool:
    """Tell whether what a clock says counts as given: the time of the system does where a test has replaced it.

    Times that are equal then stay equal, as with MLflow's own store.
    """
    if clock is now:
        return not isinstance(time.time, BuiltinFunctionType)
    return bool(getattr(clock, "is_given", False))


@attrs.define
class RisingTimes:
    """The times of one kind of entities, in the order in which they were given.

    A clock may have an `era`, which is another one after each time that it is set. A time that was set counts as given:
    the first one of an era stays as it is, and so does the first one after the clock has gone back.
    """

    _era: object = None
    _reading: int = 0  # what the clock said last,
    _given: int = 0  # what was made of it,
    _unmoved: int = 0  # and the last one that was given as the clock said it

    def copy(self) -> RisingTimes:
        """Return the same times, to be continued independently."""
        return attrs.evolve(self)

    def next(self, clock: Callable[[], int], reading: int | None = None) -> int:
        """Return the time of what happens now, later than all before; `reading` is what the clock said, if known."""
        era = object() if is_given(clock) else getattr(clock, "era", clock)
        if reading is None:
            reading = clock()
        if era is not self._era:
            given = reading
        elif reading < self._reading and clock() < self._reading:
            given = reading  # else another thread has read the clock later and was quicker
        else:
            reading = max(reading, self._reading)
            given = max(reading, self._given + 1)
        self._era, self._reading, self._given = era, reading, given
        if given == reading:
            self._unmoved = given
        return given

    def after(self, start: int, reading: int) -> int:
        """Return the time of an end, `reading` by the clock: later than a start at that time, or one that was moved."""
        is_moved = self._unmoved <= reading <= start <= self._given
        return start + 1 if is_moved or start == reading else reading
