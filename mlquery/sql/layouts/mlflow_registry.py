"""Reads the model registry out of MLflow's own tables; registries are small, so all of it is read at once."""

from __future__ import annotations

from mlquery.readers.mlflow_rows import Column, Row
from mlquery.readers.registry_rows import REGISTRY_TABLES, registered_models_of
from mlquery.registry import Registry
from mlquery.sql.session import Session
from mlquery.sql.statement import Statement


def read_registry(session: Session) -> Registry:
    """Return all registered models with their versions, deleted versions included."""
    registry = Registry()
    found = registered_models_of(*(_rows(session, *table) for table in REGISTRY_TABLES))
    registry.put_entries({entry.model.name: entry for entry in found})
    return registry


def _rows(session: Session, table: str, columns: list[Column]) -> list[Row]:
    names = ", ".join(f"t.{name}" for name, *_ in columns)  # MySQL takes no bare `key`
    return session.rows(Statement(f"SELECT {names} FROM {table} t"))
