"""What is known of a string that a program makes: its characters with their places, and fields of unknown content."""

from __future__ import annotations

import attrs

from mlquery.lint.string_literals import Quoting

_FIRST_STAND_IN = 0x12000  # letters of no filter that anyone writes: they can be part of names and of values


@attrs.frozen
class Place:
    """Where a character is written; it can only be replaced there if the quoting of its literal is known."""

    start: int
    stop: int
    quoting: Quoting | None = None


@attrs.frozen
class Field:
    """A part of a string whose content is not known.

    Attributes:
        expression: Its source, as a message names it.
        is_safe: Whether it cannot contain quotes, such as an id or a number.
        is_from_outside: Whether it comes from a caller, a user or a file.
    """

    expression: str
    is_safe: bool = False
    is_from_outside: bool = False


@attrs.frozen
class Template:
    """A string as far as it is known: characters or fields, each with its place."""

    parts: tuple[str | Field, ...]
    places: tuple[Place, ...]

    @property
    def is_known(self) -> bool:
        """Tell whether there is no field in it."""
        return all(isinstance(part, str) for part in self.parts)

    @property
    def text(self) -> str:
        """Return the string with a letter in place of each field, the same for the same expression."""
        letters = {field: letter for letter, field in self.stand_ins.items()}
        return "".join(part if isinstance(part, str) else letters[part] for part in self.parts)

    @property
    def stand_ins(self) -> dict[str, Field]:
        """Return the fields by the letters in their place."""
        fields = dict.fromkeys(part for part in self.parts if isinstance(part, Field))
        return {chr(_FIRST_STAND_IN + number): field for number, field in enumerate(fields)}

    def at(self, place: Place) -> Template:
        """Return the same string as written at one place, where nothing of it can be replaced."""
        return Template(self.parts, (attrs.evolve(place, quoting=None),) * len(self.parts))

    def part(self, start: int, stop: int) -> Template:
        """Return a part of the string."""
        return Template(self.parts[start:stop], self.places[start:stop])

    def place_of(self, start: int, stop: int) -> Place | None:
        """Return where a part of the string is written, from the first of its pieces to the last; None if nowhere."""
        places = self.places[start : max(stop, start + 1)] or self.places[-1:]
        if not places:
            return None
        return Place(min(place.start for place in places), max(place.stop for place in places))
