"""Turn a string with fields of unknown content into one that can be parsed, if the rest of it means the same anyway.

A field in quotes is a part of a value, one after a dot a part of a key, one after an operator a value. Any other field
may be anything, even clauses, and then nothing is known of the string.
"""

from __future__ import annotations

import re

import attrs

from mlquery.lint.templates import Field, Template

_KEY = re.compile(r"(?<!\w)\w+\.[\w.]*$")
_OPERATOR = re.compile(r"(?:[<>=]|\b(?:LIKE|BETWEEN|BETWEEN\s+\S+\s+AND))\s*-?$", re.IGNORECASE)
_BARE = "7"
_LONGEST = 300
"""How many characters before a field are looked at."""


@attrs.frozen
class Readable:
    """A string to parse, and which of its characters stand for fields.

    Attributes:
        text: The string; each field is one character, so that spans are those of the template.
        fields: The fields by their offsets.
        letters: The fields by the letters in their place.
        in_quotes: The offsets of the fields in the quotes of values.
        first_bare: The offset of the first field that is a whole value, of unknown type.
    """

    text: str
    fields: dict[int, Field]
    letters: dict[str, Field]
    in_quotes: frozenset[int] = frozenset()
    first_bare: int | None = None

    def touches(self, start: int, stop: int) -> bool:
        """Tell whether a field is within a span."""
        return any(start <= offset < stop for offset in self.fields)

    def mentions(self, message: str) -> bool:
        """Tell whether a message quotes a letter that stands for a field."""
        return any(letter in message for letter in self.letters)

    def with_names(self, message: str) -> str:
        """Return a message with the fields as the program writes them."""
        for letter, field in self.letters.items():
            message = message.replace(letter, f"{{{field.expression}}}")
        return message


def readable(template: Template) -> Readable | None:
    """Return what can be parsed of a string; None if a field of it may be anything."""
    text, letters = template.text, template.stand_ins
    fields = {offset: part for offset, part in enumerate(template.parts) if isinstance(part, Field)}
    if not fields:
        return Readable(text, {}, {})
    quotes = _quotes(text)
    characters, in_quotes, first_bare = list(text), [], None
    for offset in fields:
        before, after = text[max(0, offset - _LONGEST) : offset], text[offset + 1 : offset + 2]
        if quotes[offset] in ("'", '"'):
            in_quotes.append(offset)
        elif quotes[offset] == "`" or _KEY.search(before):
            continue
        elif _OPERATOR.search(before) and (not after or after.isspace()):
            characters[offset] = _BARE
            first_bare = offset if first_bare is None else first_bare
        else:
            return None
    return Readable("".join(characters), fields, letters, frozenset(in_quotes), first_bare)


def _quotes(text: str) -> list[str]:
    """Return for each character the quote that it is in, or nothing."""
    found, quote = [], ""
    for position, character in enumerate(text):
        found.append(quote)
        if quote:
            is_escaped = text[position - 1] == "\\" and quote != "`"
            quote = "" if character == quote and not is_escaped else quote
        elif character in "'\"`":
            quote = character
    return found
