"""Turns a comparison into the value that a report holds: everything that its page may ask for, with curves as arrays.

How it is packed and read again is known to `mlquery.view`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.backend.reading import read_run
from mlquery.comparison import page_parts
from mlquery.comparison.comparison import Comparison
from mlquery.comparison.curves import in_order
from mlquery.comparison.fields import METRIC
from mlquery.comparison.page_data import (
    Answer,
    comparison_about,
    comparison_columns,
    curves_data,
    importance_data,
    model_columns,
)
from mlquery.entities import FileInfo, Run
from mlquery.errors import StoreError
from mlquery.language.matrix import MATRIX
from mlquery.query.histories import downsample
from mlquery.store import Store
from mlquery.view.encoding import TIME_LEVELS, quantised, smallest

POINTS: Final = 200
"""The most points of a curve in a report."""
_Array = npt.NDArray[Any]


def report_data(comparison: Comparison, title: str, version: str) -> Answer:
    """Return what a report holds.

    Args:
        comparison: The runs.
        title: The title of the report.
        version: The version of mlquery.

    Raises:
        StoreError: scipy or scikit-learn is not installed, or none of the runs has a field to group by.
    """
    columns = comparison_columns(comparison)
    curves = list(_curves(comparison))
    ids, models = model_columns(comparison.store, comparison.run_ids, comparison.selection.versions())
    return {
        "about": _about(comparison, title, version),
        "run_ids": list(comparison.run_ids),
        "columns": columns,
        "comparison": comparison_about(comparison),
        "groups_of_runs": _group_of_runs(comparison),
        "curves": curves,
        "bands": [band for one in curves for band in _bands(comparison, one["metric"])],
        "importance": [importance_data(comparison, field.key) for field in comparison.fields if field.kind == METRIC],
        "models": {"ids": ids, "columns": models},
        "details": _details(comparison),
    }


def _about(comparison: Comparison, title: str, version: str) -> Answer:
    store, dialect = comparison.store, MATRIX.dialect(comparison.dialect)
    return {
        "title": title,
        "version": version,
        "dialect": dialect.name,
        "dialects": [{"name": dialect.name, "title": dialect.title}],
        "experiments": _experiments(store, comparison),
    }


def _experiments(store: Store, comparison: Comparison) -> list[Answer]:
    named = (field.values.tolist() for field in comparison.fields if field.name == "experiment_id")
    found: list[str | None] = next(named, [])
    table = store.experiments
    return [
        {
            "id": one,
            "name": table.string("name", table.row_of[one]) if one in table.row_of else one,
            "runs": found.count(one),
        }
        for one in dict.fromkeys(found)
        if one is not None
    ]


def _group_of_runs(comparison: Comparison) -> Answer:
    grouping = comparison.grouping
    return {"labels": list(grouping.labels), "codes": smallest(grouping.codes)}


def _curves(comparison: Comparison) -> Iterator[Answer]:
    """Yield the curves of the metrics that some run has more than one point of."""
    store, ids = comparison.store, comparison.run_ids
    for field in comparison.fields:
        if field.kind != METRIC:
            continue
        try:
            comparison.selection.load_points(field.key)
        except StoreError as error:  # nobody has the points: the report says so in place of the curves
            yield {"metric": field.key, "refused": str(error)}
            continue
        lines = [line for row, run_id in enumerate(ids) if len((line := _line(store, row, run_id, field.key)).steps)]
        if any(len(line.steps) > 1 for line in lines):
            yield {"metric": field.key, **_together(lines)}


@attrs.frozen(eq=False)
class _Line:
    """The points of a run that are drawn, by rising step: arrays (points,)."""

    row: int
    steps: _Array
    times: _Array
    values: _Array


def _line(store: Store, row: int, run_id: str, key: str) -> _Line:
    """Return the points of a run, the one logged last of those at one step."""
    with store.lock:
        values, times, steps = store.history(run_id, key)
    order = in_order(steps)
    values, times, steps = values[order], times[order], steps[order]
    places = downsample(values, POINTS)
    return _Line(row, steps[places], times[places], values[places])


def _together(lines: list[_Line]) -> Answer:
    """Return lines one after the other: values and times in levels, steps as differences.

    A level is 1/65,532 of the range of the values of a curve, and 1/4,095 of that of its times.
    """
    values = [quantised(line.values) for line in lines]
    times = [quantised(line.times.astype(np.float64), TIME_LEVELS) for line in lines]
    return {
        "rows": smallest(np.array([line.row for line in lines])),
        "sizes": smallest(np.array([len(line.steps) for line in lines])),
        "steps": smallest(np.concatenate([np.diff(line.steps, prepend=0) for line in lines])),
        "values": _levels(values),
        "times": _levels(times),
    }


def _levels(found: list[dict[str, Any]]) -> Answer:
    return {
        "top": found[0]["top"],
        "low": np.array([one["low"] for one in found]),
        "high": np.array([one["high"] for one in found]),
        "levels": np.concatenate([one["levels"] for one in found]),
    }


def _bands(comparison: Comparison, metric: str) -> Iterator[Answer]:
    """Yield the bands of a metric over steps; their numbers are rounded to 32 bits."""
    for band in curves_data(comparison, metric, "step", POINTS)["bands"]:
        numbers = {name: np.array(band[name], np.float64) for name in ("mean", "low", "high")}
        yield {
            "metric": metric,
            "group": band["group"],
            "x": differences_of(np.array(band["x"], np.int64)),
            **{name: quantised(values) for name, values in numbers.items()},
        }


def differences_of(steps: _Array) -> _Array:
    """Return the first step and the differences of the following ones, in a small type."""
    return smallest(np.diff(steps, prepend=0))


def _details(comparison: Comparison) -> Answer:
    """Return of each run what its columns do not say: datasets, models, artifacts; only of runs that have some."""
    store = comparison.store
    with store.lock:
        runs = read_run(store, [store.runs.row_of[run_id] for run_id in comparison.run_ids])
        return {run.info.run_id: found for run in runs if (found := _detail(store, run))}


def _detail(store: Store, run: Run) -> Answer:
    parts = {
        "datasets": page_parts.datasets(run),
        "models": page_parts.models(store, run),
        "artifacts": page_parts.artifacts(_files(store, run.info.run_id, None)),
    }
    return {name: part for name, part in parts.items() if part}


def _files(store: Store, owner: str, folder: str | None) -> Iterator[FileInfo]:
    for found in store.artifacts.list(owner, folder):
        yield found
        if found.is_dir:
            yield from _files(store, owner, found.path)
