"""The mock itself: it makes a backend, puts it in the place of MLflow's servers, and ends with everything as it was.

Only `mlflow_state` handles what is global in MLflow; it is imported, and MLflow with it, at the first start.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast

import attrs

from mlquery.backend import Backend
from mlquery.backend.logging import TRACES_ARE_NOT_KEPT
from mlquery.client import Client
from mlquery.entities import RunStatus
from mlquery.errors import StoreError
from mlquery.fluent import session
from mlquery.language.matrix import DEFAULT_DIALECT, MATRIX
from mlquery.mlflow_plugin import uris
from mlquery.mlflow_plugin.releases import supported_mlflow
from mlquery.mocking import children
from mlquery.mocking.artifact_files import put_on_disk, take_from_disk
from mlquery.mocking.children import lock as _lock
from mlquery.mocking.clock import Clock
from mlquery.mocking.decorators import decorated
from mlquery.mocking.reports import unused_faults, warn
from mlquery.mocking.whereabouts import hint
from mlquery.store import Store

if TYPE_CHECKING:
    from mlquery.mocking.mlflow_settings import Settings
    from mlquery.mocking.mlflow_state import Globals

Target = TypeVar("Target", bound=Callable[..., Any])

_MISSING: Final = (
    "mlquery.mock stands in for the servers behind `import mlflow`, and MLflow is not installed: "
    "pip install 'mlquery[mlflow]'. Code that does without MLflow can use mlquery.Client or mlquery.fluent."
)
_active: Final[list[Mock]] = []
_LEFT: Final = "_left_by_mock"  # the attribute of a store with what the last mock has left there
IN_MEMORY, ON_DISK = "memory", "tmp"  # where artifacts may be


class Mock:
    """A store in the place of MLflow's servers, from `start` to `stop`; see `mlquery.mock` for the arguments.

    Once started, and after it has ended too, it has `store`, `client` and `clock`. It can be started again, with a new
    store, and used as a decorator any number of times; each call of what it decorates has a store of its own.
    """

    has_outside = True  # whether something may have been logged before it started

    def __init__(
        self,
        dialect: str | None = None,
        seed: int | None = None,
        clock: Callable[[], int] | int | None = None,
        store: Store | Mock | None = None,
        *,
        clone: bool = True,
        passthrough: tuple[str, ...] = (),
        artifacts: str = "memory",
        environment: bool = True,
    ) -> None:
        if not _has_mlflow():
            raise ImportError(_MISSING, name="mlflow")
        self._dialect = None if dialect is None else MATRIX.dialect(dialect).name
        self._seed, self._clock, self._origin, self._clones = seed, clock, store, clone
        self._passthrough, self._artifacts, self._environment = passthrough, _checked(artifacts), environment
        self._folder: Path | None = None
        self._backend: Backend | None = None
        self._before: _Before | None = None
        self._about: Callable[..., Any] | None = None

    def __repr__(self) -> str:
        return f"<Mock: {'active' if self.is_active else 'not active'}, {self._backend and self._backend.store!r}>"

    @property
    def is_active(self) -> bool:
        """Whether MLflow's calls come here, or will again when the mocks inside this one have ended."""
        return self._before is not None

    @property
    def backend(self) -> Backend:
        """The store, its registry and the dialect in which they answer."""
        if self._backend is None:
            raise RuntimeError("this mock has not been started: use it in a `with` statement, or call start()")
        return self._backend

    @property
    def dialect(self) -> str:
        """The name of the dialect in which the store answers."""
        return self.backend.dialect.name

    @property
    def artifacts(self) -> str:
        """Where artifacts are, "memory" or "tmp"."""
        return self._artifacts

    @property
    def store(self) -> Store:
        """The store that everything leads to; faults are set here."""
        return self.backend.store

    @property
    def client(self) -> Client:
        """A client of that store and its registry, which needs no MLflow."""
        return Client(self.store, self.backend.dialect)

    @property
    def clock(self) -> Clock:
        """The clock by which MLflow and the store tell the time."""
        clock = self.store.clock
        assert isinstance(clock, Clock)
        return clock

    def start(self) -> Self:
        """Put a store in the place of MLflow's servers and return this mock.

        Raises:
            RuntimeError: This mock is active already.
            ImportError: The installed MLflow is too old, or newer than this package can work with.
        """
        with supported_mlflow():
            import_module("mlquery.mocking.mlflow_state")
        with _lock:
            if self.is_active:
                raise RuntimeError("this mock is active already: stop it first, or make another one")
            left = _left_in(self._origin)
            self._backend = self._new_backend(left)
            if self._artifacts == ON_DISK and self.store.memory_root is None:
                self._folder = put_on_disk(self._backend)
            self._backend.explain_missing = self._hint
            before = self._take_over(left.experiment_id if left else None)
            self._before = _Before(before, uris.put_private(self._backend), session.swap(self._new_session()))
            _active.append(self)
            children.watch(self)
        return self

    def stop(self, error: BaseException | None = None) -> None:
        """Make everything global in MLflow as it was; nothing happens if this mock is not active.

        Runs that were left active are ended, as failed ones if there is an error, and reported: in a note to the error,
        or else with a warning. So are calls that were to fail and never came.

        Args:
            error: What the code under test has raised, if anything.
        """
        for report in self.end(error):
            if error is None:
                warn(report, self._about)
            else:
                error.add_note(f"mlquery.mock: {report}")

    def end(self, error: BaseException | None = None) -> list[str]:
        """Do what `stop` does, but return its warnings."""
        with _lock:
            if self._before is None:
                return []
            faults = self.store.faults
            unused = faults.waiting()
            faults.clear()
            runs = list(self._left_runs()) if children.unwatch(self) else []
            vars(self.store)[_LEFT] = self._left()
            self._restore()
            if self._folder is not None:
                take_from_disk(self.backend, self._folder)
                self._folder = None
        dropped = [TRACES_ARE_NOT_KEPT] if self.backend.dropped_traces else []
        return [*self._end_runs(runs, "FAILED" if error else "FINISHED"), *unused_faults(unused), *dropped]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop(error)

    def __call__(self, target: Target) -> Target:
        """Decorate a function, which may be asynchronous or a generator, or a class of tests; see `mlquery.mock`."""
        return cast(Target, decorated(target, self.another))

    def another(self, about: Callable[..., Any] | None = None, store: Store | Mock | None = None) -> Mock:
        """Return a mock that is not active, with the arguments of this one but for a store that is given.

        Args:
            about: The decorated function; warnings point there.
            store: The contents at the start.
        """
        new = copy(self)
        new._origin, new._about = store or self._origin, about
        new._backend, new._before, new._folder = None, None, None
        return new

    def _hint(self, error: StoreError) -> str:
        """Return what to add to the message about something that is not in the store."""
        from mlquery.mocking.mlflow_state import tracking_uri_of

        if not self.is_active:
            return ""
        around = _active[: _active.index(self)]
        first = around[0] if around else self
        state = first._before.globals if first._before and first.has_outside else None
        return hint(error, [mock.backend for mock in around], lambda: tracking_uri_of(state) if state else None)

    def _take_over(self, experiment_id: str | None) -> Globals:
        """Let MLflow work on the mock, with an experiment active, and return the state that it had."""
        from mlquery.mocking.mlflow_state import isolated

        return isolated(self.clock, self._passthrough, experiment_id, self._environment)

    def _new_session(self) -> session.Session:
        return session.Session(self.client)

    def _left(self) -> _Left:
        """Return what this mock, which is active, leaves in its store."""
        from mlquery.mocking.mlflow_state import active_experiment_id

        inner = self._inner()
        experiment_id = active_experiment_id(inner.globals if inner else None)
        return _Left(self.dialect, experiment_id if experiment_id in self.store.experiments.row_of else None)

    def _new_backend(self, left: _Left | None) -> Backend:
        dialect = self._dialect or (left.dialect if left else DEFAULT_DIALECT)
        origin = self._origin.store if isinstance(self._origin, Mock) else self._origin
        if origin is None:
            guid_ids = MATRIX.dialect(dialect).behaves("id.guid")
            return Backend(Store(seed=self._seed, guid_ids=guid_ids, clock=self._new_clock(None)), dialect=dialect)
        backend = Backend(origin, dialect=dialect)
        if self._clones:
            backend = backend.clone()
        backend.store.clock = self._new_clock(backend.store.clock)
        if self._seed is not None:
            backend.store.reseed(self._seed)
        return backend

    def _new_clock(self, present: Callable[[], int] | None) -> Clock:
        if isinstance(self._clock, Clock):
            return self._clock
        if self._clock is None and isinstance(present, Clock):
            return present.copy() if self._clones else present
        return Clock(self._clock if self._clock is not None else present)

    def _left_runs(self) -> Iterator[Any]:
        """Yield the active runs of MLflow and of `mlquery.fluent`, in all threads, that belong to this mock."""
        from mlquery.mocking.mlflow_state import active_runs

        inner = self._inner()
        yield from active_runs(inner.globals if inner else None)
        fluent_session = session.session() if inner is None else inner.session
        yield from reversed(fluent_session.thread.active_runs if fluent_session else ())

    def _inner(self) -> _Before | None:
        """Return what the mock remembers that was started after this one and is still active."""
        place = _active.index(self)
        return _active[place + 1]._before if place + 1 < len(_active) else None

    def _restore(self) -> None:
        """Make everything as it was, or leave that to the mock that was started inside this one and has not ended."""
        before, inner = self._before, self._inner()
        assert before is not None
        if inner is None:
            uris.put_private(before.backend)
            session.swap(before.session)
            before.globals.restore()
        else:
            inner.globals, inner.backend, inner.session = before.globals, before.backend, before.session
        _active.remove(self)
        self._before = None

    def _end_runs(self, runs: list[Any], status: str) -> Iterator[str]:
        """End runs in the store and yield a sentence about each."""
        from mlquery.mocking.mlflow_state import running_monitor_of

        for run in runs:
            name, run_id = run.info.run_name, run.info.run_id
            try:
                now = self.clock()
                self.store.update_run_info(run_id, RunStatus.from_string(status), now, None, now=now)
                outcome = f"has been ended as {status}"
            except StoreError as error:  # it may be deleted, or in another store
                outcome = f"cannot be ended: {error}"
            monitor = running_monitor_of(run_id)
            if monitor is not None:
                monitor.finish()
            yield f"the run '{name}' ({run_id}) was left active and {outcome}"


