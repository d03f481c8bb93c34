"""The fixtures and the marker, used as in the suites of other people: each test here runs pytest on a small suite."""

from __future__ import annotations

import pytest

from mlquery.mocking import mlflow_state  # imports MLflow, which a suite in this process would drop again

pytest_plugins = ["pytester"]
assert mlflow_state

QUIET = """
[pytest]
filterwarnings =
    error
    ignore::DeprecationWarning:mlflow
    ignore::DeprecationWarning:sqlalchemy
"""
TRAIN = """
import mlflow
import pytest
import mlquery

def train(name="trained"):
    with mlflow.start_run(run_name=name):
        mlflow.log_metric("loss", 0.5)
    return sorted(run.info.run_name for run in mlflow.search_runs(output_format="list"))
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a folder with a pytest.ini; the suites run in this process, as it has imported MLflow already."""
    pytester.makeini(QUIET)
    return pytester


def run(suite: pytest.Pytester, code: str, *options: str, **outcomes: int) -> pytest.RunResult:
    """Run a test file that can train, and compare how many of its tests passed, failed and so on."""
    suite.makepyfile(TRAIN + code)
    # In the order in which they are written, also where a plugin shuffles the tests of everybody.
    result = suite.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:randomly", *options)
    result.assert_outcomes(**outcomes)
    return result


def test_a_test_with_the_fixture_has_a_store_of_its_own(suite: pytest.Pytester) -> None:
    code = """
def test_one(mlquery_store):
    assert ["trained"] == train()
    assert 1 == mlquery_store.runs.size

def test_two(mlquery_client):
    assert ["trained"] == train()
    assert 1 == len(mlquery_client.search_runs("0", "metrics.loss < 1"))

def test_three(mlquery_mock):
    mlquery_mock.clock.set(5)
    train()
    assert [(5, 6)] == [(run.info.start_time, run.info.end_time) for run in mlquery_mock.client.search_runs("0")]
"""
    run(suite, code, passed=3)


def test_the_marker_is_enough_and_says_how_the_store_answers(suite: pytest.Pytester) -> None:
    code = """
@pytest.mark.mlquery
def test_open_source():
    assert ["trained"] == train()
    assert "0" == mlflow.get_experiment_by_name("Default").experiment_id

@pytest.mark.mlquery(dialect="azure", seed=1, clock=7)
def test_azure():
    train()
    with pytest.raises(mlflow.exceptions.MlflowException, match="not support"):
        mlflow.search_runs(order_by=["metrics.loss ASC"])
    run = mlflow.last_active_run()
    assert 36 == len(run.info.run_id)
    assert 7 == run.info.start_time

IDS = []

@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.mlquery(seed=1)
def test_ids_repeat(number, mlquery_store):
    train()
    IDS.append(list(mlquery_store.runs.ids))
    assert IDS[0] == IDS[-1]
"""
    run(suite, code, passed=4)


def test_the_nearest_marker_decides_argument_by_argument(suite: pytest.Pytester) -> None:
    code = """
pytestmark = pytest.mark.mlquery(dialect="azure", clock=1)

def test_module(mlquery_mock):
    assert ("azure", 1) == (mlquery_mock.dialect, mlquery_mock.clock())

@pytest.mark.mlquery(clock=2)
class TestClass:
    @pytest.mark.mlquery(dialect="extended")
    def test_nearest(self, mlquery_mock):
        assert ("extended", 2) == (mlquery_mock.dialect, mlquery_mock.clock())
"""
    run(suite, code, passed=2)


def test_a_test_runs_once_per_dialect(suite: pytest.Pytester) -> None:
    code = """
def test_both(mlquery_dialect, mlquery_mock):
    assert mlquery_dialect == mlquery_mock.dialect
    assert ["trained"] == train()

def test_without_another_fixture(mlquery_dialect):
    assert ["trained"] == train()
"""
    result = run(suite, code, "-v", passed=4)

    result.stdout.fnmatch_lines(["*::test_both[[]oss[]] PASSED*", "*::test_both[[]azure[]] PASSED*"])


