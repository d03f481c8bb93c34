"""A wide export as a layout: a column for each metric, param and tag of runs, and tables of what runs have many of.

Only the manifest tells which column a key has. A key that has none is missing in all runs. NaN and infinities are
stored as such. Where the engine knows the file and row of a run, its data is read there and not looked for by its id.
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
from mlquery.sql.engines.files import DOUBLE, INTEGER, STRING, STRINGS, FileTable
from mlquery.sql.errors import NotAskableError, SourceUnavailableError, field_error
from mlquery.sql.expressions import Value, ValueKind
from mlquery.sql.histories import history_value
from mlquery.sql.layouts import manifest as names_of
from mlquery.sql.layouts.identifiers import terms_of_string_ids
from mlquery.sql.layouts.manifest import ATTRIBUTES, DATASETS, EXPERIMENTS, HISTORY, MODELS, PARTITIONED, RUNS, Manifest
from mlquery.sql.layouts.points import histories_of, latest_points, stored
from mlquery.sql.layouts.stores import page_store
from mlquery.sql.query import DatasetUse, History, Points, Query
from mlquery.sql.session import Session
from mlquery.sql.statement import Parameters, Statement
from mlquery.store import Store
from mlquery.store.model_table import ModelTable

_MOST_DATASETS: Final = 1_000
_MOST_LOCATED: Final = 10_000  # further rows are looked for by their ids
_KINDS: Final = {"metric": Kind.METRIC, "param": Kind.PARAM, "tag": Kind.TAG}
_TYPES: Final = {"string": STRING, "double": DOUBLE, "int64": INTEGER}
_DATASET: Final = ("name", "digest", "source_type", "source", "schema", "profile")
_EXPERIMENT_STRINGS: Final = ("experiment_id", "name", "artifact_location", "lifecycle_stage")
_EXPERIMENT_TIMES: Final = ("creation_time", "last_update_time")
_TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    EXPERIMENTS: {
        **dict.fromkeys(_EXPERIMENT_STRINGS, STRING),
        **dict.fromkeys(_EXPERIMENT_TIMES, INTEGER),
        "tags": STRINGS,
    },
    HISTORY: {"run_id": STRING, "metric": STRING, "value": DOUBLE, "timestamp": INTEGER, "step": INTEGER},
    DATASETS: {"run_id": STRING, "place": INTEGER, **dict.fromkeys((*_DATASET, "context", "tags"), STRING)},
    MODELS: {"run_id": STRING, "role": STRING, "model_id": STRING, "step": INTEGER},
}


class WideFolder:
    """A folder with a wide export.

    Args:
        path: The folder.

    Raises:
        SourceUnavailableError: it has no manifest, or one that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state: tuple[int, int, int] | None = None
        self._read(self.state())

    @property
    def name(self) -> str:
        """Return what it is called in messages."""
        return str(self.path)

    @property
    def manifest(self) -> Manifest:
        """Return what is exported now."""
        state = self.state()
        if state != self._state:
            self._read(state)
        return self._manifest

    def state(self) -> tuple[int, int, int]:
        """Return what differs as soon as another export is live."""
        try:
            about = (self.path / names_of.NAME).stat()
        except OSError as error:
            raise SourceUnavailableError(self.name, f"has no {names_of.NAME} that can be read: {error}") from None
        return about.st_mtime_ns, about.st_size, about.st_ino

    def tables(self) -> Mapping[str, FileTable]:
        """Return the tables: of the runs, and of what they have many of."""
        manifest = self.manifest
        runs = {column.name: _TYPES[column.type] for column in manifest.columns}
        numbers = {column.name: column.number for column in manifest.columns}
        found = {EXPERIMENTS: FileTable(_TABLES[EXPERIMENTS], (str(self.path / manifest.experiments),))}
        for table in PARTITIONED:
            columns = {**(runs if table == RUNS else _TABLES[table]), "experiment_id": STRING}
            paths = tuple(str(self.path / path) for path in manifest.paths(table))
            found[table] = FileTable(
                columns, paths, "experiment_id", str(self.path / table), numbers if table == RUNS else {}
            )
        return found

    def _read(self, state: tuple[int, int, int]) -> None:
        self._manifest = names_of.read_manifest(self.path)
        self._state = state


