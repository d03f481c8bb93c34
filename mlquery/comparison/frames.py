"""Makes the DataFrames of a comparison of its fields, groups and lines; computes nothing but differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas import DataFrame

from mlquery.comparison.curves import Band, Line
from mlquery.comparison.fields import ATTRIBUTE, METRIC, PARAM, TAG, TIMES, Field
from mlquery.comparison.grouping import Groups
from mlquery.comparison.importance import Importance, Importances

_KINDS: Final = {ATTRIBUTE: "attributes", PARAM: "params", METRIC: "metrics", TAG: "tags"}
_LINE_COLUMNS: Final = ("run_id", "group", "x", "y")


def side_by_side(fields: Sequence[Field], ids: Sequence[str], baseline: int | None, name: str = "run_id") -> DataFrame:
    """Return one row per field and one column per run (or model) for its value, and what differs from the baseline.

    The index has the levels kind and key; columns have the levels part and id: ("differs", ""), ("value", id) and, with
    a baseline, ("delta", id) and ("relative", id), which metrics alone have. `relative` is `delta` as a fraction of the
    size of the baseline's value.
    """
    kinds, keys = strings(_KINDS[field.kind] for field in fields), strings(field.key for field in fields)
    index = pd.MultiIndex.from_arrays([kinds, keys], names=["kind", "key"])
    differs = DataFrame({("differs", ""): np.array([field.differs for field in fields], np.bool_)}, index=index)
    cells = np.empty((len(fields), len(ids)), object)
    for row, field in enumerate(fields):
        cells[row] = objects(field)
    parts = [differs, _part("value", cells, index, ids)]
    if baseline is not None:
        delta, relative = _deltas(fields, len(ids), baseline)
        parts += [_part("delta", delta, index, ids), _part("relative", relative, index, ids)]
    table = pd.concat(parts, axis=1)
    table.columns = table.columns.set_names(["part", name])
    return table


def _part(part: str, cells: Any, index: Any, ids: Sequence[str]) -> DataFrame:
    columns = pd.MultiIndex.from_tuples([(part, one) for one in ids], names=["part", "run_id"])
    return DataFrame(cells, index=index, columns=columns)


def _deltas(fields: Sequence[Field], size: int, baseline: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    values = np.array([field.values if field.kind == METRIC else np.full(size, np.nan) for field in fields])
    values = values.reshape(len(fields), size)
    base = values[:, [baseline]]
    with np.errstate(all="ignore"):
        delta = values - base
        return delta, np.where(base == 0, np.nan, delta / np.abs(base))


def objects(field: Field) -> npt.NDArray[Any]:
    """Return the values of a field as Python objects, None where it is missing; times as Timestamps in UTC."""
    is_time = field.kind == ATTRIBUTE and field.key in TIMES
    cells = np.array(_times(field.values) if is_time else field.values, object)
    cells[~field.present] = None
    return cells


def _times(values: npt.NDArray[np.int64]) -> Any:
    return pd.DatetimeIndex(values.view("M8[ms]")).tz_localize("UTC")


def by_run(fields: Sequence[Field], ids: Sequence[str], name: str = "run_id") -> DataFrame:
    """Return one row per run (or model) and one column per field, typed as in `mlflow.search_runs`."""
    columns: dict[str, Any] = {name: strings(ids)}
    for field in fields:
        columns[field.name] = typed_column(field)
    return named_frame(columns)


def named_frame(columns: dict[str, Any]) -> DataFrame:
    """Return a frame whose columns have any names."""
    frame = DataFrame(dict(enumerate(columns.values())))
    frame.columns = pd.Index(strings(columns))
    return frame


def typed_column(field: Field) -> Any:
    """Return the values of a field with the dtype that they have in `mlflow.search_runs`."""
    if field.kind == METRIC:
        return field.values
    if field.values.dtype.kind == "i":
        return _times(field.values) if field.key in TIMES else pd.arrays.IntegerArray(field.values, ~field.present)
    return strings(field.values)


def strings(values: Iterable[str | None]) -> Any:
    """Return strings under the current options of pandas, which has no half of a surrogate pair: that is escaped."""
    found = list(values)
    dtype: Any = pd.Series(["a"]).dtype
    try:
        return pd.array(np.array(found, object), dtype=dtype)
    except UnicodeEncodeError:
        whole = [one if one is None else one.encode("utf-8", "backslashreplace").decode() for one in found]
        return pd.array(np.array(whole, object), dtype=dtype)


def curve_frame(lines: Sequence[Line], ids: Sequence[str], groups: Groups, x: str) -> DataFrame:
    """Return the points of lines: run_id and group (categorical), x and y."""
    counts = [len(line.x) for line in lines]
    runs = np.repeat(np.array([line.run for line in lines], np.int64), counts)
    return DataFrame(
        {
            "run_id": pd.Categorical.from_codes(runs, categories=pd.Index(strings(ids))),
            "group": labels(groups.codes[runs], groups),
            "x": _across([line.x for line in lines], x),
            "y": np.concatenate([line.y for line in lines]) if lines else np.empty(0),
        }
    )


def band_frame(bands: Sequence[Band], groups: Groups, x: str) -> DataFrame:
    """Return bands: group, x, n, mean, std, min, max, low and high, which are one standard deviation from the mean."""
    codes = np.repeat(np.arange(len(bands)), [len(band.x) for band in bands])
    names = ("n", "mean", "std", "min", "max")
    found: dict[str, Any] = {
        name: np.concatenate([getattr(band, name) for band in bands]) if bands else np.empty(0) for name in names
    }
    return DataFrame(
        {
            "group": labels(codes, groups),
            "x": _across([band.x for band in bands], x),
            **found,
            "low": found["mean"] - found["std"],
            "high": found["mean"] + found["std"],
        }
    )


def result_columns(kind: Any, rows: Sequence[Any]) -> dict[str, Any]:
    """Return the fields of results, which are strings, integers or floats, as columns; `kind` is their attrs class."""
    dtypes = {"int": np.int64, "float": np.float64}
    found: dict[str, Any] = {}
    for field in attrs.fields(kind):
        values = [getattr(row, field.name) for row in rows]
        found[field.name] = np.array(values, dtypes[field.type]) if field.type in dtypes else strings(values)
    return found


def importance_frame(found: Importances) -> DataFrame:
    """Return the importances of params, the largest first, with their number of runs and the warning as `attrs`."""
    frame = DataFrame(result_columns(Importance, found.rows))
    frame.attrs |= {"n": found.n, "score": found.score, "warning": found.warning}
    return frame


def labels(codes: npt.NDArray[Any], groups: Groups) -> Any:
    """Return the names of groups, as a categorical."""
    return pd.Categorical.from_codes(codes, categories=pd.Index(strings(groups.labels)))


def _across(arrays: Sequence[Any], x: str) -> Any:
    joined = np.concatenate(arrays) if arrays else np.empty(0, np.float64 if x == "relative" else np.int64)
    return _times(joined.astype(np.int64)) if x == "time" else joined


def tree_frame(ids: Sequence[str], names: Sequence[str | None], parents: Sequence[str | None]) -> DataFrame:
    """Return runs with their children below them: run_id, run_name, parent_id and depth.

    A run is at the top if its parent is not among the runs; one that would be below itself is, too.
    """
    place = {run_id: row for row, run_id in enumerate(ids)}
    children: dict[str, list[int]] = {}
    tops = []
    for row, parent in enumerate(parents):
        if parent in place and not _is_below_itself(row, place, parents):
            children.setdefault(str(parent), []).append(row)
        else:
            tops.append(row)
    rows, depths = [], []
    waiting = [(row, 0) for row in reversed(tops)]
    while waiting:
        row, depth = waiting.pop()
        rows.append(row)
        depths.append(depth)
        waiting += [(child, depth + 1) for child in reversed(children.get(ids[row], ()))]
    return DataFrame(
        {
            "run_id": strings([ids[row] for row in rows]),
            "run_name": strings([names[row] for row in rows]),
            "parent_id": strings([parents[row] for row in rows]),
            "depth": np.array(depths, np.int64),
        }
    )


def _is_below_itself(row: int, place: dict[str, int], parents: Sequence[str | None]) -> bool:
    seen, at = {row}, row
    while (parent := parents[at]) in place:
        at = place[str(parent)]
        if at == row:
            return True
        if at in seen:
            return False
        seen.add(at)
    return False


def ranking_frame(
    field: Field, mode: str, ids: Sequence[str], names: Sequence[str | None], groups: Groups
) -> DataFrame:
    """Return the runs that have a metric, the best first and NaN last: rank, run_id, run_name, group and value."""
    rows = np.flatnonzero(field.present)
    values = field.values[rows]
    order = np.argsort(values if mode == "min" else -values, kind="stable")
    rows, values = rows[order], values[order]
    places = rows.tolist()
    ranks = pd.Series(values if mode == "min" else -values).rank(method="min")
    return DataFrame(
        {
            "rank": ranks.astype("Int64"),
            "run_id": strings([ids[row] for row in places]),
            "run_name": strings([names[row] for row in places]),
            "group": labels(groups.codes[rows], groups),
            "value": values,
        }
    )
