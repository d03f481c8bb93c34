"""How large a filter and an order_by may be: more than any server of MLflow answers, and read in a moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MAX_CHARACTERS: Final = 250_000
"""The most characters of a filter, and of an order_by in all. Lists of as many ids as MLflow takes have 200,000."""
MAX_ENTRIES: Final = 1000
"""The most entries of an order_by.

Source: SQLite refuses 64 joins, MySQL 61, PostgreSQL 1,664 columns, of which MLflow 3.17 selects two for each entry.
"""


def filter_problem(source: str) -> str | None:
    """Return what is wrong with the size of a filter, None if it can be read."""
    return f"the filter has more than {MAX_CHARACTERS:,} characters" if len(source) > MAX_CHARACTERS else None


def order_problem(entries: Sequence[str]) -> str | None:
    """Return what is wrong with the size of an order_by, None if it can be read."""
    if len(entries) > MAX_ENTRIES:
        return f"order_by has {len(entries):,} entries, and at most {MAX_ENTRIES:,} are read"
    if sum(map(len, entries)) > MAX_CHARACTERS:
        return f"order_by has more than {MAX_CHARACTERS:,} characters"
    return None
