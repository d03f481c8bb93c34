"""Turn aggregates such as "mean(metrics.auc), count()" into a DataFrame with one row per group of runs.

An aggregate is a function over the runs of a group, of a field or of a function of each run's history. The runs are
those that a filter finds; what they are grouped by are any fields.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import attrs
import numpy as np
import pandas as pd

from mlquery.entities import ViewType
from mlquery.errors import Diagnostic, QueryError, Span
from mlquery.language.diagnostics import Diagnostics
from mlquery.language.features import closest
from mlquery.language.fields import Target
from mlquery.language.matrix import MATRIX, Dialect
from mlquery.language.parser import parse_aggregates, parse_operand
from mlquery.language.plan import Entity, FieldRef, Function, Kind
from mlquery.language.syntax import Aggregate
from mlquery.query import in_place
from mlquery.query.columns import RunColumns, StoreColumns, ValueColumns
from mlquery.query.dataframe import DataFrame, field_array
from mlquery.query.operands import resolve_operand
from mlquery.query.reading import OnWarning, warn_caller
from mlquery.query.search import search_rows
from mlquery.query.sources import Source
from mlquery.store import Store

_FUNCTIONS: Final = ("count", "min", "max", "mean", "median", "std", "sum")
_OF_TIMES: Final = ("count", "min", "max", "mean", "median")
_OF_STRINGS: Final = ("count",)
_TIMES: Final = ("start_time", "end_time")
_EXACT: Final = ("count", "min", "max")  # the others of an integer are floats


@attrs.frozen
class _Column:
    """A column of the result: its name, its field and, unless runs are grouped by it, its function.

    `count()` has no field.
    """

    name: str
    field: FieldRef | None
    function: str | None = None


def aggregate(
    source: Any,
    aggregates: str,
    by: Sequence[str] = (),
    filter_string: str = "",
    *,
    experiment_ids: Sequence[str] | None = None,
    run_view_type: int = ViewType.ACTIVE_ONLY,
    dialect: str | Dialect | None = None,
    on_warning: OnWarning = warn_caller,
) -> DataFrame:
    """Return one row per group of runs, with aggregates of their fields.

    The functions are those of pandas: `count()` is the number of runs; `count`, `min`, `max`, `mean`, `median`, `std`
    (of a sample) and `sum` of a field leave out runs without it and NaN. A field is a metric (its last value), a
    function of a metric's history, such as `mean(max(metrics.auc))`, or an attribute of numbers, such as `duration` in
    milliseconds; of strings there is only `count`, of times neither `std` nor `sum`.

    Args:
        source: A store, a client of one, or a client of a database that is searched in place.
        aggregates: Aggregates, separated by commas.
        by: Fields to group by, such as "params.model". Runs without a field are a group of their own, the last one.
            Without fields, all runs are one group.
        filter_string: The filter; empty accepts every run.
        experiment_ids: The experiments to search; by default all, deleted ones only if the view shows deleted runs.
        run_view_type: A number of `ViewType`.
        dialect: The dialect of filter and fields; by default the one that mlquery defines, with functions of histories.
        on_warning: Receives warnings; by default they are issued as `QueryWarning`.

    Returns:
        The fields of `by` and then the aggregates, each in a column that is called as it is written; groups are sorted.

    Raises:
        QueryError: An aggregate, a field or the filter is not valid.
        TypeError: The source is neither a store nor a client of one.
    """
    found = in_place.data_of(source)
    chosen = MATRIX.local_dialect if dialect is None else MATRIX.dialect(dialect)
    asked = _Aggregates.read(aggregates, by, chosen, on_warning)
    query: dict[str, Any] = {"dialect": chosen, "on_warning": on_warning}
    if isinstance(found, Source):
        ids = in_place.experiment_ids(found, chosen, run_view_type) if experiment_ids is None else experiment_ids
        search = in_place.RunSearch(ids, filter_string, run_view_type, **query)
        values = in_place.run_values(found, asked.fields, search)
        return asked.frame(ValueColumns(asked.fields, values))
    with found.lock:
        ids = _experiment_ids(found, run_view_type) if experiment_ids is None else experiment_ids
        rows, _ = search_rows(found, ids, filter_string, run_view_type, None, **query)
        return asked.frame(StoreColumns(found, rows))


@attrs.frozen
class _Aggregates:
    """What is asked of runs: the fields to group them by and the functions of each group."""

    groups: tuple[_Column, ...]
    columns: tuple[_Column, ...]

    @classmethod
    def read(cls, aggregates: str, by: Sequence[str], dialect: Dialect, on_warning: OnWarning) -> _Aggregates:
        """Return what two arguments of `aggregate` ask for; raises as it does."""
        groups, columns = _groups(by, dialect, on_warning), _aggregates(aggregates, dialect, on_warning)
        _require_distinct([group.name for group in groups], "by")
        _require_distinct([column.name for column in columns], "aggregates", aggregates)
        return cls(tuple(groups), tuple(columns))

    @property
    def fields(self) -> list[FieldRef]:
        """Return the fields whose values it needs, each once."""
        named = [column.field for column in (*self.groups, *self.columns) if column.field is not None]
        return list(dict.fromkeys(named))

    def frame(self, runs: RunColumns) -> DataFrame:
        """Return one row per group of runs."""
        return _frame(runs, self.groups, self.columns)


def _experiment_ids(store: Store, run_view_type: int) -> list[str]:
    experiments = store.experiments
    with_deleted = run_view_type != ViewType.ACTIVE_ONLY
    return [name for row, name in enumerate(experiments.ids) if with_deleted or experiments.is_active(row)]


def _groups(by: Sequence[str], dialect: Dialect, on_warning: OnWarning) -> list[_Column]:
    if isinstance(by, str):
        message = "by must be a list of strings, one for each field"
        raise QueryError(Diagnostic("syntax", message, "by", by, suggestion=f"by=[{by!r}]"))
    return [_group(source, f"by[{index}]", dialect, on_warning) for index, source in enumerate(by)]


def _group(source: str, argument: str, dialect: Dialect, on_warning: OnWarning) -> _Column:
    diagnostics = Diagnostics(dialect, Entity.RUN, argument, source)
    operand = parse_operand(source, argument)
    target = resolve_operand(operand, diagnostics)
    _require_one_value(target, operand.span, diagnostics)
    on_warning(diagnostics.warnings)
    return _Column(source, target.ref)


def _aggregates(source: Any, dialect: Dialect, on_warning: OnWarning) -> list[_Column]:
    if not isinstance(source, str):
        message = f"aggregates must be a string, such as 'count(), mean(metrics.auc)', not {type(source).__name__}"
        raise QueryError(Diagnostic("syntax", message, "aggregates"))
    diagnostics = Diagnostics(dialect, Entity.RUN, "aggregates", source)
    columns = [_column(node, diagnostics) for node in parse_aggregates(source)]
    on_warning(diagnostics.warnings)
    return columns


def _column(node: Aggregate, diagnostics: Diagnostics) -> _Column:
    name = diagnostics.source[node.span.start : node.span.stop]
    if node.function not in _FUNCTIONS:
        _refuse_function(node, name, diagnostics)
    if node.operand is None:
        if node.function != "count":
            _refuse(f"{node.function}() takes a field", node.span, f"{node.function}(metrics.auc)", diagnostics)
        return _Column(name, None, node.function)
    target = resolve_operand(node.operand, diagnostics)
    _require_one_value(target, node.operand.span, diagnostics)
    kind, functions = _functions_of(target)
    if node.function not in functions:
        message = (
            f"{target.label} is {kind}, which {node.function}() cannot aggregate; use one of: {', '.join(functions)}"
        )
        _refuse(message, node.span, f"count({target.label})", diagnostics)
    return _Column(name, target.ref, node.function)


def _functions_of(target: Target) -> tuple[str, Sequence[str]]:
    if target.type == "string":
        return "a string", _OF_STRINGS
    return ("a time", _OF_TIMES) if target.ref.key in _TIMES and target.kind is Kind.ATTRIBUTE else ("", _FUNCTIONS)


def _refuse_function(node: Aggregate, name: str, diagnostics: Diagnostics) -> NoReturn:
    """Refuse a function that is none over runs; one of a history may be meant."""
    if node.function in [function.value for function in Function]:
        message = f"{node.function}() is a function of the history of one run; aggregate it over runs"
        _refuse(message, node.word, f"mean({name})", diagnostics)
    close = closest(node.function, _FUNCTIONS)
    message = f"unknown function {node.function!r}; functions over runs are {', '.join(_FUNCTIONS)}"
    rest = name[len(node.function) :]
    _refuse(message, node.word, close and f"{close}{rest}", diagnostics)


def _require_one_value(target: Target, span: Span, diagnostics: Diagnostics) -> None:
    if target.kind is Kind.DATASET:
        _refuse(f"a run may have several values of {target.label}", span, "a filter about datasets", diagnostics)


def _refuse(message: str, span: Span, suggestion: str | None, diagnostics: Diagnostics) -> NoReturn:
    diagnostics.error("unsupported", message, span, suggestion=suggestion)
    raise QueryError(*diagnostics.errors)


def _require_distinct(names: Sequence[str], argument: str, source: str = "") -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise QueryError(Diagnostic("syntax", f"{repeated[0]} is there twice", argument, source))


def _frame(runs: RunColumns, groups: Sequence[_Column], columns: Sequence[_Column]) -> DataFrame:
    """Return the columns of the groups of runs."""
    # Fields are called by number meanwhile: two spellings of one field are two columns.
    keys = DataFrame({f"by {n}": _array(runs, group) for n, group in enumerate(groups)}, index=range(len(runs)))
    sizes, named = pd.Series([len(runs)]), {}
    if groups:
        found = keys.groupby(list(keys.columns), dropna=False).size().reset_index(name="size")
        sizes, named = found["size"], {group.name: found[key] for group, key in zip(groups, keys.columns, strict=True)}
    return DataFrame(named | {column.name: _reduced(runs, column, keys, sizes) for column in columns})


def _array(runs: RunColumns, column: _Column) -> Any:
    """Return the values of a field; integers as floats for functions that make fractions of them."""
    assert column.field is not None
    array = field_array(runs, column.field)
    if isinstance(array, pd.arrays.IntegerArray) and column.function not in (None, *_EXACT):
        return array.to_numpy(np.float64, na_value=np.nan)
    return array


def _reduced(runs: RunColumns, column: _Column, keys: DataFrame, sizes: Any) -> Any:
    """Return a function of each group of runs, in the order of the groups; without keys, all are one group."""
    if column.field is None:
        return sizes.astype(np.int64)
    values: Any = pd.Series(_array(runs, column), index=keys.index)
    dtype, function = np.int64 if column.function == "count" else values.dtype, str(column.function)
    if not len(keys.columns):
        return pd.Series([getattr(values, function)()], dtype=dtype)
    grouped = values.groupby([keys[key] for key in keys.columns], dropna=False)
    return getattr(grouped, function)().astype(dtype).reset_index(drop=True)
