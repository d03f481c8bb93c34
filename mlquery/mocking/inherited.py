"""Mocks in a child process: what a fork has copied leads to the process of the test, or says that it does not.

A copy of a store is read as it was at the fork. Whatever would be lost in it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, Protocol

from mlquery.backend import Backend
from mlquery.backend.remote import RemoteBackend, elsewhere
from mlquery.errors import INVALID_STATE, StoreError
from mlquery.fluent import session
from mlquery.processes import PARENT_VARIABLE
from mlquery.store import Store
from mlquery.store.faults import Faults

# Runs where the child may have a path of its own and no mlquery in it; then it cannot use a store of mlquery either.
_JOIN: Final = """\
import os, sys
os.environ[{name!r}] = {value!r}
try:
    if "mlflow" in sys.modules:
        from mlquery.mlflow_plugin.parent import join
        join()
except ImportError:
    pass
"""


class ActiveMock(Protocol):
    """What child processes need of a mock; see `activation`."""

    _passthrough: tuple[str, ...]
    _before: Any

    @property
    def backend(self) -> Backend:
        """What answers."""
        ...


class Joining:
    """Makes the process in which it is unpickled a child of the test that has pickled it.

    Args:
        value: The address of the process of the test.
    """

    def __init__(self, value: str) -> None:
        self._value = value

    def __reduce__(self) -> tuple[Any, ...]:
        """Say what is done when this is unpickled."""
        return exec, (_JOIN.format(name=PARENT_VARIABLE, value=self._value),)


def lead_to_parent(mocks: Sequence[ActiveMock], backend: RemoteBackend) -> None:
    """Let everything in a forked child that belongs to mocks of its parent lead there.

    It stays so when the child leaves the block of a mock: what it logs never goes where the test does not look.

    Args:
        mocks: The mocks that were active.
        backend: The backend of the parent.
    """
    fluent_session = session.lead_to(backend)
    for mock in mocks:
        _refuse_writes(mock.backend.store, backend.pid)
        mock._before.backend, mock._before.session = backend, fluent_session


def _refuse_writes(store: Store, pid: int) -> None:
    """Let a copy of a store refuse what would be lost, done to it directly or through a client."""

    def refuse(*_: Any) -> NoReturn:
        raise StoreError(elsewhere(pid), INVALID_STATE)

    artifacts: Any = store.artifacts
    artifacts.put = artifacts.delete = refuse
    store.faults, store.writing = _Refusing(refuse), _Refused(refuse)


class _Refusing(Faults):
    """The faults of a store that refuses every call of a client."""

    def __init__(self, refuse: Callable[[], NoReturn]) -> None:
        super().__init__()
        self._refuse = refuse
        self.is_set = True

    def clear(self) -> None:
        """Keep refusing."""

    def before(self, call: str) -> NoReturn:
        """Refuse a call."""
        self._refuse()


class _Refused:
    """A block that cannot be entered."""

    def __init__(self, refuse: Callable[[], NoReturn]) -> None:
        self._refuse = refuse

    def __enter__(self) -> NoReturn:
        self._refuse()

    def __exit__(self, *_: object) -> None:
        """Do nothing: nobody gets in."""
