"""Files of parts: byte strings that are written one after the other, and read one by one when they are asked for.

Each part has a checksum, and so has the index of them all. A file is complete or is not there; another one may take its
place while it is read. What the parts hold is not known here.
"""

from __future__ import annotations

import os
import struct
import weakref
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final
from zlib import crc32

_MARK: Final = b"mlqparts"
_HEAD: Final = struct.Struct("<8sQQI")  # the mark, where the index starts, how many parts there are, its checksum
_CHECK: Final = struct.Struct("<I")  # of the head
_START: Final = _HEAD.size + _CHECK.size
_ENTRY: Final = struct.Struct("<QQQ")  # where a part starts, its size and checksum

Part = bytes | bytearray | memoryview | array  # type: ignore[type-arg]

Add = Callable[[Part], int]
"""Keeps a part and returns its number."""


class DamagedPartError(ValueError):
    """A file of parts, or one part, that is not what was written."""


class PartsWriter:
    """Writes parts into a new file; `finish` completes it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._index: list[bytes] = []
        self._at = file.write(bytes(_START))

    def add(self, content: Part) -> int:
        """Write a part and return its number."""
        size = memoryview(content).nbytes
        self._index.append(_ENTRY.pack(self._at, size, crc32(content)))
        self._file.write(content)
        self._at += size
        return len(self._index) - 1

    def finish(self) -> None:
        """Write the index."""
        index = b"".join(self._index)
        self._file.write(index)
        head = _HEAD.pack(_MARK, self._at, len(self._index), crc32(index))
        self._file.seek(0)
        self._file.write(head + _CHECK.pack(crc32(head)))


class Parts:
    """The parts of a file, which stays open until nobody needs it any more; safe for threads and after a fork.

    Args:
        path: The file.
        remade: Returns all parts as they were written; asked when one that is read is damaged.

    Raises:
        OSError: there is no such file, or it cannot be read.
        DamagedPartError: the index is damaged.
    """

    def __init__(self, path: Path, remade: Callable[[], Sequence[Part]] | None = None) -> None:
        self._remade = remade
        self._parts_remade: Sequence[Part] | None = None
        if hasattr(os, "pread"):
            file = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            weakref.finalize(self, os.close, file)
            self._read: Callable[[int, int], bytes] = partial(_read, file)
        else:  # on Windows, where a file that is open cannot be replaced
            content = path.read_bytes()
            self._read = lambda at, size: content[at : at + size]
        self._index = self._read_index()

    def __len__(self) -> int:
        return len(self._index)

    def part(self, number: int) -> Part:
        """Return a part.

        Raises:
            DamagedPartError: it is damaged and cannot be made anew.
        """
        at, size, check = self._index[number]
        try:
            content = self._read(at, size)
        except OSError:
            content = b""
        if len(content) == size and crc32(content) == check:
            return content
        return self._made_anew(number, check)

    def is_whole(self) -> bool:
        """Return whether no part is damaged; takes as long as reading them all."""
        return all(crc32(self._read(at, size)) == check for at, size, check in self._index)

    def _made_anew(self, number: int, check: int) -> Part:
        if self._remade is not None:
            if self._parts_remade is None:
                self._parts_remade = self._remade()
            if len(self._parts_remade) == len(self._index) and crc32(self._parts_remade[number]) == check:
                return self._parts_remade[number]
        raise DamagedPartError(number)

    def _read_index(self) -> list[tuple[int, int, int]]:
        head = self._read(0, _START)
        if len(head) < _START or _CHECK.unpack(head[_HEAD.size :])[0] != crc32(head[: _HEAD.size]):
            raise DamagedPartError
        mark, at, count, check = _HEAD.unpack(head[: _HEAD.size])
        index = self._read(at, count * _ENTRY.size) if mark == _MARK else b""
        if len(index) != count * _ENTRY.size or crc32(index) != check:
            raise DamagedPartError
        return list(_ENTRY.iter_unpack(index))


def _read(file: int, at: int, size: int) -> bytes:
    content = os.pread(file, size, at)
    while len(content) < size:  # the system reads no more than 2 GB at once
        more = os.pread(file, size - len(content), at + len(content))
        if not more:
            break
        content += more
    return content
