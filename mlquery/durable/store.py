"""`DurableStore`: the store in memory, kept in step with the journal in its folder, and opened from it.

Here is when the files of a store are opened, made, synced and closed. What is in them is decided elsewhere.
"""

from __future__ import annotations

import os
import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from mlquery.durable import high_water_mark, journal, snapshot
from mlquery.durable.entries import Identity
from mlquery.durable.errors import JournalError, damaged, missing, of_write
from mlquery.durable.files import FileArtifacts, sync_folder
from mlquery.durable.journal import Durability, Journal
from mlquery.durable.locks import FolderLock
from mlquery.durable.syncer import Syncer
from mlquery.durable.transactions import Transactions
from mlquery.entities import Experiment
from mlquery.errors import StoreError, invalid_parameter
from mlquery.language.matrix import MATRIX
from mlquery.store import Store
from mlquery.store.times import RisingTimes

# A snapshot is written when this many entries were added: while the store is open, at its opening, at its closing.
_WHILE_OPEN: Final = 100_000
_AT_OPENING: Final = 20_000
_AT_CLOSING: Final = 5_000

ASIDE: Final = "damaged"
"""How the folders start in which repairs put the old files."""
UNFINISHED: Final = ".unfinished"


def unfinished_repair(folder: Path) -> Path | None:
    """Return the folder with the old files of a repair that was cut short, None if there is none."""
    return next(iter(sorted(folder.glob(f"{ASIDE}-*{UNFINISHED}"))), None)


