"""The digest of a list of strings that only grows: what was read once is not read again."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, Self

import attrs

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
