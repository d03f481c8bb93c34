"""Turns tracking URIs into backends: stores and registries that answer in one dialect. MLflow is not needed here.

- `mlquery://` is the private store of the process, made at first use; `put_private` replaces it for a time (a mock
  does) and `mlquery://` then means that one, whatever its dialect.
- `mlquery://NAME` is the store of that name, made at first use and shared by the whole process.
- `mlquery:///path/to/folder` is the store on disk in that folder below the present one, made at first use, and
  `mlquery:////path/to/folder` one at an absolute path; `?durability=fast` syncs it every second instead of at each
  call, `?read_only=true` opens it for reading only. A NAME that looks like a file is refused: such a store would be in
  memory.
- `mlquery:in-place` is what the variable MLQUERY_IN_PLACE names, a database such as `postgresql://…`: it is searched
  where it is, and only read. Its address is not in the URI because it may hold a password.
- `?dialect=azure` says in which dialect a new store answers. A name has one store and a store one dialect: a URI
  without a dialect takes the store that exists, one with another dialect is refused. Only the private store exists once
  per dialect.

MLflow keeps a store object per URI for the life of the process; these objects hold a URI and look it up in each call.
"""

from __future__ import annotations

import os
import re
import sys
from difflib import get_close_matches
from itertools import count
from threading import RLock
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote

import attrs

from mlquery.backend import Backend
from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.language.matrix import DEFAULT_DIALECT, MATRIX
from mlquery.mlflow_plugin.schemes import ARTIFACT_SCHEME, IN_PLACE, IN_PLACE_VARIABLE, SCHEME
from mlquery.store import Store

_ENDING: Final = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,6}$")
_PRIVATE = "private-"
_IN_PLACE = ":in-place"

_lock = RLock()
_backends: dict[str, Backend] = {}  # by name; the private ones by "?" and their dialect
_folders: dict[str, str] = {}  # by URI, as the present folder may change
_by_uri: dict[str, Backend] = {}  # what a URI was resolved to, to be quick
_private: Backend | None = None
_numbers = count(1)


def store_for(uri: str) -> Backend:
    """Return the backend that a URI names, made now if it does not exist yet.

    Raises:
        StoreError: INVALID_PARAMETER_VALUE for a URI of another scheme or one with a dialect that the store does not
            have; RESOURCE_DOES_NOT_EXIST for a private store that is gone.
    """
    backend = _by_uri.get(uri)
    if backend is None:
        with _lock:
            backend = _by_uri[uri] = _resolved(_parts(uri))
    return backend


def new_private(backend: Backend | None = None) -> str:
    """Register a backend, by default a new one, under a new name and return its URI; `forget` it when it is done."""
    new = backend or new_backend()
    with _lock:
        name = f"{_PRIVATE}{next(_numbers)}"
        _backends[name] = new
        _forget_repositories()
        dialect = new.dialect.name
        return f"{SCHEME}://{name}" + ("" if dialect == DEFAULT_DIALECT else f"?dialect={quote(dialect)}")


def new_backend(dialect: str = DEFAULT_DIALECT, store: Store | None = None, name: str = "") -> Backend:
    """Return a backend that has no URI yet.

    Args:
        dialect: The dialect in which it answers.
        store: Its contents; by default a new, empty store with the ids of the dialect.
        name: The name by which its artifacts are found, for a store that is shared.
    """
    column = MATRIX.dialect(dialect)
    if store is None:
        root = f"{ARTIFACT_SCHEME}://{quote(name)}/" if name else f"{ARTIFACT_SCHEME}:"
        store = Store(guid_ids=column.behaves("id.guid"), artifact_root=root)
    return Backend(store, dialect=column)


def put_private(backend: Backend | None) -> Backend | None:
    """Make `mlquery://` mean this backend, or with None the process's own again; return what it was before."""
    global _private
    with _lock:
        before, _private = _private, backend
        _by_uri.clear()
        _forget_repositories()
        return before


def replacement() -> Backend | None:
    """Return the backend that a mock has put in the place of all servers, None while there is none."""
    return _private


def forget(uri: str) -> None:
    """Drop a store from memory, as far as URIs hold it, and close one on disk; do nothing if there is none."""
    key = _parts(uri).key
    with _lock:
        _close(_backends.pop(key, None))
        _by_uri.clear()
        _forget_repositories()


def reset() -> None:
    """Drop all stores of the process, shared and private."""
    with _lock:
        for backend in _backends.values():
            _close(backend)
        _backends.clear()
        _folders.clear()
        put_private(None)


def _close(backend: Backend | None) -> None:
    if backend is not None and backend.is_in_place:
        in_place: Any = backend
        in_place.source.close()
    elif backend is not None and backend.store.is_on_disk:
        store: Any = backend.store
        store.close()


@attrs.frozen
class _Parts:
    """What a URI says: the name, which is an absolute path if it is a folder, and the options that are given."""

    name: str
    is_folder: bool = False
    dialect: str | None = None
    durability: str | None = None
    is_read_only: bool = False

    @property
    def key(self) -> str:
        """Return under which key the backend is kept."""
        if self.is_read_only:
            return f"{self.name}?read_only"
        return self.name or f"?{self.dialect or DEFAULT_DIALECT}"


