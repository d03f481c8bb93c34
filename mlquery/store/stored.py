"""Strings and histories of a store that was opened, which are read when somebody asks for them.

They stand in for the list, the dictionary and the dictionary of histories that cells have otherwise. What reads them is
handed in; files are not known here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from itertools import chain
from typing import Any, Final, overload

import numpy as np

from mlquery.store.history import History, history_with

_FEW: Final = 1 << 12

Buffer = Any
"""A memoryview of numbers or of bytes."""


class StoredStrings(Sequence[str]):
    """Distinct strings, which nobody changes.

    Many are decoded one by one until somebody wants them all.

    Args:
        size: How many there are.
        read: Returns where in the text each one ends (size,), and the text in UTF-8.
    """

    def __init__(self, size: int, read: Callable[[], tuple[Buffer, Buffer]]) -> None:
        self._size, self._read = size, read
        self._parts: tuple[Buffer, Buffer] | None = None
        self._strings: list[str] | None = None

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: Any) -> Any:
        if self._strings is not None or self._size <= _FEW or isinstance(place, slice):
            return self.all()[place]
        ends, text = self._parts or self._read_parts()
        place = range(self._size)[place]
        return _decoded(text[ends[place - 1] if place else 0 : ends[place]])

    def __iter__(self) -> Iterator[str]:
        return iter(self.all())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        if len(self) and self[0] != other[0]:  # mostly so where they differ, and known without decoding the others
            return False
        if isinstance(other, StoredStrings):
            mine, others = self.stored(0, len(self)), other.stored(0, len(self))
            if mine is not None and others is not None:
                return all(map(np.array_equal, mine, others))
            other = other.all()
        return self.all() == other

    __hash__ = None  # type: ignore[assignment]

    def all(self) -> list[str]:
        """Return the strings as a list, which is not to be changed."""
        if self._strings is None:
            ends, encoded = self._parts or self._read_parts()
            text, stops = _decoded(encoded), ends.tolist()
            if len(text) == len(encoded):
                self._strings = list(map(text.__getitem__, map(slice, [0, *stops], stops)))
            else:
                self._strings = [_decoded(encoded[start:stop]) for start, stop in zip([0, *stops], stops)]  # noqa: B905
            self._parts = None
        return self._strings

    def stored(self, start: int, stop: int) -> tuple[Buffer, Buffer] | None:
        """Return what `encoded` would of them, None if they are decoded already."""
        if self._strings is not None:
            return None
        ends, text = self._parts or self._read_parts()
        first, last = (ends[place - 1] if place else 0 for place in (start, stop))
        return text[first:last], np.diff(ends[start:stop], prepend=first)

    def _read_parts(self) -> tuple[Buffer, Buffer]:
        self._parts = self._read()
        return self._parts


def encoded(strings: Sequence[str], start: int, stop: int) -> tuple[Buffer, Buffer]:
    """Return a part of strings as one text in UTF-8, and how many bytes of it each one has, (stop - start,)."""
    found = strings.stored(start, stop) if isinstance(strings, StoredStrings) else None
    if found is not None:
        return found
    some = strings[start:stop]
    joined = "".join(some)
    text = _encoded(joined)
    return text, np.fromiter(map(len, some if len(text) == len(joined) else map(_encoded, some)), np.int64, len(some))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decoded(text: Buffer) -> str:
    return str(text, "utf-8", "surrogatepass")


class StoredIndex(Mapping[str, int]):
    """The place of each of some strings, found out when the first one is asked for."""

    def __init__(self, strings: StoredStrings) -> None:
        self._strings = strings
        self._places: dict[str, int] | None = None

    def __getitem__(self, string: str) -> int:
        return self._all()[string]

    def __iter__(self) -> Iterator[str]:
        return iter(self._strings)

    def __len__(self) -> int:
        return len(self._strings)

    def copy(self) -> dict[str, int]:
        """Return a dictionary of the same."""
        return self._all().copy()

    def _all(self) -> dict[str, int]:
        if self._places is None:
            self._places = dict(zip(self._strings.all(), range(len(self._strings)), strict=True))
        return self._places


class StoredHistories(MutableMapping[int, History]):
    """The histories of a metric by row, read in groups; those that are set take the place of what was stored.

    Args:
        size: How many are stored.
        read: Returns their rows in rising order (size,), and which of all points each one ends before (size,).
        groups: Which of them each group ends before.
        read_group: Returns values, timestamps and steps of all histories in a group.
    """

    def __init__(
        self,
        size: int,
        read: Callable[[], tuple[Buffer, Buffer]],
        groups: Sequence[int],
        read_group: Callable[[int], tuple[Buffer, Buffer, Buffer]],
    ) -> None:
        self._size, self._read, self._stops, self._read_group = size, read, groups, read_group
        self._places: tuple[Buffer, Buffer] | None = None
        self._groups: dict[int, tuple[Buffer, Buffer, Buffer]] = {}
        self._changed: dict[int, History] = {}
        self._new: dict[int, History] = {}

    def copy(self) -> StoredHistories:
        """Return the same histories, to be changed on their own."""
        new = StoredHistories(self._size, self._read, self._stops, self._read_group)
        new._places, new._groups = self._places, self._groups
        new._changed, new._new = self._changed.copy(), self._new.copy()
        return new

    def __len__(self) -> int:
        return self._size + len(self._new)

    def __iter__(self) -> Iterator[int]:
        return chain(self._rows().tolist(), self._new)

    def __contains__(self, row: object) -> bool:
        return isinstance(row, int) and self.get(row) is not None

    def get(self, row: int, default: Any = None) -> Any:
        """Return the history of a row, the default if it has none."""
        found = self._changed.get(row) or self._new.get(row)
        if found is not None:
            return found
        place = self._place(row)
        return default if place < 0 else self._stored(place)

    def __getitem__(self, row: int) -> History:
        found: History | None = self.get(row)
        if found is None:
            raise KeyError(row)
        return found

    def __setitem__(self, row: int, history: History) -> None:
        (self._new if self._place(row) < 0 else self._changed)[row] = history

    def __delitem__(self, row: int) -> None:
        raise TypeError("points are never taken away")

    def _rows(self) -> Buffer:
        if self._places is None:
            self._places = self._read()
        return self._places[0]

    def _place(self, row: int) -> int:
        rows = self._rows()
        place = bisect_left(rows, row)
        return place if place < self._size and rows[place] == row else -1

    def _stored(self, place: int) -> History:
        assert self._places is not None
        ends, number = self._places[1], bisect_right(self._stops, place)
        points = self._groups.get(number)
        if points is None:
            points = self._groups[number] = self._read_group(number)
        first = self._stops[number - 1] if number else 0
        before = ends[first - 1] if first else 0
        part = slice((ends[place - 1] if place else 0) - before, ends[place] - before)
        return history_with(None, *(column[part] for column in points))  # nobody's, so that a write works on a copy
