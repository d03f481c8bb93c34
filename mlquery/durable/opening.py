"""`open`: the front door of stores on disk; and how stores are opened that perhaps can only be read."""

from __future__ import annotations

import os
from collections.abc import Callable

from mlquery.durable.errors import JournalError, UnwritableJournalError
from mlquery.durable.journal import Durability
from mlquery.durable.locations import folder_named
from mlquery.durable.store import DurableStore


def open(
    path: str | os.PathLike[str],
    durability: Durability = "commit",
    *,
    read_only: bool = False,
    clock: Callable[[], int] | None = None,
    dialect: str = "oss",
) -> DurableStore:
    """Open a store in a folder, or make a new one there.

    It is the same store as in memory, and its calls and searches cost little more; what they write is in the folder
    before they return. Any number of threads and of processes of one machine may have it open and write at once; each
    sees what the others wrote.

    Args:
        path: The folder, or its URI `mlquery:///FOLDER`; made with a new store in it if it is not there or empty.
        durability: "commit": what a call wrote is synced to the disk before the call returns, and survives a power
            failure. "fast": it is handed to the operating system before the call returns, and survives the end of the
            process, however it ends; it is synced within a second, and at exit.
        read_only: Whether nothing may be written, not even beside the journal; the store must be there.
        clock: Returns the time in ms UTC; by default the system's.
        dialect: The dialect of a new store, which decides on the form of its ids; an existing store has its own.

    Returns:
        The store. Close it when done, or use it in a `with` block; at the latest it is closed when the process ends.

    Raises:
        JournalError: the store is missing, damaged, of a later format, or cannot be written to.
        StoreError: the URI names no folder, or has options.
    """
    return DurableStore(folder_named(path), durability, read_only=read_only, clock=clock, dialect=dialect)


def open_as_possible(
    path: str | os.PathLike[str], durability: Durability = "commit", *, read_only: bool = False, dialect: str = "oss"
) -> DurableStore:
    """Open a store as `open` does, or for reading only where it is and nothing can be written.

    Raises:
        JournalError: as from `open`.
    """
    try:
        return open(path, durability, read_only=read_only, dialect=dialect)
    except UnwritableJournalError as error:
        try:
            return open(path, read_only=True)
        except JournalError:
            raise error from None
