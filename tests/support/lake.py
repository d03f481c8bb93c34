"""What is asked of exports, whatever their layout."""

from __future__ import annotations

import attrs

from mlquery.engine import reference
from mlquery.language.plan import Plan
from mlquery.query.search import plan_of
from mlquery.sql.source import Source
from mlquery.store import Store

QUERIES: list[tuple[str, list[str]]] = [
    ("", []),
    ("metrics.loss > 0.2 AND params.model LIKE '%a%'", ["metrics.loss DESC"]),
    ("NOT (metrics.acc <= 0.5 OR tags.team IS NULL)", ["params.lr", "start_time"]),
    ("NOT metrics.acc <= 0.5 OR metrics.`val loss` != 1", ["metrics.`val loss`", "metrics.acc DESC"]),
    ("max(metrics.loss) > 0", ["at(metrics.loss, 1) DESC", "run_name"]),
    ("mean(metrics.acc) < 0.7", ["mean(metrics.loss)"]),
    ("tags.team RLIKE '^[a-z]+$' OR run_name ILIKE '%A%'", ["duration DESC", "user_id"]),
    ("user_id IS NULL", ["run_name"]),
    ("user_id = '' OR user_id IS NULL", ["user_id"]),
    ("params.nobody IS NULL AND metrics.nobody IS NULL AND NOT tags.nobody = 'x'", ["metrics.nobody", "params.nobody"]),
]


def plan(filter_string: str = "", order_by: list[str] | None = None) -> Plan:
    """Return the plan of a search of all runs in all stages."""
    return attrs.evolve(plan_of(filter_string, order_by, dialect="extended", view_type=3), experiment_ids=None)


def expected_ids(store: Store, wanted: Plan) -> list[str]:
    """Return the ids of the runs that a search finds, by the reference."""
    return [store.runs.ids[row] for row in reference.rows(store, wanted)]


def pages_of(source: Source, wanted: Plan, limit: int) -> list[str]:
    """Return the ids of the runs on all pages of a search."""
    page = source.page(wanted, limit)
    found = list(page.store.runs.ids)
    while page.next is not None:
        page = source.page(wanted, limit, page.next)
        found += page.store.runs.ids
        assert page.rows, "a page that follows another one has runs"
    return found
