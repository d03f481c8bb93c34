"""Whole sessions on one store (`mlquery = auto`) or away from all others (`guard`); each test runs a small suite."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlquery.mocking import mlflow_state  # imports MLflow, which a suite in this process would drop again
from tests.support.mlflow_globals import fingerprint

pytest_plugins = ["pytester"]
assert mlflow_state

INI = """
[pytest]
mlquery = {setting}
filterwarnings =
    error
    ignore::DeprecationWarning:mlflow
    ignore::DeprecationWarning:sqlalchemy
"""
LOG = """
import mlflow
import pytest
import mlquery
from mlflow import MlflowClient

def log(name):
    with mlflow.start_run(run_name=name) as run:
        mlflow.log_metric("loss", 0.5)
    return run.info.run_id

def names():
    found = mlflow.search_runs(output_format="list", search_all_experiments=True)
    return sorted(run.info.run_name for run in found)
"""
QUIET = ("-p", "no:cacheprovider", "-p", "no:randomly", "-q")


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a folder with a pytest.ini of a session that is protected, on a machine with a server in production."""
    pytester.makeini(INI.format(setting="auto"))
    pytester.makepyfile(steps=LOG)
    pytester.syspathinsert()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:1")
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", None)  # by a test of another file
    return pytester


def run(suite: pytest.Pytester, *options: str, **files: str) -> pytest.RunResult:
    """Run test files, which may use what `steps` has, and see that MLflow is left as it was and nothing on the disk."""
    suite.makepyfile(**{name: f"from steps import *\n{code}" for name, code in files.items()})
    before, here = fingerprint(), set(os.listdir(suite.path))
    result = suite.runpytest_inprocess(*QUIET, *options)
    assert before == fingerprint()
    assert set(os.listdir(suite.path)) - {"__pycache__"} == here - {"__pycache__"}
    return result


def test_what_fixtures_of_every_scope_log_is_there_and_each_test_works_on_a_copy(suite: pytest.Pytester) -> None:
    code = """
mlflow.set_tracking_uri("sqlite:///production.db")
client = MlflowClient()
log("import")

@pytest.fixture(scope="session")
def of_session(): return log("session")
@pytest.fixture(scope="package")
def of_package(): return log("package")
@pytest.fixture(scope="module")
def of_module(of_session): return log("module")
@pytest.fixture(scope="class")
def of_class(of_module): return log("class")
@pytest.fixture
def of_function(): return log("function")

ALL = ["class", "import", "module", "package", "session"]

class TestClass:
    @pytest.mark.parametrize("number", [1, 2])
    def test_copy(self, number, of_package, of_class, of_session):
        assert ALL == names()
        log("test")
        client.set_tag(of_session, "key", "value")
        client.delete_run(of_class)
        assert "value" == mlflow.get_run(of_session).data.tags["key"]

    def test_untouched(self, of_function, of_session):
        assert sorted([*ALL, "function"]) == names()
        assert "key" not in mlflow.get_run(of_session).data.tags
        assert "sqlite:///production.db" == mlflow.get_tracking_uri()

def test_outside_of_the_class():
    assert ["import", "module", "package", "session"] == names()
"""
    run(suite, test_scopes=code).assert_outcomes(passed=4)


