"""Writes runs through MLflow's client: each call is one request, or a few, and may fail.

MLflow's client repeats a request whose answer is lost. What creates something is therefore sent as `single_requests`
says, and every other call does the same when it is carried out again.

MLflow is imported here, in `mlflow_source` and in `remote`, at the first use.

**Source** of names and arguments: `mlflow.MlflowClient` and its stores of MLflow 3.17; the private `store` behind the
client accepts what the public calls fill in themselves: the user of a run, and a missing end time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from mlquery.entities import DatasetInput, Experiment, LifecycleStage, RunInfo, RunStatus
from mlquery.errors import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, StoreError
from mlquery.remote.mlflow_client import call_error
from mlquery.sync.batches import Point
from mlquery.sync.content import ModelContent, Points, Summary
from mlquery.sync.mlflow_registry import INCOMPLETE_TAG
from mlquery.sync.mlflow_source import MlflowSource, content_of_model, experiment_of, summary_of_run
from mlquery.sync.single_requests import create_once, sending_once

_INCOMPLETE_RUNS: Final = "attributes.status = 'RUNNING'"  # what Azure takes: it compares tags for equality alone
_INCOMPLETE_MODELS: Final = f"tags.`{INCOMPLETE_TAG}` != ''"
_PARAMS_AT_FIRST: Final = 100  # of a new logged model: MLflow's client sends the others in further requests


class MlflowTarget(MlflowSource):
    """A server that is written to, and read like a source. Every call raises `StoreError` if it fails."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self._store = self._client._tracking_client.store
        self._once = sending_once(self._store)

    # Experiments

    def experiment_named(self, name: str) -> Experiment | None:
        """Return an experiment, a deleted one too."""
        found = self._call(self._client.get_experiment_by_name, name)
        return None if found is None else experiment_of(found)

    def experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment, a deleted one too."""
        return experiment_of(self._call(self._client.get_experiment, experiment_id))

    def create_experiment(self, name: str, tags: Mapping[str, str]) -> str:
        """Create an experiment, unless there is one of its name, and return its id."""
        from mlflow.entities import ExperimentTag

        experiment_tags = [ExperimentTag(key, value) for key, value in tags.items()]

        def find() -> str | None:
            found = self.experiment_named(name)
            return None if found is None else found.experiment_id

        return self.create(lambda: str(self._once.create_experiment(name, None, experiment_tags)), find)

    def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
        """Set a tag of an experiment."""
        self._call(self._client.set_experiment_tag, experiment_id, key, value)

    def delete_experiment(self, experiment_id: str) -> None:
        """Delete an experiment and all its runs, if it is not deleted."""
        try:
            self._call(self._client.delete_experiment, experiment_id)
        except StoreError:
            if self.experiment(experiment_id).lifecycle_stage != LifecycleStage.DELETED:
                raise

    # Runs

    def create_run(self, experiment_id: str, info: RunInfo, tags: Mapping[str, str]) -> str:
        """Create an incomplete run once and return its id."""
        from mlflow.entities import RunTag

        run_tags = [RunTag(key, value) for key, value in tags.items()]
        # A run cannot be created without a start time.
        start = info.start_time if info.start_time is not None else 0

        def create() -> str:
            about = (experiment_id, info.user_id or "", start, run_tags, info.run_name)
            return str(self._once.create_run(*about).info.run_id)

        def find() -> str | None:
            found, mark = self.incomplete_runs([experiment_id]), tags[INCOMPLETE_TAG]
            return next((run.info.run_id for run in found if run.tags[INCOMPLETE_TAG] == mark), None)

        return self.create(create, find)

    def incomplete_runs(self, experiment_ids: Sequence[str]) -> Iterator[Summary]:
        """Yield the runs to which nothing was sent, without those that are deleted."""
        query = {"experiment_ids": list(experiment_ids), "filter_string": _INCOMPLETE_RUNS}
        for run in map(summary_of_run, self._pages(self._client.search_runs, **query)):
            if INCOMPLETE_TAG in run.tags:
                yield run

    def run(self, run_id: str) -> tuple[Summary, dict[str, Points]]:
        """Return a run with its histories."""
        return self.details(summary_of_run(self._call(self._client.get_run, run_id)))

    def run_location(self, run_id: str) -> str:
        """Return where a run has its artifacts."""
        return str(self._call(self._client.get_run, run_id).info.artifact_uri)

    def log(self, run_id: str, points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Log a batch."""
        from mlflow.entities import Metric, Param, RunTag

        # MLflow 2 does not know from which model and dataset a point is.
        metrics = [
            Metric(key, value, timestamp, step, *((*of, run_id if of[0] else None) if any(of) else ()))
            for key, value, timestamp, step, *of in points
        ]
        run_params = [Param(key, value) for key, value in params.items()]
        run_tags = [RunTag(key, value) for key, value in tags.items()]
        self._call(self._store.log_batch, run_id, metrics, run_params, run_tags)

    def log_inputs(self, run_id: str, inputs: Sequence[DatasetInput], model_ids: Sequence[str]) -> None:
        """Log the datasets and models that a run read."""
        from mlflow import entities as mlflow_entities

        datasets = [
            mlflow_entities.DatasetInput(
                mlflow_entities.Dataset(*attrs.astuple(found.dataset)),
                [mlflow_entities.InputTag(tag.key, tag.value) for tag in found.tags],
            )
            for found in inputs
        ]
        models = [mlflow_entities.LoggedModelInput(one) for one in model_ids]  # which MLflow 2 does not have
        self._call(self._client.log_inputs, run_id, datasets, *([models] if models else []))

    def log_outputs(self, run_id: str, steps: Mapping[str, int]) -> None:
        """Log the models that a run wrote, with their steps."""
        from mlflow.entities.logged_model_output import LoggedModelOutput

        try:
            self._call(self._client.log_outputs, run_id, [LoggedModelOutput(one, step) for one, step in steps.items()])
        except StoreError:  # MLflow refuses what is logged again
            found = summary_of_run(self._call(self._client.get_run, run_id))
            if not steps.keys() <= found.outputs.keys():
                raise

    def end_run(self, run_id: str, info: RunInfo) -> None:
        """Set the status and the end time of a run."""
        self._call(self._store.update_run_info, run_id, RunStatus.from_string(info.status), info.end_time, None)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag of a run if it has it."""
        self._call_unless_missing(self._client.delete_tag, run_id, key)

    def set_run_stage(self, run_id: str, stage: str) -> None:
        """Delete or restore a run."""
        call = self._client.delete_run if stage == LifecycleStage.DELETED else self._client.restore_run
        self._call(call, run_id)

    # Models

    def create_model(self, experiment_id: str, content: ModelContent, run_id: str | None, mark: str) -> str:
        """Create an incomplete logged model once and return its id."""
        from mlflow.entities import LoggedModelParameter, LoggedModelTag

        model = content.model
        tags = [LoggedModelTag(key, value) for key, value in {**model.tags, INCOMPLETE_TAG: mark}.items()]
        params = [LoggedModelParameter(*item) for item in list(model.params.items())[:_PARAMS_AT_FIRST]]

        def create() -> str:
            about = (experiment_id, model.name, run_id, tags, params, model.model_type)
            return str(self._once.create_logged_model(*about).model_id)

        def find() -> str | None:
            found = (one.model for one in self.incomplete_models([experiment_id]))
            return next((one.model_id for one in found if one.tags[INCOMPLETE_TAG] == mark), None)

        return self.create(create, find)

    def incomplete_models(self, experiment_ids: Sequence[str]) -> Iterator[ModelContent]:
        """Yield the logged models that are incomplete and not deleted."""
        return (
            found for found in self.models(experiment_ids, _INCOMPLETE_MODELS) if INCOMPLETE_TAG in found.model.tags
        )

    def model(self, model_id: str) -> ModelContent:
        """Return a logged model."""
        return content_of_model(self._call(self._client.get_logged_model, model_id))

    def set_model_tags(self, model_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a logged model."""
        self._call(self._client.set_logged_model_tags, model_id, dict(tags))

    def log_model_params(self, model_id: str, params: Mapping[str, str]) -> None:
        """Add params to a logged model."""
        try:
            self._call(self._client.log_model_params, model_id, dict(params))
        except StoreError:  # MLflow refuses what is logged again
            if not params.items() <= dict(self.model(model_id).model.params).items():
                raise

    def end_model(self, model_id: str, status: int) -> None:
        """Set the status of a logged model."""
        from mlflow.entities import LoggedModelStatus

        self._call(self._client.finalize_logged_model, model_id, LoggedModelStatus.from_int(status))

    def delete_model_tag(self, model_id: str, key: str) -> None:
        """Delete a tag of a logged model if it has it."""
        self._call_unless_missing(self._client.delete_logged_model_tag, model_id, key)

    def delete_model(self, model_id: str) -> None:
        """Delete a logged model."""
        self._call(self._client.delete_logged_model, model_id)

    # Files

    def upload_file(self, kind: str, owner_id: str, local: Path, folder: str) -> None:
        """Upload a local file as an artifact of a "run" or of a logged "model", into a folder."""
        upload = self._client.log_artifact if kind == "run" else self._client.log_model_artifact
        self._call(upload, owner_id, str(local), folder or None)

    # Requests

    def create(self, create: Callable[[], str], find: Callable[[], str | None]) -> str:
        """Create something once, unless it is there; see `create_once`."""
        try:
            return create_once(create, find)
        except StoreError:
            raise
        except Exception as error:
            is_there = getattr(error, "error_code", "") == RESOURCE_ALREADY_EXISTS
            if is_there and (found := find()) is not None:
                return found
            raise call_error(self.name, error) from error

    def _call_unless_missing(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Make a call that deletes something, which may be gone."""
        try:
            self._call(call, *arguments)
        except StoreError as error:
            if error.error_code != RESOURCE_DOES_NOT_EXIST:
                raise
