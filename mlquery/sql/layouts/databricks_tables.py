"""Databricks' tables of MLflow's data, `system.mlflow`, and Parquet files of their shape: fields, and reading pages.

Params and tags are maps, the latest values of metrics a list of structures. NaN and infinities are stored as such.
These tables have neither datasets nor artifact locations nor logged models, and experiments there have no tags. A run
whose `created_by` is null has no user; an empty string is one.

**Source**: https://docs.databricks.com/admin/system-tables/mlflow for tables, columns and types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from mlquery.entities import Experiment, RunInfo
from mlquery.language.plan import Entity, FieldRef, Kind
from mlquery.readers.contents import LoadedRun
from mlquery.sql.dialects import SqlDialect
from mlquery.sql.engines.files import DOUBLE, INTEGER, METRICS, STRING, STRINGS, TIME, FileTable
from mlquery.sql.errors import NotAskableError, SourceUnavailableError, field_error
from mlquery.sql.expressions import Value, ValueKind
from mlquery.sql.histories import history_value
from mlquery.sql.layouts.entities import ALIASES, table_of, terms_with_string_ids
from mlquery.sql.layouts.points import histories_of, latest_points, stored
from mlquery.sql.layouts.rows import rows_with
from mlquery.sql.layouts.stores import page_store
from mlquery.sql.query import DatasetUse, History, Points, Query
from mlquery.sql.session import Session
from mlquery.store import Store

TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "experiments_latest": {
        **dict.fromkeys(("account_id", "workspace_id", "experiment_id", "name"), STRING),
        **dict.fromkeys(("update_time", "delete_time", "create_time"), TIME),
    },
    "runs_latest": {
        **dict.fromkeys(("account_id", "workspace_id", "run_id", "experiment_id", "created_by"), STRING),
        **dict.fromkeys(("update_time", "delete_time", "start_time", "end_time"), TIME),
        **dict.fromkeys(("run_name", "status"), STRING),
        **dict.fromkeys(("params", "tags"), STRINGS),
        "aggregated_metrics": METRICS,
    },
    "run_metrics_history": {
        **dict.fromkeys(("account_id", "record_id", "workspace_id", "experiment_id", "run_id", "metric_name"), STRING),
        **dict.fromkeys(("insert_time", "metric_time"), TIME),
        "metric_step": INTEGER,
        "metric_value": DOUBLE,
    },
}
"""The columns of the tables and their types."""

_STRINGS: Final = {"run_id": "run_id", "run_name": "run_name", "status": "status", "user_id": "created_by"}
_TIMES: Final = {"creation_time": "create_time", "last_update_time": "update_time"}
_RUN_COLUMNS: Final = ("run_id", "experiment_id", "created_by", "run_name", "status")


@attrs.frozen
class DatabricksTables:
    """The tables of one schema.

    Attributes:
        name: What they are called in messages.
        prefix: What stands before their names: a catalog and a schema, or nothing.
    """

    name: str
    prefix: str = ""

    def table(self, entity: Entity) -> tuple[str, str]:
        """Return the table of runs or experiments and their id."""
        return table_of(entity, f"{self.prefix}runs_latest", f"{self.prefix}experiments_latest")

    def field(self, field: FieldRef, query: Query) -> Value:
        """Return a field, which is a column or in a map or list of one."""
        match field:
            case FieldRef(Kind.ATTRIBUTE):
                return _attribute(field, query)
            case FieldRef(Kind.HISTORY):
                return history_value(field, "r.run_id", query)
            case FieldRef(Kind.METRIC, key):
                looked_up = ("r.aggregated_metrics", "metric_name", query.bind(key), "latest_value")
                value = query.dialect.list_value(*looked_up)
                return Value(value, ValueKind.DOUBLE, query.dialect.is_nan(value), has_infinities=True)
            case FieldRef(Kind.PARAM | Kind.TAG, key) if query.entity is Entity.RUN:
                column = f"r.{field.kind.value}s"
                return Value(query.dialect.map_value(column, query.bind(key)), ValueKind.STRING)
        raise field_error(field, "Databricks' tables do not have it")

    def dataset_field(self, key: str, query: Query) -> tuple[str, str]:
        """Refuse: there are no datasets."""
        raise field_error(FieldRef(Kind.DATASET, key), "Databricks' tables have no datasets")

    def stage(self, entity: Entity) -> Value:
        """Return the lifecycle stage, which the time of deletion tells."""
        stage = f"CASE WHEN {ALIASES[entity]}.delete_time IS NULL THEN 'active' ELSE 'deleted' END"
        return Value(stage, ValueKind.STRING, is_always_there=True)

    def in_experiments(self, ids: Iterable[str], query: Query) -> str:
        """Return the condition on the experiment of a run."""
        return query.listed("r.experiment_id", list(ids), ValueKind.STRING)

    def order_terms(self, field: FieldRef, value: Value, query: Query) -> tuple[Value, ...]:
        """Return what a field is ordered by; experiment ids go by their numbers."""
        return terms_with_string_ids(field, value, query)

    def locators(self, entity: Entity) -> tuple[str, ...]:
        """Return nothing: rows are found by their ids."""
        return ()

    def points(self, dialect: SqlDialect) -> Points:
        """Return the table of all points."""
        value = Value("x.metric_value", ValueKind.DOUBLE, dialect.is_nan("x.metric_value"), has_infinities=True)
        timestamp = dialect.milliseconds("x.metric_time")
        table = f"{self.prefix}run_metrics_history x"
        return Points(table, "x.run_id", "x.metric_name", value, timestamp, "x.metric_step")

    # Reading

    def load_runs(self, session: Session, found: Sequence[tuple[Any, ...]]) -> Store:
        """Return a store with some runs in the order given, and their experiments; unknown runs are left out.

        Artifact locations are not in these tables. The step and time of a latest value are those of its point.
        """
        ids, dialect = list(dict.fromkeys(str(row[0]) for row in found)), session.dialect
        times = [dialect.milliseconds(f"r.{name}") for name in ("start_time", "end_time")]
        columns = [*(f"r.{name}" for name in _RUN_COLUMNS), *times, self.stage(Entity.RUN).sql, "r.params", "r.tags"]
        rows = self._rows(session, Entity.RUN, [*columns, "r.aggregated_metrics"], ids)
        experiments = self._experiments(session, list(dict.fromkeys(str(row[1]) for row in rows)))
        latest = latest_points(self.points(dialect), session, ids)
        runs = {row[0]: _run(row, latest[row[0]]) for row in rows}
        return page_store(self.name, experiments, [runs[run_id] for run_id in ids if run_id in runs])

    def load_experiments(self, session: Session, ids: Sequence[str]) -> Store:
        """Return a store with some experiments in the order given; unknown ones are left out."""
        return page_store(self.name, self._experiments(session, list(dict.fromkeys(ids))))

    def load_points(
        self, session: Session, run_ids: Sequence[str], keys: Sequence[str] | None
    ) -> dict[tuple[str, str], History]:
        """Return all points of some runs and metrics, by run id and key; without keys, of all metrics."""
        return histories_of(self.points(session.dialect), session, run_ids, keys)

    def load_datasets(self, session: Session, experiment_ids: Sequence[str]) -> list[DatasetUse]:
        """Refuse: there are no datasets."""
        raise NotAskableError("datasets", "Databricks' tables have no datasets")

    def _experiments(self, session: Session, ids: Sequence[str]) -> list[Experiment]:
        times = [session.dialect.milliseconds(f"e.{name}") for name in _TIMES.values()]
        columns = ["e.experiment_id", "e.name", self.stage(Entity.EXPERIMENT).sql, *times]
        rows = {row[0]: row for row in self._rows(session, Entity.EXPERIMENT, columns, ids)}
        found = (rows[one] for one in ids if one in rows)
        return [Experiment(one, name, "", stage, {}, created, updated) for one, name, stage, created, updated in found]

    def _rows(
        self, session: Session, entity: Entity, columns: Sequence[str], ids: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        table, identifier = self.table(entity)
        return rows_with(session, columns, table, {identifier: ids})


def _attribute(field: FieldRef, query: Query) -> Value:
    key, milliseconds = field.key, query.dialect.milliseconds
    if key == "experiment_id":
        return Value(f"{ALIASES[query.entity]}.experiment_id", ValueKind.STRING, is_always_there=True)
    if query.entity is Entity.EXPERIMENT and key in _TIMES:
        return Value(milliseconds(f"e.{_TIMES[key]}"), ValueKind.INTEGER)
    if query.entity is Entity.EXPERIMENT and key == "name":
        return Value("e.name", ValueKind.STRING, is_always_there=True)
    if query.entity is Entity.RUN and key in _STRINGS:
        return Value(f"r.{_STRINGS[key]}", ValueKind.STRING, is_always_there=key == "run_id")
    if query.entity is Entity.RUN and key in ("start_time", "end_time"):
        return Value(milliseconds(f"r.{key}"), ValueKind.INTEGER)
    if query.entity is Entity.RUN and key == "duration":
        return Value(f"({milliseconds('r.end_time')} - {milliseconds('r.start_time')})", ValueKind.INTEGER)
    raise field_error(field, "Databricks' tables do not have it")


def _run(row: tuple[Any, ...], latest: Mapping[str, tuple[int, int]]) -> LoadedRun:
    run_id, experiment_id, user, name, status, start, end, stage, params, tags, metrics = row
    info = RunInfo(run_id, experiment_id, user, status, start, end, stage, None, name)
    values = {one["metric_name"]: stored(one["latest_value"]) for one in map(_as_dict, metrics or ())}
    points = {key: (value, *latest.get(key, (0, 0))) for key, value in values.items()}
    return LoadedRun(info, _as_dict(params or {}), _as_dict(tags or {}), points)


def _as_dict(value: Any) -> dict[str, Any]:
    """Return a map or a structure, which drivers give in their own classes, as a dictionary."""
    if hasattr(value, "asDict"):
        found: dict[str, Any] = value.asDict()
        return found
    return dict(value)


@attrs.frozen
class DatabricksFolder:
    """A folder with the three tables as Parquet files, or as folders of them.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def name(self) -> str:
        """Return what it is called in messages."""
        return str(self.path)

    def state(self) -> tuple[Any, ...]:
        """Return names, sizes and times of the files."""
        return tuple(
            (str(file), about.st_size, about.st_mtime_ns, about.st_ino)
            for name in TABLES
            for file, about in ((file, _stat(file, self)) for file in self._files(name))
        )

    def tables(self) -> Mapping[str, FileTable]:
        """Return the tables."""
        return {name: FileTable(columns, tuple(map(str, self._files(name)))) for name, columns in TABLES.items()}

    def _files(self, name: str) -> list[Path]:
        file, folder = self.path / f"{name}.parquet", self.path / name
        if file.is_file():
            return [file]
        found = sorted(folder.rglob("*.parquet")) if folder.is_dir() else []
        if not found:
            raise SourceUnavailableError(self.name, f"has neither {file.name} nor a folder {name} of Parquet files")
        return found


def _stat(file: Path, folder: DatabricksFolder) -> Any:
    try:
        return file.stat()
    except OSError as error:
        raise SourceUnavailableError(folder.name, f"cannot be read: {error}") from None
