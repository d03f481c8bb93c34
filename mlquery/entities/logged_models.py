"""Logged models as MLflow's clients see them, with their metrics and status, and how runs refer to them.

**Source**: `mlflow.entities` of MLflow 3.17.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import attrs

from mlquery.entities.tracking import Fields, FlatFields, Metric


class LoggedModelStatus(StrEnum):
    """The status of a logged model."""

    UNSPECIFIED = "UNSPECIFIED"
    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"

    @staticmethod
    def is_finalized(status: LoggedModelStatus) -> bool:
        """Return whether the status is final."""
        return status in (LoggedModelStatus.READY, LoggedModelStatus.FAILED)

    @classmethod
    def from_int(cls, status_int: int) -> LoggedModelStatus:
        """Return the status with a number from 0 to 3; raise ValueError for any other number."""
        if status_int not in range(len(cls)):
            raise ValueError(f"Unknown model status: {status_int}")
        return list(cls)[status_int]

    def to_int(self) -> int:
        """Return the number of the status."""
        return list(type(self)).index(self)


@attrs.frozen(repr=False)
class LoggedModelInput(Fields):
    """A logged model that a run read."""

    model_id: str


@attrs.frozen(repr=False)
class LoggedModelOutput(FlatFields):
    """A logged model that a run wrote, and the step at which it was logged."""

    model_id: str
    step: int


def _status(status: LoggedModelStatus | int) -> LoggedModelStatus:
    return LoggedModelStatus.from_int(status) if isinstance(status, int) else LoggedModelStatus(status)


@attrs.frozen(repr=False)
class LoggedModel(Fields):
    """A logged model as it was when it was read. Times in ms UTC; `metrics` is None if no metric was logged for it."""

    experiment_id: str
    model_id: str
    name: str
    artifact_location: str
    creation_timestamp: int
    last_updated_timestamp: int
    model_type: str | None = None
    source_run_id: str | None = None
    status: LoggedModelStatus = attrs.field(default=LoggedModelStatus.READY, converter=_status)
    status_message: str | None = None
    tags: dict[str, str] = attrs.field(factory=dict)
    params: dict[str, str] = attrs.field(factory=dict)
    metrics: list[Metric] | None = None

    @property
    def model_uri(self) -> str:
        """Return the URI of the model."""
        return f"models:/{self.model_id}"

    @classmethod
    def _properties(cls) -> list[str]:
        return sorted([*super()._properties(), "model_uri"])

    def to_dictionary(self) -> dict[str, Any]:
        """Return all fields as a dictionary, the status as its number."""
        fields = dict(self)
        del fields["model_uri"]
        return fields | {"status": self.status.to_int()}
