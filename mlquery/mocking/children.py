"""Child processes of a test: from the first that starts, those that are there find the store of the active mock.

While a mock is active, the functions with which Python starts processes are wrapped (on POSIX; elsewhere a mock serves
from its start, and an environment that was made before goes without it): a new process gets the address of
this one into its environment, and a thread of this one begins to serve. For the moment of a fork that thread ends, and
the locks are held that a child needs. Processes that live longer than a test work on the store of the next one.
"""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess  # noqa: F401  # it is wrapped
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, wraps
from operator import attrgetter
from threading import RLock, local
from typing import Any, Final

from mlquery.backend import Backend
from mlquery.backend.remote import Reply, Request, no_test_runs
from mlquery.errors import StoreError
from mlquery.mlflow_plugin import parent, uris
from mlquery.mocking import inherited
from mlquery.mocking.child_server import ChildServer
from mlquery.mocking.inherited import ActiveMock
from mlquery.processes import PARENT_VARIABLE, Address

Function = Callable[..., Any]

lock: Final = RLock()
"""Held while mocks start or end, and while this process forks."""

_mocks: Final[list[ActiveMock]] = []
_originals: Final[dict[tuple[Any, str], Function]] = {}
_wrapped: Final = local()  # whether this thread is inside of a wrapped function
_held: Final[list[Any]] = []  # what is held during a fork
_server: ChildServer | None = None
_inherited_value: str | None = None
_is_hooked = False


def watch(mock: ActiveMock) -> None:
    """Let child processes find the store of a mock that has started."""
    global _inherited_value
    if not _mocks:
        _inherited_value = os.environ.get(PARENT_VARIABLE)
        _wrap()
    _mocks.append(mock)
    if os.name != "posix" or (_server is not None and _has_children()):  # those of an earlier test may call
        _serve()


def unwatch(mock: ActiveMock) -> bool:
    """Serve the store of a mock no more; return whether the mock was started in this process."""
    if mock not in _mocks:
        return False
    _mocks.remove(mock)
    if not _mocks:
        _unwrap()
        if _server is not None:
            _server.stop()
        if _inherited_value is None:
            os.environ.pop(PARENT_VARIABLE, None)
        else:
            os.environ[PARENT_VARIABLE] = _inherited_value
    return True


