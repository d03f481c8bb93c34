"""Turns what a store holds into MLflow's own entities, quickly. Nothing is looked up in a query or decided here.

Entities are snapshots. Only what hardly anyone reads is put together later: the steps and times of a run's metrics.

**Source** of the private fields set here: `mlflow.entities` of MLflow 3.17.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, SupportsIndex, overload

import mlflow.entities as theirs
from mlflow.entities.logged_model_input import LoggedModelInput
from mlflow.entities.logged_model_output import LoggedModelOutput

from mlquery import entities as ours
from mlquery.entities.logged_models import LoggedModel
from mlquery.mlflow_plugin.schemes import ARTIFACT_SCHEME
from mlquery.store import Store
from mlquery.store.run_table import RunTable

Points = tuple[tuple[int, ...], tuple[int, ...]]
"""The timestamps and the steps of the latest points of a run's metrics, in the order of its keys."""


class LatestPoints(Sequence[theirs.Metric]):
    """The latest points of a run's metrics, as MLflow's entities once someone asks for them."""

    def __init__(self, values: dict[str, float], points: Points) -> None:
        self._values = tuple(values.items())
        self._points = points
        self._added: list[theirs.Metric] = []

    def __len__(self) -> int:
        return len(self._values) + len(self._added)

    def __iter__(self) -> Iterator[theirs.Metric]:
        timestamps, steps = self._points
        for (key, value), timestamp, step in zip(self._values, timestamps, steps, strict=True):
            yield theirs.Metric(key, value, timestamp, step)
        yield from self._added

    @overload
    def __getitem__(self, index: SupportsIndex) -> theirs.Metric: ...
    @overload
    def __getitem__(self, index: slice) -> list[theirs.Metric]: ...
    def __getitem__(self, index: Any) -> Any:
        return list(self)[index]

    def append(self, metric: theirs.Metric) -> None:
        """Add a metric, as MLflow does when it reads a run from a message."""
        self._added.append(metric)


def runs_at(store: Store, rows: Iterable[int]) -> list[theirs.Run]:
    """Return the runs of rows of the store, as a search does: without the models that they read."""
    wanted = [int(row) for row in rows]
    outputs = store.models.outputs
    return [
        theirs.Run(
            run_info(run.info),
            _run_data(run.data, points),
            theirs.RunInputs(_dataset_inputs(run.inputs)),
            theirs.RunOutputs(_outputs(outputs.get(run.info.run_id))),
        )
        for run, points in zip(store.runs.runs_at(wanted), _latest_points(store.runs, wanted), strict=True)
    ]


def run_of(store: Store, run_id: str) -> theirs.Run:
    """Return a run with everything that is known of it; raise StoreError if there is none."""
    row = store.runs.row_of.get(run_id)
    if row is None:
        store.get_run(run_id)  # raises
        raise AssertionError(run_id)
    (run,) = runs_at(store, [row])
    read = [LoggedModelInput(model_id) for model_id in sorted(store.models.inputs.get(run_id, ()))]
    if read and run.inputs is not None:
        run.inputs.model_inputs.extend(read)
    return run


def new_run(run: ours.Run) -> theirs.Run:
    """Return a run that was just created: it has tags and nothing else, and no outputs, as MLflow answers."""
    return theirs.Run(run_info(run.info), _run_data(run.data, ((), ())), theirs.RunInputs([]))


def run_info(info: ours.RunInfo) -> theirs.RunInfo:
    """Return what is known of every run.

    What MLflow needs and a loader did not know is filled in: no user, the beginning of time, the artifacts in memory.
    """
    return theirs.RunInfo(
        info.run_id,
        info.experiment_id,
        info.user_id or "",
        info.status,
        info.start_time or 0,
        info.end_time,
        info.lifecycle_stage,
        info.artifact_uri or f"{ARTIFACT_SCHEME}:{info.experiment_id}/{info.run_id}/artifacts",
        info.run_name,
    )


def experiment(found: ours.Experiment) -> theirs.Experiment:
    """Return an experiment."""
    tags = [theirs.ExperimentTag(key, value) for key, value in found.tags.items()]
    return theirs.Experiment(
        found.experiment_id,
        found.name,
        found.artifact_location,
        found.lifecycle_stage,
        tags,
        found.creation_time,
        found.last_update_time,
        found.workspace,
    )


def metric(point: ours.Metric) -> theirs.Metric:
    """Return a logged point."""
    return theirs.Metric(
        point.key,
        point.value,
        point.timestamp,
        point.step,
        point.model_id,
        point.dataset_name,
        point.dataset_digest,
        point.run_id,
    )


def logged_model(model: LoggedModel, metrics: Iterable[ours.Metric]) -> theirs.LoggedModel:
    """Return a logged model with the points that were logged for it."""
    return theirs.LoggedModel(
        experiment_id=model.experiment_id,
        model_id=model.model_id,
        name=model.name,
        artifact_location=model.artifact_location,
        creation_timestamp=model.creation_timestamp,
        last_updated_timestamp=model.last_updated_timestamp,
        model_type=model.model_type,
        source_run_id=model.source_run_id,
        status=theirs.LoggedModelStatus.from_int(model.status),
        tags=dict(model.tags),
        params=dict(model.params),
        metrics=[metric(point) for point in metrics] or None,
    )


def _run_data(data: ours.RunData, points: Points) -> theirs.RunData:
    new = theirs.RunData()
    new._metrics, new._params, new._tags = data.metrics, data.params, data.tags
    new._metric_objs = LatestPoints(data.metrics, points)  # type: ignore[assignment]
    return new


def _dataset_inputs(inputs: ours.RunInputs | None) -> list[theirs.DatasetInput]:
    if inputs is None or not inputs.dataset_inputs:
        return []
    return [
        theirs.DatasetInput(_dataset(found.dataset), [theirs.InputTag(tag.key, tag.value) for tag in found.tags])
        for found in inputs.dataset_inputs
    ]


def _dataset(found: ours.Dataset) -> theirs.Dataset:
    return theirs.Dataset(found.name, found.digest, found.source_type, found.source, found.schema, found.profile)


def _outputs(steps: dict[str, int] | None) -> list[LoggedModelOutput]:
    return [LoggedModelOutput(model_id, step) for model_id, step in sorted(steps.items())] if steps else []


def _latest_points(runs: RunTable, rows: list[int]) -> list[Points]:
    """Return timestamps and steps of the latest points of rows, those of rows with the same keys read at once."""
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        alike[runs.metric_keys[row]].append(place)
    found: list[Points] = [((), ())] * len(rows)
    for keys, places in alike.items():
        if not keys:
            continue
        timestamps, steps = [], []
        for key in keys:
            cells = runs.metrics.cells[key]
            slots = [rows[place] if cells.rows is None else cells.slot(rows[place]) for place in places]
            timestamps.append(map(cells.arrays[2].__getitem__, slots))
            steps.append(map(cells.arrays[3].__getitem__, slots))
        for place, points in zip(
            places, zip(zip(*timestamps, strict=True), zip(*steps, strict=True), strict=True), strict=True
        ):
            found[place] = points
    return found
