"""Repairs a damaged store: finds every entry that is intact, makes a new journal of them, keeps the old files aside.

A store that is whole is left alone. Whatever happens in the middle, the old files are still there and a second repair
starts from them.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import attrs

from mlquery.durable import high_water_mark, journal, locks, snapshot
from mlquery.durable.dump import changes_of, format_of
from mlquery.durable.entries import FORMAT_VERSION, STORE, Entry, Identity, encode, identity_of
from mlquery.durable.errors import DamagedJournalError, UnwritableJournalError, missing, newer, of_write
from mlquery.durable.files import sync_folder
from mlquery.durable.high_water_mark import HighWaterMark
from mlquery.durable.journal import Journal
from mlquery.durable.salvage import entries_in
from mlquery.durable.store import ASIDE, UNFINISHED, DurableStore, unfinished_repair
from mlquery.store import Store
from mlquery.store.changes import CHANGES, NAMES, AddRun, PutExperiment
from mlquery.store.registered_models import PutRegisteredModel
from mlquery.store.times import now

_OLD: Final = (journal.NAME, f"{journal.NAME}-wal", snapshot.NAME, high_water_mark.NAME)
_NEW: Final = ".repaired"


@attrs.frozen
class Repair:
    """What a repair found and did.

    Attributes:
        problem: What was wrong; empty if nothing was.
        entries: How many entries of the journal are intact.
        lost: How many are known to be lost, and are not in the snapshot either.
        unusable: How many intact ones could not be used, because what they are about is lost.
        placeholders: The runs and experiments that stand in for lost ones, to hold what was logged to them.
        aside: The folder with the old files.
    """

    problem: str = ""
    entries: int = 0
    lost: int = 0
    unusable: int = 0
    placeholders: tuple[str, ...] = ()
    aside: Path | None = None


def repair(path: str | os.PathLike[str], dry_run: bool = False) -> Repair:
    """Repair a store that does not open, or that lost something; it must not be open anywhere.

    Args:
        path: The folder of the store.
        dry_run: Whether to only say what would be found.

    Raises:
        JournalError: there is no store, it is open somewhere, or there is no room for a second copy of its journal.
    """
    folder = Path(path).absolute()
    if not any((folder / name).exists() for name in _OLD) and not unfinished_repair(folder):
        raise missing(str(folder))
    lock = _lock(folder, dry_run)
    try:
        return _repaired(folder, dry_run)
    except OSError as error:
        raise of_write(str(folder), error) from None
    finally:
        if lock is not None:
            lock.release()


def _lock(folder: Path, dry_run: bool) -> locks.FolderLock | None:
    """Keep everyone else out of a store; to look at it in a folder that cannot be written to needs no lock."""
    try:
        return locks.FolderLock(folder, alone=True, problem="is open somewhere: close it first")
    except UnwritableJournalError:
        if dry_run:
            return None
        raise


def _repaired(folder: Path, dry_run: bool) -> Repair:
    problem = problem_of(folder)
    if not problem:
        return Repair()
    unfinished = unfinished_repair(folder)
    saved = _Saved(unfinished or folder, str(folder))
    found = Repair(problem, len(saved.entries), saved.lost, saved.unusable, tuple(saved.placeholders))
    if dry_run:
        return found
    aside = unfinished or _set_aside(folder)
    _replace(folder, saved)
    finished = aside.with_suffix("")
    aside.rename(finished)
    sync_folder(folder)
    return attrs.evolve(found, aside=finished)


def problem_of(folder: Path) -> str:
    """Return what is wrong with a store, the empty string if nothing is; every entry is looked at.

    Raises:
        JournalError: it cannot be read for reasons that no repair changes, such as a later format.
    """
    try:
        DurableStore(folder, read_only=True).close()
        with closing(Journal(folder, "commit", read_only=True)) as reader:
            reader.require_identity()
            reader.require_sound()
            for _ in reader.entries():
                pass
    except DamagedJournalError as error:
        return error.problem
    return ""


class _Saved:
    """What can be saved of a store: the store as it was, and what is missing in it."""

    def __init__(self, source: Path, shown: str) -> None:
        acknowledged = HighWaterMark(source, read_only=True).acknowledged
        self.entries = entries_in(source, acknowledged)
        self.store = Store()
        self.store.clear()
        self.placeholders: list[str] = []
        self.lost = self.unusable = 0
        self.identity = self._found_identity(shown)
        last = max([acknowledged, *self.entries])
        is_whole = last >= 0 and all(seq in self.entries for seq in range(last + 1))
        start = -1
        if not is_whole:  # else the journal says it all, and the snapshot might be the part that is damaged
            start = snapshot.read(self.store, source, self.identity.store_id if 0 in self.entries else None)
        self.lost = sum(seq not in self.entries for seq in range(start + 1, last + 1))
        for seq in sorted(seq for seq in self.entries if seq > start):
            self._apply(self.entries[seq])
        self.is_whole = is_whole and not self.unusable

    def _found_identity(self, shown: str) -> Identity:
        first = self.entries.get(0)
        if first is None or first.call != STORE:
            return Identity(uuid.uuid4().hex, now())
        try:
            found = identity_of(first.content())
            is_newer = FORMAT_VERSION < found.format_version
        except (ValueError, TypeError):
            return Identity(uuid.uuid4().hex, now())
        if is_newer:
            raise newer(shown, found.format_version)
        return found

    def _apply(self, entry: Entry) -> None:
        if entry.call == STORE:
            return
        try:
            content = entry.content()
            self._make_room(entry.call, content)
            CHANGES[entry.call](*content).apply(self.store)
        except Exception:  # anything, because what the entry refers to may be lost
            self.unusable += 1

    def _make_room(self, call: str, content: list[Any]) -> None:
        """Add what an entry is about, if it is lost, so that the entry itself is not."""
        store, about = self.store, content[0]
        experiment_id = about["experiment_id"] if call in ("run", "model") else None
        if experiment_id is not None and experiment_id not in store.experiments.row_of:
            fields = {"experiment_id": experiment_id, "name": f"recovered-{experiment_id}", "lifecycle_stage": "active"}
            fields["artifact_location"] = store.default_location(experiment_id)
            PutExperiment(fields).apply(store)
            self.placeholders.append(f"experiment {experiment_id}")
        if call == "model_version" and about["name"] not in store.registered_models:
            time = about["creation_timestamp"]
            fields = {"name": about["name"], "creation_timestamp": time, "last_updated_timestamp": time}
            PutRegisteredModel(fields).apply(store)
            self.placeholders.append(f"registered model {about['name']}")
        if call in _ABOUT_RUNS and about not in store.runs.row_of:
            fields = {"run_id": about, "experiment_id": "0", "user_id": "", "status": "RUNNING", "start_time": None}
            run = fields | {"run_name": f"recovered-{about}", "tags": {"mlflow.runName": f"recovered-{about}"}}
            self._make_room("run", [run])
            AddRun(run).apply(store)
            self.placeholders.append(f"run {about}")

    def changes(self) -> Iterable[tuple[str, str]]:
        """Yield the changes of a journal that gives this store, entry 0 left out."""
        if self.is_whole:
            return ((entry.call, entry.body) for seq, entry in sorted(self.entries.items()) if seq)
        return ((NAMES[type(change)], encode(change)) for change in changes_of(self.store))


_ABOUT_RUNS: Final = frozenset(
    ("info", "stage", "metric", "param", "tag", "untag", "batch", "points", "inputs", "outputs", "model_inputs")
)


def _set_aside(folder: Path) -> Path:
    """Copy the old files into a folder of their own and return it."""
    name = next(name for name in (f"{ASIDE}-{number}" for number in count(1)) if not (folder / name).exists())
    copying = folder / f".{name}"
    shutil.rmtree(copying, ignore_errors=True)
    copying.mkdir()
    for old in _OLD:
        with suppress(FileNotFoundError):
            shutil.copy2(folder / old, copying / old)
            with (copying / old).open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(copying)
    aside = folder / f"{name}{UNFINISHED}"
    copying.rename(aside)
    sync_folder(folder)
    return aside


def _replace(folder: Path, saved: _Saved) -> None:
    """Put a new journal in the place of the old one; until it is there, the store does not open."""
    new = folder / _NEW
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    identity = saved.identity
    identity = attrs.evolve(identity, format_version=max(identity.format_version, format_of(saved.store)))
    if not saved.is_whole:  # what goes on is another store, with snapshots of its own
        identity = attrs.evolve(identity, store_id=uuid.uuid4().hex)
    with closing(Journal(new, "commit", read_only=False)) as writer:
        writer.begin()
        writer.create(identity)
        for call, body in saved.changes():
            writer.append(call, body)
        writer.commit()
    for name in (f"{journal.NAME}-wal", f"{journal.NAME}-shm", snapshot.NAME):
        (folder / name).unlink(missing_ok=True)
    for name in (journal.NAME, high_water_mark.NAME):
        (new / name).replace(folder / name)
    shutil.rmtree(new)
    sync_folder(folder)
