"""Every call of the service through every door, in every dialect: the same store, answer, refusal, warnings, faults.

The doors are `mlquery.Client`, `mlquery.fluent`, `import mlflow` with the plugin, and `import mlflow` over HTTP; see
`tests.support.doors` for what is compared and `tests.support.door_cases` for what is asked.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from mlquery import Client, RunTag, Store, StoreError, fluent
from mlquery.backend import Backend
from mlquery.language.matrix import MATRIX
from mlquery.query.dataframe import search_frame
from mlquery.server.testing import RunningServer
from mlquery.store import faults as store_faults
from tests.support.door_cases import CASES, SCRIPTS, Case, calls_of_the_service, lacks_models
from tests.support.doors import (
    DOORS,
    HTTP,
    PLUGIN,
    Door,
    Seen,
    Servers,
    calls_of,
    everything,
    mlflow_at_rest,
    opened,
    seen,
)

# One worker asks them all: every dialect has one server.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("doors")]
DIALECTS = MATRIX.main_dialects
FIRST_CASES = [*{(case.is_script, case.call): case for case in reversed((*CASES, *SCRIPTS))}.values()]
LATENCY = 0.01
Prepare = Callable[[Door], None]


@pytest.fixture(scope="module", autouse=True)
def at_rest() -> Iterator[None]:
    with mlflow_at_rest():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of files for artifacts."""
    folder = tmp_path_factory.mktemp("artifacts")
    (folder / "deep").mkdir()
    (folder / "a.txt").write_text("a")
    (folder / "deep/ü b.txt").write_text("b")
    return folder


@attrs.frozen
class Visit:
    """What a door has done, the calls that it has made of it, and how long each of them was to wait."""

    seen: Seen
    calls: list[str]
    waits: list[float]


class Guard:
    """Asks the doors."""

    def __init__(self, servers: Servers, folder: Path, waits: list[float]) -> None:
        self._servers, self._folder, self._waits = servers, folder, waits

    def visit(self, name: str, case: Case, dialect: str, prepare: Prepare | None = None) -> Visit:
        """Ask a door what a case asks, after it is prepared for that."""
        with opened(name, dialect, self._servers, self._folder) as door:
            if prepare is not None:
                prepare(door)
            self._waits.clear()
            return Visit(seen(door, case.ask), calls_of(door), list(self._waits))

    def differences(self, case: Case, dialect: str, prepare: Mapping[str, Prepare] | None = None) -> list[str]:
        """Return what the doors do differently from the first one, in a sentence each."""
        prepare = prepare or {}
        visits = {name: self.visit(name, case, dialect, prepare.get(name, be_slow)) for name in case.doors}
        first = visits[case.doors[0]]
        found = [f"{name}: {visit.seen.refusal}" for name, visit in visits.items() if not is_expected(visit.seen)]
        if case.looks_among_models and lacks_models(dialect):
            behind_mlflow = [visits.pop(name).seen.refusal for name in (PLUGIN, HTTP) if name in visits]
            found += [
                f"{seen} was not refused" for seen in behind_mlflow if not seen or seen[0] != "ENDPOINT_NOT_FOUND"
            ]
        found += [f"{name}: a call was not slow" for name, visit in visits.items() if not is_slow(visit)]
        reached = [case.call_at(name) in visit.calls for name, visit in visits.items()]
        if any(reached):
            found += [
                f"{name}: it made {visit.calls} of it"
                for (name, visit), is_reached in zip(visits.items(), reached, strict=True)
                if not is_reached and visit.seen.refusal is None
            ]
        written = {name: writes(case, name, visit) for name, visit in visits.items() if visit.seen.refusal is None}
        if len(set(written.values())) > 1:
            found.append(f"calls that write {written}")
        for name, visit in visits.items():
            found += [
                f"{name}: {aspect} {there!r}, at {case.doors[0]} {here!r}"
                for aspect, here, there in aspects(first.seen, visit.seen, with_words=name not in case.own_words)
                if here != there
            ]
        bodies = [visits[name].seen.body for name in (PLUGIN, HTTP) if name in visits.keys() - case.own_words.keys()]
        if len(bodies) == 2 and bodies[0] != bodies[1] and "artifact" not in case.call:  # those errors are a disk's
            found.append(f"bodies {bodies}")
        return found


