"""Turns the pattern of RLIKE into a test of strings that takes linear time in the length of the string.

Python's `re` defines what a pattern means, and searches where that is fast. Where its backtracking could take
exponential time, a Thompson simulation follows all alternatives at once. Patterns that need backtracking are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

import attrs

_MOST_STEPS: Final = 1_000
"""The longest program; a longer one could take seconds on the longest strings that can be logged."""
_MOST_DEPTH: Final = 20
_QUICK: Final = 10_000_000
"""How often `re` may backtrack: this takes a fraction of a second."""

_Step: TypeAlias = tuple[re.Pattern[str] | None, tuple[int, ...]]
"""A character class or an assertion, or none, and the offsets of the steps that may follow it."""
_Program: TypeAlias = list[_Step]

_FLAGS = re.compile(r"\(\?[aimsu]+\)")
_GROUP = re.compile(r"\((?:\?:|\?P<\w+>|(?!\?))")
_ATOM = re.compile(
    r"\\(?:x..|u.{4}|U.{8}|N\{[^}]*\}|[0-3][0-7]{2}|0[0-7]?|\D)|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\()|]", re.DOTALL
)
_REPEAT = re.compile(r"(?:(?P<sign>[*+?])|\{(?!\})(?P<least>\d*)(?P<comma>,)?(?P<most>\d*)\})(?P<suffix>[?+]?)")
_RANGES = {"*": ("0", ""), "+": ("1", ""), "?": ("0", "1")}


class PatternError(ValueError):
    """A pattern that is not a regular expression, or one that would need backtracking."""


@lru_cache(maxsize=256)
def search_test(pattern: str) -> Callable[[str], bool]:
    """Return the test for RLIKE: whether the pattern matches somewhere in a string.

    Raises:
        PatternError: the pattern is not valid, too long, or needs backtracking.
    """
    if len(pattern) > 10 * _MOST_STEPS:
        raise _too_long()
    try:
        compiled = re.compile(pattern)
    except RecursionError:
        raise PatternError("not a regular expression: it is nested too deeply") from None
    except (re.error, OverflowError, FutureWarning) as error:
        raise PatternError(f"not a regular expression: {error}") from None
    reader = _Reader(pattern, compiled.flags)
    program = reader.program()
    choices = sum(len(ways) > 1 for _, ways in program)

    def is_found(string: str) -> bool:
        is_quick = not reader.repeats_groups and (len(string) + 1) ** min(choices + 1, 30) <= _QUICK
        return compiled.search(string) is not None if is_quick or not choices else _is_found(program, string)

    return is_found


def _is_found(program: _Program, string: str) -> bool:
    following: list[int] = []
    for place in range(len(string) + 1):
        waiting, seen, following = [0, *following], set(), []
        while waiting:
            here = waiting.pop()
            if here in seen:
                continue
            if here == len(program):
                return True
            seen.add(here)
            atom, ways = program[here]
            match = atom.match(string, place) if atom else None
            if match and match.end() > place:
                following.append(here + 1)
            elif match or atom is None:
                waiting += [here + way for way in ways]
    return False


@attrs.define
class _Reader:
    """Reads a pattern, which `re` has compiled, from left to right."""

    pattern: str
    flags: int
    place: int = 0
    depth: int = 0
    repeats_groups: bool = False

    def program(self) -> _Program:
        if self.flags & re.VERBOSE:
            raise PatternError("a regular expression in RLIKE cannot use (?x)")
        if flags := _FLAGS.match(self.pattern):
            self.place = flags.end()
        return self._alternatives()

    def _alternatives(self) -> _Program:
        choices = [self._sequence()]
        while self._rest().startswith("|"):
            self.place += 1
            choices.append(self._sequence())
        found = choices.pop()
        while choices:
            other = choices.pop()
            found = _fitting([(None, (1, len(other) + 2)), *other, (None, (len(found) + 1,)), *found])
        return found

    def _sequence(self) -> _Program:
        found: _Program = []
        while self._rest() and self._rest()[0] not in "|)":
            found = _fitting(found + self._repeated(self._piece()))
        return found

    def _piece(self) -> _Program:
        if self._rest().startswith("("):
            return self._group()
        atom = _ATOM.match(self.pattern, self.place)
        if atom is None:
            raise self._unsupported(self._rest()[:2])
        self.place = atom.end()
        return [(re.compile(atom[0], self.flags), (1,))]

    def _group(self) -> _Program:
        opening = _GROUP.match(self.pattern, self.place)
        if opening is None:
            raise self._unsupported(self._rest()[:3])
        if self.depth == _MOST_DEPTH:
            raise PatternError(f"a regular expression in RLIKE is nested at most {_MOST_DEPTH} levels deep")
        self.place, self.depth = opening.end(), self.depth + 1
        found = self._alternatives()
        self.place, self.depth = self.place + 1, self.depth - 1
        return found

    def _repeated(self, piece: _Program) -> _Program:
        repeat = _REPEAT.match(self.pattern, self.place)
        if repeat is None:
            return piece
        if repeat["suffix"] == "+":
            raise self._unsupported(repeat[0])
        self.place = repeat.end()
        self.repeats_groups |= len(piece) != 1
        least, most = _RANGES.get(
            repeat["sign"], (repeat["least"], repeat["most"] if repeat["comma"] else repeat["least"])
        )
        sure, more = int(least or 0), int(most) - int(least or 0) if most else 1
        if (sure + more) * (len(piece) + 2) > _MOST_STEPS:
            raise _too_long()
        if most:
            return piece * sure + [(None, (1, len(piece) + 1)), *piece] * more
        return piece * sure + [(None, (1, len(piece) + 2)), *piece, (None, (-len(piece) - 1,))]

    def _rest(self) -> str:
        return self.pattern[self.place : self.place + 3]

    @staticmethod
    def _unsupported(part: str) -> PatternError:
        return PatternError(f"a regular expression in RLIKE cannot use {part}, which could take exponential time")


def _fitting(program: _Program) -> _Program:
    if len(program) > _MOST_STEPS:
        raise _too_long()
    return program


def _too_long() -> PatternError:
    return PatternError(
        f"a regular expression in RLIKE has at most {_MOST_STEPS:,} characters, with repetitions expanded"
    )
