"""Stores of runs to compare: what each run has is given, ids are its number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlquery import Store

EXPERIMENT = "1"
HOSTILE = [
    "<script>alert(1)</script>",
    "\"'`&<>",
    "</style><img src=x onerror=alert(1)>",
    "\u202eevil\u2066",
    "a|b*c_d~e\\f[g]",
    "line\nbreak\tand\0nul",
    "\ud800",
    "no x",
    "a=b, c=d",
    "x" * 10_000,
]


def run_id(number: int) -> str:
    """Return the id of a run."""
    return f"{number:032x}"


def store_of(runs: Iterable[Mapping[str, Any]]) -> Store:
    """Return a store of runs, each with any of name, params, metrics, tags, start_time, end_time and status.

    A metric is its last value, or a list of (value, timestamp in ms UTC, step).
    """
    store = Store(seed=1)
    store.load_experiment(EXPERIMENT, "compared")
    for number, run in enumerate(runs):
        histories = {key: points for key, points in run.get("metrics", {}).items() if isinstance(points, list)}
        latest = {key: (value, 1000, 0) for key, value in run.get("metrics", {}).items() if key not in histories}
        store.load_run(
            run_id(number),
            EXPERIMENT,
            user_id="ann",
            status=run.get("status", "FINISHED"),
            start_time=run.get("start_time", 1000 - number),  # so that a search has them in this order
            end_time=run.get("end_time", 5000),
            run_name=run.get("name", f"run {number}"),
            metrics=latest,
            params=run.get("params", {}),
            tags=run.get("tags", {}),
        )
        for key, points in histories.items():
            store.load_history(run_id(number), key, *columns_of(points))
    return store


def columns_of(points: Sequence[tuple[float, int, int]]) -> tuple[Any, Any, Any]:
    """Return values, timestamps and steps as arrays."""
    import numpy as np

    values, timestamps, steps = zip(*points, strict=True)
    return np.array(values, np.float64), np.array(timestamps, np.int64), np.array(steps, np.int64)


def seeds_of(models: Mapping[str, Sequence[float]], metric: str = "accuracy") -> Store:
    """Return a store of one run per model and seed; `models` has the values of the seeds."""
    return store_of(
        {"name": f"{model}-{seed}", "params": {"model": model, "seed": str(seed)}, "metrics": {metric: value}}
        for model, values in models.items()
        for seed, value in enumerate(values)
    )
