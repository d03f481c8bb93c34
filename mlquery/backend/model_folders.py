"""Uploads a model from a folder on disk, as the client of a service does for a version whose source is that folder.

**Source**: `AzureMLflowModelRegistry.create_model_version` of azureml-mlflow 1.62 for what is taken and refused, and
where the files go. Relative paths are below the working directory.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from mlquery.errors import ModelFolderError
from mlquery.store import Store
from mlquery.store.locations import experiment_location

_SCHEME: Final = "file://"
_MODEL_FILE: Final = "MLmodel"


def folder_of(source: str | None, run_id: str | None) -> Path | None:
    """Return the folder that a source names, None for another kind of source.

    Raises:
        ModelFolderError: it holds no model, or a run is named as well.
    """
    if source is None or not source.startswith(_SCHEME):
        return None
    if run_id is not None:
        raise ModelFolderError(f'"run_id={run_id}" provided when registering local file.')
    folder = Path(source.split(_SCHEME)[1])
    if not folder.joinpath(_MODEL_FILE).exists():
        raise ModelFolderError(
            "Model source must be a directory containing an mlflow MLmodel, as is produced by an mlflow save_model "
            f"function. (mlquery: there is no {os.path.abspath(folder / _MODEL_FILE)})"
        )
    return folder


def upload(store: Store, folder: Path) -> str:
    """Store the files of a folder among the artifacts that belong to no run, and return their location."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    contents = [(file.relative_to(folder).as_posix(), file.read_bytes()) for file in files]
    with store.lock:
        time = datetime.fromtimestamp(store.clock() / 1000, UTC)
        container = f"{time:%y%m%dT%H%M%S}-{store.new_id()[:8]}"
        place = f"LocalUpload/{container}/{Path(os.path.abspath(folder)).name}"
        for path, content in contents:
            store.artifacts.put("", f"{place}/{path}", content)
        return experiment_location(store.artifact_root, quote(place) if ":" in store.artifact_root else place)
