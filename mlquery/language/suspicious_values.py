"""Turn one comparison into findings about its values: what is accepted and compared otherwise than it looks.

Independent of other clauses and of any data, except for the keys that are known to be logged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from mlquery.errors import Span
from mlquery.language import tokens as lexical
from mlquery.language.features import closest
from mlquery.language.fields import Target
from mlquery.language.keys import KnownKeys
from mlquery.language.matrix import Dialect
from mlquery.language.plan import Entity, Kind, Op
from mlquery.language.semantics import string_test
from mlquery.language.syntax import Comparison, Items, Literal, Number, Range, String

RUN_STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
"""Source: `mlflow.entities.RunStatus` of MLflow 3.17."""
TIMES = ("start_time", "end_time", "creation_time", "last_update_time")

_NUMBER = re.compile(lexical.NUMBER, re.IGNORECASE)
_EQUALITIES = ("=", "==", "!=", "<>", "IN", "NOT IN")
_LONGEST = 25
_LISTS = ("IN", "NOT IN")
_PATTERNS = ("LIKE", "ILIKE", "NOT LIKE", "NOT ILIKE")
_SCALES = (
    (10**8, 10**11, "seconds", 1000.0),
    (10**14, 10**17, "microseconds", 1e-3),
    (10**17, 10**20, "nanoseconds", 1e-6),
)
"""From 1973 on; times in milliseconds lie between the first of these and the others."""


@attrs.frozen
class Finding:
    """A finding about a part of a query: the code of its rule, what is so, where, and what to write instead."""

    rule: str
    message: str
    span: Span
    suggestion: str | None = None


def suspicious_values(
    node: Comparison, target: Target, source: str, dialect: Dialect, keys: KnownKeys
) -> Iterator[Finding]:
    """Yield the findings about the values of a comparison in `source`, whose operator fits the type of the field."""
    is_status = target.kind is Kind.ATTRIBUTE and target.key == "status" and target.entity is Entity.RUN
    for part in parts_of(node.value):
        if isinstance(part, String) and target.type == "string":
            escape = _escape(part, source[part.span.start])
            yield from escape
            if not escape:
                yield from _of_string(part, node, target, keys)
            if is_status:
                yield from _of_status(part, node, dialect)
            if node.op in _LISTS and dialect.behaves("in.small-letters") and not part.value.islower():
                message = f"{dialect.name} ignores {part.value!r} in a list: it has a capital letter or no letters"
                yield Finding("MLQ111", message, part.span)
        elif target.kind is Kind.ATTRIBUTE and target.key in TIMES and _NUMBER.fullmatch(part.value):
            yield from _of_time(part, dialect)


def parts_of(value: Literal) -> tuple[String | Number, ...]:
    """Return the single values of a comparison."""
    match value:
        case Items(items):
            return items
        case Range(low, high):
            return low, high
        case String() | Number():
            return (value,)
    return ()


def _escape(part: String, quote: str) -> list[Finding]:
    """Return the finding about quotes that are escaped by a backslash or by another quote."""
    plain = part.value.replace("\\" + quote, quote).replace(quote * 2, quote)
    if plain == part.value:
        return []
    other = '"' if quote == "'" else "'"
    suggestion = f"{other}{plain}{other}" if other not in plain and "\\" not in plain else None
    message = f"the language has no escapes: the value is compared as {part.value}, with every character in it"
    return [Finding("MLQ102", message, part.span, suggestion)]


def _of_string(part: String, node: Comparison, target: Target, keys: KnownKeys) -> Iterator[Finding]:
    written = part.value
    if node.op in _PATTERNS and "*" in written and "%" not in written:
        message = "LIKE takes * for an ordinary character; any characters are %"
        yield Finding("MLQ109", message, part.span, f"'{written.replace('*', '%')}'" if "'" not in written else None)
    if target.kind is Kind.PARAM and node.op in _EQUALITIES:
        logged = as_logged(written)
        if logged is not None and logged != written:
            is_numeric = target.ref.key in keys.numeric_params
            message = f"params are compared as strings, and Python logs this number as {logged!r}"
            yield Finding("MLQ106" if is_numeric else "MLQ203", message, part.span, f"'{logged}'")


def as_logged(written: str) -> str | None:
    """Return how Python writes a number that it logs as a param; None of what is none, or too long for one."""
    if len(written) > _LONGEST or not written.isascii() or not _NUMBER.fullmatch(written):
        return None
    return str(int(written)) if Number(written).is_integer else str(float(written))


def _of_status(part: String, node: Comparison, dialect: Dialect) -> Iterator[Finding]:
    """Yield the finding about a status that no run has."""
    if node.op not in (*_EQUALITIES, *_PATTERNS):
        return
    folds = dialect.behaves("status.any-case")
    written = part.value.upper() if folds else part.value
    op = Op(node.op.removeprefix("NOT ")) if node.op in _PATTERNS else Op.EQ
    if any(map(string_test(op, written), RUN_STATUSES)):
        return
    if folds and dialect.behaves("status.job-names") and _is_job_status(part.value, dialect):
        return  # which the dialect warns of itself
    yield Finding("MLQ101", *_about_status(part))


def _is_job_status(written: str, dialect: Dialect) -> bool:
    return written.lower() in {job.lower() for job in dialect.job_statuses}


def _about_status(part: String) -> tuple[str, Span, str | None]:
    upper = part.value.strip().upper()
    close = upper if upper in RUN_STATUSES else None
    if close is None:
        similar = closest(part.value, [status.lower() for status in RUN_STATUSES])
        close = None if similar is None else similar.upper()
    message = f"no run has the status {part.value!r}; there are {', '.join(RUN_STATUSES)}"
    return message, part.span, None if close is None or "%" in part.value else f"'{close}'"


def _of_time(part: String | Number, dialect: Dialect) -> Iterator[Finding]:
    """Yield the finding about a time that is not in milliseconds; the dialect may warn of seconds itself."""
    number = float(part.value)
    for least, end, unit, factor in _SCALES:
        if least <= number < end and not (unit == "seconds" and dialect.behaves("time.seconds")):
            quote = "'" if isinstance(part, String) else ""
            message = f"times are in milliseconds, and {part.value} looks like {unit}"
            yield Finding("MLQ104", message, part.span, f"{quote}{int(number * factor)}{quote}")
