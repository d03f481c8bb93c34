"""Turns tracking URIs into the stores they name. It must not know MLflow: only what the process has open.

- `mlquery://` is the private store of the process, made at first use; `put_private` replaces it for a time (a mock
  does) and `mlquery://` then means that one, whatever its dialect.
- `mlquery://NAME` is the store of that name, made at first use and shared by everyone in the process.
- `mlquery:///path/to/folder` is the store on disk in that folder, made at first use; `?durability=fast` syncs it every
  second instead of at each call.
- `?dialect=azure` says how a store that is not there yet shall answer. A name has one store and a store one dialect: a
  URI without a dialect takes what is there, one that asks for another dialect is refused. Only the private store exists
  once per dialect.

MLflow keeps a store object per URI for the life of the process, so those objects hold a URI and ask here at each call.
"""

from __future__ import annotations

import os
import sys
from itertools import count
from threading import RLock
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import attrs

from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.language.matrix import DEFAULT_DIALECT, MATRIX, Dialect
from mlquery.mlflow_plugin.schemes import ARTIFACT_SCHEME, SCHEME
from mlquery.store import Store
from mlquery.store.faults import Faults
from mlquery.store.limits import Limits

_PRIVATE = "private-"


@attrs.define(eq=False)
class State:
    """All that stands behind a URI.

    Attributes:
        store: Experiments, runs, artifacts.
        dialect: The name of the dialect in which it answers.
        registry: Registered models; made by `mlquery.mlflow_plugin.registry` at first use, None until then.
        column: The dialect itself, a column of the support matrix.
        limits: What the dialect lets a write hold.
    """

    store: Store
    dialect: str = DEFAULT_DIALECT
    registry: Any = None
    column: Dialect = attrs.field(init=False)
    limits: Limits = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.column = MATRIX.dialect(self.dialect)
        self.dialect = self.column.name
        self.limits = Limits(**self.column.enforced_limits)

    @property
    def faults(self) -> Faults:
        """Return what a test wants to go wrong."""
        return self.store.faults

    def clone(self) -> State:
        """Return an independent copy of store and registry, without faults."""
        with self.store.lock:
            registry = None if self.registry is None else self.registry.clone()
            return State(self.store.clone(), self.dialect, registry)


_lock = RLock()
_states: dict[str, State] = {}  # by name; the private ones by "?" and their dialect
_by_uri: dict[str, State] = {}  # what a URI was resolved to, to be quick
_private: State | None = None
_numbers = count(1)


def store_for(uri: str) -> State:
    """Return what a URI names, made now if it is not there yet.

    Raises:
        StoreError: INVALID_PARAMETER_VALUE for a URI that is none of ours or that asks for a dialect that the store
            does not have; RESOURCE_DOES_NOT_EXIST for a private store that is gone.
    """
    state = _by_uri.get(uri)
    if state is None:
        with _lock:
            state = _by_uri[uri] = _resolved(_parts(uri))
    return state


def new_private(dialect: str = DEFAULT_DIALECT, store: Store | None = None, state: State | None = None) -> str:
    """Register a store that nobody else can name and return its URI; `forget` it when it is done.

    Args:
        dialect: How it answers.
        store: What is in it; a new, empty store by default.
        state: Both and a registry at once, in place of the two.
    """
    new = state or new_state(dialect, store)
    with _lock:
        name = f"{_PRIVATE}{next(_numbers)}"
        _states[name] = new
        _forget_repositories()
        return f"{SCHEME}://{name}" + ("" if new.dialect == DEFAULT_DIALECT else f"?dialect={quote(new.dialect)}")


def new_state(dialect: str = DEFAULT_DIALECT, store: Store | None = None, name: str = "") -> State:
    """Return a state that no URI means yet.

    Args:
        dialect: How it answers.
        store: What is in it; by default a new, empty store with the ids of the dialect.
        name: The name under which others will find its artifacts, for a store that is shared.
    """
    column = MATRIX.dialect(dialect)
    if store is None:
        root = f"{ARTIFACT_SCHEME}://{quote(name)}/" if name else f"{ARTIFACT_SCHEME}:"
        store = Store(guid_ids=column.behaves("id.guid"), artifact_root=root)
    return State(store, column.name)


