"""The engine used for searches: finds the same rows as `reference`, on columns.

Candidates come in the default order (newest first, then run id), which the store keeps, so that the tie-breakers of
every order are already applied and each remaining key is one stable sort. For a page in default order, candidates are
tested in growing chunks until it is full; for a page in another order, only the rows that can be on it are sorted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mlquery.engine.histories import IntegerColumn, history_column
from mlquery.engine.masks import Test, all_of, durations, test_for
from mlquery.language.plan import All, Entity, FieldRef, Kind, Op, Plan, Predicate, SortKey, Where
from mlquery.language.semantics import id_rank
from mlquery.store import Store
from mlquery.store.columns import ABSENT, MISSING, NAN, NUMBER

Rows = npt.NDArray[np.int64]
_LAST = np.iinfo(np.int64).max
_SAMPLE = 64  # times the limit
_START_TIME, _RUN_ID = FieldRef(Kind.ATTRIBUTE, "start_time"), FieldRef(Kind.ATTRIBUTE, "run_id")


def rows(store: Store, plan: Plan, limit: int | None = None) -> Rows:
    """Return the rows that a plan selects, in its order, as an array (n,); the first `limit` of them."""
    table = store.runs if plan.entity is Entity.RUN else store.experiments
    store.runs.derived.renew(store.version)
    listed, where = _listed_ids(plan.where, table) if plan.entity is Entity.RUN else (None, plan.where)
    test = all_of(_tests(plan, where, table))
    keys = _keys_beyond_default(plan)
    if listed is not None:
        base = _newest_first(listed, table)
        found = base if test is None else base.compress(test(base))
        return _in_order(found, keys, table, limit)
    base = table.default_order()
    if not keys:
        return _first(base, test, limit)
    found = base if test is None else _passing(base, test)
    return _in_order(found, keys, table, limit)


def _listed_ids(where: Where, table: Any) -> tuple[set[int] | None, Where]:
    """Return the rows of the run ids that a condition lists and the rest of the condition; None without such a list."""
    parts = where.parts if isinstance(where, All) else (where,)
    for place, part in enumerate(parts):
        match part:
            case Predicate(FieldRef(Kind.ATTRIBUTE, "run_id"), Op.EQ | Op.IN, value):
                wanted: Any = value if isinstance(value, tuple) else (value,)
                rows = {table.row_of[run_id] for run_id in wanted if run_id in table.row_of}
                return rows, All(parts[:place] + parts[place + 1 :])
    return None, where


def _newest_first(rows: set[int], table: Any) -> Rows:
    """Return a few rows in the default order."""
    started, ids = table.times["start_time"].values, table.ids
    return np.array(sorted(rows, key=lambda row: (-int(started[row]), ids[row])), dtype=np.int64)


def _tests(plan: Plan, where: Where, table: Any) -> list[Test]:
    """Return the tests of a plan, without those that every row passes."""
    tests = []
    if plan.experiment_ids is not None:
        tests += _membership(table.strings["experiment_id"], plan.experiment_ids)
    tests += _membership(table.strings["lifecycle_stage"], plan.stages)
    if where != All():
        tests.append(test_for(where, table))
    return tests


def _membership(column: Any, wanted: frozenset[str]) -> list[Test]:
    codes = column.codes
    is_wanted = np.array([string in wanted for string in column.table] + [False])
    if is_wanted[:-1].all():
        return []
    if is_wanted.sum() == 1:
        code = int(is_wanted.argmax())
        return [lambda rows: codes[rows] == code]
    return [lambda rows: is_wanted[codes[rows]]]


def _keys_beyond_default(plan: Plan) -> list[SortKey]:
    """Return the keys of the order that the default order of the table does not cover."""
    keys = list(plan.order)
    if plan.entity is Entity.RUN and keys and keys[-1] == SortKey(_RUN_ID):
        keys.pop()
        if keys and keys[-1] == SortKey(_START_TIME, descending=True):
            keys.pop()
    return keys


def _first(base: Rows, test: Test | None, limit: int | None) -> Rows:
    """Return the first `limit` candidates that pass, testing no more of them than necessary."""
    if test is None:
        return base[:limit]
    if limit is not None and len(base) > 16 * limit:
        return _first_in_chunks(base, test, limit)
    return _passing(base, test)[:limit]


def _first_in_chunks(base: Rows, test: Test, limit: int) -> Rows:
    """Test as many more candidates as the share that passed so far suggests, or all of the rest if few pass."""
    found: list[Rows] = []
    count, start, size = 0, 0, 4 * max(limit, 64)
    while count < limit and start + size < len(base) // 4:
        chunk = base[start : start + size]
        found.append(chunk.compress(test(chunk)))
        count, start = count + len(found[-1]), start + size
        size = max(size, (limit - count) * start * 5 // (4 * max(count, 1)))
    if count < limit:
        found.append(_passing(base[start:], test))
    return np.concatenate(found)[:limit]


def _passing(base: Rows, test: Test) -> Rows:
    """Return the candidates that pass, after testing all rows in the order in which they are stored."""
    return base.compress(test(slice(None))[base])  # several times as fast as indexing with a mask


def _in_order(found: Rows, keys: list[SortKey], table: Any, limit: int | None) -> Rows:
    """Return candidates in the order of the keys, keeping the order of equal ones."""
    if limit is not None and len(found) > 4 * max(limit, 64):
        found = _contenders(found, _ranks(keys[0], table, found), limit)
    for key in reversed(keys):
        found = found[np.argsort(_ranks(key, table, found), kind="stable")]
        found = _place_missing(found, key, table)
    return found[:limit]


def _contenders(found: Rows, ranks: npt.NDArray[Any], limit: int) -> Rows:
    """Return the candidates that can be among the first `limit` by their first key, ties included.

    A bound from a sample excludes most of them before the exact bound is found. If the limit reaches NaN and missing
    values, which rank last, all candidates are returned.
    """
    for part in (_SAMPLE * limit, len(ranks)):
        bound = np.partition(ranks[:part], limit - 1)[limit - 1]
        if bound < (np.inf if ranks.dtype.kind == "f" else _LAST):
            within = ranks <= bound
            found, ranks = found.compress(within), ranks.compress(within)
    return found


def _ranks(key: SortKey, table: Any, rows: Rows) -> npt.NDArray[Any]:
    """Return numbers (len(rows),) that sort as the key does; NaN and missing values rank last."""
    match key.field:
        case FieldRef(Kind.METRIC, name):
            return _metric_ranks(table.metrics.get(name), key.descending, rows)
        case FieldRef(Kind.HISTORY):
            return _history_ranks(history_column(table, key.field), key.descending, rows)
        case FieldRef(Kind.PARAM, name):
            return _string_ranks(table.params.get(name), key, rows)
        case FieldRef(Kind.TAG, name):
            return _string_ranks(table.tags.get(name), key, rows)
        case FieldRef(Kind.ATTRIBUTE, "duration"):
            return _time_ranks(durations(table)[0][rows], key.descending)
        case FieldRef(Kind.ATTRIBUTE, name) if name in table.times:
            return _time_ranks(table.times[name].values[rows], key.descending)
    return _string_ranks(table.strings.get(key.field.key), key, rows)


def _metric_ranks(column: Any, descending: bool, rows: Rows) -> npt.NDArray[Any]:
    if column is None:
        return np.full(len(rows), np.inf)
    values: npt.NDArray[Any] = column.values[rows]  # NumPy sorts NaN last
    return -values if descending else values


def _history_ranks(column: Any, descending: bool, rows: Rows) -> npt.NDArray[Any]:
    if not isinstance(column, IntegerColumn):
        return _metric_ranks(column, descending, rows)
    _, ranks = np.unique(column.values[rows], return_inverse=True)  # a step may be any integer of 64 bits
    return np.where(column.known[rows], -ranks if descending else ranks, _LAST)


def _time_ranks(values: npt.NDArray[np.int64], descending: bool) -> npt.NDArray[Any]:
    return np.where(values == MISSING, _LAST, -values if descending else values)


def _string_ranks(column: Any, key: SortKey, rows: Rows) -> npt.NDArray[Any]:
    if column is None:
        return np.full(len(rows), _LAST)
    rank = id_rank if key.field == FieldRef(Kind.ATTRIBUTE, "experiment_id") else None
    strings = column.table
    ranks = np.empty(len(strings) + 1, dtype=np.int64)
    codes = sorted(range(len(strings)), key=lambda code: rank(strings[code]) if rank else strings[code])
    ranks[codes] = np.arange(len(strings))
    if key.descending:
        ranks = -ranks
    ranks[-1] = _LAST
    by_row: npt.NDArray[Any] = ranks[column.codes[rows]]
    return by_row


def _place_missing(found: Rows, key: SortKey, table: Any) -> Rows:
    """Separate NaN from missing metrics, and put missing values first if the key says so."""
    column = _float_column(key.field, table)
    if column is not None:
        states = column.states[found]
        return np.concatenate([found[states == state] for state in (NUMBER, NAN, ABSENT)])
    if key.missing_is_least and not key.descending:
        is_missing = _ranks(key, table, found) == _LAST
        return np.concatenate([found[is_missing], found[~is_missing]])
    return found


def _float_column(field: FieldRef, table: Any) -> Any:
    """Return the column of a field whose values may be NaN; None for other fields and for a metric that no run has."""
    if field.kind is Kind.METRIC:
        return table.metrics.get(field.key)
    if field.kind is Kind.HISTORY:
        column = history_column(table, field)
        return None if isinstance(column, IntegerColumn) else column
    return None