def is_expected(seen: Seen) -> bool:
    """Tell whether an error has a code of MLflow's, or is one of the few that cases want to see."""
    return seen.refusal is None or seen.refusal[0].isupper() or seen.refusal[0] in ("RuntimeError", "ValueError")


def aspects(one: Seen, other: Seen, with_words: bool) -> Iterator[tuple[str, object, object]]:
    """Yield what is compared, with both values."""
    here, there = one.refusal, other.refusal
    yield "refusal", here if with_words else here and here[0], there if with_words else there and there[0]
    for aspect in ("answer", "warnings", "store"):
        yield aspect, getattr(one, aspect), getattr(other, aspect)


@pytest.fixture(scope="module")
def guard(mlquery_servers: Callable[[str], RunningServer], folder: Path) -> Iterator[Guard]:
    waits: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_faults, "time", SimpleNamespace(sleep=waits.append))
        yield Guard(mlquery_servers, folder, waits)


def be_slow(door: Door) -> None:
    door.backend.store.latency = LATENCY


def writes(case: Case, name: str, visit: Visit) -> frozenset[str]:
    """Return the calls that may change something; that of the case has one name, whatever a door calls it."""
    reads = ("get_", "search_", "list_", "download_")
    own = {case.call_at(name): case.call}
    return frozenset(own.get(call, call) for call in visit.calls if not call.startswith(reads))


def is_slow(visit: Visit) -> bool:
    return visit.waits == [LATENCY] * len(visit.calls)


def test_every_call_of_the_service_has_a_case() -> None:
    assert calls_of_the_service() == sorted({case.call for case in CASES})


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("case", [*CASES, *SCRIPTS], ids=str)
def test_all_doors_do_the_same(case: Case, dialect: str, guard: Guard) -> None:
    assert not guard.differences(case, dialect)


# --- faults ---------------------------------------------------------------------------------------------------------


def be_offline(store: Store, call: str) -> None:
    store.offline = True


def fail_with_an_error_of_the_store(store: Store, call: str) -> None:
    store.fail_next(call, StoreError("too many requests", "REQUEST_LIMIT_EXCEEDED"))


def fail_with_another_error(store: Store, call: str) -> None:
    store.fail_next(call, ConnectionError("reset by peer"))


