"""What is known of lists that grow, by those who compare them: what was read once is not read again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from operator import is_
from typing import Any, Final, Self, TypeVar

import attrs
import numpy as np
import numpy.typing as npt

T = TypeVar("T")
Hashes = npt.NDArray[np.uint64]

_AT_ONCE: Final = 1 << 12  # what a processor keeps at hand
_END: Final = "\0e"
_NUL: Final = "\0n"


@attrs.frozen(eq=False)
class Digest:
    """The digest of the first strings of a list.

    Attributes:
        size: How many strings.
    """

    size: int
    _hash: Any = attrs.field(repr=False)

    def reaching(self, strings: Sequence[str], size: int) -> Self:
        """Return the digest of the first `size` strings, no fewer than these, of the same list."""
        if size == self.size:
            return self
        longer = self._hash.copy()
        for start in range(self.size, size, _AT_ONCE):
            longer.update(_joined(strings[start : min(start + _AT_ONCE, size)]).encode(errors="surrogatepass"))
        return type(self)(size, longer)

    def hex(self) -> str:
        """Return the digest, which is the same in every process, in however many steps it was found."""
        found: str = self._hash.hexdigest()
        return found


OF_NONE: Final = Digest(0, sha256())
"""The digest of no strings, with which every list begins."""


def _joined(strings: Sequence[str]) -> str:
    """Return strings, at least one, as one from which they could be told apart."""
    text = _END.join(strings) + _END
    if text.count("\0") == len(strings):
        return text
    return "".join(string.replace("\0", _NUL) + _END for string in strings)


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
