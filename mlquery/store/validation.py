"""Turns arguments of the store's calls into clean values, or raises what MLflow raises, in MLflow's order and wording.

Nothing here knows what is stored; rules about stored data (deleted runs, changed params) are where the data is.

**Source**: `mlflow/utils/validation.py` of MLflow 3.18 and its SQLAlchemy store on SQLite.
"""

from __future__ import annotations

import json
import math
import numbers
import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

from mlquery.entities import DatasetInput, ExperimentTag, InputTag, Metric, Param, RunTag
from mlquery.errors import BAD_REQUEST, INTERNAL_ERROR, StoreError, invalid_parameter
from mlquery.store.limits import Limits, cuts_long_values

Point: TypeAlias = tuple[str, float, int, int]
"""A metric's key, value, timestamp (ms UTC) and step."""

LARGEST_FLOAT: Final = 1.7976931348623157e308
_LONG: Final = 2**63
_NAME: Final = re.compile(r"[/\w.\- :]*")
RUN_ID: Final = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")
_CHARACTERS: Final = (
    "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) "
    "and slashes (/)."
)


def invalid_value(path: str, value: object, reason: str = "") -> StoreError:
    """Return MLflow's error about the value of a field."""
    shown = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    tail = f": {reason}" if reason else "."
    return invalid_parameter(f"Invalid value {shown} for parameter '{path}' supplied{tail}")


def missing_value(path: str) -> StoreError:
    """Return MLflow's error about a field that is None."""
    return invalid_parameter(f"Missing value for required parameter '{path}'.")


def too_long(what: str, limit: int) -> StoreError:
    """Return MLflow's error about a string over a limit."""
    return invalid_parameter(f"'{what}' exceeds the maximum length of {limit} characters")


def over_service_limit(field: str, limit: int, size: int) -> StoreError:
    """Return the error Azure Machine Learning answers when a limit of the service is passed.

    **Source**: Azure/azure-sdk-for-python issue 35685 (params), mlflow/mlflow issue 11462 (metric values). What the
    service calls the field of a tag is inferred.
    """
    return invalid_parameter(
        f"A field of the entity is over the size limit. FieldName={field}, Limit={limit}, Size={size}. "
        "See https://aka.ms/azure-machine-learning-limits for service limits documentation."
    )


@lru_cache(maxsize=16_384)
def _name_problem(name: str, colons: int | None, line_breaks: int) -> str | None:
    """Return why a key with at most so many colons, and line breaks at its end, is refused; None if it is fine."""
    if not _NAME.fullmatch(_without_final_line_break(name, line_breaks)):
        return _CHARACTERS
    if colons is not None and name.count(":") > colons:
        return _CHARACTERS.replace("colon(:) ", "")
    normal = posixpath.normpath(name)
    if normal != name or normal == "." or normal.startswith(("..", "/")):
        return (
            "Names may be treated as files in certain cases, and must not resolve to other names"
            f" when treated as such. This name would resolve to {normal!r}"
        )
    return None


def _without_final_line_break(name: str, line_breaks: int) -> str:
    return name.removesuffix("\n") if line_breaks else name


def _check_name(name: Any, path: str, limits: Limits) -> None:
    problem: str | None = "Expects a string."
    if isinstance(name, str):
        problem = _name_problem(name, limits.colons_in_key, limits.final_line_breaks)
    if problem is not None:
        raise invalid_value(path, name, problem)


