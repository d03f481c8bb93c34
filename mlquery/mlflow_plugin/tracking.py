"""The tracking store that `mlflow.set_tracking_uri("mlquery://…")` means: MLflow's calls as calls of a backend.

It holds a URI and nothing else; see `uris`. What MLflow's stores can do and this one cannot is refused by name: those
methods are found in MLflow's classes, so that none is missing silently when MLflow grows.

Where it differs from MLflow's store on SQLite, on purpose (the list with reasons is `conformance/differences.toml`):

1. A batch is logged whole or not at all. There a batch that the database refuses has been written in part.
2. A time or a step with a fraction is refused. There it is kept in a column of integers and cannot be searched.
3. Of calls in one millisecond that give no time, each has a later one. There they have the same, and take longer.
4. A refused search says where in the query the problem is, in words of its own; the error code is the same, also of
   several problems in one query. So are the words where the wording there is the database's (BAD_REQUEST,
   INTERNAL_ERROR).
5. A tag that is None is left out, and taken away where it was set. There it is kept and no filter finds it.
6. What is logged asynchronously is there when the call returns, so that a test need not wait. Failures still wait.
7. Empty folders are no artifacts, as in any store of objects.
8. A run on disk that is active when an uncaught exception ends the script is FAILED. There it is FINISHED.
9. Traces, scorers, prompts, the gateway, evaluation datasets and the like are refused with NOT_IMPLEMENTED. Code that
   traces runs: its traces are dropped, with one warning.

In a dialect with a service behind it (Azure Machine Learning): logged models answer 404 and traces 403, as observed.
MLflow 3 therefore cannot log a model there with `log_model`, and autologging leaves out the model, here as there.

**Source** of names, arguments and answers: `AbstractStore` and `SqlAlchemyStore` of MLflow 3.17.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final

import mlflow.entities as mlflow_entities
from mlflow.entities.metric import MetricWithRunId
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.store.tracking.rest_store import RestStore
from mlflow.utils import name_utils
from mlflow.utils.async_logging.run_operations import RunOperations

from mlquery.backend import Backend
from mlquery.backend.logging import TRACES_ARE_NOT_KEPT
from mlquery.backend.registered_models import outside
from mlquery.errors import MockWarning
from mlquery.mlflow_plugin import convert
from mlquery.mlflow_plugin.calls import backend_of, forwarded, other_methods, served
from mlquery.mlflow_plugin.exits import end_active_run_at_exit
from mlquery.mlflow_plugin.model_search import read_filter
from mlquery.mlflow_plugin.releases import takes
from mlquery.mlflow_plugin.shown import empty_list
from mlquery.mlflow_plugin.times import note_times, taken
from mlquery.mlflow_plugin.uris import replacement


def _new_name() -> str:
    """Return a name such as MLflow makes, by its own generator: what a test does to that is seen here, too."""
    name: str = name_utils._generate_random_name()
    return name


class TrackingStore(AbstractStore):
    """A tracking store in memory or on disk.

    Args:
        store_uri: What to work on, "mlquery://NAME?dialect=azure" or less.
        artifact_uri: Not needed; MLflow passes it to every store.

    Raises:
        MlflowException: The URI means nothing.
    """

    DEFAULT_EXPERIMENT_ID = "0"  # as MLflow's own stores on disk name it; every dialect takes it

    def __init__(self, store_uri: str = "mlquery://", artifact_uri: str | None = None) -> None:
        self.uri = store_uri
        super().__init__()
        backend_of(store_uri)
        note_times()
        end_active_run_at_exit()

    def __repr__(self) -> str:
        return f"<TrackingStore: {self.uri!r}>"

    # Experiments

    create_experiment = forwarded(Backend.create_experiment)
    get_experiment = forwarded(Backend.get_experiment, convert.experiment)
    get_experiment_by_name = forwarded(Backend.get_experiment_by_name, convert.experiment)
    search_experiments = forwarded(Backend.search_experiments, convert.page_of(convert.experiment))
    delete_experiment = forwarded(Backend.delete_experiment)
    restore_experiment = forwarded(Backend.restore_experiment)
    rename_experiment = forwarded(Backend.rename_experiment)
    set_experiment_tag = forwarded(Backend.set_experiment_tag)
    delete_experiment_tag = forwarded(Backend.delete_experiment_tag)
    filter_active_experiment_ids = forwarded(Backend.filter_active_experiment_ids)

    # Runs

    create_run = forwarded(Backend.create_run, convert.new_run, is_timed=True, new_name=_new_name)
    get_run = forwarded(Backend.get_run, read=convert.runs_with_inputs_at)
    search_runs = forwarded(Backend.search_runs, convert.page, read=convert.runs_at)
    update_run_info = forwarded(Backend.update_run_info, convert.run_info, is_timed=True)
    delete_run = forwarded(Backend.delete_run)
    restore_run = forwarded(Backend.restore_run)

    def _search_runs(self, *args: Any) -> tuple[list[mlflow_entities.Run], str | None]:
        found = self.search_runs(*args)
        return found, found.token

    # What runs log

    log_metric = forwarded(Backend.log_metric, is_timed=True)
    log_param = forwarded(Backend.log_param)
    set_tag = forwarded(Backend.set_tag)
    delete_tag = forwarded(Backend.delete_tag)
    log_inputs = forwarded(Backend.log_inputs)
    log_outputs = forwarded(Backend.log_outputs)
    _search_datasets = forwarded(Backend.search_datasets, convert.dataset_summaries)

    @served
    def log_batch(
        self, backend: Backend, run_id: str, metrics: Sequence[Any], params: Sequence[Any], tags: Sequence[Any]
    ) -> None:
        """Log metrics, params and tags together, or nothing if any of them is refused."""
        # A client that logs more than a batch may hold cuts it up, and gives one time to all of it.
        is_last = len(metrics) + len(params) + len(tags) < backend.limits.entities_per_batch
        backend.log_batch(run_id, metrics, params, tags, now=taken(is_last) if metrics else None)

    @served
    def record_logged_model(self, backend: Backend, run_id: str, mlflow_model: Any) -> None:
        """Add a model of MLflow 2 to the tag that lists the models of a run.

        Raises:
            TypeError: It is no `mlflow.models.Model`.
        """
        from mlflow.models import Model  # imports much that only models need

        if not isinstance(mlflow_model, Model):
            kind = type(mlflow_model).__name__
            raise TypeError(f"mlflow_model must be a mlflow.models.Model with a model's flavors, not of type {kind}")
        backend.record_logged_model(run_id, mlflow_model.get_tags_dict())

    @served
    def start_trace(self, backend: Backend, trace_info: Any) -> Any:
        """Return a trace as if it were kept, spans and all, so that MLflow sends nothing more of it; warn of the first.

        A mock warns when it ends.
        """
        backend.drop_trace()
        if backend.dropped_traces == 1 and backend is not replacement():
            warnings.warn(TRACES_ARE_NOT_KEPT, MockWarning, stacklevel=2)
        trace_info.tags[_SPANS_LOCATION] = "TRACKING_STORE"
        return trace_info

    # Asynchronous calls are done at once: what a test logs is there when the call returns.

    def log_batch_async(self, run_id: str, metrics: Any, params: Any, tags: Any) -> RunOperations:
        """Log a batch; what it raises is raised by `wait`."""
        return _done(lambda: self.log_batch(run_id, metrics, params, tags))

    def log_metric_async(self, run_id: str, metric: mlflow_entities.Metric) -> RunOperations:
        """Log one point of a metric; what it raises is raised by `wait`."""
        return self.log_batch_async(run_id, [metric], [], [])

    def log_param_async(self, run_id: str, param: mlflow_entities.Param) -> RunOperations:
        """Log a param; what it raises is raised by `wait`."""
        return self.log_batch_async(run_id, [], [param], [])

    def set_tag_async(self, run_id: str, tag: mlflow_entities.RunTag) -> RunOperations:
        """Set a tag; what it raises is raised by `wait`."""
        return self.log_batch_async(run_id, [], [], [tag])

    # Metric histories

    get_metric_history = forwarded(Backend.get_metric_history, convert.page_of(convert.metric))
    get_metric_history_bulk = forwarded(Backend.get_metric_history_bulk, convert.metrics_of_runs)
    get_metric_history_bulk_interval = forwarded(Backend.get_metric_history_bulk_interval, convert.metrics_of_runs)
    get_max_step_for_metric = forwarded(Backend.get_max_step_for_metric)

    @served
    def get_metric_history_bulk_interval_from_steps(
        self, backend: Backend, run_id: str, metric_key: str, steps: Sequence[int], max_results: int
    ) -> list[MetricWithRunId]:
        """Return the points at some steps of a metric, by step, timestamp and value."""
        points = backend.get_metric_history_bulk_interval_from_steps(run_id, metric_key, steps, max_results)
        return convert.metrics_of_runs((run_id, point) for point in points)

    # Logged models

    create_logged_model = forwarded(Backend.create_logged_model, new_name=_new_name, read=convert.logged_model)
    get_logged_model = forwarded(Backend.get_logged_model, read=convert.logged_model)
    delete_logged_model = forwarded(Backend.delete_logged_model)
    log_logged_model_params = forwarded(Backend.log_logged_model_params)
    set_logged_model_tags = forwarded(Backend.set_logged_model_tags)
    delete_logged_model_tag = forwarded(Backend.delete_logged_model_tag)
    search_logged_models = forwarded(
        Backend.search_logged_models, convert.page, read_filter=read_filter, read=convert.logged_model
    )

    @served
    def finalize_logged_model(
        self, backend: Backend, model_id: str, status: mlflow_entities.LoggedModelStatus
    ) -> mlflow_entities.LoggedModel:
        """Set the status of a model and return the model."""
        model: mlflow_entities.LoggedModel = backend.finalize_logged_model(
            model_id, status.to_int(), read=convert.logged_model
        )
        return model


def _done(write: Callable[[], None]) -> RunOperations:
    future: Future[None] = Future()
    try:
        write()
    except Exception as error:
        future.set_exception(error)
    else:
        future.set_result(None)
    return RunOperations([future])


# Of MLflow's own methods these need nothing but the calls above, or say what a store does not have.
_INHERITED: Final = frozenset(
    (
        *("end_async_logging", "flush_async_logging", "shut_down_async_logging"),
        *("supports_workspaces", "supports_trace_archival"),
        "set_model_versions_tags",
    )
)
# What a method is about, by a part of its name; the first that fits.
_SUBJECTS: Final = (
    ("mcp_", "MCP servers"),
    ("scor", "scorers"),
    ("prompt", "prompts"),
    ("assessment", "assessments of traces"),
    *((part, "traces") for part in ("trace", "span", "completed_sessions")),
    ("issue", "issues"),
    ("label_schema", "label schemas"),
    *((part, "review queues") for part in ("review_queue", "user_queue")),
    ("dataset", "evaluation datasets"),
    ("", "gateway settings"),
)
_SPANS_LOCATION: Final = "mlflow.trace.spansLocation"
_SERVED: Final = "experiments, runs, metrics, params, tags, dataset inputs, logged models and artifacts"


def _refusal(name: str, subject: str) -> Callable[..., Any]:
    def refuse(self: TrackingStore, backend: Backend, *args: Any, **kwargs: Any) -> Any:
        answer = empty_list(name)
        if answer is not None:
            return answer
        if "traces" in subject:
            backend.require_endpoint("traces", "/api/3.0/mlflow/traces")
        raise outside(subject, name, f"its tracking store does ({_SERVED})")

    refuse.__name__ = name
    refuse.__doc__ = f"Refuse: this store does not keep {subject}, which MLflow's UI is told by an empty list."
    return served(refuse)


if not takes(AbstractStore.start_trace, "trace_info"):
    del TrackingStore.start_trace  # MLflow 2 asks for a trace before it is made: that is refused, and MLflow logs it

REFUSED: Final = {
    name: next(subject for part, subject in _SUBJECTS if part in name)
    for name in other_methods(TrackingStore, AbstractStore, RestStore)
    if name not in _INHERITED
}
"""The methods of MLflow's stores that this one refuses, and what each of them is about."""

for _name, _subject in REFUSED.items():
    setattr(TrackingStore, _name, _refusal(_name, _subject))


if not convert.HAS_MODELS:

    def _log_metric(self: TrackingStore, run_id: str, metric: mlflow_entities.Metric) -> None:
        _logs_metric(self, run_id, convert.point_without_model(metric))

    def _log_batch(self: TrackingStore, run_id: str, metrics: Sequence[Any], params: Any, tags: Any) -> None:
        _logs_batch(self, run_id, [convert.point_without_model(metric) for metric in metrics], params, tags)

    _logs_metric, _logs_batch = TrackingStore.log_metric, TrackingStore.log_batch
    TrackingStore.log_metric = _log_metric
    TrackingStore.log_batch = _log_batch  # type: ignore[method-assign]
