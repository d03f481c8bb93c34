"""`Client`: the calls of `mlflow.MlflowClient` about experiments, runs, searches and artifacts, on a `Store`.

It turns a call into a call of the store or a search, with the defaults and conversions of MLflow's own client. What a
dialect forbids, limits or adds is read from the matrix.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from typing import Any, cast

from mlquery.backend.nesting import PARENT, ROOT, root_of
from mlquery.client import files
from mlquery.client.values import (
    RunOperations,
    batches,
    metric_value,
    own_dataset_input,
    own_metric,
    performed,
    stored_text,
)
from mlquery.entities import (
    DatasetInput,
    Experiment,
    ExperimentTag,
    FileInfo,
    Metric,
    PagedList,
    Param,
    Run,
    RunStatus,
    RunTag,
    ViewType,
)
from mlquery.errors import QueryWarning, invalid_parameter
from mlquery.language.matrix import MATRIX
from mlquery.query.search import search_experiments, search_runs
from mlquery.store import Store
from mlquery.store.limits import Limits

_RUN_ID = re.compile(r"^[a-zA-Z0-9][\w\-]{0,255}$")
_USER = "mlflow.user"


class _Calls:
    """A store as its clients see it: every call first meets the faults that a test has asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        self._store.faults.before(name)
        return getattr(self._store, name)


