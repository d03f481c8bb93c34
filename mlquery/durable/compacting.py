"""Compacts a store: a new journal that says what the store is takes the place of one that says how it became so.

At every moment the folder holds a whole store: first the number of acknowledged entries is lowered and the snapshot
goes, which the old journal does not mind, then the new journal replaces the old one, then a new snapshot is written.
"""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs

from mlquery.durable import high_water_mark, journal, locks, snapshot
from mlquery.durable.dump import changes_of
from mlquery.durable.entries import encode
from mlquery.durable.errors import DamagedJournalError, JournalError, missing, of_write
from mlquery.durable.files import sync_folder
from mlquery.durable.journal import Journal
from mlquery.durable.repairing import problem_of
from mlquery.durable.store import DurableStore
from mlquery.store.changes import NAMES

_NEW: Final = ".compacted"
_IS_OPEN: Final = "is open somewhere: close it first"
_LOG: Final = f"{journal.NAME}-wal"


@attrs.frozen
class Compaction:
    """What a compaction did: how many entries the journal had and has, and bytes of journal and snapshot together."""

    entries_before: int
    entries: int
    bytes_before: int
    bytes: int


def compact(path: str | os.PathLike[str]) -> Compaction:
    """Make the journal of a store say only what the store is now; it must not be open anywhere.

    Values that were overwritten and names that were changed are in the journal no longer, which no search shows anyway.
    Ids, times, points, what was pushed where, artifacts, and deleted runs stay.

    Args:
        path: The folder of the store.

    Raises:
        JournalError: there is no store, it is damaged or open somewhere, or there is no room for a second journal.
    """
    folder = Path(path).absolute()
    if not (folder / journal.NAME).exists():
        raise missing(str(folder))
    lock = locks.FolderLock(folder, alone=True, problem=_IS_OPEN)
    try:
        return _compacted(folder)
    except OSError as error:
        raise of_write(str(folder), error) from None
    finally:
        lock.release()


def _compacted(folder: Path) -> Compaction:
    problem = problem_of(folder)
    if problem:
        raise DamagedJournalError(str(folder), problem)
    bytes_before = _size(folder)
    with closing(Journal(folder, "commit", read_only=False)) as old:
        old.require_identity()
    if (folder / _LOG).exists():  # closing moves the log into the file, unless another connection is open
        raise JournalError(str(folder), _IS_OPEN)
    new = folder / _NEW
    shutil.rmtree(new, ignore_errors=True)
    with DurableStore(folder, read_only=True) as store:
        entries_before = store.seq + 1
        entries = _write(new, store)
        (new / high_water_mark.NAME).replace(folder / high_water_mark.NAME)
        (folder / snapshot.NAME).unlink(missing_ok=True)
        sync_folder(folder)
        (new / journal.NAME).replace(folder / journal.NAME)
    shutil.rmtree(new)
    sync_folder(folder)
    with DurableStore(folder, read_only=True) as store:
        snapshot.write(store, folder, store.identity.store_id, store.seq)
    return Compaction(entries_before, entries, bytes_before, _size(folder))


def _write(new: Path, store: DurableStore) -> int:
    """Write a journal of what a store is into a new folder, and return how many entries it has."""
    new.mkdir()
    with closing(Journal(new, "commit", read_only=False)) as writer:
        writer.begin()
        writer.create(store.identity)
        for change in changes_of(store):
            writer.append(NAMES[type(change)], encode(change))
        writer.commit()
        return writer.seq + 1


def _size(folder: Path) -> int:
    paths = (folder / name for name in (journal.NAME, _LOG, snapshot.NAME))
    return sum(path.stat().st_size for path in paths if path.exists())
