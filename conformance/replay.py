"""Replay the conformance cases on real MLflow (its default store: SQLAlchemy on SQLite) and say where they disagree.

    python conformance/replay.py [--dialect NAME] [--answers FILE] [CASE ...]

It needs mlflow and mlquery installed. Every store of the suite is made once, by MLflow's own client; a case that
makes calls gets a copy of the database. Rows, order, acceptance and error codes are compared with what the cases say
of a dialect, by default `oss`. With `--answers`, MLflow's answers are written to a file as JSON, and not compared.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import logging
import shutil
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import mlflow
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry import sqlalchemy_store as registry_module
from mlflow.store.tracking import sqlalchemy_store as tracking_module

from mlquery.conformance.answers import Answer, Mismatch, ask, outcome_disagreements
from mlquery.conformance.contents import FIRST_TIME, put
from mlquery.conformance.records import Recorded, record_of
from mlquery.conformance.suite import Case, Problem, Suite, load_suite

_MODULES = (tracking_module, registry_module)

_VIEWS = {"ACTIVE_ONLY": 1, "DELETED_ONLY": 2, "ALL": 3}


@attrs.define
class MlflowSession:
    """MLflow's client on one database."""

    client: Any
    ids: dict[str, str]
    entities: Any = mlflow.entities

    def page(self, case: Case, filter_string: str, ids: list[str], token: str | None) -> tuple[list[str], str | None]:
        """Return the ids on one page, and the token of the next one."""
        query = (_VIEWS[case.view], case.max_results)
        order_by = list(case.order_by) or None
        if case.entity == "run":
            runs = self.client.search_runs(ids, filter_string, *query, order_by, token)
            return [run.info.run_id for run in runs], runs.token
        # MLflow's client adds a clause of its own to every search of registered models.
        registry = self.client._get_registry_client().store
        if case.entity == "registered_model":
            models = registry.search_registered_models(filter_string, case.max_results, order_by, token)
            return [model.name for model in models], models.token
        if case.entity == "model_version":
            versions = registry.search_model_versions(filter_string, case.max_results, order_by, token)
            return [f"{version.name}/{version.version}" for version in versions], versions.token
        found = self.client.search_experiments(*query, filter_string or None, order_by, token)
        return [experiment.experiment_id for experiment in found], found.token

    def problems(self, error: Exception) -> tuple[Problem, ...]:
        """Return the error code; what is no MlflowException is an internal error of a server."""
        if isinstance(error, AttributeError) and error.obj in (self.client, self.entities):
            raise Mismatch(f"unsupported by this client: {error.name}") from error
        return (Problem(error.error_code if isinstance(error, MlflowException) else "INTERNAL_ERROR"),)


class Replay:
    """Databases for the stores of a suite, in a folder, made when they are first needed."""

    def __init__(self, suite: Suite, folder: Path, dialect: str = "oss") -> None:
        self.suite = suite
        self._dialect = dialect
        self._folder = folder
        self._time = FIRST_TIME
        self._built: dict[str, MlflowSession] = {}
        self._copies = 0
        self._ids = _ids_from("")

    def answer(self, case: Case) -> tuple[Answer, MlflowSession]:
        """Return what MLflow answers to a case, and the session it was asked in."""
        with self._quiet_and_on_time():
            session = self._session(case)
            return ask(case, session), session

    def disagreements(self, case: Case) -> list[str]:
        """Return how MLflow's answer differs from what the case expects of it."""
        try:
            answer, session = self.answer(case)
        except Mismatch as mismatch:
            return [str(mismatch)]
        return outcome_disagreements(case, case.expect[self._dialect], answer, session)

    def _session(self, case: Case) -> MlflowSession:
        if case.store not in self._built:
            client = self._client(case.store, self._template())
            self._ids = _ids_from(case.store)
            ids = put(self.suite.stores[case.store], client, mlflow.entities, self._set_clock)
            self._built[case.store] = MlflowSession(client, ids)
        session = self._built[case.store]
        if not case.calls:
            return session
        self._copies += 1
        copy = self._client(f"copy-{self._copies}", self._folder / f"{case.store}.db")
        self._ids = _ids_from(case.id)
        return MlflowSession(copy, dict(session.ids))

    def _template(self) -> Path:
        """Return an empty database; making one takes MLflow a second."""
        path = self._folder / "empty-template.db"
        if not path.exists():
            tracking_module.SqlAlchemyStore(f"sqlite:///{path}", "mlquery-artifacts:").engine.dispose()
        return path

    def _client(self, name: str, original: Path) -> mlflow.MlflowClient:
        path = self._folder / f"{name}.db"
        shutil.copy(original, path)
        return mlflow.MlflowClient(f"sqlite:///{path}")

    def _now(self) -> int:
        return self._time

    def _next_id(self) -> uuid.UUID:
        return next(self._ids)

    def _set_clock(self, milliseconds: int) -> None:
        self._time = milliseconds

    @contextmanager
    def _quiet_and_on_time(self) -> Iterator[None]:
        """Let MLflow read our clock and take ids from us, and keep it from logging the SQL of every refused query."""
        loggers = [logging.getLogger(name) for name in ("mlflow", "mlflow.store", "alembic")]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            # MLflow keeps artifacts of a local database below the current folder.
            with ExitStack() as stack:
                for module in _MODULES:
                    stack.enter_context(mock.patch.object(module, "get_current_time_millis", self._now))
                stack.enter_context(mock.patch.object(uuid, "uuid4", self._next_id))
                stack.enter_context(chdir(self._folder))
                stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")  # that a call will go some day is no part of its answer
                yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _ids_from(seed: str) -> Iterator[uuid.UUID]:
    """Yield ids that are in no order, but the same ones each time, so that answers can be compared between versions."""
    for number in itertools.count():
        yield uuid.UUID(hashlib.sha256(f"{seed} {number}".encode()).hexdigest()[:32])


def answers(suite: Suite, chosen: list[Case], folder: Path) -> dict[str, Recorded]:
    """Return what MLflow answers to each case, as data."""
    replay, found = Replay(suite, folder), {}
    for case in chosen:
        try:
            found[case.id] = record_of(case, *replay.answer(case))
        except Mismatch as mismatch:
            found[case.id] = str(mismatch)
    return found


def main(arguments: list[str]) -> int:
    """Replay the named cases, or all of them, and return the exit code: 1 if MLflow disagrees with any."""
    parser = argparse.ArgumentParser(description="Replay conformance cases on the MLflow that is installed.")
    parser.add_argument("cases", metavar="CASE", nargs="*", help="default: all")
    parser.add_argument("--dialect", default="oss", help="whose expectations to compare with; default: oss")
    parser.add_argument("--answers", metavar="FILE", type=Path, help="write the answers there and compare nothing")
    options = parser.parse_args(arguments)
    suite = load_suite()
    chosen = [case for case in suite.cases if not options.cases or case.id in options.cases]
    with tempfile.TemporaryDirectory() as folder:
        if options.answers is not None:
            recorded = {"mlflow": mlflow.__version__, "answers": answers(suite, chosen, Path(folder))}
            options.answers.write_text(json.dumps(recorded), encoding="utf-8")
            return 0
        replay = Replay(suite, Path(folder), options.dialect)
        disagreeing = 0
        for case in chosen:
            found = replay.disagreements(case)
            disagreeing += bool(found)
            for line in found:
                print(f"{case.topic}: {case.id}: {line}")
    print(f"MLflow {mlflow.__version__}: {len(chosen) - disagreeing} of {len(chosen)} cases agree")
    return 1 if disagreeing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
