"""Child processes of a test: whichever way they start, what they log is in the store of the test."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.tracking._tracking_service.registry import TrackingStoreRegistry

import mlquery
import mlquery.fluent
from mlquery.backend import remote
from mlquery.mocking import Mock, children
from mlquery.processes import PARENT_VARIABLE, Address
from tests.support import child_jobs
from tests.support.child_jobs import train, train_elsewhere, train_nested

TOP = Path(__file__).resolve().parents[1]
FORK = multiprocessing.get_context("fork")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="it is about forks")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run each test in a folder of its own, in which no child leaves a file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(TOP), os.environ.get("PYTHONPATH", "")])))
    yield
    assert [] == [path.name for path in tmp_path.iterdir() if path.name in ("mlflow.db", "production.db", "mlruns")]


@pytest.fixture
def mock() -> Iterator[Mock]:
    with mlquery.mock() as active:
        yield active


def in_fork(call: Callable[[], Any]) -> Any:
    """Return what a call returns in a forked child, or a sentence about what it raises."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        with suppress(BaseException), os.fdopen(writing, "w") as answer:
            try:
                json.dump(call(), answer)
            except BaseException as error:
                json.dump(f"{type(error).__name__}: {error}", answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        found = answer.read()
    assert (pid, 0) == os.waitpid(pid, 0)
    return json.loads(found)


def python(code: str, **options: Any) -> str:
    """Return what a Python of its own prints."""
    arguments = [sys.executable, "-W", "error::ResourceWarning", "-c", textwrap.dedent(code)]
    done: subprocess.CompletedProcess[str] = subprocess.run(
        arguments, capture_output=True, text=True, check=False, **options
    )
    assert not done.returncode, done.stderr
    return done.stdout


def names_in(mock: Mock) -> set[str | None]:
    return {mock.store.get_run(run_id).info.run_name for run_id in mock.store.runs.ids}


def weights(mock: Mock, run_id: str) -> bytes:
    (content,) = mock.backend.download_artifacts(run_id, "weights.txt").values()
    return content


# Forks


def test_a_forked_child_logs_into_the_store_of_the_test(mock: Mock) -> None:
    run_id = in_fork(lambda: train("forked"))

    found = mlflow.get_run(run_id)
    assert {"loss": 0.5} == found.data.metrics
    assert str(os.getpid()) != found.data.params["pid"]
    assert b"weights of forked" == weights(mock, run_id)
    assert "weights of forked" == mlflow.artifacts.load_text(f"{found.info.artifact_uri}/weights.txt")


def test_a_forked_child_sees_what_the_test_logs_later(mock: Mock) -> None:
    there, here = FORK.Pipe()
    worker = FORK.Process(target=child_jobs.work, args=(there,))
    worker.start()
    run_id = train("later")

    here.send((mlflow.get_run, run_id))

    assert "later" == here.recv().info.run_name
    here.send((None,))
    worker.join()


def test_an_inherited_uri_leads_to_the_test_whatever_a_child_sets(mock: Mock) -> None:
    in_fork(lambda: train_elsewhere("elsewhere"))

    assert {"elsewhere"} == names_in(mock)


@pytest.mark.slow
def test_a_forked_child_has_the_active_runs_and_experiments_that_it_has_with_mlflows_own_store(tmp_path: Path) -> None:
    def state() -> list[Any]:
        active, last = mlflow.active_run(), mlflow.last_active_run()
        return [active and active.info.run_name, last and last.info.run_name, mlflow.set_experiment("b").experiment_id]

    def states() -> list[Any]:
        mlflow.set_experiment("a")
        with mlflow.start_run(run_name="outer"):
            inside = in_fork(state)
        return [inside, in_fork(state), [each.name for each in mlflow.search_experiments(order_by=["name"])]]

    with mlquery.mock(passthrough=["sqlite:"]):
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/own.db")
        expected = states()
    with mlquery.mock():
        assert expected == states()


def test_the_fluent_functions_of_this_package_lead_to_the_test_in_a_forked_child(mock: Mock) -> None:
    def fluent() -> str:
        with mlquery.fluent.start_run(run_name="fluent") as run:
            mlquery.fluent.log_metric("loss", 0.5)
            mlquery.fluent.log_text("weights", "weights.txt")
        assert 1 == len(mlquery.fluent.search_runs(filter_string="metrics.loss < 1"))
        return str(run.info.run_id)

    mlquery.fluent.set_experiment("fluently")
    run_id = in_fork(fluent)

    assert {"loss": 0.5} == mock.client.get_run(run_id).data.metrics
    assert "fluently" == mock.store.get_experiment(mock.client.get_run(run_id).info.experiment_id).name
    assert b"weights" == weights(mock, run_id)


@pytest.mark.parametrize(
    "write",
    [
        lambda mock: mock.store.create_experiment("lost"),
        lambda mock: mock.client.create_experiment("lost"),
        lambda mock: mock.client.create_registered_model("lost"),
        lambda mock: mock.store.artifacts.put("", "lost", b""),
        lambda mock: mlquery.Client(mock.store).search_experiments(),
    ],
)
def test_what_would_be_lost_in_the_copy_of_a_forked_child_is_refused(write: Callable[[Mock], Any], mock: Mock) -> None:
    refusal = in_fork(lambda: write(mock))

    assert f"StoreError: this store is in the memory of process {os.getpid()}, which has started this one" in refusal
    assert "Use `mlflow` or `mlquery.fluent`" in refusal


def test_a_forked_child_that_leaves_the_mock_ends_no_run_of_the_test_and_stays_with_its_store(mock: Mock) -> None:
    def leave() -> str:
        mock.stop()
        return train("after the block")

    with mlflow.start_run(run_name="of the test") as run:
        in_fork(leave)
        assert "RUNNING" == mlflow.get_run(run.info.run_id).info.status

    assert {"of the test", "after the block"} == names_in(mock)


def test_a_mock_in_a_child_is_its_own(mock: Mock) -> None:
    def mocked() -> list[Any]:
        with mlquery.mock() as inner:
            train("inside")
            grandchild = in_fork(lambda: train("grandchild"))
            names = names_in(inner)
        train("outside")
        return [sorted(map(str, names)), len(grandchild)]

    assert [["grandchild", "inside"], 32] == in_fork(mocked)
    assert {"outside"} == names_in(mock)


def test_children_of_children_lead_to_the_test(mock: Mock) -> None:
    in_fork(lambda: [train("child"), in_fork(lambda: train("grandchild"))])

    assert {"child", "grandchild"} == names_in(mock)


def test_pools_of_forked_processes(mock: Mock) -> None:
    with FORK.Pool(2) as pool:
        pool.map(train, ["a", "b"])
    with ProcessPoolExecutor(2, FORK) as executor:
        list(executor.map(train, ["c", "d"]))

    assert {"a", "b", "c", "d"} == names_in(mock)


def test_a_child_of_nested_mocks_works_on_the_inner_one(mock: Mock) -> None:
    with mlquery.mock() as inner:
        in_fork(lambda: train("inner"))
    in_fork(lambda: train("outer"))

    assert ({"inner"}, {"outer"}) == (names_in(inner), names_in(mock))


def test_processes_that_live_longer_than_a_test_work_on_the_store_of_the_next_one_and_between_them_on_none() -> None:
    there, here = FORK.Pipe()
    worker = FORK.Process(target=child_jobs.work, args=(there,))

    def ask(*order: Any) -> Any:
        here.send(order)
        return here.recv()

    with mlquery.mock() as first:
        worker.start()
        ask(train, "one")
    refused = ask(train, "between")
    with mlquery.mock("azure") as second:
        ask(train, "two")
        seen = ask(mlflow.search_runs)
    here.send((None,))
    worker.join()

    assert ({"one"}, {"two"}) == (names_in(first), names_in(second))
    assert ["two"] == list(seen["tags.mlflow.runName"])
    assert f"process {os.getpid()} has no active mock now" in refused
    assert "MlflowException" in refused


# What a child gets back


def test_errors_and_faults_come_back_as_they_are_in_the_test() -> None:
    def fails() -> list[str]:
        found = []
        for call in (
            lambda: mlflow.get_run("0" * 32),
            lambda: mlflow.search_runs(filter_string="metrics.a >"),
            lambda: mlflow.set_tag("a", "b"),
        ):
            try:
                call()
            except Exception as error:
                found.append(re.sub(r"'Correlation': {.+?}", "", f"{type(error).__name__}: {error}"))
        return found

    with mlquery.mock("azure", clock=1) as mock:
        mock.store.fail_next("set_tag", TimeoutError("too slow"), 2)
        with mlflow.start_run():
            here = fails()
        there = in_fork(fails)
        mock.store.offline = True
        offline = in_fork(lambda: mlflow.get_experiment("0"))
        mock.store.offline = False
        mlflow.end_run()

    assert here == there
    assert "TimeoutError: too slow" == there[-1]
    assert "the store is offline" in offline


def test_a_warning_is_issued_where_the_child_has_made_the_call() -> None:
    def warned() -> list[str]:
        client = mlflow.MlflowClient()
        with warnings.catch_warnings(record=True) as found, suppress(mlflow.MlflowException):
            warnings.simplefilter("always")
            client.restore_experiment(client.create_experiment("active"))
        return [f"{warning.filename}: {warning.message}" for warning in found]

    with mlquery.mock("azure"):
        (warning,) = in_fork(warned)

    assert warning.startswith(f"{__file__}: ")
    assert "no source says that azure supports restore_experiment" in warning


def test_the_store_of_an_mlflow_server_that_is_a_child_is_its_own(mock: Mock) -> None:
    def served() -> Any:
        class OfServer(TrackingStoreRegistry):
            """As in `mlflow.server.handlers`."""

        registry: Any = OfServer()  # type: ignore[no-untyped-call]
        registry.register("sqlite", lambda store_uri, artifact_uri: store_uri)
        return registry.get_store("sqlite:///own.db")

    assert "sqlite:///own.db" == in_fork(served)


def test_a_child_has_the_clock_of_the_mock() -> None:
    with mlquery.mock(clock=1_700_000_000_000) as mock:
        run_id = in_fork(lambda: train("then"))
        mock.clock.tick(5)
        later = in_fork(lambda: train("later"))

    assert [1_700_000_000_000, 1_700_000_000_005] == [
        mock.client.get_run(each).info.start_time for each in (run_id, later)
    ]


def test_an_answer_that_cannot_be_sent_is_an_error_of_the_call(mock: Mock) -> None:
    class Local(Exception):
        pass

    mock.store.fail_next("get_experiment", Local("only here"))

    assert "MlflowException: Local: only here" == in_fork(lambda: mlflow.get_experiment("0"))


def test_a_child_with_another_release_is_refused(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    def other() -> Any:
        monkeypatch.setattr(mlquery, "__version__", "0.0.1")
        return mlflow.get_experiment("0")

    refusal = in_fork(other)

    assert f"it has mlquery 0.0.1, mlflow {mlflow.__version__}, the test has mlquery {mlquery.__version__}" in refusal


# Who else is on this machine


def test_whoever_does_not_know_the_key_is_not_heard_and_holds_nobody_up(mock: Mock) -> None:
    os.system("true")
    address = Address.read(os.environ[PARENT_VARIABLE])
    silent = socket.create_connection(("127.0.0.1", address.port))
    silent.sendall(b"x")
    guessing = socket.create_connection(("127.0.0.1", address.port))
    guessing.sendall(bytes(32))
    greeting = guessing.recv(64, socket.MSG_WAITALL)
    guessing.sendall(Address(0, 0, "00" * 32).proof(b"child", greeting[:32]))

    assert b"" == guessing.recv(1)
    assert in_fork(lambda: train("meanwhile"))
    silent.close()
    guessing.close()


def test_a_child_trusts_nobody_who_does_not_know_the_key(mock: Mock) -> None:
    def betrayed() -> Any:
        with socket.create_server(("127.0.0.1", 0)) as server:
            backend = remote.RemoteBackend(Address(1, server.getsockname()[1], "00"))
            answering = threading.Thread(target=lambda: server.accept()[0].sendall(bytes(64)))
            answering.start()
            try:
                return backend.get_experiment("0")
            finally:
                answering.join()

    assert "StoreError: This process was started by a test" in in_fork(betrayed)


@pytest.fixture
def no_earlier_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no process of an earlier test be there, such as a database server that this worker has for its tests."""
    monkeypatch.setattr("mlquery.mocking.children._has_children", lambda: False)


# Nothing is left


@pytest.mark.usefixtures("no_earlier_children")
def test_nothing_runs_before_the_first_child_and_nothing_is_left_after_the_mock() -> None:
    before = (threading.enumerate(), os.fork, os.system, os.environ.get(PARENT_VARIABLE))
    with mlquery.mock():
        assert before[0] == threading.enumerate()
        assert before[3] == os.environ.get(PARENT_VARIABLE)
        os.system("true")
        address = Address.read(os.environ[PARENT_VARIABLE])
        assert ["mlquery children"] == [each.name for each in threading.enumerate() if each not in before[0]]

    assert before == (threading.enumerate(), os.fork, os.system, os.environ.get(PARENT_VARIABLE))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", address.port))


def test_files_that_are_open_do_not_grow_in_number_from_mock_to_mock() -> None:
    def opened() -> int:
        with mlquery.mock():
            in_fork(lambda: train("again"))
        return len(os.listdir("/proc/self/fd" if os.path.exists("/proc/self/fd") else "/dev/fd"))

    assert opened() == opened()


def test_no_thread_of_the_mock_is_there_at_the_moment_of_a_fork(mock: Mock) -> None:
    os.system("true")
    children._before_fork()
    names = [thread.name for thread in threading.enumerate()]
    children._after_fork_in_parent()

    assert "mlquery children" not in names
    assert "mlquery children" in [thread.name for thread in threading.enumerate()]


def test_locks_of_the_store_that_other_threads_hold_at_the_moment_of_a_fork_do_not_stop_a_child(mock: Mock) -> None:
    is_done = threading.Event()

    def busy() -> None:
        while not is_done.is_set():
            with mock.store.lock:
                mock.client.search_experiments()

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for place in range(3):
            assert 32 == len(in_fork(lambda name=f"{place}": train(name)))  # type: ignore[misc]
    finally:
        is_done.set()
        thread.join()


def test_a_function_that_a_test_has_replaced_stays_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    with mlquery.mock():
        monkeypatch.setattr(os, "system", calls.append)
        os.system("replaced inside")
    os.system("replaced still")
    with mlquery.mock():
        os.system("replaced before")
    monkeypatch.undo()

    assert ["replaced inside", "replaced still", "replaced before"] == calls


# Environments


@pytest.mark.usefixtures("no_earlier_children")
@pytest.mark.parametrize(
    "environment",
    [
        lambda: None,
        lambda: {**os.environ},
        lambda: {},
        lambda: {**os.environ, PARENT_VARIABLE: "1:2:00"},
        lambda: {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()},
    ],
)
def test_a_program_gets_the_address_whatever_environment_it_is_given(environment: Callable[[], Any]) -> None:
    with mlquery.mock():
        given = environment()  # made before the first child
        shown = subprocess.run(["/usr/bin/env"], env=given, capture_output=True, text=True, check=True).stdout
        closing = subprocess.run(  # the other way in which Python starts a program
            ["/usr/bin/env"], env=given, capture_output=True, text=True, check=True, close_fds=False
        ).stdout
        expected = f"{PARENT_VARIABLE}={os.environ[PARENT_VARIABLE]}"

    assert [expected, expected] == [
        line for line in [*shown.split("\n"), *closing.split("\n")] if PARENT_VARIABLE in line
    ]


def test_programs_that_are_started_by_a_shell_or_directly_get_the_address(tmp_path: Path) -> None:
    with mlquery.mock():
        os.system(f"env > {tmp_path}/system")
        expected = f"{PARENT_VARIABLE}={os.environ[PARENT_VARIABLE]}\n"
        with os.popen("env") as output:
            shown = output.read()
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", f"env > {tmp_path}/spawned"], {"PATH": os.environ["PATH"]})
        os.waitpid(pid, 0)

    assert expected in (tmp_path / "system").read_text("utf-8")
    assert expected in (tmp_path / "spawned").read_text("utf-8")
    assert expected in shown


def test_an_address_that_was_there_before_the_mock_is_there_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PARENT_VARIABLE, "1:2:00")
    with mlquery.mock():
        os.system("true")
        assert "1:2:00" != os.environ[PARENT_VARIABLE]

    assert "1:2:00" == os.environ[PARENT_VARIABLE]


# Programs of their own


@pytest.mark.slow
def test_a_program_finds_the_run_of_the_test_and_leaves_files_models_and_versions_there(mock: Mock) -> None:
    with mlflow.start_run(run_name="of the test") as run:
        shown = python(
            """
            import os, sys, mlflow
            from tests.support.child_jobs import train, train_nested

            mlflow.set_tracking_uri("sqlite:///production.db")
            mlflow.set_registry_uri("sqlite:///production.db")
            with mlflow.start_run() as run:
                mlflow.log_metric("loss", 0.5)
                with open("report.txt", "w") as file:
                    file.write("all is well")
                mlflow.log_artifact("report.txt", "reports")
                os.remove("report.txt")
                with open("model.py", "w") as file:
                    file.write("import mlflow; mlflow.models.set_model(lambda model_input: model_input)")
                model = mlflow.pyfunc.log_model(
                    name="model", python_model="model.py", registered_model_name="churn", pip_requirements=["mlflow"]
                )
                os.remove("model.py")
            train_nested(run.info.run_id)
            pid = os.fork()
            if not pid:
                train("grandchild")
                os._exit(0)
            os.waitpid(pid, 0)
            assert 3 == len(mlflow.search_runs())
            print(run.info.run_id, model.model_id)
            """,
            env={**os.environ, "MLFLOW_RUN_ID": run.info.run_id},
        )

    run_id, model_id = shown.split()
    assert run.info.run_id == run_id
    assert {"loss": 0.5} == mlflow.get_run(run_id).data.metrics
    assert "all is well" == mlflow.artifacts.load_text(f"runs:/{run_id}/reports/report.txt")
    assert {"of the test", "trial", "grandchild"} == names_in(mock)
    assert model_id == mlflow.get_logged_model(model_id).model_id
    assert "READY" == mlflow.get_logged_model(model_id).status
    assert f"models:/{model_id}" == mlflow.MlflowClient().get_model_version("churn", "1").source
    assert "MLmodel" in [file.path for file in mlflow.artifacts.list_artifacts("models:/churn/1")]


@pytest.mark.slow
def test_a_program_that_imports_this_package_first_has_mocks_of_its_own_and_then_the_store_of_the_test(
    mock: Mock,
) -> None:
    mlflow.set_experiment("churn")
    python(
        """
        import mlquery
        from mlquery.mocking import Mock
        import mlflow
        from tests.support.child_jobs import train, train_elsewhere

        with mlquery.mock() as mock:
            train("private")
        assert 1 == mock.store.runs.size
        train_elsewhere("public")
        """,
        env={name: value for name, value in os.environ.items() if name != "MLFLOW_EXPERIMENT_ID"}
        | {"MLFLOW_EXPERIMENT_NAME": "churn", "MLFLOW_TRACKING_URI": "sqlite:///production.db"},
    )

    assert ["public"] == list(mlflow.search_runs()["tags.mlflow.runName"])


@pytest.mark.slow
def test_a_program_without_mlflow_uses_the_fluent_functions_on_the_store_of_the_test(mock: Mock) -> None:
    shown = python(
        """
        import sys
        import mlquery.fluent

        with mlquery.fluent.start_run(run_name="fluent") as run:
            mlquery.fluent.log_metric("loss", 0.5)
        assert "mlflow" not in sys.modules
        print(run.info.run_id)
        """
    )

    assert {"loss": 0.5} == mock.client.get_run(shown.strip()).data.metrics


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_of_multiprocessing_that_share_no_memory(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    before = context.Process(target=os.getpid)  # starts the server of forks, which knows nothing of the mock
    before.start()
    before.join()
    with mlquery.mock() as mock, context.Pool(1) as pool:
        pool.apply(train_nested, pool.map(train_elsewhere, ["pooled"]))

    assert {"pooled", "trial"} == names_in(mock)


@pytest.mark.slow
def test_loky_keeps_its_workers_from_test_to_test() -> None:
    joblib = pytest.importorskip("joblib")
    found = []
    for place in ("first", "second"):
        with mlquery.mock() as mock, joblib.parallel_config("loky", n_jobs=2):
            joblib.Parallel()(joblib.delayed(train_elsewhere)(f"{place} {each}") for each in range(2))
        pids = {mock.client.get_run(run_id).data.params["pid"] for run_id in mock.store.runs.ids}
        found.append((names_in(mock), pids))
    joblib.externals.loky.get_reusable_executor().shutdown()

    (first, first_pids), (second, second_pids) = found
    assert ({"first 0", "first 1"}, {"second 0", "second 1"}) == (first, second)
    assert str(os.getpid()) not in first_pids | second_pids


@pytest.mark.slow
def test_workers_of_a_session_that_get_their_functions_through_a_pipe_work_on_the_store_of_each_test() -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    code = "import pickle, sys\nwhile True:\n    print(pickle.load(sys.stdin.buffer)(), flush=True)"

    def named(name: str) -> bytes:
        pickled: bytes = cloudpickle.dumps(lambda: train_elsewhere(name))
        return pickled

    tests = []
    with (
        mlquery.mock() as session,
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker,
    ):
        assert worker.stdin
        assert worker.stdout
        for name in ("a", "b"):
            with mlquery.mock() as test:
                worker.stdin.write(named(name))
                worker.stdin.flush()
                tests.append((name, names_in(test) if worker.stdout.readline() else None))
        worker.kill()

    assert [("a", {"a"}), ("b", {"b"})] == tests
    assert set() == names_in(session)


@pytest.mark.slow
def test_a_local_project(mock: Mock, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "MLproject").write_text(
        f"name: trees\nentry_points:\n  main:\n    command: {sys.executable} train.py\n", "utf-8"
    )
    (project / "train.py").write_text(
        "import mlflow\nwith mlflow.start_run():\n    mlflow.log_metric('loss', 0.5)\n", "utf-8"
    )

    submitted = mlflow.projects.run(str(project), env_manager="local", experiment_name="projects")

    run = mlflow.get_run(submitted.run_id)
    assert {"loss": 0.5} == run.data.metrics
    assert ("FINISHED", "projects") == (run.info.status, mlflow.get_experiment(run.info.experiment_id).name)
