"""The statement that is being compiled, with its joins and parameters, and the layout that it asks where fields are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import attrs

from mlquery.language.plan import Entity, FieldRef
from mlquery.sql.dialects import SqlDialect
from mlquery.sql.expressions import FALSE, Value, ValueKind
from mlquery.sql.session import Session
from mlquery.sql.statement import Parameters
from mlquery.store import Store

_MOST_SINGLE_PARAMETERS: Final = 100

History = tuple[Any, Any, Any]
"""Values, timestamps in ms UTC and steps as arrays (points,), in the order of `Store.history`."""


DatasetUse = tuple[str, str, str, str | None]
"""The experiment, the name and the digest of a dataset, and the context that a run read it in."""


@attrs.frozen
class Points:
    """Where the points of metrics are: a table, and expressions of its columns.

    Attributes:
        table: What follows `FROM`.
        run_id: The run of a point.
        key: Its metric.
        value: Its value, with how NaN is told.
        timestamp: Its time in integer ms UTC.
        step: Its step.
    """

    table: str
    run_id: str
    key: str
    value: Value
    timestamp: str
    step: str


class Layout(Protocol):
    """Says fields in SQL. Everything that it needs beyond the table of the entity it adds to the query."""

    def table(self, entity: Entity) -> tuple[str, str]:
        """Return the table of an entity with its alias, as in "runs r", and the expression of its id.

        Raises:
            NotAskableError: the layout has no such entities.
        """

    def field(self, field: FieldRef, query: Query) -> Value:
        """Return the value of a field of the entity that a query is about; joins go to the query.

        Raises:
            NotAskableError: the layout does not have it.
        """

    def dataset_field(self, key: str, query: Query) -> tuple[str, str]:
        """Return the relation of the datasets of a run, with the condition that it is that run's, and a field of it.

        As in `"inputs i JOIN ... WHERE i.run = r.id"`, `"d.name"`: it is put after `FROM` of a subquery.

        Raises:
            NotAskableError: the layout does not have it.
        """

    def stage(self, entity: Entity) -> Value:
        """Return the lifecycle stage of an entity, "active" or "deleted"; where it is missing, it is active."""

    def in_experiments(self, ids: Iterable[str], query: Query) -> str:
        """Return the condition that a run is of one of some experiments."""

    def order_terms(self, field: FieldRef, value: Value, query: Query) -> tuple[Value, ...]:
        """Return what a field is ordered by, most significant first: mostly the value itself."""

    def locators(self, entity: Entity) -> tuple[str, ...]:
        """Return expressions that tell where a row is, for `load_runs` to find it sooner than by its id."""

    def points(self, dialect: SqlDialect) -> Points:
        """Return the points of metrics, as columns of a table that is joined by run id.

        Raises:
            NotAskableError: the layout has no histories.
        """

    # What reads data. A session sees one state of the source.

    def load_runs(self, session: Session, found: Sequence[tuple[Any, ...]]) -> Store:
        """Return a store with some runs and their experiments, the runs in the order given.

        `found` has the id of each run, followed by its locators or, where only the id is known, by nothing. A run that
        is not there is left out.
        """

    def load_experiments(self, session: Session, ids: Sequence[str]) -> Store:
        """Return a store with some experiments in the order given; one that is not there is left out."""

    def load_points(
        self, session: Session, run_ids: Sequence[str], keys: Sequence[str] | None
    ) -> dict[tuple[str, str], History]:
        """Return all points of some runs and metrics, by run id and key; without keys, of all metrics.

        Raises:
            NotAskableError: the layout has no histories.
        """

    def load_datasets(self, session: Session, experiment_ids: Sequence[str]) -> list[DatasetUse]:
        """Return which datasets the runs of some experiments read, each once for each context; 1,000 at most.

        Raises:
            NotAskableError: the layout has no datasets.
        """


class Query:
    """One statement about runs or experiments, while it is compiled.

    Args:
        entity: What is searched.
        layout: Where its fields are.
        dialect: How the system says things.
        required: Fields that every row found has, so that what has none of them need not be looked at.

    Attributes:
        parameters: The bound values.
    """

    def __init__(
        self, entity: Entity, layout: Layout, dialect: SqlDialect, required: frozenset[FieldRef] = frozenset()
    ) -> None:
        self.entity = entity
        self.layout = layout
        self.dialect = dialect
        self.required = required
        self.parameters = Parameters(dialect.bind)
        self._first: list[tuple[str, str, str]] = []
        self._joins: list[str] = []
        self._values: dict[FieldRef, Value] = {}

    def bind(self, value: Any) -> str:
        """Return how a value is written in the text."""
        return self.parameters.add(value)

    def field(self, field: FieldRef) -> Value:
        """Return how a field is said, the same expression and the same join each time.

        Raises:
            NotAskableError: the layout does not have it.
        """
        if field not in self._values:
            self._values[field] = self.layout.field(field, self)
        return self._values[field]

    def join(self, field: FieldRef, written: Callable[[str], str], *, as_written: bool = False) -> str:
        """Join a table for a field and return its alias; `written` makes the table and its condition of the alias.

        Where the field is required, rows without it are left out, and `as_written` says that the table is to be read
        after those before it.
        """
        alias = self._next_alias()
        kind = ("CROSS JOIN" if as_written else "JOIN") if field in self.required else "LEFT JOIN"
        self._joins.append(f"{kind} {written(alias)}")
        return alias

    def join_before(self, table: str, condition: Callable[[str, str | None], str]) -> str:
        """Join a table that is read before that of the entity, and after others that are; return its alias.

        `condition` is made of its alias and of what it is joined with: the first table, or None for the entity.
        """
        alias = self._next_alias()
        first = self._first[0][1] if self._first else None
        self._first.append((table, alias, condition(alias, first)))
        return alias

    @property
    def number_of_joins(self) -> int:
        """Return how many tables are joined."""
        return len(self._first) + len(self._joins)

    def relation(self) -> list[str]:
        """Return the lines from FROM on: the table of the entity with all that is joined."""
        table, _ = self.layout.table(self.entity)
        if not self._first:
            return [f"FROM {table}", *self._joins]
        (first, alias, is_of_entity), *others = self._first
        before = [f"CROSS JOIN {other} {name} ON {condition}" for other, name, condition in others]
        return [f"FROM {first} {alias}", *before, f"CROSS JOIN {table} ON {is_of_entity}", *self._joins]

    def _next_alias(self) -> str:
        return f"j{self.number_of_joins}"

    def listed(self, expression: str, values: Sequence[Any], kind: ValueKind) -> str:
        """Return the condition that an expression is one of some values: long lists are bound as one array."""
        if not values:
            return FALSE
        # Doubles are bound one by one, and few: not every system reads those in an array to the last bit.
        if len(values) > _MOST_SINGLE_PARAMETERS and kind is not ValueKind.DOUBLE:
            return self.dialect.in_array(expression, self.bind(self.dialect.array(values, kind)), kind)
        return f"{expression} IN ({', '.join(map(self.bind, values))})"
