"""The mark beside a journal: how many entries were acknowledged, and how many of them were synced to the disk.

The journal could lose its end unnoticed: SQLite drops what it cannot read at the end of its write-ahead
log, and a copy without that log looks complete. So the last numbers are written here too, and a journal that ends
before them is known to be damaged. Journals are not known here.
"""

from __future__ import annotations

import os
import struct
from hashlib import blake2b
from pathlib import Path
from typing import Final
from zlib import crc32

NAME: Final = "acknowledged"
_FORM: Final = struct.Struct("<QQQ")
_CHECK: Final = struct.Struct("<I")
_SIZE: Final = _FORM.size + _CHECK.size
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def _boot() -> int:
    """Return a number that changes when the machine starts anew, 0 if it cannot be told."""
    try:
        return int.from_bytes(blake2b(_BOOT.read_bytes(), digest_size=8).digest(), "little")
    except OSError:
        return 0


def unwritten(folder: Path) -> set[str]:
    """Return the name of the file of a folder if it is empty: nothing was acknowledged there; else nothing."""
    try:
        return set() if (folder / NAME).stat().st_size else {NAME}
    except FileNotFoundError:
        return set()


class HighWaterMark:
    """The file of a store that holds the mark; it is read once, then written at each call.

    A mark that cannot be written is no reason to fail: the journal has the entry, only its loss could not be told.
    """

    def __init__(self, folder: Path, read_only: bool) -> None:
        self._boot = _boot()
        self.acknowledged = self.synced = 0
        self._seen_boot = self._boot
        self._file = -1
        if not hasattr(os, "pread"):
            return
        try:
            flags = os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT
            self._file = os.open(folder / NAME, flags | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError:
            return
        self._read()
        if read_only:
            self.close()

    def least(self) -> int:
        """Return the number of the last entry that the journal must have.

        What was acknowledged must be there as long as the machine runs, what was synced even after a power failure.
        """
        is_same_boot = self._boot != 0 and self._boot == self._seen_boot
        return max(self.synced, self.acknowledged if is_same_boot else 0)

    def acknowledge(self, seq: int, is_synced: bool) -> None:
        """Write down that an entry is in the journal."""
        self.acknowledged = max(self.acknowledged, seq)
        if is_synced:
            self.synced = max(self.synced, seq)
        self._write()

    def sync(self, seq: int) -> None:
        """Write down that the entries up to a number were synced."""
        self.synced = max(self.synced, seq)
        self._write()

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self) -> None:
        """Take over what is in the file, as far as it is higher: other processes write to it too."""
        content = os.pread(self._file, _SIZE, 0)
        numbers, check = content[: _FORM.size], content[_FORM.size :]
        if len(content) == _SIZE and check == _CHECK.pack(crc32(numbers)):
            acknowledged, synced, self._seen_boot = _FORM.unpack(numbers)
            self.acknowledged, self.synced = max(acknowledged, self.acknowledged), max(synced, self.synced)

    def _write(self) -> None:
        if self._file < 0:
            return
        try:
            self._read()
            numbers = _FORM.pack(self.acknowledged, self.synced, self._boot)
            os.pwrite(self._file, numbers + _CHECK.pack(crc32(numbers)), 0)
        except OSError:
            self.close()
