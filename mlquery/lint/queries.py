"""Turn one call of a search into findings, in the dialects that are asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mlquery.errors import Diagnostic
from mlquery.language.keys import KnownKeys
from mlquery.language.matrix import Dialect
from mlquery.language.rules import rule_of, rules
from mlquery.lint import logged_models
from mlquery.lint.calls import Call, RemovedCall
from mlquery.lint.checking import checked
from mlquery.lint.edits import edit_of
from mlquery.lint.findings import Finding
from mlquery.lint.readable import Readable, readable
from mlquery.lint.signatures import REMOVED
from mlquery.lint.templates import Template

_REFUSED = re.compile(r"^does not support (?:this: )?")
_OF_SYNTAX = ("MLQ001", "MLQ006", "MLQ008")


def findings_of(call: Call | RemovedCall, dialects: Sequence[Dialect], keys: KnownKeys) -> Iterator[Finding]:
    """Yield what is to be said about a call."""
    if isinstance(call, RemovedCall):
        message = f"MLflow 2.0 removed {call.name}"
        yield Finding(rules()["MLQ010"], message, call.place.start, call.place.stop, suggestion=REMOVED[call.name])
        return
    yield from _of_arguments(call)
    for template in call.filters:
        text = readable(template)
        if text is not None:
            yield from _unescaped(text, template)
            for dialect in dialects:
                yield from _of_filter(call, text, template, dialect, keys)
    for dialect in dialects:
        if call.search.entity is None:
            yield from logged_models.of_service(call, dialect)
        elif call.orders:
            yield from _of_order(call, dialect, keys)


def _of_arguments(call: Call) -> Iterator[Finding]:
    search = call.search
    if call.order_type is not None:
        place, what = call.order_type
        right = "a list of strings, such as ['start_time DESC']"
        if search.entity is None:
            right = "a list of dictionaries, such as [{'field_name': 'metrics.auc', 'ascending': False}]"
        yield Finding(rules()["MLQ011"], f"order_by is {right}, not {what}", place.start, place.stop)
    if call.max_results is not None:
        number, place = call.max_results
        if search.most is not None and number > search.most:
            message = f"max_results of {call.name} is at most {search.most:,}, not {number:,}"
            yield Finding(rules()["MLQ009"], message, place.start, place.stop, suggestion=str(search.most))
        if search.least is not None and number < search.least:
            message = f"max_results of {call.name} is at least {search.least}, not {number}"
            yield Finding(rules()["MLQ009"], message, place.start, place.stop)


def _unescaped(text: Readable, template: Template) -> Iterator[Finding]:
    for offset in sorted(text.in_quotes):
        field, place = text.fields[offset], template.places[offset]
        if field.is_from_outside and not field.is_safe:
            message = f"a quote in the value of {field.expression} ends the string of the filter: it has no escapes"
            yield Finding(rules()["MLQ105"], message, place.start, place.stop)


def _of_filter(call: Call, text: Readable, template: Template, dialect: Dialect, keys: KnownKeys) -> Iterator[Finding]:
    if call.search.entity is None:
        yield from logged_models.of_filter(call, text, template, dialect)
        return
    for diagnostic in checked(text.text, (), call.search.entity, dialect, keys):
        if _is_certain(diagnostic, text):
            yield _finding(call, diagnostic, text, template, dialect, keys)


def _of_order(call: Call, dialect: Dialect, keys: KnownKeys) -> Iterator[Finding]:
    assert call.search.entity is not None
    texts = [(readable(template), template) for _, template in call.orders]
    known = [(text, template) for text, template in texts if text is not None]
    entries = tuple(text.text for text, _ in known)
    for diagnostic in checked("", entries, call.search.entity, dialect, keys):
        if not diagnostic.argument.startswith("order_by["):
            continue
        text, template = known[int(diagnostic.argument[9:-1])]
        if _is_certain(diagnostic, text):
            yield _finding(call, diagnostic, text, template, dialect, keys)


def _is_certain(diagnostic: Diagnostic, text: Readable) -> bool:
    """Tell whether a diagnostic holds whatever the fields contain."""
    if not text.fields:
        return True
    rule, span = rule_of(diagnostic), diagnostic.span
    if rule.code in _OF_SYNTAX and text.first_bare is not None and span.start >= text.first_bare:
        return False
    if rule.about == "value" or rule.code in _OF_SYNTAX:
        return not text.touches(span.start, span.stop) and not text.mentions(diagnostic.message)
    return True


def _finding(
    call: Call, diagnostic: Diagnostic, text: Readable, template: Template, dialect: Dialect, keys: KnownKeys
) -> Finding:
    rule = rule_of(diagnostic)
    place = template.place_of(diagnostic.span.start, diagnostic.span.stop) or call.name_place
    message = diagnostic.message
    if diagnostic.feature is not None:
        message = _REFUSED.sub("not supported: ", message.removeprefix(f"{dialect.name} "))
    suggestion = diagnostic.suggestion
    return Finding(
        *(rule, text.with_names(message), place.start, place.stop, (dialect.name,)),
        suggestion=None if suggestion is None else text.with_names(suggestion),
        feature=diagnostic.feature,
        edit=edit_of(diagnostic, template, dialect, call.search.entity, keys) if rule.fixable else None,
    )
