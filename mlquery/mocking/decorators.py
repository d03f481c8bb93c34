"""Mocks around functions and classes of tests: turns a callable into one that runs inside a mock of its own.

It is given a function that makes mocks. Nothing here needs pytest.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import ExitStack
from functools import wraps
from typing import Any, Protocol, cast
from unittest import TestCase

_MOCK = "_mlquery_mock"


class MakesMocks(Protocol):
    """Makes a `Mock` that is not active, for a function, on the store of another mock where one is given."""

    def __call__(self, about: Callable[..., Any] | None = None, store: Any = None) -> Any:
        """Make it."""


def decorated(target: Any, another: MakesMocks) -> Any:
    """Return a function that runs in a mock of its own at each call, or the class whose tests do."""
    if not isinstance(target, type):
        return _function(target, another)
    if issubclass(target, TestCase):
        return _test_case(target, another)
    return _test_class(target, another)


def _function(function: Callable[..., Any], another: MakesMocks) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            with another(function):
                return await function(*args, **kwargs)

        return call_async
    if inspect.isasyncgenfunction(function):

        @wraps(function)
        async def iterate_async(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            with another(function):
                async for item in function(*args, **kwargs):
                    yield item

        return iterate_async
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def iterate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with another(function):
                return (yield from function(*args, **kwargs))

        return iterate

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with another(function):
            return function(*args, **kwargs)

    return call


# unittest: one mock from `setUpClass` to `tearDownClass`, and for each test a mock on a copy of its store at that time.
# The cleanup that is registered first runs last, after `tearDown` and all others, and what it reports belongs to the
# test.


def _test_case(case: type[TestCase], another: MakesMocks) -> type[TestCase]:
    set_up_class, run = case.setUpClass.__func__, case.run  # type: ignore[attr-defined]

    @wraps(set_up_class)
    def set_up_class_in_mock(cls: type[TestCase]) -> None:
        mock = another().start()
        setattr(cls, _MOCK, mock)
        cls.addClassCleanup(mock.stop)
        set_up_class(cls)

    @wraps(run)
    def run_in_mock(self: TestCase, result: Any = None) -> Any:
        outer = getattr(type(self), _MOCK, None)
        with another(
            getattr(self, self._testMethodName), outer if outer is not None and outer.is_active else None
        ) as mock:
            self.addCleanup(mock.stop)
            return run(self, result)

    namespace = cast(Any, case)
    namespace.setUpClass, namespace.run = classmethod(set_up_class_in_mock), run_in_mock
    return case


# Classes as pytest collects them: every test has a mock, from `setup_method` to `teardown_method` where there is one.


def _test_class(cls: type, another: MakesMocks) -> type:
    if hasattr(cls, "setup_method") or hasattr(cls, "teardown_method"):
        return _between(cls, another)
    for name in dir(cls):
        member = inspect.getattr_static(cls, name)
        if name.startswith("test") and inspect.isfunction(member):
            setattr(cls, name, _function(member, another))
        elif name.startswith("test") and isinstance(member, staticmethod | classmethod):
            setattr(cls, name, type(member)(_function(member.__func__, another)))
    return cls


def _between(cls: Any, another: MakesMocks) -> type:
    set_up, tear_down = getattr(cls, "setup_method", None), getattr(cls, "teardown_method", None)

    def setup_method(self: Any, method: Any) -> None:
        with ExitStack() as stack:
            setattr(self, _MOCK, another(method).start())
            stack.push(getattr(self, _MOCK))
            _call_fixture(set_up, self, method)
            stack.pop_all()

    def teardown_method(self: Any, method: Any) -> None:
        with ExitStack() as stack:
            stack.push(getattr(self, _MOCK))
            _call_fixture(tear_down, self, method)

    cls.setup_method, cls.teardown_method = setup_method, teardown_method
    return cast(type, cls)


def _call_fixture(function: Callable[..., Any] | None, self: Any, method: Any) -> None:
    """Call what sets a test up or tears it down; as in pytest it need not take the method."""
    if function is not None:
        function(self, method) if len(inspect.signature(function).parameters) > 1 else function(self)
