"""Reads runs, experiments, points and logged models out of MLflow's tables: what a page of a search shows.

However many runs there are, the number of statements is the same. What rows mean is known where files are loaded too,
so that a run is the same run whichever way it comes.

**Source**: the tables of `mlflow.store.tracking.dbmodels.models`, MLflow 3.17.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, Final

import attrs
import numpy as np

from mlquery.entities import Experiment
from mlquery.readers import mlflow_rows as rows_of
from mlquery.readers.contents import LoadedRun, Points
from mlquery.readers.mlflow_rows import INTEGER, STRING, Column, Row
from mlquery.sql.errors import SourceUnavailableError
from mlquery.sql.expressions import ValueKind
from mlquery.sql.layouts.mlflow_revisions import Schema
from mlquery.sql.layouts.stores import POINT_KINDS, page_store
from mlquery.sql.query import DatasetUse, History
from mlquery.sql.session import Session
from mlquery.sql.statement import Parameters, Statement
from mlquery.store import Store
from mlquery.store.history import history_of
from mlquery.store.model_table import ModelTable

_MOST_DATASETS: Final = 1_000
_CONTEXT: Final = "mlflow.data.context"


@attrs.frozen
class Pages:
    """Reads from one database.

    Attributes:
        schema: What it has.
        name: What it is called in messages.
    """

    schema: Schema
    name: str

    def runs(self, session: Session, run_ids: Sequence[str]) -> Store:
        """Return a store with some runs in the order given, and their experiments; unknown runs are left out."""
        reading = _Reading.of(session, self)
        found = {row[0]: row for row in reading.rows("runs", rows_of.RUNS, "run_uuid", run_ids)}
        ordered = [found[run_id] for run_id in dict.fromkeys(run_ids) if run_id in found]
        runs, models = reading.data_of(ordered), reading.uses(list(found))
        return page_store(self.name, reading.experiments({row[1] for row in ordered}), runs, models)

    def experiments(self, session: Session, ids: Iterable[str]) -> Store:
        """Return a store with some experiments in the order given; unknown ones are left out."""
        wanted = list(dict.fromkeys(ids))
        found = {one.experiment_id: one for one in _Reading.of(session, self).experiments(self.typed(wanted))}
        return page_store(self.name, [found[one] for one in wanted if one in found])

    def models(self, session: Session, experiment_ids: Iterable[str]) -> Store:
        """Return a store with the logged models of some experiments, and these experiments."""
        reading, ids = _Reading.of(session, self), self.typed(experiment_ids)
        return page_store(self.name, reading.experiments(ids), [], reading.models(ids))

    def points(
        self, session: Session, run_ids: Sequence[str], keys: Sequence[str] | None
    ) -> dict[tuple[str, str], History]:
        """Return all points of some runs and metrics, by run id and key; without keys, of all metrics."""
        found = _Reading.of(session, self).points(run_ids, keys)
        codes = {key: code for code, key in enumerate(dict.fromkeys(row[1] for row in found))}
        places = {run_id: place for place, run_id in enumerate(dict.fromkeys(run_ids))}
        wanted = codes if keys is None else set(keys)
        found = [row for row in found if row[0] in places and row[1] in wanted]
        cells = list(zip(*found, strict=True)) or [()] * len(POINT_KINDS)
        cells[:2] = [places[run_id] for run_id in cells[0]], [codes[key] for key in cells[1]]  # type: ignore[assignment]
        points = Points(list(codes), *map(np.array, cells, POINT_KINDS))
        ids = list(places)
        columns = points.values, points.timestamps, points.steps
        return {
            (ids[run], key): history_of(None, *(column[at] for column in columns)).arrays()
            for run, key, at, _ in points.groups()
        }

    def datasets(self, session: Session, experiment_ids: Iterable[str]) -> list[DatasetUse]:
        """Return which datasets the runs of some experiments read, each once for each context; 1,000 at most."""
        return _Reading.of(session, self).dataset_uses(self.typed(experiment_ids))

    def typed(self, experiment_ids: Iterable[str]) -> list[Any]:
        """Return experiment ids as the database has them; others than numbers are in no database of numbers."""
        if not self.schema.has_integer_ids:
            return list(experiment_ids)
        numbers = (one for one in experiment_ids if one.isascii() and one.isdigit() and len(one) < 19)
        return [int(one) for one in numbers if one == str(int(one))]


@attrs.frozen
class _Reading:
    """The statements of one session."""

    session: Session
    pages: Pages

    @classmethod
    def of(cls, session: Session, pages: Pages) -> _Reading:
        """Begin to read, by indexes alone where the system would rather read whole tables for a thousand rows."""
        before = session.dialect.before_look_ups
        if before:
            session.rows(Statement(before))
        return cls(session, pages)

    def data_of(self, found: list[Row]) -> list[LoadedRun]:
        """Return runs with their params, tags, latest metrics and datasets, from the rows of the runs."""
        ids = [row[0] for row in found]
        params = rows_of.strings_of(self.rows("params", rows_of.PARAMS, "run_uuid", ids))
        tags = rows_of.strings_of(self.rows("tags", rows_of.TAGS, "run_uuid", ids))
        metrics = rows_of.latest_of(self.rows("latest_metrics", rows_of.METRICS, "run_uuid", ids))
        return rows_of.runs_of(found, params, tags, metrics, self._inputs(ids))

    def _inputs(self, run_ids: list[str]) -> Any:
        inputs = self.rows("inputs", rows_of.INPUTS, "destination_id", run_ids, "destination_type = 'RUN'")
        of_datasets, of_inputs = {row[1] for row in inputs}, [row[0] for row in inputs]
        datasets = self.rows("datasets", rows_of.DATASETS, "dataset_uuid", sorted(of_datasets))
        tags = self.rows("input_tags", rows_of.INPUT_TAGS, "input_uuid", of_inputs)
        return rows_of.inputs_of(datasets, tags, inputs)

    def experiments(self, ids: Iterable[Any]) -> list[Experiment]:
        """Return experiments by their ids."""
        wanted = sorted(ids)
        tags = rows_of.strings_of(self.rows("experiment_tags", rows_of.EXPERIMENT_TAGS, "experiment_id", wanted))
        found = self.rows("experiments", rows_of.EXPERIMENTS, "experiment_id", wanted)
        return rows_of.experiments_of(sorted(found, key=itemgetter(0)), tags)

    def uses(self, run_ids: list[str]) -> ModelTable:
        """Return which of some runs wrote and read which models."""
        models = ModelTable()
        if self.pages.schema.has_models:
            columns = rows_of.USES
            if not self.pages.schema.has_steps_of_inputs:
                columns = [(default or name, kind, None) for name, kind, default in columns]
            found = self.rows("inputs", [*columns, *rows_of.ENDS], "source_id", run_ids)
            rows_of.add_uses(models, *rows_of.uses_of(found))
        return models

    def models(self, experiment_ids: list[Any]) -> ModelTable:
        """Return the logged models of experiments, with their data."""
        models = ModelTable()
        if self.pages.schema.has_models:
            found = self.rows("logged_models", rows_of.MODELS, "experiment_id", experiment_ids)
            ids = [row[0] for row in found]
            params = self.rows("logged_model_params", rows_of.MODEL_PARAMS, "model_id", ids)
            tags = self.rows("logged_model_tags", rows_of.MODEL_TAGS, "model_id", ids)
            points = self.rows("logged_model_metrics", rows_of.MODEL_METRICS, "model_id", ids)
            rows_of.add_models(models, found, params, tags, points)
        return models

    def points(self, run_ids: Sequence[str], keys: Sequence[str] | None) -> list[Row]:
        """Return all points of runs, in no order."""
        if keys is None:
            return self.rows("metrics", rows_of.METRICS, "run_uuid", run_ids)
        parameters = Parameters(self.session.dialect.bind)
        of_keys = self._listed("t.key", keys, ValueKind.STRING, parameters)
        return self.rows("metrics", rows_of.METRICS, "run_uuid", run_ids, of_keys, parameters)

    def dataset_uses(self, experiment_ids: list[Any]) -> list[DatasetUse]:
        """Return which datasets the runs of experiments read, and in which contexts."""
        parameters = Parameters(self.session.dialect.bind)
        text = (
            "SELECT DISTINCT d.experiment_id, d.name, d.digest, t.value FROM datasets d "
            "JOIN inputs i ON i.source_id = d.dataset_uuid "
            f"LEFT JOIN input_tags t ON t.input_uuid = i.input_uuid AND t.name = {parameters.add(_CONTEXT)} "
            f"WHERE {self._listed('d.experiment_id', experiment_ids, self._id_kind, parameters)} LIMIT {_MOST_DATASETS}"
        )
        found = self.session.rows(Statement(text, parameters.values))
        return [(str(number), name, digest, context) for number, name, digest, context in found]

    @property
    def _id_kind(self) -> ValueKind:
        return ValueKind.INTEGER if self.pages.schema.has_integer_ids else ValueKind.STRING

    def rows(
        self,
        table: str,
        columns: list[Column],
        owner: str,
        ids: Sequence[Any],
        where: str = "",
        parameters: Parameters | None = None,
    ) -> list[Row]:
        """Return the rows of a table whose column `owner` has one of some ids, none of them without a statement.

        `where` is a further condition; what it binds is in `parameters`.

        Raises:
            SourceUnavailableError: a cell has a type that its column never has, or the system does not answer.
        """
        if not ids:
            return []
        parameters = parameters or Parameters(self.session.dialect.bind)
        kind = self._id_kind if owner == "experiment_id" else ValueKind.STRING
        selected = ", ".join(_selected(name, table) for name, *_ in columns)
        listed = self._listed(f"t.{owner}", ids, kind, parameters)
        text = f"SELECT {selected} FROM {table} t WHERE {listed}{f' AND {where}' if where else ''}"
        written = self.session.dialect.as_written("t")
        order = f" ORDER BY t.{owner}, {written}" if written else ""
        found = self.session.rows(Statement(text + order, parameters.values))
        wrong = rows_of.wrong_column(found, columns if self.pages.schema.has_integer_ids else _with_any_id(columns))
        if wrong is not None:
            problem = f"is damaged: column {wrong} of table {table} holds a wrong value"
            raise SourceUnavailableError(self.pages.name, problem)
        return found

    def _listed(self, expression: str, values: Sequence[Any], kind: ValueKind, parameters: Parameters) -> str:
        dialect = self.session.dialect
        return dialect.in_array(expression, parameters.add(dialect.array(list(values), kind)), kind)


def _selected(column: str, table: str) -> str:
    if column in ("value", "metric_value") and "metrics" in table and table != "logged_model_metrics":
        return "CASE WHEN t.is_nan THEN NULL ELSE t.value END"  # NaN is stored as a 0 with this mark
    return column if column.isdigit() else f"t.{column}"


def _with_any_id(columns: list[Column]) -> list[Column]:
    return [(name, STRING | INTEGER if name == "experiment_id" else kinds, default) for name, kinds, default in columns]
