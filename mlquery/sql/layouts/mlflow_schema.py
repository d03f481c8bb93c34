"""MLflow's own tables: where fields of runs and experiments are in the database of a tracking server.

Runs have one row for each metric, param and tag in other tables, which are joined by run and key. NaN is stored as 0
with a mark, infinities as the largest numbers.

**Source**: `mlflow.store.tracking.dbmodels.models` of MLflow 3.17.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from mlquery.language.plan import Entity, FieldRef, Kind
from mlquery.sql.dialects import SqlDialect
from mlquery.sql.errors import field_error
from mlquery.sql.expressions import Value, ValueKind
from mlquery.sql.histories import history_value
from mlquery.sql.layouts.entities import ALIASES, EXPERIMENT_ID, table_of, terms_with_string_ids
from mlquery.sql.layouts.first_table import RUNS_FIRST, TABLES, FirstTable
from mlquery.sql.query import Points, Query

_CONTEXT: Final = "mlflow.data.context"
_NAME_TAG: Final = "mlflow.runName"
# Systems limit how many tables are joined, MySQL to 61: further fields are looked up row by row.
_MOST_JOINS: Final = 24
_INTEGERS: Final = ("start_time", "end_time", "creation_time", "last_update_time")
_RUN_ATTRIBUTES: Final = (
    *("run_id", "status", "user_id", "artifact_uri", "lifecycle_stage"),
    *("start_time", "end_time"),
)
_EXPERIMENT_ATTRIBUTES: Final = (
    *("name", "artifact_location", "lifecycle_stage"),
    *("creation_time", "last_update_time"),
)


@attrs.frozen
class SchemaFields:
    """The fields of MLflow's tables.

    Attributes:
        has_integer_ids: Whether experiment ids are integers, as MLflow makes them.
        has_datasets: Whether there are tables of datasets.
        first: What a search of runs begins with; None to leave it to the system.
    """

    has_integer_ids: bool = True
    has_datasets: bool = True
    first: FirstTable | None = None

    def table(self, entity: Entity) -> tuple[str, str]:
        """Return the table of runs or experiments and their id."""
        return table_of(entity, "runs", "experiments", "run_uuid")

    def field(self, field: FieldRef, query: Query) -> Value:
        """Return a field; what is in a table of its own is joined."""
        match field.kind:
            case Kind.METRIC:
                return self._metric(field, query)
            case Kind.PARAM | Kind.TAG:
                return self._string(field, query)
            case Kind.HISTORY:
                return history_value(field, "r.run_uuid", query)
            case Kind.ATTRIBUTE if query.entity is Entity.RUN:
                return self._run_attribute(field, query)
            case Kind.ATTRIBUTE:
                return self._experiment_attribute(field, query)
        raise field_error(field, "it is no single value")

    def dataset_field(self, key: str, query: Query) -> tuple[str, str]:
        """Return the datasets that a run has read, and their name, digest or context."""
        if not self.has_datasets:
            raise field_error(FieldRef(Kind.DATASET, key), "the database is of a release without datasets")
        relation = "inputs i JOIN datasets d ON d.dataset_uuid = i.source_id"
        column = f"d.{key}"
        if key == "context":
            relation += f" JOIN input_tags t ON t.input_uuid = i.input_uuid AND t.name = {query.bind(_CONTEXT)}"
            column = "t.value"
        of_run = "i.source_type = 'DATASET' AND i.destination_type = 'RUN' AND i.destination_id = r.run_uuid"
        return f"{relation} WHERE {of_run}", column

    def stage(self, entity: Entity) -> Value:
        """Return the lifecycle stage; rows of old releases have none and are active."""
        return Value(f"{ALIASES[entity]}.lifecycle_stage", ValueKind.STRING)

    def in_experiments(self, ids: Iterable[str], query: Query) -> str:
        """Return the condition on the experiment of a run; in a database with integers other ids find nothing."""
        if not self.has_integer_ids:
            return query.listed(query.dialect.compared("r.experiment_id"), list(ids), ValueKind.STRING)
        integers = sorted(int(one) for one in ids if one == _as_integer(one))
        return query.listed("r.experiment_id", integers, ValueKind.INTEGER)

    def order_terms(self, field: FieldRef, value: Value, query: Query) -> tuple[Value, ...]:
        """Return what a field is ordered by; experiment ids go by their numbers."""
        if self.has_integer_ids and field == EXPERIMENT_ID:
            return (Value("e.experiment_id", ValueKind.INTEGER, is_always_there=True),)
        return terms_with_string_ids(field, value, query)

    def locators(self, entity: Entity) -> tuple[str, ...]:
        """Return nothing: ids are found by an index."""
        return ()

    def points(self, dialect: SqlDialect) -> Points:
        """Return the table of all points."""
        value = Value("x.value", ValueKind.DOUBLE, "x.is_nan")
        return Points("metrics x", "x.run_uuid", "x.key", value, "x.timestamp", "x.step")

    def _metric(self, field: FieldRef, query: Query) -> Value:
        if query.number_of_joins < _MOST_JOINS:
            alias = self._joined(field, query)
            return Value(f"{alias}.value", ValueKind.DOUBLE, f"{alias}.is_nan")
        value, is_nan = (self._looked_up(field, column, query) for column in ("value", "is_nan"))
        return Value(value, ValueKind.DOUBLE, is_nan)

    def _string(self, field: FieldRef, query: Query) -> Value:
        if query.number_of_joins < _MOST_JOINS:
            return Value(f"{self._joined(field, query)}.value", ValueKind.STRING)
        return Value(self._looked_up(field, "value", query), ValueKind.STRING)

    def _joined(self, field: FieldRef, query: Query) -> str:
        first, table = self.first, _table_of(field, query)
        if first is None or first.field is None or not {field, first.field} <= query.required:
            as_written = first == RUNS_FIRST
            return query.join(
                field, lambda alias: f"{table} {alias} ON {_is_of(alias, field, query)}", as_written=as_written
            )
        if field == first.field:
            by_index = not first.is_read_whole
            return query.join_before(table, lambda alias, _: _is_of(alias, field, query, by_index=by_index))
        query.field(first.field)
        return query.join_before(table, lambda alias, other: _is_of(alias, field, query, other))

    def _looked_up(self, field: FieldRef, column: str, query: Query) -> str:
        return f"(SELECT x.{column} FROM {_table_of(field, query)} x WHERE {_is_of('x', field, query)})"

    def _run_attribute(self, field: FieldRef, query: Query) -> Value:
        key = field.key
        if key == "duration":
            return Value("(r.end_time - r.start_time)", ValueKind.INTEGER)
        if key == "run_name":
            # Runs of MLflow 1 have their name only in a tag.
            tag = query.field(FieldRef(Kind.TAG, _NAME_TAG)).sql
            return Value(f"COALESCE(NULLIF(r.name, ''), {tag}, r.name)", ValueKind.STRING)
        if key == "experiment_id":
            return self._experiment_id("r", query)
        if key not in _RUN_ATTRIBUTES:
            raise field_error(field, "MLflow's tables do not have it")
        column = "r.run_uuid" if key == "run_id" else f"r.{key}"
        if key in _INTEGERS:
            return Value(column, ValueKind.INTEGER)
        return Value(column, ValueKind.STRING, is_always_there=key == "run_id")

    def _experiment_attribute(self, field: FieldRef, query: Query) -> Value:
        if field.key == "experiment_id":
            return self._experiment_id("e", query)
        if field.key not in _EXPERIMENT_ATTRIBUTES:
            raise field_error(field, "MLflow's tables do not have it")
        kind = ValueKind.INTEGER if field.key in _INTEGERS else ValueKind.STRING
        return Value(f"e.{field.key}", kind, is_always_there=field.key == "name")

    def _experiment_id(self, alias: str, query: Query) -> Value:
        column = f"{alias}.experiment_id"
        sql = query.dialect.as_string(column) if self.has_integer_ids else column
        return Value(sql, ValueKind.STRING, is_always_there=True)


def _table_of(field: FieldRef, query: Query) -> str:
    """Return the table that has a row for each key of the entity."""
    table = TABLES[field.kind]
    return f"experiment_{table}" if query.entity is Entity.EXPERIMENT else table


def _is_of(alias: str, field: FieldRef, query: Query, other: str | None = None, *, by_index: bool = True) -> str:
    """Return the condition that a row has a key of the entity, or of the one that another table has a row of."""
    entity, column = ("e", "experiment_id") if query.entity is Entity.EXPERIMENT else ("r", "run_uuid")
    key = f"{alias}.key" if by_index else query.dialect.without_index(f"{alias}.key")
    has_key = query.dialect.has_key(key, query.bind(field.key))
    return f"{alias}.{column} = {other or entity}.{column} AND {has_key}"


def _as_integer(identifier: str) -> str:
    """Return an id as MLflow would write the number that it is, nothing if it is none."""
    is_number = identifier.isascii() and identifier.isdigit() and len(identifier) < 19
    return str(int(identifier)) if is_number else ""
