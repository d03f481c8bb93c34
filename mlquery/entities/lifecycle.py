"""The states that experiments and runs go through, and the views that show them, as MLflow names and numbers them.

**Source**: `mlflow.entities.ViewType`, `LifecycleStage` and `RunStatus` of MLflow 3.17.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")


def _entry(table: Mapping[K, V], key: K, what: str, known: str) -> V:
    if key not in table:
        raise ValueError(f"Could not get {what} {key}. {known} {list(table)}")
    return table[key]


class ViewType:
    """Which lifecycle stages a search looks at."""

    ACTIVE_ONLY: Final = 1
    DELETED_ONLY: Final = 2
    ALL: Final = 3

    _NAMES: Final = {1: "active_only", 2: "deleted_only", 3: "all"}
    _NUMBERS: Final = {name: number for number, name in _NAMES.items()}

    @classmethod
    def from_string(cls, view_str: str) -> int:
        """Return the view type of a name such as "active_only"; raise ValueError for any other string."""
        return _entry(cls._NUMBERS, view_str, "valid view type corresponding to string", "Valid view types are")

    @classmethod
    def to_string(cls, view_type: int) -> str:
        """Return the name of a view type; raise ValueError for any other number."""
        return _entry(cls._NAMES, view_type, "valid view type corresponding to string", "Valid view types are")


class LifecycleStage:
    """Whether an experiment or a run is in use or deleted (archived)."""

    ACTIVE: Final = "active"
    DELETED: Final = "deleted"

    @classmethod
    def view_type_to_stages(cls, view_type: int = ViewType.ALL) -> list[str]:
        """Return the stages that a view type shows; an unknown view type shows none."""
        views = {cls.ACTIVE: ViewType.ACTIVE_ONLY, cls.DELETED: ViewType.DELETED_ONLY}
        return [stage for stage, view in views.items() if view_type in (view, ViewType.ALL)]

    @classmethod
    def is_valid(cls, lifecycle_stage: str) -> bool:
        """Return whether the string is the name of a stage."""
        return lifecycle_stage in (cls.ACTIVE, cls.DELETED)

    @classmethod
    def matches_view_type(cls, view_type: int, lifecycle_stage: str) -> bool:
        """Return whether a view type shows entities of a stage."""
        return lifecycle_stage in cls.view_type_to_stages(view_type)


class RunStatus:
    """The status of a run. Entities have the name ("RUNNING"), calls that update a run take the number."""

    RUNNING: Final = 1
    SCHEDULED: Final = 2
    FINISHED: Final = 3
    FAILED: Final = 4
    KILLED: Final = 5

    _NAMES: Final = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
    _NUMBERS: Final = {name: number for number, name in _NAMES.items()}

    @staticmethod
    def from_string(status_str: str) -> int:
        """Return the number of a status name; raise ValueError for any other string."""
        return _entry(RunStatus._NUMBERS, status_str, "run status corresponding to string", "Valid run status strings:")

    @staticmethod
    def to_string(status: int) -> str:
        """Return the name of a status number; raise ValueError for any other number."""
        return _entry(RunStatus._NAMES, status, "string corresponding to run status", "Valid run statuses:")

    @staticmethod
    def is_terminated(status: int) -> bool:
        """Return whether a run of this status has ended."""
        return status in (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED)

    @staticmethod
    def all_status() -> list[int]:
        """Return all status numbers."""
        return list(RunStatus._NAMES)
