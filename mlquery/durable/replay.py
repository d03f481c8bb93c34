"""Makes the changes that a journal has beyond those that a store knows: one by one, or many alike at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from mlquery.durable import snapshot
from mlquery.durable.errors import damaged
from mlquery.durable.journal import Journal
from mlquery.durable.parts import Part
from mlquery.store import Store
from mlquery.store.changes import CHANGES

_NOT_FITTING: Final = (KeyError, ValueError, TypeError, IndexError, AttributeError)
"""What an entry raises that does not fit those before it."""


def replay(journal: Journal, store: Store, until: int | None = None) -> None:
    """Make the changes that follow on `journal.seq`, up to an entry or all.

    Raises:
        DamagedJournalError: an entry is damaged or missing, or does not fit those before.
    """
    for entry in journal.entries(until):
        try:
            CHANGES[entry.call](*entry.content()).apply(store)
        except _NOT_FITTING:
            raise damaged(journal.shown, f"entry {entry.seq} of its journal does not fit those before") from None
        store.version += 1


def snapshot_remade(folder: Path, seq: int) -> Sequence[Part]:
    """Return the parts of the snapshot after an entry, from the journal alone."""
    store = Store()
    store.clear()
    with closing(Journal(folder, "commit", read_only=True)) as journal:
        identity = journal.require_identity()
        if identity is None:
            raise damaged(journal.shown, "its journal is empty")
        store.use_guid_ids(identity.guid_ids)
        store.runs.forget_order()
        replay(journal, store, seq)
    return snapshot.parts_of(store, identity.store_id, seq)
