"""Turn a diagnostic whose fix is certain into an edit of the program, if the string is written in one literal there.

Every fix is tried: what was found must be gone, and nothing else may be wrong with the query that was not before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import attrs

from mlquery.errors import Diagnostic, QueryError, Span
from mlquery.language import tokens as lexical
from mlquery.language.keys import KnownKeys
from mlquery.language.matrix import Dialect
from mlquery.language.parser import parse_filter
from mlquery.language.plan import Entity
from mlquery.language.rules import rule_of
from mlquery.language.suspicious_values import parts_of
from mlquery.language.syntax import Comparison, Number, comparisons
from mlquery.lint.checking import checked
from mlquery.lint.findings import Edit
from mlquery.lint.templates import Place, Template

_SYMBOL = re.compile(lexical.SYMBOL)
_SPELLINGS = {"==": "=", "<>": "!="}


@attrs.frozen
class _Change:
    """A part of a string, in characters, and what is to be there."""

    start: int
    stop: int
    text: str

    def applied(self, source: str) -> str:
        return source[: self.start] + self.text + source[self.stop :]


def edit_of(
    diagnostic: Diagnostic, template: Template, dialect: Dialect, entity: Entity | None, keys: KnownKeys
) -> Edit | None:
    """Return how a diagnostic is fixed where its string is written; None if that is not certain."""
    change = _change(diagnostic)
    if change is None or entity is None or not _is_right(change, diagnostic, dialect, entity, keys):
        return None
    return _written(_trimmed(change, diagnostic.source), template)


def _change(diagnostic: Diagnostic) -> _Change | None:
    source, span, code = diagnostic.source, diagnostic.span, rule_of(diagnostic).code
    if code in ("MLQ008", "MLQ110") and (diagnostic.suggestion or "").startswith("AND"):
        return _with_and(source, span)
    if diagnostic.feature in ("literal.quoted-number", "literal.bare-number", "compare.spelling"):
        clause = next((c for c in _comparisons_of(source) if c.span == span), None)
        return None if clause is None else _of_clause(source, clause, diagnostic.feature)
    return None if diagnostic.suggestion is None else _Change(span.start, span.stop, diagnostic.suggestion)


def _with_and(source: str, span: Span) -> _Change:
    """Return AND in place of a comma or `&&`, or before the clause that begins here."""
    start, stop = span.start, span.stop
    joint = re.compile(r"[,&]+").match(source, start)
    stop = joint.end() if joint else start
    before = "" if source[:start][-1:].isspace() else " "
    after = "" if source[stop : stop + 1].isspace() else " "
    return _Change(start, stop, f"{before}AND{after}")


def _of_clause(source: str, clause: Comparison, feature: str) -> _Change | None:
    if feature == "compare.spelling":
        operator = _SYMBOL.match(source, clause.name.span.stop)
        if operator is None:
            return None
        return _Change(operator.start("op"), operator.end("op"), _SPELLINGS.get(clause.op, clause.op))
    parts = parts_of(clause.value)
    text, position = "", clause.span.start
    for part in parts:
        written = f"'{part.value}'" if isinstance(part, Number) else part.value
        text += source[position : part.span.start] + written
        position = part.span.stop
    return _Change(clause.span.start, clause.span.stop, text + source[position : clause.span.stop])


def _comparisons_of(source: str) -> Iterator[Comparison]:
    try:
        yield from comparisons(parse_filter(source))
    except QueryError:
        return


def _is_right(change: _Change, diagnostic: Diagnostic, dialect: Dialect, entity: Entity, keys: KnownKeys) -> bool:
    """Tell whether a change removes what was found, and adds nothing."""

    def problems(source: str) -> list[str]:
        query = (source, ()) if diagnostic.argument == "filter_string" else ("", (source,))
        found = map(rule_of, checked(*query, entity, dialect, keys))
        return [rule.code for rule in found if rule.severity != "note"]

    before, after = problems(diagnostic.source), problems(change.applied(diagnostic.source))
    return len(after) < len(before) and set(after) <= set(before)


def _trimmed(change: _Change, source: str) -> _Change:
    """Return the same change without the characters that stay as they are at both of its ends."""
    old, new = source[change.start : change.stop], change.text
    most = min(len(old), len(new))
    head = next((i for i in range(most) if old[i] != new[i]), most)
    rest = most - head
    tail = next((i for i in range(rest) if old[-1 - i] != new[-1 - i]), rest)
    return _Change(change.start + head, change.stop - tail, new[head : len(new) - tail])


def _written(change: _Change, template: Template) -> Edit | None:
    """Return a change where the string is written; None if that is in several places, or in none of its own."""
    places = template.places[change.start : change.stop]
    neighbour = None if places else _before(change.start, template)
    if neighbour is not None:
        places = (neighbour,)
    if not places or any(place.quoting is None or place.quoting != places[0].quoting for place in places):
        return None
    if any(a.stop != b.start for a, b in pairwise(places)):
        return None
    quoting = places[0].quoting
    replacement = quoting.written(change.text) if quoting is not None else None
    if replacement is None:
        return None
    return Edit(places[0].start if neighbour is None else neighbour.stop, places[-1].stop, replacement)


def _before(start: int, template: Template) -> Place | None:
    """Return the place of the character before an offset."""
    return template.places[start - 1] if start > 0 else None
