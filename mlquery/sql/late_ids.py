"""Finds the first page of runs without their ids, which are read where the page is, and not of all runs that match.

Ids order only runs that agree in all else, but a system that orders by them reads them all: of many runs they are the
largest column. Runs of which many agree are left to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from mlquery.sql.compiling import Page
from mlquery.sql.ordering import Position, position

SPARE: Final = 100
"""How many more rows are asked for: as many may agree with the last one of a page."""

Row = tuple[Any, ...]


def is_complete(rows: Sequence[Row], page: Page, wanted: int) -> bool:
    """Tell whether all rows are there that the first `wanted` ones may be among, if `SPARE` more were asked for."""
    if len(rows) < wanted + SPARE:
        return True
    return _order(rows[wanted - 1], page) != _order(rows[-1], page)


def with_ids(rows: Sequence[Row], ids: Sequence[str], page: Page, is_descending: bool) -> list[Row]:
    """Return rows as they would be with ids: these first and, ordered by them where rows agree in all else, last."""
    found: list[Row] = []
    for _, some in groupby(zip(ids, rows, strict=True), lambda pair: _order(pair[1], page)):
        found += ((run_id, *row, run_id) for run_id, row in sorted(some, key=itemgetter(0), reverse=is_descending))
    return found


def _order(row: Row, page: Page) -> Position:
    return position(row, page.terms)
