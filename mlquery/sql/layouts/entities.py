"""What layouts say alike of runs and experiments: their tables, and the order of experiment ids that are strings."""

from __future__ import annotations

from typing import Final

from mlquery.language.plan import Entity, FieldRef, Kind
from mlquery.sql.errors import NotAskableError
from mlquery.sql.expressions import Value, ValueKind
from mlquery.sql.query import Query

ALIASES: Final = {Entity.RUN: "r", Entity.EXPERIMENT: "e"}
"""What the tables of entities are called in statements."""

EXPERIMENT_ID: Final = FieldRef(Kind.ATTRIBUTE, "experiment_id")


def table_of(entity: Entity, runs: str, experiments: str, run_id: str = "run_id") -> tuple[str, str]:
    """Return the table of an entity with its alias, and its id.

    Raises:
        NotAskableError: it is none of runs or experiments.
    """
    match entity:
        case Entity.RUN:
            return f"{runs} r", f"r.{run_id}"
        case Entity.EXPERIMENT:
            return f"{experiments} e", "e.experiment_id"
    raise NotAskableError(f"{entity.noun}s", "only runs and experiments are")


def terms_with_string_ids(field: FieldRef, value: Value, query: Query) -> tuple[Value, ...]:
    """Return what a field is ordered by where experiment ids are strings: numbers by value, and then all others.

    No id has leading zeros.
    """
    if field != EXPERIMENT_ID:
        return (value,)
    is_number = query.dialect.is_digits(value.sql)
    kind = Value(f"CASE WHEN {is_number} THEN 0 ELSE 1 END", ValueKind.INTEGER)
    length = Value(f"CASE WHEN {is_number} THEN LENGTH({value.sql}) ELSE 0 END", ValueKind.INTEGER)
    return kind, length, value