def _resolved(parts: _Parts) -> Backend:
    name, dialect = parts.name, parts.dialect
    if not name and _private is not None and dialect in (None, _private.dialect.name):
        return _private
    backend = _backends.get(parts.key)
    if backend is None:
        if name.startswith(_PRIVATE):
            raise StoreError(f"The private store {SCHEME}://{name} is gone", RESOURCE_DOES_NOT_EXIST)
        backend = _backends[parts.key] = _new(parts)
    if dialect not in (None, backend.dialect.name):
        raise invalid_parameter(
            f"The store {SCHEME}://{name} answers in dialect '{backend.dialect.name}', not '{dialect}': "
            "take another name, or leave the dialect out"
        )
    return backend


def _new(parts: _Parts) -> Backend:
    if parts.name == _IN_PLACE:
        return _in_place(parts)
    if parts.is_folder:
        return _on_disk(parts)
    return new_backend(parts.dialect or DEFAULT_DIALECT, name=parts.name)


def _in_place(parts: _Parts) -> Backend:
    from mlquery.backend.in_place import InPlaceBackend
    from mlquery.remote.opening import open_anywhere

    address = os.environ.get(IN_PLACE_VARIABLE)
    if not address:
        raise invalid_parameter(f"{IN_PLACE} is what {IN_PLACE_VARIABLE} names, such as postgresql://…; it is not set")
    backend: Any = InPlaceBackend(open_anywhere(address), parts.dialect or DEFAULT_DIALECT)
    found: Backend = backend
    return found


def _on_disk(parts: _Parts) -> Backend:
    from mlquery.durable.opening import open_as_possible

    durability: Any = parts.durability or "commit"
    dialect = parts.dialect or DEFAULT_DIALECT
    store = open_as_possible(parts.name, durability, read_only=parts.is_read_only, dialect=dialect)
    return new_backend(store.dialect, store)


def _parts(uri: str) -> _Parts:
    scheme, _, rest = uri.partition(":")
    if scheme != SCHEME:
        raise invalid_parameter(f"Invalid tracking URI '{uri}': it must start with '{SCHEME}://'")
    path, _, query = rest.partition("?")
    is_folder = path.startswith("///") and path.strip("/") != ""
    options = _options(uri, query, is_folder)
    if is_folder:
        name = _folder(uri)
    else:
        name = _IN_PLACE if path == "in-place" else unquote(path.strip("/"))
        _require_name(uri, path, name)
    return _Parts(name, is_folder, *options)


def _folder(uri: str) -> str:
    from mlquery.durable.locations import folder_of

    if uri not in _folders:
        _folders[uri] = str(folder_of(uri))
    return _folders[uri]


def _require_name(uri: str, path: str, name: str) -> None:
    """Raise for what is meant to be a folder: such a store in memory would be lost."""
    is_file = "/" in name or name.startswith((".", "~")) or (path.startswith("/") and not path.startswith("//"))
    if is_file or _ENDING.search(name) or os.path.isfile(os.path.join(name, "journal.db")):
        absolute = path.startswith("/") and not path.startswith("//")
        meant = f"{SCHEME}:///{'/' * absolute}{name.removeprefix('./')}"
        raise invalid_parameter(
            f"Invalid tracking URI '{uri}': it names a store in memory, which is lost when the process ends, and looks "
            f"like a file; write '{meant}' for a store on disk (three slashes and a relative path, or four and an "
            "absolute one), or a name without slashes and endings for one in memory"
        )


def _options(uri: str, query: str, is_folder: bool) -> tuple[str | None, str | None, bool]:
    """Return dialect, durability, and whether nothing may be written."""
    options = dict(parse_qsl(query, keep_blank_values=True))
    known = ("dialect", "durability", "read_only") if is_folder else ("dialect",)
    for option in options:
        if option not in known:
            raise invalid_parameter(f"Invalid tracking URI '{uri}': {_unknown(option, known)}")
    dialect, read_only = options.get("dialect"), options.get("read_only", "false").lower()
    if dialect is not None:
        try:
            dialect = MATRIX.dialect(dialect).name
        except ValueError as error:
            raise invalid_parameter(f"Invalid tracking URI '{uri}': {error}") from None
    if read_only not in ("true", "false"):
        raise invalid_parameter(f"Invalid tracking URI '{uri}': read_only is 'true' or 'false', not {read_only!r}")
    return dialect, options.get("durability"), read_only == "true"


def _unknown(option: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(option, known, 1)
    guess = f"; did you mean {close[0]!r}?" if close else ""
    if len(known) == 1:
        return f"the only option is {known[0]!r}, not {option!r}{guess}"
    return f"there is no option {option!r}{guess}{';' * (not close)} the options are {', '.join(map(repr, known))}"


def _forget_repositories() -> None:
    """Empty MLflow's cache of artifact repositories: it goes by run id, and seeded ids repeat from store to store."""
    utils = sys.modules.get("mlflow.tracking._tracking_service.utils")
    if utils is not None and hasattr(utils, "_artifact_repos_cache"):  # else MLflow is just being imported
        utils._artifact_repos_cache.clear()
