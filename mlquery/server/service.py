"""What the server serves: a store, the dialect it answers in, and what a request of a given size may cost.

Everything that a dialect changes about the calls themselves is read from the support matrix here. HTTP is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from mlquery.errors import Diagnostic
from mlquery.language.matrix import DEFAULT_DIALECT, MATRIX, Dialect
from mlquery.server.errors import MissingEndpointError
from mlquery.store import Store
from mlquery.store.limits import Limits

ARTIFACT_ROOT = "mlflow-artifacts:/"
"""Where artifacts are, for clients that bring and fetch them through the server."""


@attrs.define(eq=False)
class Service:
    """A store behind the REST API.

    Attributes:
        store: What is served; a reset replaces it.
        dialect: How it answers.
        limits: What the dialect lets a write hold.
        answers: How the endpoint of the dialect answers, apart from queries; empty for MLflow's own ways.
        whole: Makes of a whole number of 64 bits what JSON shows.
        heeded: Warnings of the request that is being answered.
    """

    store: Store
    dialect: Dialect
    limits: Limits = attrs.field(init=False)
    answers: Mapping[str, Any] = attrs.field(init=False)
    whole: Callable[[int], int | str] = attrs.field(init=False)
    heeded: list[str] = attrs.field(init=False, factory=list)
    _missing: Mapping[str | None, int] = attrs.field(init=False)
    _initial: Store = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.limits = Limits(**self.dialect.enforced_limits)
        self.answers = self.dialect.service
        self.whole = str if self.answers.get("integers") == "text" else int
        self._missing = self.answers.get("missing", {})
        self._initial = self.store.clone()

    def reset(self) -> None:
        """Go back to the contents that the server was started with."""
        self.store = self._initial.clone()

    def on_warning(self, found: Iterable[Diagnostic]) -> None:
        """Keep the warnings of a query, to be sent along with the answer."""
        self.heeded += [f"{one.argument}: {one.message}  [{one.feature}]" for one in found]

    def require_endpoint(self, family: str | None) -> None:
        """Refuse a call of a family that the endpoint of the dialect does not have.

        Raises:
            MissingEndpointError: with the HTTP status that the endpoint answers with.
        """
        status = self._missing.get(family)
        if status is not None:
            raise MissingEndpointError(status)

    def require_call(self, call: str, entity: str) -> None:
        """Refuse a call that the dialect does not support; warn of one that no source speaks of.

        Raises:
            StoreError: the dialect does not support the call.
        """
        verdict = self.dialect.require_call(call, entity)
        if verdict is not None and verdict.state == "silent":
            self.heeded.append(f"no source says that {self.dialect.name} supports {call}  [{verdict.feature.id}]")


def new_store(dialect: str = DEFAULT_DIALECT) -> Store:
    """Return an empty store with the ids of a dialect, whose artifacts go through the server."""
    return Store(artifact_root=ARTIFACT_ROOT, guid_ids=MATRIX.dialect(dialect).behaves("id.guid"))


def new_service(store: Store | None = None, dialect: str = DEFAULT_DIALECT) -> Service:
    """Return a service; without a store it has a new one.

    Raises:
        ValueError: there is no dialect of that name.
    """
    return Service(new_store(dialect) if store is None else store, MATRIX.dialect(dialect))
