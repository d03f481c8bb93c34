"""Turn positions in a Python source, as the parser gives them, into offsets and back. Knows no Python otherwise."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property

import attrs

_LINE_BREAK = re.compile(r"\r\n|\r|\n")


@attrs.frozen(slots=False, eq=False)
class Source:
    """A Python source; offsets and columns count characters, the columns of the parser bytes of UTF-8."""

    text: str

    @cached_property
    def _starts(self) -> list[int]:
        """Return where each line starts."""
        return [0, *(found.end() for found in _LINE_BREAK.finditer(self.text))]

    def offset(self, line: int, byte_column: int) -> int:
        """Return the offset of a position of the parser: a line from 1 and a column in bytes from 0."""
        start = self._starts[line - 1]
        if self.text.isascii():
            return start + byte_column
        return start + len(self.line(line).encode("utf-8", "surrogatepass")[:byte_column].decode("utf-8", "ignore"))

    def position(self, offset: int) -> tuple[int, int]:
        """Return the line and the column of an offset, both from 1."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Return a line, from 1, without its line break."""
        start = self._starts[number - 1]
        stop = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[start:stop].rstrip("\r\n")
