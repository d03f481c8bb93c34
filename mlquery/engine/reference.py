"""The specification: run a plan by testing every entity in plain Python. Written to be read, not to be fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlquery.engine.history_values import history_values
from mlquery.language.plan import All, AnyOf, Entity, FieldRef, Kind, Negation, Op, Plan, Predicate, SortKey, Where
from mlquery.language.semantics import id_rank, number_test, string_test
from mlquery.store import Store


def rows(store: Store, plan: Plan, limit: int | None = None) -> Sequence[int]:
    """Return the rows that a plan selects, in its order; the first `limit` of them."""
    table: Any = store.runs if plan.entity is Entity.RUN else store.experiments
    entity_at = table.run_at if plan.entity is Entity.RUN else table.experiment_at
    return select([entity_at(row) for row in range(table.size)], plan, store)[:limit]


def select(entities: Sequence[Any], plan: Plan, store: Store | None = None) -> list[int]:
    """Return the positions of the entities that a plan selects, in its order; runs have their histories in a store."""
    found = [i for i, entity in enumerate(entities) if _is_in_view(entity, plan) and _holds(plan.where, entity, store)]
    for key in reversed(plan.order):
        found = _sorted(found, [values_of(entities[i], key.field, store) for i in found], key)
    return found


def _is_in_view(entity: Any, plan: Plan) -> bool:
    info = getattr(entity, "info", entity)
    is_wanted = plan.experiment_ids is None or info.experiment_id in plan.experiment_ids
    return is_wanted and info.lifecycle_stage in plan.stages


def _holds(where: Where, entity: Any, store: Store | None) -> bool:
    """Tell whether an entity satisfies a condition."""
    match where:
        case All(parts):
            return all(_holds(part, entity, store) for part in parts)
        case AnyOf(parts):
            return any(_holds(part, entity, store) for part in parts)
        case Negation(part):
            return not _holds(part, entity, store)
        case Predicate(field, Op.IS_NULL | Op.IS_NOT_NULL as op):
            return bool(values_of(entity, field, store)) is (op is Op.IS_NOT_NULL)
        case Predicate(field, op, value, nan):
            return any(
                (string_test(op, value) if isinstance(v, str) else number_test(op, value, nan))(v)
                for v in values_of(entity, field, store)
            )


def values_of(entity: Any, field: FieldRef, store: Store | None) -> list[Any]:
    """Return the values of an entity's field: none, one, or one for each dataset."""
    match field:
        case FieldRef(Kind.HISTORY):
            return history_values(field, entity, store)
        case FieldRef(Kind.METRIC | Kind.PARAM | Kind.TAG, key):
            logged = getattr(getattr(entity, "data", entity), f"{field.kind.value}s")
            return [logged[key]] if key in logged else []
        case FieldRef(Kind.DATASET, "context"):
            return [t.value for i in entity.inputs.dataset_inputs for t in i.tags if t.key == "mlflow.data.context"]
        case FieldRef(Kind.DATASET, key):
            return [getattr(i.dataset, key) for i in entity.inputs.dataset_inputs]
        case FieldRef(Kind.ATTRIBUTE, "duration"):
            start, end = entity.info.start_time, entity.info.end_time
            return [] if start is None or end is None else [end - start]
    value = getattr(getattr(entity, "info", entity), field.key)
    return [] if value is None else [value]


def _sorted(found: list[int], values: list[list[Any]], key: SortKey) -> list[int]:
    """Return the rows sorted by one key, keeping the order of equal ones: values, then NaN, then missing."""
    rank = id_rank if key.field == FieldRef(Kind.ATTRIBUTE, "experiment_id") else lambda value: value
    pairs = list(zip(found, values, strict=True))
    missing = [row for row, v in pairs if not v]
    nan = [row for row, v in pairs if v and v[0] != v[0]]
    present = [(row, v[0]) for row, v in pairs if v and v[0] == v[0]]
    ordered = [row for row, _ in sorted(present, key=lambda pair: rank(pair[1]), reverse=key.descending)] + nan
    return missing + ordered if key.missing_is_least and not key.descending else ordered + missing