def test_what_a_module_logs_is_gone_outside_of_it_and_what_a_late_session_fixture_logs_stays(
    suite: pytest.Pytester,
) -> None:
    suite.makeconftest("""
from steps import *

@pytest.fixture(scope="session")
def late():
    mlflow.log_text("text", "file.txt", run_id=(run_id := log("late")))
    MlflowClient().create_registered_model("late")
    yield run_id
    assert ["late"] == names()
    assert "text" == mlflow.artifacts.load_text(f"runs:/{run_id}/file.txt")
""")
    first = """
@pytest.fixture(scope="module", autouse=True)
def of_module():
    mlflow.set_experiment("of the module")
    run_id = log("module")
    MlflowClient().create_registered_model("module")
    yield
    assert run_id in [run.info.run_id for run in mlflow.search_runs(output_format="list")]
    log("teardown")

def test_early():
    assert ["module"] == names()

def test_late(late):
    assert ["late", "module"] == names()
    assert ["late", "module"] == sorted(model.name for model in MlflowClient().search_registered_models())
"""
    second = """
def test_session_only(late):
    assert ["late"] == names()
    assert "text" == mlflow.artifacts.load_text(f"runs:/{late}/file.txt")
    assert ["late"] == [model.name for model in MlflowClient().search_registered_models()]
    assert "of the module" == mlflow.get_experiment(mlflow.get_run(late).info.experiment_id).name

def test_active_experiment():
    assert "0" == mlflow.get_run(log("default")).info.experiment_id
"""
    run(suite, test_a=first, test_b=second).assert_outcomes(passed=4)


def test_what_a_wider_fixture_builds_on_stays_with_it(suite: pytest.Pytester) -> None:
    suite.makeconftest("""
from steps import *

@pytest.fixture(scope="session")
def child():
    with mlflow.start_run(run_name="child", nested=True) as run:
        mlflow.log_text("text", "file.txt", run_id=run.data.tags["mlflow.parentRunId"])
    return run.info.run_id
""")
    first = """
@pytest.fixture(scope="module", autouse=True)
def of_module():
    log("forgotten")
    with mlflow.start_run(run_name="parent"):
        mlflow.log_text("of the parent", "parent.txt")
        yield

def test_parent():
    assert ["forgotten", "parent"] == names()

def test_child(child):
    assert ["child", "forgotten", "parent"] == names()
"""
    second = """
def test_child(child):
    parent = mlflow.get_parent_run(child)
    assert ["child", "parent"] == names()
    assert "text" == mlflow.artifacts.load_text(f"runs:/{parent.info.run_id}/file.txt")
    assert "of the parent" == mlflow.artifacts.load_text(f"runs:/{parent.info.run_id}/parent.txt")
"""
    run(suite, test_a=first, test_b=second).assert_outcomes(passed=3)


def test_what_one_module_changes_in_the_runs_of_the_session_is_undone_after_it(suite: pytest.Pytester) -> None:
    suite.makeconftest("""
from steps import *

@pytest.fixture(scope="session")
def trained():
    run_id = log("session")
    mlflow.log_text("of the session", "file.txt", run_id=run_id)
    MlflowClient().create_registered_model("churn", tags={"key": "of the session"})
    return run_id
""")
    code = """
@pytest.fixture(scope="module")
def changed(trained):
    client = MlflowClient()
    client.set_tag(trained, "key", "value")
    client.log_text(trained, "of the module", "file.txt")
    client.create_model_version("churn", "here", trained)
    client.set_registered_model_tag("churn", "key", "of the module")

def contents(run_id):
    client = MlflowClient()
    return (
        client.get_run(run_id).data.tags.get("key"),
        mlflow.artifacts.load_text(f"runs:/{run_id}/file.txt"),
        client.get_registered_model("churn").tags,
        len(client.search_model_versions()),
    )

def test_before(trained):
    assert (None, "of the session", {"key": "of the session"}, 0) == contents(trained)

def test_after(trained, changed):
    assert ("value", "of the module", {"key": "of the module"}, 1) == contents(trained)
"""
    run(suite, test_a=code, test_b=code).assert_outcomes(passed=4)


def test_set_up_functions_of_modules_and_classes_are_such_fixtures(suite: pytest.Pytester) -> None:
    code = """
import unittest

def setup_module():
    log("module")

def teardown_module():
    assert ["module"] == names()

class TestClass:
    @classmethod
    def setup_class(cls):
        log("class")

    def setup_method(self):
        log("method")

    def test_one(self):
        assert ["class", "method", "module"] == names()

    def test_two(self):
        assert ["class", "method", "module"] == names()

class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        log("case")

    @classmethod
    def tearDownClass(cls):
        assert ["case", "module"] == names()

    def setUp(self):
        log("set up")

    def test_one(self):
        self.assertEqual(["case", "module", "set up"], names())

    def test_two(self):
        self.assertEqual(["case", "module", "set up"], names())

def test_function():
    assert ["module"] == names()
"""
    run(suite, test_a=code, test_b="def test_b(): assert [] == names()").assert_outcomes(passed=6)


