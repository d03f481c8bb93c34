"""Turn one comparison into typed predicates, checking operator and value against the type and the support matrix."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

from mlquery.errors import BAD_REQUEST, INTERNAL_ERROR, INVALID_PARAMETER_VALUE, Span, Stage
from mlquery.language import tokens as lexical
from mlquery.language.diagnostics import Diagnostics
from mlquery.language.fields import Target
from mlquery.language.linear_regex import PatternError, search_test
from mlquery.language.plan import All, Entity, Kind, Op, Predicate, Value, Where
from mlquery.language.syntax import Comparison, Items, Literal, Number, Range, String

NULL_OPS = ("IS NULL", "IS NOT NULL")
_ORDER_OPS = (">", ">=", "<", "<=")
LIST_WITHOUT_IN = "a list needs the operator IN"
_EQUAL_OPS = ("=", "!=", "==", "<>")
_LIST_OPS = ("IN", "NOT IN")
_PATTERN_OPS = ("LIKE", "ILIKE", "RLIKE", "NOT LIKE", "NOT ILIKE", "NOT RLIKE")
_PLAIN_OPS = (*_EQUAL_OPS, *_ORDER_OPS, *_PATTERN_OPS)
_NUMBER_OPS = (*_EQUAL_OPS, *_ORDER_OPS, "BETWEEN", *_LIST_OPS, *NULL_OPS)
OPERATORS = {
    "number": _NUMBER_OPS,
    "integer": _NUMBER_OPS,
    "string": (*_EQUAL_OPS, *_PATTERN_OPS, *_LIST_OPS, *NULL_OPS),
}
_TYPE_NAMES = {"number": "a number", "integer": "an integer", "string": "a string"}
_SPELLINGS = {"==": "=", "<>": "!="}
_NUMBER = re.compile(lexical.NUMBER, re.IGNORECASE)
_LEAST, _GREATEST = -(2**63), 2**63 - 1
_FIRST_PLAUSIBLE_TIME = 10**11
_PLAIN_LIST = re.compile(rf"\('[^']*'(?:(?:[ \t]*,[ \t]*'[^']*')+{lexical.GAP}(?:,{lexical.GAP})?)?\)")
_MOST_DIGITS = 4000  # Python parses hardly more digits of one integer
_OF_THE_DATABASE: Final[dict[str, Any]] = {"error_code": INTERNAL_ERROR, "stage": "running"}
_TOO_LARGE = "the number does not fit into 64 bits"


def predicate_for(node: Comparison, target: Target, diagnostics: Diagnostics) -> Where:
    """Return the predicate of a clause; if the clause is not valid, add an error and return a placeholder."""
    if isinstance(node.value, Items) and node.op not in _LIST_OPS:
        _refuse_list(node, node.value, target, diagnostics)
        return All()
    if node.op not in OPERATORS[target.type]:
        message = f"{target.label} is {_TYPE_NAMES[target.type]}, which {node.written} cannot compare"
        message += _supported(target, diagnostics)
        wording = diagnostics.service_message("operator", target.use("filter", node.op))
        code = _operator_code(target, diagnostics)
        stage: Stage = "comparing" if _is_readable(node, target, diagnostics) else "reading"
        diagnostics.error(
            "wrong-type", message, node.span, service_message=wording, error_code=code, stage=stage, rule="MLQ004"
        )
        return All()
    before = len(diagnostics.errors)
    _check_values(node, target, diagnostics)
    if len(diagnostics.errors) == before:
        use = target.use("filter", node.op, _shape(node.value), _spelling(node, diagnostics))
        use = attrs.evolve(use, layout=_layout(node.value, diagnostics))
        diagnostics.check(use, node.span, target.label, **_placeholders(node.value))
    if len(diagnostics.errors) == before and target.type == "integer":
        _check_sizes(node, diagnostics)
    if len(diagnostics.errors) > before:
        return All()
    _warn_about_values(node, target, diagnostics)
    return _typed(node, target, diagnostics)


def _refuse_list(node: Comparison, value: Items, target: Target, diagnostics: Diagnostics) -> None:
    """Add the error about a list after another operator than IN.

    MLflow reads such a list where it takes one after IN, and hands it to the database as one value.
    """
    aside = attrs.evolve(diagnostics, errors=[], warnings=[])
    for part in value.items:
        predicate_for(attrs.evolve(node, value=part), target, aside)
    predicate_for(attrs.evolve(node, op="IN", written="IN"), target, aside)
    # A dialect with limits on queries has a database.
    stages = {error.stage for error in aside.errors}
    details: dict[str, Any] = {"stage": "reading"}
    if diagnostics.dialect.query_limits and "reading" not in stages:
        late = {"stage": "running", "error_code": BAD_REQUEST}
        details = {"stage": "comparing"} if "comparing" in stages else late
    start = value.span.start
    suggestion = f"IN {diagnostics.source[start : start + 30]}"
    wording = diagnostics.service_message("syntax", target.use("filter", node.op))
    span = Span(start, start + 1)
    diagnostics.error("syntax", LIST_WITHOUT_IN, span, suggestion=suggestion, service_message=wording, **details)


def _is_readable(node: Comparison, target: Target, diagnostics: Diagnostics) -> bool:
    """Tell whether MLflow reads the value of a clause and refuses the operator only when it compares."""
    aside = attrs.evolve(diagnostics, errors=[])
    _check_values(node, target, aside)
    return node.op in _PLAIN_OPS and not aside.errors


def _supported(target: Target, diagnostics: Diagnostics) -> str:
    """Return which operators the dialect supports for a field, in their usual spelling."""
    plain = [op for op in OPERATORS[target.type] if op not in _SPELLINGS]
    listed = [op for op in plain if diagnostics.dialect.supports(target.use("filter", op))]
    return f"; use one of: {', '.join(listed)}" if listed else ""


def _shape(value: Literal) -> str | None:
    match value:
        case String():
            return "string"
        case Number():
            return "number"
        case Items(items):
            return "strings" if any(isinstance(i, String) for i in items) else "numbers"
        case Range(low, high):
            return "strings" if isinstance(low, String) or isinstance(high, String) else "range"
    return None


def _placeholders(value: Literal) -> dict[str, str]:
    """Return what the matrix's advice may quote of a value."""
    match value:
        case Range(Number(low), Number(high)):
            return {"low": low, "high": high}
        case String(string):
            return {"value": string}
    return {}


