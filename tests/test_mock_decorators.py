"""Mocks as decorators: of functions of every kind, of unittest's classes and of plain classes of tests."""

from __future__ import annotations

import asyncio
import io
import unittest
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import mlflow
import pytest

import mlquery
from mlquery import MockWarning
from tests.support.mlflow_globals import fingerprint


@pytest.fixture(autouse=True)
def outside() -> Iterator[None]:
    """Keep each test apart from all others, and see that it leaves MLflow as it was."""
    with mlquery.mock():
        before = fingerprint()
        yield
        assert before == fingerprint()


def train(name: str = "trained") -> list[str]:
    """Log a run and return the names of all runs, in the order in which they started."""
    with mlflow.start_run(run_name=name):
        mlflow.log_metric("loss", 0.5)
    return names()


def names() -> list[str]:
    return sorted(str(run.info.run_name) for run in mlflow.search_runs(output_format="list"))


# Functions


def test_each_call_of_a_function_has_a_store_of_its_own() -> None:
    @mlquery.mock()
    def work(name: str, *, times: int = 1) -> list[str]:
        """Train."""
        return [train(name) for _ in range(times)][-1]

    assert ["a", "a"] == work("a", times=2)
    assert ["b"] == work("b")
    assert [] == names()
    assert ("work", "Train.") == (work.__name__, work.__doc__)


def test_a_function_that_calls_itself_has_a_store_at_each_level() -> None:
    @mlquery.mock()
    def work(depth: int) -> list[list[str]]:
        train(str(depth))
        inner = work(depth - 1) if depth else []
        return [*inner, names()]

    assert [["0"], ["1"], ["2"]] == work(2)


def test_a_failing_function_raises_its_error() -> None:
    @mlquery.mock()
    def work() -> None:
        raise KeyError(train()[0])

    with pytest.raises(KeyError, match="trained"):
        work()


def test_a_coroutine_runs_in_a_mock_from_beginning_to_end() -> None:
    @mlquery.mock("azure")
    async def work() -> list[str]:
        train("before")
        await asyncio.sleep(0)
        return train("after")

    assert ["after", "before"] == asyncio.run(work())


def test_a_generator_runs_in_a_mock_until_it_is_exhausted() -> None:
    @mlquery.mock()
    def work() -> Iterator[list[str]]:
        yield train("one")
        yield train("two")

    assert [["one"], ["one", "two"]] == list(work())


def test_an_asynchronous_generator_runs_in_a_mock_until_it_is_exhausted() -> None:
    @mlquery.mock()
    async def work() -> AsyncIterator[list[str]]:
        yield train("one")
        yield train("two")

    async def collect() -> list[list[str]]:
        return [found async for found in work()]

    assert [["one"], ["one", "two"]] == asyncio.run(collect())


def test_a_warning_about_a_function_points_to_it() -> None:
    @mlquery.mock()
    def careless() -> None:
        mlflow.start_run(run_name="left")

    with pytest.warns(MockWarning, match="'left'") as warned:
        careless()

    line = careless.__wrapped__.__code__.co_firstlineno  # type: ignore[attr-defined]
    assert (__file__, line) == (warned[0].filename, warned[0].lineno)


# unittest


def outcome(*cases: type[unittest.TestCase]) -> unittest.TestResult:
    """Run the tests of classes, each warning as an error, and return the result."""
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(case) for case in cases)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MockWarning)
        return unittest.TextTestRunner(io.StringIO(), warnings="error").run(suite)


def test_every_test_of_a_unittest_class_has_a_store_of_its_own_from_set_up_to_the_last_cleanup() -> None:
    seen = []

    @mlquery.mock()
    class Case(unittest.TestCase):
        def setUp(self) -> None:
            train("set up")
            self.addCleanup(lambda: seen.append(names()))

        def tearDown(self) -> None:
            train("tear down")

        def test_one(self) -> None:
            assert ["one", "set up"] == train("one")

        def test_two(self) -> None:
            assert ["set up", "two"] == train("two")

    assert outcome(Case).wasSuccessful()
    assert [["one", "set up", "tear down"], ["set up", "tear down", "two"]] == seen


def test_what_set_up_class_logs_is_made_once_and_copied_for_each_test() -> None:
    made = []

    @mlquery.mock(seed=1)
    class Case(unittest.TestCase):
        @classmethod
        def setUpClass(cls) -> None:
            made.append(train("seed"))

        @classmethod
        def tearDownClass(cls) -> None:
            made.append(names())

        def test_one(self) -> None:
            assert ["one", "seed"] == train("one")

        def test_two(self) -> None:
            assert ["seed", "two"] == train("two")

    assert outcome(Case).wasSuccessful()
    assert [["seed"], ["seed"]] == made


