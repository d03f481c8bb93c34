"""`mlflow.artifacts` on the store in use: list, download and read what runs have stored."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlquery.entities import FileInfo
from mlquery.errors import BAD_REQUEST, StoreError, invalid_parameter
from mlquery.fluent.session import client

_RUNS = "runs:/"


def list_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = None,
    tracking_uri: str | None = None,
) -> list[FileInfo]:
    """Return the files and folders in a folder of a run's artifacts; `tracking_uri` has no meaning here."""
    return client().list_artifacts(*_where(artifact_uri, run_id, artifact_path))


def download_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = None,
    dst_path: str | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
) -> str:
    """Write an artifact, or a folder of them, to the local disk and return the path of the copy.

    Args:
        artifact_uri: `runs:/<run id>/<path>`, in place of the next two.
        run_id: Whose artifact it is.
        artifact_path: Its path; None for everything the run has.
        dst_path: A local folder; a new temporary one by default.
        tracking_uri: Without meaning here.
        registry_uri: Without meaning here.

    Raises:
        StoreError: There is no such run or artifact, or the arguments do not say which.

    **Source**: `mlflow.artifacts.download_artifacts` of MLflow 3.17.
    """
    where, path = _where(artifact_uri, run_id, artifact_path)
    return client().download_artifacts(where, path or "", dst_path)


def load_text(artifact_uri: str) -> str:
    """Return an artifact as a string, `runs:/<run id>/<path>`."""
    with TemporaryDirectory() as folder:
        content = Path(download_artifacts(artifact_uri, dst_path=folder)).read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StoreError(f"{artifact_uri} is not text in UTF-8", BAD_REQUEST) from error


def load_dict(artifact_uri: str) -> Any:
    """Return what a JSON artifact holds, `runs:/<run id>/<path>`."""
    try:
        return json.loads(load_text(artifact_uri))
    except json.JSONDecodeError as error:
        raise StoreError("Unable to form a JSON object from file content", BAD_REQUEST) from error


def _where(artifact_uri: str | None, run_id: str | None, artifact_path: str | None) -> tuple[str, str | None]:
    """Return the run and the path that the arguments of a call name."""
    if run_id is not None and artifact_uri is None:
        return run_id, artifact_path
    if artifact_uri is None or run_id is not None:
        raise invalid_parameter("Exactly one of `run_id` or `artifact_uri` must be specified")
    if artifact_path is not None:
        raise invalid_parameter("`artifact_path` cannot be specified if `artifact_uri` is specified")
    named, _, path = artifact_uri.removeprefix(_RUNS).lstrip("/").partition("/")
    if not artifact_uri.startswith(_RUNS) or not named:
        raise StoreError(f"Not a proper runs:/ URI: {artifact_uri}. This store has artifacts of runs only.")
    return named, path


__all__ = ["download_artifacts", "list_artifacts", "load_dict", "load_text"]
