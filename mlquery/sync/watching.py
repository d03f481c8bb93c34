"""Pushes a store again and again as it changes: what is new is sent soon after it was logged.

A target that cannot be reached is tried again; what is said about it is said once, until something else happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mlquery.durable.store import DurableStore
from mlquery.errors import StoreError
from mlquery.sync.sending import PushResult


def pushes(
    store: DurableStore, push_once: Callable[[], PushResult], wait: Callable[[], object]
) -> Iterator[PushResult | StoreError]:
    """Yield what each push did that sent something, and why one failed, for ever.

    Args:
        store: What is watched; processes that log to it are others.
        push_once: Pushes what is new or changed.
        wait: Waits before the next look.
    """
    seen, last = -1, ""
    while True:
        now = seq_now(store)
        if now != seen:
            try:
                done = push_once()
            except StoreError as error:
                if str(error) != last:
                    yield error
                last = str(error)
            else:
                seen, last = now, ""  # what was logged during the push, like its own records, is looked at once more
                if has_sent(done):
                    yield done
        wait()


def seq_now(store: DurableStore) -> int:
    """Return the number of the last change of a store, those of other processes too."""
    with store.lock:
        return store.seq


def has_sent(done: PushResult) -> bool:
    """Tell whether a push sent anything."""
    counts = (done.new_runs, done.changed_runs, done.models, done.files, done.experiments)
    return any((*counts, done.registered_models, done.versions))
