"""What is known of lists that grow, by those who compare them: what was read once is not read again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from operator import is_
from typing import Any, Final, Self, TypeVar

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.store.stored import encoded

T = TypeVar("T")
Hashes = npt.NDArray[np.uint64]

_AT_ONCE: Final = 1 << 12  # what a processor keeps at hand


@attrs.frozen(eq=False)
class Digest:
    """The digest of the first strings of a list: of their text, and of where in it each one ends.

    Attributes:
        size: How many strings.
    """

    size: int
    _text: Any = attrs.field(repr=False)
    _sizes: Any = attrs.field(repr=False)

    def reaching(self, strings: Sequence[str], size: int) -> Self:
        """Return the digest of the first `size` strings, no fewer than these, of the same list."""
        if size == self.size:
            return self
        text, sizes = self._text.copy(), self._sizes.copy()
        for start in range(self.size, size, _AT_ONCE):
            new, of_each = encoded(strings, start, min(start + _AT_ONCE, size))
            text.update(new)
            sizes.update(of_each)
        return type(self)(size, text, sizes)

    def hex(self) -> str:
        """Return the digest, which is the same in every process, in however many steps it was found."""
        found: str = self._text.hexdigest() + self._sizes.hexdigest()
        return found


OF_NONE: Final = Digest(0, sha256(), sha256())
"""The digest of no strings, with which every list begins."""


class KnownHashes:
    """Hashes of values that are never changed; one value may take the place of another."""

    def __init__(self) -> None:
        self._known: tuple[Sequence[object], Hashes] = (), np.empty(0, np.uint64)

    def of(self, values: Sequence[T], hashes_of: Callable[[Sequence[T]], Hashes]) -> Hashes:
        """Return the hash of each value, (n,); `hashes_of` is asked for those that were not in their place before."""
        known, hashes_before = self._known
        number = min(len(values), len(known))
        is_known, hashes = np.zeros(len(values), np.bool_), np.zeros(len(values), np.uint64)
        is_known[:number] = np.fromiter(map(is_, values, known), np.bool_, number)
        hashes[:number] = hashes_before[:number]
        new = np.flatnonzero(~is_known)
        hashes[new] = hashes_of([values[place] for place in new.tolist()])
        self._known = values, hashes
        return hashes
