"""The model registry: registered models, versions, aliases, tags and stages in memory, the only state of this room.

Its calls have the names, checks and errors of MLflow's registry store; arguments are those of MLflow's client. It sees
no query text and no dialect: what a dialect changes arrives as an argument.
"""

from __future__ import annotations

from mlquery.registry.model_versions import VersionCalls


class Registry(VersionCalls):
    """An empty model registry. Any number of threads may use it.

    Args:
        clock: Returns the time in ms UTC; by default the system's.

    Errors are `StoreError` with MLflow's error codes and wording.

    **Source**: `mlflow.store.model_registry.sqlalchemy_store.SqlAlchemyStore` of MLflow 3.17 on SQLite.
    """

    def __repr__(self) -> str:
        return f"<Registry: {len(self._entries)} models>"

    def clone(self) -> Registry:
        """Return an independent copy."""
        with self.lock:
            new = Registry(self.clock)
            new._entries = {name: entry.copy() for name, entry in self._entries.items()}
            return new
