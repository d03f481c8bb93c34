"""Wide exports: a column for each metric, param and tag, and the experiments as partitions; see `manifest`.

NaN and infinities are stored as such. What a page shows is read elsewhere, row by row; see `wide_pages`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs

from mlquery.language.plan import Entity, FieldRef, Kind
from mlquery.sql.dialects import SqlDialect
from mlquery.sql.errors import field_error
from mlquery.sql.expressions import Value, ValueKind
from mlquery.sql.histories import history_value
from mlquery.sql.layouts import manifest
from mlquery.sql.layouts.entities import ALIASES, table_of, terms_with_string_ids
from mlquery.sql.layouts.manifest import DATASETS, EXPERIMENTS, HISTORY, RUNS
from mlquery.sql.layouts.points import histories_of
from mlquery.sql.layouts.rows import rows_with
from mlquery.sql.layouts.wide_folder import EXPERIMENT, PARTITION, TIMES, WideFolder
from mlquery.sql.layouts.wide_pages import Pages
from mlquery.sql.query import DatasetUse, History, Points, Query
from mlquery.sql.session import Session
from mlquery.store import Store

_KINDS: Final = {"string": ValueKind.STRING, "double": ValueKind.DOUBLE, "int64": ValueKind.INTEGER}
_LOCATORS: Final = ("r.filename", "r.file_row_number")


@attrs.frozen
class WideTables:
    """The tables of a wide export.

    Attributes:
        folder: Where it is.
    """

    folder: WideFolder

    @property
    def pages(self) -> Pages:
        """Return what reads data."""
        return Pages(self.folder)

    def table(self, entity: Entity) -> tuple[str, str]:
        """Return the table of runs or experiments and their id."""
        return table_of(entity, RUNS, EXPERIMENTS)

    def field(self, field: FieldRef, query: Query) -> Value:
        """Return a field, which is a column; a key that no run has is missing everywhere."""
        match field.kind:
            case Kind.HISTORY:
                return history_value(field, "r.run_id", query)
            case Kind.ATTRIBUTE if query.entity is Entity.RUN:
                return self._run_attribute(field)
            case Kind.ATTRIBUTE:
                return _experiment_attribute(field)
            case Kind.TAG if query.entity is Entity.EXPERIMENT:
                return Value(query.dialect.map_value("e.tags", query.bind(field.key)), ValueKind.STRING)
            case Kind.METRIC:
                number = self._column(field, query.dialect) or "CAST(NULL AS DOUBLE)"
                return Value(number, ValueKind.DOUBLE, query.dialect.is_nan(number), has_infinities=True)
            case Kind.PARAM | Kind.TAG:
                return Value(self._column(field, query.dialect) or query.dialect.as_string("NULL"), ValueKind.STRING)
        raise field_error(field, "it is no single value")

    def dataset_field(self, key: str, query: Query) -> tuple[str, str]:
        """Return the datasets that a run has read, and their name, digest or context."""
        return f"{DATASETS} d WHERE d.run_id = r.run_id", f"d.{key}"

    def stage(self, entity: Entity) -> Value:
        """Return the lifecycle stage."""
        return Value(f"{ALIASES[entity]}.lifecycle_stage", ValueKind.STRING, is_always_there=True)

    def in_experiments(self, ids: Iterable[str], query: Query) -> str:
        """Return the condition on the partition of a run: others are not read."""
        wanted = list(ids)
        if not wanted:
            return query.listed("r.experiment_id", wanted, ValueKind.STRING)
        # One by one, however many: engines choose partitions by constants.
        return f"r.experiment_id IN ({', '.join(map(query.bind, wanted))})"

    def order_terms(self, field: FieldRef, value: Value, query: Query) -> tuple[Value, ...]:
        """Return what a field is ordered by; experiment ids go by their numbers."""
        return terms_with_string_ids(field, value, query)

    def locators(self, entity: Entity) -> tuple[str, ...]:
        """Return the file of a run and its number there."""
        return _LOCATORS if entity is Entity.RUN else ()

    def points(self, dialect: SqlDialect) -> Points:
        """Return the table of all points."""
        # Not its last column: `timestamp` is a word of SQL.
        step, time = "x.step", f"x.{dialect.quoted('timestamp')}"
        value = Value("x.value", ValueKind.DOUBLE, dialect.is_nan("x.value"), has_infinities=True)
        return Points(f"{HISTORY} x", "x.run_id", "x.metric", value, time, step)

    def _run_attribute(self, field: FieldRef) -> Value:
        key = field.key
        if key == "duration":
            return Value("(r.end_time - r.start_time)", ValueKind.INTEGER)
        if key == PARTITION:
            return Value("r.experiment_id", ValueKind.STRING, is_always_there=True)
        if key not in manifest.ATTRIBUTES:
            raise field_error(field, "wide exports do not have it")
        kind = _KINDS[manifest.ATTRIBUTES[key]]
        return Value(f"r.{key}", kind, is_always_there=key == "run_id")

    def _column(self, field: FieldRef, dialect: SqlDialect) -> str | None:
        for column in self.folder.manifest().columns:
            if (column.kind, column.key) == (field.kind.value, field.key):
                return f"r.{dialect.quoted(column.name)}"
        return None

    # Reading

    def load_runs(self, session: Session, found: Sequence[tuple[Any, ...]]) -> Store:
        """Return a store with some runs in the order given, and their experiments; unknown runs are left out."""
        is_located = all(len(row) == 1 + len(_LOCATORS) for row in found)
        places = found if is_located else self._located(session, [str(row[0]) for row in found])
        return self.pages.runs(session, [(path, number) for _, path, number in places])

    def _located(self, session: Session, ids: Sequence[str]) -> list[tuple[Any, ...]]:
        wanted = list(dict.fromkeys(ids))
        rows = rows_with(session, ("r.run_id", *_LOCATORS), f"{RUNS} r", {"r.run_id": wanted})
        places = {row[0]: row for row in rows}
        return [places[run_id] for run_id in wanted if run_id in places]

    def ids_at(self, located: Sequence[tuple[Any, ...]]) -> list[str]:
        """Return the ids of rows by their locators."""
        return self.pages.ids_at(located)

    def load_experiments(self, session: Session, ids: Sequence[str]) -> Store:
        """Return a store with some experiments in the order given; unknown ones are left out."""
        return self.pages.experiments(session, ids)

    def load_points(
        self, session: Session, run_ids: Sequence[str], keys: Sequence[str] | None
    ) -> dict[tuple[str, str], History]:
        """Return all points of some runs and metrics, by run id and key; without keys, of all metrics."""
        return histories_of(self.points(session.dialect), session, run_ids, keys)

    def load_datasets(self, session: Session, experiment_ids: Sequence[str]) -> list[DatasetUse]:
        """Return which datasets the runs of some experiments read, each once for each context; 1,000 at most."""
        return self.pages.datasets(session, experiment_ids)


def _experiment_attribute(field: FieldRef) -> Value:
    if field.key in TIMES:
        return Value(f"e.{field.key}", ValueKind.INTEGER)
    if field.key in EXPERIMENT:
        return Value(f"e.{field.key}", ValueKind.STRING, is_always_there=field.key in ("experiment_id", "name"))
    raise field_error(field, "wide exports do not have it")
