"""Fixtures, a marker and settings for pytest: turns what a test asks for by name into an `mlquery.mock` around it.

The setting `mlquery` protects whole sessions, see `protection`. pytest loads this package wherever mlquery is
installed, so everything heavy is imported when a test first needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

from mlquery.pytest_plugin.protection import Auto, Guard
from mlquery.server.testing import mlquery_server, mlquery_servers

if TYPE_CHECKING:
    from mlquery.client import Client
    from mlquery.mocking import Mock
    from mlquery.store import Store

__all__ = ["mlquery_server", "mlquery_servers"]

DIALECTS: Final = ("oss", "azure")
_FIXTURE, _DIALECT, _MARKER, _ARTIFACTS = "mlquery_mock", "mlquery_dialect", "mlquery", "mlquery_artifacts"
_TEST = "_mlquery_test"
_SETTINGS: Final = {
    _MARKER: (("off", "auto", "guard"), "whether a whole session runs on a store of mlquery's, or reaches no other"),
    _ARTIFACTS: (("memory", "tmp"), "where mlquery's mocks keep artifacts in tests that do not choose a place"),
}
_protection: Final = pytest.StashKey[Auto | Guard]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the settings."""
    parser.addini(_DIALECT, "dialect of mlquery's mocks in tests that do not choose one", default=DIALECTS[0])
    for name, (choices, help_text) in _SETTINGS.items():
        parser.addini(name, f"{help_text}: {', '.join(choices)}", default=choices[0])


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Protect the session before anything of the suite is imported."""
    _protect(early_config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; protect the session where a conftest.py brings this plugin."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(dialect, seed, clock, store, artifacts, environment, passthrough): run the test inside "
        "mlquery.mock(...); the nearest marker decides, argument by argument",
    )
    _protect(config)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Start the mock of a test before its other fixtures of function scope, whether it asks by marker or by fixture."""
    names: list[str] | None = getattr(item, "fixturenames", None)
    if names is None:
        return
    if _asks(item):
        _put_first(item, names, _FIXTURE)
    if _auto(item.config):
        _put_first(item, names, _TEST)


def _protect(config: pytest.Config) -> None:
    """Begin what the setting asks for, once."""
    if _protection in config.stash:
        return
    setting, artifacts = (_setting(config, name) for name in _SETTINGS)
    if setting == "off":
        return
    dialect = str(config.getini(_DIALECT))
    protection = Auto({"dialect": dialect, "artifacts": artifacts}) if setting == "auto" else Guard()
    config.stash[_protection] = protection
    config.add_cleanup(protection.remove)
    if isinstance(protection, Auto):
        config.pluginmanager.register(protection, "mlquery-auto")
    protection.install()


def _setting(config: pytest.Config, name: str) -> str:
    value, (choices, _) = str(config.getini(name)), _SETTINGS[name]
    if value not in choices:
        raise pytest.UsageError(f"{name} = {value}: choose one of {', '.join(choices)}")
    return value


def _auto(config: pytest.Config) -> Auto | None:
    protection = config.stash.get(_protection, None)
    return protection if isinstance(protection, Auto) else None


def _asks(item: pytest.Item) -> bool:
    """Tell whether a test asks for a mock of its own."""
    return item.get_closest_marker(_MARKER) is not None or bool({_FIXTURE, _DIALECT} & set(item.fixturenames))  # type: ignore[attr-defined]


def _put_first(item: pytest.Item, names: list[str], fixture: str) -> None:
    if fixture in names:
        names.remove(fixture)
    names.insert(_first_of_function_scope(item, names), fixture)


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
def mlquery_mock(request: pytest.FixtureRequest) -> Iterator[Mock]:
    """Yield the mock around the test."""
    from mlquery.mocking import mock

    auto = _auto(request.config)
    if auto is not None:
        request.getfixturevalue(_TEST)
        yield auto.test_mock()
        return
    active = mock(**_arguments(request)).start()
    yield active
    _warn(request.node, active.end())


@pytest.fixture
def _mlquery_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Begin and end a test in a session that is protected as a whole."""
    auto = _auto(request.config)
    assert auto is not None
    auto.begin_test((lambda: _arguments(request)) if _asks(request.node) else None)
    yield
    _warn(request.node, auto.end_test())


@pytest.fixture
def mlquery_store(mlquery_mock: Mock) -> Store:
    """Return the store, empty or a copy of the seed, that `import mlflow` works on during the test."""
    return mlquery_mock.store


@pytest.fixture
def mlquery_client(mlquery_mock: Mock) -> Client:
    """Return an `mlquery.Client` of the store that `import mlflow` works on during the test."""
    return mlquery_mock.client


def _warn(node: pytest.Item, reports: list[str]) -> None:
    if reports:
        from mlquery.errors import MockWarning

        for report in reports:
            node.warn(MockWarning(report))


def _arguments(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the arguments of a test's mock, from its markers, its fixtures and the settings."""
    from mlquery.mocking.activation import dialect_of

    arguments = _marked(request.node)
    if _DIALECT in request.fixturenames:
        if "dialect" in arguments:
            raise pytest.UsageError(f"the marker names a dialect and {_DIALECT} brings its own: leave one of them out")
        arguments["dialect"] = request.getfixturevalue(_DIALECT)
    if "store" not in arguments:
        arguments["store"] = request.getfixturevalue("mlquery_seed")
    if dialect_of(arguments["store"]) is None:
        arguments.setdefault("dialect", request.config.getini(_DIALECT))
    arguments.setdefault("artifacts", _setting(request.config, _ARTIFACTS))
    return arguments


def _marked(node: pytest.Item) -> dict[str, Any]:
    """Return the arguments of all markers of a test, those of the nearest one first."""
    arguments: dict[str, Any] = {}
    for marker in node.iter_markers(_MARKER):
        if marker.args:
            raise pytest.UsageError(f"the marker {_MARKER} takes its arguments by name, such as dialect=…")
        arguments = {**marker.kwargs, **arguments}
    return arguments
