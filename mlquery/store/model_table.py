"""The table of logged models: what MLflow 3 keeps of every model that a run logs, besides the model's files.

Times are integer milliseconds since the Unix epoch, UTC. Files are artifacts; see `artifacts`.

**Source**: `mlflow.entities.LoggedModel` and the tables `logged_models`, `inputs` of MLflow 3.17.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from mlquery.entities.lifecycle import LifecycleStage
from mlquery.entities.tracking import Metric

PENDING: Final = 1
"""The status of a new model; the others are 0 unspecified, 2 ready, 3 failed."""
STATUSES: Final = range(4)

PointKey = tuple[str, int, int, str]
"""What tells the points of one model apart: metric, timestamp, step and run."""


@attrs.frozen
class StoredModel:
    """A logged model as the store holds it; `mlquery.entities.LoggedModel` is what a client reads."""

    model_id: str
    experiment_id: str
    name: str
    artifact_location: str
    creation_timestamp: int
    last_updated_timestamp: int
    status: int = PENDING
    lifecycle_stage: str = LifecycleStage.ACTIVE
    model_type: str | None = None
    source_run_id: str | None = None
    tags: Mapping[str, str] = attrs.field(factory=dict)
    params: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def is_active(self) -> bool:
        """Tell whether the model was not deleted."""
        return self.lifecycle_stage != LifecycleStage.DELETED


class ModelTable:
    """The logged models of one store, their metrics, and which runs wrote and read them.

    What a run wrote or read is replaced as a whole by each change, and so shared by copies.

    Attributes:
        by_id: The models, the oldest first.
        points: The metrics of a model by its id.
        outputs: The steps of the models that a run wrote, by run id and model id.
        inputs: The models that a run read, by run id.
    """

    def __init__(self) -> None:
        self.by_id: dict[str, StoredModel] = {}
        self.points: dict[str, dict[PointKey, Metric]] = {}
        self.outputs: dict[str, dict[str, int]] = {}
        self.inputs: dict[str, dict[str, None]] = {}

    def copy(self) -> ModelTable:
        """Return an independent copy."""
        new = ModelTable()
        new.by_id = self.by_id.copy()
        new.points = {model_id: points.copy() for model_id, points in self.points.items()}
        new.outputs, new.inputs = self.outputs.copy(), self.inputs.copy()
        return new

    def metrics(self, model_id: str) -> list[Metric]:
        """Return the points that were logged for a model, in the order of logging."""
        return list(self.points.get(model_id, {}).values())
