"""Runs the suite on an MLflow server that others use: every name has a prefix, and everything is deleted in the end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import attrs
import mlflow
import requests

from mlquery.conformance.execution import Session
from mlquery.conformance.fixtures import put
from mlquery.conformance.inprocess import REMOTE
from mlquery.conformance.mlflow_session import MlflowSession, first_line, serves_registry
from mlquery.conformance.namespacing import NamespacedClient, NamespacedSession
from mlquery.conformance.readback import Described, read_back
from mlquery.conformance.suite import Case, Suite
from mlquery.errors import StoreError
from mlquery.remote.mlflow_client import client_of
from mlquery.remote.names import target_name

_PAUSE = 0.002  # s; gives successive entities different times on a clock of milliseconds
_GRACE_SECONDS = 10.0  # s


class FixtureError(Exception):
    """A store of the suite cannot be created on the target; the message says what failed."""


@attrs.define
class _Fixture:
    """The contents of one store on the server, under one prefix."""

    client: NamespacedClient
    ids: dict[str, str]
    refused: dict[str, str]
    values: dict[str, Described] = attrs.field(factory=dict)


class RemoteTarget:
    """A server, a database or a folder that others use."""

    conditions = REMOTE

    def __init__(self, uri: str, suite: Suite) -> None:
        self.name = target_name(uri) if ":" in uri else uri
        self._client = client_of(uri)
        self._suite = suite
        self._prefix = f"mlquery-{uuid.uuid4().hex[:10]}-"
        self._created: list[NamespacedClient] = []
        self._fixtures: dict[str, _Fixture | FixtureError] = {}
        self._require_response()
        self.has_registry = serves_registry(self._client)
        self.product, self.version = "MLflow", mlflow.__version__
        if uri.startswith("http"):
            self.product, self.version = "server", _server_version(uri)

    def _require_response(self) -> None:
        try:
            self._client.search_experiments(max_results=1)
        except Exception as error:
            raise StoreError(f"{self.name} does not respond: {first_line(error)}", "INTERNAL_ERROR") from error

    @contextmanager
    def session(self, case: Case) -> Iterator[Session]:
        """Give a session; what a case with calls creates is deleted after it."""
        if not case.calls:
            fixture = self._fixture(case.store)
            yield self._namespaced(fixture)
            return
        fixture = self._create(case.store)
        time.sleep(_PAUSE)
        try:
            yield self._namespaced(fixture)
        finally:
            self._created.remove(fixture.client)
            _clean(self._client, fixture.client)

    def refused(self, store: str) -> dict[str, str]:
        """Return the experiments of a store that cannot be created on the target, and why."""
        return self._fixture(store).refused

    def values_read_back(self, store: str) -> dict[str, Described]:
        """Return the values that every run of a store has when it is read back."""
        fixture = self._fixture(store)
        fixture.values = fixture.values or read_back(self._suite.stores[store], self._client, fixture.ids)
        return fixture.values

    def _namespaced(self, fixture: _Fixture) -> NamespacedSession:
        ids = dict(fixture.ids)
        return NamespacedSession(MlflowSession(self._client, ids), fixture.client, ids)

    def _fixture(self, store: str) -> _Fixture:
        if store not in self._fixtures:
            try:
                self._fixtures[store] = self._create(store)
            except FixtureError as error:
                self._fixtures[store] = error
        fixture = self._fixtures[store]
        if isinstance(fixture, FixtureError):
            raise fixture
        return fixture

    def _create(self, store: str) -> _Fixture:
        client = NamespacedClient(
            self._client, f"{self._prefix}{len(self._created) + len(self._fixtures)}-{uuid.uuid4().hex[:4]}-"
        )
        self._created.append(client)
        refused: dict[str, str] = {}
        try:
            ids = put(self._suite.stores[store], client, mlflow.entities, lambda _: time.sleep(_PAUSE), refused)
        except Exception as error:
            raise FixtureError(f"the store {store} cannot be created: {first_line(error)}") from error
        return _Fixture(client, ids, refused)

    def close(self) -> None:
        """Delete the experiments and models of the suite."""
        for client in self._created:
            _clean(self._client, client)
        self._created.clear()


def _server_version(uri: str) -> str:
    """Return the version of a server, empty if it does not report one."""
    try:
        response = requests.get(f"{uri.rstrip('/')}/version", timeout=_GRACE_SECONDS)
    except requests.RequestException:
        return ""
    version = response.text.strip()
    return version if response.ok and len(version) < 40 and "<" not in version else ""


def _clean(client: Any, created: NamespacedClient) -> None:
    """Delete what a client created, permanently if the store can; a failure does not stop the rest."""
    for run_id in created.with_artifacts:
        with suppress(Exception):
            client._tracking_client._get_artifact_repo(run_id).delete_artifacts()
    for name in dict.fromkeys(created.models):
        with suppress(Exception):
            client._get_registry_client().store.delete_registered_model(name)  # the client refuses prompts
    for experiment_id in created.experiments:
        with suppress(Exception):
            if client.get_experiment(experiment_id).lifecycle_stage == "active":
                client.delete_experiment(experiment_id)
    store = client._tracking_client.store
    if not hasattr(store, "_hard_delete_experiment"):
        return  # a server over HTTP keeps what is deleted until `mlflow gc` runs there
    for run_id in created.runs:
        with suppress(Exception):
            store._hard_delete_run(run_id)
    for experiment_id in created.experiments:
        with suppress(Exception):
            store._hard_delete_experiment(experiment_id)
