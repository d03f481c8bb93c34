"""What the fluent functions share: the client, the active experiment and, in every thread, the stack of active runs.

It keeps and resolves this state; what a run or a search is, only the client knows.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from mlquery.backend.remote import RemoteBackend, parent_backend
from mlquery.client import Client
from mlquery.errors import StoreError, invalid_parameter
from mlquery.store import Store


class _PerThread(threading.local):
    """The part of a session that every thread has for itself."""

    def __init__(self) -> None:
        self.active_runs: list[Any] = []  # of ActiveRun
        self.last_run_id: str | None = None
        self.last_model_id: str | None = None


class Session:
    """The state behind the fluent functions, from one `use` to the next."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.experiment_id: str | None = None
        self.thread = _PerThread()
        self.experiment_lock = threading.Lock()


_session: Session | None = None
_lock = threading.Lock()


def session() -> Session:
    """Return the session of this process, made with a new, empty store if `use` was not called before.

    In a process that a test under `mlquery.mock` has started, it is made with the store of that test.
    """
    global _session
    if _session is None:
        with _lock:
            _session = _session or Session(_client_of(parent_backend()))
    return _session


def lead_to(backend: RemoteBackend) -> Session:
    """Let the fluent functions work on a backend in another process, in the same experiment, and return the session."""
    global _session
    new = Session(_client_of(backend))
    if _session is not None:
        new.experiment_id = _session.experiment_id
    _session = new
    return new


def _client_of(backend: RemoteBackend | None) -> Client:
    client = Client()
    if backend is not None:
        client.backend = backend  # type: ignore[assignment]  # it has the same calls
    return client


def use(target: Store | Client | None = None, dialect: str | None = None) -> Client:
    """Let the fluent functions work on a store or client from now on, and return that client.

    The active experiment and all active runs are forgotten; they belong to the store that was in use before.

    Args:
        target: A store, a client, or nothing for a new, empty store.
        dialect: The dialect to speak; by default that of the client, or `oss` where no client is given.

    Raises:
        ValueError: There is no dialect of that name.
    """
    global _session
    if isinstance(target, Client):
        client = target
        if dialect not in (None, target.dialect):
            client = Client(target.store, dialect or target.dialect, registry=target.backend.registry)
    else:
        client = Client(target) if dialect is None else Client(target, dialect)
    _session = Session(client)
    return client


def swap(new: Session | None) -> Session | None:
    """Let the fluent functions work in another session and return the one they worked in, None if there was none."""
    global _session
    before, _session = _session, new
    return before


def client() -> Client:
    """Return the client that the fluent functions call."""
    return session().client


def experiment_id() -> str:
    """Return the id of the active experiment: the one that was set, that of the environment, or the default one."""
    return session().experiment_id or _experiment_id_of_environment() or client().store.default_experiment_id


def _experiment_id_of_environment() -> str | None:
    """Return what MLFLOW_EXPERIMENT_NAME and MLFLOW_EXPERIMENT_ID name; a missing name is created."""
    name, given_id = os.environ.get("MLFLOW_EXPERIMENT_NAME"), os.environ.get("MLFLOW_EXPERIMENT_ID")
    if name is not None:
        experiment = client().get_experiment_by_name(name)
        if experiment is None:
            return client().create_experiment(name)
        if given_id and given_id != experiment.experiment_id:
            raise invalid_parameter(
                f"The provided MLFLOW_EXPERIMENT_ID environment variable value `{given_id}` does not match the "
                f"experiment id `{experiment.experiment_id}` for experiment name `{name}`"
            )
        return experiment.experiment_id
    if given_id is None:
        return None
    try:
        return client().get_experiment(given_id).experiment_id
    except StoreError as error:
        raise invalid_parameter(
            f"The provided MLFLOW_EXPERIMENT_ID environment variable value `{given_id}` does not exist in the "
            "tracking server. Provide a valid experiment_id."
        ) from error
