"""Turns the text of a `meta.yaml` file into a dictionary, for the few shapes that MLflow writes and no others.

MLflow's folder store writes flat mappings of texts, whole numbers and nulls, sometimes with one mapping inside (tags).
Reading them takes a page of code and saves every user a dependency. It must not guess: a shape outside the subset
(anchors, lists, block scalars, …) is a ValueError with its line, never a wrong value. A property test compares this
reader with PyYAML on what MLflow's writer makes of any text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Scalar = str | int | bool | None
Value = Scalar | dict[str, Scalar]
_Read = Callable[[int], Value]

_BREAKS = "\n\r\x85\u2028\u2029"
_BREAK = re.compile(f"\r\n|[{_BREAKS}]")
_FOLD = f"[ \t]*(?:{_BREAK.pattern})(?:[ \t]*(?:{_BREAK.pattern}))*[ \t]*"
_FOLDED = re.compile(_FOLD)
_PIECES = {
    "'": re.compile(f"(?P<fold>{_FOLD})|(?P<quote>'')|(?P<text>[^' \t{_BREAKS}]+|[ \t]+)"),
    '"': re.compile(
        f"(?P<fold>{_FOLD})|\\\\(?P<joined>{_FOLD})"
        r"|\\(?P<code>x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})|\\(?P<escape>.)"
        f'|(?P<text>[^"\\\\ \t{_BREAKS}]+|[ \t]+)'
    ),
}
_ESCAPES = dict(zip("0abt\tnvfre \"/\\N_LP'", "\0\a\b\t\t\n\v\f\r\x1b \"/\\\x85\xa0\u2028\u2029'", strict=True))
_PLAIN_LINE = re.compile(f"(?:(?![ \t]#)[^{_BREAKS}])*")
_PLAIN_KEY = re.compile(f"(?![-?] )(?:(?! #)[^{_BREAKS}])+?(?= *:(?:[ {_BREAKS}]|\\Z))")
_NOT_PLAIN = tuple("&*!|>%@`[]{},#\"'")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})\Z")
_MEANINGS: dict[str, Scalar] = {"": None, "~": None, "null": None, "true": True, "false": False}
_WORDS = {cased: meaning for word, meaning in _MEANINGS.items() for cased in (word, word.title(), word.upper())}


def read_mapping(text: str) -> dict[str, Value]:
    """Read a block mapping whose values are scalars or mappings of scalars; an empty text is an empty mapping.

    Raises:
        ValueError: the text is not in the subset; the message names the line.
    """
    reader = _Reader(text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").removeprefix("---\n"))
    found: dict[str, Value] = {}
    while reader.next_indent() == 0:
        reader.entry(0, found, reader.value)
    if reader.next_indent() is not None:
        raise reader.problem("unexpected indentation")
    return found


class _Reader:
    """A cursor over the text; every method leaves it behind what it read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def problem(self, what: str) -> ValueError:
        return ValueError(f"line {len(_BREAK.findall(self.text, 0, self.at)) + 1}: {what}")

    def sees(self, *starts: str) -> bool:
        return self.text.startswith(starts, self.at)

    def line_is_over(self) -> bool:
        return self.at == len(self.text) or self.sees(*_BREAKS)

    def next_indent(self) -> int | None:
        """Move to the next line with content and return its indentation, None at the end of the text."""
        while self.at < len(self.text):
            start = self.at
            self.skip_blanks()
            if not self.line_is_over() and not self.sees("#"):
                indent, self.at = self.at - start, start
                return indent
            self.end_line()
        return None

    def skip_blanks(self) -> None:
        while self.sees(" "):
            self.at += 1

    def end_line(self) -> None:
        """Accept blanks and a comment up to the end of the line, and nothing else."""
        self.skip_blanks()
        if not self.sees("#") and not self.line_is_over():
            raise self.problem(f"unexpected {self.text[self.at : self.at + 20]!r}")
        found = _BREAK.search(self.text, self.at)
        self.at = found.end() if found else len(self.text)

    def entry(self, indent: int, found: dict[str, Value], value: _Read) -> None:
        """Read one `key: value` into `found`."""
        self.at += indent
        key = self.key(indent)
        if not self.sees(":"):
            raise self.problem("expected 'key: value'")
        if key in found:
            raise self.problem(f"duplicate key {key!r}")
        self.at += 1
        self.skip_blanks()
        found[key] = value(indent)

    def key(self, indent: int) -> str:
        """Read a key; one that is too long for a line of its own stands as `? key`, its colon on the next line."""
        if self.sees("? "):
            self.at += 2
            self.skip_blanks()
            key = self.scalar(indent)
            if isinstance(key, str) and self.next_indent() == indent:
                self.at += indent
                return key
        elif self.sees("'", '"'):
            return self.quoted()
        elif not self.sees(*_NOT_PLAIN) and (found := _PLAIN_KEY.match(self.text, self.at)):
            self.at = found.end()
            self.skip_blanks()
            return found[0]
        raise self.problem("expected 'key: value'")

    def value(self, indent: int) -> Value:
        """Read the value of a key: on its line a scalar or an empty collection, or a mapping on the lines below."""
        if self.sees("{}", "[]"):
            self.at += 2
            self.end_line()
            return {}
        if not self.line_is_over() and not self.sees("#"):
            return self.scalar(indent)
        self.end_line()
        below = self.next_indent()
        if below is None or below <= indent:
            return None
        inner: dict[str, Value] = {}
        while self.next_indent() == below:
            self.entry(below, inner, self.scalar)
        return inner  # type: ignore[return-value]  # `scalar` put scalars in

    def scalar(self, indent: int) -> Scalar:
        if not self.sees("'", '"'):
            return self.plain(indent)
        text = self.quoted()
        self.end_line()
        return text

    def quoted(self) -> str:
        mark, start = self.text[self.at], self.at
        self.at += 1
        parts = []
        while found := _PIECES[mark].match(self.text, self.at):
            parts.append(self.piece(str(found.lastgroup), found))
            self.at = found.end()
        if not self.sees(mark):
            self.at = start
            raise self.problem("a quote that is not closed")
        self.at += 1
        return "".join(parts)

    def piece(self, kind: str, found: re.Match[str]) -> str:
        match kind, found[kind]:
            case "text", text:
                return text
            case "quote", _:
                return "'"
            case "fold", breaks:
                return _folded(breaks)
            case "joined", breaks:  # an escaped line break counts for nothing, the empty lines below it do
                return "".join(_line_breaks(breaks)[1:])
            case "code", digits:
                return self.character(int(digits[1:], 16))
            case _, char if char in _ESCAPES:
                return _ESCAPES[char]
        raise self.problem(f"unknown escape {found[0]!r}")

    def character(self, code: int) -> str:
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise self.problem(f"{code:#x} is no character")
        return chr(code)

    def plain(self, indent: int) -> Scalar:
        """Read an unquoted scalar, which goes on over all following lines that are indented deeper."""
        if self.sees(*_NOT_PLAIN, "- ", "? ", ": "):
            raise self.problem(f"unsupported value {self.text[self.at : self.at + 20]!r}")
        text = self.plain_line()
        while (below := _FOLDED.match(self.text, self.at)) and self.goes_on(below, indent):
            self.at = below.end()
            text += _folded(below[0]) + self.plain_line()
        self.end_line()
        if text in _WORDS:
            return _WORDS[text]
        return int(text) if _INTEGER.match(text) else text

    def plain_line(self) -> str:
        found = _PLAIN_LINE.match(self.text, self.at)
        line = found[0].rstrip(" \t") if found else ""
        if ": " in line or line.endswith(":"):
            raise self.problem("a mapping inside a value")
        self.at += len(line)
        return line

    def goes_on(self, below: re.Match[str], indent: int) -> bool:
        margin = _BREAK.split(below[0])[-1]
        return len(margin) > indent and below.end() < len(self.text) and not self.text.startswith("#", below.end())


def _line_breaks(text: str) -> list[str]:
    """Return the line breaks of `text` as YAML counts them: all but the two Unicode separators are a line feed."""
    return [found if found in "\u2028\u2029" else "\n" for found in _BREAK.findall(text)]


def _folded(text: str) -> str:
    """Return what a line break and the empty lines below it mean inside a scalar: alone, a blank."""
    first, *more = _line_breaks(text)
    return "".join([first, *more] if first != "\n" else more or [" "])