def test_the_dialects_of_a_suite_are_its_own_affair(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        """
import pytest

@pytest.fixture(params=["azure", "azure:documented", "extended"])
def mlquery_dialect(request):
    return request.param
"""
    )
    suite.makeini(QUIET + "mlquery_dialect = azure:documented\n")
    code = """
def test_each(mlquery_dialect, mlquery_mock):
    assert mlquery_dialect == mlquery_mock.dialect

@pytest.mark.parametrize("number", [0, 1])
def test_default(number, mlquery_mock):
    assert "azure:documented" == mlquery_mock.dialect

@pytest.mark.mlquery(store=mlquery.Store())
def test_default_of_a_store(mlquery_mock):
    assert "azure:documented" == mlquery_mock.dialect

@pytest.mark.parametrize("mlquery_dialect", ["oss"])
def test_only_one(mlquery_dialect, mlquery_mock):
    assert "oss" == mlquery_mock.dialect
"""
    run(suite, code, passed=7)


def test_a_marker_that_contradicts_the_dialects_is_refused(suite: pytest.Pytester) -> None:
    code = """
@pytest.mark.mlquery(dialect="azure")
def test_both(mlquery_dialect):
    pass

@pytest.mark.mlquery("azure")
def test_by_position():
    pass

@pytest.mark.mlquery(dialects="azure")
def test_misspelt():
    pass
"""
    result = run(suite, code, errors=4)

    result.stdout.fnmatch_lines(["*leave one of them out*", "*takes its arguments by name*", "*'dialects'*"])


def test_the_seed_is_made_once_and_copied_for_each_test(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        """
import mlflow
import pytest
import mlquery

MADE = []

@pytest.fixture(scope="session")
def mlquery_seed():
    with mlquery.mock("azure", seed=1) as mock, mlflow.start_run(run_name="seed"):
        mlflow.log_text("text", "file.txt")
    MADE.append(mock)
    return mock

@pytest.fixture(scope="session", autouse=True)
def once():
    yield
    assert 1 == len(MADE)
    assert 1 == MADE[0].store.runs.size
"""
    )
    code = """
@pytest.mark.parametrize("name", ["one", "two"])
def test_copy(name, mlquery_mock):
    assert "azure" == mlquery_mock.dialect
    assert sorted([name, "seed"]) == train(name)
    run_id = mlflow.search_runs(filter_string="params.x != 'y'", output_format="list")
    assert "text" == mlflow.artifacts.load_text(f"runs:/{mlquery_mock.store.runs.ids[0]}/file.txt")

@pytest.mark.mlquery(store=mlquery.Store())
def test_store_of_its_own():
    assert ["trained"] == train()
"""
    run(suite, code, passed=3)


@pytest.mark.slow
def test_the_mock_starts_before_the_fixtures_of_a_test_and_after_those_of_the_session(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        """
import mlflow
import pytest

@pytest.fixture(scope="session", autouse=True)
def outside():
    assert "mlquery://" != mlflow.get_tracking_uri()

@pytest.fixture(autouse=True)
def experiment(request, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.get_tracking_uri())
    mlflow.set_experiment("of the fixture")
"""
    )
    code = """
import os

def test_by_fixture(monkeypatch, mlquery_store):
    assert ["trained"] == train()
    assert mlquery_store.get_experiment_by_name("of the fixture") is not None

@pytest.mark.mlquery
def test_by_marker(tmp_path):
    assert ["trained"] == train()
    assert "of the fixture" == mlflow.get_experiment(mlflow.last_active_run().info.experiment_id).name

@pytest.fixture(scope="session", autouse=True)
def afterwards():
    before = os.environ.get("MLFLOW_TRACKING_URI")
    yield
    assert before == os.environ.get("MLFLOW_TRACKING_URI")
"""
    run(suite, code, passed=2)


def test_a_failing_test_leaves_nothing_to_the_next_one(suite: pytest.Pytester) -> None:
    code = """
def test_fails(mlquery_store):
    mlflow.set_tracking_uri("http://localhost:1")
    mlflow.set_experiment("of the failing test")
    train()
    assert False

def test_is_not_disturbed(mlquery_store):
    assert "mlquery://" == mlflow.get_tracking_uri()
    assert ["trained"] == train()
"""
    run(suite, code, passed=1, failed=1)


def test_a_run_that_is_left_active_is_reported_with_the_test_that_left_it(suite: pytest.Pytester) -> None:
    code = """
def test_careless(mlquery_store):
    mlflow.start_run(run_name="left")

def test_tidy(mlquery_store):
    assert mlflow.active_run() is None
"""
    result = run(suite, code, "-W", "default::mlquery.MockWarning", passed=2, warnings=1)
    result.stdout.fnmatch_lines(["*::test_careless", "*MockWarning: the run 'left' (*) was left active*"])

    run(suite, code, passed=2, errors=1)


