"""Turns what a run read, wrote and has as files into the JSON values of the page and of a report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlquery.entities import FileInfo, Run
from mlquery.store import Store

Part = list[dict[str, Any]]

_CONTEXT = "mlflow.data.context"


def datasets(run: Run) -> Part:
    """Return the datasets that a run read."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return [
        {
            "name": one.dataset.name,
            "digest": one.dataset.digest,
            "source_type": one.dataset.source_type,
            "context": next((tag.value for tag in one.tags if tag.key == _CONTEXT), None),
        }
        for one in inputs
    ]


def models(store: Store, run: Run) -> Part:
    """Return the logged models that a run wrote, and those that it read."""
    outputs = run.outputs.model_outputs if run.outputs else []
    inputs = run.inputs.model_inputs if run.inputs else []
    described = [(one.model_id, "output") for one in outputs] + [(one.model_id, "input") for one in inputs]
    known = store.models.by_id
    return [
        {"model_id": one, "name": known[one].name if one in known else None, "role": role} for one, role in described
    ]


def artifacts(files: Iterable[FileInfo]) -> Part:
    """Return files and folders with their sizes in bytes."""
    return [{"path": one.path, "is_dir": one.is_dir, "size": one.file_size} for one in files]