@attrs.frozen(eq=False)
class WideTables:
    """The tables of a wide export.

    Attributes:
        folder: Where they are.
        has_places: Whether the engine knows the file and row of a run, as `filename` and `file_row_number`.
    """

    folder: WideFolder
    has_places: bool = False

    def table(self, entity: Entity) -> tuple[str, str]:
        """Return the table of runs or experiments and their id."""
        match entity:
            case Entity.RUN:
                return f"{RUNS} r", "r.run_id"
            case Entity.EXPERIMENT:
                return f"{EXPERIMENTS} e", "e.experiment_id"
        raise NotAskableError(f"{entity.noun}s", "only runs and experiments are")

    def field(self, field: FieldRef, query: Query) -> Value:
        """Return a field, which is a column."""
        if field.kind is Kind.HISTORY:
            return history_value(field, "r.run_id", query)
        if query.entity is Entity.EXPERIMENT:
            return _of_experiment(field, query)
        if field.kind is Kind.ATTRIBUTE:
            return _attribute(field)
        return self._logged(field, query)

    def dataset_field(self, key: str, query: Query) -> tuple[str, str]:
        """Return the datasets that a run has read, and their name, digest or context."""
        return f"{DATASETS} d WHERE d.run_id = r.run_id", f"d.{key}"

    def stage(self, entity: Entity) -> Value:
        """Return the lifecycle stage."""
        alias = "r" if entity is Entity.RUN else "e"
        return Value(f"{alias}.lifecycle_stage", ValueKind.STRING, is_always_there=True)

    def in_experiments(self, ids: Iterable[str], query: Query) -> str:
        """Return the condition on the experiment of a run, which is a partition: others are not read."""
        return query.listed("r.experiment_id", list(ids), ValueKind.STRING)

    def order_terms(self, field: FieldRef, value: Value, query: Query) -> tuple[Value, ...]:
        """Return what a field is ordered by; experiment ids go by their numbers."""
        is_id = field == FieldRef(Kind.ATTRIBUTE, "experiment_id")
        return terms_of_string_ids(value, query) if is_id else (value,)

    def locators(self, entity: Entity) -> tuple[str, ...]:
        """Return the file and the row of a run where the engine knows them."""
        return ("r.filename", "r.file_row_number") if self.has_places and entity is Entity.RUN else ()

    def points(self, query: Query) -> Points:
        """Return the table of all points."""
        return _points(query.dialect)

    # Reading

    def load_runs(self, session: Session, found: Sequence[tuple[Any, ...]]) -> Store:
        """Return a store with some runs in the order given, and their experiments; unknown runs are left out."""
        rows = {row["run_id"]: row for row in self._rows(session, found)}
        ids = [run_id for run_id in dict.fromkeys(str(row[0]) for row in found) if run_id in rows]
        experiments = self._experiments(session, sorted({rows[run_id]["experiment_id"] for run_id in ids}))
        latest = latest_points(_points(session.dialect), session, ids)
        inputs = self._inputs(session, ids)
        runs = [self._run(rows[run_id], latest[run_id], inputs[run_id]) for run_id in ids]
        return page_store(self.folder.name, experiments, runs, self._uses(session, ids))

    def load_experiments(self, session: Session, ids: Sequence[str]) -> Store:
        """Return a store with some experiments in the order given; unknown ones are left out."""
        return page_store(self.folder.name, self._experiments(session, list(dict.fromkeys(ids))))

    def load_points(
        self, session: Session, run_ids: Sequence[str], keys: Sequence[str] | None
    ) -> dict[tuple[str, str], History]:
        """Return all points of some runs and metrics, by run id and key; without keys, of all metrics."""
        return histories_of(_points(session.dialect), session, run_ids, keys)

    def load_datasets(self, session: Session, experiment_ids: Sequence[str]) -> list[DatasetUse]:
        """Return which datasets the runs of some experiments read, each once for each context; 1,000 at most."""
        columns = ("experiment_id", "name", "digest", "context")
        selected = f"SELECT DISTINCT {', '.join(f't.{name}' for name in columns)} FROM {DATASETS} t"
        found = _rows_with(session, selected, "t.experiment_id", experiment_ids)
        return [(one, name, digest, context) for one, name, digest, context in found[:_MOST_DATASETS]]

    def _logged(self, field: FieldRef, query: Query) -> Value:
        kind = ValueKind.DOUBLE if field.kind is Kind.METRIC else ValueKind.STRING
        columns = {(column.kind, column.key): column.name for column in self.folder.manifest.columns}
        name = columns.get((field.kind.value, field.key))
        if name is None:  # no run has it
            return Value(f"CAST(NULL AS {kind.value})", kind)
        column = f"r.{query.dialect.quoted(name)}"
        if kind is ValueKind.STRING:
            return Value(column, kind)
        return Value(column, kind, query.dialect.is_nan(column), has_infinities=True)

    def _rows(self, session: Session, found: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """Return what is there of some runs, by column."""
        if not found:
            return []
        names = [column.name for column in self.folder.manifest.columns] + ["experiment_id"]
        selected = ", ".join(f"r.{session.dialect.quoted(name)}" for name in names)
        if len(found[0]) == 1 or len(found) > _MOST_LOCATED:
            rows = _rows_with(session, f"SELECT {selected} FROM {RUNS} r", "r.run_id", [str(row[0]) for row in found])
        else:
            rows = session.rows(_located(selected, found))
        return [{name: cell for name, cell in zip(names, row, strict=True) if cell is not None} for row in rows]

    def _run(
        self, row: Mapping[str, Any], latest: Mapping[str, tuple[int, int]], inputs: tuple[DatasetInput, ...]
    ) -> LoadedRun:
        logged: dict[str, dict[str, Any]] = {kind: {} for kind in _KINDS}
        for column in self.folder.manifest.columns:
            if column.kind in logged and column.name in row:
                logged[column.kind][column.key] = row[column.name]
        attributes = {key: row.get(key) for key in (*ATTRIBUTES, "experiment_id")}
        metrics = {key: (stored(value), *latest.get(key, (0, 0))) for key, value in logged["metric"].items()}
        info: Any = RunInfo(**attributes)  # type: ignore[arg-type]
        return LoadedRun(info, logged["param"], logged["tag"], metrics, inputs)

    def _experiments(self, session: Session, ids: Sequence[str]) -> list[Experiment]:
        names = ("experiment_id", "name", "artifact_location", "lifecycle_stage", "tags", *_EXPERIMENT_TIMES)
        selected = f"SELECT {', '.join(f'e.{name}' for name in names)} FROM {EXPERIMENTS} e"
        rows = {row[0]: row for row in _rows_with(session, selected, "e.experiment_id", ids)}
        found = (rows[one] for one in ids if one in rows)
        return [
            Experiment(one, name, location or "", stage, dict(tags or {}), created, updated)
            for one, name, location, stage, tags, created, updated in found
        ]

    def _inputs(self, session: Session, run_ids: Sequence[str]) -> defaultdict[str, tuple[DatasetInput, ...]]:
        found: defaultdict[str, tuple[DatasetInput, ...]] = defaultdict(tuple)
        columns = ("run_id", "place", *_DATASET, "tags")
        selected = f"SELECT {', '.join(f't.{name}' for name in columns)} FROM {DATASETS} t"
        rows = _rows_with(session, selected, "t.run_id", run_ids) if self._has(DATASETS) else []
        for run_id, _, *dataset, tags in sorted(rows, key=lambda row: (row[0], row[1])):
            input_tags = [InputTag(key, value) for key, value in json.loads(tags)]
            found[run_id] += (DatasetInput(Dataset(*dataset), input_tags),)
        return found

    def _uses(self, session: Session, run_ids: Sequence[str]) -> ModelTable:
        """Return which of some runs wrote and read which models."""
        models, selected = ModelTable(), f"SELECT t.run_id, t.role, t.model_id, t.step FROM {MODELS} t"
        for run_id, role, model_id, step in (
            _rows_with(session, selected, "t.run_id", run_ids) if self._has(MODELS) else ()
        ):
            if role == "output":
                models.outputs.setdefault(run_id, {})[model_id] = step
            else:
                models.inputs.setdefault(run_id, {})[model_id] = None
        return models

    def _has(self, table: str) -> bool:
        return any(part.rows.get(table) for part in self.folder.manifest.parts)


def _points(dialect: Any) -> Points:
    value = Value("x.value", ValueKind.DOUBLE, dialect.is_nan("x.value"), has_infinities=True)
    return Points(f"{HISTORY} x", "x.run_id", "x.metric", value, "x.timestamp", "x.step")


def _attribute(field: FieldRef) -> Value:
    key = field.key
    if key == "duration":
        return Value("(r.end_time - r.start_time)", ValueKind.INTEGER)
    if key not in ATTRIBUTES:
        raise field_error(field, "the export does not have it")
    kind = ValueKind.INTEGER if ATTRIBUTES[key] == "int64" else ValueKind.STRING
    return Value(f"r.{key}", kind, is_always_there=key == "run_id")


def _of_experiment(field: FieldRef, query: Query) -> Value:
    if field.kind is Kind.TAG:
        return Value(query.dialect.map_value("e.tags", query.bind(field.key)), ValueKind.STRING)
    if field.kind is Kind.ATTRIBUTE and field.key in _EXPERIMENT_TIMES:
        return Value(f"e.{field.key}", ValueKind.INTEGER)
    if field.kind is Kind.ATTRIBUTE and field.key in _EXPERIMENT_STRINGS:
        return Value(f"e.{field.key}", ValueKind.STRING, is_always_there=field.key in ("experiment_id", "name"))
    raise field_error(field, "the export does not have it")


def _rows_with(session: Session, selected: str, column: str, ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the rows that have one of some ids; without ids, no statement is run."""
    if not ids:
        return []
    parameters, dialect = Parameters(session.dialect.bind), session.dialect
    bound = parameters.add(dialect.array(list(ids), ValueKind.STRING))
    listed = dialect.in_array(column, bound, ValueKind.STRING)
    return session.rows(Statement(f"{selected}\nWHERE {listed}", parameters.values))


def _located(selected: str, found: Sequence[tuple[Any, ...]]) -> Statement:
    """Return the statement for rows of files: numbers that the engine has just given stand in the text."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for _, file, row in found:
        places[file].append(int(row))
    parameters = Parameters(lambda name: f"${name}")
    conditions = [
        f"(r.filename = {parameters.add(file)} AND r.file_row_number IN ({', '.join(map(str, rows))}))"
        for file, rows in places.items()
    ]
    return Statement(f"SELECT {selected} FROM {RUNS} r\nWHERE {' OR '.join(conditions)}", parameters.values)
