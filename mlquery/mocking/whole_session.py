"""One mock around a whole test session, and a mock on a copy of it around each test.

It is told when a fixture of a wider scope than a test begins and ends its work, and in which scope; it knows nothing of
a test runner. `layers` keeps the scopes apart. The mock of a test goes on with all that the wider scopes have set in
MLflow – active runs and experiment, URIs, autologging – and what the test changes of it is undone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Self

from mlquery.backend import Backend
from mlquery.fluent import session
from mlquery.mlflow_plugin import uris
from mlquery.mocking.activation import Mock, innermost, outside_of
from mlquery.mocking.layers import WIDEST, Kept, Layers

if TYPE_CHECKING:
    from mlquery.mocking.mlflow_settings import Settings
    from mlquery.mocking.mlflow_state import Globals


class SessionMock(Mock):
    """The mock around everything, whose contents can be replaced while it is active."""

    has_outside = False

    def start(self) -> Self:
        """Start it, with nothing in it."""
        super().start()
        self._version_at_start = self.store.version
        return self

    @property
    def is_innermost(self) -> bool:
        """Whether MLflow works on this mock, and not on one inside it."""
        return innermost() is self

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been logged here."""
        has_changed = self.store.version != self._version_at_start
        return not (has_changed or self.backend.registry.entries() or self.store.artifacts.contents())

    def show(self, backend: Backend) -> None:
        """Replace the contents, also under mocks that are inside this one."""
        self._backend = backend
        backend.explain_missing = self._hint
        inner = self._inner()
        if inner is None:
            uris.put_private(backend)
            session.swap(_continued(session.session(), self))
        else:
            inner.backend = backend
            inner.session = inner.session and _continued(inner.session, self)

    def leave_ids_to(self, mock: Mock) -> None:
        """Let the experiments to come have other ids than those that another mock has given."""
        following = mock.store.next_experiment_id()
        if following.isdecimal() and following != "0":
            self.store.count_experiment(str(int(following) - 1))

    def settings(self) -> Settings:
        """Return what is set in MLflow, which works on this mock."""
        from mlquery.mocking.mlflow_settings import settings

        return settings()

    def put_settings(self, wanted: Settings) -> None:
        """Set in MLflow, which works on this mock, what is wanted and nothing else."""
        from mlquery.mocking.mlflow_settings import difference, put, settings

        put(difference(settings(), wanted))


class TestMock(Mock):
    """A mock on a copy of a session's mock, which goes on with what is set there."""

    __test__ = False  # no class of tests

    def __init__(self, around: SessionMock, **arguments: Any) -> None:
        inherited = {"dialect": around.dialect, "artifacts": around.artifacts}
        super().__init__(store=None if around.is_empty else around, **{**inherited, **arguments})
        self._around = around
        self._inherited_runs: frozenset[str] = frozenset()

    def visit(self, kept: Kept) -> None:
        """Take over what was changed in the session while this mock, whose test asked for it, was waiting.

        Raises:
            RuntimeError: The test has made something of the same name before.
        """
        for name in kept.clashes_with(self.backend):
            raise RuntimeError(
                f"this test has made {name}, and a fixture of a wider scope, which the test asked for later, has made "
                "another one: name that fixture in the signature of the test, so that it comes first"
            )
        kept.apply(self.backend)

    def inherit_runs(self) -> None:
        """Let all runs that are active now go on after the test."""
        from mlquery.mocking.mlflow_state import active_runs

        runs = [*active_runs(None), *session.session().thread.active_runs]
        self._inherited_runs |= {run.info.run_id for run in runs}

    def _take_over(self, experiment_id: str | None) -> Globals:
        from mlquery.mocking.mlflow_settings import inherited

        self.inherit_runs()
        return inherited(self.clock, self._passthrough)

    def _new_session(self) -> session.Session:
        return _continued(session.session(), self)

    def _left_runs(self) -> Iterator[Any]:
        return (run for run in super()._left_runs() if run.info.run_id not in self._inherited_runs)


class WholeSession:
    """The mock of a session and, while a test runs, that of the test; scopes are known by their depth.

    Args:
        arguments: Those of the session's mock.
    """

    def __init__(self, **arguments: Any) -> None:
        self._mock = SessionMock(**arguments).start()
        self._layers = Layers(self._mock)
        self._test: Mock | None = None
        self._at_work: list[ExitStack] = []

    @property
    def test_mock(self) -> Mock | None:
        """The mock of the test that is running, if it has one."""
        return self._test

    def stop(self) -> None:
        """End all mocks; runs that are active still are ended without a word."""
        self.end_test()
        self._mock.end()

    def begin_test(self, arguments: dict[str, Any] | None) -> None:
        """Start the mock of a test.

        Args:
            arguments: Those of the test's mock; None for a test that asks for nothing, which has none if a fixture of a
                wider scope has started a mock of its own.
        """
        if arguments is None and not self._mock.is_innermost:
            return
        given = arguments or {}
        if given.get("store") is None:
            given.pop("store", None)
            self._test = TestMock(self._mock, **given).start()
        else:
            self._test = Mock(**given).start()

    def end_test(self) -> list[str]:
        """End the mock of a test and return its warnings."""
        mock, self._test = self._test, None
        return mock.end() if mock else []

    def open(self, depth: int) -> None:
        """Open a scope that is narrower than all that are open."""
        self._layers.open(depth)

    def close(self) -> None:
        """Close the narrowest scope that is open."""
        self._layers.close()

    def enter(self, depth: int = WIDEST) -> None:
        """Let the fixtures of a scope work; the mock of a test that is running waits meanwhile."""
        stack = ExitStack()
        if not self._at_work and self._test is not None:
            stack.enter_context(self._waiting(self._test))
        self._layers.enter(depth)
        stack.callback(self._layers.leave)
        self._at_work.append(stack)

    def leave(self) -> None:
        """Let those work who did before."""
        self._at_work.pop().close()

    @contextmanager
    def _waiting(self, test: Mock) -> Iterator[None]:
        from mlquery.mocking.mlflow_settings import difference

        with outside_of(test) as resume:
            if isinstance(test, TestMock):
                self._mock.leave_ids_to(test)
            before, kept = self._mock.settings(), self._layers.watch()
            yield
            self._layers.unwatch()
            if isinstance(test, TestMock):
                test.inherit_runs()
            resume(difference(before, self._mock.settings()) if isinstance(test, TestMock) else {})
        if isinstance(test, TestMock):
            test.visit(kept)


def _continued(before: session.Session, mock: Mock) -> session.Session:
    """Return a session of `mlquery.fluent` on a mock that goes on as another one, in this thread."""
    new = session.Session(mock.client)
    new.experiment_id = before.experiment_id
    vars(new.thread).update({**vars(before.thread), "active_runs": before.thread.active_runs[:]})
    return new
