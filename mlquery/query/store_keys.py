"""Turn the runs of a store into the keys that are known of them, for what `check` says about keys."""

from __future__ import annotations

from mlquery.language.keys import KnownKeys
from mlquery.language.suspicious_values import as_logged
from mlquery.store import Store


def keys_of(store: Store) -> KnownKeys:
    """Return the keys of all runs; params are numeric if every value is one as Python writes it."""
    metrics: set[str] = set()
    tags: set[str] = set()
    params: set[str] = set()
    others: set[str] = set()
    with store.lock:
        for run in store.runs.runs_at(range(store.runs.size)):
            metrics.update(run.data.metrics)
            tags.update(run.data.tags)
            params.update(run.data.params)
            others.update(key for key, value in run.data.params.items() if as_logged(value) != value)
    return KnownKeys(frozenset(metrics), frozenset(params), frozenset(tags), frozenset(params - others), True)