def _inside(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field


def check_string(value: Any, path: str) -> str:
    """Return a string that a database could hold.

    Raises: INVALID_PARAMETER_VALUE for anything that is not a string (MLflow's clients convert before they call its
        store; the store itself keeps None for tags and fails on the rest), INTERNAL_ERROR for lone surrogates.
    """
    if value is None:
        raise missing_value(path)
    if not isinstance(value, str):
        raise invalid_value(path, value, "Expects a string.")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise StoreError(str(error), INTERNAL_ERROR) from None
    return value


def _cut(what: str, value: str, limit: int) -> str:
    """Return what fits of a param or tag value that is too long; raise where MLflow is told not to cut."""
    if not cuts_long_values():
        raise too_long(what, limit)
    from logging import getLogger  # few stores have anything to say

    getLogger("mlquery.store").warning(
        "%s '%s...' (%d characters) is truncated to %d characters to meet the length limit.",
        *(what, value[:100], len(value), limit),
    )
    return value[:limit]


def check_param(param: Param, limits: Limits, path: str = "") -> tuple[str, str]:
    """Return the key and the value of a param, the value cut to the limit."""
    key = param.key
    if key is None:
        raise invalid_value(_inside(path, "key"), "", "A key name must be provided.")
    if not isinstance(key, str) or _name_problem(key, limits.colons_in_key, limits.final_line_breaks) is not None:
        _check_name(key, _inside(path, "key"), limits)
    if len(key) > limits.key:
        raise too_long("Param key", limits.key)
    value = param.value
    if not (isinstance(value, str) and value.isascii()):  # without a call for most values: this is hot
        if value is None:  # MLflow's database says so
            raise StoreError(f"NOT NULL constraint failed: the param '{key}' has no value, it is None", BAD_REQUEST)
        check_string(value, _inside(path, "value"))
    return key, value if len(value) <= limits.param_value else _cut("Param value", value, limits.param_value)


def check_tag(tag: RunTag, limits: Limits, path: str = "") -> tuple[str, str]:
    """Return the key and the value of a run's tag, the value cut to the limit."""
    key = tag.key
    if key is None:
        raise missing_value(_inside(path, "key"))
    if not isinstance(key, str) or _name_problem(key, limits.colons_in_key, limits.final_line_breaks) is not None:
        _check_name(key, _inside(path, "key"), limits)
    if len(key) > limits.key:
        raise too_long(_inside(path, "key"), limits.key)
    value = tag.value
    if not (isinstance(value, str) and value.isascii()):  # without a call for most values: this is hot
        check_string(value, _inside(path, "value"))
    _check_service_tag(key, value, limits)
    return key, value if len(value) <= limits.tag_value else _cut(_inside(path, "value"), value, limits.tag_value)


def _check_service_tag(key: str, value: str, limits: Limits) -> None:
    if limits.run_tag_key is not None and len(key) > limits.run_tag_key:
        raise over_service_limit("Tags/Key", limits.run_tag_key, len(key))
    if limits.run_tag_value is not None and len(value) > limits.run_tag_value:
        raise over_service_limit("Tags/Value", limits.run_tag_value, len(value))


def check_service_tags(tags: Mapping[str, str], known: Collection[str], limits: Limits) -> None:
    """Check tags against the limits of a service alone; `known` are the keys of the tags that the run has already."""
    if limits.run_tag_key is not None or limits.run_tag_value is not None:
        for key, value in tags.items():
            _check_service_tag(key, value, limits)
    check_tag_count(tags, known, limits)


def check_tag_count(keys: Iterable[str], known: Collection[str], limits: Limits) -> None:
    """Check how many tags a run would have with some more; `known` are the keys of those it has already."""
    if limits.tags_per_run is not None:
        size = len({*known, *keys})
        if size > limits.tags_per_run:
            raise over_service_limit("Tags", limits.tags_per_run, size)


def check_param_count(size: int, limits: Limits) -> None:
    """Check how many params a run may have."""
    if limits.params_per_run is not None and size > limits.params_per_run:
        raise over_service_limit("Parameters", limits.params_per_run, size)


def check_metric(metric: Metric, limits: Limits, path: str = "") -> Point:
    """Return a metric's key, value, timestamp and step; `clean_value` says how the value is kept."""
    key, value, timestamp, step = metric.key, metric.value, metric.timestamp, metric.step
    if not isinstance(key, str) or _name_problem(key, limits.colons_in_key, limits.final_line_breaks) is not None:
        if key is None:
            raise invalid_value(_inside(path, "name"), key, "Metric name cannot be None. A key name must be provided.")
        _check_name(key, _inside(path, "name"), limits)
    if not (type(value) is float and type(timestamp) is int and type(step) is int and timestamp >= 0):
        _check_metric_numbers(key, value, timestamp, step, path)
        value, timestamp, step = _as_float(value, path), int(timestamp), int(step)
    if len(key) > limits.key:
        raise too_long("Metric name", limits.key)
    if timestamp >= _LONG or not -_LONG <= step < _LONG:
        raise StoreError("Python int too large to convert to SQLite INTEGER", INTERNAL_ERROR)
    return key, value, timestamp, step


def clean_value(value: float) -> float:
    """Return a metric's value as the database keeps it: infinities as the largest floats, no negative zero."""
    if math.isinf(value):
        return math.copysign(LARGEST_FLOAT, value)
    return value + 0.0


def _check_metric_numbers(key: str, value: Any, timestamp: Any, step: Any, path: str) -> None:
    if value is None:
        raise missing_value(_inside(path, "value"))
    if isinstance(value, bool) or not isinstance(value, numbers.Number):
        reason = f"(timestamp={timestamp}). Please specify value as a valid double (64-bit floating point)"
        raise invalid_value(_inside(path, "value"), value, reason)
    about = f"metric '{key}' (value={value}). "
    if not _is_whole(timestamp) or timestamp < 0:
        reason = about + "Timestamp must be a nonnegative long (64-bit integer) "
        raise invalid_value(_inside(path, "timestamp"), timestamp, reason)
    if not _is_whole(step):
        raise invalid_value(_inside(path, "step"), step, about + "Step must be a valid long (64-bit integer).")


def _is_whole(number: Any) -> bool:
    """Return whether a number of any type is an integer (SQLite would keep a step of 1.5, which nothing reads back)."""
    return isinstance(number, numbers.Real) and math.isfinite(number) and number == math.trunc(number)


def _as_float(value: Any, path: str) -> float:
    try:
        return float(value)
    except (TypeError, OverflowError, ValueError) as error:
        raise invalid_value(_inside(path, "value"), value, str(error)) from None


def check_run_id(run_id: Any, limits: Limits) -> str:
    """Return a run id that could exist; calls with a body check its form before they look it up."""
    if not isinstance(run_id, str) or not RUN_ID.fullmatch(_without_final_line_break(run_id, limits.final_line_breaks)):
        raise invalid_value("run_id", run_id)
    return run_id


def check_batch(
    metrics: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag], limits: Limits
) -> tuple[list[Point], list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the parts of a batch checked: first every value, then the counts, then that no param comes twice."""
    points = [check_metric(metric, limits, f"metrics[{i}]") for i, metric in enumerate(metrics)]
    checked_params = [check_param(param, limits, f"params[{i}]") for i, param in enumerate(params)]
    checked_tags = [check_tag(tag, limits, f"tags[{i}]") for i, tag in enumerate(tags)]
    _check_count("metrics", limits.metrics_per_batch, len(points))
    _check_count("params", limits.params_per_batch, len(checked_params))
    _check_count("tags", limits.tags_per_batch, len(checked_tags))
    total = len(points) + len(checked_params) + len(checked_tags)
    _check_count("metrics, params, and tags", limits.entities_per_batch, total)
    _check_values_per_metric(points, limits)
    _check_unique(key for key, _ in checked_params)
    return points, checked_params, checked_tags


def _check_count(what: str, limit: int, size: int) -> None:
    if size > limit:
        raise invalid_parameter(
            f"A batch logging request can contain at most {limit} {what}. Got {size} {what}. "
            f"Please split up {what} across multiple requests and try again."
        )


def _check_values_per_metric(points: list[Point], limits: Limits) -> None:
    limit = limits.values_per_metric_batch
    if limit is None or len(points) <= limit:
        return
    size = max(Counter(point[0] for point in points).values())
    if size > limit:
        raise over_service_limit("MetricV2Dto.Value/Count", limit, size)


def _check_unique(keys: Iterable[str]) -> None:
    seen: set[str] = set()
    twice = []
    for key in keys:
        if key in seen:
            twice.append(key)
        seen.add(key)
    if twice:
        raise invalid_parameter(
            f"Duplicate parameter keys have been submitted: {twice}. Please ensure "
            "the request contains only one param value per param key."
        )


def check_experiment_name(name: Any, limits: Limits) -> str:
    """Return a name an experiment can have."""
    if name is None or (isinstance(name, str) and not _is_visible(name, limits)):
        raise invalid_parameter(f"Invalid experiment name: '{name}'")
    if not isinstance(name, str):
        raise invalid_parameter(f"Invalid experiment name: {name}. Expects a string.")
    if len(name) > limits.experiment_name:
        raise too_long("name", limits.experiment_name)
    return check_string(name, "name")


def _is_visible(name: str, limits: Limits) -> bool:
    return bool(name.strip() if limits.visible_in_experiment_name else name)


def check_artifact_location(location: str, limits: Limits) -> str:
    """Return an artifact location that is short enough."""
    if len(location) > limits.artifact_location:
        raise invalid_parameter(
            "Invalid artifact path length. The length of the artifact path cannot be greater than "
            f"{limits.artifact_location} characters. To configure this limit, please set the "
            "MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH environment variable."
        )
    return check_string(location, "artifact_location")


def check_experiment_tag(tag: ExperimentTag, limits: Limits) -> tuple[str, str]:
    """Return the key and the value of an experiment's tag; nothing is cut."""
    if tag.key is None:
        raise missing_value("key")
    _check_name(tag.key, "key", limits)
    if len(tag.key) > limits.experiment_tag_key:
        raise too_long("key", limits.experiment_tag_key)
    value = check_string(tag.value, "value")
    if len(value) > limits.experiment_tag_value:
        raise too_long("value", limits.experiment_tag_value)
    return tag.key, value


def check_dataset_inputs(inputs: Any, limits: Limits) -> None:
    """Check the datasets of `log_inputs`; raises TypeError if they are not in a list, as MLflow does."""
    if not isinstance(inputs, list):
        raise TypeError(f"Argument 'datasets' should be a list, got '{type(inputs)}'")
    for dataset_input in inputs:
        _check_dataset(dataset_input, limits)
        for tag in dataset_input.tags:
            _check_input_tag(tag, limits)


def _check_dataset(dataset_input: DatasetInput, limits: Limits) -> None:
    dataset = dataset_input.dataset
    if dataset is None:
        raise invalid_parameter("Dataset cannot be None")
    for field in ("name", "digest", "source_type", "source"):
        if getattr(dataset, field) is None:
            raise invalid_parameter(f"Dataset {field} cannot be None")
    for field in ("name", "digest", "source", "schema", "profile"):
        value, limit = getattr(dataset, field), getattr(limits, f"dataset_{field}")
        if value is not None and len(value) > limit:
            raise too_long(field, limit)


def _check_input_tag(tag: InputTag, limits: Limits) -> None:
    if tag is None:
        raise invalid_parameter("InputTag cannot be None")
    for field in ("key", "value"):
        value, limit = getattr(tag, field), getattr(limits, f"input_tag_{field}")
        if value is None:
            raise invalid_parameter(f"InputTag {field} cannot be None")
        if len(value) > limit:
            raise too_long(field, limit)


def check_input_tags(inputs: Iterable[DatasetInput], used: Collection[tuple[str, str]]) -> None:
    """Check that no tag is given twice; datasets that the run reads already (name and digest) do not count."""
    seen = set(used)
    for given in inputs:
        name, digest = given.dataset.name, given.dataset.digest
        if (name, digest) not in seen and len({tag.key for tag in given.tags}) < len(given.tags):
            raise StoreError(f"A tag of the input '{name}' is given twice.", BAD_REQUEST)
        seen.add((name, digest))
