"""The two locks of a store on disk: one for the threads of a process, one among processes.

What is done at the start of a turn is handed in; stores and journals are not known here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from typing import Any, Final

from mlquery.durable.errors import JournalError, of_write

# Not on Windows, where a repair does not keep other programs out.
fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None

NAME: Final = "lock"


class TurnLock:
    """A lock whose `with` block starts with a look at what others have written, unless the thread has it already."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._lock = RLock()
        self._look = look
        self._depth = 0

    def __enter__(self) -> bool:
        self.take()
        if self._depth == 1:
            try:
                self._look()
            except BaseException:
                self.give()
                raise
        return True

    def __exit__(self, *_: object) -> None:
        self.give()

    def take(self) -> None:
        """Take the lock without the look; `give` ends that."""
        self._lock.acquire()
        self._depth += 1

    def give(self) -> None:
        """Give the lock back after `take`."""
        self._depth -= 1
        self._lock.release()


class FolderLock:
    """What every process holds that has a store open, shared, and a repair alone; or what a push holds alone.

    Raises:
        JournalError: another process holds it; `problem` says what that means.
    """

    def __init__(self, folder: Path, alone: bool = False, name: str = NAME, problem: str = "is being repaired") -> None:
        self._file = -1
        if fcntl is None:
            return
        try:
            self._file = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(self._file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise JournalError(str(folder), problem) from None
        except OSError as error:
            self.release()
            raise of_write(str(folder), error) from None

    def release(self) -> None:
        """Release the lock."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
