"""A guard in front of MLflow's servers: turns every call that would reach one but ours into one clear error.

It answers where MLflow finds its stores, so it holds for all clients and threads. A mock inside it works as ever, and
so do the URIs that the mock lets through.

**Source**: `mlflow.tracking.registry.StoreRegistry` of MLflow 3.17.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlquery.errors import ServerForbiddenError
from mlquery.mlflow_plugin.schemes import SCHEME
from mlquery.mocking.mlflow_state import put_redirections, redirections, resolved_uris


def forbid_servers() -> Callable[[], None]:
    """Refuse all tracking and registry URIs that are not ours, and return what allows them again."""
    before = redirections()
    for (registry, _), kind, resolve in zip(before, ("tracking", "registry"), resolved_uris(), strict=True):
        registry.get_store = _guarded(registry, kind, resolve)
    return lambda: put_redirections(before)


def _guarded(registry: Any, kind: str, resolve: Callable[..., str]) -> Callable[..., Any]:
    get_store = registry.get_store

    def guarded(*args: Any, **kwargs: Any) -> Any:
        uri = resolve(*args, **kwargs)
        if not str(uri).startswith(f"{SCHEME}:"):
            raise ServerForbiddenError(
                f"a call of MLflow would reach the {kind} server {uri!r}, and this session forbids it (mlquery = "
                "guard). Let the test run on a store of its own: fixture mlquery_store, or marker "
                "@pytest.mark.mlquery. Or put the whole session on one: mlquery = auto. A test that needs this server "
                "lets it through: mlquery.mock(passthrough=[…])"
            )
        return get_store(*args, **kwargs)

    return guarded
