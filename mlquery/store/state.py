"""The state behind a store's calls: tables, lock, clock and ids; how a call finds the row it is about, and writes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import RLock
from typing import Any, Protocol

from mlquery.errors import RESOURCE_DOES_NOT_EXIST, StoreError, invalid_parameter
from mlquery.store.artifacts import Artifacts
from mlquery.store.experiment_table import ExperimentTable
from mlquery.store.faults import Faults, FaultsOnDemand
from mlquery.store.locations import experiment_location
from mlquery.store.model_table import ModelTable
from mlquery.store.names import Names
from mlquery.store.registered_models import Entry
from mlquery.store.result_cache import ResultCache
from mlquery.store.run_table import RunTable
from mlquery.store.table import ACTIVE
from mlquery.store.times import RisingTimes, now


class Change(Protocol):
    """One mutation of a store as a value; see `changes`."""

    def apply(self, store: StoreState) -> None:
        """Make the change."""


class StoreState(FaultsOnDemand):
    """Tables, lock, clock, ids and faults.

    Attributes:
        lock: Held by everyone who reads.
        writing: The block in which a call validates and writes: the lock itself, or a transaction.
        on_change: Told of every change after it was made.
        version: Rises with every change.
        run_times: When runs start if nobody says so; `experiment_times`, `model_times`: when those are made or changed.
        registered_models: The registered models; see `mlquery.registry`, which makes and changes them.
        pushed: What was sent to other servers: by target, by kind and by id, the id there and what was sent last.
        on_change_searched: Told of every change as well, while searches trail the writes.
        memory_root: Where locations start in memory, while the artifacts are files in a temporary folder; else None.
    """

    def __init__(self, clock: Callable[[], int] | None, names: Names, artifact_root: str, guid_ids: bool) -> None:
        self.lock: AbstractContextManager[Any] = RLock()
        self.writing: AbstractContextManager[Any] = self.lock
        self.on_change: Callable[[Any], None] | None = None
        self.clock: Callable[[], int] = now if clock is None else clock
        self.run_times, self.experiment_times, self.model_times = RisingTimes(), RisingTimes(), RisingTimes()
        self.registered_model_times = RisingTimes()
        self.version = 0
        self.artifacts = Artifacts(self.lock, self.require_owner)
        self.result_cache = ResultCache()
        self.faults = Faults()
        self.on_change_searched: Callable[[Change], None] | None = None
        self._names = names
        self._artifact_root = artifact_root
        self.memory_root: str | None = None
        self._guid_ids = guid_ids
        self.clear()

    def clear(self) -> None:
        """Forget everything: become a store before its first change, without a default experiment."""
        self.experiments, self.runs, self.models = ExperimentTable(), RunTable(), ModelTable()
        self.registered_models: dict[str, Entry] = {}
        self.pushed: dict[str, dict[str, dict[str, tuple[str, str]]]] = {}
        self.default_experiment_id = "0"
        self._next_experiment_number = 0
        self._is_untouched = False  # nothing but the default experiment is in it
        self.version += 1

    def write(self, change: Change) -> None:
        """Make a change that no other call makes."""
        with self.writing:
            self._write(change)

    def reseed(self, seed: int) -> None:
        """Make the ids and run names to come repeat; they differ from those of a store made with that seed."""
        self._names = Names(f"{seed} after {self.version}")

    @property
    def artifact_root(self) -> str:
        """Return where the locations of new experiments start."""
        return self._artifact_root

    @property
    def is_seeded(self) -> bool:
        """Whether the ids and run names to come repeat."""
        return self._names.repeats

    def use_guid_ids(self, guid_ids: bool) -> None:
        """Decide on the form of the ids to come."""
        self._guid_ids = guid_ids

    def new_id(self) -> str:
        """Return an id for what is neither an experiment nor a run nor a model."""
        return self._names.new_id()

    def next_experiment_id(self) -> str:
        """Return an id that no experiment has."""
        return self._names.new_id(dashed=True) if self._guid_ids else str(self._next_experiment_number)

    def count_experiment(self, experiment_id: str) -> None:
        """Make sure that the id of an experiment that was added is not given to another."""
        self._is_untouched = False
        if experiment_id.isdecimal():
            self._next_experiment_number = max(self._next_experiment_number, int(experiment_id) + 1)

    def default_location(self, experiment_id: str) -> str:
        """Return where an experiment keeps its artifacts by default."""
        return experiment_location(self._artifact_root, experiment_id)

    def default_artifact_uri(self, experiment_id: str, run_id: str) -> str | None:
        """Return where a run keeps its artifacts by default."""
        return self.runs.default_artifact_uri(experiment_id, run_id)

    def _write(self, change: Change) -> None:
        """Make a change, inside `writing`. It was validated before and fails only for what is not there."""
        change.apply(self)
        self.version += 1
        if self.on_change is not None:
            self.on_change(change)
        if self.on_change_searched is not None:
            self.on_change_searched(change)

    def _run_row(self, run_id: str) -> int:
        row = self.runs.row_of.get(run_id)
        if row is None:
            raise StoreError(f"Run with id={run_id} not found", RESOURCE_DOES_NOT_EXIST)
        return row

    def _active_run_row(self, run_id: str) -> int:
        runs = self.runs
        row = runs.row_of.get(run_id)
        if row is None:
            return self._run_row(run_id)  # raises
        if runs.strings.cells["lifecycle_stage"].arrays[0][row] != ACTIVE:  # `is_active`, without a call: this is hot
            raise invalid_parameter(f"The run {run_id} must be in the 'active' state. Current state is deleted.")
        return row

    def require_owner(self, owner_id: str) -> None:
        """Raise if no run and no model that artifacts could belong to has an id; "" stands for the store itself."""
        if owner_id and owner_id not in self.models.by_id:
            self._run_row(owner_id)

    def _experiment_row(self, experiment_id: Any, is_active: bool | None = None) -> int:
        """Return the row of an experiment; one in the other lifecycle stage than asked for counts as missing."""
        experiment_id = experiment_id or "0"
        name = str(experiment_id)
        row = self.experiments.row_of.get(self.default_experiment_id if name == "0" else name)
        if row is None and not self._guid_ids:
            name = str(integer_id(experiment_id))
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


def integer_id(experiment_id: Any) -> int:
    """Return the id of an experiment where ids are integers in any spelling; raise StoreError for another string."""
    try:
        return int(experiment_id)
    except (ValueError, TypeError):
        message = f"Invalid experiment ID '{experiment_id}'. Experiment ID must be a valid integer."
        raise invalid_parameter(message) from None
