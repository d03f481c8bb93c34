"""Chooses the table that a search in MLflow's schema begins with, where the system cannot: SQLite has no statistics.

Left alone it begins with the rows of any key that the filter asks for, and an index leads it to them one by one. Where
many runs have the key, the whole table is read several times sooner; where few runs are searched, these are.
"""

from __future__ import annotations

from typing import Final

import attrs

from mlquery.language.plan import Entity, FieldRef, Kind, Op, Plan
from mlquery.sql.conditions import required_fields, required_tests
from mlquery.sql.expressions import ValueKind
from mlquery.sql.query import Layout, Query
from mlquery.sql.session import Session
from mlquery.sql.statement import Statement

TABLES: Final = {Kind.METRIC: "latest_metrics", Kind.PARAM: "params", Kind.TAG: "tags"}
"""The tables of runs that have a row for each key."""

# Costs are in what it takes to read a row of these tables after the one before it.
_LOOK_UP: Final = 16
"""To find a row by an index."""
_RUN: Final = 3
"""To read a run after the one before it: its row is longer."""
_SHARE: Final = 1 / 3
"""Of the rows of a key, those that a filter is taken to keep."""
_SAMPLE: Final = 256

_RUN_ID: Final = FieldRef(Kind.ATTRIBUTE, "run_id")


@attrs.frozen
class FirstTable:
    """What a search begins with: runs, or the rows of a key.

    Attributes:
        field: The key; None for runs.
        is_read_whole: Whether the rows are found among all of their table, and not by an index.
    """

    field: FieldRef | None = None
    is_read_whole: bool = True


RUNS_FIRST: Final = FirstTable()


def first_table(plan: Plan, layout: Layout, session: Session) -> FirstTable | None:
    """Return what a search of runs best begins with, None to leave it to the system.

    Raises:
        SourceUnavailableError: the system does not answer.
    """
    if not session.dialect.joins_as_written or plan.entity is not Entity.RUN or _names_runs(plan):
        return None
    fields = [field for field in required_fields(plan.where) if field.kind in TABLES]
    if not fields:
        return None
    runs, searched = _runs(plan, layout, session)
    costs = {RUNS_FIRST: _RUN * runs + _LOOK_UP * searched * len(fields)}
    for field in sorted(fields, key=lambda field: (field.kind.value, field.key)):
        rows, of_key = _rows(field, layout, session)
        found, is_read_whole = min((_LOOK_UP * of_key, False), (rows, True))
        costs[FirstTable(field, is_read_whole)] = found + 2 * _LOOK_UP * _SHARE * min(of_key, runs)
    return min(costs, key=costs.__getitem__)


def _names_runs(plan: Plan) -> bool:
    """Tell whether a filter lists the runs, which are found at once."""
    return any(test.field == _RUN_ID and test.op in (Op.EQ, Op.IN) for test in required_tests(plan.where))


def _runs(plan: Plan, layout: Layout, session: Session) -> tuple[int, float]:
    """Return how many runs there are, and about how many are in the experiments that are searched."""
    runs = _size("runs", session)
    if plan.experiment_ids is None or not runs:
        return runs, runs
    query = Query(Entity.RUN, layout, session.dialect)
    sample = query.dialect.array([1 + place * runs // _SAMPLE for place in range(_SAMPLE)], ValueKind.INTEGER)
    is_in_sample = query.dialect.in_array("r.rowid", query.bind(sample), ValueKind.INTEGER)
    is_searched = layout.in_experiments(sorted(plan.experiment_ids), query)
    text = f"SELECT COUNT(*), COUNT(CASE WHEN {is_searched} THEN 1 END) FROM runs r WHERE {is_in_sample}"
    ((looked_at, found),) = session.rows(Statement(text, query.parameters.values))
    return runs, runs * found / max(looked_at, 1)


def _rows(field: FieldRef, layout: Layout, session: Session) -> tuple[int, int]:
    """Return how many rows a table has, and how many a key, at most all that are too many to be looked up."""
    table, query = TABLES[field.kind], Query(Entity.RUN, layout, session.dialect)
    rows = _size(table, session)
    is_of_key = query.dialect.has_key("t.key", query.bind(field.key))
    some = f"SELECT 1 FROM {table} t WHERE {is_of_key} LIMIT {query.bind(rows // _LOOK_UP + 1)}"
    ((found,),) = session.rows(Statement(f"SELECT COUNT(*) FROM ({some}) s", query.parameters.values))
    return rows, found if found <= rows // _LOOK_UP else rows


def _size(table: str, session: Session) -> int:
    """Return about how many rows a table has: those that were removed count too."""
    ((size,),) = session.rows(Statement(f"SELECT MAX(rowid) FROM {table}"))
    return size or 0
