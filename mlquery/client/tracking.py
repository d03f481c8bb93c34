"""The calls of `MlflowClient` about experiments, runs, what runs log, searches and artifacts.

It turns a call into a call of the backend, with the defaults and conversions of MLflow's own client.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from mlquery.backend import Backend
from mlquery.backend.artifacts import not_downloaded
from mlquery.backend.runs import PARENT, USER
from mlquery.client import files
from mlquery.client.values import (
    ASYNC_LOGGING,
    RunOperations,
    batches,
    is_synchronous,
    metric_value,
    own_metric,
    performed,
)
from mlquery.entities import (
    DatasetInput,
    Experiment,
    ExperimentTag,
    FileInfo,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    PagedList,
    Param,
    Run,
    RunStatus,
    RunTag,
    ViewType,
)
from mlquery.errors import invalid_parameter
from mlquery.query.page_tokens import all_pages
from mlquery.store.fast_entities import make_point

_RUN_ID: Final = re.compile(r"^[a-zA-Z0-9][\w\-]{0,255}$")
_PAGE: Final = 100


class TrackingCalls:
    """The calls of a client about experiments and runs."""

    backend: Backend

    # Experiments

    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: dict[str, Any] | None = None
    ) -> str:
        """Create an experiment and return its id."""
        if artifact_location is not None and artifact_location.startswith("runs:"):
            raise invalid_parameter(f"Artifact location cannot be a runs:/ URI. Given: '{artifact_location}'")
        own_tags = [ExperimentTag(key, value) for key, value in (tags or {}).items()]
        return self.backend.create_experiment(name, artifact_location, own_tags)

    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment."""
        return self.backend.get_experiment(experiment_id)

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """Return an experiment, or None if no experiment has that name."""
        return self.backend.get_experiment_by_name(name)

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int | None = 1000,
        filter_string: str | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """Return one page of the experiments that match a filter."""
        return self.backend.search_experiments(view_type, max_results, filter_string, order_by, page_token)

    def delete_experiment(self, experiment_id: str) -> None:
        """Archive an experiment and its runs."""
        self.backend.delete_experiment(experiment_id)

    def restore_experiment(self, experiment_id: str) -> None:
        """Bring an archived experiment and its runs back."""
        self.backend.restore_experiment(experiment_id)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """Rename an experiment."""
        self.backend.rename_experiment(experiment_id, new_name)

    def set_experiment_tag(self, experiment_id: str, key: str, value: Any) -> None:
        """Set a tag of an experiment; the value is stored as a string."""
        self.backend.set_experiment_tag(experiment_id, ExperimentTag(key, str(value)))

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Delete a tag of an experiment."""
        self.backend.delete_experiment_tag(experiment_id, key)

    # Runs

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: dict[str, Any] | None = None,
        run_name: str | None = None,
    ) -> Run:
        """Create a run that starts now unless `start_time` says otherwise, and return it.

        A tag whose value is None is left out: MLflow stores it so that no filter finds it.
        """
        tags = tags or {}
        own_tags = [RunTag(key, value) for key, value in tags.items()]
        now = None if start_time else self.backend.clock()
        started = start_time or now or 0
        return self.backend.create_run(experiment_id, tags.get(USER, "unknown"), started, own_tags, run_name, now=now)

    def get_run(self, run_id: str) -> Run:
        """Return a run."""
        if _RUN_ID.match(run_id) is None:
            raise invalid_parameter(f"Invalid value \"{run_id}\" for parameter 'run_id' supplied.")
        run: Run = self.backend.get_run(run_id)
        return run

    def get_parent_run(self, run_id: str) -> Run | None:
        """Return the run that a run is nested in, or None for a run that is not nested."""
        parent_id = self.get_run(run_id).data.tags.get(PARENT)
        return None if parent_id is None else self.get_run(parent_id)

    def search_runs(
        self,
        experiment_ids: list[str] | str | int,
        filter_string: str = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Run]:
        """Return one page of the runs that match a filter; a single experiment id needs no list."""
        ids: Any = [experiment_ids] if isinstance(experiment_ids, int | str) else experiment_ids
        return self.backend.search_runs(ids, filter_string, run_view_type, max_results, order_by, page_token)

    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        """Change the status or the name of a run."""
        if status is None and name is None:
            return
        info = self.get_run(run_id).info
        self.backend.update_run_info(run_id, RunStatus.from_string(status or info.status), info.end_time, name)

    def set_terminated(self, run_id: str, status: str | None = None, end_time: int | None = None) -> None:
        """End a run, by default now and as "FINISHED"."""
        now = None if end_time else self.backend.clock()
        ended = RunStatus.from_string(status or "FINISHED")
        self.backend.update_run_info(run_id, ended, end_time or now, None, now=now)

    def delete_run(self, run_id: str) -> None:
        """Delete a run; it can be restored."""
        self.backend.delete_run(run_id)

    def restore_run(self, run_id: str) -> None:
        """Bring a deleted run back."""
        self.backend.restore_run(run_id)

    # What runs log

    def log_metric(
        self,
        run_id: str,
        key: str,
        value: float,
        timestamp: int | None = None,
        step: int | None = None,
        synchronous: bool | None = None,
        dataset_name: str | None = None,
        dataset_digest: str | None = None,
        model_id: str | None = None,
    ) -> RunOperations | None:
        """Log one point of a metric, by default now and at step 0."""
        backend = self.backend
        if type(value) is not float:
            value = metric_value(value)
        now = None
        if timestamp is None:
            timestamp = now = backend.clock()
        step = 0 if step is None else step
        if model_id is None and dataset_name is None and dataset_digest is None:
            metric: Metric = make_point(key, value, timestamp, step)
        else:
            metric = Metric(key, value, timestamp, step, model_id, dataset_name, dataset_digest)
        if synchronous is None and ASYNC_LOGGING in os.environ:  # looked up here, as the most frequent call of all
            synchronous = is_synchronous(None)
        if synchronous is False:
            return performed(lambda: backend.log_metric(run_id, metric, now))
        backend.log_metric(run_id, metric, now)
        return None

    def log_param(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> Any:
        """Log a param as a string and return its value; a param that is logged cannot be changed."""
        param = Param(key, str(value))
        if not is_synchronous(synchronous):
            return performed(lambda: self.backend.log_param(run_id, param))
        self.backend.log_param(run_id, param)
        return value

    def set_tag(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> RunOperations | None:
        """Set a tag of a run; the value is stored as a string."""
        tag = RunTag(key, str(value))
        if not is_synchronous(synchronous):
            return performed(lambda: self.backend.set_tag(run_id, tag))
        self.backend.set_tag(run_id, tag)
        return None

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag of a run."""
        self.backend.delete_tag(run_id, key)

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        synchronous: bool | None = None,
    ) -> RunOperations | None:
        """Log metrics, params and tags in batches, each of them all-or-nothing."""
        return log_batches(self.backend, run_id, metrics, params, tags, synchronous)

    def log_inputs(
        self,
        run_id: str,
        datasets: Sequence[DatasetInput] | None = None,
        models: Sequence[LoggedModelInput] | None = None,
    ) -> None:
        """Log the datasets and logged models that a run read."""
        self.backend.log_inputs(run_id, list(datasets or ()), models)

    def log_outputs(self, run_id: str, models: list[LoggedModelOutput]) -> None:
        """Log the logged models that a run wrote."""
        self.backend.log_outputs(run_id, models)

    def get_metric_history(self, run_id: str, key: str) -> PagedList[Metric]:
        """Return every point that was logged for a metric, an empty list if there is none."""
        return self.backend.get_metric_history(run_id, key)

    # Artifacts

    def log_artifact(self, run_id: str, local_path: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """Store a local file or folder with a run, below the folder `artifact_path`."""
        self.get_run(run_id)
        log_local(self.backend, run_id, local_path, artifact_path)

    def log_artifacts(self, run_id: str, local_dir: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """Store the contents of a local folder with a run, below the folder `artifact_path`."""
        self.get_run(run_id)
        files.require_plain(artifact_path)
        self.backend.log_artifacts(run_id, files.files_below(local_dir, artifact_path))

    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        """Store a string with a run, in UTF-8."""
        self.get_run(run_id)
        self.backend.log_artifact(run_id, files.inside(*files.split(artifact_file)), text.encode("utf-8"))

    def log_dict(self, run_id: str, dictionary: dict[str, Any], artifact_file: str) -> None:
        """Store a dictionary with a run, as YAML where the file is named so and as JSON elsewhere."""
        self.log_text(run_id, files.as_string(dictionary, artifact_file), artifact_file)

    def log_stream(self, run_id: str, stream: Any, artifact_file: str) -> None:
        """Store what a binary stream holds with a run."""
        self.get_run(run_id)
        self.backend.log_artifact_from_stream(run_id, files.inside(*files.split(artifact_file)), stream)

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[FileInfo]:
        """Return the files and folders in a folder of a run's artifacts, sorted by path.

        Those of a logged model of the run follow where its name is the first part of the path.

        **Source**: `mlflow.store.artifact.runs_artifact_repo.RunsArtifactRepository` of MLflow 3.17.
        """
        run, folder = self.get_run(run_id), files.folder_of(path)
        found = self.backend.list_artifacts(run_id, folder)
        if folder is None:
            return found
        name, _, inside = folder.partition("/")
        model_id = self._logged_model_of(run, name)
        of_model = [] if model_id is None else self.backend.list_artifacts(model_id, inside)
        return found + [FileInfo(f"{name}/{file.path}", file.is_dir, file.file_size) for file in of_model]

    def download_artifacts(self, run_id: str, path: str, dst_path: str | None = None) -> str:
        """Write an artifact, or a folder of them, to the local disk and return the path of the copy.

        What a logged model of the run has at the path is written too. As in MLflow every failure counts as a missing
        artifact.

        Raises:
            StoreError: RESOURCE_DOES_NOT_EXIST, nothing was downloaded.
        """
        from tempfile import mkdtemp  # takes longer to load than the rest of this module

        run, folder = self.get_run(run_id), files.folder_of(path)
        local = mkdtemp() if dst_path is None else dst_path
        copies = [
            _attempted(lambda: files.write_download(self.backend.download_artifacts(run_id, folder), path, local)),
            _attempted(lambda: self._download_from_model(run, folder, local)),
        ]
        for copy in copies:
            if copy is not None:
                return copy
        raise not_downloaded(path or "")

    def _download_from_model(self, run: Run, path: str | None, local: str) -> str | None:
        """Write what a logged model of a run has at a path that starts with its name; None if there is none."""
        name, _, inside = (path or "").partition("/")
        model_id = self._logged_model_of(run, name) if name else None
        if model_id is None:
            return None
        top = os.path.join(local, name)
        files.write_download(self.backend.download_artifacts(model_id, inside), None, top)
        return os.path.join(top, inside) if inside else top

    def _logged_model_of(self, run: Run, name: str) -> str | None:
        """Return the id of the newest logged model of a run that has a name.

        A service that has no logged models has none of that name. MLflow 3's own client fails there, the clients of
        MLflow 2 do not ask; see the case page-data.model-files.
        """
        if "logged_models" in self.backend.missing:
            return None
        search = partial(self.backend.search_logged_models, [run.info.experiment_id], f"name = '{name}'")
        of_run = (model.model_id for model in all_pages(search, _PAGE) if model.source_run_id == run.info.run_id)
        return next(of_run, None)


def log_batches(
    backend: Backend,
    run_id: str,
    metrics: Sequence[Metric] = (),
    params: Sequence[Param] = (),
    tags: Sequence[RunTag] = (),
    synchronous: bool | None = None,
    now: int | None = None,
) -> RunOperations | None:
    """Log what `Client.log_batch` is given; a metric whose time is `now`, what the clock said, was given none."""
    if not (metrics or params or tags):
        return None
    own_metrics = [own_metric(metric) for metric in metrics]
    own_params = [Param(param.key, str(param.value)) for param in params]

    def write() -> None:
        for batch in batches(own_metrics, own_params, tags):
            backend.log_batch(run_id, *batch, now=now)

    if not is_synchronous(synchronous):
        return performed(write)
    write()
    return None


def _attempted(download: Callable[[], str | None]) -> str | None:
    try:
        return download()
    except Exception:
        return None


def log_local(
    backend: Backend, owner_id: str, local_path: str | os.PathLike[str], artifact_path: str | None = None
) -> None:
    """Store a local file, or a folder under its own name, with a run or a logged model."""
    found = files.files_of(local_path, artifact_path)
    if os.path.isdir(local_path):
        backend.log_artifacts(owner_id, found)
    else:
        for path, content in found:
            backend.log_artifact(owner_id, path, content)
