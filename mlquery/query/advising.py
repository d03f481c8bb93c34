"""Turn the arguments of a search into what is to be said about it beyond errors: warnings and notes. Reads no data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs

from mlquery.errors import Diagnostic, QueryError
from mlquery.language.advice import Written, advice
from mlquery.language.keys import KnownKeys
from mlquery.language.matrix import Dialect
from mlquery.language.parser import parse_filter, parse_order_by
from mlquery.language.plan import Entity
from mlquery.language.rules import rule_of
from mlquery.language.sizes import filter_problem, order_problem
from mlquery.language.syntax import And

T = TypeVar("T")


def advice_on(
    entity: Entity, filter_string: str | None, order_by: Sequence[str] | None, dialect: Dialect, keys: KnownKeys
) -> tuple[Diagnostic, ...]:
    """Return the warnings and notes about what can be parsed of a search; none about what is too large to read."""
    entries = () if isinstance(order_by, str) else tuple(order_by or ())
    source = filter_string or ""
    if not isinstance(source, str) or not all(isinstance(entry, str) for entry in entries):
        return ()
    if filter_problem(source) or order_problem(entries):
        return ()
    where, terms = _or_none(parse_filter, source), tuple(_or_none(parse_order_by, entry) for entry in entries)
    return advice(Written(entity, where or And(()), source, terms, entries), dialect, keys)


def with_rule(warning: Diagnostic) -> Diagnostic:
    """Return a warning with the code of its rule."""
    return attrs.evolve(warning, rule=rule_of(warning).code)


def _or_none(parse: Callable[[str], T], source: str) -> T | None:
    try:
        return parse(source)
    except QueryError:
        return None