def test_test_cases_of_unittest_take_the_marker(suite: pytest.Pytester) -> None:
    code = """
import unittest

@pytest.mark.mlquery(dialect="azure")
class TestMarked(unittest.TestCase):
    def setUp(self):
        train("set up")

    def test_one(self):
        self.assertEqual(["one", "set up"], train("one"))

    def test_two(self):
        self.assertEqual(["set up", "two"], train("two"))

@mlquery.mock()
class TestDecorated(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        train("seed")

    def test_one(self):
        self.assertEqual(["one", "seed"], train("one"))

    def test_two(self):
        self.assertEqual(["seed", "two"], train("two"))

    @unittest.skip("not today")
    def test_skipped(self):
        raise AssertionError
"""
    run(suite, code, passed=4, skipped=1)


def test_decorated_functions_and_classes_take_fixtures_and_parameters(suite: pytest.Pytester) -> None:
    code = """
@pytest.fixture
@mlquery.mock()
def run_id():
    with mlflow.start_run() as run:
        yield run.info.run_id

@mlquery.mock("azure")
@pytest.mark.parametrize("name", ["a", "b"])
def test_function(name, tmp_path):
    assert [name] == train(name)

@mlquery.mock()
class TestClass:
    @pytest.mark.parametrize("name", ["a", "b"])
    def test_method(self, name, tmp_path):
        assert [name] == train(name)

def test_fixture(run_id):
    assert run_id == mlflow.active_run().info.run_id
"""
    run(suite, code, passed=5)


def test_doctests_and_other_items_are_left_alone(suite: pytest.Pytester) -> None:
    suite.makefile(".txt", test_text=">>> 1 + 1\n2\n")
    code = "def test_plain():\n    assert 'mlquery_mock' not in pytest.__dict__\n"

    run(suite, code, "--doctest-glob=*.txt", passed=2)


@pytest.mark.slow
def test_workers_of_xdist_do_not_meet(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        """
import mlflow
import pytest
import mlquery

@pytest.fixture(scope="session")
def mlquery_seed():
    with mlquery.mock(seed=1) as mock, mlflow.start_run(run_name="seed"):
        pass
    return mock
"""
    )
    suite.makepyfile(
        TRAIN
        + """
@pytest.mark.parametrize("number", range(40))
def test_alone(number, mlquery_dialect, mlquery_store):
    assert sorted([f"run {number}", "seed"]) == train(f"run {number}")
    mlflow.log_text("text", "file.txt", run_id=mlflow.last_active_run().info.run_id)
"""
    )

    result = suite.runpytest_subprocess("-n", "2", "-q", "-p", "no:cacheprovider")

    result.assert_outcomes(passed=80)
    assert {"conftest.py", "tox.ini", "test_workers_of_xdist_do_not_meet.py"} == {
        path.name for path in suite.path.iterdir() if path.is_file() and path.name not in ("stdout", "stderr")
    }


@pytest.mark.slow
def test_a_suite_that_asks_for_nothing_never_imports_mlflow(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
import sys

def test_plain(request):
    assert not {"mlflow", "numpy", "pandas", "pyparsing"} & set(sys.modules)
    assert "mlquery_mock" not in request.fixturenames
"""
    )

    result = suite.runpytest_subprocess(
        "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:hypothesispytest", "-p", "no:anyio"
    )

    result.assert_outcomes(passed=1)


@pytest.mark.slow
def test_without_mlflow_the_fixture_says_what_to_install(suite: pytest.Pytester) -> None:
    suite.makepyfile("import sys\nsys.modules['mlflow'] = None\n\ndef test_store(mlquery_store):\n    pass\n")

    result = suite.runpytest_subprocess("-p", "no:cacheprovider")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ImportError: *pip install 'mlquery[[]mlflow]'*"])


def test_the_plugin_is_listed_with_its_marker_and_fixtures(suite: pytest.Pytester) -> None:
    markers = suite.runpytest_inprocess("--markers").stdout
    fixtures = suite.runpytest_inprocess("--fixtures").stdout

    markers.fnmatch_lines(["@pytest.mark.mlquery(dialect, seed, clock, store, *): *"])
    for name in ("seed", "dialect", "mock", "store", "client"):
        fixtures.fnmatch_lines([f"mlquery_{name}*"])
