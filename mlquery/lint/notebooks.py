"""Turn a notebook into one Python source, the code of its cells joined, and offsets in it into those of the file.

A notebook is JSON; only the sources of its code cells are looked at, in formats 3 and 4. What is no Python in them,
such as magics and shell commands, becomes an expression that means nothing, of the same length.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

import attrs

_SPACE = re.compile(r"[ \t\r\n]*")
_MAGIC = re.compile(r"^(?P<lead>[ \t]*(?:[\w, \t]+=[ \t]*)?)(?P<magic>[%!?].*|[\w.]+\?\??[ \t]*)$", re.MULTILINE)
_CONTINUED = re.compile(r"^([ \t]*[%!][^\n]*)\\\n([^\n]*)", re.MULTILINE)
_CELL_MAGIC = re.compile(r"\s*%%(?!(?:time|timeit|capture|prun)\b)")
_DECODER = json.JSONDecoder()
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)", re.DOTALL)


class NotANotebookError(ValueError):
    """A file that cannot be read as a notebook; the message is one clause."""


@attrs.frozen
class Cell:
    """The code of one cell: its number from 1 among all cells, and where its strings are in the file."""

    number: int
    strings: tuple[tuple[str, int, int], ...]

    @property
    def source(self) -> str:
        """Return the code."""
        return "".join(string for string, _, _ in self.strings)


def read_cells(text: str) -> list[Cell]:
    """Return the code cells of a notebook.

    Raises:
        NotANotebookError: it is not JSON, or has no cells.
    """
    try:
        position = _after(text, 0)
        found = list(_cells(text, position))
    except (ValueError, IndexError, RecursionError):
        raise NotANotebookError("it is not a notebook: its JSON cannot be read") from None
    return found


def _cells(text: str, position: int) -> Iterator[Cell]:
    number = 0
    for key, start in _items(text, position):
        if key == "cells":
            for start_of_cell in _elements(text, start):
                number += 1
                cell = _cell(text, start_of_cell, number)
                if cell is not None:
                    yield cell
        if key == "worksheets":
            for sheet in _elements(text, start):
                yield from _cells(text, sheet)


def _cell(text: str, position: int, number: int) -> Cell | None:
    kind, strings = "", []
    for key, start in _items(text, position):
        if key == "cell_type":
            kind = str(_DECODER.raw_decode(text, start)[0])
        if key in ("source", "input"):
            starts = list(_elements(text, start)) if text[start] == "[" else [start]
            strings = [_string(text, each) for each in starts]
    return Cell(number, tuple(strings)) if kind == "code" else None


def _string(text: str, start: int) -> tuple[str, int, int]:
    value, end = _scanned(text, start)
    return value, start + 1, end - 1


def _scanned(text: str, start: int) -> tuple[str, int]:
    """Return the string that begins with the quote here, and where it ends."""
    value, end = _DECODER.raw_decode(text, start)
    if not isinstance(value, str):
        raise ValueError("not a string")
    return value, end


def _after(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    assert found is not None
    return found.end()


def _items(text: str, position: int) -> Iterator[tuple[str, int]]:
    """Yield the keys of the object that begins here, and where their values begin."""
    if text[position] != "{":
        raise ValueError("not an object")
    position = _after(text, position + 1)
    while text[position] != "}":
        key, position = _scanned(text, position)
        position = _after(text, _after(text, position) + 1)
        yield key, position
        position = _next(text, position)


def _elements(text: str, position: int) -> Iterator[int]:
    """Yield where the elements of the list that begins here begin."""
    if text[position] != "[":
        raise ValueError("not a list")
    position = _after(text, position + 1)
    while text[position] != "]":
        yield position
        position = _next(text, position)


def _next(text: str, position: int) -> int:
    """Return where what follows the value that begins here begins: another value or the end."""
    position = _after(text, _DECODER.raw_decode(text, position)[1])
    return _after(text, position + 1) if text[position] == "," else position


def python_of(cell: str) -> str:
    """Return the code of a cell as Python of the same length; nothing but line breaks of one that is none."""
    if _CELL_MAGIC.match(cell):
        return _blank(cell)
    for candidate in (cell, _without_magics(cell)):
        try:
            ast.parse(candidate)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return candidate
    return _blank(cell)


def _blank(cell: str) -> str:
    return re.sub(r"[^\r\n]", " ", cell)


def _without_magics(cell: str) -> str:
    joined = _CONTINUED.sub(lambda m: f"{m[1]} \n{' ' * len(m[2])}", cell)
    return _MAGIC.sub(lambda m: f"{m['lead']}0{' ' * (len(m['magic']) - 1)}", joined)


def file_places(cell: Cell, text: str) -> list[tuple[int, int, int]]:
    """Return for each character of a cell where it is written in the file, and in which of its strings."""
    places: list[tuple[int, int, int]] = []
    for number, (value, start, _) in enumerate(cell.strings):
        position = start
        for _ in value:
            first = position
            escape = _ESCAPE.match(text, position) if text[position] == "\\" else None
            position = escape.end() if escape else position + 1
            if escape and _is_high(escape[0]) and (low := _ESCAPE.match(text, position)) and _is_low(low[0]):
                position = low.end()
            places.append((first, position, number))
    return places


def _is_high(escape: str) -> bool:
    return escape[1] == "u" and 0xD800 <= int(escape[2:], 16) < 0xDC00


def _is_low(escape: str) -> bool:
    return escape[1] == "u" and 0xDC00 <= int(escape[2:], 16) < 0xE000
