"""Turns what a backend answers into MLflow's own entities, quickly. Nothing is searched or decided here.

Entities are snapshots. Only what is rarely read is put together later: the steps and times of a run's metrics.

Releases of MLflow differ in what their entities hold: 2 has no logged models, and 3.9 no workspaces.

**Source** of the private fields set here: `mlflow.entities` of MLflow 2.16 to 3.17.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Final, SupportsIndex, TypeVar, overload

import mlflow.entities as mlflow_entities
from mlflow.entities.metric import MetricWithRunId
from mlflow.store.entities.paged_list import PagedList

from mlquery import entities
from mlquery.backend.logging import DatasetSummary
from mlquery.mlflow_plugin.releases import takes
from mlquery.mlflow_plugin.schemes import ARTIFACT_SCHEME
from mlquery.store import Store
from mlquery.store.model_table import StoredModel
from mlquery.store.run_table import RunTable

T = TypeVar("T")
Points = tuple[tuple[int, ...], tuple[int, ...]]
"""The timestamps and the steps of the latest points of a run's metrics, in the order of its keys."""

HAS_MODELS: Final = hasattr(mlflow_entities, "LoggedModel")
_of_model = ("model_id", "dataset_name", "dataset_digest", "run_id") if HAS_MODELS else ()
_of_workspace = ("workspace",) if takes(mlflow_entities.Experiment, "workspace") else ()
_fields_of_metric: Final = attrgetter("key", "value", "timestamp", "step", *_of_model)
_times_of_experiment: Final = attrgetter("creation_time", "last_update_time", *_of_workspace)


class LatestPoints(Sequence[mlflow_entities.Metric]):
    """The latest points of a run's metrics, as MLflow's entities once they are read."""

    def __init__(self, values: dict[str, float], points: Points) -> None:
        self._values = tuple(values.items())
        self._points = points
        self._added: list[mlflow_entities.Metric] = []

    def __len__(self) -> int:
        return len(self._values) + len(self._added)

    def __iter__(self) -> Iterator[mlflow_entities.Metric]:
        timestamps, steps = self._points
        for (key, value), timestamp, step in zip(self._values, timestamps, steps, strict=True):
            yield mlflow_entities.Metric(key, value, timestamp, step)
        yield from self._added

    @overload
    def __getitem__(self, index: SupportsIndex) -> mlflow_entities.Metric: ...
    @overload
    def __getitem__(self, index: slice) -> list[mlflow_entities.Metric]: ...
    def __getitem__(self, index: Any) -> Any:
        return list(self)[index]

    def append(self, metric: mlflow_entities.Metric) -> None:
        """Add a metric, as MLflow does when it reads a run from a message."""
        self._added.append(metric)


def runs_at(store: Store, rows: Iterable[int]) -> list[mlflow_entities.Run]:
    """Return the runs of rows of the store, as a search does: without the models that they read."""
    wanted = [int(row) for row in rows]
    outputs = store.models.outputs
    return [
        mlflow_entities.Run(
            run_info(run.info),
            _run_data(run.data, points),
            mlflow_entities.RunInputs(_dataset_inputs(run.inputs)),
            *_outputs(outputs.get(run.info.run_id)),
        )
        for run, points in zip(store.runs.runs_at(wanted), _latest_points(store.runs, wanted), strict=True)
    ]


def runs_with_inputs_at(store: Store, rows: Iterable[int]) -> list[mlflow_entities.Run]:
    """Return the runs of rows of the store with everything that is known of them, the models that they read too."""
    found = runs_at(store, rows)
    for run in found if HAS_MODELS else ():
        read = sorted(store.models.inputs.get(run.info.run_id, ()))
        if read and run.inputs is not None:
            run.inputs.model_inputs.extend(map(mlflow_entities.LoggedModelInput, read))
    return found


def new_run(run: entities.Run) -> mlflow_entities.Run:
    """Return a run that was just created: it has tags and nothing else, and no outputs, as MLflow answers."""
    return mlflow_entities.Run(run_info(run.info), _run_data(run.data, ((), ())), mlflow_entities.RunInputs([]))


