"""The values of the model registry: registered models and versions, as they were when they were read.

Attribute names are MLflow's; times are integer milliseconds since the Unix epoch, UTC.

**Source**: `mlflow.entities.model_registry` of MLflow 3.17.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

STAGES: Final = ("None", "Staging", "Production", "Archived")
DELETED_STAGE: Final = "Deleted_Internal"
"""The stage of a deleted version, whose number is never used again."""


@attrs.frozen
class ModelVersion:
    """A version of a registered model.

    `storage_location` is where the files are if `source` is another version or a logged model. `lifecycle_stage` is
    "active", "deleted" or "prompt"; searches filter by it.
    """

    name: str
    version: int
    creation_timestamp: int
    last_updated_timestamp: int
    description: str | None = None
    user_id: str | None = None
    current_stage: str = STAGES[0]
    source: str | None = None
    run_id: str | None = None
    status: str = "READY"
    status_message: str | None = None
    tags: Mapping[str, str] = attrs.field(factory=dict)
    run_link: str | None = None
    aliases: tuple[str, ...] = ()
    storage_location: str | None = None
    lifecycle_stage: str = "active"

    @property
    def is_deleted(self) -> bool:
        """Tell whether the version was deleted."""
        return self.current_stage == DELETED_STAGE


@attrs.frozen
class RegisteredModel:
    """A registered model. `latest_versions` holds the newest version of each stage, without its aliases.

    `aliases` maps aliases to version numbers. `lifecycle_stage` is "active" or "prompt"; searches filter by it.
    """

    name: str
    creation_timestamp: int
    last_updated_timestamp: int
    description: str | None = None
    latest_versions: tuple[ModelVersion, ...] = ()
    tags: Mapping[str, str] = attrs.field(factory=dict)
    aliases: Mapping[str, int] = attrs.field(factory=dict)
    lifecycle_stage: str = "active"
