"""Search logged models: filter, order and pages over the models of a store.

A filter is a list of comparisons joined by AND; a caller may parse it with its own `read`. A service has MLflow's
logged models or none; which of the points of a metric count, and how a status is written, is data of a release.

**Source**: `SqlAlchemyStore.search_logged_models` of MLflow 3.18 and 3.17 on SQLite.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from mlquery.entities import LoggedModelStatus, Metric
from mlquery.errors import INTERNAL_ERROR, StoreError, invalid_parameter
from mlquery.language.parser import parse_filter
from mlquery.language.plan import Op
from mlquery.language.semantics import number_test, string_test
from mlquery.language.sizes import filter_problem, order_problem
from mlquery.language.syntax import And, Call, Comparison, Expression, Items, Number, Range, String
from mlquery.store.model_table import ModelTable, StoredModel
from mlquery.store.state import integer_id

_DEFAULT_MAX_RESULTS: Final = 100

# The columns of a model in filters; its fields are called the same, without a unit.
_NUMBERS: Final = ("creation_timestamp_ms", "last_updated_timestamp_ms")
_COLUMNS: Final = (
    *("model_id", "experiment_id", "name", "artifact_location", "status", "lifecycle_stage"),
    *("model_type", "source_run_id", "status_message", *_NUMBERS),
)
_ORDER_ALIASES: Final = {
    "creation_time": "creation_timestamp_ms",
    "creation_timestamp": "creation_timestamp_ms",
    "last_updated_timestamp": "last_updated_timestamp_ms",
}
_INTEGERS: Final = ("experiment_id", "status")

_NUMBER_OPS: Final = ("<", "<=", ">", ">=", "=", "!=")
_STRING_OPS: Final = ("=", "!=", "LIKE", "ILIKE", "IN", "NOT IN")
_STATUS_OPS: Final = ("=", "!=", "IN", "NOT IN")
_KINDS: Final = ("attributes", "metrics", "params", "tags")


@attrs.frozen
class ModelRule:
    """Which of the points of a metric a search is about, and how a filter writes a status.

    Attributes:
        latest_by: The fields of the latest point, which is the greatest by the first of them, then by the next one.
        filters_every_point: Whether a filter is about every point, and an order about those on any dataset; otherwise
            both are about the latest point on the datasets of the search.
        has_numeric_status: Whether a filter compares the number of a status, and not its name.
    """

    latest_by: Sequence[str] = ("step", "timestamp", "value")
    filters_every_point: bool = False
    has_numeric_status: bool = False


NEWEST_RULE: Final = ModelRule()

_Test = Callable[[StoredModel], bool]
Datasets = Sequence[Mapping[str, Any]] | None


@attrs.frozen
class ModelTest:
    """One comparison of a filter: `kind` is "attributes", "metrics", "params" or "tags"."""

    kind: str
    key: str
    op: str
    value: Any


ReadFilter = Callable[[str | None], Sequence[ModelTest]]


def read_filter(filter_string: str | None) -> Sequence[ModelTest]:
    """Return the comparisons of a filter.

    Raises:
        StoreError: INVALID_PARAMETER_VALUE, in MLflow's wording.
    """
    if not filter_string:
        return []
    problem = filter_problem(filter_string)
    if problem is not None:
        raise invalid_parameter(f"Invalid filter string: {problem}.")
    try:
        return list(map(_read, _clauses(parse_filter(filter_string, "filter_string"))))
    except ValueError:  # a QueryError too
        raise invalid_parameter(
            f"Invalid filter string: {filter_string!r}. Expected a list of comparisons "
            "separated by 'AND' (e.g. 'metrics.loss > 0.1 AND params.lr = 0.01')."
        ) from None


def _clauses(expression: Expression) -> list[Comparison]:
    if isinstance(expression, Comparison):
        return [expression]
    if isinstance(expression, And):
        return [clause for operand in expression.operands for clause in _clauses(operand)]
    raise ValueError("not a list of comparisons")


def _read(clause: Comparison) -> ModelTest:
    name = clause.name
    if isinstance(name, Call):
        raise invalid_parameter(
            f"Invalid filter string: {name.function}() is about the history of a metric of a run, "
            "and a search of logged models has none; compare the metric itself."
        )
    kind = name.prefix or "attributes"
    if kind not in _KINDS:
        raise invalid_parameter(f"Invalid entity type: {kind!r}. Expected one of {list(_KINDS)}.")
    key = name.key if name.prefix else _ORDER_ALIASES.get(name.key, name.key)
    is_number = kind == "metrics" or (kind == "attributes" and key in _NUMBERS)
    ops = _NUMBER_OPS if is_number else _STRING_OPS
    if clause.op not in ops:
        raise invalid_parameter(f"Invalid comparison operator for {kind}.{key}: {clause.op!r}. Expected one of {ops}.")
    value = clause.value
    if is_number:
        if not isinstance(value, Number):
            raise invalid_parameter(f"{kind}.{key} is a number: the value must be a number without quotes")
        return ModelTest(kind, key, clause.op, float(value.value))
    return ModelTest(kind, key, clause.op, _string_of(value))


def _string_of(value: String | Number | Items | Range | None) -> Any:
    match value:
        case String() | Number():
            return value.value
        case Items():
            return tuple(map(_string_of, value.items))
    raise ValueError("not a value of a comparison")


def search_logged_models(
    models: ModelTable,
    experiment_ids: Sequence[str],
    filter_string: str | None,
    datasets: Datasets,
    max_results: int | None,
    order_by: Sequence[Mapping[str, Any]] | None,
    page_token: str | None,
    read: ReadFilter = read_filter,
    rule: ModelRule = NEWEST_RULE,
) -> tuple[list[StoredModel], str | None]:
    """Return one page of models and the token of the next page; `read` parses the filter, `rule` is that of a release.

    Raises:
        StoreError: an argument is not valid in MLflow.
    """
    if datasets and not all(dataset.get("dataset_name") for dataset in datasets):
        raise invalid_parameter("`dataset_name` in the `datasets` clause must be specified.")
    problem = order_problem([str(entry.get("field_name")) for entry in order_by or ()])
    if problem is not None:
        raise invalid_parameter(problem)
    search = {"experiment_ids": experiment_ids, "filter_string": filter_string, "order_by": order_by}
    offset = _offset(search, page_token)
    points = _Points(models, rule, datasets)
    tests = _tests(points, read(filter_string))
    wanted = {str(integer_id(experiment_id)) for experiment_id in experiment_ids}
    found = [model for model in models.by_id.values() if model.is_active and model.experiment_id in wanted]
    found = [model for model in found if all(test(model) for test in tests)]
    size = max_results or _DEFAULT_MAX_RESULTS
    page = _sorted(points, found, order_by or [])[offset:]
    if size >= -1:
        page = page[: size + 1]
    if len(page) <= size:
        return page, None
    token = json.dumps({**search, "offset": offset + size})
    return page[:size], base64.b64encode(token.encode()).decode()


def _offset(search: dict[str, Any], page_token: str | None) -> int:
    """Return where a page begins; its token must be of the same search."""
    if not page_token:
        return 0
    try:
        token = json.loads(base64.b64decode(page_token))
        given = {"experiment_ids": token.get("experiment_ids")}
        given |= {name: token.get(name) or None for name in ("filter_string", "order_by")}
        offset = int(token.get("offset") or 0)
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError) as error:
        raise invalid_parameter(f"Invalid page token: {page_token}. {error}") from None
    names = {"experiment_ids": "Experiment IDs", "filter_string": "Filter string", "order_by": "Order by"}
    for name, title in names.items():
        if given[name] != search[name]:
            what = title.lower().replace("ids", "IDs")
            raise invalid_parameter(
                f"{title} in the page token {'do' if title.endswith('s') else 'does'} not match the requested {what}. "
                f"Expected: {search[name]}. Found: {given[name]}"
            )
    return max(0, offset)


@attrs.frozen
class _Points:
    """The points of the metrics of models, as a search is about them."""

    models: ModelTable
    rule: ModelRule
    datasets: Datasets

    def on_datasets(self, model: StoredModel) -> list[Metric]:
        """Return the points that were measured on one of the datasets, all of them if there are none."""
        return [point for point in self.models.metrics(model.model_id) if _is_about(point, self.datasets)]

    def compared(self, model: StoredModel, key: str) -> list[float]:
        """Return the values of which one must pass a filter."""
        found = [point for point in self.on_datasets(model) if point.key == key]
        latest = found if self.rule.filters_every_point or not found else [self._latest(found)]
        return [point.value for point in latest]

    def ordering(self, model: StoredModel, key: str, wanted: Mapping[str, str]) -> float | None:
        """Return the value by which a metric sorts, measured on a dataset if one is wanted."""
        every = self.rule.filters_every_point
        points = self.models.metrics(model.model_id) if every else self.on_datasets(model)
        is_wanted = wanted.items()
        found = [p for p in points if p.key == key and all(getattr(p, name) == value for name, value in is_wanted)]
        return self._latest(found).value if found else None

    def _latest(self, points: list[Metric]) -> Metric:
        """Return the latest point; of several, that of the first run by its id."""
        by_run = sorted(points, key=lambda point: str(point.run_id))
        return max(by_run, key=lambda point: [getattr(point, field) for field in self.rule.latest_by])


def _tests(points: _Points, wanted: Sequence[ModelTest]) -> list[_Test]:
    tests = [_test(points, one) for one in wanted]
    if points.datasets and not any(one.kind == "metrics" for one in wanted):
        tests.append(lambda model: bool(points.on_datasets(model)))
    return tests


def _test(points: _Points, wanted: ModelTest) -> _Test:
    """Return the test of a comparison. Missing values pass no comparison."""
    kind, key, op, value = wanted.kind, wanted.key, Op(wanted.op), wanted.value
    if kind == "metrics":
        is_right = number_test(op, value)
        return lambda model: any(map(is_right, points.compared(model, key)))
    if kind == "attributes":
        if key == "status" and not points.rule.has_numeric_status:
            value = _status_numbers(op, value)
        return _attribute_test(key, op, value)
    return _string_test(lambda model: (model.params if kind == "params" else model.tags).get(key), op, value)


def _status_numbers(op: Op, value: Any) -> Any:
    """Return the numbers of the statuses that a filter names, as strings."""
    if op.value not in _STATUS_OPS:
        raise invalid_parameter(f"Invalid comparison operator for status: {op.value}")
    known = {status.value: str(status.to_int()) for status in LoggedModelStatus}
    names = value if isinstance(value, tuple) else (value,)
    if not all(name in known for name in names):
        raise invalid_parameter(f"Unknown model status in filter: {value!r}")
    numbers = tuple(known[name] for name in names)
    return numbers if isinstance(value, tuple) else numbers[0]


def _attribute_test(column: str, op: Op, value: Any) -> _Test:
    if column not in _COLUMNS:
        raise StoreError(f"Logged models have no attribute '{column}'", INTERNAL_ERROR)
    if isinstance(value, float):
        is_right = number_test(op, value)
        return lambda model: is_right(_field(model, column))
    if column in _INTEGERS:
        value = tuple(map(_as_number, value)) if isinstance(value, tuple) else _as_number(value)
    return _string_test(lambda model: _field(model, column), op, value)


def _string_test(value_of: Callable[[StoredModel], Any], op: Op, value: Any) -> _Test:
    is_match = string_test(op, tuple(map(str, value)) if isinstance(value, tuple) else str(value))

    def test(model: StoredModel) -> bool:
        found = value_of(model)
        return found is not None and is_match(str(found))

    return test


def _as_number(value: Any) -> str:
    """Return a number as the database writes it when it compares a string with a column of integers."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return str(int(number)) if number.is_integer() else str(number)


