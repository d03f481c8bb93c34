"""Times comparisons: 1,000 runs side by side, their groups, and the curves of 100 runs with 100,000 points each."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from harness import Plan, Report, measure
from systems.mlquery_store import empty_store
from workbench import Workbench, command

TARGET = "compare"
RUNS, SEEDS, CURVES, POINTS = 1000, 4, 100, 100_000
_PARAMS, _METRICS, _TAGS = 11, 8, 5
_TIME = 1_700_000_000_000
_IDS = [f"{number:032x}" for number in range(RUNS)]


def comparison(_: Workbench, report: Report) -> None:
    """Measure comparisons; the number of runs of the workbench does not matter."""
    import mlquery

    store = _store()
    compare = partial(mlquery.compare, _IDS, baseline=_IDS[0], ignore=["seed"], source=store)
    _ = compare().tests  # loads pandas and scipy
    case = f"table of {RUNS:,} runs"
    measure(report, case, 0, {"mlquery": lambda: compare().table}, plan=Plan(rounds=9))
    report.within(TARGET, case, 0, 200)
    measure(
        report, f"groups and intervals of {RUNS:,} runs", 0, {"mlquery": lambda: compare().groups}, plan=Plan(rounds=5)
    )
    measure(report, f"tests of {RUNS // SEEDS} groups", 0, {"mlquery": lambda: compare().tests}, plan=Plan(rounds=3))
    curves = mlquery.compare(_IDS[:CURVES], source=store, ignore=["seed"])
    case = f"curves of {CURVES} runs x {POINTS:,} points"
    for name, options in (("", {}), (", smoothed", {"smoothing": 0.6})):
        drawn = partial(_drawn, curves, options)
        measure(report, f"{case}{name}", 0, {"mlquery": drawn}, plan=Plan(rounds=5))
        report.within(TARGET, f"{case}{name}", 0, 3000)


def _drawn(curves: Any, options: dict[str, float]) -> Any:
    return curves.curves("loss", **options), curves.bands("loss", **options)


def _store() -> Any:
    """Return runs in groups of seeds, which agree in all other params."""
    rng = np.random.default_rng(0)
    store = empty_store()
    for number, run_id in enumerate(_IDS):
        group = np.random.default_rng(number // SEEDS).integers(0, 9, _PARAMS)
        store.load_run(
            run_id,
            "1",
            status="FINISHED",
            start_time=_TIME + number,
            end_time=_TIME + number + 60_000,
            run_name=f"run {number}",
            metrics={f"metric{key}": (float(value), _TIME, 0) for key, value in enumerate(rng.random(_METRICS))},
            params={f"param{key}": str(value) for key, value in enumerate(group)} | {"seed": str(number % SEEDS)},
            tags={f"tag{key}": str(value) for key, value in enumerate(rng.integers(0, 50, _TAGS))},
        )
    steps = np.arange(POINTS)
    for run_id in _IDS[:CURVES]:
        store.load_history(run_id, "loss", rng.normal(size=POINTS).cumsum(), _TIME + steps * 1000, steps)
    return store


if __name__ == "__main__":
    command("comparison", comparison, sizes=(0,))