def test_asynchronous_test_cases_have_a_mock_too() -> None:
    @mlquery.mock()
    class Case(unittest.IsolatedAsyncioTestCase):
        async def asyncSetUp(self) -> None:
            train("set up")

        async def test_one(self) -> None:
            await asyncio.sleep(0)
            assert ["one", "set up"] == train("one")

    result = outcome(Case)

    assert (1, True) == (result.testsRun, result.wasSuccessful())


def test_a_class_that_inherits_from_a_decorated_one_has_mocks() -> None:
    @mlquery.mock()
    class Base(unittest.TestCase):
        def setUp(self) -> None:
            raise NotImplementedError

    class Case(Base):
        @classmethod
        def setUpClass(cls) -> None:
            """Do without the one that is inherited."""

        def setUp(self) -> None:
            train("set up")

        def test_one(self) -> None:
            assert ["one", "set up"] == train("one")

        def test_two(self) -> None:
            assert ["set up", "two"] == train("two")

    result = outcome(Case)

    assert (2, True) == (result.testsRun, result.wasSuccessful())


def test_failing_skipped_and_broken_test_cases_leave_nothing_behind() -> None:
    @mlquery.mock()
    class Case(unittest.TestCase):
        def test_fails(self) -> None:
            train()
            self.fail()

        def test_breaks(self) -> None:
            raise KeyError

        @unittest.skip("not today")
        def test_is_skipped(self) -> None:
            raise AssertionError

        def test_is_skipped_later(self) -> None:
            self.skipTest("not today")

    @mlquery.mock()
    class BrokenProgramError(unittest.TestCase):
        @classmethod
        def setUpClass(cls) -> None:
            raise OSError

        def test_is_not_reached(self) -> None:
            raise AssertionError

    result = outcome(Case, BrokenProgramError)

    assert (1, 2, 2) == (len(result.failures), len(result.errors), len(result.skipped))


def test_a_run_that_a_test_case_leaves_active_is_an_error_of_that_test_where_warnings_are_errors() -> None:
    @mlquery.mock()
    class Case(unittest.TestCase):
        def test_careless(self) -> None:
            mlflow.start_run(run_name="left")

        def test_tidy(self) -> None:
            train()

    result = outcome(Case)

    ((case, report),) = result.errors
    assert case.id().endswith("test_careless")
    assert "MockWarning: the run 'left'" in report
    assert 2 == result.testsRun


# Plain classes


def test_every_test_of_a_plain_class_has_a_store_of_its_own() -> None:
    class Base:
        def test_inherited(self) -> list[str]:
            return train("inherited")

    @mlquery.mock("azure")
    class TestClass(Base):
        limit = 3

        def test_one(self, name: str) -> list[str]:
            return train(name)

        async def test_two(self) -> list[str]:
            return train("two")

        @staticmethod
        def test_three() -> list[str]:
            return train("three")

        @classmethod
        def test_four(cls) -> list[Any]:
            return [cls.limit, *train("four")]

        def helper(self) -> list[str]:
            return names()

    tests = TestClass()

    assert ["one"] == tests.test_one("one")
    assert ["other"] == tests.test_one("other")
    assert ["two"] == asyncio.run(tests.test_two())
    assert ["three"] == tests.test_three()
    assert [3, "four"] == tests.test_four()
    assert ["inherited"] == tests.test_inherited()
    assert [] == tests.helper()
    assert not hasattr(Base.test_inherited, "__wrapped__")


@mlquery.mock()
class TestAClassWithSetUp:
    """pytest runs these: each test has one store from `setup_method` to `teardown_method`."""

    def setup_method(self, method: Any) -> None:
        train(method.__name__)

    def teardown_method(self) -> None:
        assert 2 == len(names())

    def test_the_first_test_has_a_store_of_its_own(self) -> None:
        assert ["in the test", "test_the_first_test_has_a_store_of_its_own"] == train("in the test")

    def test_the_second_test_has_a_store_of_its_own(self) -> None:
        assert ["in the test", "test_the_second_test_has_a_store_of_its_own"] == train("in the test")


def test_a_set_up_method_that_fails_leaves_nothing_behind() -> None:
    @mlquery.mock()
    class TestClass:
        def setup_method(self) -> None:
            raise KeyError

        def test_is_not_reached(self) -> None:
            raise AssertionError

    with pytest.raises(KeyError):
        TestClass().setup_method(None)  # type: ignore[call-arg]
