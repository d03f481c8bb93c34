"""What a mock leaves behind: nothing, however mocks are nested and whatever happens inside them."""

from __future__ import annotations

import itertools
import os
import threading
import warnings
from collections.abc import Callable, Iterator

import attrs
import mlflow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlquery
from mlquery.backend import Backend
from mlquery.mlflow_plugin import uris
from mlquery.mocking import Mock
from tests.support.mlflow_globals import fingerprint

pytestmark = pytest.mark.slow

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def outside() -> Iterator[Backend]:
    """Let MLflow work on a store of its own around each test, which no mock may touch."""
    uri = f"mlquery://outside-{next(_numbers)}"
    backend = uris.store_for(uri)
    with mlquery.mock():  # this one keeps the tests of this file apart from all others
        mlflow.set_tracking_uri(uri)
        yield backend
        while mlflow.active_run():
            mlflow.end_run()
    uris.forget(uri)


@attrs.frozen
class Step:
    """Something that code does with MLflow; a mock has steps inside it."""

    kind: str
    inside: tuple[Step, ...] = ()
    dialect: str = "oss"
    fails: bool = False


def log() -> None:
    with mlflow.start_run(nested=True):
        mlflow.log_metric("m", 1.0)


def log_nested() -> None:
    with mlflow.start_run(nested=True), mlflow.start_run(nested=True):
        mlflow.log_params({"p": 1})


def set_experiment() -> None:
    mlflow.set_experiment("mine")
    mlflow.end_run()


def change_environment() -> None:
    os.environ["MLFLOW_EXPERIMENT_NAME"] = "from the environment"
    os.environ.pop("MLFLOW_TRACKING_URI", None)


def leave_active_in_thread() -> None:
    thread = threading.Thread(target=mlflow.start_run)
    thread.start()
    thread.join()


PLAIN: dict[str, Callable[[], object]] = {
    "log": log,
    "log nested": log_nested,
    "leave active": lambda: mlflow.start_run(nested=True),
    "leave active in a thread": leave_active_in_thread,
    "end": mlflow.end_run,
    "set experiment": set_experiment,
    "set tracking uri": lambda: mlflow.set_tracking_uri("http://localhost:1"),
    "set registry uri": lambda: mlflow.set_registry_uri("http://localhost:2"),
    "change environment": change_environment,
    "autolog": lambda: mlflow.autolog(silent=True, log_traces=False),
    "log artifact": lambda: mlflow.log_text("text", "file.txt"),
    "use mlquery": lambda: mlquery.fluent.set_experiment("from mlquery"),
    "disable tracing": mlflow.tracing.disable,
}
MOCKS = ("with", "start and stop", "decorator")


def steps(inside: st.SearchStrategy[tuple[Step, ...]]) -> st.SearchStrategy[tuple[Step, ...]]:
    mocks = st.builds(
        Step, st.sampled_from(MOCKS), inside, dialect=st.sampled_from(["oss", "azure"]), fails=st.booleans()
    )
    return st.lists(st.one_of(st.builds(Step, st.sampled_from(list(PLAIN))), mocks), max_size=5).map(tuple)


nested = st.recursive(st.just(()), steps, max_leaves=12)


class Failed(Exception):
    """What the body of a test raises when it fails."""


def perform(step: Step) -> None:
    """Do what the step says, with MLflow as it is."""
    if step.kind in MOCKS:
        in_mock(step)
    else:
        PLAIN[step.kind]()


def in_mock(step: Step) -> None:
    """Do the steps inside a mock and compare MLflow before and after it."""
    before = fingerprint()
    stores: list[mlquery.Store] = []

    def body(mock: Mock | None = None) -> None:
        backend = uris.put_private(None)
        assert backend is not None
        uris.put_private(backend)
        stores.append(backend.store)
        assert 0 == backend.store.runs.size
        assert mlflow.active_run() is None
        for inner in step.inside:
            perform(inner)
        if step.fails:
            raise Failed

    try:
        if step.kind == "decorator":
            mlquery.mock(step.dialect)(body)()
        elif step.kind == "with":
            with mlquery.mock(step.dialect) as mock:
                body(mock)
        else:
            mock = mlquery.mock(step.dialect).start()
            try:
                body(mock)
            finally:
                mock.stop()
    except Failed:
        assert step.fails
    else:
        assert not step.fails

    assert before == fingerprint()
    (store,) = stores
    assert "RUNNING" not in [store.get_run(run_id).info.status for run_id in store.runs.ids]


@given(inside=nested, dialect=st.sampled_from(["oss", "azure"]), fails=st.booleans(), kind=st.sampled_from(MOCKS))
@settings(max_examples=120)
def test_nothing_leaks_out_of_mocks_that_are_nested_and_fail_at_random(
    inside: tuple[Step, ...], dialect: str, fails: bool, kind: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")

        perform(Step(kind, inside, dialect, fails))
