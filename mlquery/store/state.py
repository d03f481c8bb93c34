"""The state behind a store's calls: tables, lock, clock and ids, and how a call finds the row it is about."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import RLock
from typing import Any

from mlquery.errors import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.store.artifacts import Artifacts
from mlquery.store.experiment_table import ExperimentTable
from mlquery.store.faults import FaultCalls, Faults
from mlquery.store.names import Names
from mlquery.store.result_cache import KeptResults
from mlquery.store.run_table import RunTable


def now() -> int:
    """Return the time in ms UTC."""
    return time.time_ns() // 1_000_000


class State(FaultCalls):
    """Tables, lock, clock, ids and faults. `version` rises with every write."""

    def __init__(self, clock: Callable[[], int] | None, names: Names, artifact_root: str, guid_ids: bool) -> None:
        self.lock = RLock()
        self.clock: Callable[[], int] = now if clock is None else clock
        self.version = 0
        self.experiments = ExperimentTable()
        self.runs = RunTable()
        self.artifacts = Artifacts(self.lock, self._run_row)
        self.kept_results = KeptResults()
        self.faults = Faults()
        self.default_experiment_id = "0"
        self._names = names
        self._artifact_root = artifact_root
        self._guid_ids = guid_ids
        self._next_experiment_number = 0
        self._is_untouched = True  # nothing but the default experiment is in it

    def reseed(self, seed: int) -> None:
        """Make the ids and run names to come repeat; they differ from those of a store made with that seed."""
        self._names = Names(f"{seed} after {self.version}", self._guid_ids)

    def _run_row(self, run_id: str) -> int:
        row = self.runs.row_of.get(run_id)
        if row is None:
            raise StoreError(f"Run with id={run_id} not found", RESOURCE_DOES_NOT_EXIST)
        return row

    def _active_run_row(self, run_id: str) -> int:
        runs = self.runs
        row = runs.row_of.get(run_id)
        if row is None:
            return self._run_row(run_id)
        if not runs.is_active(row):
            raise invalid_parameter(f"The run {run_id} must be in the 'active' state. Current state is deleted.")
        return row

    def _experiment_row(self, experiment_id: Any, is_active: bool | None = None) -> int:
        """Return the row of an experiment; one in the other lifecycle stage than asked for counts as missing."""
        experiment_id = experiment_id or "0"
        name = str(experiment_id)
        row = self.experiments.row_of.get(self.default_experiment_id if name == "0" else name)
        if row is None and not self._guid_ids:
            name = str(_number(experiment_id))
            row = self.experiments.row_of.get(name)
        if row is None or (is_active is not None and self.experiments.is_active(row) is not is_active):
            raise StoreError(f"No Experiment with id={name} exists", RESOURCE_DOES_NOT_EXIST)
        return row

    def _active_experiment_row(self, experiment_id: Any) -> int:
        row = self._experiment_row(experiment_id)
        if not self.experiments.is_active(row):
            found = self.experiments.ids[row]
            raise invalid_parameter(f"The experiment {found} must be in the 'active' state. Current state is deleted.")
        return row


def _number(experiment_id: Any) -> int:
    try:
        return int(experiment_id)
    except (ValueError, TypeError):
        message = f"Invalid experiment ID '{experiment_id}'. Experiment ID must be a valid integer."
        raise StoreError(message, INVALID_PARAMETER_VALUE) from None
