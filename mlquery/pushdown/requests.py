"""What a server is asked: queries of a plan, their order and their view, as values. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from mlquery.entities import ViewType
from mlquery.language.features import State, Use
from mlquery.language.matrix import Dialect
from mlquery.language.plan import Entity, FieldRef, Kind, Op, Plan, SortKey
from mlquery.pushdown.clauses import Clause, clause, order_entry
from mlquery.pushdown.covers import Cover, cover_of
from mlquery.pushdown.entailment import is_number

START_TIME: Final = FieldRef(Kind.ATTRIBUTE, "start_time")
RUN_ID: Final = FieldRef(Kind.ATTRIBUTE, "run_id")
_VIEWS: Final = {
    frozenset({"active"}): ("ACTIVE_ONLY", ViewType.ACTIVE_ONLY),
    frozenset({"deleted"}): ("DELETED_ONLY", ViewType.DELETED_ONLY),
    frozenset({"active", "deleted"}): ("ALL", ViewType.ALL),
}


@attrs.frozen
class ServerOrder:
    """As much of an order as a server is asked to keep; `is_total` if no two runs are equal in it."""

    keys: tuple[SortKey, ...] = ()
    entries: tuple[str, ...] = ()

    @property
    def is_total(self) -> bool:
        """Tell whether no two runs are equal in it."""
        return any(key.field == RUN_ID for key in self.keys)


@attrs.frozen
class Queries:
    """The queries that a search of runs is turned into.

    Attributes:
        cover: AND queries that together find at least what the plan finds.
        order: The order of the plan, as far as the server keeps it.
        by_time: The order in which all runs of a query are read, page by page.
        view: The view type that is asked for.
    """

    cover: Cover
    order: ServerOrder
    by_time: ServerOrder
    view: int


def queries_of(plan: Plan, dialect: Dialect) -> Queries:
    """Return what to ask a server in a dialect for a plan of runs."""
    order = pushed_order(plan.order, dialect)
    leads = plan.order[0] if plan.order and plan.order[0].field == START_TIME else SortKey(START_TIME, descending=True)
    by_time = pushed_order((leads, SortKey(RUN_ID)), dialect)
    has_metrics = any(key.field.kind is Kind.METRIC for key in order.keys)
    return Queries(cover_of(plan.where, dialect, has_metrics), order, by_time, _VIEWS[plan.stages][1])


def view_of(plan: Plan, dialect: Dialect) -> tuple[str, State]:
    """Return the name of the view type of a plan, and whether a dialect takes it."""
    name = _VIEWS[plan.stages][0]
    verdict = dialect.verdict(Use(Entity.RUN.value, "view", key=name))
    return name, "yes" if verdict is None else verdict.state


def pushed_order(keys: Sequence[SortKey], dialect: Dialect) -> ServerOrder:
    """Return the first keys of an order that a server can be trusted to keep.

    Strings are ordered by the collation of its database, which no column of the matrix tells.
    """
    taken: list[tuple[SortKey, str]] = []
    for key in keys:
        entry = order_entry(key, dialect) if is_number(key.field) or key.field == RUN_ID else None
        if entry is None:
            break
        taken.append((key, entry))
    return ServerOrder(tuple(key for key, _ in taken), tuple(entry for _, entry in taken))


def from_value(key: SortKey, value: Any, dialect: Dialect) -> Clause | None:
    """Return the clause for the runs whose first key is that value or follows it; None if it cannot be asked.

    Runs without the field never pass it, and are left out.
    """
    if not is_number(key.field):
        return None
    found = clause(key.field, Op.LE if key.descending else Op.GE, value, dialect)
    return found if found is not None and found.predicate.value == value else None


def up_to_value(key: SortKey, value: Any, dialect: Dialect) -> Clause | None:
    """Return the clause for the runs whose first key is that value or precedes it, as `from_value`."""
    return from_value(attrs.evolve(key, descending=not key.descending), value, dialect)
