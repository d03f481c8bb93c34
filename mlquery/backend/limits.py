"""The limits on writes that a dialect has, as the store takes them."""

from __future__ import annotations

from functools import cache

from mlquery.language.matrix import Dialect
from mlquery.store.limits import Limits


@cache
def limits_of(dialect: Dialect) -> Limits:
    """Return how long and how many the values of a write may be in a dialect."""
    return Limits(**dialect.enforced_limits)
