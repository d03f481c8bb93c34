"""Turn row numbers into the DataFrame that `mlflow.search_runs` returns, and into arrays for `aggregate`, with pandas.

Columns are taken one by one from the store's arrays, without building `Run` objects, and pandas never infers the dtype
of a column of data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame

from mlquery.language.matrix import MATRIX, Dialect
from mlquery.language.plan import FieldRef, Kind
from mlquery.query import in_place
from mlquery.query.columns import TIMES, RunColumns, StoreColumns, ValueColumns, is_integer, is_string, is_time
from mlquery.query.frame_formats import FORMATS
from mlquery.query.histories import histories_read
from mlquery.query.operands import columns_of_calls
from mlquery.query.reading import OnWarning, warn_caller
from mlquery.query.search import search_rows
from mlquery.query.sources import Source
from mlquery.store import Store
from mlquery.store.columns import ABSENT, MetricColumn, StringColumn

__all__ = ["DataFrame", "history_frame", "runs_frame", "search_frame"]

_STRINGS = ("run_id", "experiment_id", "status", "artifact_uri")
_KEYED = {"metrics": Kind.METRIC, "params": Kind.PARAM, "tags": Kind.TAG}
# The largest page of a search; MLflow's fluent API uses 10,000, which gives the same rows.
_PAGE = 50_000
_FEW_KEYS = 256
_MANY_COLUMNS = 100
_LAZY = "spark"

_Column = MetricColumn | StringColumn


def search_frame(
    store: Any,
    experiment_ids: Sequence[str],
    filter_string: str = "",
    run_view_type: int = 1,
    max_results: int | None = 100_000,
    order_by: list[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    output_format: str = "pandas",
    dialect: str | Dialect = "oss",
    on_warning: OnWarning = warn_caller,
) -> Any:
    """Search runs and return one row per run.

    Args:
        store: Where to search: a store, or a client, of a database that is searched in place too.
        experiment_ids: The experiments to search.
        filter_string: The filter; empty accepts every run.
        run_view_type: A number of `ViewType`.
        max_results: The most rows to return; None for all of them.
        order_by: Order terms.
        columns: Names of the columns to return, such as "run_id", "metrics.auc" and, if the dialect has functions of
            histories, "max(metrics.auc)"; by default all but such functions.
        output_format: "pandas" for MLflow's frame; "arrow" for a table of pyarrow, "polars" for a frame of polars: each
            column has one type, what is missing is null and NaN stays NaN. "spark" gives a lazy frame
            of `columns`, where Spark searches.
        dialect: The dialect of filter, order and columns.
        on_warning: Receives warnings; by default they are issued as `QueryWarning`.

    Raises:
        QueryError: The dialect refuses the query or a function in `columns`.
        ValueError: A name in `columns` is not a valid column, or there is no such format.

    **Source**: `mlflow.search_runs(output_format="pandas")` of MLflow 3.17.
    """
    write = {"pandas": frame_of, _LAZY: frame_of, **FORMATS}.get(output_format)
    if write is None:
        raise ValueError(f"unknown output format {output_format!r}; formats are pandas, {', '.join(FORMATS)}, {_LAZY}")
    calls = columns_of_calls(columns or (), dialect, on_warning)
    fields = None if columns is None else fields_of_columns(columns, calls)
    query = (experiment_ids, filter_string, run_view_type, max_results, order_by)
    options: dict[str, Any] = {"dialect": MATRIX.dialect(dialect), "on_warning": on_warning}
    found = in_place.data_of(store)
    if output_format == _LAZY:
        return _lazy_frame(found, in_place.RunSearch(*query, **options), fields)
    if isinstance(found, Source):
        return write(*_columns_in_place(found, in_place.RunSearch(*query, **options), fields))
    with found.lock:
        rows = _found_rows(found, *query, **options)
        return write(StoreColumns(found, rows), _fields_of_runs(found, rows) if fields is None else fields)


def _found_rows(
    store: Store,
    experiment_ids: Sequence[str],
    filter_string: str,
    run_view_type: int,
    max_results: int | None,
    order_by: list[str] | None,
    **options: Any,
) -> Any:
    """Return the rows of the runs that are found, as an array (n,), while nobody writes."""
    pages: list[Any] = []
    token, wanted = None, max_results
    while wanted is None or wanted > 0:
        size = _PAGE if wanted is None else min(wanted, _PAGE)
        rows, token = search_rows(store, experiment_ids, filter_string, run_view_type, size, order_by, token, **options)
        pages.append(rows)
        wanted = None if wanted is None else wanted - len(rows)
        if token is None:
            break
    return np.concatenate(pages) if pages else np.empty(0, np.int64)


def _lazy_frame(data: Store | Source, search: in_place.RunSearch, fields: Mapping[str, FieldRef] | None) -> Any:
    """Return a frame of Spark that is computed when it is asked for."""
    if not isinstance(data, Source) or fields is None:
        problem = "is a frame of chosen columns of what Spark searches in place"
        raise ValueError(f"output_format={_LAZY!r} {problem}: mlquery.connect(session), columns=['run_id', ...]")
    return in_place.lazy_runs(data, fields, search)


def _columns_in_place(
    source: Source, search: in_place.RunSearch, fields: Mapping[str, FieldRef] | None
) -> tuple[RunColumns, Mapping[str, FieldRef]]:
    """Return the columns of the runs that are found in place and their fields; only some fields travel if some do."""
    if fields is not None:
        asked = list(dict.fromkeys(fields.values()))
        return ValueColumns(asked, in_place.run_values(source, asked, search)), fields
    page = in_place.all_runs(source, search)
    rows = np.asarray(page.rows, np.int64)
    return StoreColumns(page.store, rows), _fields_of_runs(page.store, rows)


def runs_frame(store: Store, rows: Any) -> DataFrame:
    """Return the frame of the runs at `rows`, an integer array of shape (n,), in that order.

    Columns are run_id, experiment_id, status, artifact_uri, start_time, end_time (UTC), then `metrics.*`, `params.*`
    and `tags.*` in the order of first appearance, with MLflow's dtypes.

    **Source**: `mlflow.search_runs` of MLflow 3.17, measured with pandas 3.1.
    """
    with store.lock:
        return frame_of(StoreColumns(store, rows), _fields_of_runs(store, rows))


def _fields_of_runs(store: Store, rows: Any) -> dict[str, FieldRef]:
    """Return the fields of all columns of MLflow's frame of the runs at `rows`."""
    runs, names = store.runs, [*_STRINGS, *TIMES]
    for prefix, columns, keys_of in (
        ("metrics", runs.metrics, runs.metric_keys),
        ("params", runs.params, runs.param_keys),
        ("tags", runs.tags, runs.tag_keys),
    ):
        names += [f"{prefix}.{key}" for key in _present(columns, keys_of, rows)] if len(rows) else []
    return {name: _field_named(name) for name in names}


