"""Fixtures and a marker for pytest: turns what a test asks for by name into an `mlquery.mock` around that test.

pytest loads this module wherever mlquery is installed, so everything heavy is imported when a test first needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

from mlquery.server.testing import mlquery_server, mlquery_servers

if TYPE_CHECKING:
    from mlquery.client import Client
    from mlquery.mocking import Mock
    from mlquery.store import Store

__all__ = ["mlquery_server", "mlquery_servers"]

DIALECTS: Final = ("oss", "azure")
_FIXTURE, _DIALECT, _MARKER = "mlquery_mock", "mlquery_dialect", "mlquery"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the setting for suites whose server is always the same."""
    parser.addini(_DIALECT, "dialect of mlquery's mocks in tests that do not choose one", default=DIALECTS[0])


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(dialect, seed, clock, store): run the test inside mlquery.mock(...); the nearest marker decides, "
        "argument by argument",
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Start the mock of a test before its other fixtures of function scope, whether it asks by marker or by fixture."""
    names: list[str] | None = getattr(item, "fixturenames", None)
    if names is None or not (item.get_closest_marker(_MARKER) or {_FIXTURE, _DIALECT} & set(names)):
        return
    if _FIXTURE in names:
        names.remove(_FIXTURE)
    names.insert(_first_of_function_scope(item, names), _FIXTURE)


def _first_of_function_scope(item: pytest.Item, names: list[str]) -> int:
    definitions = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
    wider = (name in definitions and definitions[name][-1].scope != "function" for name in names)
    return next((place for place, is_wider in enumerate(wider) if not is_wider), len(names))


@pytest.fixture(scope="session")
def mlquery_seed() -> Any:
    """Return the store, or a mock that has one, that every mock of the session starts with; override it for your own.

    It is made once per session, and each test works on a copy of it.
    """
    return None


@pytest.fixture(params=DIALECTS)
def mlquery_dialect(request: pytest.FixtureRequest) -> str:
    """Run the test once per dialect and return its name; override it with other `params`."""
    dialect: str = request.param
    return dialect


@pytest.fixture
def mlquery_mock(request: pytest.FixtureRequest, mlquery_seed: Any) -> Iterator[Mock]:
    """Yield the mock around the test."""
    from mlquery.errors import MockWarning
    from mlquery.mocking import mock
    from mlquery.mocking.activation import dialect_of

    arguments = _marked(request.node)
    if _DIALECT in request.fixturenames:
        if "dialect" in arguments:
            raise pytest.UsageError(f"the marker names a dialect and {_DIALECT} brings its own: leave one of them out")
        arguments["dialect"] = request.getfixturevalue(_DIALECT)
    arguments.setdefault("store", mlquery_seed)
    if dialect_of(arguments["store"]) is None:
        arguments.setdefault("dialect", request.config.getini(_DIALECT))
    active = mock(**arguments).start()
    yield active
    for report in active.end():
        request.node.warn(MockWarning(report))


@pytest.fixture
def mlquery_store(mlquery_mock: Mock) -> Store:
    """Return the store, empty or a copy of the seed, that `import mlflow` works on during the test."""
    return mlquery_mock.store


@pytest.fixture
def mlquery_client(mlquery_mock: Mock) -> Client:
    """Return an `mlquery.Client` of the store that `import mlflow` works on during the test."""
    return mlquery_mock.client


def _marked(node: pytest.Item) -> dict[str, Any]:
    """Return the arguments of all markers of a test, those of the nearest one first."""
    arguments: dict[str, Any] = {}
    for marker in node.iter_markers(_MARKER):
        if marker.args:
            raise pytest.UsageError(f"the marker {_MARKER} takes its arguments by name, such as dialect=…")
        arguments = {**marker.kwargs, **arguments}
    return arguments
