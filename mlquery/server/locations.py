"""Writes where artifacts are as Microsoft's client knows it, and reads it again.

A store knows its artifacts by paths below one root, `mlflow-artifacts:/`, MLflow's name for what a server has.
Microsoft's client knows those of a run by a URI of the workspace, other files by a URI of their own:

    mlflow-artifacts:/E/R/artifacts/a       azureml://HOST/mlflow/v2.0/…/workspaces/W/experiments/E/runs/R/artifacts/a
    mlflow-artifacts:/LocalUpload/C/a       azureml://artifacts/LocalUpload/C/a

**Source**: `azureml.mlflow._store.artifact.utils` and `model_registry` of azureml-mlflow 1.60 and 1.62; a URI of the
service in mlflow/mlflow issue 11103.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote

import attrs

ARTIFACT_ROOT: Final = "mlflow-artifacts:/"
"""Where artifacts are, for clients that send and fetch them through the server."""
UPLOADS: Final = "LocalUpload"
"""The origin of files that belong to no run; those of a registered model that was not logged, for example."""

_UPLOAD: Final = f"azureml://artifacts/{UPLOADS}/"
_OF_RUN: Final = re.compile(re.escape(ARTIFACT_ROOT) + r"/*([^/]+)/([^/]+)/artifacts(/.*)?")
_WRITTEN_OF_RUN: Final = re.compile(r"azureml://[^/]+/.*/experiments/([^/]+)/runs/([^/]+)/artifacts(/.*)?")


@attrs.frozen
class Locations:
    """How the locations of artifacts are written in an answer.

    Attributes:
        workspace: The URI of the workspace that is asked; None where locations are written as the store has them.
    """

    workspace: str | None = None

    def written(self, location: str) -> str:
        """Return a location as the client is to see it."""
        if self.workspace is None:
            return location
        if location.startswith(f"{ARTIFACT_ROOT}{UPLOADS}/"):
            return _UPLOAD + unquote(location.removeprefix(f"{ARTIFACT_ROOT}{UPLOADS}/"))
        found = _OF_RUN.fullmatch(location)
        if found is None:
            return location
        experiment, run, inside = found.groups("")
        return f"{self.workspace}/experiments/{experiment}/runs/{run}/artifacts{inside}"

    def read(self, written: str) -> str | None:
        """Return the location that is written so; None if it is none of the workspace's own."""
        if self.workspace is None:
            return None
        if written.startswith(_UPLOAD):
            return f"{ARTIFACT_ROOT}{UPLOADS}/{quote(written.removeprefix(_UPLOAD))}"
        found = _WRITTEN_OF_RUN.fullmatch(written)
        if found is None:
            return None
        experiment, run, inside = found.groups("")
        return f"{ARTIFACT_ROOT}{experiment}/{run}/artifacts{inside}"