def test_what_a_wide_fixture_sets_in_mlflow_holds_in_the_tests_of_its_scope(suite: pytest.Pytester) -> None:
    suite.makeconftest("""
from steps import *
import os

@pytest.fixture(scope="session", autouse=True)
def settings():
    mlflow.set_experiment("of the session")
    mlflow.xgboost.autolog(log_models=False)
""")
    code = """
import os
from mlflow.utils.autologging_utils import AUTOLOGGING_INTEGRATIONS

@pytest.fixture(scope="module", autouse=True)
def active():
    with mlflow.start_run(run_name="held open") as run:
        yield run
    assert "FINISHED" == mlflow.get_run(run.info.run_id).info.status

def state():
    return (
        mlflow.active_run().info.run_name,
        mlflow.get_experiment(mlflow.active_run().info.experiment_id).name,
        os.environ["MLFLOW_EXPERIMENT_ID"],
        AUTOLOGGING_INTEGRATIONS["xgboost"].get("disable"),
        mlflow.get_tracking_uri(),
    )

@pytest.mark.parametrize("number", [1, 2])
def test_changes_are_undone(number, active):
    assert ("held open", "of the session", "1", False, "mlquery://") == state()
    mlflow.log_metric("loss", number)
    assert [number] == [point.value for point in MlflowClient().get_metric_history(active.info.run_id, "loss")]
    mlflow.end_run()
    assert "FINISHED" == mlflow.get_run(active.info.run_id).info.status
    mlflow.set_experiment("of the test")
    mlflow.xgboost.autolog(disable=True)
    mlflow.set_tracking_uri("http://localhost:2")
"""
    other = """
def test_nothing_is_active():
    assert mlflow.active_run() is None
    assert "of the session" == mlflow.get_experiment(mlflow.get_run(log("x")).info.experiment_id).name
"""
    run(suite, test_a=code, test_b=other).assert_outcomes(passed=3)


def test_a_run_that_a_test_leaves_active_is_reported_and_one_of_a_wider_fixture_is_not(suite: pytest.Pytester) -> None:
    code = """
@pytest.fixture(scope="session")
def held():
    return mlflow.start_run(run_name="held")

def test_careless(held):
    mlflow.start_run(run_name="careless", nested=True)

def test_tidy(held):
    assert held.info.run_id == mlflow.active_run().info.run_id
"""
    result = run(suite, "-W", "default::mlquery.MockWarning", test_a=code)

    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(["*MockWarning: the run 'careless' (*) was left active*"])


def test_what_tests_ask_for_by_name_works_on_their_copy(suite: pytest.Pytester) -> None:
    code = """
@pytest.fixture(scope="module")
def trained():
    return log("trained")

def test_alone(mlquery_store):
    assert [] == names()
    assert 32 == len(log("mine")) and 1 == mlquery_store.runs.size

@pytest.mark.mlquery(dialect="azure", seed=1, clock=7)
def test_empty_store_with_arguments(mlquery_mock):
    assert ("azure", 7, "1e2feb89") == (mlquery_mock.dialect, mlquery_mock.clock(), log("mine")[:8])

def test_copy(trained, mlquery_store, mlquery_client):
    log("mine")
    assert ["mine", "trained"] == names()
    assert 2 == mlquery_store.runs.size == len(mlquery_client.search_runs(["0"]))

@pytest.mark.mlquery(dialect="azure", seed=1, clock=7)
def test_copy_with_arguments(trained, mlquery_mock):
    run = mlflow.get_run(log("mine"))
    assert (32, 7, "azure") == (len(run.info.run_id), run.info.start_time, mlquery_mock.dialect)
    assert ["mine", "trained"] == names()

def test_each_dialect(trained, mlquery_dialect, mlquery_mock):
    assert mlquery_dialect == mlquery_mock.dialect
    assert ["trained"] == names()

def test_by_hand(trained, request):
    log("mine")
    assert 2 == request.getfixturevalue("mlquery_store").runs.size

@pytest.mark.mlquery(store=mlquery.Store())
def test_another_store(trained):
    assert [] == names()
    with pytest.raises(mlflow.exceptions.MlflowException, match="not found.* in the store of the mock around it"):
        mlflow.get_run(trained)
"""
    run(suite, test_a=code).assert_outcomes(passed=8)


