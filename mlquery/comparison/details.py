"""What the page shows of one run, and of models side by side: everything that is known of them, as JSON-able values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mlquery.backend.reading import read_model, read_run
from mlquery.entities import LoggedModel, Metric, Run
from mlquery.entities.registry import ModelVersion
from mlquery.store import Store
from mlquery.view.columns import Column, column_json, number_json, numbers, strings, times

PARENT = "mlflow.parentRunId"


def run_data(store: Store, run_id: str) -> dict[str, Any]:
    """Return everything of a run: info, data, datasets, models, its place among nested runs, and its artifacts.

    Raises:
        StoreError: RESOURCE_DOES_NOT_EXIST, there is no such run.
    """
    with store.lock:
        store.get_run(run_id)
        row = store.runs.row_of[run_id]
        (run,) = read_run(store, [row])
        return {
            "run_id": run_id,
            "info": _info(run),
            "params": run.data.params,
            "tags": run.data.tags,
            "metrics": {key: number_json(value) for key, value in run.data.metrics.items()},
            "datasets": [_dataset(given) for given in (run.inputs.dataset_inputs if run.inputs else ())],
            "models": _models_of(run),
            **family(store, run_id),
            "artifacts": list(_artifacts(store, run_id, None)),
        }


def _info(run: Run) -> dict[str, Any]:
    return dict(run.info)


def _dataset(given: Any) -> dict[str, Any]:
    return {**given.dataset.to_dictionary(), "tags": {tag.key: tag.value for tag in given.tags}}


def _models_of(run: Run) -> list[dict[str, Any]]:
    read = [{"model_id": model.model_id, "role": "input"} for model in (run.inputs.model_inputs if run.inputs else ())]
    written = run.outputs.model_outputs if run.outputs else ()
    return read + [{"model_id": model.model_id, "role": "output", "step": model.step} for model in written]


def family(store: Store, run_id: str) -> dict[str, Any]:
    """Return the ids of the parent of a run, or None, and of its children."""
    column = store.runs.tags.get(PARENT)
    if column is None:
        return {"parent": None, "children": []}
    code = column.codes[store.runs.row_of[run_id]]
    children = (column.codes == column.code(run_id)).nonzero()[0].tolist() if run_id in column.index else []
    return {"parent": column.table[code] if code >= 0 else None, "children": [store.runs.ids[row] for row in children]}


def _artifacts(store: Store, owner: str, folder: str | None) -> Iterator[dict[str, Any]]:
    for found in store.artifacts.list(owner, folder):
        yield {"path": found.path, "is_dir": found.is_dir, "size": found.file_size}
        if found.is_dir:
            yield from _artifacts(store, owner, found.path)


def model_columns(
    store: Store, versions: Iterable[ModelVersion], run_ids: Iterable[str] | None = None
) -> tuple[list[str], dict[str, Column]]:
    """Return ids and columns of logged models and registered versions, of all runs or of those that are given.

    A version without a run of its own belongs to the run of the logged model that is its source.
    """
    wanted = None if run_ids is None else set(run_ids)
    with store.lock:
        logged = [read_model(each, store.models.metrics(each.model_id)) for each in store.models.by_id.values()]
        rows = [
            _logged_row(model)
            for model, stored in zip(logged, store.models.by_id.values(), strict=True)
            if stored.is_active
        ]
    by_source = {model.model_id: model for model in logged}
    rows += [_version_row(version, by_source) for version in versions]
    rows = [row for row in rows if wanted is None or row["run_id"] in wanted]
    return [row["id"] for row in rows], dict(_columns(rows))


def models_data(store: Store, versions: Iterable[ModelVersion], run_ids: Iterable[str] | None = None) -> dict[str, Any]:
    """Return logged models and registered versions side by side, as the page has them; see `model_columns`."""
    ids, columns = model_columns(store, versions, run_ids)
    return {"ids": ids, "columns": {name: column_json(column) for name, column in columns.items()}}


def _logged_row(model: LoggedModel) -> dict[str, Any]:
    return {
        "id": model.model_id,
        "kind": "logged",
        "name": model.name,
        "run_id": model.source_run_id,
        "status": str(model.status),
        "creation_time": model.creation_timestamp,
        "metrics": _latest(model.metrics or ()),
        "params": model.params,
        "tags": model.tags,
    }


def _latest(points: Sequence[Metric]) -> dict[str, float]:
    """Return the latest value of each metric of a model, over all its datasets."""
    ordered = sorted(points, key=lambda point: (point.step, point.timestamp))
    return {point.key: point.value for point in ordered}


def _version_row(version: ModelVersion, by_source: Mapping[str, LoggedModel]) -> dict[str, Any]:
    source = by_source.get((version.source or "").removeprefix("models:/"))
    row = _logged_row(source) if source else {"metrics": {}, "params": {}, "run_id": None}
    return row | {
        "id": f"{version.name} version {version.version}",
        "kind": "version",
        "name": version.name,
        "run_id": version.run_id or row["run_id"],
        "status": version.status,
        "creation_time": version.creation_timestamp,
        "tags": dict(version.tags),
    }


def _columns(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Column]]:
    for name in ("kind", "name", "run_id", "status"):
        yield name, strings([row[name] for row in rows])
    yield "creation_time", times([row["creation_time"] for row in rows])
    for prefix in ("metrics", "params", "tags"):
        for key in dict.fromkeys(key for row in rows for key in row[prefix]):
            values = [row[prefix].get(key) for row in rows]
            yield f"{prefix}.{key}", numbers(values) if prefix == "metrics" else strings(values)