def fields_of_columns(columns: Sequence[str], calls: Mapping[str, FieldRef]) -> dict[str, FieldRef]:
    """Return the fields of the columns of a frame by their names.

    Raises:
        ValueError: A name is neither an attribute of the frame nor `metrics.`, `params.` or `tags.` and a key.
    """
    return {name: calls[name] if name in calls else _field_named(name) for name in columns}


def _field_named(name: str) -> FieldRef:
    if name in _STRINGS or name in TIMES:
        return FieldRef(Kind.ATTRIBUTE, name)
    prefix, _, key = name.partition(".")
    if prefix not in _KEYED or not key:
        columns = ", ".join((*_STRINGS, *TIMES, "metrics.*", "params.*", "tags.*"))
        raise ValueError(f"unknown column {name!r}; columns are {columns}")
    return FieldRef(_KEYED[prefix], key)


def frame_of(columns: RunColumns, fields: Mapping[str, FieldRef]) -> DataFrame:
    """Return a frame of pandas, of fields under their names."""
    if not len(columns):
        return DataFrame({name: [] for name in fields})
    arrays = {name: _frame_array(columns, field) for name, field in fields.items()}
    # The arrays are not shared, but pandas warns of a fragmented frame with more than a hundred columns.
    return DataFrame(arrays, copy=len(arrays) > _MANY_COLUMNS)


