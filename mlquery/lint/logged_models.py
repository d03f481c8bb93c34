"""Turn the filter of a search of logged models into findings: its language is MLflow's own, not that of runs.

MLflow reads values without quotes and keys with dashes there, so of what cannot be parsed here little is certain.
"""

from __future__ import annotations

from collections.abc import Iterator

from mlquery.errors import QueryError, StoreError
from mlquery.language.matrix import Dialect
from mlquery.language.parser import parse_filter
from mlquery.language.rules import rules
from mlquery.lint.calls import Call
from mlquery.lint.findings import Finding
from mlquery.lint.readable import Readable
from mlquery.lint.templates import Template
from mlquery.query.logged_models import read_filter

_FAMILY = "logged_models"
_NO_AND = "MLQ008"


def of_service(call: Call, dialect: Dialect) -> Iterator[Finding]:
    """Yield the finding about a call for which a service has no endpoint."""
    status = dialect.service.get("missing", {}).get(_FAMILY)
    if status is not None:
        place = call.name_place
        instead = dialect.service.get("instead", {}).get(_FAMILY)
        message = f"not supported: there are no logged models, the service answers with {status}"
        yield Finding(rules()["MLQ007"], message, place.start, place.stop, (dialect.name,), instead)


def of_filter(call: Call, text: Readable, template: Template, dialect: Dialect) -> Iterator[Finding]:
    """Yield what is wrong with a filter of logged models."""
    if text.first_bare is not None:
        return
    try:
        parse_filter(text.text)
    except QueryError as error:
        (diagnostic,) = error.diagnostics
        if diagnostic.rule == _NO_AND:
            place = template.place_of(diagnostic.span.start, diagnostic.span.stop) or call.name_place
            finding = rules()[_NO_AND], diagnostic.message, place.start, place.stop, (dialect.name,)
            yield Finding(*finding, suggestion=diagnostic.suggestion)
        return
    try:
        read_filter(text.text)
    except StoreError as error:
        place = template.place_of(0, len(text.text)) or call.name_place
        message = text.with_names(error.message)
        yield Finding(rules()["MLQ004"], message, place.start, place.stop, (dialect.name,))
