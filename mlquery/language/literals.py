"""Turn one comparison into typed predicates, judging operator and value by type and by the support matrix."""

from __future__ import annotations

import re

import attrs

from mlquery.errors import INTERNAL_ERROR, INVALID_PARAMETER_VALUE, Span
from mlquery.language import tokens as lexical
from mlquery.language.diagnostics import Findings
from mlquery.language.fields import Target
from mlquery.language.linear_regex import PatternError, search_test
from mlquery.language.plan import All, Entity, Kind, Op, Predicate, Value, Where
from mlquery.language.syntax import Comparison, Items, Literal, Number, Range, Text

_NULL_OPS = ("IS NULL", "IS NOT NULL")
_ORDER_OPS = (">", ">=", "<", "<=")
_EQUAL_OPS = ("=", "!=", "==", "<>")
_LIST_OPS = ("IN", "NOT IN")
_PATTERN_OPS = ("LIKE", "ILIKE", "RLIKE", "NOT LIKE", "NOT ILIKE", "NOT RLIKE")
_NUMBER_OPS = (*_EQUAL_OPS, *_ORDER_OPS, "BETWEEN", *_LIST_OPS, *_NULL_OPS)
OPERATORS = {
    "number": _NUMBER_OPS,
    "integer": _NUMBER_OPS,
    "text": (*_EQUAL_OPS, *_PATTERN_OPS, *_LIST_OPS, *_NULL_OPS),
}
_SPELLINGS = {"==": "=", "<>": "!="}
_NUMBER = re.compile(lexical.NUMBER, re.IGNORECASE)
_LEAST, _GREATEST = -(2**63), 2**63 - 1
_FIRST_PLAUSIBLE_TIME = 10**11
_PLAIN_LIST = re.compile(rf"\('[^']*'(?:(?:[ \t]*,[ \t]*'[^']*')+{lexical.GAP}(?:,{lexical.GAP})?)?\)")
_MOST_DIGITS = 4000  # Python reads hardly more in one whole number


def predicate_for(node: Comparison, target: Target, findings: Findings) -> Where:
    """Return the test of a clause; where it is wrong, the problem is noted and the result stands for nothing."""
    if node.op not in OPERATORS[target.type]:
        message = f"{target.label} is a {target.type}, which {node.written} does not compare"
        message += _supported(target, findings)
        wording = findings.service_message("operator", target.use("filter", node.op))
        code = _operator_code(target, findings)
        findings.error("wrong-type", message, node.span, service_message=wording, error_code=code)
        return All()
    before = len(findings.errors)
    _check_values(node, target, findings)
    if len(findings.errors) == before:
        use = target.use("filter", node.op, _shape(node.value), _spelling(node, findings))
        use = attrs.evolve(use, layout=_layout(node.value, findings))
        findings.judge(use, node.span, target.label, **_ends(node.value))
    if len(findings.errors) == before and target.type == "integer":
        _check_sizes(node, findings)
    if len(findings.errors) > before:
        return All()
    _judge_meaning(node, target, findings)
    return _typed(node, target, findings)


def _supported(target: Target, findings: Findings) -> str:
    """Name the operators with which the dialect compares a field, the plainer one of two spellings."""
    plain = [op for op in OPERATORS[target.type] if op not in _SPELLINGS]
    listed = [op for op in plain if findings.dialect.supports(target.use("filter", op))]
    return f"; these do: {', '.join(listed)}" if listed else ""


def _shape(value: Literal) -> str | None:
    match value:
        case Text():
            return "text"
        case Number():
            return "number"
        case Items(items):
            return "texts" if any(isinstance(i, Text) for i in items) else "numbers"
        case Range(low, high):
            return "texts" if isinstance(low, Text) or isinstance(high, Text) else "range"
    return None


def _ends(value: Literal) -> dict[str, str]:
    match value:
        case Range(Number(low), Number(high)):
            return {"low": low, "high": high}
        case Text(text):
            return {"value": text}
    return {}


def _spelling(node: Comparison, findings: Findings) -> str | None:
    """Return how the operator is written, where that matters: MLflow reads some in upper case only for experiments."""
    is_lower = findings.entity is Entity.EXPERIMENT and node.written != node.written.upper()
    return "lower case" if is_lower else None