def _spelling(node: Comparison, diagnostics: Diagnostics) -> str | None:
    """Return the spelling of the operator if it matters: for experiments, MLflow reads some in upper case only."""
    is_lower = diagnostics.entity is Entity.EXPERIMENT and node.written != node.written.upper()
    return "lower case" if is_lower else None


def _layout(value: Literal, diagnostics: Diagnostics) -> str | None:
    """Return "loose" for a list that MLflow's tokenizer did not recognize before 3.1."""
    if not isinstance(value, Items) or _shape(value) == "numbers":
        return None
    return None if _PLAIN_LIST.fullmatch(diagnostics.source, value.span.start, value.span.stop) else "loose"


def _operator_code(target: Target, diagnostics: Diagnostics) -> str:
    """Return the code for an operator that a field does not support; before 2.14, MLflow failed on some."""
    of_run = target.entity is Entity.RUN and target.kind in (Kind.TAG, Kind.ATTRIBUTE, Kind.DATASET)
    of_experiment = target.entity is Entity.EXPERIMENT and target.key == "name"
    is_internal = target.type == "string" and (of_run or of_experiment)
    behaves = is_internal and diagnostics.dialect.behaves("operator.internal-error")
    return INTERNAL_ERROR if behaves else INVALID_PARAMETER_VALUE


def _parts(value: Literal) -> tuple[String | Number, ...]:
    match value:
        case Items(items):
            return items
        case Range(low, high):
            return (low, high)
        case String() | Number():
            return (value,)
    return ()


def _check_values(node: Comparison, target: Target, diagnostics: Diagnostics) -> None:
    """Add an error for every value that cannot be compared with the field."""
    for part in _parts(node.value):
        if target.type == "string":
            _check_string(part, node, target, diagnostics)
        elif target.type == "integer":
            _check_integer(part, target, diagnostics)
        else:
            _check_number(part, target, diagnostics)


def _check_string(part: String | Number, node: Comparison, target: Target, diagnostics: Diagnostics) -> None:
    if isinstance(part, Number):
        message = f"{target.label} is a string: quote the value"
        diagnostics.error("wrong-type", message, part.span, suggestion=f"'{part.value}'", rule="MLQ006")
    elif node.op.endswith("RLIKE"):
        _check_pattern(part, diagnostics)
    elif node.op.endswith("LIKE"):
        _check_length(part, diagnostics)
    elif _is_integer_id(target, diagnostics):
        _check_id(part, diagnostics)


def _check_pattern(part: String, diagnostics: Diagnostics) -> None:
    try:
        search_test(part.value)
    except PatternError as error:
        suggestion = "LIKE, where % matches any characters"
        diagnostics.error("wrong-type", str(error), part.span, suggestion=suggestion, stage="comparing")


def _check_length(part: String, diagnostics: Diagnostics) -> None:
    most = diagnostics.dialect.query_limits.get("like_pattern_bytes")
    if most is not None and len(part.value.encode(errors="replace")) > most:
        diagnostics.too_large(f"a LIKE pattern has at most {most:,} bytes")


def _is_integer_id(target: Target, diagnostics: Diagnostics) -> bool:
    return target.key == "experiment_id" and diagnostics.dialect.behaves("experiment_id.integer")


def _check_id(part: String, diagnostics: Diagnostics) -> None:
    try:
        number = int(part.value)
    except ValueError:
        diagnostics.error("wrong-type", f"experiment ids are integers, not {part.value!r}", part.span)
        return
    if not _LEAST <= number <= _GREATEST:
        diagnostics.error("wrong-type", "the id does not fit into 64 bits", part.span, **_OF_THE_DATABASE)


