"""Read a Python file or a notebook as one Python source, and turn places in that into places in the file."""

from __future__ import annotations

import io
import json
import tokenize
from bisect import bisect_right
from functools import cached_property
from pathlib import Path

import attrs

from mlquery.lint import notebooks
from mlquery.lint.findings import Edit
from mlquery.lint.notebooks import Cell, NotANotebookError
from mlquery.lint.sources import Source

NOTEBOOK = ".ipynb"
_BOM = "\ufeff"


class UnreadableError(Exception):
    """A file that cannot be linted; the message is one clause that says why."""


@attrs.frozen
class Position:
    """A place as people count: lines and columns from 1, in a notebook those of a cell."""

    line: int
    column: int
    cell: int | None = None


@attrs.frozen(slots=False, eq=False)
class Document:
    """A file: its text, and the Python source in it.

    Attributes:
        text: The text of the file, without a byte order mark.
        source: The Python source, of a notebook that of all code cells.
        encoding: How the text is written, and `has_bom` whether after a byte order mark.
        cells: The code cells of a notebook, and `starts` where each begins in the source.
    """

    text: str
    source: Source
    encoding: str = "utf-8"
    has_bom: bool = False
    cells: tuple[Cell, ...] = ()
    starts: tuple[int, ...] = ()

    def position(self, offset: int) -> Position:
        """Return the place of an offset in the source."""
        line, column = self.source.position(offset)
        if not self.cells:
            return Position(line, column)
        index = self._cell_at(offset)
        first, _ = self.source.position(self.starts[index])
        return Position(line - first + 1, column, self.cells[index].number)

    def line_at(self, offset: int) -> str:
        """Return the line of an offset in the source."""
        return self.source.line(self.source.position(offset)[0])

    def in_file(self, edit: Edit) -> Edit | None:
        """Return an edit of the source as one of the file; None if it crosses strings of a notebook."""
        if not self.cells:
            return edit
        index = self._cell_at(edit.start)
        places = self._places(index)
        touched = places[edit.start - self.starts[index] : max(edit.stop, edit.start + 1) - self.starts[index]]
        if not touched or touched[0][2] != touched[-1][2]:
            return None
        stop = touched[-1][1] if edit.stop > edit.start else touched[0][0]
        return Edit(touched[0][0], stop, json.dumps(edit.replacement, ensure_ascii=self.text.isascii())[1:-1])

    def with_text(self, text: str) -> Document:
        """Return the document with another text.

        Raises:
            UnreadableError: the text is no notebook.
        """
        return document_of(text, is_notebook=bool(self.cells), encoding=self.encoding, has_bom=self.has_bom)

    def encoded(self) -> bytes:
        """Return the bytes of the file."""
        return ((_BOM if self.has_bom else "") + self.text).encode(self.encoding)

    def _cell_at(self, offset: int) -> int:
        return max(0, bisect_right(self.starts, offset) - 1)

    @cached_property
    def _known_places(self) -> dict[int, list[tuple[int, int, int]]]:
        return {}

    def _places(self, index: int) -> list[tuple[int, int, int]]:
        if index not in self._known_places:
            self._known_places[index] = notebooks.file_places(self.cells[index], self.text)
        return self._known_places[index]


def read_document(path: Path) -> Document:
    """Return what a file contains.

    Raises:
        UnreadableError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"it cannot be read: {error.strerror or error}") from None
    is_notebook = path.suffix == NOTEBOOK
    try:
        encoding = "utf-8" if is_notebook else tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        text = data.decode("utf-8" if encoding == "utf-8-sig" else encoding)
    except (SyntaxError, LookupError, ValueError):
        raise UnreadableError("its text cannot be decoded") from None
    encoding = "utf-8" if encoding == "utf-8-sig" else encoding
    has_bom = text.startswith(_BOM)
    return document_of(text.removeprefix(_BOM), is_notebook=is_notebook, encoding=encoding, has_bom=has_bom)


def document_of(text: str, *, is_notebook: bool, encoding: str = "utf-8", has_bom: bool = False) -> Document:
    """Return a document with a text.

    Raises:
        UnreadableError: the text is no notebook.
    """
    if not is_notebook:
        return Document(text, Source(text), encoding, has_bom)
    try:
        cells = notebooks.read_cells(text)
    except NotANotebookError as error:
        raise UnreadableError(str(error)) from None
    pieces, starts, position = [], [], 0
    for cell in cells:
        starts.append(position)
        pieces.append(notebooks.python_of(cell.source) + "\n")
        position += len(pieces[-1])
    return Document(text, Source("".join(pieces)), encoding, has_bom, tuple(cells), tuple(starts))
