"""What the fixture costs: a store of its own for each of 1,000 tests in one file, beside a new SQLite store of MLflow.

`python benchmarks/fixture.py` prints the figures. The fixture's share is the time in its set-up and tear-down, taken by
hooks in the same run of pytest; the test does nothing but ask for the store.
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import mlflow
import pytest

import mlquery
from mlquery.mocking import Mock

TESTS = 1000
FILE = f"""
import mlflow
import pytest

@pytest.mark.parametrize("number", range({TESTS}))
def test_fixture(number, mlquery_store):
    assert 0 == mlquery_store.runs.size
"""
PLAIN = FILE.replace(", mlquery_store", "").replace("mlquery_store.runs.size", "0")


class Stopwatch:
    """Times what a fixture does before and after each test."""

    def __init__(self) -> None:
        self.set_up: list[float] = []
        self.tear_down: list[float] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Generator[None, Any, Any]:
        start = time.perf_counter()
        result = yield
        if fixturedef.argname == "mlquery_mock":
            self.set_up.append(time.perf_counter() - start)
            # Finalizers run in reverse order: the one that is added last starts the clock.
            fixturedef.addfinalizer(lambda: self.tear_down.append(time.perf_counter()))
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_post_finalizer(self, fixturedef: Any, request: Any) -> Generator[None, Any, Any]:
        if fixturedef.argname == "mlquery_mock" and len(self.tear_down) == len(self.set_up):
            self.tear_down[-1] = time.perf_counter() - self.tear_down[-1]
        return (yield)

    def per_test(self) -> list[float]:
        """Return the seconds that each test spent in the fixture."""
        return [before + after for before, after in zip(self.set_up, self.tear_down, strict=True)]


def run_pytest(code: str, *plugins: object) -> float:
    """Run a test file in this process and return the seconds it took."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"test_benchmark_{abs(hash(code))}.py"
        path.write_text(code, encoding="utf-8")
        start = time.perf_counter()
        options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--rootdir", folder, str(path)]
        assert 0 == pytest.main(options, plugins=list(plugins))
        return time.perf_counter() - start


def seconds(work: Callable[[], object], times: int) -> float:
    """Return the median of how long the work takes."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def sqlite_store() -> None:
    """Do what a test without mlquery has to: a new database, and MLflow pointed to it."""
    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        assert 1 == len(mlflow.search_experiments())


def fresh_mock() -> None:
    with mlquery.mock():
        ...


def seeded() -> Mock:
    """Return a mock whose store holds 100 runs and a file each."""
    with mlquery.mock(seed=1) as mock:
        for number in range(100):
            with mlflow.start_run():
                mlflow.log_params({"number": number})
                mlflow.log_metrics({"loss": 1.0 / (number + 1)})
    return mock


def main() -> None:
    """Print the figures."""
    logging.disable(logging.INFO)
    stopwatch = Stopwatch()
    run_pytest(FILE.replace(str(TESTS), "10"))  # imports, caches
    whole = run_pytest(FILE, stopwatch)
    plain = run_pytest(PLAIN)
    taken = stopwatch.per_test()
    sqlite = seconds(sqlite_store, 5)
    seed = seeded()

    def clone() -> None:
        with mlquery.mock(store=seed):
            ...

    fixture = statistics.median(taken)
    rows = {
        f"fixture, per test (median of {len(taken)})": f"{fixture * 1e3:.3f} ms",
        f"fixture, all {len(taken)} tests": f"{sum(taken):.3f} s",
        f"pytest on the file of {TESTS} tests": f"{whole:.2f} s, {plain:.2f} s without the fixture",
        "mlquery.mock(), entered and left": f"{seconds(fresh_mock, 500) * 1e3:.3f} ms",
        "mlquery.mock(store=...) of 100 runs": f"{seconds(clone, 500) * 1e3:.3f} ms",
        "new SQLite store of MLflow (median of 5)": f"{sqlite * 1e3:.0f} ms",
        "SQLite / fixture": f"{sqlite / fixture:.0f} x",
    }
    for name, value in rows.items():
        sys.stdout.write(f"{name:<45} {value}\n")


if __name__ == "__main__":
    main()
