"""Puts runs that are values (entities of ours or of MLflow's, or rows of a frame) into a new store.

A value has the last point of each metric at most. Where MLflow's entities say when and at which step that was logged it
is kept; elsewhere the point is at step 0, at the end of the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mlquery.entities import LifecycleStage
from mlquery.store import Store
from mlquery.store.changes import LogModelInputs, LogModelPoints, LogOutputs, PutModel
from mlquery.store.entity_fields import model_fields, model_point_fields
from mlquery.store.model_entities import model_points, stored_model
from mlquery.store.validation import clean_value

_INFO = ("user_id", "status", "start_time", "end_time", "artifact_uri", "run_name")


def store_of_runs(runs: Iterable[Any]) -> Store:
    """Return a store of runs, each once."""
    store = Store()
    for run in runs:
        put_run(store, run)
    return store


def has_points(run: Any) -> bool:
    """Tell whether a run says when and at which step its last values were logged, as MLflow's own do."""
    return hasattr(run.data, "_metric_objs")


def put_run(store: Store, run: Any, *, with_metrics: bool = True) -> None:
    """Add a run to a store unless it is there, with a stand-in for its experiment."""
    info, data = run.info, run.data
    if info.run_id in store.runs.row_of:
        return
    require_experiment(store, info.experiment_id)
    inputs, outputs = getattr(run, "inputs", None), getattr(run, "outputs", None)
    about: dict[str, Any] = {name: getattr(info, name, None) for name in _INFO}
    if about["status"] is None:
        del about["status"]
    store.load_run(
        info.run_id,
        info.experiment_id,
        **about,
        lifecycle_stage=getattr(info, "lifecycle_stage", None) or LifecycleStage.ACTIVE,
        metrics=dict(_latest(run)) if with_metrics else {},
        params=dict(data.params),
        tags=dict(data.tags),
        inputs=tuple(inputs.dataset_inputs) if inputs else (),
    )
    if outputs and outputs.model_outputs:
        store.write(LogOutputs(info.run_id, {model.model_id: model.step for model in outputs.model_outputs}))
    if inputs and getattr(inputs, "model_inputs", None):  # not in MLflow 2
        store.write(LogModelInputs(info.run_id, [model.model_id for model in inputs.model_inputs]))


def put_experiment(store: Store, found: Any) -> None:
    """Add an experiment to a store unless it is there."""
    if found.experiment_id in store.experiments.row_of and not store._is_untouched:
        return
    store.load_experiment(
        found.experiment_id,
        found.name,
        artifact_location=found.artifact_location or "",
        lifecycle_stage=found.lifecycle_stage,
        tags=dict(found.tags or {}),
        creation_time=found.creation_time,
        last_update_time=found.last_update_time,
    )


def put_logged_model(store: Store, found: Any) -> None:
    """Add a logged model, with the points that were logged for it and a stand-in for its experiment."""
    require_experiment(store, found.experiment_id)
    store.write(PutModel(model_fields(stored_model(found))))
    points = list(map(model_point_fields, model_points(found)))
    if points:
        store.write(LogModelPoints(found.model_id, points))


def _latest(run: Any) -> Iterator[tuple[str, tuple[float, int, int]]]:
    if has_points(run):
        yield from ((p.key, (clean_value(float(p.value)), p.timestamp, p.step or 0)) for p in run.data._metric_objs)
        return
    time = run.info.end_time or run.info.start_time or 0
    yield from ((key, (float(value), time, 0)) for key, value in run.data.metrics.items())


def require_experiment(store: Store, experiment_id: str) -> None:
    """Add an experiment that is called like its id, unless there is one of that id."""
    if experiment_id not in store.experiments.row_of or store._is_untouched:
        store.load_experiment(experiment_id, experiment_id)


def store_of_frame(frame: Any) -> Store:
    """Return a store of the rows of a frame of `mlflow.search_runs`, each run once; other columns are left out.

    A missing metric of such a frame may be NaN or absent: it counts as absent.
    """
    store = Store()
    columns = {str(name): frame[name].tolist() for name in frame.columns}
    for row, run_id in enumerate(columns["run_id"]):
        if run_id not in store.runs.row_of:
            _put_row(store, str(run_id), {name: values[row] for name, values in columns.items()})
    return store


def _put_row(store: Store, run_id: str, row: dict[str, Any]) -> None:
    known = {name: value for name, value in row.items() if value is not None and value == value}
    experiment_id = str(known.get("experiment_id", Store().default_experiment_id))
    require_experiment(store, experiment_id)
    params, tags, metrics = (_with_prefix(known, f"{kind}.") for kind in ("params", "tags", "metrics"))
    start, end = (_milliseconds(known.get(name)) for name in ("start_time", "end_time"))
    store.load_run(
        run_id,
        experiment_id,
        user_id=str(known.get("user_id", tags.get("mlflow.user", ""))),
        status=str(known.get("status", "FINISHED")),
        start_time=start,
        end_time=end,
        artifact_uri=known.get("artifact_uri"),
        run_name=known.get("run_name", tags.get("mlflow.runName")),
        metrics={key: (float(value), end or start or 0, 0) for key, value in metrics.items()},
        params={key: str(value) for key, value in params.items()},
        tags={key: str(value) for key, value in tags.items()},
    )


def _with_prefix(row: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}


def _milliseconds(time: Any) -> int | None:
    if time is None or isinstance(time, int):
        return time
    seconds: float = time.timestamp()
    return round(seconds * 1000)