def run_info(info: entities.RunInfo) -> mlflow_entities.RunInfo:
    """Return what is known of every run.

    What MLflow needs and a loader did not know is filled in: no user, the beginning of time, the artifacts in memory.
    """
    return mlflow_entities.RunInfo(
        info.run_id,
        info.experiment_id,
        info.user_id or "",
        info.status,
        info.start_time or 0,
        info.end_time,
        info.lifecycle_stage,
        info.artifact_uri or f"{ARTIFACT_SCHEME}:{info.experiment_id}/{info.run_id}/artifacts",
        run_name=info.run_name,
    )


def experiment(found: entities.Experiment) -> mlflow_entities.Experiment:
    """Return an experiment."""
    tags = [mlflow_entities.ExperimentTag(key, value) for key, value in found.tags.items()]
    return mlflow_entities.Experiment(
        found.experiment_id,
        found.name,
        found.artifact_location,
        found.lifecycle_stage,
        tags,
        *_times_of_experiment(found),
    )


def metric(point: entities.Metric) -> mlflow_entities.Metric:
    """Return a logged point."""
    return mlflow_entities.Metric(*_fields_of_metric(point))


def point_without_model(found: mlflow_entities.Metric) -> entities.Metric:
    """Return a point of MLflow 2, whose points know of no model, dataset or run, as stores read it."""
    return entities.Metric(found.key, found.value, found.timestamp, found.step)


def logged_model(model: StoredModel, metrics: Iterable[entities.Metric]) -> mlflow_entities.LoggedModel:
    """Return a logged model with the points that were logged for it."""
    return mlflow_entities.LoggedModel(
        experiment_id=model.experiment_id,
        model_id=model.model_id,
        name=model.name,
        artifact_location=model.artifact_location,
        creation_timestamp=model.creation_timestamp,
        last_updated_timestamp=model.last_updated_timestamp,
        model_type=model.model_type,
        source_run_id=model.source_run_id,
        status=mlflow_entities.LoggedModelStatus.from_int(model.status),
        tags=dict(model.tags),
        params=dict(model.params),
        metrics=[metric(point) for point in metrics] or None,
    )


def page(found: entities.PagedList[T]) -> PagedList[T]:
    """Return a page of results that are MLflow's entities."""
    return PagedList(list(found), found.token)


def page_of(convert: Callable[[Any], T]) -> Callable[[entities.PagedList[Any]], PagedList[T]]:
    """Return a function that converts a page of results one by one."""
    return lambda found: PagedList(list(map(convert, found)), found.token)


def metrics_of_runs(points: Iterable[tuple[str, entities.Metric]]) -> list[MetricWithRunId]:
    """Return logged points with the ids of their runs."""
    return [MetricWithRunId(metric(point), run_id) for run_id, point in points]


def dataset_summaries(found: Iterable[DatasetSummary]) -> list[mlflow_entities._DatasetSummary]:
    """Return what MLflow's UI shows of datasets."""
    return [mlflow_entities._DatasetSummary(*each) for each in found]


def _run_data(data: entities.RunData, points: Points) -> mlflow_entities.RunData:
    new = mlflow_entities.RunData()
    new._metrics, new._params, new._tags = data.metrics, data.params, data.tags
    new._metric_objs = LatestPoints(data.metrics, points)  # type: ignore[assignment]
    return new


def _dataset_inputs(inputs: entities.RunInputs | None) -> list[mlflow_entities.DatasetInput]:
    if inputs is None or not inputs.dataset_inputs:
        return []
    return [
        mlflow_entities.DatasetInput(
            _dataset(found.dataset), [mlflow_entities.InputTag(tag.key, tag.value) for tag in found.tags]
        )
        for found in inputs.dataset_inputs
    ]


def _dataset(found: entities.Dataset) -> mlflow_entities.Dataset:
    return mlflow_entities.Dataset(
        found.name, found.digest, found.source_type, found.source, found.schema, found.profile
    )


def _outputs(steps: dict[str, int] | None) -> tuple[mlflow_entities.RunOutputs, ...]:
    if not HAS_MODELS:
        return ()
    found = sorted(steps.items()) if steps else ()
    return (mlflow_entities.RunOutputs([mlflow_entities.LoggedModelOutput(*each) for each in found]),)


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