class Client:
    """Answers the calls of `mlflow.MlflowClient` from memory, in one dialect.

    Names, arguments, defaults and return shapes are those of MLflow 3.17; times are integer milliseconds UTC. Calls
    about data raise StoreError with MLflow's error codes, searches raise QueryError. Objects of MLflow (`Metric`,
    `Param`, `RunTag`, `DatasetInput`) are taken as well as those of `mlquery.entities`.

    Args:
        store: What to work on; a new, empty store by default.
        dialect: A dialect of the support matrix.

    **Source**: `mlflow.MlflowClient` of MLflow 3.17; the matrix for what a dialect changes.
    """

    def __init__(self, store: Store | None = None, dialect: str = "oss") -> None:
        self._column = MATRIX.dialect(dialect)
        self.dialect = self._column.name
        self.store = Store(guid_ids=self._column.behaves("id.guid")) if store is None else store
        self._calls = cast(Store, _Calls(self.store))
        self._limits = Limits(**self._column.enforced_limits)

    def __repr__(self) -> str:
        return f"<Client: dialect={self.dialect!r}, store={self.store!r}>"

    @property
    def tracking_uri(self) -> str:
        """Name what answers; there is nothing to connect to."""
        return f"mlquery:{self.dialect}"

    def _require(self, call: str, entity: str) -> None:
        """Refuse a call that the dialect does not support; warn of one that no source speaks of."""
        verdict = self._column.require_call(call, entity)
        if verdict is not None and verdict.state == "silent":
            message = f"no source says that {self.dialect} supports {call}  [{verdict.feature.id}]"
            warnings.warn(message, QueryWarning, stacklevel=3)

    # Experiments

    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: dict[str, Any] | None = None
    ) -> str:
        """Create an experiment and return its id."""
        if artifact_location is not None and artifact_location.startswith("runs:"):
            raise invalid_parameter(f"Artifact location cannot be a runs:/ URI. Given: '{artifact_location}'")
        own_tags = [ExperimentTag(key, value) for key, value in tags.items()] if tags else []
        return self._calls.create_experiment(name, artifact_location, own_tags, limits=self._limits)

    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment."""
        return self._calls.get_experiment(experiment_id)

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """Return an experiment, or None if no experiment has that name."""
        return self._calls.get_experiment_by_name(name)

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int | None = 1000,
        filter_string: str | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """Return one page of the experiments that match a filter."""
        size: Any = max_results  # None is refused, as by MLflow
        self.store.faults.before("search_experiments")
        return search_experiments(
            self.store, view_type, size, filter_string, order_by, page_token, dialect=self.dialect
        )

    def delete_experiment(self, experiment_id: str) -> None:
        """Archive an experiment and its runs."""
        self._require("delete_experiment", "experiment")
        self._calls.delete_experiment(experiment_id)

    def restore_experiment(self, experiment_id: str) -> None:
        """Bring an archived experiment and its runs back."""
        self._require("restore_experiment", "experiment")
        self._calls.restore_experiment(experiment_id)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """Rename an experiment."""
        self._require("rename_experiment", "experiment")
        self._calls.rename_experiment(experiment_id, new_name, limits=self._limits)

    def set_experiment_tag(self, experiment_id: str, key: str, value: Any) -> None:
        """Set a tag of an experiment; the value is stored as text."""
        self._calls.set_experiment_tag(experiment_id, ExperimentTag(key, str(value)), limits=self._limits)

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Delete a tag of an experiment."""
        self._calls.delete_experiment_tag(experiment_id, key)

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
        own_tags = [RunTag(key, stored_text(value)) for key, value in (tags or {}).items() if value is not None]
        user_id, run_name = stored_text((tags or {}).get(_USER, "unknown")), stored_text(run_name)
        create_run = self._calls.create_run  # a fault that takes its time holds no lock
        with self.store.lock:
            run = create_run(
                experiment_id, user_id, start_time or self.store.clock(), own_tags, run_name, limits=self._limits
            )
            if not self._column.behaves("tag.rootRunId"):
                return run
            self.store.set_tag(run.info.run_id, RunTag(ROOT, root_of(self.store, run)))
            return self.store.get_run(run.info.run_id)

    def get_run(self, run_id: str) -> Run:
        """Return a run."""
        if _RUN_ID.match(run_id) is None:
            raise invalid_parameter(f"Invalid value \"{run_id}\" for parameter 'run_id' supplied.")
        return self._calls.get_run(run_id)

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
        self.store.faults.before("search_runs")
        ids: Any = [experiment_ids] if isinstance(experiment_ids, int | str) else experiment_ids
        return search_runs(
            self.store, ids, filter_string, run_view_type, max_results, order_by, page_token, dialect=self.dialect
        )

    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        """Change the status or the name of a run."""
        if status is None and name is None:
            return
        info = self.get_run(run_id).info
        number = RunStatus.from_string(status or info.status)
        self._calls.update_run_info(run_id, number, info.end_time, name, limits=self._limits)

    def set_terminated(self, run_id: str, status: str | None = None, end_time: int | None = None) -> None:
        """End a run, by default now and as "FINISHED"."""
        end_time = end_time or self.store.clock()
        number = RunStatus.from_string(status or "FINISHED")
        self._calls.update_run_info(run_id, number, end_time, None, limits=self._limits)

    def delete_run(self, run_id: str) -> None:
        """Delete a run; it can be restored."""
        self._require("delete_run", "run")
        self._calls.delete_run(run_id)

    def restore_run(self, run_id: str) -> None:
        """Bring a deleted run back."""
        self._require("restore_run", "run")
        self._calls.restore_run(run_id)

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
        timestamp = self.store.clock() if timestamp is None else timestamp
        step = 0 if step is None else step
        metric = Metric(key, metric_value(value), timestamp, step, model_id, dataset_name, dataset_digest)
        return performed(synchronous, lambda: self._calls.log_metric(run_id, metric, limits=self._limits))

    def log_param(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> Any:
        """Log a param as text and return its value; a param that is logged cannot be changed."""
        param = Param(key, str(value))
        done = performed(synchronous, lambda: self._calls.log_param(run_id, param, limits=self._limits))
        return value if done is None else done

    def set_tag(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> RunOperations | None:
        """Set a tag of a run; the value is stored as text."""
        tag = RunTag(key, str(value))
        return performed(synchronous, lambda: self._calls.set_tag(run_id, tag, limits=self._limits))

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag of a run."""
        self._calls.delete_tag(run_id, key)

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        synchronous: bool | None = None,
    ) -> RunOperations | None:
        """Log metrics, params and tags in batches, each of them all-or-nothing."""
        own_metrics = [own_metric(metric) for metric in metrics]
        own_params = [Param(param.key, str(param.value)) for param in params]

        def write() -> None:
            for some_metrics, some_params, some_tags in batches(own_metrics, own_params, tags):
                self._calls.log_batch(run_id, some_metrics, some_params, some_tags, limits=self._limits)

        return performed(synchronous, write) if metrics or params or tags else None

    def log_inputs(
        self, run_id: str, datasets: Sequence[DatasetInput] | None = None, models: Sequence[Any] | None = None
    ) -> None:
        """Log the datasets that a run read; models are not kept here."""
        if models:
            raise invalid_parameter("mlquery keeps no logged models: pass `datasets` only")
        inputs = [own_dataset_input(dataset_input) for dataset_input in datasets or ()]
        self._calls.log_inputs(run_id, inputs, limits=self._limits)

    def get_metric_history(self, run_id: str, key: str) -> PagedList[Metric]:
        """Return every point that was logged for a metric, an empty list if there is none."""
        return self._calls.get_metric_history(run_id, key)

    # Artifacts, which are kept in memory

    def log_artifact(self, run_id: str, local_path: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """Store a local file or folder with a run, below the folder `artifact_path`."""
        self.get_run(run_id)
        files.upload(self.store, run_id, local_path, artifact_path)

    def log_artifacts(self, run_id: str, local_dir: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """Store the contents of a local folder with a run, below the folder `artifact_path`."""
        self.get_run(run_id)
        files.upload_folder(self.store, run_id, local_dir, artifact_path)

    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        """Store a text with a run, in UTF-8."""
        self.get_run(run_id)
        files.write(self.store, run_id, *files.split(artifact_file), text.encode("utf-8"))

    def log_dict(self, run_id: str, dictionary: dict[str, Any], artifact_file: str) -> None:
        """Store a dictionary with a run, as YAML where the file is named so and as JSON elsewhere."""
        self.log_text(run_id, files.as_text(dictionary, artifact_file), artifact_file)

    def log_stream(self, run_id: str, stream: Any, artifact_file: str) -> None:
        """Store what a binary stream holds with a run."""
        self.get_run(run_id)
        files.write(self.store, run_id, *files.split(artifact_file), stream.read())

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[FileInfo]:
        """Return the files and folders in a folder of a run's artifacts, sorted by path."""
        self.get_run(run_id)
        return files.listed(self.store, run_id, path)

    def download_artifacts(self, run_id: str, path: str, dst_path: str | None = None) -> str:
        """Write an artifact, or a folder of them, to the local disk and return the path of the copy."""
        self.get_run(run_id)
        return files.download(self.store, run_id, path, dst_path)