def test_a_wide_fixture_that_a_test_asks_for_while_it_runs_does_not_see_the_test(suite: pytest.Pytester) -> None:
    code = """
@pytest.fixture(scope="module")
def trained():
    assert [] == names()
    experiment = mlflow.set_experiment("of the fixture")
    with mlflow.start_run(run_name="trained") as run:
        mlflow.log_text("text", "file.txt")
        MlflowClient().create_registered_model("of the fixture")
        yield experiment.experiment_id

def test_by_value(request):
    mine = mlflow.set_experiment("of the test").experiment_id
    log("mine")
    assert request.getfixturevalue("trained") != mine
    assert ["mine", "trained"] == names()
    run = mlflow.active_run()
    assert "trained" == run.info.run_name
    assert "text" == mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/file.txt")
    assert "of the fixture" == MlflowClient().get_registered_model("of the fixture").name
    mlflow.end_run()
    assert "of the fixture" == mlflow.get_experiment(mlflow.get_run(log("next")).info.experiment_id).name

def test_by_name(trained):
    assert ["trained"] == names()
    assert "trained" == mlflow.active_run().info.run_name
"""
    run(suite, test_a=code).assert_outcomes(passed=2)


@pytest.mark.slow
def test_a_test_and_a_fixture_that_it_asks_for_later_cannot_make_the_same_thing(suite: pytest.Pytester) -> None:
    code = """
@pytest.fixture(scope="module")
def trained():
    mlflow.set_experiment("churn")

def test_by_value(request):
    mlflow.set_experiment("churn")
    request.getfixturevalue("trained")
"""
    result = run(suite, test_a=code)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*this test has made the experiment 'churn', and*name that fixture in the signature*"])


def test_a_mock_that_a_wide_fixture_starts_itself_is_left_alone(suite: pytest.Pytester) -> None:
    code = """
@pytest.fixture(scope="module")
def mock():
    with mlquery.mock("azure") as mock:
        yield mock

@pytest.mark.parametrize("number", [1, 2])
def test_in_it(number, mock):
    log("mine")
    assert number == mock.store.runs.size

def test_of_its_own(mock, mlquery_store):
    log("mine")
    assert (1, 2) == (mlquery_store.runs.size, mock.store.runs.size)
"""
    run(suite, test_a=code, test_b="def test_b(): assert [] == names()").assert_outcomes(passed=4)


def test_parametrized_fixtures_and_failing_ones_leave_the_scopes_in_order(suite: pytest.Pytester) -> None:
    code = """
@pytest.fixture(scope="module", params=["a", "b"])
def each(request):
    log(request.param)
    yield request.param
    log(f"teardown of {request.param}")

@pytest.fixture(scope="module")
def broken(each):
    log("broken")
    raise KeyError

def test_each(each):
    log("test")
    assert names()[0] == "a" and "test" in names()

def test_broken(broken):
    raise AssertionError
"""
    result = run(suite, test_a=code, test_b="def test_b(): assert [] == names()")

    result.assert_outcomes(passed=3, errors=2)


