"""Turn the condition of a plan into a function from rows to booleans, on columns.

Strings are compared once per distinct value and looked up by code; metrics are float64 with a state, so that a missing
metric and NaN fail every comparison except `!=` by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mlquery.engine.histories import IntegerColumn, history_column
from mlquery.language.plan import All, AnyOf, FieldRef, Kind, Negation, Op, Predicate, Where
from mlquery.language.semantics import COMPARISONS, number_test, string_test
from mlquery.store.columns import ABSENT, MISSING, NAN

Mask = npt.NDArray[np.bool_]
Rows = Any
"""A selection of rows of a column: `slice(None)` for all, or an array (m,) of row numbers."""
Test = Callable[[Rows], Mask]

_CONTEXT_TAG = "mlflow.data.context"


def test_for(where: Where, table: Any) -> Test:
    """Return the function that tells which rows of a table satisfy a condition."""
    match where:
        case All(parts):
            return all_of([test_for(part, table) for part in parts]) or _constant(True, table)
        case AnyOf(parts):
            tests = [test_for(part, table) for part in parts] or [_constant(False, table)]
            return lambda rows: np.logical_or.reduce([test(rows) for test in tests])
        case Negation(part):
            test = test_for(part, table)
            return lambda rows: ~test(rows)
        case Predicate():
            return _predicate(where, table)


def all_of(tests: list[Test]) -> Test | None:
    """Return the conjunction of tests; None if there are none."""
    if len(tests) < 2:
        return tests[0] if tests else None

    def test(rows: Rows) -> Mask:
        mask = tests[0](rows)
        for other in tests[1:]:
            mask = mask & other(rows)
        return mask

    return test


def _constant(value: bool, table: Any) -> Test:
    return lambda rows: np.full(table.size if isinstance(rows, slice) else len(rows), value)


def _predicate(predicate: Predicate, table: Any) -> Test:
    field, op = predicate.field, predicate.op
    match field:
        case FieldRef(Kind.METRIC, key):
            return _metric(table.metrics.get(key), predicate, table)
        case FieldRef(Kind.HISTORY):
            return _history(predicate, table)
        case FieldRef(Kind.PARAM, key):
            return _string(table.params.get(key), predicate, table)
        case FieldRef(Kind.TAG, key):
            return _string(table.tags.get(key), predicate, table)
        case FieldRef(Kind.DATASET, key):
            return _dataset(key, predicate, table)
        case FieldRef(Kind.ATTRIBUTE, key) if key == table.id_name and op in (Op.EQ, Op.IN):
            return _ids(predicate, table)
        case FieldRef(Kind.ATTRIBUTE, "duration"):
            return _number(*durations(table), predicate)
        case FieldRef(Kind.ATTRIBUTE, key) if key in table.times:
            values = table.times[key].values
            return _number(values, values != MISSING, predicate)
    return _string(table.strings.get(field.key), predicate, table)


def _history(predicate: Predicate, table: Any) -> Test:
    column = history_column(table, predicate.field)
    if isinstance(column, IntegerColumn):
        return _number(column.values, column.known, predicate)
    return _metric(column, predicate, table)


def durations(table: Any) -> tuple[npt.NDArray[np.int64], Mask]:
    """Return end_time - start_time (n,) in milliseconds, and a mask (n,) of the rows that have both."""
    start, end = table.times["start_time"].values, table.times["end_time"].values
    known = (start != MISSING) & (end != MISSING)
    return np.where(known, end - start, MISSING), known


def _metric(column: Any, predicate: Predicate, table: Any) -> Test:
    op, value = predicate.op, predicate.value
    if column is None:
        return _constant(op is Op.IS_NULL, table)
    values, states = column.values, column.states
    if predicate.nan is not None:
        values = np.where(states == NAN, predicate.nan, values)
    if op is Op.IS_NULL:
        return lambda rows: states[rows] == ABSENT
    if op is Op.IS_NOT_NULL:
        return lambda rows: states[rows] != ABSENT
    if op in (Op.IN, Op.NOT_IN):
        return _listed(values, lambda rows: states[rows] != ABSENT, predicate)
    compare: Any = COMPARISONS[op]
    if op is Op.NE:
        return lambda rows: (values[rows] != value) & (states[rows] != ABSENT)
    return lambda rows: compare(values[rows], value)


def _number(values: npt.NDArray[np.int64], known: Mask, predicate: Predicate) -> Test:
    """Return the test of integers, which are compared exactly even with fractions and numbers beyond 64 bits."""
    op, value = predicate.op, predicate.value
    if op is Op.IS_NULL:
        return lambda rows: ~known[rows]
    if op is Op.IS_NOT_NULL:
        return lambda rows: known[rows]
    if isinstance(value, float) and not value.is_integer():
        # Between two integers only the direction matters, so compare with the smaller one.
        return _beside(values, known, op, value)
    if op in (Op.IN, Op.NOT_IN):
        return _listed(values, lambda rows: known[rows], predicate)
    integer = int(value)  # type: ignore[arg-type]
    if not -(2**63) <= integer < 2**63:
        passes = number_test(op, integer)(0.0)
        return lambda rows: known[rows] & passes
    compare: Any = COMPARISONS[op]
    return lambda rows: compare(values[rows], integer) & known[rows]


def _beside(values: npt.NDArray[np.int64], known: Mask, op: Op, value: float) -> Test:
    if not abs(value) < 2**62:
        passes = number_test(op, value)(0.0)
        return lambda rows: known[rows] & passes
    below = int(np.floor(value))
    match op:
        case Op.GT | Op.GE:
            return lambda rows: (values[rows] > below) & known[rows]
        case Op.LT | Op.LE:
            return lambda rows: (values[rows] <= below) & known[rows]
    return lambda rows: known[rows] & (op is Op.NE)


def _listed(values: npt.NDArray[Any], known: Test, predicate: Predicate) -> Test:
    value: Any = predicate.value
    wanted = value if values.dtype.kind == "f" else [int(v) for v in value if _is_in_column(v)]
    listed = np.array(wanted, dtype=values.dtype)
    return lambda rows: np.isin(values[rows], listed, invert=predicate.op is Op.NOT_IN) & known(rows)


def _is_in_column(number: float) -> bool:
    """Tell whether a column of integers can have a number."""
    return -(2**63) <= number < 2**63 and number == int(number)


def _string(column: Any, predicate: Predicate, table: Any) -> Test:
    op, value = predicate.op, predicate.value
    if column is None:
        return _constant(op is Op.IS_NULL, table)
    codes = column.codes
    if op is Op.IS_NULL:
        return lambda rows: codes[rows] < 0
    if op is Op.IS_NOT_NULL:
        return lambda rows: codes[rows] >= 0
    if op is Op.EQ:
        code = column.code(value)
        return (lambda rows: codes[rows] == code) if code >= 0 else _constant(False, table)
    if op is Op.NE:
        code = column.code(value)
        return lambda rows: (codes[rows] != code) & (codes[rows] >= 0)
    passing = _passing_codes(column.table, predicate)
    return lambda rows: passing[codes[rows]]


def _passing_codes(strings: list[str], predicate: Predicate) -> Mask:
    """Return which strings pass (len(strings) + 1,); the last item is for the code -1, a missing string."""
    test = string_test(predicate.op, predicate.value)
    passing = np.zeros(len(strings) + 1, dtype=np.bool_)
    passing[:-1] = np.fromiter(map(test, strings), np.bool_, len(strings))
    return passing


def _ids(predicate: Predicate, table: Any) -> Test:
    """Return the test of one id or a list of ids, by looking them up."""
    wanted = predicate.value if isinstance(predicate.value, tuple) else (predicate.value,)
    found = [table.row_of[i] for i in wanted if i in table.row_of]
    mask = np.zeros(table.size, dtype=np.bool_)
    mask[found] = True
    return lambda rows: mask[rows]


def _dataset(key: str, predicate: Predicate, table: Any) -> Test:
    """Return the test of dataset fields: a run passes if one of its inputs does."""
    mask = np.zeros(table.size, dtype=np.bool_)
    op, is_null = predicate.op, predicate.op is Op.IS_NULL
    passes = (lambda _: True) if is_null or op is Op.IS_NOT_NULL else string_test(op, predicate.value)
    for row, inputs in table.inputs.items():
        mask[row] = any(passes(found) for dataset_input in inputs for found in _dataset_strings(key, dataset_input))
    return lambda rows: mask[rows] != is_null


def _dataset_strings(key: str, dataset_input: Any) -> list[str]:
    if key == "context":
        return [tag.value for tag in dataset_input.tags if tag.key == _CONTEXT_TAG]
    return [getattr(dataset_input.dataset, key)]
