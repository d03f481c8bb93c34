"""A source over a store in memory: the reference engine in the place of a database, for tests of what is above it."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from mlquery.backend import Backend
from mlquery.backend.service import registry_of
from mlquery.engine import reference
from mlquery.engine.history_values import history_values
from mlquery.language.plan import Entity, FieldRef, Kind, Plan
from mlquery.registry import Registry
from mlquery.sql.ordering import Position
from mlquery.sql.source import Page, Source
from mlquery.sql.statement import Statement
from mlquery.store import Store
from mlquery.store.entity_fields import experiment_fields, run_fields
from mlquery.store.model_table import ModelTable


class SourceOverStore(Source):
    """Answers from a store as a database would; a position is the id of the last row."""

    def __init__(self, store: Store, name: str = "sqlite:///runs.db") -> None:
        engine: Any = SimpleNamespace(name=name, close=lambda: None)
        layout: Any = None
        super().__init__(engine, layout)
        self.store = store
        self.asked: list[str] = []

    def page(self, plan: Plan, limit: int | None, after: Position | None = None) -> Page:
        self.asked.append("page")
        rows, following = self._rows(plan, limit, after)
        of_runs = plan.entity is Entity.RUN
        store = self._with_runs(rows) if of_runs else self._with_experiments(rows)
        return Page(store, range(len(rows)), following)

    def ids(self, plan: Plan, limit: int | None = None, after: Position | None = None) -> list[str]:
        return [self._table(plan).ids[row] for row in self._rows(plan, limit, after)[0]]

    def count(self, plan: Plan) -> int:
        return len(reference.rows(self.store, plan))

    def values(self, plan: Plan, fields: Sequence[FieldRef], limit: int | None = None) -> list[tuple[Any, ...]]:
        self.asked.append("values")
        runs = [self.store.runs.run_at(row) for row in self._rows(plan, limit, None)[0]]
        return [(run.info.run_id, *(self._value(run, field) for field in fields)) for run in runs]

    def runs(self, run_ids: Sequence[str]) -> Store:
        row_of = self.store.runs.row_of
        return self._with_runs([row_of[run_id] for run_id in run_ids if run_id in row_of])

    def experiments(self, ids: Sequence[str] = (), names: Sequence[str] = ()) -> Store:
        table = self.store.experiments
        rows = [table.row_of[one] for one in ids if one in table.row_of]
        rows += [table.row_of_name[one] for one in names if one in table.row_of_name]
        return self._with_experiments(rows)

    def histories(self, run_ids: Sequence[str], keys: Sequence[str] | None = None) -> dict[tuple[str, str], Any]:
        assert keys is not None
        found = {(run_id, key): self.store.history(run_id, key) for run_id in run_ids for key in keys}
        return {place: arrays for place, arrays in found.items() if len(arrays[0])}

    def datasets(self, experiment_ids: Sequence[str]) -> list[tuple[str, str, str, str | None]]:
        return Backend(self.store).search_datasets(experiment_ids)

    def models(self, experiment_ids: Sequence[str]) -> Store:
        new = self._with_experiments(range(self.store.experiments.size))
        new.models = self.store.models.copy()
        new.models.by_id = {
            name: model for name, model in new.models.by_id.items() if model.experiment_id in experiment_ids
        }
        return new

    def registry(self) -> Registry:
        return registry_of(self.store)

    def statement(self, plan: Plan, limit: int | None = None, after: Position | None = None) -> Statement:
        return Statement("SELECT run_id FROM runs LIMIT :p0", {"p0": limit})

    def described(self, statement: Statement) -> list[str]:
        return ["SCAN runs"]

    def _table(self, plan: Plan) -> Any:
        return self.store.runs if plan.entity is Entity.RUN else self.store.experiments

    def _rows(self, plan: Plan, limit: int | None, after: Position | None) -> tuple[list[int], Position | None]:
        found = list(reference.rows(self.store, plan))
        ids = self._table(plan).ids
        start = 0 if after is None else 1 + next(n for n, row in enumerate(found) if ids[row] == after.values[0])
        stop = len(found) if limit is None else start + limit
        rows = found[start:stop]
        return rows, Position((ids[rows[-1]],)) if stop < len(found) else None

    def _value(self, run: Any, field: FieldRef) -> Any:
        if field.kind is Kind.HISTORY:
            values: list[Any] = history_values(field, run, self.store)
        else:
            values = reference.values_of(run, field, self.store)
        return values[0] if values else None

    def _with_runs(self, rows: Sequence[int]) -> Store:
        runs, new = self.store.runs, Store()
        new.clear()
        ids = dict.fromkeys(runs.string("experiment_id", row) for row in rows)
        self._load_experiments(new, [self.store.experiments.row_of[str(one)] for one in ids])
        for row in rows:
            run = runs.run_at(row)
            new.load_run(
                **run_fields(run.info),
                metrics={key: _latest(runs.metrics.cells[key], row) for key in run.data.metrics},
                params=run.data.params,
                tags=run.data.tags,
                inputs=run.inputs.dataset_inputs if run.inputs else (),
            )
        new.models = ModelTable()
        new.models.outputs = {
            name: found for name, found in self.store.models.outputs.items() if name in new.runs.row_of
        }
        new.models.inputs = {name: found for name, found in self.store.models.inputs.items() if name in new.runs.row_of}
        return new

    def _with_experiments(self, rows: Sequence[int]) -> Store:
        new = Store()
        new.clear()
        self._load_experiments(new, rows)
        return new

    def _load_experiments(self, new: Store, rows: Sequence[int]) -> None:
        for row in rows:
            new.load_experiment(**experiment_fields(self.store.experiments.experiment_at(row)))


def _latest(cells: Any, row: int) -> tuple[float, int, int]:
    place = row if cells.rows is None else cells.slot(row)
    value, timestamp, step = (array[place] for array in cells.arrays[1:])
    return value, timestamp, step
