"""Turns the content of a `meta.yaml` file into a dictionary, for the subset of YAML that MLflow writes.

MLflow's folder store writes flat mappings of strings, integers and nulls, sometimes with a nested mapping (tags).
Reading this subset here saves a dependency. Anything outside it (anchors, lists, block scalars …) is a ValueError with
its line, never a wrong value. A property test compares this reader with PyYAML on everything that MLflow writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

Scalar = str | int | bool | None
Value = Scalar | dict[str, Scalar]
V = TypeVar("V")

_BREAKS = "\n\r\x85\u2028\u2029"
_BREAK = re.compile(f"\r\n|[{_BREAKS}]")
_FOLD = f"[ \t]*(?:{_BREAK.pattern})(?:[ \t]*(?:{_BREAK.pattern}))*[ \t]*"
_FOLDED = re.compile(_FOLD)
_TOKENS = {
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
_INDICATORS = tuple("&*!|>%@`[]{},#\"'")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})\Z")
_CONSTANT_VALUES: dict[str, Scalar] = {"": None, "~": None, "null": None, "true": True, "false": False}
_CONSTANTS = {
    cased: meaning for word, meaning in _CONSTANT_VALUES.items() for cased in (word, word.title(), word.upper())
}


def read_mapping(source: str) -> dict[str, Value]:
    """Read a block mapping whose values are scalars or mappings of scalars; an empty string is an empty mapping.

    Raises:
        ValueError: the content is not in the subset; the message names the line.
    """
    reader = _Reader(source.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").removeprefix("---\n"))
    found = reader.mapping(0, reader.value)
    if reader.next_indent() is not None:
        raise reader.problem("unexpected indentation")
    return found


class _Reader:
    """A cursor over the content; every method moves it past what it read."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0

    def problem(self, what: str) -> ValueError:
        return ValueError(f"line {len(_BREAK.findall(self.source, 0, self.at)) + 1}: {what}")

    def is_at(self, *starts: str) -> bool:
        return self.source.startswith(starts, self.at)

    def line_is_over(self) -> bool:
        return self.at == len(self.source) or self.is_at(*_BREAKS)

    def next_indent(self) -> int | None:
        """Move to the next line with content and return its indentation, None at the end."""
        while self.at < len(self.source):
            start = self.at
            self.skip_spaces()
            if not self.line_is_over() and not self.is_at("#"):
                indent, self.at = self.at - start, start
                return indent
            self.end_line()
        return None

    def skip_spaces(self) -> None:
        while self.is_at(" "):
            self.at += 1

    def end_line(self) -> None:
        """Accept whitespace and a comment up to the end of the line, and nothing else."""
        self.skip_spaces()
        if not self.is_at("#") and not self.line_is_over():
            raise self.problem(f"unexpected {self.source[self.at : self.at + 20]!r}")
        found = _BREAK.search(self.source, self.at)
        self.at = found.end() if found else len(self.source)

    def mapping(self, indent: int, value: Callable[[int], V]) -> dict[str, V]:
        """Read the lines `key: value` that have an indentation."""
        found: dict[str, V] = {}
        while self.next_indent() == indent:
            self.at += indent
            key = self.key(indent)
            if not self.is_at(":"):
                raise self.problem("expected 'key: value'")
            if key in found:
                raise self.problem(f"duplicate key {key!r}")
            self.at += 1
            self.skip_spaces()
            found[key] = value(indent)
        return found

    def key(self, indent: int) -> str:
        """Read a key; a long one is written as `? key`, with its colon on the next line."""
        if self.is_at("? "):
            self.at += 2
            self.skip_spaces()
            key = self.scalar(indent)
            if isinstance(key, str) and self.next_indent() == indent:
                self.at += indent
                return key
        elif self.is_at("'", '"'):
            return self.quoted()
        elif not self.is_at(*_INDICATORS) and (found := _PLAIN_KEY.match(self.source, self.at)):
            self.at = found.end()
            self.skip_spaces()
            return found[0]
        raise self.problem("expected 'key: value'")

    def value(self, indent: int) -> Value:
        """Read the value of a key: on its line a scalar or an empty collection, or a mapping on the lines below."""
        if self.is_at("{}", "[]"):
            self.at += 2
            self.end_line()
            return {}
        if not self.line_is_over() and not self.is_at("#"):
            return self.scalar(indent)
        self.end_line()
        below = self.next_indent()
        if below is None or below <= indent:
            return None
        return self.mapping(below, self.scalar)

    def scalar(self, indent: int) -> Scalar:
        if not self.is_at("'", '"'):
            return self.plain(indent)
        source = self.quoted()
        self.end_line()
        return source

    def quoted(self) -> str:
        mark, start = self.source[self.at], self.at
        self.at += 1
        parts = []
        while found := _TOKENS[mark].match(self.source, self.at):
            parts.append(self.token_value(str(found.lastgroup), found))
            self.at = found.end()
        if not self.is_at(mark):
            self.at = start
            raise self.problem("a quote that is not closed")
        self.at += 1
        return "".join(parts)

    def token_value(self, kind: str, found: re.Match[str]) -> str:
        match kind, found[kind]:
            case "text", source:
                return source
            case "quote", _:
                return "'"
            case "fold", breaks:
                return _folded(breaks)
            case "joined", breaks:  # an escaped line break is ignored, the empty lines below it are not
                return "".join(_line_breaks(breaks)[1:])
            case "code", digits:
                return self.character(int(digits[1:], 16))
            case _, char if char in _ESCAPES:
                return _ESCAPES[char]
        raise self.problem(f"unknown escape {found[0]!r}")

    def character(self, code: int) -> str:
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise self.problem(f"{code:#x} is not a character")
        return chr(code)

    def plain(self, indent: int) -> Scalar:
        """Read an unquoted scalar, which continues on all following lines with deeper indentation."""
        if self.is_at(*_INDICATORS, "- ", "? ", ": "):
            raise self.problem(f"unsupported value {self.source[self.at : self.at + 20]!r}")
        source = self.plain_line()
        while (below := _FOLDED.match(self.source, self.at)) and self.is_continued(below, indent):
            self.at = below.end()
            source += _folded(below[0]) + self.plain_line()
        self.end_line()
        if source in _CONSTANTS:
            return _CONSTANTS[source]
        return int(source) if _INTEGER.match(source) else source

    def plain_line(self) -> str:
        found = _PLAIN_LINE.match(self.source, self.at)
        line = found[0].rstrip(" \t") if found else ""
        if ": " in line or line.endswith(":"):
            raise self.problem("a mapping inside a value")
        self.at += len(line)
        return line

    def is_continued(self, below: re.Match[str], indent: int) -> bool:
        margin = _BREAK.split(below[0])[-1]
        return len(margin) > indent and below.end() < len(self.source) and not self.source.startswith("#", below.end())


def _line_breaks(source: str) -> list[str]:
    """Return the line breaks of a string in YAML: all but the two Unicode separators are a line feed."""
    return [found if found in "\u2028\u2029" else "\n" for found in _BREAK.findall(source)]


def _folded(source: str) -> str:
    """Return the value of a line break and the empty lines below it in a scalar: a space if it is alone."""
    first, *more = _line_breaks(source)
    return "".join([first, *more] if first != "\n" else more or [" "])
