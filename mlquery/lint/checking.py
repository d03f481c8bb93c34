"""Check queries of programs; the same one is asked for again where a fix is tried."""

from __future__ import annotations

from functools import lru_cache

from mlquery.errors import Diagnostic
from mlquery.language.keys import KnownKeys
from mlquery.language.matrix import Dialect
from mlquery.language.plan import Entity
from mlquery.query.search import check_with_keys

_CACHED = 128


@lru_cache(_CACHED)
def checked(
    filter_string: str, order_by: tuple[str, ...], entity: Entity, dialect: Dialect, keys: KnownKeys
) -> tuple[Diagnostic, ...]:
    """Return the errors, warnings and notes about a query."""
    return check_with_keys(filter_string, order_by, keys, dialect=dialect, entity=entity.value).diagnostics