def _is_about(point: Metric, datasets: Datasets) -> bool:
    """Tell whether a point was measured on one of the datasets, if there are any."""
    return not datasets or any(
        point.dataset_name == dataset["dataset_name"]
        and dataset.get("dataset_digest", point.dataset_digest) == point.dataset_digest
        for dataset in datasets
    )


def _sorted(points: _Points, found: list[StoredModel], order_by: Sequence[Any]) -> list[StoredModel]:
    """Return the models in order, those without a value last; ties are ordered by newest first, then by id."""
    keys = [_sort_key(points, term) for term in order_by]
    found = sorted(found, key=lambda model: (-model.creation_timestamp, model.model_id))
    for value_of, is_ascending in reversed(keys):
        present = [model for model in found if value_of(model) is not None]
        missing = [model for model in found if value_of(model) is None]
        found = sorted(present, key=value_of, reverse=not is_ascending) + missing
    return found


def _sort_key(points: _Points, term: Any) -> tuple[Callable[[StoredModel], Any], bool]:
    """Return a function that returns the value by which an entry of `order_by` sorts, and whether it ascends."""
    field = term.get("field_name") if isinstance(term, dict) else None
    if not isinstance(field, str):
        raise StoreError(f"Invalid entry of order_by: {term!r}", INTERNAL_ERROR)
    is_ascending = bool(term.get("ascending", True))
    kind, _, key = field.partition(".")
    if not key and "." not in field:
        column = _ORDER_ALIASES.get(field, field)
        if column not in _COLUMNS:
            raise invalid_parameter(f"Invalid order by field name: {field}")
        if column in _INTEGERS:
            return lambda model: int(_field(model, column)), is_ascending
        return lambda model: _field(model, column), is_ascending
    if kind != "metrics":
        raise invalid_parameter(f"Invalid order by field name: {field}. Only metrics are supported.")
    wanted = {name: term[name] for name in ("dataset_name", "dataset_digest") if term.get(name)}
    return lambda model: points.ordering(model, key, wanted), is_ascending


def _field(model: StoredModel, column: str) -> Any:
    return getattr(model, column.removesuffix("_ms"), None)