def _has_children() -> bool:
    """Tell whether this process may have children."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


# Who serves


def _address() -> Address:
    """Return where children find this process, and say so in the environment."""
    global _server
    if _server is None:
        _server = ChildServer(_answer)
        atexit.register(_server.close)
    address = _server.address
    if os.environ.get(PARENT_VARIABLE) != str(address):
        os.environ[PARENT_VARIABLE] = str(address)
    return address


def _serve() -> Address:
    address = _address()
    assert _server is not None
    _server.start()
    return address


def _answer(message: bytes) -> bytes:
    """Return the answer to a request of a child, by the mock that is active now."""
    mock = _mocks[-1] if _mocks else None
    warnings: list[Any] = []
    try:
        if mock is None:
            raise no_test_runs(os.getpid())
        request = pickle.loads(message)
        content, is_error, text = _called(mock, warnings, request), False, ""
    except BaseException as error:  # whatever a test has asked for
        content, is_error, text = error, True, f"{type(error).__name__}: {error}"
    try:
        pickled = pickle.dumps(content)
    except Exception as error:
        text = text or f"The answer cannot be sent to another process: {error}"
        pickled, is_error = pickle.dumps(StoreError(text)), True
    return pickle.dumps(Reply(pickled, is_error, text, mock.backend.dialect.name if mock else None, tuple(warnings)))


def _called(mock: ActiveMock, warnings: list[Any], request: Request) -> Any:
    """Return the result of a call of a child."""
    if request.name == "time":  # as MLflow has it in this process
        return sys.modules["mlflow.utils.time"].time.time()
    if request.name == "passthrough":
        return mock._passthrough
    own = mock.backend
    backend = Backend(own.store, own.registry, own.dialect, warnings.extend)
    found = attrgetter(request.name)(backend)
    try:
        return found(*request.arguments, **request.keywords) if callable(found) else found
    except StoreError as error:
        raise _explained(error, own) from error
    finally:
        own.dropped_traces += backend.dropped_traces


def _explained(error: StoreError, backend: Backend) -> StoreError:
    """Return an error with what the mock adds to it."""
    added = backend.explain_missing(error) if backend.explain_missing else ""
    return StoreError(error.message + added, error.error_code) if added else error


# Processes that start


def _with_environment(place: int | None) -> Callable[[Function], Function]:
    """Return what wraps a function whose argument at a place is the environment of the new process."""

    def wrap(original: Function) -> Function:
        @wraps(original)
        def start(*arguments: Any, **keywords: Any) -> Any:
            if not _mocks:
                return original(*arguments, **keywords)
            address, given = _serve(), list(arguments)
            if place is not None and place < len(given):
                given[place] = _extended(given[place], str(address))
            with _starting():
                return original(*given, **keywords)

        return start

    return wrap


def _forking(original: Function) -> Function:
    """Wrap a function that forks."""

    @wraps(original)
    def fork(*arguments: Any, **keywords: Any) -> Any:
        with _starting():
            return original(*arguments, **keywords)

    return fork


def _with_preparation(original: Function) -> Function:
    """Wrap the function that says what a child of `multiprocessing` needs to know."""

    @wraps(original)
    def prepared(*arguments: Any, **keywords: Any) -> Any:
        data = original(*arguments, **keywords)
        if _mocks:
            data["mlquery"] = inherited.Joining(str(_serve()))
        return data

    return prepared


@contextmanager
def _starting() -> Iterator[None]:
    """Serve again when a function returns that may fork: Python warns of the threads that are there before it does."""
    before, _wrapped.is_inside = getattr(_wrapped, "is_inside", False), True
    try:
        yield
    finally:
        _wrapped.is_inside = before
        if _mocks and _server is not None and not before:
            _server.start()


def _extended(environment: Any, value: str) -> Any:
    """Return an environment for a new process with the address in it; None stands for that of this process."""
    if environment is None or environment is os.environ:
        return environment
    if isinstance(environment, Mapping):
        return {**environment, PARENT_VARIABLE: value}
    name = f"{PARENT_VARIABLE}=".encode()
    return [*(each for each in environment if not each.startswith(name)), name + value.encode()]


# Where processes start: modules, functions, and what wraps them. The server of forks of `multiprocessing` may be there
# from before the mock, without its environment.
_PLACES: Final = (
    ("_posixsubprocess", "fork_exec", _with_environment(5)),
    ("subprocess", "_fork_exec", _with_environment(5)),
    ("os", "posix_spawn", _with_environment(2)),
    ("os", "posix_spawnp", _with_environment(2)),
    ("os", "system", _with_environment(None)),
    ("os", "fork", _forking),
    ("os", "forkpty", _forking),
    ("multiprocessing.spawn", "get_preparation_data", _with_preparation),
)


def _wrap() -> None:
    """Wrap the functions with which processes are started."""
    if os.name != "posix":
        return
    _hook_forks()
    for module_name, name, wrapper in _PLACES:
        module = sys.modules.get(module_name)
        original = getattr(module, name, None)
        if original is not None:
            _originals[module, name] = original
            setattr(module, name, _wrapper_of(original, wrapper))


@lru_cache(maxsize=32)
def _wrapper_of(original: Function, wrapper: Callable[[Function], Function]) -> Function:
    return wrapper(original)


def _unwrap() -> None:
    for (module, name), original in _originals.items():
        if getattr(getattr(module, name), "__wrapped__", None) is original:  # else somebody has wrapped it again
            setattr(module, name, original)
    _originals.clear()


# Forks


def _hook_forks() -> None:
    global _is_hooked
    if not _is_hooked:
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
        )
        _is_hooked = True


def _before_fork() -> None:
    """Bring everything that a child copies to rest."""
    if not _mocks:
        return
    lock.acquire()
    try:
        _address()
    except OSError:  # the child will say so when it needs this process
        os.environ[PARENT_VARIABLE] = str(Address(os.getpid(), 0, ""))
    if _server is not None:
        _server.pause()
    _held[:] = [lock, uris._lock, *{id(mock.backend.store): mock.backend.store.lock for mock in _mocks}.values()]
    for each in _held[1:]:
        each.__enter__()


def _after_fork_in_parent() -> None:
    is_held = bool(_held)
    _release()
    if is_held and _server is not None and not getattr(_wrapped, "is_inside", False):
        _server.start()


def _after_fork_in_child() -> None:
    global _server
    if not _held:
        return
    _release()
    mocks = list(_mocks)
    _mocks.clear()
    _unwrap()
    if _server is not None:
        _server.forget()
        atexit.unregister(_server.close)
        _server = None
    backend = parent.join()
    assert backend is not None
    inherited.lead_to_parent(mocks, backend)


def _release() -> None:
    held = _held[::-1]
    _held.clear()
    for each in held:
        each.__exit__(None, None, None)
