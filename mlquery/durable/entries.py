"""Entries of a journal: a number, the name of a change, its content as JSON, and a checksum over the three.

What a change does is not known here; see `changes` of the store. JSON is Python's, so NaN, Infinity and -Infinity stand
for themselves, and all of it is ASCII.
"""

from __future__ import annotations

import json
from typing import Any, Final
from zlib import crc32

import attrs

FORMAT_VERSION: Final = 2
"""The latest format. A new store is of format 1, and of a later one as soon as it has what that one does not know."""
STORE: Final = "store"
"""The change of entry 0: not a change, but what the store is."""

encode: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def checksum(seq: int, call: str, body: str) -> int:
    """Return the checksum of an entry."""
    return crc32(f"{seq} {call} {body}".encode())


@attrs.frozen
class Entry:
    """One change: `seq` counts from 0 without a gap, `call` names it, `body` is its content as JSON."""

    seq: int
    call: str
    body: str

    def content(self) -> Any:
        """Return the content; raise ValueError if it is not JSON, or nested too deep to be read."""
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deep") from None


@attrs.frozen
class Identity:
    """What a store is: the content of entry 0. `created` in ms UTC; `dialect` is how it was made to answer."""

    store_id: str
    created: int
    guid_ids: bool = False
    dialect: str = "oss"
    format_version: int = 1

    def body(self) -> str:
        """Return the content of entry 0."""
        return encode(attrs.asdict(self))


def identity_of(content: Any) -> Identity:
    """Return what a store is, from the content of its entry 0; fields of later formats are passed over.

    Raises:
        TypeError: the content is not that of an entry 0.
    """
    if not isinstance(content, dict):
        raise TypeError("entry 0 is not an object")
    names = {field.name for field in attrs.fields(Identity)}
    return Identity(**{name: value for name, value in content.items() if name in names})