def innermost() -> Mock | None:
    """Return the mock that MLflow works on, None if none is active."""
    return _active[-1] if _active else None


@contextmanager
def outside_of(mock: Mock) -> Iterator[Callable[[Settings], None]]:
    """Let MLflow work for a while as if a mock, and those inside it, had not been started yet.

    What is yielded takes settings that are to hold in the mock afterwards.
    """
    from mlquery.mocking.mlflow_settings import captured_like, difference, put, settings

    changes: Settings = {}
    with _lock:
        place = _active.index(mock)
        waiting, before = _active[place:], mock._before
        del _active[place:]
        assert before is not None
        state, own = captured_like(before.globals), settings()
        backend, fluent = uris.put_private(before.backend), session.swap(before.session)
        before.globals.restore()
    try:
        yield changes.update
    finally:
        with _lock:
            mock._before = _Before(captured_like(before.globals), uris.put_private(backend), session.swap(fluent))
            state.restore()
            put(difference(settings(), own | changes if waiting == [mock] else own))
            _active.extend(waiting)


@attrs.frozen
class _Left:
    """What a mock leaves in its store, for mocks that start with it."""

    dialect: str
    experiment_id: str | None


@attrs.define(eq=False)
class _Before:
    """What was in the place of a mock before it started."""

    globals: Globals
    backend: Backend | None
    session: session.Session | None


def dialect_of(store: Store | Mock | None) -> str | None:
    """Return the dialect of the mock that has worked on a store, None for a store of no mock."""
    left = _left_in(store)
    return left.dialect if left else None


def _left_in(store: Store | Mock | None) -> _Left | None:
    if isinstance(store, Mock) and store.is_active:
        return store._left()
    own = store.store if isinstance(store, Mock) else store
    return None if own is None else vars(own).get(_LEFT)


def _checked(artifacts: str) -> str:
    if artifacts not in (IN_MEMORY, ON_DISK):
        raise ValueError(f"artifacts are kept in {IN_MEMORY!r} or, as files, in {ON_DISK!r}, not in {artifacts!r}")
    return artifacts


def _has_mlflow() -> bool:
    if "mlflow" in sys.modules:
        return sys.modules["mlflow"] is not None
    return find_spec("mlflow") is not None
