"""The store behind the searches: runs, experiments, histories and artifacts in memory; it sees no filter strings."""

from mlquery.store.store import Store

__all__ = ["Store"]
