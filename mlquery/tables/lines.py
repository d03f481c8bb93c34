"""Writes cells as lines of text: aligned columns, strings on one line of bounded length, times, numbers of things."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlquery.entities.times import shown_time as entity_time


def aligned(columns: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield one line per row of `columns`, each a header and its cells; numbers stand at the right."""
    widths = [max(map(len, column)) for column in columns]
    right = [all(_is_number(cell) for cell in column[1:] if cell) for column in columns]
    for row in zip(*columns, strict=True):
        cells = (
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(row, widths, right, strict=True)
        )
        yield "  ".join(cells).rstrip()


def counted(number: int, thing: str) -> str:
    """Return a number of things."""
    return f"{number} {thing}{'s' * (number != 1)}"


def shown_time(milliseconds: int | None) -> str:
    """Return the cell of a time in ms UTC, which is empty if it is missing."""
    return entity_time(milliseconds) or ""


def one_line(string: str, longest: int = 40) -> str:
    """Return the beginning of a string, with a dot for each character that cannot be printed."""
    shown = "".join(character if character.isprintable() else "\N{MIDDLE DOT}" for character in string)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
