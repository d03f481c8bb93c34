"""Somebody else's MLflow server as a target: everything behind a prefix that is used once, and deleted in the end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import attrs
import mlflow
import requests

from mlquery.conformance.applicability import FOREIGN
from mlquery.conformance.execution import Session
from mlquery.conformance.fixtures import put
from mlquery.conformance.mlflow_session import MlflowSession, first_line, serves_registry
from mlquery.conformance.namespacing import Guest, GuestClient
from mlquery.conformance.readback import Described, read_back
from mlquery.conformance.suite import Case, Suite
from mlquery.errors import StoreError
from mlquery.sync.mlflow_source import client_of
from mlquery.sync.source import target_name

_PAUSE = 0.002  # s; so that a clock that counts milliseconds tells apart what is made one after the other
_PATIENCE = 10.0  # s


class FixtureError(Exception):
    """A store of the suite cannot be made on the target; the text says what failed."""


@attrs.define
class _Visit:
    """The contents of one store on somebody else's server, behind one prefix."""

    client: GuestClient
    ids: dict[str, str]
    refused: dict[str, str]
    values: dict[str, Described] = attrs.field(factory=dict)


class Foreign:
    """A server, a database or a folder that belongs to somebody."""

    conditions = FOREIGN

    def __init__(self, uri: str, suite: Suite) -> None:
        self.name = target_name(uri) if ":" in uri else uri
        self._client = client_of(uri)
        self._suite = suite
        self._prefix = f"mlquery-{uuid.uuid4().hex[:10]}-"
        self._made: list[GuestClient] = []
        self._visits: dict[str, _Visit | FixtureError] = {}
        self._ask_once()
        self.has_registry = serves_registry(self._client)
        self.product, self.version = "MLflow", mlflow.__version__
        if uri.startswith("http"):
            self.product, self.version = "server", _told_version(uri)

    def _ask_once(self) -> None:
        try:
            self._client.search_experiments(max_results=1)
        except Exception as error:
            raise StoreError(f"{self.name} cannot be asked: {first_line(error)}", "INTERNAL_ERROR") from error

    @contextmanager
    def session(self, case: Case) -> Iterator[Session]:
        """Give a session; what a case with calls leaves is deleted when it is over."""
        if not case.calls:
            visit = self._visit(case.store)
            yield self._guest(visit)
            return
        visit = self._make(case.store)
        time.sleep(_PAUSE)
        try:
            yield self._guest(visit)
        finally:
            self._made.remove(visit.client)
            _clean(self._client, visit.client)

    def refused(self, store: str) -> dict[str, str]:
        """Return the experiments of a store that cannot be made on the target, and why."""
        return self._visit(store).refused

    def kept(self, store: str) -> dict[str, Described]:
        """Return what every run of a store reads back as."""
        visit = self._visit(store)
        visit.values = visit.values or read_back(self._suite.stores[store], self._client, visit.ids)
        return visit.values

    def _guest(self, visit: _Visit) -> Guest:
        ids = dict(visit.ids)
        return Guest(MlflowSession(self._client, ids), visit.client, ids)

    def _visit(self, store: str) -> _Visit:
        if store not in self._visits:
            try:
                self._visits[store] = self._make(store)
            except FixtureError as unmade:
                self._visits[store] = unmade
        visit = self._visits[store]
        if isinstance(visit, FixtureError):
            raise visit
        return visit

    def _make(self, store: str) -> _Visit:
        client = GuestClient(
            self._client, f"{self._prefix}{len(self._made) + len(self._visits)}-{uuid.uuid4().hex[:4]}-"
        )
        self._made.append(client)
        refused: dict[str, str] = {}
        try:
            ids = put(self._suite.stores[store], client, mlflow.entities, lambda _: time.sleep(_PAUSE), refused)
        except Exception as error:
            raise FixtureError(f"the store {store} cannot be made: {first_line(error)}") from error
        return _Visit(client, ids, refused)

    def close(self) -> None:
        """Delete our experiments and models."""
        for client in self._made:
            _clean(self._client, client)
        self._made.clear()


def _told_version(uri: str) -> str:
    """Return what a server calls its version, empty if it does not say."""
    try:
        answer = requests.get(f"{uri.rstrip('/')}/version", timeout=_PATIENCE)
    except requests.RequestException:
        return ""
    text = answer.text.strip()
    return text if answer.ok and len(text) < 40 and "<" not in text else ""


def _clean(client: Any, made: GuestClient) -> None:
    """Delete what a guest made, for good where the store can; a failure leaves the rest to be deleted all the same."""
    for run_id in made.with_artifacts:
        with suppress(Exception):
            client._tracking_client._get_artifact_repo(run_id).delete_artifacts()
    for name in dict.fromkeys(made.models):
        with suppress(Exception):
            client._get_registry_client().store.delete_registered_model(name)  # the client spares prompts
    for experiment_id in made.experiments:
        with suppress(Exception):
            if client.get_experiment(experiment_id).lifecycle_stage == "active":
                client.delete_experiment(experiment_id)
    store = client._tracking_client.store
    if not hasattr(store, "_hard_delete_experiment"):
        return  # a server over HTTP keeps what is deleted until its owner collects it with `mlflow gc`
    for run_id in made.runs:
        with suppress(Exception):
            store._hard_delete_run(run_id)
    for experiment_id in made.experiments:
        with suppress(Exception):
            store._hard_delete_experiment(experiment_id)
