"""Reads runs through MLflow's client from a server, Azure Machine Learning, Databricks or any tracking URI of MLflow.

MLflow is imported at the first use.

**Source** of names and arguments: `mlflow.MlflowClient` of MLflow 3.17.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from mlquery.entities import Dataset, DatasetInput, Experiment, InputTag, RunInfo, ViewType
from mlquery.errors import NOT_IMPLEMENTED, StoreError
from mlquery.query.page_tokens import all_pages
from mlquery.remote.mlflow_client import call_error, client_of
from mlquery.remote.names import target_name
from mlquery.store.model_entities import model_points, stored_model
from mlquery.store.registered_models import Entry
from mlquery.store.validation import clean_value
from mlquery.sync.content import ModelContent, Points, Summary
from mlquery.sync.mlflow_registry import MlflowRegistry
from mlquery.sync.source import SourceFile

_PAGE: Final = 500
_WORKERS: Final = 8


class MlflowSource:
    """A source that MLflow's client reads."""

    workers = _WORKERS

    def __init__(self, uri: str) -> None:
        self.name = target_name(uri)
        self._client = client_of(uri)
        self.registry = MlflowRegistry(self._client, self._call)

    def experiments(self) -> list[Experiment]:
        """Return all experiments, deleted ones too."""
        return list(map(experiment_of, self._pages(self._client.search_experiments, view_type=ViewType.ALL)))

    def runs(self, experiment_ids: Sequence[str], filter_string: str) -> Iterator[Summary]:
        """Yield the runs that a filter finds, deleted ones too."""
        for experiment_id in experiment_ids:
            query = {"filter_string": filter_string, "run_view_type": ViewType.ALL}
            for run in self._pages(self._client.search_runs, experiment_ids=[experiment_id], **query):
                yield attrs.evolve(summary_of_run(run), model_inputs=None)  # a search omits them

    def details(self, run: Summary) -> tuple[Summary, dict[str, Points]]:
        """Return a complete run, and the points of all its metrics."""
        found = {}
        run = summary_of_run(self._call(self._client.get_run, run.info.run_id))
        for key in run.latest:
            points = self._call(self._client.get_metric_history, run.info.run_id, key)
            columns = zip(*((clean_value(p.value), p.timestamp, p.step or 0) for p in points), strict=True)
            values, timestamps, steps = columns if points else ((), (), ())
            found[key] = np.array(values, np.float64), np.array(timestamps, np.int64), np.array(steps, np.int64)
        return run, found

    def models(self, experiment_ids: Sequence[str], filter_string: str | None = None) -> Iterator[ModelContent]:
        """Yield the logged models of experiments; none from Azure and from what is older than MLflow 3."""
        if not hasattr(self._client, "search_logged_models"):
            return
        query = {"experiment_ids": list(experiment_ids), "filter_string": filter_string}
        try:
            if experiment_ids:
                yield from map(content_of_model, self._pages(self._client.search_logged_models, **query))
        except StoreError as error:
            if error.error_code not in ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "INTERNAL_ERROR", "NOT_FOUND"):
                raise

    def registered_models(self) -> Iterator[Entry]:
        """Yield the registered models with their versions."""
        return self.registry.entries()

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def files(self, owner_id: str, location: str | None) -> Iterator[SourceFile]:
        """Yield the artifacts at an artifact location."""
        # Not through the client: it caches the location of an id, even one seen on another server.
        repository = self._call(self._repository, location or "")
        folders: list[str | None] = [None]
        while folders:
            for info in self._call(repository.list_artifacts, folders.pop()):
                if info.is_dir:
                    folders.append(info.path)
                else:
                    fetch = partial(self._fetch, repository, info.path)
                    yield SourceFile(info.path, int(info.file_size or 0), fetch)

    def _repository(self, location: str) -> Any:
        import mlflow
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
        from mlflow.utils.uri import add_databricks_profile_info_to_artifact_uri

        uri = self._client.tracking_uri
        location = add_databricks_profile_info_to_artifact_uri(location, uri)
        if "tracking_uri" in signature(get_artifact_repository).parameters:
            return get_artifact_repository(location, tracking_uri=uri)
        if uri != mlflow.get_tracking_uri():
            instead = f"MLFLOW_TRACKING_URI={uri}, or MLflow 3"
            message = f"MLflow 2 fetches artifacts from the tracking URI that is set and no other; instead: {instead}"
            raise StoreError(message, NOT_IMPLEMENTED)
        return get_artifact_repository(location)

    def _fetch(self, repository: Any, path: str, local: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="mlquery-") as folder:
            shutil.copyfile(self._call(repository.download_artifacts, path, folder), local)

    def _pages(self, search: Callable[..., Any], **query: Any) -> Iterator[Any]:
        return all_pages(partial(self._call, search, **query), _PAGE)

    def _call(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, **options)
        except Exception as error:  # MLflow, its plugins and the network raise all kinds
            raise call_error(self.name, error) from error


def experiment_of(found: Any) -> Experiment:
    """Return an experiment of MLflow's."""
    about = (found.artifact_location, found.lifecycle_stage, dict(found.tags))
    return Experiment(found.experiment_id, found.name, *about, found.creation_time, found.last_update_time)


def summary_of_run(run: Any) -> Summary:
    """Return a run of MLflow's as a summary."""
    info, data, inputs, outputs = run.info, run.data, run.inputs, getattr(run, "outputs", None)  # not in MLflow 2
    points = {point.key: point for point in data._metric_objs}
    return Summary(
        RunInfo.from_dictionary(dict(info) | {"user_id": info.user_id or "", "end_time": info.end_time or None}),
        dict(data.params),
        dict(data.tags),
        {key: (clean_value(float(point.value)), point.timestamp, point.step or 0) for key, point in points.items()},
        tuple(map(_dataset_input, inputs.dataset_inputs if inputs else ())),
        {output.model_id: output.step for output in (outputs.model_outputs if outputs else ())},
        tuple(found.model_id for found in getattr(inputs, "model_inputs", ())),
    )


def _dataset_input(found: Any) -> DatasetInput:
    dataset = Dataset.from_dictionary(dict(found.dataset))
    return DatasetInput(dataset, [InputTag(tag.key, tag.value) for tag in found.tags])


def content_of_model(found: Any) -> ModelContent:
    """Return a logged model of MLflow's with its points."""
    return ModelContent(stored_model(found), model_points(found))
