"""Hashes of 64 bits for many numbers at a time: each bit of a hash depends on all bits of its number.

Work is done in blocks that stay in the processor's cache, and without new arrays for each step. What the numbers mean
is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlquery.store.growing import Hashes

_BLOCK: Final = 1 << 15
_STEPS: Final = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))
_LAST: Final = np.uint64(31)
_FACTORS: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))
"""Odd numbers, by which numbers that belong together are multiplied before they are added."""


def mixed(name: str, *columns: npt.NDArray[Any]) -> Hashes:
    """Return hashes (n,) of numbers of 64 bits that stand side by side, at most three columns, each (n,).

    Hashes differ for columns of other names. A change of one of the numbers always changes the hash.
    """
    found = np.empty(len(columns[0]), np.uint64)
    for part, hashes in mixed_blocks(name, *columns):
        found[part] = hashes
    return found


def mixed_blocks(name: str, *columns: npt.NDArray[Any]) -> Iterator[tuple[slice, Hashes]]:
    """Yield the hashes of `mixed` for some rows at a time, in an array that is used again for the next ones."""
    seed = np.uint64(int.from_bytes(_digest(name), "little"))
    bits = [column.view(np.uint64) for column in columns]
    room = np.empty((2, min(len(bits[0]), _BLOCK)), np.uint64)
    for start in range(0, len(bits[0]), _BLOCK):
        part = slice(start, min(start + _BLOCK, len(bits[0])))
        hashes, other = room[:, : part.stop - start]
        np.add(bits[0][part], seed, out=hashes)
        for column, factor in zip(bits[1:], _FACTORS, strict=False):
            np.multiply(hashes, factor, out=hashes)
            np.add(hashes, column[part], out=hashes)
        _mix(hashes, other)
        yield part, hashes


def _mix(numbers: Hashes, other: Hashes) -> None:
    """Replace numbers by their hashes (splitmix64)."""
    for shift, factor in _STEPS:
        np.right_shift(numbers, shift, out=other)
        np.bitwise_xor(numbers, other, out=numbers)
        np.multiply(numbers, factor, out=numbers)
    np.right_shift(numbers, _LAST, out=other)
    np.bitwise_xor(numbers, other, out=numbers)


def hashes_of(strings: Iterable[str]) -> Hashes:
    """Return a hash of each string that is the same in every process, (n,)."""
    return np.frombuffer(b"".join(map(_digest, strings)), np.uint64)


def _digest(string: str) -> bytes:
    return blake2b(string.encode(errors="surrogatepass"), digest_size=8).digest()
