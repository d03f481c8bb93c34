"""Makes the changes that a journal has beyond those that a store knows: one by one, or many alike at once."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from mlquery.durable import snapshot
from mlquery.durable.errors import damaged
from mlquery.durable.journal import Journal, Row
from mlquery.durable.parts import Part
from mlquery.errors import StoreError
from mlquery.store import Store
from mlquery.store.bulk_changes import add_runs, log_points
from mlquery.store.changes import CHANGES, NAMES, AddRun, LogPoints
from mlquery.store.state import Change

try:
    from orjson import loads as _loads  # three times as fast
except ModuleNotFoundError:
    from json import loads as _loads  # type: ignore[assignment] # which takes more

_NOT_FITTING: Final = (
    *(StoreError, ArithmeticError, RecursionError),
    *(KeyError, ValueError, TypeError, IndexError, AttributeError),
)
"""What an entry raises that does not fit those before it."""

_BULK: Final = (NAMES[AddRun], NAMES[LogPoints])
"""Of these, many follow on each other where stores are filled; points do not mind if the runs after them come first."""
_MANY: Final = 64
_DECODED_AT_ONCE: Final = 100


def replay(journal: Journal, store: Store, until: int | None = None) -> None:
    """Make the changes that follow on `journal.seq`, up to an entry or all.

    Raises:
        DamagedJournalError: an entry is damaged or missing, or does not fit those before.
    """
    for batch in journal.batches(until):
        with _fewer_collections(len(batch)):
            for is_bulk, group in groupby(batch, lambda row: row[1] in _BULK):
                rows = list(group)
                if not (is_bulk and len(rows) >= _MANY and _replayed_at_once(journal.shown, store, rows)):
                    _replay_one_by_one(journal.shown, store, rows)
                store.version += len(rows)


def _replay_one_by_one(shown: str, store: Store, rows: Sequence[Row]) -> None:
    contents = _contents(rows)
    for seq, call, _ in rows:
        try:
            CHANGES[call](*next(contents)).apply(store)
        except _NOT_FITTING:
            raise damaged(shown, f"entry {seq} of its journal does not fit those before") from None


def _replayed_at_once(shown: str, store: Store, rows: Sequence[Row]) -> bool:
    """Add runs, then their points; return False if that cannot be and nothing was changed."""
    size = store.runs.size
    try:
        changes = [CHANGES[call](*content) for (_, call, _), content in zip(rows, _contents(rows), strict=True)]
        runs = [change for change in changes if isinstance(change, AddRun)]
        points = [change for change in changes if isinstance(change, LogPoints)]
        if runs and points:
            _add_keys(store, changes)
        add_runs(store, [change.fields for change in runs])
        log_points(store, points)
    except _NOT_FITTING:
        if store.runs.size == size:
            return False
        raise damaged(shown, f"entries {rows[0][0]} to {rows[-1][0]} of its journal do not fit those before") from None
    return True


def _add_keys(store: Store, changes: Sequence[Change]) -> None:
    """Add the metrics of runs and points in the order in which they come one by one."""
    metrics, known = store.runs.metrics, set()
    for change in changes:
        if isinstance(change, AddRun):
            keys = tuple([key for key, *_ in change.fields.get("metrics", ())])
            if keys not in known:
                known.add(keys)
                for key in keys:
                    metrics.to_write(key)
        elif isinstance(change, LogPoints) and change.values:  # lists, in an entry
            metrics.to_write(change.key)


def _contents(rows: Sequence[Row]) -> Iterator[Any]:
    """Yield the contents of entries; many are decoded at once."""
    for start in range(0, len(rows), _DECODED_AT_ONCE):
        bodies = [body for _, _, body in rows[start : start + _DECODED_AT_ONCE]]
        try:
            contents = _loads(f"[{','.join(bodies)}]")
        except (ValueError, RecursionError):  # one of them; decoded alone it tells which
            contents = ()
        yield from contents if len(contents) == len(bodies) else map(_decoded, bodies)


def _decoded(body: str) -> Any:
    try:
        return _loads(body)
    except ValueError:  # NaN and infinities are in Python's JSON only
        return json.loads(body)


@contextmanager
def _fewer_collections(entries: int) -> Iterator[None]:
    """Keep Python from looking for cycles among many new objects, which have none."""
    if entries < _MANY or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


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
