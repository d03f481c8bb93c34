"""From row numbers to the DataFrame that `mlflow.search_runs` returns: the only module that imports pandas.

Columns are gathered one by one from the store's arrays; no run is built, and pandas never guesses the type of a column
of data. Nothing here knows a query language: rows come in, a frame goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from pandas import DataFrame

from mlquery.language.matrix import Dialect
from mlquery.query.histories import histories
from mlquery.query.search import OnWarning, search_rows, warn_caller
from mlquery.store import Store

if TYPE_CHECKING:
    from mlquery.store.columns import MetricColumn, StringColumn
    from mlquery.store.run_table import RunTable

__all__ = ["DataFrame", "history_frame", "projected_frame", "runs_frame", "search_frame"]

_STRINGS = ("run_id", "experiment_id", "status", "artifact_uri")
_TIMES = ("start_time", "end_time")
# The largest page a search may ask for; MLflow's fluent API asks for 10,000, which gives the same rows.
_PAGE = 50_000
_FEW_KEYS = 256
_MANY_COLUMNS = 100
_FEW_ROWS = 500

C = TypeVar("C")


def search_frame(
    store: Store,
    experiment_ids: Sequence[str],
    filter_string: str = "",
    run_view_type: int = 1,
    max_results: int | None = 100_000,
    order_by: list[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    dialect: str | Dialect = "oss",
    on_warning: OnWarning = warn_caller,
) -> DataFrame:
    """Search runs and return one row per run.

    Args:
        store: Where to search.
        experiment_ids: The experiments to search.
        filter_string: The filter; empty accepts every run.
        run_view_type: A number of `ViewType`.
        max_results: The most rows to return; None for all of them.
        order_by: Order terms.
        columns: Names of the columns to return, such as "run_id" and "metrics.auc"; by default all there are.
        dialect: The dialect of filter and order.
        on_warning: What is done with warnings; by default they are issued as `QueryWarning`.

    Raises:
        QueryError: The dialect refuses the query.
        ValueError: A name in `columns` can be no column.

    **Source**: `mlflow.search_runs(output_format="pandas")` of MLflow 3.17.
    """
    pages: list[Any] = []
    token, wanted = None, max_results
    with store.lock:
        while wanted is None or wanted > 0:
            size = _PAGE if wanted is None else min(wanted, _PAGE)
            rows, token = search_rows(
                store,
                *(experiment_ids, filter_string, run_view_type, size, order_by, token),
                dialect=dialect,
                on_warning=on_warning,
            )
            pages.append(rows)
            wanted = None if wanted is None else wanted - len(rows)
            if token is None:
                break
        found = np.concatenate(pages) if pages else np.empty(0, np.int64)
        return runs_frame(store, found) if columns is None else projected_frame(store, found, columns)


def runs_frame(store: Store, rows: Any) -> DataFrame:
    """Return the frame of the runs at `rows`, an integer array of shape (n,), in that order.

    Columns are run_id, experiment_id, status, artifact_uri, start_time, end_time (UTC), then `metrics.*`, `params.*`
    and `tags.*` in the order of first appearance, with MLflow's dtypes.

    **Source**: `mlflow.search_runs` of MLflow 3.17, measured with pandas 3.1.
    """
    if not len(rows):
        return DataFrame({name: [] for name in _STRINGS + _TIMES})
    with store.lock:
        runs = store.runs
        text = pd.Series(["a"]).dtype  # what pandas stores text in, under the options of the moment
        frame = {name: _named_array(runs, name, rows, text) for name in _STRINGS + _TIMES}
        for key, metric in _present(runs.metrics, runs.metric_keys, rows, _states):
            frame[f"metrics.{key}"] = metric.values[rows]
        for prefix, columns, keys in (("params", runs.params, runs.param_keys), ("tags", runs.tags, runs.tag_keys)):
            for key, column in _present(columns, keys, rows, _codes):
                frame[f"{prefix}.{key}"] = _string_array(column.table, column.codes[rows], text)
        return _framed(frame)


def projected_frame(store: Store, rows: Any, columns: Sequence[str]) -> DataFrame:
    """Return the named columns of the runs at `rows`, in the order of the names; nothing else is read.

    A key that none of the runs has gives a column of missing values.

    Raises:
        ValueError: A name is neither an attribute of the frame nor `metrics.`, `params.` or `tags.` and a key.
    """
    with store.lock:
        text = pd.Series(["a"]).dtype
        return _framed({name: _named_array(store.runs, name, rows, text) for name in columns})


def _framed(arrays: Mapping[str, Any]) -> DataFrame:
    """Return the frame of arrays that nobody else holds, which takes twice the memory when it copies them.

    It does so for the sake of many columns: pandas warns of more than a hundred when they are not put together.
    """
    return DataFrame(arrays, copy=len(arrays) > _MANY_COLUMNS)


def _named_array(runs: RunTable, name: str, rows: Any, text: Any) -> Any:
    prefix, _, key = name.partition(".")
    if name in _TIMES:
        return _time_array(runs.times[name].values[rows])
    if name == "artifact_uri":
        uris = runs.artifact_uris(rows)
        return pd.array(np.array(uris, dtype=object), dtype=text) if uris.count(None) < len(uris) else uris
    if name in _STRINGS:
        return _string_array(runs.strings[name].table, runs.strings[name].codes[rows], text)
    if prefix == "metrics" and key:
        return runs.metrics[key].values[rows] if key in runs.metrics else np.full(len(rows), np.nan)
    if prefix not in ("params", "tags") or not key:
        raise ValueError(f"no column is called {name!r}: {', '.join(_STRINGS + _TIMES)}, metrics.*, params.* or tags.*")
    found = (runs.params if prefix == "params" else runs.tags).get(key)
    return [None] * len(rows) if found is None else _string_array(found.table, found.codes[rows], text)


def history_frame(
    store: Store,
    run_ids: Sequence[str],
    keys: Sequence[str],
    steps: tuple[int | None, int | None] = (None, None),
    max_points: int | None = None,
) -> DataFrame:
    """Return the points of many runs and metrics: run_id, key, value, timestamp (ms UTC) and step.

    Args and raises: as `mlquery.query.histories.histories`. `run_id` and `key` are categorical.
    """
    found = histories(store, run_ids, keys, steps, max_points)
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


def _states(column: MetricColumn, rows: Any) -> Any:
    return column.states[rows] != 0


def _codes(column: StringColumn, rows: Any) -> Any:
    return column.codes[rows] >= 0


def _present(
    columns: Mapping[str, C], keys_of: Sequence[tuple[str, ...]], rows: Any, presence: Callable[[C, Any], Any]
) -> Iterator[tuple[str, C]]:
    """Yield the columns that some row has, in the order in which MLflow meets their keys when it goes through the runs.

    The keys that one run adds come out of a difference of two sets there, in hash order. Taking the same difference
    gives the same order of columns within one process, which is all that MLflow itself repeats.
    """
    first: dict[int, None] = {}
    for key in _candidates(columns, keys_of, rows):
        has_key = presence(columns[key], rows)
        place = int(has_key.argmax())
        if has_key[place]:
            first[place] = None
    seen: dict[str, None] = {}
    for place in sorted(first):
        seen |= dict.fromkeys(set(keys_of[rows[place]]) - set(seen))
    for key in seen:
        yield key, columns[key]


def _candidates(columns: Mapping[str, Any], keys_of: Sequence[tuple[str, ...]], rows: Any) -> Iterable[str]:
    """Return keys of which the others need not be looked at: all, or those of the rows where there are very many."""
    if len(columns) <= _FEW_KEYS:
        return columns
    return {key for row in rows.tolist() for key in keys_of[row]}


def _string_array(table: Sequence[str], codes: Any, dtype: Any) -> Any:
    """Return the texts behind `codes`; code -1, a missing text, becomes the dtype's own missing value."""
    if (codes < 0).all():
        return [None] * len(codes)
    if len(table) > 8 * len(codes):  # few rows of many
        return pd.array([table[code] if code >= 0 else None for code in codes.tolist()], dtype=dtype)
    texts = np.array([*table, None], dtype=object)  # -1 is the last entry
    if max(4 * len(table), _FEW_ROWS) < len(codes):
        return pd.array(texts, dtype=dtype).take(codes)
    return pd.array(texts[codes], dtype=dtype)


def _time_array(values: Any) -> Any:
    """Return times in ms UTC as pandas datetimes; the store's marker of a missing time is NumPy's NaT already."""
    nothing: Any = None
    times = values.view("M8[ms]")
    if np.isnat(times).all():
        return [pd.to_datetime(nothing, unit="ms", utc=True)] * len(values)
    return pd.DatetimeIndex(times).as_unit(_time_unit()).tz_localize("UTC")


@cache
def _time_unit() -> Any:
    """Return the unit that this version of pandas keeps such times in; asking takes longer than filling a column."""
    return pd.to_datetime(0, unit="ms", utc=True).unit
