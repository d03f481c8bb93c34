"""Times functions of histories in filters: 10,000 runs with 100 points each, after a write and once more.

Columns of functions are kept until the next write, so each timed call of "after a write" logs a point of another metric
first. Nothing else reads functions: the peers are numpy on arrays that are already in place, and a loop over the points
in Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any

import numpy as np
from harness import Plan, Report, measure
from systems.mlquery_store import ALL, empty_store
from workbench import Workbench, command

from mlquery.entities import Metric
from mlquery.query.search import search_rows
from mlquery.store import Store

TARGET = "functions of histories, 10,000 runs x 100 points"
RUNS, POINTS = 10_000, 100
MOST = 50.0  # ms
_TIME = 1_700_000_000_000
_IDS = [f"{number:032x}" for number in range(RUNS)]
_CASES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], Callable[[Sequence[float]], bool]]] = {
    "max": ("max(metrics.loss) < 0.99", lambda x: x.max(axis=1) < 0.99, lambda x: max(x) < 0.99),
    "mean": ("mean(metrics.loss) < 0.45", lambda x: x.mean(axis=1) < 0.45, lambda x: sum(x) / len(x) < 0.45),
    "first": ("first(metrics.loss) < 0.01", lambda x: x[:, 0] < 0.01, lambda x: x[0] < 0.01),
    "at": ("at(metrics.loss, 50) < 0.01", lambda x: x[:, 50] < 0.01, lambda x: x[50] < 0.01),
    "argmax": ("argmax(metrics.loss) < 1", lambda x: x.argmax(axis=1) < 1, lambda x: x.index(max(x)) < 1),
    "count": ("count(metrics.loss) > 100", lambda x: np.zeros(len(x), bool), lambda x: len(x) > 100),
}


def history_functions(bench: Workbench, report: Report) -> None:
    """Measure filters by functions; the number of runs of the workbench does not matter."""
    values = np.random.default_rng(0).random((RUNS, POINTS))
    store = _store(values)
    newest_first = _IDS[::-1]
    steps = count()

    def written(text: str) -> list[str]:
        store.log_metric(_IDS[0], Metric("other", 0.0, _TIME, next(steps)))
        return _found(store, text)

    for name, (text, by_columns, by_points) in _CASES.items():
        systems: dict[str, Callable[[], list[str]]] = {
            "mlquery": partial(written, text),
            "numpy": partial(lambda test: [_IDS[row] for row in np.flatnonzero(test(values))[::-1]], by_columns),
            "Python loop": partial(_looped, store, newest_first, by_points),
        }
        measure(report, f"{name}, after a write", RUNS, systems, ids=lambda found: found, plan=Plan(rounds=7))
        again: dict[str, Callable[[], list[str]]] = {"mlquery": partial(_found, store, text), "numpy": systems["numpy"]}
        measure(report, f"{name}, once more", RUNS, again, ids=lambda found: found)
    report.within(TARGET, "max, after a write", RUNS, MOST)


def _found(store: Store, text: str) -> list[str]:
    rows: Any = search_rows(store, ALL, text, 1, None, dialect="extended")[0]
    return [store.runs.ids[row] for row in rows]


def _looped(store: Store, run_ids: Sequence[str], test: Callable[[Sequence[float]], bool]) -> list[str]:
    return [run_id for run_id in run_ids if test(store.history(run_id, "loss")[0].tolist())]


def _store(values: np.ndarray) -> Store:
    store = empty_store()
    for number, run_id in enumerate(_IDS):
        store.load_run(run_id, "1", start_time=_TIME + number)
        store.load_history(run_id, "loss", values[number], _TIME + np.arange(POINTS), np.arange(POINTS))
    return store


if __name__ == "__main__":
    command("history_functions", history_functions, sizes=(0,))