def put_private(state: State | None) -> State | None:
    """Make `mlquery://` mean this state, or again the process's own with None; return what it was before."""
    global _private
    with _lock:
        before, _private = _private, state
        _by_uri.clear()
        _forget_repositories()
        return before


def replacement() -> State | None:
    """Return what stands in the place of all servers for a time, None while nothing does."""
    return _private


def forget(uri: str) -> None:
    """Drop a store from memory, as far as URIs hold it, and close one on disk; nothing happens if it is not there."""
    name = _parts(uri).name
    with _lock:
        _close(_states.pop(name, None))
        _by_uri.clear()
        _forget_repositories()


def reset() -> None:
    """Drop all stores of the process, shared and private."""
    with _lock:
        for state in _states.values():
            _close(state)
        _states.clear()
        put_private(None)


def _close(state: State | None) -> None:
    close = getattr(state and state.store, "close", None)  # what a store on disk has
    if close is not None:
        close()


@attrs.frozen
class _Parts:
    """What a URI says: the name, which starts with a slash if it is a folder, and the options that are given."""

    name: str
    dialect: str | None
    durability: str | None


def _resolved(parts: _Parts) -> State:
    name, dialect = parts.name, parts.dialect
    if not name and _private is not None and dialect in (None, _private.dialect):
        return _private
    key = name or f"?{dialect or DEFAULT_DIALECT}"
    state = _states.get(key)
    if state is None:
        if name.startswith(_PRIVATE):
            raise StoreError(f"The private store {SCHEME}://{name} is gone", RESOURCE_DOES_NOT_EXIST)
        state = _states[key] = (
            _on_disk(parts) if name.startswith("/") else new_state(dialect or DEFAULT_DIALECT, name=name)
        )
    if dialect not in (None, state.dialect):
        raise invalid_parameter(
            f"The store {SCHEME}://{name} answers in dialect '{state.dialect}', not '{dialect}': "
            "take another name, or leave the dialect out"
        )
    return state


def _on_disk(parts: _Parts) -> State:
    from mlquery.durable.opening import open as open_store

    durability: Any = parts.durability or "commit"
    store = open_store(parts.name, durability, dialect=parts.dialect or DEFAULT_DIALECT)
    return State(store, store.dialect)


def _parts(uri: str) -> _Parts:
    """Return what a URI says."""
    scheme, _, rest = uri.partition(":")
    if scheme != SCHEME:
        raise invalid_parameter(f"Invalid tracking URI '{uri}': it must start with '{SCHEME}://'")
    path, _, query = rest.partition("?")
    is_folder = path.startswith("///") and path.strip("/") != ""
    options = dict(parse_qsl(query, keep_blank_values=True))
    dialect = options.pop("dialect", None)
    durability = options.pop("durability", None) if is_folder else None
    if options:
        raise invalid_parameter(f"Invalid tracking URI '{uri}': the only option is 'dialect', not {sorted(options)}")
    if dialect is not None:
        dialect = _column(dialect, uri)
    name = unquote(path.strip("/"))
    return _Parts(os.path.normpath(f"/{name}") if is_folder else name, dialect, durability)


def _column(dialect: str, uri: str) -> str:
    try:
        return MATRIX.dialect(dialect).name
    except ValueError as error:
        raise invalid_parameter(f"Invalid tracking URI '{uri}': {error}") from None


def _forget_repositories() -> None:
    """Empty MLflow's cache of artifact repositories: it goes by run id, and seeded ids repeat from store to store."""
    utils = sys.modules.get("mlflow.tracking._tracking_service.utils")
    if utils is not None:
        utils._artifact_repos_cache.clear()
