"""Keeps the runs that a server returned in a store, and decides with the local engine which of them a plan finds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from mlquery.comparison.loading import put_run
from mlquery.engine import columnar
from mlquery.language.plan import FieldRef, Function, Kind, Plan, predicates
from mlquery.pushdown.conditions import normalised, without_histories
from mlquery.remote.points import PointReader
from mlquery.remote.requests import Requests
from mlquery.store import Store


class FoundRuns:
    """The runs of one search.

    Args:
        plan: The search.
        requests: What asks the server for points of metrics.
        points: Reads them.
    """

    def __init__(self, plan: Plan, requests: Requests, points: PointReader) -> None:
        self.plan, self.store = plan, Store()
        self._requests, self._points = requests, points
        self._read: set[tuple[str, str]] = set()
        where = normalised(plan.where)
        self._possible = attrs.evolve(plan, where=without_histories(where, True), order=())
        self._certain = attrs.evolve(plan, where=without_histories(where, False), order=())
        self._unordered = attrs.evolve(plan, order=())
        self._tested = _keys_of(predicate.field for predicate in predicates(plan.where))
        self._ordered = _keys_of(key.field for key in plan.order)

    def add(self, runs: Iterable[Any]) -> None:
        """Add MLflow's runs; one that is there already stays as it was when it was read first."""
        for run in runs:
            put_run(self.store, run)

    def rows(self) -> list[int]:
        """Return the rows of the runs that the plan finds, in its order."""
        if self._tested or self._ordered:
            self._load_histories()
        return _rows(self.store, self.plan)

    def load_points(self, rows: Iterable[int], keys: Iterable[str]) -> None:
        """Make all points of some metrics of some runs be in the store."""
        runs = self.store.runs
        wanted = list(rows)
        for key in keys:
            ids = [runs.ids[row] for row in wanted if key in runs.metric_keys[row]]
            missing = [run_id for run_id in ids if (run_id, key) not in self._read]
            for run_id, points in self._points.read(self._requests, missing, key).items():
                self.store.load_history(run_id, key, *points)
            self._read.update((run_id, key) for run_id in missing)

    def _load_histories(self) -> None:
        """Read the points that the plan is about, of the runs that the rest of it does not decide."""
        decided = set(_rows(self.store, self._certain))
        possible = _rows(self.store, self._possible)
        self.load_points([row for row in possible if row not in decided], self._tested)
        if self._ordered:
            self.load_points(_rows(self.store, self._unordered), self._ordered)


def _rows(store: Store, plan: Plan) -> list[int]:
    rows: list[int] = columnar.rows(store, plan).tolist()
    return rows


def _keys_of(fields: Iterable[FieldRef]) -> list[str]:
    """Return the metrics whose points functions of histories are about; the last value is known without them."""
    histories = (field for field in fields if field.kind is Kind.HISTORY and field.function is not Function.LAST)
    return list(dict.fromkeys(field.key for field in histories))
