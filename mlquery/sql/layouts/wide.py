"""Wide exports: a column for each metric, param and tag, and the experiments as partitions; see `manifest`.

NaN and infinities are stored as such. Where the engine tells files and row numbers, the data of a page is read from
there.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from mlquery.entities import Dataset, DatasetInput, Experiment, InputTag, RunInfo
from mlquery.language.plan import Entity, FieldRef, Kind
from mlquery.readers.contents import LoadedRun
from mlquery.sql.dialects import SqlDialect
from mlquery.sql.engines import files
from mlquery.sql.engines.files import FileTable
from mlquery.sql.errors import NotAskableError, SourceUnavailableError, field_error
from mlquery.sql.expressions import Value, ValueKind
from mlquery.sql.histories import history_value
from mlquery.sql.layouts import manifest
from mlquery.sql.layouts.identifiers import terms_of_string_ids
from mlquery.sql.layouts.manifest import DATASETS, EXPERIMENTS, HISTORY, LATEST, MODELS, RUNS, Manifest, read_manifest
from mlquery.sql.layouts.points import histories_of, stored
from mlquery.sql.layouts.stores import page_store
from mlquery.sql.query import DatasetUse, History, Points, Query
from mlquery.sql.session import Session
from mlquery.sql.statement import Parameters, Statement
from mlquery.store import Store
from mlquery.store.model_table import ModelTable

_PARTITION: Final = "experiment_id"
_MOST_DATASETS: Final = 1_000
_KINDS: Final = {"string": ValueKind.STRING, "double": ValueKind.DOUBLE, "int64": ValueKind.INTEGER}
_FILE_TYPES: Final = {"string": files.STRING, "double": files.DOUBLE, "int64": files.INTEGER}
_STRINGS: Final = ("run_id", "name", "digest", "source_type", "source", "schema", "profile", "context", "tags")
_EXPERIMENT: Final = ("experiment_id", "name", "artifact_location", "lifecycle_stage")
_TIMES: Final = ("creation_time", "last_update_time")
_DATASET: Final = ("name", "digest", "source_type", "source", "schema", "profile")
_TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    HISTORY: {"run_id": files.STRING, "metric": files.STRING, "value": files.DOUBLE}
    | dict.fromkeys(("timestamp", "step"), files.INTEGER),
    DATASETS: dict.fromkeys(_STRINGS, files.STRING) | {"place": files.INTEGER},
    MODELS: dict.fromkeys(("run_id", "role", "model_id"), files.STRING) | {"step": files.INTEGER},
}


@attrs.define(eq=False)
class WideFolder:
    """The folder of a wide export, as it is now.

    Attributes:
        path: The folder.
    """

    path: Path
    _known: tuple[Any, Manifest] | None = None

    @property
    def name(self) -> str:
        """Return what it is called in messages."""
        return str(self.path)

    def state(self) -> tuple[Any, ...]:
        """Return which manifest it has: it is replaced as a whole."""
        path = self.path / manifest.NAME
        try:
            about = path.stat()
        except OSError:
            read_manifest(self.path)  # raises
            raise SourceUnavailableError(self.name, "cannot be read") from None
        return about.st_ino, about.st_mtime_ns, about.st_size

    def manifest(self) -> Manifest:
        """Return the manifest.

        Raises:
            SourceUnavailableError: it is gone, or not valid.
        """
        state = self.state()
        if self._known is None or self._known[0] != state:
            self._known = state, read_manifest(self.path)
        return self._known[1]

    def tables(self) -> Mapping[str, FileTable]:
        """Return the tables."""
        found = self.manifest()
        runs = {column.name: _FILE_TYPES[column.type] for column in found.columns}
        tables = {name: self._partitioned(found, name, columns) for name, columns in {RUNS: runs, **_TABLES}.items()}
        columns = dict.fromkeys(_EXPERIMENT, files.STRING) | dict.fromkeys(_TIMES, files.INTEGER)
        experiments = FileTable({**columns, "tags": files.STRINGS}, (str(self.path / found.experiments),))
        return {**tables, EXPERIMENTS: experiments}

    def _partitioned(self, found: Manifest, name: str, columns: Mapping[str, str]) -> FileTable:
        paths = tuple(str(self.path / path) for path in found.paths(name))
        numbers = {column.name: column.number for column in found.columns} if name == RUNS else {}
        return FileTable({**columns, _PARTITION: files.STRING}, paths, _PARTITION, str(self.path / name), numbers)


@attrs.frozen
class WideTables:
    """The tables of a wide export.

    Attributes:
        folder: Where it is.
        has_row_numbers: Whether the engine tells `filename` and `file_row_number`, and reads a file by its name.
    """

    folder: WideFolder
    has_row_numbers: bool = True

    def table(self, entity: Entity) -> tuple[str, str]:
        """Return the table of runs or experiments and their id."""
        match entity:
            case Entity.RUN:
                return f"{RUNS} r", "r.run_id"
            case Entity.EXPERIMENT:
                return f"{EXPERIMENTS} e", "e.experiment_id"
        raise NotAskableError(f"{entity.noun}s", "only runs and experiments are")

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
        alias = "r" if entity is Entity.RUN else "e"
        return Value(f"{alias}.lifecycle_stage", ValueKind.STRING, is_always_there=True)

    def in_experiments(self, ids: Iterable[str], query: Query) -> str:
        """Return the condition on the partition of a run: others are not read."""
        wanted = list(ids)
        if not wanted:
            return query.listed("r.experiment_id", wanted, ValueKind.STRING)
        # One by one, however many: engines choose partitions by constants.
        return f"r.experiment_id IN ({', '.join(map(query.bind, wanted))})"

    def order_terms(self, field: FieldRef, value: Value, query: Query) -> tuple[Value, ...]:
        """Return what a field is ordered by; experiment ids go by their numbers."""
        is_id = field == FieldRef(Kind.ATTRIBUTE, "experiment_id")
        return terms_of_string_ids(value, query) if is_id else (value,)

    def locators(self, entity: Entity) -> tuple[str, ...]:
        """Return the experiment of a run, and its file and row number where they are told."""
        if entity is not Entity.RUN:
            return ()
        return ("r.experiment_id", *(("r.filename", "r.file_row_number") if self.has_row_numbers else ()))

    def points(self, query: Query) -> Points:
        """Return the table of all points."""
        return self._points(query.dialect)

    def _points(self, dialect: SqlDialect) -> Points:
        # Not its last column: `timestamp` is a word of SQL.
        step, time = "x.step", f"x.{dialect.quoted('timestamp')}"
        value = Value("x.value", ValueKind.DOUBLE, dialect.is_nan("x.value"), has_infinities=True)
        return Points(f"{HISTORY} x", "x.run_id", "x.metric", value, time, step)

    def _run_attribute(self, field: FieldRef) -> Value:
        key = field.key
        if key == "duration":
            return Value("(r.end_time - r.start_time)", ValueKind.INTEGER)
        if key == _PARTITION:
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
        ids = list(dict.fromkeys(str(row[0]) for row in found))
        where = {row[0]: row[1] for row in found if len(row) > 1}
        located = bool(found) and all(len(row) == 4 for row in found)
        rows = self._by_place(session, found) if located else self._by_id(session, ids, set(where.values()))
        of_id = {row["run_id"]: {**row, _PARTITION: where.get(row["run_id"], row.get(_PARTITION))} for row in rows}
        known = [of_id[run_id] for run_id in ids if run_id in of_id]
        partitions = list(dict.fromkeys(row[_PARTITION] for row in known))
        inputs = self._inputs(session, [row["run_id"] for row in known], partitions)
        models = self._models(session, [row["run_id"] for row in known], partitions)
        runs = [self._run(row, inputs[row["run_id"]]) for row in known]
        return page_store(self.folder.name, self._experiments(session, partitions), runs, models)

    def load_experiments(self, session: Session, ids: Sequence[str]) -> Store:
        """Return a store with some experiments in the order given; unknown ones are left out."""
        return page_store(self.folder.name, self._experiments(session, list(dict.fromkeys(ids))))

    def load_points(
        self, session: Session, run_ids: Sequence[str], keys: Sequence[str] | None
    ) -> dict[tuple[str, str], History]:
        """Return all points of some runs and metrics, by run id and key; without keys, of all metrics."""
        return histories_of(self._points(session.dialect), session, run_ids, keys)

    def load_datasets(self, session: Session, experiment_ids: Sequence[str]) -> list[DatasetUse]:
        """Return which datasets the runs of some experiments read, each once for each context; 1,000 at most."""
        columns = ("d.experiment_id", "d.name", "d.digest", "d.context")
        found = _rows(session, columns, f"{DATASETS} d", {"d.experiment_id": list(experiment_ids)})
        return [(row[0], row[1], row[2], row[3]) for row in dict.fromkeys(found)][:_MOST_DATASETS]

    def _by_place(self, session: Session, found: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """Return rows by column, read from where they are, in one statement."""
        places: defaultdict[str, list[int]] = defaultdict(list)
        for _, _, path, number in found:
            places[path].append(int(number))
        names = [column.name for column in self.folder.manifest().columns]
        parameters = Parameters(session.dialect.bind)
        # A file has the columns of its own runs: those of all, which come first, are matched by name.
        texts = [
            f"SELECT {', '.join(f'r.{session.dialect.quoted(name)}' for name in names)} FROM {RUNS} r WHERE (1 = 0)"
        ]
        texts += [
            f"SELECT * FROM read_parquet({parameters.add(path)}, file_row_number = true, hive_partitioning = false)"
            f" WHERE file_row_number IN ({', '.join(map(str, sorted(numbers)))})"
            for path, numbers in places.items()
        ]
        rows = session.rows(Statement("\nUNION ALL BY NAME ".join(texts), parameters.values))
        return [dict(zip(names, row, strict=False)) for row in rows]

    def _by_id(self, session: Session, ids: list[str], partitions: set[str]) -> list[dict[str, Any]]:
        names = [*(column.name for column in self.folder.manifest().columns), _PARTITION]
        columns = [f"r.{session.dialect.quoted(name)}" for name in names]
        conditions = {"r.run_id": ids} | ({"r.experiment_id": sorted(partitions)} if partitions else {})
        return [dict(zip(names, row, strict=True)) for row in _rows(session, columns, f"{RUNS} r", conditions)]

    def _run(self, row: Mapping[str, Any], inputs: list[DatasetInput]) -> LoadedRun:
        at = json.loads(row[LATEST])
        kinds: dict[str, dict[str, Any]] = {"attribute": {}, "metric": {}, "param": {}, "tag": {}}
        for column in self.folder.manifest().columns:
            value = row.get(column.name)
            if value is not None and column.kind in kinds:
                kinds[column.kind][column.key] = value
        names = ("run_id", "user_id", "status", "start_time", "end_time", "lifecycle_stage", "artifact_uri", "run_name")
        known: dict[str, Any] = {name: kinds["attribute"].get(name) for name in names}
        metrics = {key: (stored(value), *at[key]) for key, value in kinds["metric"].items()}
        info = RunInfo(experiment_id=row[_PARTITION], **known)
        return LoadedRun(info, kinds["param"], kinds["tag"], metrics, tuple(inputs))

    def _inputs(self, session: Session, ids: list[str], partitions: list[str]) -> defaultdict[str, list[DatasetInput]]:
        columns = [f"d.{session.dialect.quoted(name)}" for name in ("run_id", "place", "tags", *_DATASET)]
        found: defaultdict[str, list[DatasetInput]] = defaultdict(list)
        rows = _rows(session, columns, f"{DATASETS} d", {"d.run_id": ids, "d.experiment_id": partitions})
        for run_id, _, tags, *fields in sorted(rows, key=lambda row: (row[0], row[1])):
            found[run_id].append(DatasetInput(Dataset(*fields), [InputTag(*tag) for tag in json.loads(tags)]))
        return found

    def _models(self, session: Session, ids: list[str], partitions: list[str]) -> ModelTable:
        models = ModelTable()
        columns = ("m.run_id", "m.role", "m.model_id", "m.step")
        conditions = {"m.run_id": ids, "m.experiment_id": partitions}
        for run_id, role, model_id, step in _rows(session, columns, f"{MODELS} m", conditions):
            if role == "output":
                models.outputs.setdefault(run_id, {})[model_id] = step
            else:
                models.inputs.setdefault(run_id, {})[model_id] = None
        return models

    def _experiments(self, session: Session, ids: Sequence[str]) -> list[Experiment]:
        columns = [f"e.{name}" for name in (*_EXPERIMENT, "tags", *_TIMES)]
        found = {row[0]: row for row in _rows(session, columns, f"{EXPERIMENTS} e", {"e.experiment_id": list(ids)})}
        names = (*_EXPERIMENT, "tags", *_TIMES)
        known = [dict(zip(names, found[one], strict=True)) for one in ids if one in found]
        return [Experiment(**(fields | {"tags": dict(fields["tags"] or {})})) for fields in known]


def _experiment_attribute(field: FieldRef) -> Value:
    if field.key in _TIMES:
        return Value(f"e.{field.key}", ValueKind.INTEGER)
    if field.key in _EXPERIMENT:
        return Value(f"e.{field.key}", ValueKind.STRING, is_always_there=field.key in ("experiment_id", "name"))
    raise field_error(field, "wide exports do not have it")


def _rows(
    session: Session, columns: Sequence[str], table: str, wanted: Mapping[str, Sequence[str]]
) -> list[tuple[Any, ...]]:
    """Return the rows of a table of which each of some columns has one of some values; none without values."""
    if not all(wanted.values()):
        return []
    parameters, dialect, conditions = Parameters(session.dialect.bind), session.dialect, []
    for column, values in wanted.items():
        if column.endswith(f".{_PARTITION}"):  # engines choose partitions by constants
            conditions.append(f"{column} IN ({', '.join(map(parameters.add, values))})")
        else:
            bound = parameters.add(dialect.array(values, ValueKind.STRING))
            conditions.append(dialect.in_array(column, bound, ValueKind.STRING))
    text = f"SELECT {', '.join(columns)}\nFROM {table}\nWHERE {' AND '.join(conditions)}"
    return session.rows(Statement(text, parameters.values))
