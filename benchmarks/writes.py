"""Times single writes with all their checks: runs, metrics, params, tags, and a batch of 1,000 points."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import Report, record
from systems import fasttrackml, mlflow_sql
from workbench import Workbench, command

TARGET = "writes, validated"
_MOST_MS = {"create_run": 0.015, "log_metric": 0.005, "log_param": 0.005, "set_tag": 0.005}
_TIME = 1_700_000_000_000
_BATCH = 1000
# So many calls are timed together, because one takes not much longer than reading the clock.
_TOGETHER = 200
_ROUNDS = 15


def writes(bench: Workbench, report: Report) -> None:
    """Measure calls on empty stores; the number of runs of the workbench does not matter."""
    from mlquery import entities as own_entities
    from mlquery.store import Store

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = Calls(Store(), own_entities)
        mlflow_store = mlflow_sql.empty_store(folder / "mlflow.db")
        peers = {"MLflow": _mlflow_calls(mlflow_store)}
        server = fasttrackml.empty_server(folder / "fasttrackml.db")
        if server is not None:
            peers["FastTrackML"] = _mlflow_calls(server.client)
        for case in ("create_run", "log_metric", "log_param", "set_tag"):
            _short_calls(report, case, {"mlquery": own, "plain dictionaries": Dictionaries()}, _TOGETHER, _ROUNDS)
            _short_calls(report, case, peers, 5, 8)
            report.at_least(TARGET, case, 0, "MLflow", 200)
            report.within(TARGET, case, 0, _MOST_MS[case])
        _batches(report, {"mlquery": own, **peers}, 11)
        report.at_least("log_batch of 1,000 points", "log_batch of 1,000", 0, "MLflow", 25)
        report.within("log_batch of 1,000 points", "log_batch of 1,000", 0, 3)
        if server is not None:
            server.stop()
        mlflow_store.engine.dispose()


class Calls:
    """The write calls of a store with MLflow's signatures, on one run, every call with something new."""

    def __init__(self, store: Any, entities: Any, experiment_id: str = "0") -> None:
        self.store, self.entities, self.experiment_id = store, entities, experiment_id
        self.number = itertools.count()
        self.runs: list[str] = []
        self.run_id = self.create_run()

    def create_run(self) -> str:
        number = next(self.number)
        tags = [self.entities.RunTag("mlflow.user", "someone")]
        made = self.store.create_run(self.experiment_id, "someone", _TIME + number, tags, f"run {number}")
        return str(made.info.run_id)

    def log_metric(self) -> None:
        number = next(self.number)
        self.store.log_metric(self.run_id, self.entities.Metric("loss", 1 / (number + 1), _TIME + number, number))

    def log_param(self) -> None:
        number = next(self.number)
        self.store.log_param(
            self.runs[number // 20 % len(self.runs)], self.entities.Param(f"param{number % 20}", "0.1")
        )

    def set_tag(self) -> None:
        number = next(self.number)
        self.store.set_tag(self.run_id, self.entities.RunTag(f"tag{number % 20}", f"value {number % 30}"))

    def prepare(self, case: str, calls: int) -> None:
        """Create enough runs for that many params."""
        if case == "log_param":
            self.runs = [self.create_run() for _ in range(calls // 20 + 2)]

    def points(self) -> list[Any]:
        start = next(self.number) * _BATCH
        steps = range(start, start + _BATCH)
        return [self.entities.Metric("accuracy", 1 / (step + 1), _TIME + step, step) for step in steps]


class Dictionaries:
    """The cost of a write into a dictionary without any check, as a limit."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.number = itertools.count()
        self.run_id = self.create_run()

    def create_run(self) -> str:
        run_id = f"{next(self.number):032x}"
        self.runs[run_id] = {"metrics": {}, "params": {}, "tags": {"mlflow.user": "someone"}, "start_time": _TIME}
        return run_id

    def log_metric(self) -> None:
        number = next(self.number)
        self.runs[self.run_id]["metrics"].setdefault("loss", []).append((1 / (number + 1), _TIME + number, number))

    def prepare(self, case: str, calls: int) -> None:
        pass

    def log_param(self) -> None:
        self.runs[self.run_id]["params"][f"param{next(self.number) % 100}"] = "0.1"

    def set_tag(self) -> None:
        number = next(self.number)
        self.runs[self.run_id]["tags"][f"tag{number % 20}"] = f"value {number % 30}"


def _mlflow_calls(store: Any) -> Calls:
    from mlflow import entities

    return Calls(store, entities)


def _short_calls(report: Report, case: str, systems: dict[str, Any], together: int, rounds: int) -> None:
    """Time bundles of short calls in turns; a figure is the time of one call."""
    calls: dict[str, Callable[[], Any]] = {name: getattr(system, case) for name, system in systems.items()}
    times: dict[str, list[float]] = {name: [] for name in systems}
    for system in systems.values():
        system.prepare(case, together * (rounds + 1))
    for number in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(together):
                call()
            if number:  # the first bundle warms up
                times[name].append((time.perf_counter() - start) / together)
    for name, taken in times.items():
        record(report, case, 0, name, taken)


def _batches(report: Report, systems: dict[str, Calls], rounds: int) -> None:
    """Time batches of points that exist already."""
    times: dict[str, list[float]] = {name: [] for name in systems}
    for number in range(rounds + 1):
        for name, system in systems.items():
            points = system.points()
            start = time.perf_counter()
            system.store.log_batch(system.run_id, points, [], [])
            if number:
                times[name].append(time.perf_counter() - start)
    for name, taken in times.items():
        record(report, "log_batch of 1,000", 0, name, taken)


if __name__ == "__main__":
    command("writes", writes, sizes=(0,))