@pytest.mark.slow
def test_artifacts_are_files_for_the_whole_session(suite: pytest.Pytester) -> None:
    suite.makeini(INI.format(setting="auto") + "mlquery_artifacts = tmp\n")
    suite.makeconftest("""
from steps import *
from pathlib import Path

FOLDERS = set()

@pytest.fixture(scope="session")
def trained():
    run = mlflow.get_run(log("trained"))
    mlflow.log_text("of the session", "file.txt", run_id=run.info.run_id)
    FOLDERS.add(Path(run.info.artifact_uri))
    return run

@pytest.fixture(scope="session")
def late():
    run = mlflow.get_run(log("late"))
    mlflow.log_text("late", "file.txt", run_id=run.info.run_id)
    return run

def pytest_sessionfinish():
    assert all(folder.is_dir() for folder in FOLDERS)
""")
    code = """
from pathlib import Path

@pytest.fixture(scope="module")
def changed(trained):
    mlflow.log_text("of the module", "file.txt", run_id=trained.info.run_id)
    mlflow.log_text("of the module", "another.txt", run_id=trained.info.run_id)
    yield
    assert "of the module" == Path(trained.info.artifact_uri, "file.txt").read_text()

def test_original(trained):
    assert "of the session" == Path(mlflow.get_run(trained.info.run_id).info.artifact_uri, "file.txt").read_text()

def test_changed(trained, changed, late):
    uri = mlflow.get_run(trained.info.run_id).info.artifact_uri
    assert uri != trained.info.artifact_uri
    assert "of the module" == Path(uri, "file.txt").read_text()
    mlflow.log_text("of the test", "file.txt", run_id=trained.info.run_id)
    assert "of the module" == Path(trained.info.artifact_uri, "file.txt").read_text()

def test_late(late):
    assert "late" == Path(late.info.artifact_uri, "file.txt").read_text()
    assert "late" == mlflow.artifacts.load_text(f"runs:/{late.info.run_id}/file.txt")
"""
    run(suite, test_a=code, test_b=code + '\n\nassert not Path("mlruns").exists()').assert_outcomes(passed=6)


# Without the setting, and with the other ones


def test_a_run_that_was_logged_before_the_mock_is_not_found_with_a_hint_at_where_it_is(suite: pytest.Pytester) -> None:
    suite.makeini(INI.format(setting="off"))
    code = """
RUN_ID, MODEL_ID = "0123456789abcdef" * 2, "m-" + "0123456789abcdef" * 2

@pytest.mark.parametrize("dialect", ["oss", "azure"])
def test_elsewhere(dialect):
    asked = {
        f"Run with id={RUN_ID} not found": lambda client: client.get_run(RUN_ID),
        "No Experiment with id=17 exists": lambda client: client.get_experiment("17"),
        "Registered Model with name=churn not found": lambda client: client.get_registered_model("churn"),
    }
    if dialect == "oss":
        asked[f"Logged model with ID '{MODEL_ID}' not found."] = lambda client: client.get_logged_model(MODEL_ID)
    with mlquery.mock(dialect):
        for beginning, ask in asked.items():
            with pytest.raises(mlflow.exceptions.MlflowException) as failed:
                ask(MlflowClient())
            assert beginning in str(failed.value)
            assert "tracking URI before this mock was http://localhost:1" in str(failed.value)
            assert "mlquery = auto" in str(failed.value) and "passthrough=['http:']" in str(failed.value)

def test_no_id_of_mlflow(mlquery_store):
    with pytest.raises(mlflow.exceptions.MlflowException) as failed:
        mlflow.get_run("missing")
    assert "Run with id=missing not found" == failed.value.message
"""
    run(suite, test_a=code).assert_outcomes(passed=3)