def _layout(value: Literal, findings: Findings) -> str | None:
    """Return "loose" for a list that MLflow's tokenizer did not take for one before 3.1."""
    if not isinstance(value, Items) or _shape(value) == "numbers":
        return None
    return None if _PLAIN_LIST.fullmatch(findings.source, value.span.start, value.span.stop) else "loose"


def _operator_code(target: Target, findings: Findings) -> str:
    """Return the code for an operator that a field does not know; MLflow gave some refusals none before 2.14."""
    of_run = target.entity is Entity.RUN and target.kind in (Kind.TAG, Kind.ATTRIBUTE, Kind.DATASET)
    of_experiment = target.entity is Entity.EXPERIMENT and target.key == "name"
    is_internal = target.type == "text" and (of_run or of_experiment)
    behaves = is_internal and findings.dialect.behaves("operator.internal-error")
    return INTERNAL_ERROR if behaves else INVALID_PARAMETER_VALUE


def _parts(value: Literal) -> tuple[Text | Number, ...]:
    match value:
        case Items(items):
            return items
        case Range(low, high):
            return (low, high)
        case Text() | Number():
            return (value,)
    return ()


def _check_values(node: Comparison, target: Target, findings: Findings) -> None:
    """Note every value that cannot be compared with the field."""
    for part in _parts(node.value):
        if target.type == "text":
            _check_text(part, node, target, findings)
        elif target.type == "integer":
            _check_integer(part, target, findings)
        else:
            _check_number(part, target, findings)


def _check_text(part: Text | Number, node: Comparison, target: Target, findings: Findings) -> None:
    if isinstance(part, Number):
        message = f"{target.label} is a text, compared with values in quotes"
        findings.error("wrong-type", message, part.span, suggestion=f"'{part.text}'")
    elif node.op.endswith("RLIKE"):
        _check_pattern(part, findings)
    elif node.op.endswith("LIKE"):
        _check_length(part, findings)
    elif _is_whole_id(target, findings):
        _check_id(part, findings)


def _check_pattern(part: Text, findings: Findings) -> None:
    try:
        search_test(part.value)
    except PatternError as error:
        findings.error("wrong-type", str(error), part.span, suggestion="LIKE with % for any text")


def _check_length(part: Text, findings: Findings) -> None:
    most = findings.dialect.query_limits.get("like_pattern_bytes")
    if most is not None and len(part.value.encode(errors="replace")) > most:
        findings.too_many(f"a pattern of LIKE has at most {most:,} bytes")


def _is_whole_id(target: Target, findings: Findings) -> bool:
    return target.key == "experiment_id" and findings.dialect.behaves("experiment_id.integer")


def _check_id(part: Text, findings: Findings) -> None:
    try:
        number = int(part.value)
    except ValueError:
        findings.error("wrong-type", f"experiment ids are whole numbers, not {part.value!r}", part.span)
        return
    if not _LEAST <= number <= _GREATEST:
        findings.error("wrong-type", "the id does not fit into 64 bits", part.span, error_code=INTERNAL_ERROR)


def _check_number(part: Text | Number, target: Target, findings: Findings) -> None:
    text = part.text if isinstance(part, Number) else part.value
    if isinstance(part, Text) and (target.kind is Kind.METRIC or not _NUMBER.fullmatch(text)):
        message = f"{target.label} is a number, compared with numbers"
        findings.error("wrong-type", message, part.span, suggestion=text if _NUMBER.fullmatch(text) else None)
    elif target.kind is Kind.ATTRIBUTE:
        _check_time(part, text, target, findings)


def _check_integer(part: Text | Number, target: Target, findings: Findings) -> None:
    """Refuse what is no whole number. In quotes, whatever Python reads as one will do.

    Source: MLflow 3.17 `SqlAlchemyStore._get_search_model_versions_filter_clauses`.
    """
    if isinstance(part, Number) and not part.is_integer:
        findings.error("wrong-type", f"{target.label} is compared with whole numbers", part.span)
        return
    text = part.text if isinstance(part, Number) else part.value
    try:
        int(text)
    except ValueError:
        findings.error("wrong-type", f"{target.label} is a whole number, not {text!r}", part.span)


