"""Find what a field or a call refers to: `metrics.loss`, or a function of all points of a metric, `max(metrics.loss)`.

A call is checked here for its function and its arguments; that a dialect has the function is asked of the matrix.
Independent of any data.
"""

from __future__ import annotations

from typing import Any

import attrs

from mlquery.errors import Code, Span
from mlquery.language.diagnostics import Diagnostics
from mlquery.language.features import Use, closest
from mlquery.language.fields import PREFIXES, Target, find_field, label_of
from mlquery.language.plan import Entity, FieldRef, Function, Kind
from mlquery.language.syntax import Call, Number, Operand

_FUNCTIONS = {function.value: function for function in Function}
_LEAST_STEP, _GREATEST_STEP = -(2**63), 2**63 - 1
_MOST_DIGITS = 20


def find_operand(operand: Operand, clause: str, diagnostics: Diagnostics) -> Target | None:
    """Return what an operand of a clause refers to; if it is not valid, add an error and return None."""
    if isinstance(operand, Call):
        return _find_call(operand, clause, diagnostics)
    return find_field(operand, clause, diagnostics)


def _find_call(call: Call, clause: str, diagnostics: Diagnostics) -> Target | None:
    function = _FUNCTIONS.get(call.function)
    if function is None:
        _add_unknown_function(call, clause, diagnostics)
        return None
    before, use = len(diagnostics.errors), _use(diagnostics.entity, clause, function)
    _check_metric(call, use, diagnostics)
    if len(diagnostics.errors) == before and not diagnostics.dialect.supports(use):
        diagnostics.check(use, call.span, label_of(call.name))
    step = _step(call, function, use, diagnostics) if len(diagnostics.errors) == before else None
    if len(diagnostics.errors) > before:
        return None
    is_latest = function is Function.LAST
    ref = FieldRef(Kind.METRIC, call.name.key) if is_latest else FieldRef(Kind.HISTORY, call.name.key, function, step)
    return Target(diagnostics.entity, Kind.HISTORY, ref, "number", function.value, _label(call))


def _use(entity: Entity, clause: str, function: Function) -> Use:
    return Use(entity.value, clause, Kind.HISTORY.value, key=function.value)


def _label(call: Call) -> str:
    step = "" if call.step is None else f", {call.step.value}"
    return f"{call.function}({label_of(call.name)}{step})"


def _check_metric(call: Call, use: Use, diagnostics: Diagnostics) -> None:
    """Add an error if a call is not about a metric, or in a search of what has no metrics."""
    entity, name = diagnostics.entity, call.name
    kind = PREFIXES[entity].get(name.prefix or "attributes")
    if entity is not Entity.RUN:
        message = f"{call.function}() is about the history of a metric, which {entity.noun}s do not have"
        _refuse("unsupported", message, call.span, use, diagnostics)
    elif kind is not Kind.METRIC:
        message = f"{call.function}() is about the history of a metric, and {label_of(name)} is none"
        is_field = name.prefix is not None and kind is not None
        has_key = diagnostics.dialect.field(entity.value, "filter", name.key) is not None
        metric = f"{call.function}({label_of(attrs.evolve(name, prefix='metrics'))})"
        suggestion = label_of(name) if is_field or (has_key and kind is not None) else metric
        _refuse("wrong-type", message, name.span, use, diagnostics, suggestion=suggestion)


def _step(call: Call, function: Function, use: Use, diagnostics: Diagnostics) -> int | None:
    """Return the step that a call names; None if its function takes none, or after an error about it."""
    label, given = label_of(call.name), call.step
    if function is not Function.AT:
        if given is None:
            return None
        message = f"{call.function}() takes a metric and nothing else"
        _refuse("syntax", message, given.span, use, diagnostics, suggestion=f"{call.function}({label})")
    elif given is None:
        suggestion = f"{call.function}({label}, 100)"
        _refuse("syntax", "at() takes a metric and a step", call.span, use, diagnostics, suggestion=suggestion)
    elif not given.is_integer:
        _refuse("wrong-type", f"a step is an integer, not {given.value}", given.span, use, diagnostics)
    elif (step := _in_64_bits(given)) is not None:
        return step
    else:
        _refuse("wrong-type", "the step does not fit into 64 bits", given.span, use, diagnostics)
    return None


def _in_64_bits(step: Number) -> int | None:
    sign, digits = step.value[:1], step.value.lstrip("-0")
    number = (
        int(f"-{digits or 0}" if sign == "-" else digits or 0) if len(digits) < _MOST_DIGITS else _GREATEST_STEP + 1
    )
    return number if _LEAST_STEP <= number <= _GREATEST_STEP else None


def _add_unknown_function(call: Call, clause: str, diagnostics: Diagnostics) -> None:
    """Add the error about a function that does not exist, with those that the dialect has."""
    uses = {name: _use(diagnostics.entity, clause, function) for name, function in _FUNCTIONS.items()}
    known = [name for name, use in uses.items() if diagnostics.dialect.supports(use)]
    known = known if diagnostics.entity is Entity.RUN else []
    message = f"unknown function {call.function!r}"
    message += f"; functions of a metric's history are {', '.join(known)}" if known else ""
    close = closest(call.function, known)
    suggestion = f"{close}({label_of(call.name)})" if close else None
    use = Use(diagnostics.entity.value, clause, Kind.HISTORY.value)
    _refuse("syntax", message, call.word, use, diagnostics, suggestion=suggestion)


def _refuse(code: Code, message: str, span: Span, use: Use, diagnostics: Diagnostics, **details: Any) -> None:
    """Add an error about a call, which a service meets when it reads the query: it knows no calls at all."""
    wording = diagnostics.service_message("syntax", use)
    diagnostics.error(code, message, span, service_message=wording, **details)
