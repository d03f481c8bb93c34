"""Draws a curve in the terminal with the dots of Braille characters, two columns and four rows in each.

No library fits: plotille fails for NaN, uniplot rounds its labels ("0" for 0.44), plotext changed its whole API.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

_EMPTY_CELL: Final = 0x2800
_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row and column of a character


def curve(xs: Sequence[float], ys: Sequence[float], width: int, height: int) -> Iterator[str]:
    """Yield the lines of a plot; points that are not finite are left out and break the curve.

    Args:
        xs: Horizontal coordinates, (n,), ascending.
        ys: Vertical coordinates, (n,).
        width: Characters per line, including the labels on the left.
        height: Lines of the plot, without the labels below it.
    """
    shown = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
    if not shown:
        yield "(no finite values)"
        return
    left, right = min(x for x, _ in shown), max(x for x, _ in shown)
    low, high = min(y for _, y in shown), max(y for _, y in shown)
    parts = [row / max(1, height - 1) for row in range(height)]
    labels = [f"{low * (1 - part) + high * part:.4g}" for part in parts]
    margin = max(map(len, labels))
    columns = max(2, width - margin - 2)
    canvas = [[0] * columns for _ in range(height)]
    before: tuple[int, int] | None = None
    for x, y in zip(xs, ys, strict=True):
        if not math.isfinite(y):
            before = None
            continue
        here = _place(x, left, right, 2 * columns - 1), _place(y, low, high, 4 * height - 1)
        for across, up in _line(before or here, here):
            row, column = divmod(4 * height - 1 - up, 4)
            canvas[row][across // 2] |= _DOTS[column][across % 2]
        before = here
    for row, cells in enumerate(canvas):
        is_labelled = row in (0, height // 2, height - 1)
        label = labels[height - 1 - row] if is_labelled else ""
        dots = "".join(chr(_EMPTY_CELL + cell) for cell in cells).rstrip(chr(_EMPTY_CELL))
        yield f"{label:>{margin}} {'┤' if is_labelled else '│'}{dots}"
    yield f"{'':>{margin}} └{'─' * columns}"
    start, stop = f"{left:g}", f"{right:g}"
    yield f"{'':>{margin + 2}}{start}{stop:>{max(1, columns - len(start))}}"


def _place(value: float, low: float, high: float, last: int) -> int:
    """Return the dot of a value, from 0 to `last`."""
    half = high / 2 - low / 2  # the difference itself might overflow
    return last // 2 if half == 0 else round((value / 2 - low / 2) / half * last)


def _line(start: tuple[int, int], stop: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the dots of a straight line."""
    steps = max(abs(stop[0] - start[0]), abs(stop[1] - start[1]))
    for step in range(steps + 1):
        part = step / steps if steps else 0.0
        yield round(start[0] + (stop[0] - start[0]) * part), round(start[1] + (stop[1] - start[1]) * part)