def _check_sizes(node: Comparison, findings: Findings) -> None:
    """Refuse whole numbers that a database cannot hold; it sees them when all else is right."""
    for part in _parts(node.value):
        if not _LEAST <= int(part.text if isinstance(part, Number) else part.value) <= _GREATEST:
            findings.error("wrong-type", "the number does not fit into 64 bits", part.span, error_code=INTERNAL_ERROR)


def _check_time(part: Text | Number, text: str, target: Target, findings: Findings) -> None:
    is_whole, span = Number(text).is_integer, part.span
    if findings.dialect.behaves("time.any-number"):
        return
    if not is_whole and findings.entity is Entity.EXPERIMENT:
        findings.error("wrong-type", f"{target.label} is compared with whole milliseconds", span)
    elif is_whole and not _fits_64_bits(text):
        # In quotes it is refused before a database sees it.
        code = INTERNAL_ERROR if isinstance(part, Number) else INVALID_PARAMETER_VALUE
        findings.error("wrong-type", "the number does not fit into 64 bits", span, error_code=code)


def _fits_64_bits(digits: str) -> bool:
    try:
        return _LEAST <= int(digits) <= _GREATEST
    except ValueError:  # Python reads no more than a few thousand digits, leading zeros included
        return False


def _judge_meaning(node: Comparison, target: Target, findings: Findings) -> None:
    """Warn of values that run but probably mean something else."""
    dialect = findings.dialect
    for part in _parts(node.value):
        text = part.text if isinstance(part, Number) else part.value
        if target.key == "status" and dialect.behaves("status.job-names"):
            _judge_status(text, part.span, findings)
        if target.type == "number" and target.key in _TIMES and dialect.behaves("time.seconds"):
            _judge_time(text, part.span, findings)


_TIMES = ("start_time", "end_time", "creation_time", "last_update_time")


def _judge_status(text: str, span: Span, findings: Findings) -> None:
    job_statuses = {job.lower(): status for job, status in findings.dialect.job_statuses.items()}
    status = job_statuses.get(text.lower())
    if status is not None and status.lower() != text.lower():
        message = f"{text!r} is a status of jobs; runs call it {status!r}"
        findings.warn("wrong-type", message, span, feature="status.job-names", suggestion=f"'{status}'")


def _judge_time(text: str, span: Span, findings: Findings) -> None:
    if 0 < float(text) < _FIRST_PLAUSIBLE_TIME:
        message = f"times are in milliseconds, and {text} looks like seconds"
        suggestion = f"{int(float(text) * 1000)}"
        findings.warn("wrong-type", message, span, feature="time.seconds", suggestion=suggestion)


def _typed(node: Comparison, target: Target, findings: Findings) -> Where:
    values = [_value(part, target, findings) for part in _parts(node.value)]
    nan = 0.0 if target.kind is Kind.METRIC and findings.dialect.behaves("metric.nan-as-zero") else None
    if node.op == "BETWEEN":
        low, high = values
        return All((Predicate(target.ref, Op.GE, low, nan), Predicate(target.ref, Op.LE, high, nan)))
    op = Op(_SPELLINGS.get(node.op, node.op))
    if isinstance(node.value, Items):
        return Predicate(target.ref, op, _listed(values, findings), nan)
    return Predicate(target.ref, op, values[0] if values else None, nan)


def _listed(values: list[Value], findings: Findings) -> Value:
    """Return the values of a list that count."""
    if findings.dialect.behaves("in.small-letters"):
        values = [value for value in values if not isinstance(value, str) or value.islower()]
    return tuple(values)  # type: ignore[return-value]


def _value(part: Text | Number, target: Target, findings: Findings) -> Value:
    text = part.text if isinstance(part, Number) else part.value
    if target.type == "integer":
        return int(text)
    if target.type == "number":
        is_whole = target.kind is Kind.ATTRIBUTE and Number(text).is_integer and len(text) < _MOST_DIGITS
        return int(text) if is_whole else float(text)
    if _is_whole_id(target, findings):
        return str(int(text))
    if target.key == "status" and findings.dialect.behaves("status.any-case"):
        return text.upper()
    return text
