r"""Turn the source of string literals into characters with their places: `"a\n" f"{x}"`, joined as Python joins them.

This reads what the parser has accepted, and is checked against it: whoever asks compares the strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

_OPENING = re.compile(r"([rRbBuUfFtT]{0,2})('''|\"\"\"|'|\")")
_ESCAPE = re.compile(
    r"\\(?:(\r\n|\r|\n)|([0-7]{1,3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|N\{([^}]*)\}|(.))", re.DOTALL
)
_SIMPLE = {"\\": "\\", "'": "'", '"': '"', "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_GAP = re.compile(r"(?:\s|\\\r?\n|#[^\r\n]*|[()])*")
_BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


@attrs.frozen
class Quoting:
    """How a literal is written: its quotes, and whether it is raw or formatted."""

    quote: str
    is_raw: bool = False
    is_formatted: bool = False

    def written(self, text: str) -> str | None:
        """Return how a string is written in such a literal; None if it cannot be."""
        mark = self.quote[0]
        if self.is_raw:
            return None if mark in text or "\\" in text else self._braced(text)
        return self._braced(text.replace("\\", "\\\\").replace(mark, f"\\{mark}"))

    def _braced(self, text: str) -> str:
        return text.replace("{", "{{").replace("}", "}}") if self.is_formatted else text


@attrs.frozen
class Character:
    """One character of a string and where it is written; a replacement field is a character that is None."""

    value: str | None
    start: int
    stop: int
    quoting: Quoting


def characters_of(text: str, start: int, stop: int) -> list[Character] | None:
    """Return the characters of adjacent literals in `text[start:stop]`; None if this is something else."""
    found: list[Character] = []
    position = _skip(text, start)
    while position < stop:
        opening = _OPENING.match(text, position)
        if opening is None or "b" in opening[1].lower():
            return None
        prefix = opening[1].lower()
        quoting = Quoting(opening[2], "r" in prefix, "f" in prefix)
        end = _read(text, opening.end(), stop, quoting, found)
        if end is None:
            return None
        position = _skip(text, end)
    return found


def _skip(text: str, position: int) -> int:
    gap = _GAP.match(text, position)
    return position if gap is None else gap.end()


def _read(text: str, position: int, stop: int, quoting: Quoting, found: list[Character]) -> int | None:
    """Add the characters of a literal whose content starts here; return its end, None if it has none."""
    while position < stop:
        if text.startswith(quoting.quote, position):
            return position + len(quoting.quote)
        character = text[position]
        if quoting.is_formatted and character in "{}":
            end = _brace(text, position, stop, quoting, found)
            if end is None:
                return None
            position = end
        elif character == "\\":
            position = _escape(text, position, quoting, found)
        else:
            end = position + 2 if text.startswith("\r\n", position) else position + 1
            value = "\n" if character == "\r" else character
            found.append(Character(value, position, end, quoting))
            position = end
    return None


def _escape(text: str, position: int, quoting: Quoting, found: list[Character]) -> int:
    if quoting.is_raw:
        for offset in (position, position + 1)[: len(text) - position]:
            found.append(Character(text[offset], offset, offset + 1, quoting))
        return position + 2
    match = _ESCAPE.match(text, position)
    if match is None:
        return position + 1
    for value in _unescaped(match):
        found.append(Character(value, position, match.end(), quoting))
    return match.end()


def _unescaped(match: re.Match[str]) -> Iterator[str]:
    line_break, octal, byte, short, long, name, other = match.groups()
    if line_break:
        return
    if octal:
        yield chr(int(octal, 8))
    elif digits := byte or short or long:
        yield chr(int(digits, 16))
    elif name:
        import unicodedata

        yield unicodedata.lookup(name)
    elif other in _SIMPLE:
        yield _SIMPLE[other]
    else:
        yield from ("\\", other)


def _brace(text: str, position: int, stop: int, quoting: Quoting, found: list[Character]) -> int | None:
    """Add the character or the replacement field that a brace is the beginning of; return its end."""
    brace = text[position]
    if text.startswith(brace * 2, position):
        found.append(Character(brace, position, position + 2, quoting))
        return position + 2
    end = _field_end(text, position, stop)
    if brace == "}" or end is None:
        return None
    found.append(Character(None, position, end, quoting))
    return end


def _field_end(text: str, position: int, stop: int) -> int | None:
    """Return the end of the replacement field that begins here, with strings and brackets in its expression."""
    depth = 0
    while position < stop:
        character = text[position]
        if character in "'\"":
            end = _nested_end(text, position, stop)
            if end is None:
                return None
            position = end
            continue
        depth += _BRACKETS.get(character, 0)
        position += 1
        if depth == 0:
            return position
    return None


def _nested_end(text: str, position: int, stop: int) -> int | None:
    """Return the end of the string in an expression; that in a string of the same quotes is not looked into."""
    opening = _OPENING.match(text, position)
    if opening is None:
        return None
    position = opening.end()
    while position < stop:
        if text.startswith(opening[2], position):
            return position + len(opening[2])
        position += 2 if text[position] == "\\" else 1
    return None
