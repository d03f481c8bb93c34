"""Runs cases on a target that others use: gives names a prefix, and neither writes to nor reports what others created.

`NamespacedSession` wraps any session, of a real server or of mlquery. With mlquery it tells which cases apply to a
server (`mlquery/conformance/applicability.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from types import SimpleNamespace
from typing import Any

import attrs

from mlquery.conformance.execution import Session, ids_of
from mlquery.conformance.suite import Case, Expectation, Problem, Row, Tied

_NAMES = ("name", "new_name")
_READS = ("get_", "search_", "list_")
_QUOTED_NAME = re.compile(r"""(\bname["`]?\s*(?:!=|=|\b(?:NOT\s+)?I?LIKE\b)\s*)(['"])""", re.IGNORECASE)
_PAGE = 1000


class UnownedEntityError(Exception):
    """A call or a search that would reach what others have on the target."""


@attrs.define
class NamespacedClient:
    """A client whose experiments and registered models have a prefix, and which writes to nothing else.

    `experiments` and `models` are the ids and names of those that it created. `user` owns all runs if the service sets
    the user itself.
    """

    inner: Any
    prefix: str
    user: str | None = None
    experiments: list[str] = attrs.field(factory=list)
    models: list[str] = attrs.field(factory=list)
    runs: set[str] = attrs.field(factory=set)
    with_artifacts: set[str] = attrs.field(factory=set)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a method of the client that is confined to its own experiments and models."""
        method = getattr(self.inner, name)
        names_first = "registered_model" in name or "model_version" in name or name in _BY_NAME

        def call(*positional: Any, **named: Any) -> Any:
            if positional and names_first:
                positional = (self._prefixed(positional[0]), *positional[1:])
            named = {
                key: self._prefixed(value) if key in _NAMES and names_first else value for key, value in named.items()
            }
            if name == "rename_experiment":
                named["new_name"] = self._prefixed(named["new_name"])
            if not name.startswith(_READS):
                self._require_own(name, positional, named)
            if name == "create_run" and self.user is not None:
                positional = (*positional[:2], {**positional[2], "mlflow.user": self.user}, *positional[3:])
            if name in _CREATING_MODELS:  # before the call: a server may fail halfway
                self.models.append(named.get("new_name") or named.get("name") or positional[0])
            return self._noted(name, method(*positional, **named), named)

        return call

    def _prefixed(self, name: Any) -> Any:
        is_ready = not isinstance(name, str) or not name or name.startswith(self.prefix)
        return name if is_ready else self.prefix + name

    def _noted(self, name: str, result: Any, named: dict[str, Any]) -> Any:
        match name:
            case "create_experiment":
                self.experiments.append(result)
            case "create_run":
                self.runs.add(result.info.run_id)
            case "log_text":
                self.with_artifacts.add(named["run_id"])
            case "get_experiment" | "get_experiment_by_name" if result is not None:
                return SimpleNamespace(experiment_id=result.experiment_id, name=result.name.removeprefix(self.prefix))
        return result

    def _require_own(self, name: str, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Raise UnownedEntityError for a write to what exists and was not created here."""
        first = positional[0] if positional else None
        run_id = named.get("run_id", first if name in _ON_RUNS else None)
        experiment_id = named.get("experiment_id", first if name in _ON_EXPERIMENTS else None)
        if isinstance(run_id, str) and run_id not in self.runs and self._exists(self.inner.get_run, run_id):
            raise UnownedEntityError(f"the target has a run {run_id!r} of its own")
        if isinstance(experiment_id, str):
            self.require_own_experiment(experiment_id)

    def require_own_experiment(self, experiment_id: str) -> None:
        """Raise UnownedEntityError for an experiment that exists and was not created here."""
        if experiment_id in self.experiments:
            return
        found = self._exists(self.inner.get_experiment, experiment_id)
        if found is not None and found.experiment_id not in self.experiments:
            raise UnownedEntityError(f"the target has an experiment {experiment_id!r} of its own")

    @staticmethod
    def _exists(get: Callable[[str], Any], identifier: str) -> Any:
        try:
            return get(identifier)
        except Exception:  # whatever the error, there is nothing that a call could change
            return None


_CREATING_MODELS = {"create_registered_model", "rename_registered_model"}
_BY_NAME = {"create_experiment", "get_experiment_by_name"}
_ON_EXPERIMENTS = {
    *("create_run", "delete_experiment", "restore_experiment", "rename_experiment"),
    *("set_experiment_tag", "delete_experiment_tag"),
}
_ON_RUNS = {
    *("log_metric", "log_param", "set_tag", "delete_tag", "log_batch", "log_inputs", "log_text"),
    *("delete_run", "restore_run", "set_terminated", "update_run"),
}


@attrs.define
class NamespacedSession:
    """A session through a `NamespacedClient`, which reports only the experiments and models that this created."""

    inner: Session
    client: NamespacedClient
    ids: dict[str, str]

    @property
    def entities(self) -> Any:
        """Return the module of the client's entities."""
        return self.inner.entities

    def page(self, case: Case, filter_string: str, ids: list[str], token: str | None) -> tuple[list[str], str | None]:
        """Return the ids of the session on one page, and the next token; one page may take several requests."""
        if case.entity == "run":
            for experiment_id in ids:
                self.client.require_own_experiment(experiment_id)
            return self.inner.page(case, filter_string, ids, token)
        own = set(ids_of(case.entity, self.ids).values())
        filter_string = prefixed_names(filter_string, self.client.prefix)
        found: list[str] = []
        while True:
            page, token = self.inner.page(case, filter_string, ids, token)
            found += [identifier for identifier in page if identifier in own]
            if not token or case.walk or case.max_results != _PAGE:
                return found, token

    def problems(self, error: Exception) -> tuple[Problem, ...]:
        """Return the problems that a refusal reports."""
        if isinstance(error, UnownedEntityError):
            raise error
        return self.inner.problems(error)


def prefixed_names(filter_string: str, prefix: str) -> str:
    """Return a filter in which the strings that names are compared with have a prefix."""
    return _QUOTED_NAME.sub(lambda match: match[1] + match[2] + prefix, filter_string)


def without(case: Case, expected: Expectation, experiments: Collection[str]) -> Expectation:
    """Return what is expected of a search of experiments without those that are missing or belong to others."""
    if case.entity != "experiment" or not experiments:
        return expected
    return attrs.evolve(
        expected,
        rows=None if expected.rows is None else _without(expected.rows, experiments),
        pages=None if expected.pages is None else tuple(_without(page, experiments) for page in expected.pages),
    )


def _without(rows: Iterable[Row], names: Collection[str]) -> tuple[Row, ...]:
    return tuple(
        attrs.evolve(row, names=tuple(n for n in row.names if n not in names)) if isinstance(row, Tied) else row
        for row in rows
        if row not in names
    )