class DurableStore(Store):
    """A store in a folder; `mlquery.open` makes it and says what its arguments mean and what it raises."""

    artifacts: FileArtifacts
    is_on_disk = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        durability: Durability = "commit",
        *,
        read_only: bool = False,
        clock: Callable[[], int] | None = None,
        dialect: str = "oss",
    ) -> None:
        if durability not in ("commit", "fast"):
            raise invalid_parameter(f"durability is 'commit' or 'fast', not {durability!r}")
        column = MATRIX.dialect(dialect)
        super().__init__(clock=clock, guid_ids=column.behaves("id.guid"))
        self.clear()
        self.experiment_times = RisingTimes()
        self.path = Path(path).absolute()
        self._dialect = column.name
        self.durability, self.read_only = durability, read_only
        is_synced = durability == "commit"
        self.artifacts = FileArtifacts(self.path, self._require_known, is_synced, read_only)
        self._opened = ExitStack()  # lock, journal and syncer, which are closed in the opposite order
        self._closer = weakref.finalize(self, self._opened.close)
        self._syncer: Syncer | None = None
        self.writing = self._transactions = Transactions(self, self.path, self._open, self._after_write)
        self.lock, self.on_change = self._transactions.lock, self._transactions.note
        with self._alone():
            try:
                self._open()
            except BaseException:
                self._closer()
                raise
        _open_stores.add(self)

    def __repr__(self) -> str:
        return f"<DurableStore {str(self.path)!r}: {self.experiments.size} experiments, {self.runs.size} runs>"

    def __enter__(self) -> DurableStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def identity(self) -> Identity:
        """Return what the store is."""
        identity = self._transactions.require_journal().identity
        assert identity is not None, "a store that is open has been made"
        return identity

    @property
    def dialect(self) -> str:
        """Return the name of the dialect in which the store was made to answer."""
        identity = self._transactions.require_journal().identity
        return self._dialect if identity is None else identity.dialect

    @property
    def store_id(self) -> str:
        """Return what tells this store from all others; copies of its folder have the same."""
        identity = self._transactions.require_journal().identity
        assert identity is not None
        return identity.store_id

    @property
    def seq(self) -> int:
        """Return the number of the last entry of the journal that is known here; it rises with each write."""
        return self._transactions.require_journal().seq

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep the calls inside the block together: all of them are kept, or none if one raises."""
        with self.writing:
            try:
                yield
            except BaseException:
                self._transactions.fail()  # some calls may have been made
                raise

    def close(self) -> None:
        """Sync what is not synced and close the files; later calls raise."""
        with self._alone():
            found = self._transactions.journal
            if found is not None and not self._transactions.is_stale:
                self._write_snapshot(found, after=_AT_CLOSING)
            self._transactions.journal = None
            self._closer()

    def sync(self) -> None:
        """Sync to the disk everything that was written so far."""
        with self.lock:
            try:
                self._transactions.require_journal().sync(self.seq)
            except OSError as error:
                raise of_write(str(self.path), error) from None

    def artifacts_of(self, owner_id: str) -> list[tuple[str, int]]:
        """Return path and size of all artifacts of a run or of a logged model."""
        return self.artifacts.sizes(owner_id)

    def leave_to_parent(self) -> None:
        """In a forked process, leave the files to the parent and open them anew at the next use.

        An SQLite connection must be neither used nor closed by two processes.
        """
        _left_to_parents.append(self._opened.pop_all())
        self._syncer = None
        self._transactions.leave_to_parent()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads out, without a look at the journal."""
        self._transactions.lock.take()
        try:
            yield
        finally:
            self._transactions.lock.give()

    def _after_write(self, journal: Journal) -> None:
        if self._syncer is not None:
            self._syncer.ask(journal.seq)
        if journal.seq - self._transactions.snapshot_seq >= _WHILE_OPEN:
            self._write_snapshot(journal, after=_WHILE_OPEN)

    def _require_known(self, owner_id: str) -> None:
        with self.lock:
            self.require_owner(owner_id)

    # Opening

    def _open(self) -> None:
        self._require_folder()
        if self.read_only:
            self._transactions.journal = reader = self._loaded()
            self._opened.callback(reader.close)
            return
        self._opened.callback(FolderLock(self.path).release)
        seq, identity = -1, None
        if (self.path / journal.NAME).exists():
            # First a connection that writes nothing: one that finds damage must leave everything as it is.
            reader = self._loaded()
            seq, identity = reader.seq, reader.identity
            reader.close()
        self._transactions.journal = writer = Journal(self.path, self.durability, read_only=False)
        self._opened.callback(writer.close)
        if identity is None:
            self._create(writer)
        else:
            writer.seq, writer.identity = seq, identity
        if self.durability == "fast":
            self._syncer = Syncer(writer.sync)
            self._opened.callback(self._syncer.stop)
        self._write_snapshot(writer, after=_AT_OPENING)

    def _require_folder(self) -> None:
        """Make the folder if it may be made; raise if it is something else than a store."""
        shown = str(self.path)
        try:
            if unfinished_repair(self.path) is not None:
                raise damaged(shown, "a repair of it was interrupted")
            if self.path.is_file():
                raise JournalError(shown, "is a file; a store is a folder (mlquery.load reads MLflow's databases)")
            names = {path.name for path in self.path.iterdir()} if self.path.exists() else set()
            names -= high_water_mark.unwritten(self.path)  # another process makes the store now, or was killed then
            if (self.path / journal.NAME).exists():  # looked for last, as another process may be quicker
                return
            if names & {high_water_mark.NAME, snapshot.NAME, f"{journal.NAME}-wal"}:
                raise damaged(shown, f"its {journal.NAME} is missing")
            if self.read_only:
                raise missing(shown)
            if names - {"lock", "artifacts"}:
                raise JournalError(shown, "is not there, only other things are in that folder; give it one of its own")
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise of_write(shown, error) from None

    def _loaded(self) -> Journal:
        """Return the journal, opened for reading only, after it was read into memory."""
        reader = Journal(self.path, self.durability, read_only=True)
        try:
            self._transactions.load(reader)
        except BaseException:
            reader.close()
            raise
        return reader

    def _create(self, writer: Journal) -> None:
        """Make a new store, unless another process was quicker."""
        writer.begin()
        try:
            if writer.require_identity() is not None:
                writer.rollback()
                self._transactions.load(writer)
                return
            self.clear()
            writer.create(Identity(uuid.uuid4().hex, self.clock(), self._guid_ids, self._dialect))
            self._add_experiment(Experiment.DEFAULT_EXPERIMENT_NAME, None, {})
            writer.commit()
        except BaseException:
            with suppress(StoreError):
                writer.rollback()
            raise
        with suppress(OSError):
            sync_folder(self.path)
            sync_folder(self.path.parent)

    def _write_snapshot(self, found: Journal, after: int) -> None:
        """Write a snapshot if enough entries were added; where there is no room for it, opening takes longer."""
        if self.read_only or found.identity is None or found.seq - self._transactions.snapshot_seq < after:
            return
        with suppress(OSError, StoreError):
            found.sync(found.seq)
            snapshot.write(self, self.path, found.identity.store_id, found.seq)
        self._transactions.snapshot_seq = found.seq


# Forks: no thread may be in the middle of a call then, and the new process opens its own connections.

_open_stores: weakref.WeakSet[DurableStore] = weakref.WeakSet()
_left_to_parents: list[ExitStack] = []
_held: list[DurableStore] = []


def _hold_all() -> None:
    _held.extend(_open_stores)
    for store in _held:
        store._transactions.lock.take()


def _let_go() -> None:
    while _held:
        _held.pop()._transactions.lock.give()


def _let_go_in_child() -> None:
    for store in _held:
        store.leave_to_parent()
    _let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_all, after_in_parent=_let_go, after_in_child=_let_go_in_child)