def test_the_guard_refuses_all_servers_but_ours_in_every_thread(suite: pytest.Pytester) -> None:
    suite.makeini(INI.format(setting="guard"))
    code = """
import threading
from mlquery.errors import ServerForbiddenError

@pytest.mark.parametrize("uri", ["http://localhost:2", "sqlite:///production.db", "./mlruns", "databricks", None])
def test_refused(uri, monkeypatch):
    monkeypatch.setattr(mlflow.tracking._tracking_service.utils, "_tracking_uri", uri)
    with pytest.raises(ServerForbiddenError, match="mlquery_store.*mlquery = auto.*passthrough") as failed:
        log("refused")
    assert (uri or "http://localhost:1") in str(failed.value)
    with pytest.raises(ServerForbiddenError):
        MlflowClient(uri)
    with pytest.raises(ServerForbiddenError, match="registry server 'http://localhost:3'"):
        MlflowClient("mlquery://guarded", "http://localhost:3").create_registered_model("churn")

def test_default(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setattr(mlflow.tracking._tracking_service.utils, "_tracking_uri", None)
    with pytest.raises(ServerForbiddenError, match="sqlite:///"):
        mlflow.search_runs()

def test_thread():
    errors = []
    def work():
        try:
            MlflowClient()
        except ServerForbiddenError as error:
            errors.append(error)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert 1 == len(errors)

def test_ours():
    assert MlflowClient("mlquery://guarded").get_experiment("0").name == "Default"

def test_mock(mlquery_store):
    log("mine")
    assert 1 == mlquery_store.runs.size

def test_passthrough(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with mlquery.mock(passthrough=["file:"]):
        assert "Default" == MlflowClient((tmp_path / "mlruns").as_uri()).get_experiment("0").name
"""
    run(suite, test_a=code).assert_outcomes(passed=10)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("mlquery = on", "mlquery = on: choose one of off, auto, guard"),
        ("mlquery_artifacts = disk", "mlquery_artifacts = disk: choose one of memory, tmp"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_choices(line: str, complaint: str, suite: pytest.Pytester) -> None:
    suite.makeini(f"[pytest]\n{line}\n")

    result = suite.runpytest_inprocess(*QUIET)

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    assert complaint in str(result.stderr) + str(result.stdout)


# Processes of their own, in which MLflow is not imported yet


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["auto", "guard"])
def test_a_session_that_does_not_use_mlflow_never_imports_it(setting: str, suite: pytest.Pytester) -> None:
    suite.makeini(INI.format(setting=setting))
    suite.makepyfile("""
import sys
import pytest

@pytest.fixture(scope="module")
def wide(): yield

def test_plain(wide):
    assert not {"mlflow", "numpy", "pandas", "pyparsing", "sqlite3"} & set(sys.modules)
""")

    result = suite.runpytest_subprocess(*QUIET, "-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:cov")

    result.assert_outcomes(passed=1)


@pytest.mark.slow
def test_children_are_served_where_the_session_itself_does_not_import_mlflow(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        train="import mlflow; mlflow.set_tracking_uri('sqlite:///production.db'); mlflow.log_metric('auc', 0.9)",
        test_program="""
import subprocess, sys

def run(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    return done.stdout.strip()

def test_what_one_program_logs_another_one_finds():
    assert "mlflow" not in sys.modules
    run("import train")
    assert "1" == run("import mlflow; print(len(mlflow.search_runs()))")

def test_that_is_gone():
    import mlflow
    assert 0 == len(mlflow.search_runs())
""",
    )
    suite.runpytest_subprocess(*QUIET).assert_outcomes(passed=2)

    assert "production.db" not in os.listdir(suite.path)


@pytest.mark.slow
def test_mlflow_is_ours_wherever_it_is_first_imported(suite: pytest.Pytester) -> None:
    wide = """
import pytest, sys

@pytest.fixture(scope="module")
def trained():
    assert "mlflow" not in sys.modules
    import steps
    steps.log("trained")
    return steps

def test_one(trained):
    assert ["trained"] == trained.names()
    trained.log("mine")

def test_two(trained):
    assert ["trained"] == trained.names()
"""
    outside = """
def test_other_module():
    from steps import names
    assert [] == names()
"""
    in_test = """
import sys, importlib.resources

def test_one():
    assert "mlflow" not in sys.modules
    import mlflow
    assert mlflow.__spec__.loader is mlflow.__loader__
    assert importlib.resources.files("mlflow").joinpath("version.py").is_file()
    from steps import log, names
    log("mine")
    assert ["mine"] == names()

def test_two():
    from steps import names
    assert [] == names()
"""
    here = set(os.listdir(suite.path))
    for files in ({"test_a": wide, "test_b": outside}, {"test_a": in_test, "test_b": outside}):
        suite.makepyfile(**files)
        suite.runpytest_subprocess(*QUIET).assert_outcomes(passed=3)
    new = {name for name in set(os.listdir(suite.path)) - here if not name.startswith("runpytest-")}
    assert {"__pycache__", "stdout", "stderr", "test_a.py", "test_b.py"} >= new


