"""Writes runs through MLflow's client: each call is one request, or a few, and may fail.

MLflow is imported here and in `mlflow_source` alone, at the first use.

**Source** of names and arguments: `mlflow.MlflowClient` and its stores of MLflow 3.17; the private `store` behind the
client accepts what the public calls fill in themselves: the user of a run, and a missing end time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from mlquery.entities import DatasetInput, Experiment, LifecycleStage, RunInfo, RunStatus
from mlquery.errors import StoreError
from mlquery.sync.batches import Point
from mlquery.sync.content import ModelContent, Points, Summary
from mlquery.sync.mlflow_source import MlflowSource, content_of_model, experiment_of, summary_of_run

INCOMPLETE_TAG: Final = "mlquery.pushing"
"""The tag of an incomplete run or model on the target; its value is the local id."""


class MlflowTarget(MlflowSource):
    """A server that is written to, and read like a source. Every call raises `StoreError` if it fails."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self._store = self._client._tracking_client.store

    # Experiments

    def experiment_named(self, name: str) -> Experiment | None:
        """Return an experiment, a deleted one too."""
        found = self._call(self._client.get_experiment_by_name, name)
        return None if found is None else experiment_of(found)

    def experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment, a deleted one too."""
        return experiment_of(self._call(self._client.get_experiment, experiment_id))

    def create_experiment(self, name: str, tags: Mapping[str, str]) -> str:
        """Create an experiment and return its id."""
        return str(self._call(self._client.create_experiment, name, None, dict(tags)))

    def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
        """Set a tag of an experiment."""
        self._call(self._client.set_experiment_tag, experiment_id, key, value)

    def delete_experiment(self, experiment_id: str) -> None:
        """Delete an experiment and all its runs."""
        self._call(self._client.delete_experiment, experiment_id)

    # Runs

    def create_run(self, experiment_id: str, info: RunInfo, tags: Mapping[str, str]) -> str:
        """Create a run and return its id."""
        from mlflow.entities import RunTag

        run_tags = [RunTag(key, value) for key, value in tags.items()]
        # A run cannot be created without a start time.
        start = info.start_time if info.start_time is not None else 0
        run = self._call(self._store.create_run, experiment_id, info.user_id or "", start, run_tags, info.run_name)
        return str(run.info.run_id)

    def find_incomplete_run(self, experiment_id: str, local_id: str) -> str | None:
        """Return the id of the incomplete run of a local id, None if there is none."""
        for run in self.runs([experiment_id], f"tags.`{INCOMPLETE_TAG}` = '{local_id}'"):
            if run.tags.get(INCOMPLETE_TAG) == local_id:
                return run.info.run_id
        return None

    def run(self, run_id: str) -> tuple[Summary, dict[str, Points]]:
        """Return a run with its histories."""
        return self.details(summary_of_run(self._call(self._client.get_run, run_id)))

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

        self._call(self._client.log_outputs, run_id, [LoggedModelOutput(one, step) for one, step in steps.items()])

    def end_run(self, run_id: str, info: RunInfo) -> None:
        """Set the status and the end time of a run."""
        self._call(self._store.update_run_info, run_id, RunStatus.from_string(info.status), info.end_time, None)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag of a run if it has it."""
        try:
            self._call(self._client.delete_tag, run_id, key)
        except StoreError as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise

    def set_run_stage(self, run_id: str, stage: str) -> None:
        """Delete or restore a run."""
        call = self._client.delete_run if stage == LifecycleStage.DELETED else self._client.restore_run
        self._call(call, run_id)

    # Models

    def create_model(self, experiment_id: str, content: ModelContent, run_id: str | None, local_id: str) -> str:
        """Create a logged model and return its id."""
        model = content.model
        tags, params = {**model.tags, INCOMPLETE_TAG: local_id}, dict(model.params)
        call = self._client.create_logged_model
        return str(self._call(call, experiment_id, model.name, run_id, tags, params, model.model_type).model_id)

    def find_incomplete_model(self, experiment_id: str, local_id: str) -> str | None:
        """Return the id of the incomplete logged model of a local id, None if there is none."""
        for content in self.models([experiment_id]):
            if content.model.tags.get(INCOMPLETE_TAG) == local_id:
                return content.model.model_id
        return None

    def model(self, model_id: str) -> ModelContent:
        """Return a logged model."""
        return content_of_model(self._call(self._client.get_logged_model, model_id))

    def set_model_tags(self, model_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a logged model."""
        self._call(self._client.set_logged_model_tags, model_id, dict(tags))

    def log_model_params(self, model_id: str, params: Mapping[str, str]) -> None:
        """Add params to a logged model."""
        self._call(self._client.log_model_params, model_id, dict(params))

    def end_model(self, model_id: str, status: int) -> None:
        """Set the status of a logged model."""
        from mlflow.entities import LoggedModelStatus

        self._call(self._client.finalize_logged_model, model_id, LoggedModelStatus.from_int(status))

    def delete_model_tag(self, model_id: str, key: str) -> None:
        """Delete a tag of a logged model."""
        self._call(self._client.delete_logged_model_tag, model_id, key)

    def delete_model(self, model_id: str) -> None:
        """Delete a logged model."""
        self._call(self._client.delete_logged_model, model_id)

    # Files

    def upload_file(self, kind: str, owner_id: str, local: Path, folder: str) -> None:
        """Upload a local file as an artifact of a "run" or of a logged "model", into a folder."""
        upload = self._client.log_artifact if kind == "run" else self._client.log_model_artifact
        self._call(upload, owner_id, str(local), folder or None)
