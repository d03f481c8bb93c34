"""Keeps answers small: cuts them at a number of bytes and says so, and writes the points of a history on one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from mlquery.query.histories import Floats, Ints, downsample

MAX_BYTES: Final = 8_000
"""The most bytes of an answer, unless a call asks for more."""
SMALLEST: Final = 1_000
LARGEST: Final = 200_000
"""What a call may ask for, in bytes."""
_CUT: Final = "(cut at {:,} bytes: ask for less, or for more with max_bytes)"


@attrs.frozen
class Answer:
    """The lines of an answer, and notes after them, such as how many rows there are; `str` has `max_bytes` at most.

    Notes are kept, and of the lines the first ones.
    """

    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()
    max_bytes: int = MAX_BYTES

    def with_warnings(self, warnings: Iterable[str]) -> Answer:
        """Return the answer with warnings among its notes, each once."""
        return attrs.evolve(self, notes=tuple(dict.fromkeys([*self.notes, *map("warning: {}".format, warnings)])))

    def __str__(self) -> str:
        limit = max(min(self.max_bytes, LARGEST), SMALLEST)
        whole = "\n".join([*self.lines, *self.notes])
        if len(whole.encode()) <= limit:
            return whole
        after = [_cut("\n".join(self.notes), limit // 2)] if self.notes else []
        after.append(_CUT.format(limit))
        room = limit - sum(len(note.encode()) + 1 for note in after)
        return "\n".join([_cut("\n".join(_first(self.lines, room)), room), *after])


def _first(lines: Sequence[str], room: int) -> list[str]:
    """Return the first lines that take so many bytes, at least one."""
    taken: list[str] = []
    for line in lines:
        room -= len(line.encode()) + 1
        if room < 0 and taken:
            break
        taken.append(line)
    return taken


def _cut(string: str, size: int) -> str:
    """Return the beginning of a string, of at most so many bytes."""
    encoded = string.encode()
    return string if len(encoded) <= size else encoded[: max(size - 3, 0)].decode(errors="ignore") + "…"


def series(name: str, values: Floats, steps: Ints, max_points: int) -> tuple[str, str]:
    """Return two lines about a history: what it is, and its points as `step:value`, with the extremes of each part.

    Raises:
        StoreError: `max_points` is below 2.
    """
    places = downsample(values, max_points).tolist()
    shown = [(int(steps[place]), float(values[place])) for place in places]
    is_number = values == values
    numbers, at = values[is_number], steps[is_number]
    extremes = ""
    if len(numbers):
        low, high = numbers.argmin(), numbers.argmax()
        extremes = f", min {numbers[low]:.6g} at step {at[low]}, max {numbers[high]:.6g} at step {at[high]}"
    thinned = f", {len(places)} of them shown" if len(places) < len(values) else ""
    points = "1 point" if len(values) == 1 else f"{len(values):,} points"
    head = f"{name}: {points}, steps {shown[0][0]} to {shown[-1][0]}, last {shown[-1][1]:.6g}{extremes}{thinned}"
    return head, "  " + " ".join(f"{step}:{value:.6g}" for step, value in shown)
