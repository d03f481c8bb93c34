"""Replaces the ids in tags that refer to other runs by the ids that these runs have on a target.

**Source** of the tags: `mlflow.utils.mlflow_tags` of MLflow 3.17, and `mlflow.rootRunId` as Azure writes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

PARENT: Final = "mlflow.parentRunId"
_IDS: Final = (PARENT, "mlflow.rootRunId")
_MODELS: Final = "mlflow.log-model.history"


def with_remote_ids(tags: Mapping[str, str], ids: Mapping[str, str]) -> dict[str, str]:
    """Return tags in which ids of local runs are replaced by their ids on the target; unknown ids stay."""
    mapped = dict(tags)
    for key in _IDS:
        if key in mapped:
            mapped[key] = ids.get(mapped[key], mapped[key])
    if _MODELS in mapped:
        mapped[_MODELS] = _models(mapped[_MODELS], ids)
    return mapped


def _models(value: str, ids: Mapping[str, str]) -> str:
    try:
        models: Any = json.loads(value)
    except ValueError:
        return value
    if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
        return value
    changed = [
        model | {"run_id": ids.get(model["run_id"], model["run_id"])} if "run_id" in model else model
        for model in models
    ]
    return value if changed == models else json.dumps(changed)
