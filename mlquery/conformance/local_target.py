"""Runs the suite on MLflow with new stores of its own, whose clock and ids the suite sets."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import mlflow

from mlquery.conformance.fixtures import FIRST_TIME, put
from mlquery.conformance.inprocess import LOCAL
from mlquery.conformance.mlflow_session import MlflowSession
from mlquery.conformance.readback import Described, read_back
from mlquery.conformance.suite import Case, Suite

_MODULES = {"sqlite": "sqlalchemy_store", "file": "file_store"}


@contextmanager
def local_stores(suite: Suite, folder: Path, kind: str) -> Iterator[LocalTarget]:
    """Give new MLflow stores in a folder, with the clock and the ids of the suite in place of MLflow's."""
    stores = LocalTarget(suite, folder, kind)
    with ExitStack() as stack:
        for part in ("tracking", "model_registry"):
            clock = f"mlflow.store.{part}.{_MODULES[kind]}.get_current_time_millis"
            stack.enter_context(mock.patch(clock, stores.now))
        stack.enter_context(mock.patch.object(uuid, "uuid4", stores.next_id))
        yield stores


class LocalTarget:
    """MLflow stores with the contents of a suite, each created at its first use: SQLite databases, or folders."""

    product = "MLflow"
    version = mlflow.__version__
    conditions = LOCAL
    has_registry = True

    def __init__(self, suite: Suite, folder: Path, kind: str) -> None:
        self.name = f"{kind}:"
        self._suite, self._folder, self._kind = suite, folder, kind
        self._time = FIRST_TIME
        self._built: dict[str, MlflowSession] = {}
        self._refused: dict[str, dict[str, str]] = {}
        self._copies = 0
        self._ids = _ids_from("")

    def now(self) -> int:
        """Return the time in ms UTC."""
        return self._time

    def set_clock(self, milliseconds: int) -> None:
        """Set the time in ms UTC."""
        self._time = milliseconds

    def next_id(self) -> uuid.UUID:
        """Return the next id."""
        return next(self._ids)

    @contextmanager
    def session(self, case: Case) -> Iterator[MlflowSession]:
        """Give a session; a case with calls gets a store of its own."""
        if case.calls and self._kind == "file":
            yield self._create(case.store, self._place())
            return
        session = self._session(case.store)
        if case.calls:
            session = MlflowSession(self._client(self._place(), f"{case.store}.db"), dict(session.ids))
            self._ids = _ids_from(case.id)
        yield session

    def refused(self, store: str) -> dict[str, str]:
        """Return the experiments of a store that this MLflow refuses to create, and why."""
        self._session(store)
        return self._refused[store]

    def _session(self, store: str) -> MlflowSession:
        if store not in self._built:
            self._built[store] = self._create(store, store)
        return self._built[store]

    def values_read_back(self, store: str) -> dict[str, Described]:
        """Return the values that every run of a store has when it is read back."""
        session = self._session(store)
        return read_back(self._suite.stores[store], session.client, session.ids)

    def _place(self) -> str:
        self._copies += 1
        return f"copy-{self._copies}"

    def _create(self, store: str, place: str) -> MlflowSession:
        self._time = FIRST_TIME
        client = self._client(place, self._template())
        self._ids = _ids_from(store)
        refused = self._refused.setdefault(store, {})
        ids = put(self._suite.stores[store], client, mlflow.entities, self.set_clock, refused)
        return MlflowSession(client, ids)

    def _template(self) -> str:
        """Return the name of an empty database; MLflow takes a second to create one."""
        name = "empty-template.db"
        if self._kind == "sqlite" and not (self._folder / name).exists():
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            make: Any = SqlAlchemyStore
            make(f"sqlite:///{self._folder / name}", "mlquery-artifacts:").engine.dispose()
        return name

    def _client(self, place: str, original: str) -> mlflow.MlflowClient:
        path = self._folder / place
        if self._kind == "file":
            return mlflow.MlflowClient(f"file://{path}")
        shutil.copy(self._folder / original, f"{path}.db")
        return mlflow.MlflowClient(f"sqlite:///{path}.db")


def _ids_from(seed: str) -> Iterator[uuid.UUID]:
    """Yield unordered ids, the same ones each time, so that results of MLflow versions can be compared."""
    for number in itertools.count():
        yield uuid.UUID(hashlib.sha256(f"{seed} {number}".encode()).hexdigest()[:32])
