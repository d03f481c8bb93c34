"""The server that runs are pushed to, through MLflow's client: each call is one request, or a few, and may fail.

MLflow is imported here and in `server` alone, at the first use. What is to be sent is not decided here.

**Source** of names and arguments: `mlflow.MlflowClient` and its stores of MLflow 3.17; the private `store` behind the
client takes what the public calls make up themselves: the user of a run and the end of a run that has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from mlquery.entities import DatasetInput, Experiment, LifecycleStage, RunInfo, RunStatus
from mlquery.errors import StoreError
from mlquery.sync.batches import Point
from mlquery.sync.content import ModelContent, Points, Summary
from mlquery.sync.mlflow_source import ServerSource, content_of_model, experiment_of, summary_of_run
from mlquery.sync.source import SourceFile

MARK: Final = "mlquery.pushing"
"""The tag that a run or a model bears on the target, with its id here, until all of it is there."""


class Target(ServerSource):
    """A server that is written to; what is there already is asked as of a source. Raises `StoreError`."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self._store = self._client._tracking_client.store

    # Experiments

    def experiment_named(self, name: str) -> Experiment | None:
        """Return an experiment, a deleted one too."""
        found = self._asked(self._client.get_experiment_by_name, name)
        return None if found is None else experiment_of(found)

    def experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment, a deleted one too."""
        return experiment_of(self._asked(self._client.get_experiment, experiment_id))

    def create_experiment(self, name: str, tags: Mapping[str, str]) -> str:
        """Create an experiment and return its id."""
        return str(self._asked(self._client.create_experiment, name, None, dict(tags)))

    def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
        """Set a tag of an experiment."""
        self._asked(self._client.set_experiment_tag, experiment_id, key, value)

    def delete_experiment(self, experiment_id: str) -> None:
        """Delete an experiment and all its runs."""
        self._asked(self._client.delete_experiment, experiment_id)

    # Runs

    def create_run(self, experiment_id: str, info: RunInfo, tags: Mapping[str, str]) -> str:
        """Create a run and return its id."""
        from mlflow.entities import RunTag

        own_tags = [RunTag(key, value) for key, value in tags.items()]
        # A run whose start nobody knows cannot be created without one.
        start = info.start_time if info.start_time is not None else 0
        run = self._asked(self._store.create_run, experiment_id, info.user_id or "", start, own_tags, info.run_name)
        return str(run.info.run_id)

    def run_marked(self, experiment_id: str, own_id: str) -> str | None:
        """Return the id of the run that bears the mark of one here, None if there is none."""
        for run in self.runs([experiment_id], f"tags.`{MARK}` = '{own_id}'"):
            if run.tags.get(MARK) == own_id:
                return run.info.run_id
        return None

    def run(self, run_id: str) -> tuple[Summary, dict[str, Points]]:
        """Return a run with its histories."""
        return self.details(summary_of_run(self._asked(self._client.get_run, run_id)))

    def log(self, run_id: str, points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Log a batch."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = [
            Metric(key, value, timestamp, step, model_id, name, digest, run_id if model_id else None)
            for key, value, timestamp, step, model_id, name, digest in points
        ]
        own_params = [Param(key, value) for key, value in params.items()]
        own_tags = [RunTag(key, value) for key, value in tags.items()]
        self._asked(self._store.log_batch, run_id, metrics, own_params, own_tags)

    def log_inputs(self, run_id: str, inputs: Sequence[DatasetInput], model_ids: Sequence[str]) -> None:
        """Record what a run read."""
        from mlflow import entities as theirs
        from mlflow.entities.logged_model_input import LoggedModelInput

        datasets = [
            theirs.DatasetInput(
                theirs.Dataset(*(getattr(found.dataset, name) for name in _DATASET)),
                [theirs.InputTag(tag.key, tag.value) for tag in found.tags],
            )
            for found in inputs
        ]
        self._asked(self._client.log_inputs, run_id, datasets, [LoggedModelInput(one) for one in model_ids] or None)

    def log_outputs(self, run_id: str, steps: Mapping[str, int]) -> None:
        """Record which models a run wrote."""
        from mlflow.entities.logged_model_output import LoggedModelOutput

        self._asked(self._client.log_outputs, run_id, [LoggedModelOutput(one, step) for one, step in steps.items()])

    def end_run(self, run_id: str, info: RunInfo) -> None:
        """Set status and end of a run as they are here."""
        self._asked(self._store.update_run_info, run_id, RunStatus.from_string(info.status), info.end_time, None)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag of a run; one that is not there does not matter."""
        try:
            self._asked(self._client.delete_tag, run_id, key)
        except StoreError as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise

    def set_run_stage(self, run_id: str, stage: str) -> None:
        """Delete or restore a run."""
        call = self._client.delete_run if stage == LifecycleStage.DELETED else self._client.restore_run
        self._asked(call, run_id)

    # Models

    def create_model(self, experiment_id: str, content: ModelContent, run_id: str | None, mark: str) -> str:
        """Create a logged model and return its id."""
        model = content.model
        tags, params = {**model.tags, MARK: mark}, dict(model.params)
        call = self._client.create_logged_model
        return str(self._asked(call, experiment_id, model.name, run_id, tags, params, model.model_type).model_id)

    def model_marked(self, experiment_id: str, own_id: str) -> str | None:
        """Return the id of the model that bears the mark of one here, None if there is none."""
        for content in self.models([experiment_id]):
            if content.model.tags.get(MARK) == own_id:
                return content.model.model_id
        return None

    def model(self, model_id: str) -> ModelContent:
        """Return a logged model."""
        return content_of_model(self._asked(self._client.get_logged_model, model_id))

    def set_model_tags(self, model_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a logged model."""
        self._asked(self._client.set_logged_model_tags, model_id, dict(tags))

    def log_model_params(self, model_id: str, params: Mapping[str, str]) -> None:
        """Add params to a logged model."""
        self._asked(self._client.log_model_params, model_id, dict(params))

    def end_model(self, model_id: str, status: int) -> None:
        """Give a logged model its status."""
        from mlflow.entities import LoggedModelStatus

        self._asked(self._client.finalize_logged_model, model_id, LoggedModelStatus.from_int(status))

    def delete_model_tag(self, model_id: str, key: str) -> None:
        """Delete a tag of a logged model."""
        self._asked(self._client.delete_logged_model_tag, model_id, key)

    def delete_model(self, model_id: str) -> None:
        """Delete a logged model."""
        self._asked(self._client.delete_logged_model, model_id)

    # Files

    def send_run_file(self, run_id: str, local: Path, folder: str) -> None:
        """Store a local file as an artifact of a run, in a folder."""
        self._asked(self._client.log_artifact, run_id, str(local), folder or None)

    def send_model_file(self, model_id: str, local: Path, folder: str) -> None:
        """Store a local file as one of a logged model, in a folder."""
        self._asked(self._client.log_model_artifact, model_id, str(local), folder or None)

    def files_of(self, list_files: Callable[[], Iterator[SourceFile]]) -> dict[str, int]:
        """Return path and size of files on the target."""
        return {file.path: file.size for file in list_files()}


_DATASET: Final = ("name", "digest", "source_type", "source", "schema", "profile")