def _check_number(part: String | Number, target: Target, diagnostics: Diagnostics) -> None:
    if isinstance(part, String) and not _NUMBER.fullmatch(part.value):
        diagnostics.error("wrong-type", f"{target.label} is a number, not {part.value!r}", part.span)
    elif isinstance(part, String) and target.kind in (Kind.METRIC, Kind.HISTORY):
        message = f"{target.label} is a number: write the value without quotes"
        diagnostics.error("wrong-type", message, part.span, suggestion=part.value, rule="MLQ005")
    elif target.kind is Kind.ATTRIBUTE:
        _check_time(part, target, diagnostics)


def _check_integer(part: String | Number, target: Target, diagnostics: Diagnostics) -> None:
    """Refuse what is not an integer. In quotes, it is whatever Python parses as one.

    Source: MLflow 3.17 `SqlAlchemyStore._get_search_model_versions_filter_clauses`.
    """
    try:
        int(part.value)
    except ValueError:
        written = part.value if isinstance(part, Number) else repr(part.value)
        diagnostics.error("wrong-type", f"{target.label} is an integer, not {written}", part.span)


def _check_sizes(node: Comparison, diagnostics: Diagnostics) -> None:
    """Refuse integers that do not fit into a database column, which are found when everything else is valid."""
    for part in _parts(node.value):
        if not _LEAST <= int(part.value) <= _GREATEST:
            diagnostics.error("wrong-type", _TOO_LARGE, part.span, **_OF_THE_DATABASE)


def _check_time(part: String | Number, target: Target, diagnostics: Diagnostics) -> None:
    is_integer, span = Number(part.value).is_integer, part.span
    if diagnostics.dialect.behaves("time.any-number"):
        return
    if not is_integer and diagnostics.entity is Entity.EXPERIMENT:
        diagnostics.error("wrong-type", f"{target.label} is an integer number of milliseconds, not {part.value}", span)
    elif is_integer and not _fits_64_bits(part.value):
        # MLflow refuses it in quotes before it reaches the database.
        diagnostics.error("wrong-type", _TOO_LARGE, span, **(_OF_THE_DATABASE if isinstance(part, Number) else {}))


def _fits_64_bits(digits: str) -> bool:
    try:
        return _LEAST <= int(digits) <= _GREATEST
    except ValueError:  # Python parses at most a few thousand digits, leading zeros included
        return False


def _warn_about_values(node: Comparison, target: Target, diagnostics: Diagnostics) -> None:
    """Warn of values that are accepted but probably mean something else."""
    dialect = diagnostics.dialect
    for part in _parts(node.value):
        if target.key == "status" and dialect.behaves("status.job-names"):
            _warn_about_job_status(part.value, part.span, diagnostics)
        if target.type == "number" and target.key in _TIMES and dialect.behaves("time.seconds"):
            _warn_about_seconds(part.value, part.span, diagnostics)


_TIMES = ("start_time", "end_time", "creation_time", "last_update_time")


def _warn_about_job_status(written: str, span: Span, diagnostics: Diagnostics) -> None:
    job_statuses = {job.lower(): status for job, status in diagnostics.dialect.job_statuses.items()}
    status = job_statuses.get(written.lower())
    if status is not None and status.lower() != written.lower():
        message = f"{written!r} is a job status; the run status is {status!r}"
        diagnostics.warn("wrong-type", message, span, feature="status.job-names", suggestion=f"'{status}'")


def _warn_about_seconds(written: str, span: Span, diagnostics: Diagnostics) -> None:
    if 0 < float(written) < _FIRST_PLAUSIBLE_TIME:
        message = f"times are in milliseconds, and {written} looks like seconds"
        suggestion = f"{int(float(written) * 1000)}"
        diagnostics.warn("wrong-type", message, span, feature="time.seconds", suggestion=suggestion)


def _typed(node: Comparison, target: Target, diagnostics: Diagnostics) -> Where:
    values = [_value(part, target, diagnostics) for part in _parts(node.value)]
    nan = 0.0 if target.kind is Kind.METRIC and diagnostics.dialect.behaves("metric.nan-as-zero") else None
    if node.op == "BETWEEN":
        low, high = values
        return All((Predicate(target.ref, Op.GE, low, nan), Predicate(target.ref, Op.LE, high, nan)))
    op = Op(_SPELLINGS.get(node.op, node.op))
    if isinstance(node.value, Items):
        if diagnostics.dialect.behaves("in.small-letters"):
            values = [value for value in values if not isinstance(value, str) or value.islower()]
        return Predicate(target.ref, op, tuple(values), nan)  # type: ignore[arg-type]
    return Predicate(target.ref, op, values[0] if values else None, nan)


def _value(part: String | Number, target: Target, diagnostics: Diagnostics) -> Value:
    written = part.value
    if target.type == "integer":
        return int(written)
    if target.ref.function is not None and target.ref.function.is_integer:
        return int(written) if Number(written).is_integer and _fits_64_bits(written) else float(written)
    if target.type == "number":
        is_integer = target.kind is Kind.ATTRIBUTE and Number(written).is_integer and len(written) < _MOST_DIGITS
        return int(written) if is_integer else float(written)
    if _is_integer_id(target, diagnostics):
        return str(int(written))
    if target.key == "status" and diagnostics.dialect.behaves("status.any-case"):
        return written.upper()
    return written
