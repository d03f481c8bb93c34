"""Reads the models of chosen runs, logged models and registered versions alike, as fields (n,) to put side by side.

A version has the params and metrics of the logged model that it was registered from, else those of its run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np

from mlquery.comparison.fields import ATTRIBUTE, METRIC, PARAM, TAG, Field, string_field
from mlquery.entities import LoggedModelStatus, Metric
from mlquery.entities.registry import ModelVersion
from mlquery.store import Store

_STRINGS: Final = ("kind", "name", "version", "run_id", "status", "model_type", "aliases", "stage")
_LOGGED: Final = "models:/m-"


@attrs.frozen(eq=False)
class Model:
    """A logged model or a registered version, with what is compared of it."""

    id: str
    about: Mapping[str, str | None]
    creation_time: int
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def models_of(store: Store, run_ids: Sequence[str], versions: Iterable[ModelVersion]) -> list[Model]:
    """Return the logged models that runs wrote, run by run, and then the versions that are registered of them."""
    with store.lock:
        logged = _logged_ids(store, run_ids)
        found = [_logged(store, model_id) for model_id in logged]
        chosen = set(run_ids)
        for version in versions:
            model_id = _source_of(version)
            if version.run_id in chosen or model_id in logged:
                found.append(_version(store, version, model_id))
    return found


def _logged_ids(store: Store, run_ids: Sequence[str]) -> list[str]:
    by_id = store.models.by_id
    of_runs: dict[str | None, list[str]] = {}
    for model_id, model in by_id.items():
        of_runs.setdefault(model.source_run_id, []).append(model_id)
    ids = (i for run_id in run_ids for i in (*store.models.outputs.get(run_id, ()), *of_runs.get(run_id, ())))
    return [model_id for model_id in dict.fromkeys(ids) if model_id in by_id and by_id[model_id].is_active]


def _logged(store: Store, model_id: str) -> Model:
    model = store.models.by_id[model_id]
    about = {
        "kind": "logged",
        "name": model.name,
        "run_id": model.source_run_id,
        "status": str(LoggedModelStatus.from_int(model.status)),
        "model_type": model.model_type,
    }
    metrics = latest_values(store.models.metrics(model_id))
    return Model(model_id, about, model.creation_timestamp, model.params, metrics, model.tags)


def _version(store: Store, version: ModelVersion, model_id: str | None) -> Model:
    about = {
        "kind": "version",
        "name": version.name,
        "version": str(version.version),
        "run_id": version.run_id,
        "status": version.status,
        "aliases": ", ".join(version.aliases) or None,
        "stage": version.current_stage,
    }
    params: Mapping[str, str] = {}
    metrics: Mapping[str, float] = {}
    if model_id in store.models.by_id:
        params = store.models.by_id[str(model_id)].params
        metrics = latest_values(store.models.metrics(str(model_id)))
    elif version.run_id in store.runs.row_of:
        data = store.runs.run_at(store.runs.row_of[version.run_id]).data
        params, metrics = data.params, data.metrics
    return Model(f"{version.name}/{version.version}", about, version.creation_timestamp, params, metrics, version.tags)


def _source_of(version: ModelVersion) -> str | None:
    """Return the id of the logged model that a version was registered from."""
    source = version.source or ""
    return source.removeprefix("models:/") if source.startswith(_LOGGED) else None


def latest_values(points: Iterable[Metric]) -> dict[str, float]:
    """Return the latest values of a model's metrics by key; where several datasets have one, by "key (dataset)"."""
    latest: dict[tuple[str, str | None], Metric] = {}
    for point in points:
        where = point.key, point.dataset_name
        old = latest.get(where)
        if old is None or (point.step, point.timestamp) >= (old.step, old.timestamp):
            latest[where] = point
    datasets: dict[str, int] = {}
    for key, _ in latest:
        datasets[key] = datasets.get(key, 0) + 1
    return {
        key if datasets[key] == 1 or dataset is None else f"{key} ({dataset})": point.value
        for (key, dataset), point in latest.items()
    }


def model_fields(models: Sequence[Model]) -> list[Field]:
    """Return the fields of models: attributes, params, metrics and tags."""
    found = [string_field(ATTRIBUTE, name, [model.about.get(name) for model in models]) for name in _STRINGS]
    times = np.array([model.creation_time for model in models], np.int64)
    found.append(Field(ATTRIBUTE, "creation_time", times, np.ones(len(models), np.bool_)))
    found += [string_field(PARAM, key, [m.params.get(key) for m in models]) for key in _keys(m.params for m in models)]
    for key in _keys(model.metrics for model in models):
        values = np.array([model.metrics.get(key, np.nan) for model in models], np.float64)
        found.append(Field(METRIC, key, values, np.array([key in model.metrics for model in models], np.bool_)))
    found += [string_field(TAG, key, [m.tags.get(key) for m in models]) for key in _keys(m.tags for m in models)]
    return found


def _keys(maps: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted(set().union(*maps))
