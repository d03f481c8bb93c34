"""Finds the entries of a journal in the bytes of its files, page by page, without SQLite and whatever else is damaged.

An entry is taken if its checksum fits, wherever it stands; so nothing here has to be believed about the order of pages,
and one bad byte costs the entry it is in. Stores are not known here.

**Source**: https://sqlite.org/fileformat2.html (pages, cells, records, overflow pages, frames of the write-ahead log).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from mlquery.durable.entries import Entry, checksum
from mlquery.durable.journal import NAME, PAGE_SIZE

_LEAF: Final = 0x0D  # the kind of page that holds rows
_OVERFLOW: Final = 0x00  # the first byte of the number of the next page, of which there are fewer than 2**24
_FILE_HEADER: Final = 100
_LOG_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_INTEGER_SIZES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def entries_in(folder: Path, acknowledged: int) -> dict[int, Entry]:
    """Return the intact entries in the journal of a folder, and in the log beside it, by number.

    Args:
        folder: Where the files are.
        acknowledged: The number up to which entries were acknowledged: those are taken also from the end of a log that
            was cut in the middle of a transaction.

    Raises:
        OSError: a file cannot be read.
    """
    file, log = _content(folder / NAME), _content(folder / f"{NAME}-wal")
    pages = {1 + at // PAGE_SIZE: file[at : at + PAGE_SIZE] for at in range(0, len(file), PAGE_SIZE)}
    committed, unfinished = list(pages.items()), []
    for number, page, is_last in _frames(log):
        pages[number] = page
        unfinished.append((number, page))
        if is_last:
            committed += unfinished
            unfinished = []
    found: dict[int, Entry] = {}
    for number, page in committed:
        for entry in _entries_of(page, number, pages):
            found[entry.seq] = entry  # a later version of a page is right where an entry was rolled back before
    for number, page in unfinished:
        for entry in _entries_of(page, number, pages):
            if entry.seq <= acknowledged:
                found.setdefault(entry.seq, entry)
    return found


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _frames(log: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """Yield number and content of the pages in a log, and whether a transaction ends with it."""
    step = _FRAME_HEADER + PAGE_SIZE
    salts = _most_common_salts(log, step)
    for at in range(_LOG_HEADER, len(log) - _FRAME_HEADER, step):
        number, size_after_commit = struct.unpack_from(">II", log, at)
        if log[at + 8 : at + 16] == salts:
            yield number, log[at + _FRAME_HEADER : at + step], size_after_commit != 0


def _most_common_salts(log: bytes, step: int) -> bytes:
    """Return what marks the frames of this log, from its header or, if that is damaged, from the first frames."""
    candidates = [log[16:24]] + [log[at + 8 : at + 16] for at in range(_LOG_HEADER, min(len(log), 64 * step), step)]
    of_first_frames = candidates[1:4]
    if of_first_frames.count(candidates[0]) or not of_first_frames:
        return candidates[0]
    return max(of_first_frames, key=candidates.count)


def _entries_of(page: bytes, number: int, pages: dict[int, bytes]) -> list[Entry]:
    start = _FILE_HEADER if number == 1 else 0
    if len(page) <= start + 8:
        return []
    kind, _, count = struct.unpack_from(">BHH", page, start)
    found: list[Entry] = []
    if kind == _LEAF and start + 8 + 2 * count <= len(page):
        found = _entries_at(page, struct.unpack_from(f">{count}H", page, start + 8), pages)
        if len(found) == count:
            return found
    elif kind == _OVERFLOW:
        return []
    # Something is wrong with this page: look for entries at every byte of it, unless a later version of it is intact.
    if page is pages.get(number):
        found += _entries_at(page, range(start, len(page)), pages)
    return found


def _entries_at(page: bytes, places: Iterable[int], pages: dict[int, bytes]) -> list[Entry]:
    return [entry for at in places if (entry := _entry_at(page, at, pages)) is not None]


def _entry_at(page: bytes, at: int, pages: dict[int, bytes]) -> Entry | None:
    """Return the entry whose cell starts at a byte of a page, None if there is none or a damaged one."""
    try:
        size, at = _number(page, at)
        seq, at = _number(page, at)
        if not 8 <= size <= len(pages) * PAGE_SIZE:
            return None
        call, body, crc = _columns(_payload(page, at, size, pages))
        entry = Entry(seq, call.decode("utf-8"), body.decode("utf-8"))
    except (IndexError, ValueError, KeyError):
        return None
    return entry if checksum(seq, entry.call, entry.body) == crc else None


def _number(page: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length and the place behind it."""
    value = 0
    for place in range(8):
        byte = page[at + place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + place + 1
    return value << 8 | page[at + 8], at + 9


def _payload(page: bytes, at: int, size: int, pages: dict[int, bytes]) -> bytes:
    """Return the content of a cell, the part on overflow pages too."""
    most, least = PAGE_SIZE - 35, (PAGE_SIZE - 12) * 32 // 255 - 23
    if size <= most:
        if at + size > len(page):
            raise ValueError(at)
        return page[at : at + size]
    local = least + (size - least) % (PAGE_SIZE - 4)
    local = local if local <= most else least
    parts, left = [page[at : at + local]], size - local
    (number,) = struct.unpack(">I", page[at + local : at + local + 4].ljust(4, b"\0"))
    while left > 0:
        more = pages[number]
        (number,) = struct.unpack_from(">I", more.ljust(4, b"\0"))
        parts.append(more[4 : 4 + left])
        left -= PAGE_SIZE - 4
    return b"".join(parts)


def _columns(record: bytes) -> tuple[bytes, bytes, int]:
    """Return the columns of a record behind its number: two strings and an integer."""
    stop, at = _number(record, 0)
    kinds: list[int] = []
    while at < stop and len(kinds) < 4:
        kind, at = _number(record, at)
        kinds.append(kind)
    if len(kinds) != 4 or at != stop or kinds[0] != 0 or not (_is_string(kinds[1]) and _is_string(kinds[2])):
        raise ValueError(kinds)
    call, body = ((kind - 13) // 2 for kind in kinds[1:3])
    start = stop + call + body
    size = _INTEGER_SIZES.get(kinds[3], 0)
    if start + size > len(record):
        raise ValueError(start)
    crc = kinds[3] - 8 if kinds[3] in (8, 9) else int.from_bytes(record[start : start + size], "big", signed=True)
    return record[stop : stop + call], record[stop + call : start], crc


def _is_string(kind: int) -> bool:
    return kind >= 13 and kind % 2 == 1