def _frame_array(columns: RunColumns, field: FieldRef) -> Any:
    """Return a column as MLflow's frame has it: one of strings or times that are all missing has another dtype."""
    if is_time(field):
        return _time_array(columns.times(field.key))
    return columns.strings(field, _string_dtype()) if is_string(field) else field_array(columns, field)


def _string_dtype() -> Any:
    """Return the dtype of strings under the current pandas options."""
    return pd.Series(["a"]).dtype


def field_array(columns: RunColumns, field: FieldRef) -> Any:
    """Return the values of a field of runs as an array of one dtype whatever they are.

    Strings are of pandas' string dtype, times are datetimes in UTC, and steps, counts and durations nullable integers.
    """
    if is_time(field):
        return _datetimes(columns.times(field.key))
    if is_integer(field):
        values, known = columns.integers(field)
        return pd.arrays.IntegerArray(values, ~known)
    if not is_string(field):
        return columns.floats(field)[0]
    dtype = _string_dtype()
    strings = columns.strings(field, dtype)
    return pd.array(strings, dtype=dtype) if isinstance(strings, list) else strings


def history_frame(
    store: Any,
    run_ids: Sequence[str],
    keys: Sequence[str],
    steps: tuple[int | None, int | None] = (None, None),
    max_points: int | None = None,
) -> DataFrame:
    """Return the points of many runs and metrics: run_id, key, value, timestamp (ms UTC) and step.

    Args and raises: as `mlquery.query.histories.histories`. `run_id` and `key` are categorical.
    """
    found = histories_read(in_place.points_of(in_place.data_of(store)), run_ids, keys, steps, max_points)
    data: dict[str, Any] = {
        "run_id": _categories(found.runs, found.run_ids),
        "key": _categories(found.keys, found.key_names),
        "value": found.values,
        "timestamp": found.timestamps,
        "step": found.steps,
    }
    return DataFrame(data, copy=False)


def _categories(codes: Any, names: Sequence[str]) -> Any:
    return pd.Categorical.from_codes(codes, categories=pd.Index(list(names), dtype="str"), validate=False)


def _present(columns: Mapping[str, _Column], keys_of: Sequence[tuple[str, ...]], rows: Any) -> Iterable[str]:
    """Return the keys that some row has, in the order in which MLflow finds them, run by run.

    MLflow takes the keys that a run adds from a difference of two sets, in hash order. The same difference here gives
    the same order of columns within one process; MLflow's own order is not more stable than that.
    """
    first: dict[int, None] = {}
    for key in _candidates(columns, keys_of, rows):
        column = columns[key]
        has_key = column.states[rows] != ABSENT if isinstance(column, MetricColumn) else column.codes[rows] >= 0
        index = int(has_key.argmax())
        if has_key[index]:
            first[index] = None
    seen: dict[str, None] = {}
    for index in sorted(first):
        seen |= dict.fromkeys(set(keys_of[rows[index]]) - set(seen))
    return seen


def _candidates(columns: Mapping[str, Any], keys_of: Sequence[tuple[str, ...]], rows: Any) -> Iterable[str]:
    """Return the keys that the rows may have: all, or if there are very many, those of the rows."""
    if len(columns) <= _FEW_KEYS:
        return columns
    return {key for row in rows.tolist() for key in keys_of[row]}


def _time_array(values: Any) -> Any:
    """Return times in ms UTC as pandas datetimes; the store's marker of a missing time is also NumPy's NaT."""
    nothing: Any = None
    times = values.view("M8[ms]")
    if np.isnat(times).all():
        return [pd.to_datetime(nothing, unit="ms", utc=True)] * len(values)
    return _datetimes(values)


def _datetimes(values: Any) -> Any:
    return pd.DatetimeIndex(values.view("M8[ms]")).as_unit(_time_unit()).tz_localize("UTC")


@cache
def _time_unit() -> Any:
    """Return the unit of such times in this version of pandas; cached because it takes longer than filling a column."""
    return pd.to_datetime(0, unit="ms", utc=True).unit
