"""The keys of metrics, params and tags that something is known to have logged: a program, or the runs of a store."""

from __future__ import annotations

import attrs

from mlquery.language.plan import Kind

_SYSTEM_NAMES = """
    autologging databricks.jobID databricks.notebookID databricks.notebookPath docker.image.uri log-model.history
    loggedArtifacts note.content parentRunId project.backend project.entryPoint project.env rootRunId runName
    source.git.branch source.git.commit source.git.repoURL source.name source.type user
"""
SYSTEM_TAGS = frozenset(f"mlflow.{name}" for name in _SYSTEM_NAMES.split())
"""Tags that MLflow or a service of it sets by itself.

Source: `mlflow.utils.mlflow_tags` of MLflow 3.17; `rootRunId` is Azure's.
"""


@attrs.frozen
class KnownKeys:
    """Keys by the kind of field.

    Attributes:
        numeric_params: The params that were logged as numbers, and only as such.
        is_complete: Whether there are no other keys than these.
    """

    metrics: frozenset[str] = frozenset()
    params: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    numeric_params: frozenset[str] = frozenset()
    is_complete: bool = False

    def of(self, kind: Kind) -> frozenset[str]:
        """Return the keys of a kind of field; there are none of attributes and datasets."""
        return {Kind.METRIC: self.metrics, Kind.PARAM: self.params, Kind.TAG: self.tags}.get(kind, frozenset())


NO_KEYS = KnownKeys()
