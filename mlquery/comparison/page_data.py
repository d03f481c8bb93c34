"""Turns a comparison into the values of the page: columns of its runs, groups, tests, curves, importance and models.

The page asks a server for them one by one; `report_data` is all of them at once. Nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from mlquery.comparison.comparison import Comparison
from mlquery.comparison.fields import METRIC, TIMES, Field
from mlquery.comparison.models import model_fields, models_of
from mlquery.comparison.values import direction_of
from mlquery.entities.registry import ModelVersion
from mlquery.store import Store
from mlquery.view.columns import Column, NumberColumn, StringColumn, TimeColumn, column_json, number_json, numbers_json
from mlquery.view.columns import strings as string_column

Answer = dict[str, Any]

MOST_POINTS: Final = 200_000
"""The most points of all curves of one answer; with more runs, each has fewer."""


def comparison_data(comparison: Comparison) -> Answer:
    """Return what the page shows of chosen runs.

    Raises:
        StoreError: scipy is not installed, or none of the runs has a field to group by.
    """
    columns = comparison_columns(comparison)
    return {
        "run_ids": list(comparison.run_ids),
        "columns": {name: column_json(column) for name, column in columns.items()},
        **comparison_about(comparison),
    }


def comparison_about(comparison: Comparison) -> Answer:
    """Return how runs are compared, their groups and tests, and what a reader must know."""
    value, is_grouped = comparison.value, has_groups(comparison)
    return {
        "value": value if isinstance(value, str) else dict(value),
        "baseline": comparison.baseline,
        "group_by": None if comparison.group_by is None else list(comparison.group_by),
        "ignore": list(comparison.ignore),
        "directions": _directions(comparison),
        "groups": _groups(comparison) if is_grouped else [],
        "tests": records(comparison.tests) if is_grouped else [],
        "warnings": list(_warnings(comparison, is_grouped)),
    }


def has_groups(comparison: Comparison) -> bool:
    """Tell whether any runs belong together; groups of one run each say nothing that the runs do not."""
    return any(len(rows) > 1 for rows in comparison.grouping.rows)


def _warnings(comparison: Comparison, is_grouped: bool) -> Iterator[str]:
    if not is_grouped and len(comparison) > 1:
        yield (
            "no two runs agree in all params, so that there are no groups; instead: name the params to ignore, such as "
            "the seed, or those to group by"
        )
        return
    yield from comparison.warnings


def comparison_columns(comparison: Comparison) -> dict[str, Column]:
    """Return the columns of the runs by name; metrics have the chosen values."""
    ids = StringColumn(list(comparison.run_ids), np.arange(len(comparison), dtype=np.int32))
    return {"run_id": ids, **{field.name: column_of(field) for field in comparison.fields}}


def column_of(field: Field) -> Column:
    """Return a field as a column of the page."""
    if field.values.dtype.kind == "O":
        return string_column(field.values.tolist())
    if field.key in TIMES and field.kind != METRIC:
        return TimeColumn(np.where(field.present, field.values, 0), field.present)
    return NumberColumn(field.values.astype(np.float64), field.present)


def _directions(comparison: Comparison) -> dict[str, str]:
    """Return what is better of the metrics of which it is known."""
    keys = [field.key for field in comparison.fields if field.kind == METRIC]
    found = {key: direction_of(key, comparison.directions) for key in keys}
    return {key: direction for key, direction in found.items() if direction is not None}


def _groups(comparison: Comparison) -> list[Answer]:
    ids = comparison.run_ids
    members = {
        label: [ids[row] for row in rows.tolist()]
        for label, rows in zip(comparison.grouping.labels, comparison.grouping.rows, strict=True)
    }
    return [{**row, "run_ids": members[row["group"]]} for row in records(comparison.groups)]


def records(frame: Any) -> list[Answer]:
    """Return the rows of a DataFrame as JSON has them: what is missing is None, infinities are strings."""
    columns = {name: [_cell(value) for value in frame[name].tolist()] for name in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _cell(value: Any) -> Any:
    if not isinstance(value, float):
        return value if isinstance(value, str | int) else None
    return None if value != value else number_json(value)


@attrs.frozen(eq=False)
class _Parts:
    """The rows of a frame that belong together by a categorical column: their codes, and where each part is."""

    codes: list[int]
    slices: list[slice]


def _parts(categorical: Any) -> _Parts:
    codes = categorical.cat.codes.to_numpy()
    starts = np.flatnonzero(np.diff(codes, prepend=-1)).tolist() if len(codes) else []
    slices = [slice(start, stop) for start, stop in zip(starts, [*starts[1:], len(codes)], strict=True)]
    return _Parts([int(codes[start]) for start in starts], slices)


def curves_data(
    comparison: Comparison, metric: str, x: str = "step", points: int = 500, smoothing: float = 0
) -> Answer:
    """Return the curves of a metric run by run, and bands over the groups that have more than one run.

    Args and raises: as of `Comparison.curves`. `x` of the answer is steps, ms UTC, or seconds since the first point.
    """
    each = max(2, min(points, MOST_POINTS // max(1, len(comparison))))
    frame = comparison.curves(metric, x, each, smoothing)
    across, up, parts = _across(frame), frame["y"].to_numpy(), _parts(frame["run_id"])
    runs = [
        {"run_id": comparison.run_ids[code], "x": across[part].tolist(), "y": numbers_json(up[part])}
        for code, part in zip(parts.codes, parts.slices, strict=True)
    ]
    return {"metric": metric, "x": x, "runs": runs, "bands": _bands(comparison, metric, x, points, smoothing)}


def _bands(comparison: Comparison, metric: str, x: str, points: int, smoothing: float) -> list[Answer]:
    if not has_groups(comparison):
        return []
    grouping = comparison.grouping
    frame = comparison.bands(metric, x, points, smoothing)
    across, parts = _across(frame), _parts(frame["group"])
    return [
        {
            "group": grouping.labels[code],
            "x": across[part].tolist(),
            **{name: numbers_json(frame[name].to_numpy()[part]) for name in ("mean", "low", "high")},
        }
        for code, part in zip(parts.codes, parts.slices, strict=True)
        if len(grouping.rows[code]) > 1
    ]


def _across(frame: Any) -> npt.NDArray[Any]:
    across = frame["x"]
    values: npt.NDArray[Any] = across.to_numpy()
    return values if values.dtype.kind in "if" else across.to_numpy("M8[ms]").astype(np.int64)


def importance_data(comparison: Comparison, metric: str) -> Answer:
    """Return how much params say about a metric.

    Raises:
        StoreError: scipy or scikit-learn is not installed, or none of the runs has the metric.
    """
    frame = comparison.importance(metric)
    about = {name: frame.attrs[name] for name in ("n", "warning")}
    return {"metric": metric, **about, "rows": records(frame)}


def models_data(store: Store, run_ids: Sequence[str] | None, versions: Iterable[ModelVersion]) -> Answer:
    """Return logged models and registered versions side by side, of some runs or, for None, all there are."""
    ids, columns = model_columns(store, run_ids, versions)
    return {"ids": ids, "columns": {name: column_json(column) for name, column in columns.items()}}


def model_columns(
    store: Store, run_ids: Sequence[str] | None, versions: Iterable[ModelVersion]
) -> tuple[list[str], Mapping[str, Column]]:
    """Return ids and columns of the models of runs."""
    with store.lock:
        sources = [model.source_run_id for model in store.models.by_id.values()]
        wanted: Any = [*store.runs.ids, *sources, None] if run_ids is None else run_ids
        models = models_of(store, list(dict.fromkeys(wanted)), versions)
    return [model.id for model in models], {field.name: column_of(field) for field in model_fields(models)}
