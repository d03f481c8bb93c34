"""Prints tables of cells that may have a color: with rich in a terminal, as aligned lines into pipes, as Markdown.

What is in the cells is not known here.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.util import find_spec
from typing import Any, Final

import attrs

from mlquery.tables.lines import aligned

GOOD: Final = "green"
BAD: Final = "red"
CHANGED: Final = "cyan"
BOLD: Final = "bold"
_WIDTH: Final = 120  # where there is no terminal
_GAP: Final = 2


@attrs.frozen
class Cell:
    """A string on one line, and the style that rich gives it."""

    string: str
    style: str = ""


@attrs.frozen
class Grid:
    """A table: the title, the header, and rows of cells as long as the header.

    Attributes:
        fixed: How many columns are always shown; of the others those that fit.
        column: What the other columns are.
        complete: The format that has them all.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    fixed: int = 1
    column: str = "column"
    complete: str = "csv"

    def fitted(self, width: int) -> Grid:
        """Return the table without the columns that do not fit into so many characters."""
        columns = zip(*([Cell(name) for name in self.header], *self.rows), strict=True)
        widths = [max(len(cell.string) for cell in column) + _GAP for column in columns]
        kept, used = self.fixed, sum(widths[: self.fixed])
        while kept < len(widths) and used + widths[kept] <= width + _GAP:
            used += widths[kept]
            kept += 1
        left_out = len(widths) - kept
        note = (
            f"; {left_out} more {self.column}{'s' * (left_out != 1)} with --format {self.complete}" if left_out else ""
        )
        return attrs.evolve(
            self, title=self.title + note, header=self.header[:kept], rows=[r[:kept] for r in self.rows]
        )


def print_grids(grids: Iterable[Grid], no_color: bool = False) -> None:
    """Print tables to standard output, in colors if it is a terminal and rich is installed."""
    width = shutil.get_terminal_size((_WIDTH, 24)).columns
    if sys.stdout.isatty() and find_spec("rich") is not None:
        _print_rich([grid.fitted(width) for grid in grids], no_color or "NO_COLOR" in os.environ)
        return
    for number, grid in enumerate(grids):
        print(end="\n" if number else "")
        print(*plain(grid.fitted(width)), sep="\n")


def plain(grid: Grid) -> Iterator[str]:
    """Yield the lines of a table."""
    yield f"{grid.title}:"
    yield from aligned([[name, *(row[i].string for row in grid.rows)] for i, name in enumerate(grid.header)])


def markdown(grids: Iterable[Grid]) -> Iterator[str]:
    """Yield the lines of tables as Markdown, with all columns."""
    for number, grid in enumerate(grids):
        if number:
            yield ""
        yield f"**{_escaped(grid.title)}**"
        yield ""
        yield _markdown_row(list(map(_escaped, grid.header)))
        yield _markdown_row(["---"] * len(grid.header))
        yield from (_markdown_row([_escaped(cell.string) for cell in row]) for row in grid.rows)


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(string: str) -> str:
    """Return a string that Markdown shows as it is."""
    escaped = escape(string, quote=False)
    return "".join(f"\\{character}" if character in "\\|`*_[]~" else character for character in escaped)


def _print_rich(grids: Iterable[Grid], no_color: bool) -> None:
    from rich.console import Console

    console = Console(no_color=no_color, highlight=False, soft_wrap=True)
    for number, grid in enumerate(grids):
        console.print(end="\n" if number else "")
        console.print(_rich_table(grid))


def _rich_table(grid: Grid) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    shown = Table(
        title=Text(grid.title),
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for place, name in enumerate(grid.header):
        numeric = place > 0 and all(_is_numeric(row[place].string) for row in grid.rows)
        shown.add_column(Text(name), justify="right" if numeric else "left", no_wrap=True)
    for row in grid.rows:
        shown.add_row(*(Text(cell.string, style=cell.style) for cell in row))
    return shown


def _is_numeric(string: str) -> bool:
    return not string or string.lstrip("+-")[:1].isdigit()