FAULTS: dict[Callable[[Store, str], None], tuple[str, str]] = {
    be_offline: ("INTERNAL_ERROR", "the store is offline"),
    fail_with_an_error_of_the_store: ("REQUEST_LIMIT_EXCEEDED", "too many requests"),
    fail_with_another_error: ("ConnectionError", "reset by peer"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("case", FIRST_CASES, ids=str)
def test_faults_are_met_through_every_door(
    case: Case, fault: Callable[[Store, str], None], dialect: str, guard: Guard
) -> None:
    before, visits = {}, {}
    for name in case.doors:
        call = case.faulty_call_at(name, dialect)

        def prepare(door: Door, call: str = call) -> None:
            fault(door.backend.store, call)
            before[door.name] = everything(door.backend)

        visits[name] = guard.visit(name, case, dialect, prepare)

    for name, visit in visits.items():
        words = FAULTS[fault][1]
        if name == HTTP and fault is fail_with_another_error:
            words = f"ConnectionError: {words}"
        assert fault is be_offline or case.faulty_call_at(name, dialect) in visit.calls, name
        code = code_of_fault(case, fault, name, dialect)
        assert visit.seen.refusal is not None, name
        assert code == visit.seen.refusal[0], name
        assert words in visit.seen.refusal[1] or code in (case.hides_faults, LOOKED_FIRST), name
        assert visits[case.doors[0]].seen.store == visit.seen.store, name
        assert case.is_script or before[name] == visit.seen.store, name


LOOKED_FIRST = (
    "INVALID_PARAMETER_VALUE"  # MLflow's client says so whatever is wrong with a logged model that it looks for
)


def code_of_fault(case: Case, fault: Callable[[Store, str], None], name: str, dialect: str) -> str:
    """Return the error code with which a fault arrives."""
    if case.looks_first and (fault is be_offline or case.faulty_call_at(name, dialect) == case.looks_first):
        return LOOKED_FIRST
    if case.hides_faults and fault is not be_offline:
        return case.hides_faults
    return "INTERNAL_ERROR" if name == HTTP and fault is fail_with_another_error else FAULTS[fault][0]


# --- the guard itself -----------------------------------------------------------------------------------------------


def case_named(name: str) -> Case:
    return next(case for case in (*CASES, *SCRIPTS) if str(case) == name)


NAMES = {"search_datasets": "_search_datasets", "download_artifacts": "_download_file"}  # as MLflow calls them


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("case", [case for case in FIRST_CASES if not case.is_script], ids=str)
def test_the_guard_finds_a_door_that_answers_a_call_itself(
    case: Case, name: str, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name not in case.doors:
        assert case.without[name]
        return
    call = case.call_at(name)
    answer_itself = inspect.unwrap(getattr(Backend, call))

    def take_service_away(door: Door) -> None:
        if name == HTTP:  # the last door: no other is asked afterwards
            monkeypatch.setattr(Backend, call, answer_itself)
        elif name == PLUGIN:
            silence_plugin(door, NAMES.get(call, call), monkeypatch)
        else:
            setattr(door.client.backend, call, partial(answer_itself, door.client.backend))
        be_slow(door)

    assert guard.differences(case, "oss", {name: take_service_away})


def silence_plugin(door: Door, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call of the stores that MLflow's client has from the plugin do nothing."""
    artifacts = get_artifact_repository(door.client.get_run(door.ids.run).info.artifact_uri)
    stores = (door.client._tracking_client.store, door.client._get_registry_client().store, artifacts)
    classes = [type(store) for store in stores if call in vars(type(store))]
    assert classes
    for one in classes:
        monkeypatch.setattr(one, call, lambda self, *given, **named: None)


def create_run(client: Client, experiment_id: str, start_time: int = 0, tags: dict[str, str] | None = None) -> object:
    """Create a run as the client did that knew a store only."""
    own_tags = [RunTag(key, value) for key, value in (tags or {}).items()]
    return client.store.create_run(experiment_id, "unknown", start_time or client.store.clock(), own_tags, None)


def test_the_guard_finds_a_client_that_writes_into_the_store(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "create_run", create_run)

    assert guard.differences(case_named("client-create_run-of a named user"), "azure")


def test_the_guard_finds_a_plugin_that_writes_into_the_store(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(door: Door) -> None:
        be_slow(door)
        store = type(door.client._tracking_client.store)
        monkeypatch.setattr(store, "delete_run", lambda self, run_id: door.backend.store.delete_run(run_id))

    assert guard.differences(case_named("client-delete_run-there"), "azure", {PLUGIN: write})


def test_the_guard_finds_a_script_that_searches_the_store(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fluent, "search_runs", lambda ids: search_frame(fluent.MlflowClient().store, ids))

    assert guard.differences(case_named("mlflow-search_runs-a frame"), "oss")


# --- what was wrong before all doors had one backend ----------------------------------------------------------------


@pytest.mark.parametrize("name", DOORS)
def test_the_user_of_a_run_is_the_display_name_that_the_service_writes(name: str, guard: Guard) -> None:
    run = guard.visit(name, case_named("client-create_run-of a named user"), "azure").seen.answer

    assert ("Display Name", "Display Name") == (run["info"]["user_id"], run["data"]["tags"]["mlflow.user"])


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("case", ["with 60 tags", "with a long tag", "with a long key"])
def test_the_tags_of_a_new_run_are_limited(case: str, name: str, guard: Guard) -> None:
    refusal = guard.visit(name, case_named(f"client-create_run-{case}"), "azure").seen.refusal

    assert refusal is not None
    assert refusal[1].startswith("A field of the entity is over the size limit.")


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("case", ["log_inputs-models", "create_registered_model-with everything"])
def test_every_door_has_logged_and_registered_models(case: str, name: str, guard: Guard) -> None:
    assert guard.visit(name, case_named(f"client-{case}"), "oss").seen.refusal is None
