"""Syncs a journal in the background, at most half a second after a write, for the durability "fast"."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

_SECONDS: Final = 0.5


class Syncer:
    """A thread that calls `sync` with the last number it was told, a little later; made at the first `ask`."""

    def __init__(self, sync: Callable[[int], None]) -> None:
        self._sync = sync
        self._asked = -1
        self._done = -1
        self._wanted = threading.Event()
        self._is_wanted = False  # the same, which is quicker to ask
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def ask(self, seq: int) -> None:
        """Have the entries up to a number synced soon."""
        self._asked = seq
        if not self._is_wanted:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mlquery-sync", daemon=True)
                self._thread.start()
            self._is_wanted = True
            self._wanted.set()

    def stop(self) -> None:
        """Sync what is left and end the thread."""
        self._stopped.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.finish()

    def finish(self) -> None:
        """Sync what was asked for and is not done."""
        asked = self._asked
        if asked > self._done:
            self._sync(asked)
            self._done = asked

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wanted.wait()
            self._stopped.wait(_SECONDS)
            self._wanted.clear()
            self._is_wanted = False
            try:
                self.finish()
            except OSError:
                continue  # tried again at the next write, and at the end, where it is raised
