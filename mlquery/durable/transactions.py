"""Keeps a store in memory in step with its journal: the turns in which it is read and written, and what if that fails.

The journal alone counts: when a call fails half way the memory is thrown away and made anew from it. Where a journal
comes from, and when it is closed, is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from mlquery.durable import snapshot
from mlquery.durable.entries import encode
from mlquery.durable.errors import JournalError, damaged
from mlquery.durable.journal import Journal
from mlquery.durable.journalled import Journalled
from mlquery.durable.locks import TurnLock
from mlquery.errors import StoreError

_HARMLESS: Final = (StoreError, TypeError, ValueError, AttributeError)
"""What a call raises about its arguments, before it changes anything."""
_UNFIT: Final = (KeyError, ValueError, TypeError, IndexError, AttributeError)
"""What an entry raises that does not fit those before it."""


class Followed(Journalled):
    """A store that follows a journal and writes to it.

    Attributes:
        lock: Taken by everyone who reads; the outermost `with` takes over what other processes wrote.
    """

    lock: TurnLock  # type: ignore[assignment]

    def __init__(self, path: Path, clock: Callable[[], int] | None, guid_ids: bool) -> None:
        super().__init__(clock=clock, guid_ids=guid_ids)
        self.forget_everything()
        self.path = path
        self.lock = TurnLock(self._look)
        self.call = _Call(self)
        self._open_journal: Journal | None = None
        self._depth = 0
        self._version_before = 0
        self._is_stale = False
        self._snapshot_seq = 0

    @property
    def seq(self) -> int:
        """Return the number of the last entry of the journal that is known here; it rises with each write."""
        return self._journal.seq

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep the calls inside the block together: all of them are kept, or none if one raises."""
        with self.call:
            try:
                yield
            except BaseException:
                self._version_before = -1  # some calls may have been made: the memory is made anew
                raise

    def note(self, change: str, *content: Any) -> None:
        """Add a line to the journal, inside a call."""
        self._journal.append(change, encode(content))

    def change(self, change: str, *content: Any) -> None:
        """Make a change that no call of a store makes, and write it down."""
        with self.call:
            self.apply(change, content)
            self.note(change, *content)

    # One call

    def begin(self) -> None:
        """Start a call: wait for other threads and processes, and take over what they wrote."""
        self.lock.take()
        try:
            if not self._depth:
                self._refresh()
                self._journal.begin()
                try:
                    self._follow()
                except BaseException:
                    self._journal.rollback()
                    raise
                self._version_before = self.version
            self._depth += 1
        except BaseException:
            self.lock.give()
            raise

    def end(self, error: BaseException | None) -> None:
        """End a call: keep what it noted, or forget it if it failed."""
        self._depth -= 1
        try:
            if self._depth:
                return
            if error is None:
                self._commit()
            else:
                self._is_stale |= self.version != self._version_before or not isinstance(error, _HARMLESS)
                self._journal.rollback()
        finally:
            self.lock.give()

    def _commit(self) -> None:
        before = self._journal.seq
        try:
            self._journal.commit()
        except BaseException:
            self._is_stale = True
            with suppress(StoreError):
                self._journal.rollback()
            raise
        if self._journal.seq > before:
            self._after_write()

    def _after_write(self) -> None:
        """Do what is due after a call that wrote something."""

    @property
    def _journal(self) -> Journal:
        found = self._open_journal
        if found is None:
            raise JournalError(str(self.path), "is closed")
        return found

    def _look(self) -> None:
        if not self._depth:
            self._refresh()
            self._follow()

    def _refresh(self) -> None:
        """Make the memory anew if it is no longer what the journal says."""
        if self._is_stale:
            self._load(self._journal)

    def _follow(self) -> None:
        self._replay(self._journal)

    def _replay(self, found: Journal, is_many: bool = False) -> None:
        self.is_many = is_many
        for entry in found.entries():
            try:
                self.apply(entry.call, entry.content())
            except _UNFIT:
                self._is_stale = True
                raise damaged(str(self.path), f"entry {entry.seq} of its journal does not fit those before") from None

    def _load(self, reader: Journal) -> None:
        """Forget what is in memory and read a journal, as far as possible from the snapshot."""
        reader.seq = -1
        identity = reader.require_identity()
        self.forget_everything()
        if identity is None:
            if reader.mark.least() > 0:
                raise damaged(str(self.path), "its journal is empty")
            return
        self._guid_ids = self._names._dashed = identity.guid_ids
        seq, last = snapshot.read(self, self.path, identity.store_id), reader.last()
        if seq is not None:
            if seq > last:
                raise damaged(str(self.path), f"the last {seq - last} entries of its journal are missing")
            reader.seq = self._snapshot_seq = seq
        reader.require_end()
        self._replay(reader, is_many=True)
        self._is_stale = False


class _Call:
    """The block that a call of the store runs in."""

    __slots__ = ("_store",)

    def __init__(self, store: Followed) -> None:
        self._store = store

    def __enter__(self) -> None:
        self._store.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._store.end(error)