class _Recorder(BaseHTTPRequestHandler):
    """Fails all requests and counts them."""

    calls: list[str]

    def do_GET(self) -> None:
        self.calls.append(f"{self.command} {self.path}")
        self.send_error(500)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def failing_server() -> Iterator[tuple[str, list[str]]]:
    """Give the URL of a server that must not be called, and the calls that came all the same."""
    calls: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Recorder", (_Recorder,), {"calls": calls}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", calls
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


BIG_CONFTEST = """
import random
import mlflow
from mlflow import MlflowClient
from steps import log, names
import pytest

client = MlflowClient()
mlflow.set_tracking_uri("sqlite:///production.db")

@pytest.fixture(scope="session")
def baseline():
    with mlflow.start_run(run_name="baseline") as run:
        mlflow.log_text("weights", "model/weights.txt")
    client.create_registered_model("churn")
    client.create_model_version("churn", f"{run.info.artifact_uri}/model", run.info.run_id)
    return run.info.run_id

def pytest_collection_modifyitems(items):
    random.Random(7).shuffle(items)
"""
BIG_MODULE = """
import mlflow
import pytest
from mlflow import MlflowClient
from steps import log, names

mlflow.set_tracking_uri("sqlite:///another.db")
client = MlflowClient("http://localhost:1")
NAME = __name__

@pytest.fixture(scope="module", autouse=True)
def of_module(baseline):
    mlflow.set_experiment(NAME)
    return log(f"module {NAME}")

@pytest.fixture(scope="class")
def of_class(of_module):
    with mlflow.start_run(run_name=f"class {NAME}") as run:
        yield run.info.run_id

class TestClass:
    @pytest.mark.parametrize("number", range(10))
    def test_class(self, number, of_class):
        assert of_class == mlflow.active_run().info.run_id
        mlflow.log_metric("loss", number)
        assert [number] == [point.value for point in client.get_metric_history(of_class, "loss")]
        assert ["baseline", f"class {NAME}", f"module {NAME}"] == names()

@pytest.mark.parametrize("number", range(10))
def test_function(number, baseline, of_module):
    assert ["baseline", f"module {NAME}"] == names()
    log("mine")
    client.log_text(baseline, "text", "more.txt")
    assert ["model", "more.txt"] == [info.path for info in client.list_artifacts(baseline)]
    client.create_model_version("churn", "here", of_module)
    assert 2 == len(client.search_model_versions("name = 'churn'"))
    client.delete_run(of_module)
"""


@pytest.mark.slow
def test_a_suite_of_200_tests_in_random_order_writes_nothing_outside_of_its_stores(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makeconftest(BIG_CONFTEST)
    suite.makepyfile(**{f"test_{number}": BIG_MODULE for number in range(10)})
    temporary = suite.mkdir("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    before = set(suite.path.rglob("*"))
    with failing_server() as (url, calls):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        result = suite.runpytest_subprocess(*QUIET, "-n", "2", "--basetemp", str(temporary / "pytest"))

    result.assert_outcomes(passed=200)
    assert [] == calls
    left = {path.relative_to(suite.path).as_posix() for path in set(suite.path.rglob("*")) - before}
    of_pytest = ("stdout", "stderr", "runpytest-", "temporary/pytest")
    assert [] == sorted(path for path in left if not path.startswith(of_pytest))
