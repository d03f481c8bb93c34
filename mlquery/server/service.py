"""What HTTP needs of the service: a backend to call, its first contents, how JSON is written, and warnings by request.

What calls do, and what a dialect changes about them, is decided in the backend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from copy import copy
from typing import Any, Final

from mlquery.backend import Backend
from mlquery.backend.in_place import InPlaceBackend
from mlquery.errors import NOT_IMPLEMENTED, Diagnostic, StoreError
from mlquery.language.matrix import DEFAULT_DIALECT, MATRIX
from mlquery.query.sources import Source
from mlquery.server.locations import ARTIFACT_ROOT, Locations
from mlquery.store import Store

_warnings: Final[ContextVar[list[str]]] = ContextVar("warnings of the request that is being answered")


class Service:
    """A backend behind the REST API.

    Attributes:
        backend: What is served now; a reset replaces it.
        answers: How the endpoint of the dialect answers, apart from queries; empty for MLflow's own ways.
        integer: Makes of an integer of 64 bits what JSON shows.
        locations: How the locations of artifacts are written.
        is_in_place: Whether a database is searched where it is: there is no store, and calls take time.
    """

    def __init__(self, backend: Backend | InPlaceBackend) -> None:
        served: Any = backend  # both have all calls; one of them refuses some
        self.backend: Backend = served
        self.answers: Mapping[str, Any] = backend.dialect.service
        self.integer: Callable[[int], int | str] = str if self.answers.get("integers") == "string" else int
        self.locations = Locations()
        self.is_in_place = backend.is_in_place
        self._initial = None if self.is_in_place else self.backend.clone()

    @property
    def store(self) -> Store:
        """Return the store that is served now.

        Raises:
            StoreError: a database is searched in place.
        """
        return self.backend.store

    def of_workspace(self, host: str, path: str) -> Service:
        """Return this service as a workspace below a path shows it, for one request."""
        seen = copy(self)
        seen.locations = Locations(f"{self.answers['schemes'][0]}://{host}{path}")
        return seen

    @property
    def workspace_path(self) -> str:
        """Return the path of a workspace of no name in particular; "" if the dialect has none."""
        mount = next(iter(self.answers.get("mounts", ())), "")
        scope: str = self.answers.get("scope", "")
        return mount + scope.format(subscription="s", group="g", workspace="w")

    def environment(self, url: str, token: str | None) -> dict[str, str]:
        """Return the variables with which a client of the dialect comes to the server at a URL."""
        schemes = self.answers.get("schemes")
        if not schemes:
            return {}
        variables: dict[str, str] = self.answers.get("environment", {})
        filled = {name: value.format(url=url, token=token or "any") for name, value in variables.items()}
        return {"MLFLOW_TRACKING_URI": f"{schemes[0]}://{url.partition('//')[2]}{self.workspace_path}"} | filled

    @property
    def may_wait(self) -> bool:
        """Tell whether calls may take long whatever they do: for a database, a disk, or as a test has asked for it."""
        return self.is_in_place or self.store.is_on_disk or bool(self.backend.faults.latency)

    @contextmanager
    def locked_at_once(self) -> Iterator[bool]:
        """Hold the locks of the store and its registry, unless another thread has one; tell whether they are held."""
        with ExitStack() as held:
            yield _is_locked(held, self.store.lock) and _is_locked(held, self.backend.registry.lock)

    def show(self, store: Store) -> None:
        """Serve another store, with its registered models, until the next reset."""
        self.backend = Backend(store, None, self.backend.dialect, self.backend.on_warning)

    def reset(self) -> None:
        """Go back to the contents that the server was started with.

        Raises:
            StoreError: a database is searched in place.
        """
        if self._initial is None:
            message = "a database that is searched in place is not reset; instead: serve without --in-place"
            raise StoreError(message, NOT_IMPLEMENTED)
        self.backend = self._initial.clone()


def _is_locked(held: ExitStack, lock: Any) -> bool:
    is_locked: bool = lock.acquire(blocking=False)
    if is_locked:
        held.callback(lock.release)
    return is_locked


def collect_warnings() -> list[str]:
    """Return the list that will hold the warnings of the request that this task answers."""
    warnings: list[str] = []
    _warnings.set(warnings)
    return warnings


def _add_warnings(diagnostics: Iterable[Diagnostic]) -> None:
    """Add to the warnings of the request that is being answered, in this thread or another one."""
    warnings = _warnings.get(None)
    if warnings is not None:  # else the call was not made for a request
        warnings += [str(one).partition("\n")[0] for one in diagnostics]


def new_store(dialect: str = DEFAULT_DIALECT) -> Store:
    """Return an empty store with the ids of a dialect, whose artifacts go through the server."""
    return Store(artifact_root=ARTIFACT_ROOT, guid_ids=MATRIX.dialect(dialect).behaves("id.guid"))


def new_service(store: Store | None = None, dialect: str = DEFAULT_DIALECT) -> Service:
    """Return a service; without a store it has a new one.

    Raises:
        ValueError: there is no dialect of that name.
    """
    return Service(Backend(new_store(dialect) if store is None else store, None, dialect, _add_warnings))


def service_in_place(source: Source, dialect: str = DEFAULT_DIALECT) -> Service:
    """Return a service over what is searched in place.

    Raises:
        ValueError: there is no dialect of that name.
    """
    return Service(InPlaceBackend(source, dialect, _add_warnings))
