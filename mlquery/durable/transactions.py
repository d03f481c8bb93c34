"""Keeps a store in memory in step with its journal: the turns in which it is read and written, and what if that fails.

The journal alone counts: when a call fails half way the memory is cleared and filled from it again. Where a journal
comes from, and when it is closed, is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final

from mlquery.durable import snapshot
from mlquery.durable.entries import encode
from mlquery.durable.errors import JournalError, damaged
from mlquery.durable.journal import Journal
from mlquery.durable.locks import TurnLock
from mlquery.durable.replay import replay, snapshot_remade
from mlquery.errors import StoreError
from mlquery.store import Store
from mlquery.store.changes import NAMES, SINCE_FORMAT, LogPoints
from mlquery.store.state import Change

_HARMLESS: Final = (StoreError, TypeError, ValueError, AttributeError)
"""What a call raises about its arguments, before it changes anything."""


class Transactions:
    """The block in which a store is written: one transaction of its journal, kept as a whole or not at all.

    Args:
        store: What is kept in step with the journal.
        path: The folder of the store.
        reopen: Opens the journal again in a forked process.
        after_write: Called after a transaction that wrote something.

    Attributes:
        lock: Held by everyone who reads; the outermost `with` takes over what other processes wrote.
        journal: None while the store is closed.
        is_stale: Whether the memory is not what the journal says.
        is_forked: Whether the journal was left to the parent process.
        snapshot_seq: The number of the last entry in the snapshot.
    """

    def __init__(
        self, store: Store, path: Path, reopen: Callable[[], None], after_write: Callable[[Journal], None]
    ) -> None:
        self.lock = TurnLock(self._look)
        self.journal: Journal | None = None
        self.is_stale = self.is_forked = False
        self.snapshot_seq = 0
        self._store, self._path, self._reopen, self._after_write = store, path, reopen, after_write
        self._depth = 0
        self._version_before = 0

    def require_journal(self) -> Journal:
        """Return the journal; raise if the store is closed."""
        if self.journal is None:
            raise JournalError(str(self._path), "is closed")
        return self.journal

    def note(self, change: Change) -> None:
        """Add a change to the journal; it is kept together with the others of the transaction."""
        journal = self.journal or self.require_journal()
        if type(change) in SINCE_FORMAT:
            journal.require_format(SINCE_FORMAT[type(change)])
        parts = change.slices() if isinstance(change, LogPoints) else (change,)
        for part in parts:
            journal.append(NAMES[type(part)], encode(part))

    def fail(self) -> None:
        """Have the memory made anew if the transaction fails, even if nothing is known to have changed."""
        self._version_before = -1

    def __enter__(self) -> None:
        """Wait for other threads and processes, and take over what they wrote."""
        self.lock.take()
        try:
            if not self._depth:
                self._begin()
            self._depth += 1
        except BaseException:
            self.lock.give()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Keep what was noted, or forget it if an error was raised."""
        self._depth -= 1
        try:
            if not self._depth:
                if error is None:
                    self._commit()
                else:
                    is_changed = self._store.version != self._version_before
                    self.is_stale |= is_changed or not isinstance(error, _HARMLESS)
                    self.require_journal().rollback()
        finally:
            self.lock.give()

    def leave_to_parent(self) -> None:
        """Forget the journal in a forked process, and open it again at the next use."""
        self.is_forked = self.journal is not None
        self.journal = None
        self._depth = 0

    def load(self, reader: Journal) -> None:
        """Clear the memory and read a journal, as far as possible from the snapshot."""
        store = self._store
        reader.seq = -1
        identity = reader.require_identity()
        store.clear()
        if identity is None:
            if reader.mark.least() > 0:
                raise damaged(str(self._path), "its journal is empty")
            return
        store.use_guid_ids(identity.guid_ids)
        seq = snapshot.read(store, self._path, identity.store_id, partial(snapshot_remade, self._path))
        reader.require_end(seq)
        if seq >= 0:
            reader.seq = self.snapshot_seq = seq
        store.runs.forget_order()  # many runs follow
        self._follow(reader)
        self.is_stale = False

    def _begin(self) -> None:
        if self.is_stale or self.is_forked:
            self._refresh()
        journal = self.journal or self.require_journal()
        journal.begin()
        try:
            self._follow(journal)
        except BaseException:
            journal.rollback()
            raise
        self._version_before = self._store.version

    def _commit(self) -> None:
        journal = self.journal or self.require_journal()
        before = journal.seq
        try:
            journal.commit()
        except BaseException:
            self.is_stale = True
            with suppress(StoreError):
                journal.rollback()
            raise
        if journal.seq > before:
            self._after_write(journal)

    def _look(self) -> None:
        if not self._depth:
            self._refresh()
            self._follow(self.require_journal())

    def _refresh(self) -> None:
        """Make the memory anew if it is no longer what the journal says."""
        if self.is_forked:
            self.is_forked = False
            self._reopen()
        if self.is_stale:
            self.load(self.require_journal())

    def _follow(self, journal: Journal) -> None:
        """Make the changes that a journal has beyond those that were read."""
        try:
            replay(journal, self._store)
        except BaseException:  # the number of the last entry that was read may be ahead of what was made of them
            self.is_stale = True
            raise
