"""The store behind the searches: runs, experiments, histories and artifacts in memory; it never sees query text."""

from mlquery.store.store import Store

__all__ = ["Store"]
