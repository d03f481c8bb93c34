"""What the setting `mlquery` does to a session: turns it into a protection that begins when MLflow is imported.

`Auto` puts the session on a store of ours, `Guard` forbids all others. Nothing heavy is imported here: until MLflow is,
a session pays for a hook and some variables of the environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import pytest

from mlquery.mlflow_plugin.schemes import SERVER_VARIABLES, URI
from mlquery.pytest_plugin.import_hook import AfterImport, BeforeChild

if TYPE_CHECKING:
    from mlquery.mocking import Mock
    from mlquery.mocking.whole_session import WholeSession

WIDEST: Final = 1  # the depth of a session among pytest's nodes
_NARROW: Final = (pytest.Package, pytest.Module, pytest.Class)


class Auto:
    """A session whose every call of MLflow comes to a store in memory.

    Args:
        arguments: Those of the session's mock.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self._hook = AfterImport("mlflow", self._start)
        self._child_hook = BeforeChild(_import_mlflow)  # the mock of the session serves children, once it is there
        self._environment: dict[str, str] = {}
        self._session: WholeSession | None = None
        self._opened: list[pytest.Collector] = []
        self._working: list[int] = []  # the depths of the fixtures of wider scopes that are at work
        self._is_testing = False

    def install(self) -> None:
        """Lead everything to our store, now or as soon as MLflow is there."""
        self._environment = {name: os.environ.pop(name) for name in SERVER_VARIABLES & os.environ.keys()}
        os.environ["MLFLOW_TRACKING_URI"] = URI
        self._hook.install()

    def remove(self) -> None:
        """Make everything as it was."""
        self._hook.remove()
        self._child_hook.remove()
        if self._session is not None:
            self._session.stop()
        for name in SERVER_VARIABLES & os.environ.keys():
            del os.environ[name]
        os.environ.update(self._environment)

    def begin_test(self, arguments: Callable[[], dict[str, Any]] | None) -> None:
        """Begin a test; it has a mock if it asks for one, by giving arguments, or MLflow is there."""
        given = None
        if arguments is not None:
            _import_mlflow()
            given = arguments()  # a fixture of the session may be at work here
        self._is_testing = True
        if self._session is not None:
            self._session.begin_test(given)

    def end_test(self) -> list[str]:
        """End a test and return its warnings."""
        self._is_testing = False
        return self._session.end_test() if self._session else []

    def test_mock(self) -> Mock:
        """Return the mock of the test that is running, which has asked for it."""
        _import_mlflow()
        assert self._session is not None
        if self._session.test_mock is None:
            self._session.begin_test({})
        assert self._session.test_mock is not None
        return self._session.test_mock

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Wait for child processes from here on: those that xdist starts before run tests of their own."""
        if self._session is None:
            self._child_hook.install()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: pytest.FixtureRequest) -> Iterator[None]:
        """Let fixtures that are wider than a test work on what all tests of their scope see."""
        if fixturedef.scope == "function":
            return (yield)
        with self._at_work(fixturedef, request.node):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Begin and end a test that has no fixtures."""
        if hasattr(item, "fixturenames"):
            return (yield)
        self.begin_test(None)
        try:
            return (yield)
        finally:
            self.end_test()

    @contextmanager
    def _at_work(self, definition: Any, node: Any) -> Iterator[None]:
        """Let a fixture that is wider than a test work for all tests of its scope, now and when it is torn down."""
        self._open(node)
        depth = _depth(node)
        definition.addfinalizer(self._leave)
        self._enter(depth)
        try:
            yield
        finally:
            definition.addfinalizer(lambda: self._enter(depth))
            self._leave()

    def _start(self) -> None:
        """Start the mock of the session, and what would have been started if it had been there."""
        self._child_hook.remove()
        if self._session is not None:  # MLflow was imported anew
            return
        from mlquery.mocking.whole_session import WholeSession

        self._session = WholeSession(**self._arguments)
        for node in self._opened:
            self._session.open(_depth(node))
        for depth in self._working:
            self._session.enter(depth)
        if self._is_testing and not self._working:
            self._session.begin_test(None)

    def _open(self, node: Any) -> None:
        """Open the scopes down to a node that are not open yet; each is closed after all fixtures of its node."""
        for one in node.listchain():
            if one not in self._opened and (isinstance(one, _NARROW) or (one is node and _depth(one) > WIDEST)):
                self._opened.append(one)
                one.addfinalizer(self._close)
                if self._session is not None:
                    self._session.open(_depth(one))

    def _close(self) -> None:
        self._opened.pop()
        if self._session is not None:
            self._session.close()

    def _enter(self, depth: int) -> None:
        self._working.append(depth)
        if self._session is not None:
            self._session.enter(depth)

    def _leave(self) -> None:
        self._working.pop()
        if self._session is None:
            return
        self._session.leave()
        if self._is_testing and not self._working and self._session.test_mock is None:
            self._session.begin_test(None)  # MLflow was first imported by a fixture that the test asked for


class Guard:
    """A session in which no server is reached but ours."""

    def __init__(self) -> None:
        self._hook = AfterImport("mlflow", self._start)
        self._undo: Callable[[], None] = lambda: None

    def install(self) -> None:
        """Forbid other servers, now or as soon as MLflow is there."""
        self._hook.install()

    def remove(self) -> None:
        """Allow them again."""
        self._hook.remove()
        self._undo()

    def _start(self) -> None:
        from mlquery.mocking.guard import forbid_servers

        self._undo()
        self._undo = forbid_servers()


def _import_mlflow() -> None:
    """Import MLflow, and so start the mock of the session."""
    import_module("mlflow")


def _depth(node: Any) -> int:
    return len(node.listchain())
